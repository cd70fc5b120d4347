package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func contains(t *testing.T, page webtest.Reply, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(page.Body, p) {
			t.Errorf("no %q in (%d)\n%s", p, page.Status, page.Body)
		}
	}
}

func TestFromLinkToAcknowledgement(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	if a := b.Get("/"); a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/inbox" {
		t.Fatalf("the front page: %d %v", a.Status, a.Header)
	}
	contains(t, b.Get("/inbox"), "Wacht op ons", "/messages/"+hash, "Spoed", "Signaal", "Ongelezen")
	page := b.Get("/messages/" + hash)
	contains(t, page, "Veilig contact: lees dit voordat u iemand belt", "fietslampje", "Leerling vertelt mentor", "Test arts", `<time datetime="2026-12-19">za 19 dec 2026</time>`, "Utrecht (GM0344)")
	lacks(t, page, "<dt>Veilig contact</dt>")
	if safe, number := strings.Index(page.Body, "fietslampje"), strings.Index(page.Body, "&#43;31600000001"); number < 0 || safe > number {
		t.Error("a telephone number stands before what keeps the victim safe (R06)")
	}
	form := "/messages/" + hash + "/acknowledgement"
	contains(t, b.Get(form), "P. Iket", `name="pin"`)
	wrong := b.Post(form, url.Values{"pin": {"000000"}, "status": {"in-behandeling"}, "first-action": {"Meldkamer <gebeld>"}})
	contains(t, wrong, "De pincode klopt niet", "Er is niets verstuurd", "Meldkamer &lt;gebeld&gt;")
	if strings.Contains(wrong.Body, "000000") {
		t.Error("the page repeats a PIN")
	}
	if a := b.Post(form, url.Values{"pin": {schakeltest.PIN}, "status": {"in-behandeling"}}); a.Status != http.StatusSeeOther {
		t.Fatalf("acknowledging: %d\n%s", a.Status, a.Body)
	}
	contains(t, b.Get("/messages/"+hash+"/acknowledged"), "Bevestigd", "P. Iket")
	contains(t, b.Get("/inbox"), "Er wacht niets op dit bureau", "Bevestigd door P. Iket")
	o.Until("the sender hears it", func() bool {
		s, err := o.Doctor.Node.Trace(t.Context(), hash)
		return err == nil && s.Recipients[0].State == schakel.StateAcknowledged
	})
	log, err := o.Member.Node.Log(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, l := range log.Lines {
		if strings.HasPrefix(l.Action, "web-") {
			seen = append(seen, l.Action+" "+l.Person)
		}
	}
	if got := strings.Join(seen, ", "); !strings.HasPrefix(got, "web-user P. Iket, web-link P. Iket, web-signed-in P. Iket, web-opened P. Iket") {
		t.Errorf("access log: %s", got)
	}
}
