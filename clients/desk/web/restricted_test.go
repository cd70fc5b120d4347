package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// TestRestrictedMessage: who is not named for a case is told whom to call, reads nothing
// of it and can still say that a person has it; who is named opens it with the PIN, and
// only for that one page.
func TestRestrictedMessage(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	ann, bob := o.Member.AddPerson("A. Nnie"), o.Member.AddPerson("B. Ob")
	hash := o.Report(nil)
	path := "/messages/" + hash
	const said = "Leerling vertelt mentor"
	outsider, insider := o.User("P. Iket", desk.RoleOnCall), webtest.NewBrowser(t, o.Base)
	link, err := o.Door.Link(t.Context(), desk.LinkRequest{Person: ann.Name, Roles: []desk.Role{desk.RoleCaseWorker}})
	if err != nil {
		t.Fatal(err)
	}
	insider.Post(strings.TrimPrefix(link.URL, o.Base), nil)
	contains(t, outsider.Get(path), said) // control: it was open
	o.Until("the case can be restricted", func() bool {
		_, err := o.Member.Node.Restrict(t.Context(), hash, []string{ann.Name, bob.Name},
			schakel.By{Person: ann.Name, PIN: schakeltest.PIN, Glass: "zes woorden in de kluis van het bureau"})
		return err == nil
	})
	closed := func(what string, a webtest.Reply, status int, parts ...string) {
		t.Helper()
		contains(t, a, append([]string{"Alleen voor bepaalde collega", "Bel een van hen", ann.Name, bob.Name}, parts...)...)
		if a.Status != status || strings.Contains(a.Body, said) || strings.Contains(a.Body, "fietslampje") {
			t.Errorf("%s: %d\n%s", what, a.Status, a.Body)
		}
	}
	right := url.Values{"pin": {schakeltest.PIN}}
	page := outsider.Get(path)
	if strings.Contains(page.Body, "<dt>Aan</dt>") {
		t.Error("a row without what it is about")
	}
	closed("who is not named", page, http.StatusOK, "U kunt de ontvangst wel bevestigen", path+"/acknowledgement")
	if strings.Contains(page.Body, `name="pin"`) {
		t.Error("a PIN is asked of who may not read it")
	}
	closed("who is not named, with a PIN", outsider.Post(path, right), http.StatusOK)
	closed("who is named, without a PIN", insider.Get(path), http.StatusOK, "Pincode van A. Nnie")
	closed("who is named, with a wrong PIN", insider.Post(path, url.Values{"pin": {"000000"}}), http.StatusForbidden, "De pincode klopt niet")
	contains(t, insider.Post(path, right), said, "fietslampje")
	closed("who is named, afterwards", insider.Get(path), http.StatusOK)

	form := path + "/acknowledgement"
	wrong := outsider.Post(form, url.Values{"pin": {schakeltest.PIN}, "status": {protocol.StatusWrongRecipient}})
	contains(t, wrong, "Er is niets verstuurd", "beperkt tot genoemde personen")
	if a := outsider.Post(form, url.Values{"pin": {schakeltest.PIN}, "status": {protocol.StatusTaken}}); a.Status != http.StatusSeeOther {
		t.Fatalf("acknowledging: %d\n%s", a.Status, a.Body)
	}
	done := outsider.Get(path + "/acknowledged")
	contains(t, done, "Bevestigd", "P. Iket")
	if strings.Contains(done.Body, said) {
		t.Error("acknowledging opens what it says")
	}
}
