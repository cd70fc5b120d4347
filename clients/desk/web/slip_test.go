package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// writer is somebody who writes in forms that are no messages.
type writer struct {
	*webtest.Office
	*webtest.Browser
	t     *testing.T
	forms map[string]string // by their paths, the field in which something is written
}

func newWriter(t *testing.T) (*writer, string) {
	t.Helper()
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	return &writer{o, o.User("P. Iket", desk.RoleCaseWorker), t, map[string]string{
		"/cases/" + caseOf(t, o, hash) + "/notes/new": "text",
		"/messages/" + hash + "/acknowledgement":      "first-action",
	}}, hash
}

// types is a form as it is sent with a text, however it is sent.
func (w *writer) types(path, text string) url.Values {
	w.t.Helper()
	return with(fields(w.Get(path)), url.Values{w.forms[path]: {text}, "status": {"in-behandeling"}})
}

// onDisk is what a daemon that starts again finds of this user.
func (w *writer) onDisk() (all string) {
	w.t.Helper()
	found, err := sheets.New(w.Member.Store(), w.Chain.Now).List(w.t.Context(), userOf(w.t, w.Office, "P. Iket"))
	must(w.t, err)
	for _, s := range found {
		all += string(s.Text)
	}
	return all
}

// userOf is the identifier of a user.
func userOf(t *testing.T, o *webtest.Office, name string) string {
	t.Helper()
	users, err := o.Door.Users(t.Context())
	must(t, err)
	i := slices.IndexFunc(users, func(u desk.User) bool { return u.Name == name })
	if i < 0 {
		t.Fatalf("no user %s", name)
	}
	return users[i].ID
}

// TestNothingTypedInSmallFormsIsLost: what somebody types of a note or an acknowledgement is
// there after a lock, the end of a session and a daemon that starts again, for that user
// alone, until it is signed.
func TestNothingTypedInSmallFormsIsLost(t *testing.T) {
	w, _ := newWriter(t)
	for path := range w.forms {
		typed := w.types(path, "getypt tijdens het slot")
		w.Browser.Post("/lock", nil)
		if a := w.Post(path, typed); location(a) != "/locked?kept=1" || strings.Contains(a.Body, "getypt") {
			t.Fatalf("%s, locked: %d %s", path, a.Status, location(a))
		}
		if a := w.Get(path); location(a) != "/locked" {
			t.Errorf("%s shows before the PIN: %d\n%s", path, a.Status, a.Body)
		}
		w.Post("/unlock", url.Values{"pin": {schakeltest.PIN}})
		contains(t, w.Get(path), "getypt tijdens het slot", "Alleen u ziet het")
		contains(t, w.Get("/drafts"), path, "getypt tijdens het slot")

		w.Post("/sign-out", nil)
		if a := w.Post(path, with(typed, url.Values{w.forms[path]: {"getypt na het afmelden"}})); location(a) != "/sign-in?kept=1" {
			t.Fatalf("%s, signed out: %d %s", path, a.Status, location(a))
		}
		forged := with(typed, url.Values{w.forms[path]: {"van een ander"}, "sheet": {typed.Get("sheet") + "x"}})
		if a := w.Post(path, forged); location(a) == "/sign-in?kept=1" {
			t.Error("a form that is not from here is kept")
		}
		if !strings.Contains(w.onDisk(), "getypt na het afmelden") {
			t.Errorf("%s: a daemon that starts again has lost it", path)
		}
		lacks(t, w.User("N. Ander", desk.RoleCaseWorker).Get(path), "getypt")
		w.Browser = w.User("P. Iket", desk.RoleCaseWorker)
		wrong := w.Post(path, with(typed, url.Values{w.forms[path]: {"met een foute pincode"}, "pin": {"000000"}}))
		contains(t, wrong, "met een foute pincode", typed.Get("sheet"))
		contains(t, w.Get(path), "met een foute pincode")
		if a := w.Post(path, with(typed, url.Values{w.forms[path]: {"ondertekend"}, "pin": {schakeltest.PIN}})); a.Status != http.StatusSeeOther {
			t.Fatalf("%s: %d\n%s", path, a.Status, a.Body)
		}
		contains(t, w.Get("/drafts"), "U bent met niets bezig")
		if w.onDisk() != "" {
			t.Errorf("%s: signed, and still kept: %s", path, w.onDisk())
		}
	}
}

