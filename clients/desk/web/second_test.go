package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/roster"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/message"
)

// Where the rota asks for two persons, the page goes on asking after the first: it waits in
// the inbox with who signed, the same person twice is one, and the second ends it.
func TestSecondPersonSigns(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	acht := o.Rota(func(s *roster.Sheet) {
		s.Ladders = []roster.Ladder{{Urgency: message.Urgent, Acknowledgers: 2, Steps: []roster.Step{}}}
	})
	hash := o.Report(nil)
	first, second := o.User("P. Iket", desk.RoleCaseWorker), o.Signer(acht.Name, desk.RoleCaseWorker)
	form := "/messages/" + hash + "/acknowledgement"
	sign := func(b *webtest.Browser, pin string) webtest.Reply {
		t.Helper()
		return b.Post(form, url.Values{"pin": {pin}, "status": {"in-behandeling"}, "first-action": {"Meldkamer gebeld"}})
	}
	if a := sign(first, schakeltest.PIN); a.Status != http.StatusSeeOther {
		t.Fatalf("the first: %d\n%s", a.Status, a.Body)
	}
	for _, b := range []*webtest.Browser{first, second} {
		contains(t, b.Get("/inbox"), "Wacht op ons", "/messages/"+hash, "1 van 2 bevestigd: P. Iket")
	}
	contains(t, second.Get("/messages/"+hash), form)
	contains(t, second.Get(form), acht.Name, `name="pin"`)
	if a := sign(second, "000000"); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "Er is niets verstuurd") {
		t.Errorf("with another PIN: %d", a.Status)
	}
	sign(first, schakeltest.PIN)
	contains(t, second.Get("/inbox"), "1 van 2 bevestigd: P. Iket")
	if a := sign(second, schakeltest.PIN); a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/messages/"+hash+"/acknowledged" {
		t.Fatalf("the second: %d\n%s", a.Status, a.Body)
	}
	contains(t, second.Get("/messages/"+hash+"/acknowledged"), "Bevestigd", "P. Iket")
	done := first.Get("/inbox")
	contains(t, done, "Er wacht niets op dit bureau")
	if strings.Contains(done.Body, "1 van 2 bevestigd") || strings.Contains(second.Get("/messages/"+hash).Body, form) {
		t.Error("it still asks for somebody")
	}
}
