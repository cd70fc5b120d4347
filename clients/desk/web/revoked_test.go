package web_test

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/signin/passkeytest"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel/schakeltest"
)

// signed are two case workers, each with a passkey that signs, and what they look at.
type signed struct {
	*webtest.Office
	t *testing.T
}

// listening opens the stream that a page listens to.
func (o signed) listening(b *webtest.Browser) *bufio.Scanner {
	o.t.Helper()
	resp, err := b.Do(request(o.t, http.MethodGet, o.Base+"/live", ""))
	must(o.t, err)
	o.t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && lines.Text() != ": schakel" {
	}
	return lines
}

// passkey makes one that signs, by the pages.
func (o signed) passkey(b *webtest.Browser) *passkeytest.Authenticator {
	o.t.Helper()
	key := passkeytest.New(o.t, o.Base)
	o.json(b, "/passkeys", string(key.Create([]byte(o.json(b, "/passkeys/begin", "")))))
	if a := b.Post("/passkeys/signing", url.Values{"pin": {schakeltest.PIN}, "passkey": {o.shows(b, key)}}); a.Status != http.StatusSeeOther {
		o.t.Fatalf("letting a passkey sign: %d\n%s", a.Status, a.Body)
	}
	return key
}

func (o signed) json(b *webtest.Browser, path, body string) string {
	o.t.Helper()
	r := request(o.t, http.MethodPost, o.Base+path, body)
	r.Header.Set("Content-Type", "application/json")
	a := b.Send(r)
	if a.Status != http.StatusOK {
		o.t.Fatalf("%s: %d %s", path, a.Status, a.Body)
	}
	return a.Body
}

// shows asks for a passkey to sign with, and returns its answer.
func (o signed) shows(b *webtest.Browser, key *passkeytest.Authenticator) string {
	o.t.Helper()
	return string(key.Show([]byte(o.json(b, "/passkeys/signing/begin", ""))))
}

// takes acknowledges a message with a PIN or a passkey, and reports whether that worked.
func (o signed) takes(b *webtest.Browser, hash, field, value string) bool {
	o.t.Helper()
	a := b.Post("/messages/"+hash+"/acknowledgement", url.Values{"status": {"in-behandeling"}, field: {value}})
	m, err := o.Member.Node.Read(o.t.Context(), hash)
	must(o.t, err)
	if taken := !m.Acknowledged.IsZero(); taken != (a.Status == http.StatusSeeOther && strings.HasPrefix(a.Header.Get("Location"), "/messages/")) {
		o.t.Errorf("acknowledging answers %d to %s, and the message is acknowledged: %t", a.Status, a.Header.Get("Location"), taken)
	}
	return !m.Acknowledged.IsZero()
}

// TestAnAnswerOfAPasskeySignsOnce: whoever captured the form of somebody who signed with a
// passkey, the session along with it, signs nothing more.
func TestAnAnswerOfAPasskeySignsOnce(t *testing.T) {
	o := signed{webtest.Open(t, webtest.Options{}), t}
	first, second := o.Report(nil), o.Report(nil)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	key := o.passkey(b)
	captured := o.shows(b, key)
	if !o.takes(b, first, "passkey", captured) {
		t.Error("control: the form itself")
	}
	if o.takes(b, second, "passkey", captured) {
		t.Error("the answer signed twice")
	}
	if !o.takes(b, second, "passkey", o.shows(b, key)) {
		t.Error("control: a new answer")
	}
}

// TestRevokedElsewhere: when a person is revoked elsewhere, the pages that are open lock, the
// session is over, and neither the PIN nor the passkey nor a question to it that was asked
// before signs. A colleague works on.
func TestRevokedElsewhere(t *testing.T) {
	o := signed{webtest.Open(t, webtest.Options{}), t}
	first, second := o.Report(nil), o.Report(nil)
	o.Member.AddPerson("N. Acht")
	link, err := o.Door.Link(t.Context(), desk.LinkRequest{Person: "N. Acht", Roles: []desk.Role{desk.RoleCaseWorker}})
	must(t, err)
	other, b := webtest.NewBrowser(t, o.Base), o.User("P. Iket", desk.RoleCaseWorker)
	other.Post(strings.TrimPrefix(link.URL, o.Base), nil)
	key := o.passkey(b)
	asked, page := o.shows(b, key), o.listening(b)
	if !o.takes(b, first, "pin", schakeltest.PIN) {
		t.Fatal("control: the PIN")
	}

	o.Chain.RevokePerson(o.Person.ID)
	for page.Scan() && page.Text() != "event: locked" {
	}
	if page.Text() != "event: locked" {
		t.Errorf("the open page is not told: %v", page.Err())
	}
	for _, path := range []string{"/", "/inbox", "/messages/" + second, "/locked", "/passkeys"} {
		if a := b.Get(path); a.Header.Get("Location") != "/sign-in" {
			t.Errorf("%s: %d to %q", path, a.Status, a.Header.Get("Location"))
		}
	}
	for field, value := range map[string]string{"pin": schakeltest.PIN, "passkey": asked} {
		if o.takes(b, second, field, value) {
			t.Errorf("the %s signs", field)
		}
	}
	if a := b.Post("/unlock", url.Values{"pin": {schakeltest.PIN}}); a.Status == http.StatusSeeOther && a.Header.Get("Location") == "/" {
		t.Error("the PIN unlocks")
	}
	if !o.takes(other, second, "pin", schakeltest.PIN) {
		t.Error("control: a colleague")
	}
	log, err := o.Member.Node.Log(t.Context(), "")
	must(t, err)
	ended := 0
	for _, l := range log.Lines {
		if l.Action == "web-signed-out" {
			ended++
		}
	}
	if ended != 1 {
		t.Errorf("the access log has %d sessions that ended", ended)
	}
}
