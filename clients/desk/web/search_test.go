package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

func lookFor(words string) string { return "/search?" + url.Values{"q": {words}}.Encode() }

// TestSearchPage: a box in the inbox leads to what was found and where it stands, without
// showing what is said; drafts only for who may see them; with nothing to look for it says so.
func TestSearchPage(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	worker, onCall := o.User("P. Iket", desk.RoleCaseWorker), o.User("D. Ienst", desk.RoleOnCall)
	hash := o.Report(nil) // its example speaks of a fietslampje
	by := schakel.By{Person: o.Person.Name, PIN: schakeltest.PIN}
	o.Until("a note can be written", func() bool {
		_, err := o.Member.Node.AddNote(t.Context(), hash, "Oom heet Çelik", by)
		return err == nil
	})
	if _, err := o.Member.Node.SaveDraft(t.Context(), "", "", schakel.Draft{Class: "melding", Urgency: "spoed", Body: []byte(`{"feiten":"fietslampje"}`)}, by); err != nil {
		t.Fatal(err)
	}
	contains(t, worker.Get("/inbox"), `action="/search"`, `name="q"`)
	contains(t, worker.Get("/search"), `name="q"`)
	page := worker.Get(lookFor("FIETSL"))
	contains(t, page, "2 gevonden", "/messages/"+hash, "Concept: ", `value="FIETSL"`)
	if strings.Contains(page.Body, "fietslampje") {
		t.Error("shows what is said without opening it")
	}
	if page := onCall.Get(lookFor("fietslampje")); !strings.Contains(page.Body, "1 gevonden") || strings.Contains(page.Body, "Concept: ") {
		t.Errorf("somebody who may not see drafts finds\n%s", page.Body)
	}
	kase := caseOf(t, o, hash) // cases of one minute begin alike: the end tells them apart
	for _, shown := range []webtest.Reply{worker.Get("/inbox"), page} {
		contains(t, shown, "zaak "+kase[:8]+"…"+kase[len(kase)-4:])
	}
	device, err := o.Member.Node.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log := o.User("F. Unctie", desk.RoleOfficer).Get("/log")
	contains(t, log, "Gezocht in de berichten: 2 gevonden", "apparaat …"+device.Device.String()[30:])
	lacks(t, log, " found")
	for _, words := range []string{"celik", "ÇELİK", "c\u0327eli"} { // with, without, and in two runes
		contains(t, onCall.Get(lookFor(words)), "1 gevonden", "Notitie", "P. Iket")
	}
	contains(t, worker.Get(lookFor("<script>alert(1)</script>\u202e")), "Niets gevonden", "&lt;script&gt;")
	if a := worker.Get(lookFor("?!")); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "Typ een woord") {
		t.Errorf("no words: %d\n%s", a.Status, a.Body)
	}
	for _, role := range []desk.Role{desk.RoleKeeper, desk.RoleOfficer} {
		if a := o.User("A. Nder", role).Get(lookFor("fietslampje")); a.Status != http.StatusForbidden || strings.Contains(a.Body, hash) {
			t.Errorf("%s: %d", role, a.Status)
		}
	}
	lines, err := o.Member.Node.Log(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	noted := 0
	for _, l := range lines.Lines {
		if l.Action == "searched" {
			noted++
		}
		if strings.Contains(strings.ToLower(l.Subject), "fiets") {
			t.Errorf("the access log holds the words: %+v", l)
		}
	}
	if noted != 6 {
		t.Errorf("%d searches noted, want 6", noted)
	}
}
