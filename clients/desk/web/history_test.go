package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
)

// TestGivingHistory: a desk that asks for its history is shown, and gets it from a case
// worker who telephoned, with the number and the PIN. Nobody else gives anything, and a desk
// that did not ask gets nothing.
func TestGivingHistory(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	o.Report(nil)
	worker, onCall, keeper := o.User("P. Iket", desk.RoleCaseWorker), o.User("N. Acht", desk.RoleOnCall), o.User("K. Eeper", desk.RoleKeeper)
	const path = "/directory/arts/praktijk/history"
	contains(t, worker.Get("/history"), "Geen bureau vroeg erom", "Dit bureau vroeg niets")
	contains(t, worker.Get("/directory"), `href="/history"`)
	if a := worker.Get(path); a.Status != http.StatusConflict {
		t.Errorf("a desk that did not ask: %d", a.Status)
	}
	o.Until("the doctor asks", func() bool {
		_, err := o.Doctor.Node.AskHistory(t.Context(), []identity.DeskID{o.Member.Desk})
		return err == nil
	})
	o.Until("it is shown", func() bool { return strings.Contains(worker.Get("/history").Body, `href="`+path+`"`) })
	contains(t, worker.Get("/directory/arts/praktijk"), "Dit bureau vraagt zijn geschiedenis terug", `href="/history"`)
	lacks(t, onCall.Get("/history"), `href="`+path+`"`)
	for who, b := range map[string]*webtest.Browser{"on call": onCall, "keeper": keeper} {
		if a := b.Post(path, pin("called", "+31600000001")); a.Status != http.StatusForbidden {
			t.Errorf("given by %s: %d", who, a.Status)
		}
	}
	if a := keeper.Get("/history"); a.Status != http.StatusForbidden {
		t.Errorf("a keeper looks: %d", a.Status)
	}
	lacks(t, keeper.Get("/directory/arts/praktijk"), "Dit bureau vraagt zijn geschiedenis terug")
	contains(t, worker.Get(path), "Bel dit bureau op een nummer dat u al had", `name="called"`, "Twijfelt u? Geef dan niets")
	contains(t, worker.Post(path, pin()), "Vul het nummer in")
	contains(t, worker.Post(path, pin("called", "bel maar")), "Schrijf het nummer met landcode", `value="bel maar"`)
	wrong := worker.Post(path, url.Values{"pin": {"998877"}, "called": {"+31600000001"}})
	if contains(t, wrong, "De pincode klopt niet"); strings.Contains(wrong.Body, "998877") {
		t.Error("the PIN comes back")
	}
	contains(t, leads(t, worker, worker.Post(path, pin("called", "+31 6 00000001")), "/history"), "Gegeven aan arts/praktijk", "1 bericht van 1 zaak")
	o.Until("it came", func() bool {
		all, err := o.Doctor.Node.Histories(t.Context())
		return err == nil && len(all) == 1 && all[0].Answered && all[0].Came == 1
	})
	log, err := o.Member.Node.Log(t.Context(), "")
	if err != nil || !slices.ContainsFunc(log.Lines, func(l schakel.LogLine) bool {
		return l.Action == "history-given" && l.Subject == "arts/praktijk +31600000001" && l.Person == "P. Iket"
	}) {
		t.Errorf("the log does not say who gave it: %v", err)
	}
}

// TestAskingForHistory: this desk asks those that were ticked, and sees what came.
func TestAskingForHistory(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	o.Report(nil)
	b := o.User("P. Iket", desk.RoleOnCall)
	o.Until("the doctor can be sealed to", func() bool { return o.Member.Node.SendTest(t.Context(), o.Doctor.Desk) == nil })
	contains(t, b.Get("/history"), "Vraag de geschiedenis terug", `name="to" value="arts/praktijk"`)
	contains(t, b.Post("/history/questions", nil), "Kies minstens één bureau")
	contains(t, b.Post("/history/questions", url.Values{"to": {"politie-mn/oc"}}), "Kies minstens één bureau")
	contains(t, leads(t, b, b.Post("/history/questions", url.Values{"to": {"arts/praktijk"}}), "/history"), "Gevraagd. Bel nu elk bureau", "Nog niets gekomen")
	doctor := o.Doctor.AddPerson("D. Okter")
	o.Until("the doctor gives it", func() bool {
		_, err := o.Doctor.Node.GiveHistory(t.Context(), o.Member.Desk, "+31600000007", schakel.By{Person: doctor.Name, PIN: schakeltest.PIN})
		return err == nil
	})
	o.Until("it is shown that it came", func() bool { return strings.Contains(b.Get("/history").Body, "1 van 1 berichten gekomen") })
}
