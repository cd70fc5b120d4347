package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// TestAnOldRegister: nothing goes by a register that is too old, but what is acute, on the
// word of a named person who telephoned. The control is the same form while it is current.
func TestAnOldRegister(t *testing.T) {
	s := newScriptorium(t, webtest.Options{})
	age := func(want schakel.Freshness) {
		t.Helper()
		s.Until("the register is "+string(want), func() bool {
			st, err := s.Member.Node.Status(t.Context())
			return err == nil && st.RegisterAge.State == want
		})
	}
	s.Chain.Witnessed()
	age(schakel.Fresh)
	const form = "/compose/contactverzoek"
	report := func(b *webtest.Browser, urgency string) (send url.Values, check webtest.Reply) {
		t.Helper()
		kept := b.Post(form, with(fields(b.Get(form)), s.callBack(url.Values{"urgency": {urgency}, "do": {"check"}})))
		if kept.Status != http.StatusSeeOther {
			t.Fatalf("the form: %d", kept.Status)
		}
		check = b.Get(location(kept))
		return with(fields(check), url.Values{"do": {"send"}, "pin": {schakeltest.PIN}}), check
	}
	if _, check := report(s.Browser, "acuut"); strings.Contains(check.Body, "Het register is te oud") {
		t.Error("control: a register that is current is called old")
	}
	s.Chain.Freeze(true)
	s.Chain.Pass(80 * time.Hour)
	age(schakel.Stale)
	b := s.User("P. Iket", desk.RoleCaseWorker) // the session of before is over

	send, check := report(b, "spoed")
	contains(t, check, "Het register is te oud", "Alleen iets acuuts", "Slachtoffer wil niet terug")
	if check.Status != http.StatusConflict || strings.Contains(check.Body, `name="called"`) {
		t.Errorf("what is not acute: %d", check.Status)
	}
	send.Set("called", "+31600000007")
	if a := b.Post(form+"/check", send); a.Status != http.StatusConflict {
		t.Errorf("what is not acute, all the same: %d", a.Status)
	}

	send, check = report(b, "acuut")
	contains(t, check, "Het register is te oud", "P. Iket beslist dat dit acute bericht toch gaat", `name="called"`, "Teken en verstuur toch", "Iemand die er niet meer bij hoort")
	for _, number := range []string{"", "112", "bel mij", "+31 6"} {
		send.Set("called", number)
		a := b.Post(form+"/check", send)
		if a.Status != http.StatusUnprocessableEntity {
			t.Errorf("called %q: %d", number, a.Status)
		}
		contains(t, a, "Vul in welk nummer u hebt gebeld", `aria-invalid="true"`, strings.TrimPrefix(number, "+")+`"`)
	}
	send.Set("called", "06 0000 0007")
	send.Set("pin", "")
	if a := b.Post(form+"/check", send); a.Status != http.StatusForbidden {
		t.Errorf("without a PIN: %d", a.Status)
	}
	if n := len(s.inbox()); n != 0 {
		t.Fatalf("%d messages went", n)
	}
	send.Set("pin", schakeltest.PIN)
	sent := b.Post(form+"/check", send)
	if sent.Status != http.StatusSeeOther || !strings.HasSuffix(location(sent), "/sent") {
		t.Fatalf("on a person's word: %d", sent.Status)
	}
	s.Until("the police has it", func() bool { return len(s.inbox()) == 1 })
	letter, err := s.police.Node.Read(t.Context(), s.inbox()[0].Hash)
	if err != nil || letter.Person == "" || len(letter.Flags) == 0 || !strings.Contains(letter.Flags[0].Remedy.NL, "+31600000007") {
		t.Errorf("its reader is told %+v, %v", letter.Flags, err)
	}
	contains(t, b.Get("/cases/"+letter.Case), "31600000007")
	contains(t, b.Get("/messages/"+letter.Hash), "31600000007")
	contains(t, b.Get("/inbox?part=them"), `<strong class="mark">oud register</strong>`)
	s.sentOn(b, letter.Hash)
}

// sentOn sends an acute message on by a register that is too old: as a new one goes.
func (s *scriptorium) sentOn(b *webtest.Browser, hash string) {
	s.t.Helper()
	path := "/messages/" + hash + "/forwarding"
	contains(s.t, b.Get(path+"?to=politie-mn/oc"), "Het register is te oud", "P. Iket beslist dat dit acute bericht toch gaat", `name="called"`, "Teken en verstuur toch")
	form := url.Values{"to": {string(s.police.Desk)}, "pin": {schakeltest.PIN}}
	for _, number := range []string{"", "112"} {
		form.Set("called", number)
		if a := b.Post(path, form); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "Vul in welk nummer u hebt gebeld") {
			s.t.Errorf("called %q: %d", number, a.Status)
		}
	}
	form.Set("called", "+31600000008")
	if n := len(s.inbox()); n != 1 {
		s.t.Fatalf("%d messages went on", n-1)
	}
	if a := b.Post(path, form); !strings.HasSuffix(location(a), "/sent") {
		s.t.Fatalf("sending on, on a person's word: %d\n%s", a.Status, a.Body)
	}
	s.Until("the police has it", func() bool { return len(s.inbox()) == 2 })
	for _, m := range s.inbox() {
		if !slices.Contains(m.Marks, schakel.MarkRegister) {
			s.t.Errorf("its row there has the marks %q", m.Marks)
		}
	}
}
