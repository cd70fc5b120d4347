package browser_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// TestOldRegister looks at what the check page asks when the register is too old to send by:
// in a world of its own, because the register stands still there from then on.
func TestOldRegister(t *testing.T) {
	p := newPages(t, webtest.Options{Idle: 8 * time.Hour})
	far := police(t, p.Office, "politie-mn/oc")
	to := far.Desk
	age := func(want schakel.Freshness) {
		p.Until("the register is "+string(want), func() bool {
			st, err := p.Member.Node.Status(t.Context())
			return err == nil && st.RegisterAge.State == want
		})
	}
	p.Chain.Witnessed()
	age(schakel.Fresh)
	p.Chain.Freeze(true)
	p.Chain.Pass(80 * time.Hour)
	age(schakel.Stale)
	p.alarms(2)
	b := p.User("P. Iket", desk.RoleCaseWorker)
	const form = "/compose/contactverzoek"
	kept := func(urgency string) webtest.Reply {
		return b.Post(form, typed(t, b.Get(form), protocol.ClassCallBack, url.Values{"urgency": {urgency}, "to": {string(to)}, "do": {"check"}}))
	}
	check, late := kept("acuut").Header.Get("Location"), kept("regulier").Header.Get("Location")
	in := cookies(t, b, p.Base)
	p.look(
		visit{Name: "check, an old register", Path: check, route: form + "/check", Cookies: in,
			Shows: []string{"Het register is te oud", "P. Iket beslist", "Het nummer dat u hebt gebeld", "Teken en verstuur toch"}},
		visit{Name: "check, an old register, nobody called", Path: check, route: form + "/check", Cookies: in,
			Steps: []step{{Type: []string{"#pin", schakeltest.PIN}, Status: http.StatusUnprocessableEntity}, {Use: "main form button"}},
			Shows: []string{"Vul in welk nummer u hebt gebeld"}},
		visit{Name: "what is not acute, an old register", Path: late, route: form + "/check", Cookies: in, Status: http.StatusConflict,
			Shows: []string{"Alleen iets acuuts"}},
	)
	far.Stop() // the message stays at the relay, however fast or slow anybody is
	send := b.Post(form+"/check", typedCheck(b.Get(check), "06 0000 0007"))
	if send.Status != http.StatusSeeOther {
		t.Fatalf("on a person's word: %d\n%s", send.Status, send.Body)
	}
	const sent = "/inbox?part=them"
	p.Until("the relay has the message", func() bool { return strings.Contains(b.Get(sent).Body, "Bij de relay") })
	forward := "/messages/" + strings.Split(send.Header.Get("Location"), "/")[2] + "/forwarding"
	const route = "/messages/{ref}/forwarding"
	p.look(
		visit{Name: "inbox, sent by an old register", Path: sent, route: "/inbox", Cookies: in, Shows: []string{"oud register"}},
		visit{Name: "sending on, an old register", Path: forward + "?to=" + string(to), route: route, Cookies: in,
			Shows: []string{"Het register is te oud", "Het nummer dat u hebt gebeld", "Teken en verstuur toch"}},
		visit{Name: "sending on, an old register, nobody called", Path: forward + "?to=" + string(to), route: route, Cookies: in,
			Steps: []step{{Type: []string{"#pin", schakeltest.PIN}, Status: http.StatusUnprocessableEntity}, {Use: "main form button"}},
			Shows: []string{"Vul in welk nummer u hebt gebeld"}},
	)
}

// typedCheck is what the check page sends when somebody telephoned and signs.
func typedCheck(page webtest.Reply, called string) url.Values {
	v := url.Values{"do": {"send"}, "pin": {schakeltest.PIN}, "called": {called}}
	for _, m := range hiddenField.FindAllStringSubmatch(page.Body, -1) {
		v.Set("sheet", m[1])
	}
	return v
}
