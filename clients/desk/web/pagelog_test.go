package web_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/relay/page"
)

// bells are channels that take every page, except by mail.
type bells struct{}

func (bells) HasHook() bool { return false }

func (bells) For(p page.Point) (page.Notifier, error) { return bell{p.Channel}, nil }

type bell struct{ channel string }

func (b bell) Notify(context.Context, page.Page) error {
	if b.channel == page.SMTP {
		return page.ErrUntrusted
	}
	return nil
}

// TestPageSomebody: a test page tells per channel what came of it, stands in the log, and
// without a pager says what to do.
func TestPageSomebody(t *testing.T) {
	o := webtest.Open(t, webtest.Options{Channels: bells{}})
	o.Rota(nil)
	b := o.User("P. Iket", desk.RoleOnCall)
	contains(t, b.Get("/on-call/pages"), "Er is nog niemand opgeroepen")
	contains(t, b.Post("/on-call/pages/test", pin()), "Kies om wie het gaat")
	contains(t, leads(t, b, b.Post("/on-call/pages/test", pin("who", "p-2")), "/on-call/pages/test"), "Wat ervan kwam", "ntfy", "Aangenomen")
	contains(t, leads(t, b, b.Post("/on-call/pages/test", pin("who", "p-3")), "/on-call/pages/test"), "smtp", "grid__bad", "niet te vertrouwen")
	contains(t, leads(t, b, b.Post("/on-call/pages/test", pin("who", "p-1")), "/on-call/pages/test"), "Er is geen manier om deze collega op te roepen")
	log := b.Get("/on-call/pages")
	contains(t, log, "Proefoproep", "W. Acht", "ntfy", "achterwacht", "kenmerk ")
	lacks(t, log, "ntfy.example") // where somebody is reached is in the rota, for who keeps that
	if a := o.User("B. Ehandel", desk.RoleCaseWorker).Get("/on-call/pages"); a.Status != http.StatusForbidden {
		t.Errorf("a case worker sees the log: %d", a.Status)
	}
	o.Until("the relay says what it paged", func() bool { return b.Get("/on-call/pages?by=relay").Status == http.StatusOK })
	o.Chain.StopRelay()
	o.Until("the relay is gone", func() bool {
		s, err := o.Member.Node.Status(t.Context())
		return err == nil && !s.Connected
	})
	if a := b.Get("/on-call/pages?by=relay"); a.Status != http.StatusServiceUnavailable {
		t.Errorf("what the relay says without a relay: %d", a.Status)
	}
}

// TestDrillFromThePage: two pages, and then it is on record, with what is missing for
// a night.
func TestDrillFromThePage(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	o.Rota(nil)
	police := o.Chain.Join("politie-mn/meldkamer", identity.RolePolitie)
	police.Start()
	o.Until("the police can be written to", func() bool {
		_, err := o.Member.Node.Prepare(t.Context(), schakel.Draft{Class: "melding", To: []identity.DeskID{police.Desk}})
		return !errors.Is(err, schakel.ErrUnknownDesk) && !errors.Is(err, schakel.ErrNoEpoch) && !errors.Is(err, schakel.ErrNoDevice)
	})
	b := o.User("P. Iket", desk.RoleKeeper)
	first := b.Get("/on-call/drills")
	contains(t, first, "Er was nog geen oefening", "dingen", "Iedereen met piket is op te roepen", "Ontbreekt: P. Iket", "Vraag een ander bureau om een oefening")
	lacks(t, first, "schakel oncall", "person add") // nobody on this page has a command line
	contains(t, b.Post("/on-call/pages/test", pin("who", "p-2")), "Er is niets veranderd", "Dit apparaat roept niemand op")
	const path = "/on-call/drills/new"
	contains(t, b.Get(path), "politie-mn/meldkamer", "Test politie-mn")
	contains(t, b.Get(path+"?step=check"), "Kies een bureau")
	contains(t, b.Get(path+"?step=check&to=politie-mn%2Fmeldkamer"), "Deze oefening starten", "gaat nu echt een telefoon", `name="pin"`)
	contains(t, b.Post(path, map[string][]string{"pin": {"998877"}, "step": {"check"}, "to": {"politie-mn/meldkamer"}}), "De pincode klopt niet")
	o.Until("the police has keys", func() bool {
		a := b.Post(path, pin("step", "check", "to", "politie-mn/meldkamer"))
		return a.Status == http.StatusSeeOther
	})
	contains(t, b.Get("/on-call/drills"), "Naar Test politie-mn", "Niet bevestigd")
	drills, err := o.Member.Node.Drills(t.Context())
	if err != nil || len(drills) != 1 {
		t.Fatalf("%+v, %v", drills, err)
	}
	o.Until("it is there", func() bool {
		_, err := police.Node.Read(t.Context(), drills[0].Message)
		return err == nil
	})
	officer := police.AddPerson("P. Olitie")
	if _, err := police.Node.Acknowledge(t.Context(), drills[0].Message, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	o.Until("it is answered", func() bool { return strings.Contains(b.Get("/on-call/drills").Body, "Bevestigd na") })
}