// TestOtherFormsDoNotTakeThePlaceOfOneAnother: whoever saw the ticket of one form cannot write
// over another one with it, and a form in which only choices were made is not kept.
func TestOtherFormsDoNotTakeThePlaceOfOneAnother(t *testing.T) {
	w, hash := newWriter(t)
	message := fields(w.Get("/compose/contactverzoek"))
	w.Post("/compose/contactverzoek", with(message, url.Values{"do": {"keep"}, "v.aanleiding": {"mijn bericht"}}))
	if a := w.Post("/compose/contactverzoek", with(message, url.Values{"do": {"open"}})); !strings.HasPrefix(location(a), "/compose/contactverzoek?sheet=") {
		t.Errorf("opening what is not closed: %d %s", a.Status, location(a))
	}
	path := "/messages/" + hash + "/acknowledgement"
	w.Post("/lock", nil)
	if a := w.Post(path, url.Values{"sheet": message["sheet"], "first-action": {"overschreven"}}); location(a) == "/locked?kept=1" {
		t.Errorf("kept over a message: %d", a.Status)
	}
	w.Post("/unlock", url.Values{"pin": {schakeltest.PIN}})
	if got := w.onDisk(); !strings.Contains(got, "mijn bericht") || strings.Contains(got, "overschreven") {
		t.Errorf("on disk: %s", got)
	}
	w.Post(path, with(fields(w.Get(path)), url.Values{"do": {"keep"}, "status": {"in-behandeling"}}))
	if a := w.Get("/drafts"); strings.Contains(a.Body, path) {
		t.Error("a choice alone is kept")
	}
}

// TestTypedInARestrictedCase: what was being written is kept in memory only, and is shown to
// its writer after the PIN; nobody else at the same screen sees a word.
func TestTypedInARestrictedCase(t *testing.T) {
	w, hash := newWriter(t)
	second := w.Member.AddPerson("C. Ollega")
	w.forms["/compose/terugkoppeling"] = "v.toelichting"
	typed := map[string]url.Values{}
	for path := range w.forms {
		typed[path] = w.types(path, "alleen voor genoemden")
	}
	typed["/compose/terugkoppeling"].Set("answers", hash)
	w.Post("/lock", nil)
	for path := range w.forms { // control: while the case is open, the disk has it
		if path != "/compose/terugkoppeling" {
			w.Post(path, typed[path])
		}
	}
	if strings.Count(w.onDisk(), "alleen voor genoemden") != 2 {
		t.Errorf("control: %s", w.onDisk())
	}
	w.Until("the case is restricted", func() bool {
		_, err := w.Member.Node.Restrict(t.Context(), hash, []string{w.Person.ID.String(), second.ID.String()},
			schakel.By{Person: w.Person.ID.String(), PIN: schakeltest.PIN, Glass: "zes woorden die niemand raadt ooit"})
		return err == nil
	})
	for path := range w.forms {
		if a := w.Post(path, typed[path]); location(a) != "/locked?kept=1" {
			t.Fatalf("%s: %d %s", path, a.Status, location(a))
		}
	}
	if strings.Contains(w.onDisk(), "alleen voor genoemden") {
		t.Errorf("on disk: %s", w.onDisk())
	}
	w.Post("/unlock", url.Values{"pin": {schakeltest.PIN}})
	for path := range w.forms {
		at := path
		if strings.HasPrefix(path, "/compose") {
			at += "?sheet=" + strings.Split(typed[path].Get("sheet"), ".")[1]
		}
		page := w.Get(at)
		contains(t, page, "Typ uw pincode om het te zien")
		lacks(t, page, "alleen voor genoemden")
		wrong := w.Post(path, with(fields(page), url.Values{"pin": {"000000"}}))
		contains(t, wrong, "De pincode klopt niet")
		lacks(t, wrong, "alleen voor genoemden")
		lacks(t, w.Post(path, with(fields(page), url.Values{"pin": {""}})), "alleen voor genoemden")
		shown := w.Post(path, with(fields(page), url.Values{"pin": {schakeltest.PIN}}))
		contains(t, shown, "alleen voor genoemden")
		lacks(t, shown, `value="`+schakeltest.PIN)
		lacks(t, w.User("N. Ander", desk.RoleCaseWorker).Get(at), "alleen voor genoemden")
		removal := w.Get("/sheets/" + strings.Split(typed[path].Get("sheet"), ".")[1] + "/removal")
		contains(t, removal, "Alleen met uw pincode te zien")
		lacks(t, removal, "alleen voor genoemden")
	}
	drafts := w.Get("/drafts")
	contains(t, drafts, "Alleen met uw pincode te zien")
	lacks(t, drafts, "alleen voor genoemden")
	w.Chain.Pass(sheets.LifeAside)
	contains(t, w.User("P. Iket", desk.RoleCaseWorker).Get("/drafts"), "U bent met niets bezig")
}
