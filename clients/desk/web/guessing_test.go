package web_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel/schakeltest"
)

// guess sends a form with a PIN, as a browser sends it or as one with files, and reports
// whether the PIN was looked at.
func (o signed) guess(b *webtest.Browser, path, pin string, files bool) bool {
	o.t.Helper()
	form := url.Values{"status": {"in-behandeling"}, "text": {"gebeld"}, "pin": {pin}}
	r := request(o.t, http.MethodPost, o.Base+path, form.Encode())
	if files {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for name := range form {
			must(o.t, w.WriteField(name, form.Get(name)))
		}
		must(o.t, w.Close())
		r = request(o.t, http.MethodPost, o.Base+path, body.String())
		r.Header.Set("Content-Type", w.FormDataContentType())
	}
	a := b.Send(r)
	return a.Status == http.StatusForbidden && strings.Contains(a.Body, "pincode klopt niet")
}

// TestGuessingAtForms: whoever has the open session of somebody else can try a few PINs, over
// all forms together and also at once; then it is locked. Who mistypes now and then works on,
// and the right PIN opens the lock.
func TestGuessingAtForms(t *testing.T) {
	o := signed{webtest.Open(t, webtest.Options{}), t}
	first, second := o.Report(nil), o.Report(nil)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	paths := []string{"/messages/" + first + "/acknowledgement", "/cases/" + first + "/notes/new"}
	for i := range 4 {
		if !o.guess(b, paths[i%2], "000000", i > 1) {
			t.Errorf("control: wrong PIN %d is not told", i)
		}
	}
	if !o.takes(b, first, "pin", schakeltest.PIN) {
		t.Error("control: the right PIN after four wrong ones")
	}
	b.Post("/lock", nil)
	if a := b.Post("/unlock", url.Values{"pin": {schakeltest.PIN}}); a.Header.Get("Location") != "/" {
		t.Fatalf("unlocking: %d", a.Status)
	}
	var looked atomic.Int32
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			if o.guess(b, "/messages/"+second+"/acknowledgement", fmt.Sprintf("%06d", i), i%2 == 0) {
				looked.Add(1)
			}
		})
	}
	all.Wait()
	if n := looked.Load(); n != 5 {
		t.Errorf("%d PINs were looked at", n)
	}
	if a := b.Get("/inbox"); a.Header.Get("Location") != "/locked" {
		t.Errorf("afterwards: %d to %q", a.Status, a.Header.Get("Location"))
	}
	if o.takes(b, second, "pin", schakeltest.PIN) {
		t.Error("a locked session signs")
	}
	b.Post("/unlock", url.Values{"pin": {schakeltest.PIN}})
	if !o.takes(b, second, "pin", schakeltest.PIN) {
		t.Error("control: after unlocking")
	}
	log, err := o.Member.Node.Log(t.Context(), "")
	must(t, err)
	locks := 0
	for _, l := range log.Lines {
		if l.Action == "web-wrong-pins" {
			locks++
		}
	}
	if locks != 1 {
		t.Errorf("the access log has %d locks by wrong PINs", locks)
	}
}

// TestGuessingByLinks: a keeper makes link after link for a colleague, and has twenty tries in
// a day all the same. What the colleague types meanwhile in a session of that day is kept.
func TestGuessingByLinks(t *testing.T) {
	o := signed{webtest.Open(t, webtest.Options{}), t}
	path := "/cases/" + o.Report(nil) + "/notes/new"
	keeper, colleague := o.User("K. Eeper", desk.RoleKeeper), o.User("P. Iket", desk.RoleCaseWorker)
	looked, refused := 0, webtest.Reply{}
	for refused.Status == 0 {
		users, err := o.Door.Users(t.Context())
		must(t, err)
		id := users[slices.IndexFunc(users, func(u desk.User) bool { return u.Name == "P. Iket" })].ID
		made := keeper.Get(location(keeper.Post("/people/link", url.Values{"user": {id}})))
		link := regexp.MustCompile(`/enter/[\w-]+`).FindString(made.Body)
		thief := webtest.NewBrowser(t, o.Base)
		thief.Post(link, nil)
		for range 5 {
			a := thief.Post("/unlock", url.Values{"pin": {fmt.Sprintf("%06d", looked)}})
			if a.Status == http.StatusTooManyRequests {
				refused = a
				break
			}
			looked++
		}
	}
	if looked != 20 || !strings.Contains(refused.Body, "te vaak een verkeerde pincode") {
		t.Errorf("%d PINs were looked at: %s", looked, refused.Body)
	}
	typed := with(fields(colleague.Get(path)), url.Values{"text": {"twintig minuten werk"}, "pin": {schakeltest.PIN}})
	if a := colleague.Post(path, typed); a.Status != http.StatusTooManyRequests {
		t.Errorf("a form of a session in which no PIN was right: %d", a.Status)
	}
	contains(t, colleague.Get(path), "twintig minuten werk")
}
