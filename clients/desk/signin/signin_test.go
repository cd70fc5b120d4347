package signin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/clients/desk"
	"schakel/clients/desk/signin"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// base is where the desk says that it is.
const base = "http://localhost:1"

// house is a desk with one person, and its door.
type house struct {
	*signin.Door
	t      *testing.T
	chain  *schakeltest.Chain
	member *schakeltest.Member
	person schakel.Person
}

func newHouse(t *testing.T) *house {
	t.Helper()
	chain := schakeltest.New(t)
	h := &house{t: t, chain: chain, member: chain.Join("vt20/crisis", identity.RoleVeiligThuis)}
	h.member.Start()
	before := h.entries()
	h.person = h.member.AddPerson("P. Iket")
	h.until("the person is in the register", func() bool { return h.entries() > before })
	h.Door = h.door()
	return h
}

func (h *house) entries() int {
	h.t.Helper()
	all, err := h.member.Node.RegisterEntries(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return len(all)
}

func (h *house) door() *signin.Door {
	return signin.New(signin.Config{Store: h.member.Store(), People: h.member.Node, Base: base, Idle: 10 * time.Minute, Now: h.chain.Now})
}

// link makes a link and returns its secret.
func (h *house) link(r desk.LinkRequest) string {
	h.t.Helper()
	l, err := h.Link(h.t.Context(), r)
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.TrimPrefix(l.URL, base+"/enter/")
}

func (h *house) in(r desk.LinkRequest) string {
	h.t.Helper()
	token, err := h.Redeem(h.t.Context(), h.link(r))
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// who is behind a token, with a sign of life.
func (h *house) who(token string) (desk.User, error) { return h.Visitor(h.t.Context(), token, true) }

func (h *house) want(token string, want error) {
	h.t.Helper()
	if _, err := h.who(token); !errors.Is(err, want) {
		h.t.Errorf("got %v, want %v", err, want)
	}
}

func TestFirstUserIsWhoeverSetUpTheDevice(t *testing.T) {
	h := newHouse(t)
	u, err := h.who(h.in(desk.LinkRequest{}))
	if err != nil || u.Name != "P. Iket" || u.Person != h.person.ID.String() || len(u.Roles) != len(desk.Roles()) {
		t.Errorf("%+v, %v", u, err)
	}
	if again, err := h.who(h.in(desk.LinkRequest{})); err != nil || again.ID != u.ID {
		t.Errorf("a second link makes another user: %+v, %v", again, err)
	}
	for name, r := range map[string]desk.LinkRequest{
		"nobody we know": {Name: "N. Ieuw"},
		"no such role":   {Name: "N. Ieuw", Roles: []desk.Role{"baas"}},
		"no such person": {Person: "N. Iemand", Roles: []desk.Role{desk.RoleOnCall}},
	} {
		if l, err := h.Link(t.Context(), r); err == nil {
			t.Errorf("%s: %+v", name, l.User)
		}
	}
	h.link(desk.LinkRequest{Name: "Beheer", Roles: []desk.Role{desk.RoleKeeper}})
	if l, err := h.Link(t.Context(), desk.LinkRequest{}); !errors.Is(err, desk.ErrUnknownUser) {
		t.Errorf("nobody named, of two: %+v, %v", l.User, err)
	}
	users, err := h.Users(t.Context())
	if err != nil || len(users) != 2 {
		t.Errorf("%+v, %v", users, err)
	}
}

func TestLinkWorksOnce(t *testing.T) {
	h := newHouse(t)
	link := h.link(desk.LinkRequest{})
	if u, err := h.Invited(t.Context(), link); err != nil || u.Name != "P. Iket" {
		t.Errorf("looking: %+v, %v", u, err)
	}
	if _, err := h.Redeem(t.Context(), link); err != nil {
		t.Errorf("looking at a link uses it up: %v", err)
	}
	old, late := h.link(desk.LinkRequest{}), ""
	if late = h.link(desk.LinkRequest{}); late == old {
		t.Error("two links are one")
	}
	h.chain.Pass(11 * time.Minute)
	for name, l := range map[string]string{"used": link, "replaced by a newer one": old, "too old": late, "guessed": "x"} {
		if _, err := h.Redeem(t.Context(), l); !errors.Is(err, signin.ErrLink) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokensAreNeverTakenOver(t *testing.T) {
	h := newHouse(t)
	token := h.in(desk.LinkRequest{})
	if other := h.in(desk.LinkRequest{}); other == token || len(token) < 43 {
		t.Errorf("tokens %q and %q", token, other)
	}
	h.want("planted", signin.ErrNoSession)
	h.want(token, nil)
	if _, err := h.door().Visitor(t.Context(), token, true); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("a daemon that started again knows the token: %v", err)
	}
}

func TestLockingByItself(t *testing.T) {
	h := newHouse(t)
	token := h.in(desk.LinkRequest{})
	over := h.Over(token)
	h.chain.Pass(9 * time.Minute)
	h.want(token, nil)
	h.chain.Pass(9 * time.Minute)
	if _, err := h.Visitor(t.Context(), token, false); err != nil {
		t.Errorf("still open: %v", err)
	}
	h.chain.Pass(90 * time.Second) // what a page asks for by itself is no sign of life
	h.want(token, signin.ErrLocked)
	select {
	case <-over:
	default:
		t.Error("who streams to a locked session does not hear it")
	}
	if h.Remaining(token) != 0 {
		t.Error("a locked session has time left")
	}
	fresh, err := h.Unlock(t.Context(), token, schakeltest.PIN)
	if err != nil || fresh == token {
		t.Fatalf("unlocking: %v; the token must be another", err)
	}
	h.want(token, signin.ErrNoSession)
	h.want(fresh, nil)
	h.chain.Pass(13 * time.Hour)
	h.want(fresh, signin.ErrNoSession)
}

func TestGuessingPINs(t *testing.T) {
	h := newHouse(t)
	token := h.in(desk.LinkRequest{})
	h.Lock(token)
	for i := range 4 {
		if _, err := h.Unlock(t.Context(), token, fmt.Sprintf("00000%d", i)); !errors.Is(err, signin.ErrPIN) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	if _, err := h.Unlock(t.Context(), token, "000009"); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("the fifth: %v", err)
	}
	if _, err := h.Unlock(t.Context(), token, schakeltest.PIN); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("the right one after five wrong ones: %v", err)
	}
}

// TestGuessingOverManySessions: whoever can begin sessions of somebody else, as a keeper can,
// does not get five more tries with each. A session that the right PIN has opened goes on.
func TestGuessingOverManySessions(t *testing.T) {
	h := newHouse(t)
	mine := h.in(desk.LinkRequest{})
	h.Lock(mine)
	mine, err := h.Unlock(t.Context(), mine, schakeltest.PIN)
	if err != nil {
		t.Fatal(err)
	}
	guesses := func(sessions int) (looked int) {
		for range sessions {
			token := h.in(desk.LinkRequest{Person: "P. Iket", Locked: true})
			for i := range 5 {
				_, err := h.Unlock(t.Context(), token, fmt.Sprintf("00000%d", i))
				if errors.Is(err, signin.ErrTries) {
					return looked
				}
				looked++
			}
		}
		return looked
	}
	if n := guesses(8); n != 20 {
		t.Errorf("%d PINs were looked at in one day", n)
	}
	late := h.in(desk.LinkRequest{Person: "P. Iket", Locked: true})
	if _, err := h.Unlock(t.Context(), late, schakeltest.PIN); !errors.Is(err, signin.ErrTries) {
		t.Errorf("the right PIN, in another session: %v", err)
	}
	open := h.in(desk.LinkRequest{Person: "P. Iket"})
	if _, err := h.Try(t.Context(), open, true); !errors.Is(err, signin.ErrTries) {
		t.Errorf("a form of another session: %v", err)
	}
	tried, err := h.Try(t.Context(), open, false)
	if err != nil {
		t.Fatalf("a passkey: %v", err)
	}
	tried(false)
	h.Lock(mine)
	if _, err := h.Unlock(t.Context(), mine, schakeltest.PIN); err != nil {
		t.Errorf("the session of who was there before: %v", err)
	}
	h.chain.Pass(25 * time.Hour)
	if n := guesses(1); n != 5 {
		t.Errorf("the next day: %d", n)
	}
}

// TestRightPINsCostNothing: who mistypes now and then, in session after session, is not
// counted out by the right ones.
func TestRightPINsCostNothing(t *testing.T) {
	h := newHouse(t)
	for range 30 {
		tried, err := h.Try(t.Context(), h.in(desk.LinkRequest{}), true)
		if err != nil {
			t.Fatal(err)
		}
		tried(false)
	}
}

func TestWhoHasNoPINSignsInAgain(t *testing.T) {
	h := newHouse(t)
	token := h.in(desk.LinkRequest{Name: "Beheer", Roles: []desk.Role{desk.RoleKeeper}})
	h.Lock(token)
	if _, err := h.Unlock(t.Context(), token, ""); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("got %v", err)
	}
}

func TestWhoLeavesIsOutAtOnce(t *testing.T) {
	h := newHouse(t)
	token, other := h.in(desk.LinkRequest{}), h.in(desk.LinkRequest{Name: "Beheer", Roles: []desk.Role{desk.RoleKeeper}})
	over := h.Over(token)
	link := h.link(desk.LinkRequest{Person: "P. Iket"})
	if err := h.RemoveUser(t.Context(), "p. iket"); err != nil {
		t.Fatal(err)
	}
	h.want(token, signin.ErrNoSession)
	<-over
	if _, err := h.Redeem(t.Context(), link); !errors.Is(err, signin.ErrLink) {
		t.Errorf("a link of who left: %v", err)
	}
	h.until("the person is revoked", func() bool {
		persons, err := h.member.Node.Persons(t.Context())
		return err == nil && len(persons) == 0
	})
	h.want(other, nil)
	if err := h.RemoveUser(t.Context(), "P. Iket"); !errors.Is(err, desk.ErrUnknownUser) {
		t.Errorf("twice: %v", err)
	}
}

// TestRevokedPersonIsOut revokes the person elsewhere: the session ends by itself.
func TestRevokedPersonIsOut(t *testing.T) {
	h := newHouse(t)
	token := h.in(desk.LinkRequest{})
	h.want(token, nil)
	if err := h.member.Node.Revoke(t.Context(), trust.Person{ID: h.person.ID}.Subject(), trust.ReasonRetired); err != nil {
		t.Fatal(err)
	}
	h.until("the session is over", func() bool {
		_, err := h.who(token)
		return errors.Is(err, signin.ErrNoSession)
	})
	if _, err := h.Link(t.Context(), desk.LinkRequest{Person: "P. Iket"}); !errors.Is(err, schakel.ErrUnknownPerson) {
		t.Errorf("a link for a revoked person: %v", err)
	}
}

// TestWhoGoesAwayStaysSignedIn: a browser that gives up on a page in the middle of it, as
// at each reload, ends no session.
func TestWhoGoesAwayStaysSignedIn(t *testing.T) {
	h := newHouse(t)
	token := h.in(desk.LinkRequest{})
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, _ = h.Visitor(ctx, token, true)
		cancel()
	}
	h.want(token, nil)
}

func TestSessionsAreBounded(t *testing.T) {
	h := newHouse(t)
	first := h.in(desk.LinkRequest{})
	h.chain.Pass(time.Second)
	for range 200 {
		h.in(desk.LinkRequest{})
	}
	h.want(first, signin.ErrNoSession)
}

func (h *house) until(what string, yes func() bool) {
	h.t.Helper()
	end := time.Now().Add(30 * time.Second)
	for !yes() {
		if time.Now().After(end) {
			h.t.Fatalf("%s: does not happen", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}
