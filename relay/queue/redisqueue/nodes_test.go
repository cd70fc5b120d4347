package redisqueue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/register"
)

// FuzzTold: what others tell is taken in one form only.
func FuzzTold(f *testing.F) {
	f.Add("register\nnode")
	f.Add("register")
	f.Add("session\nnode\n7\n0123456789abcdef")
	f.Add("session\nnode\n007\n0123456789\nbcdef")
	f.Fuzz(func(t *testing.T, payload string) {
		if again, _, ok := redisqueue.ParseTold(payload); ok && again != payload {
			t.Errorf("%q became %q", payload, again)
		}
	})
}

// TestSessionNumbers: numbers only grow, also with two relays at once, and each
// relay hears of the other's sessions and not of its own.
func TestSessionNumbers(t *testing.T) {
	checkSessions(t, start(t).Config(), "vt20/crisis")
}

func checkSessions(t *testing.T, c redisqueue.Config, desk identity.DeskID) {
	t.Helper()
	a, b := mustOpen(t, c), mustOpen(t, c)
	device := identity.DeviceID{7}
	type begun struct {
		device identity.DeviceID
		number uint64
	}
	heard := make(chan begun, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.Attend(ctx, func() {}, func(d identity.DeviceID, n uint64) { heard <- begun{d, n} })
	}()
	defer func() { cancel(); <-ended }()
	last := uint64(0)
	for hears, late := false, time.After(20*time.Second); !hears; {
		for _, store := range []*redisqueue.Store{b, a} {
			number, err := store.Begin(t.Context(), desk, device)
			if err != nil || number <= last {
				t.Fatalf("number %d after %d: %v", number, last, err)
			}
			last = number
		}
		select {
		case got := <-heard:
			if hears = true; got.device != device || got.number%2 != 0 { // b's are odd
				t.Errorf("heard %+v", got)
			}
		case <-time.After(10 * time.Millisecond):
		case <-late:
			t.Fatal("a relay does not hear of the other's sessions")
		}
	}
	other := identity.DeviceID{8}
	latest, err := b.Latest(t.Context(), map[identity.DeskID][]identity.DeviceID{desk: {device, other}})
	if err != nil || latest[device] != last || latest[other] != 0 {
		t.Errorf("latest %v, want %d: %v", latest, last, err)
	}
}

// TestOneHousekeeper: of several relays one looks for what expired; when it is gone,
// another.
func TestOneHousekeeper(t *testing.T) {
	server := start(t)
	a, b := mustOpen(t, server.Config()), mustOpen(t, server.Config())
	keeps := func(s *redisqueue.Store) bool {
		t.Helper()
		ok, err := s.Housekeep(t.Context(), 3*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !keeps(a) || keeps(b) || !keeps(a) {
		t.Error("two housekeepers, or none")
	}
	for late := time.After(20 * time.Second); !keeps(b); {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-late:
			t.Fatal("nobody takes over from a housekeeper that is gone")
		}
	}
	if keeps(a) {
		t.Error("it takes the place back")
	}
}

// checkNodes has relays agree on a store of several servers, with desks in all parts.
func checkNodes(t *testing.T, c redisqueue.Config) {
	for n := range 6 {
		checkSessions(t, c, putTo(n).Desk)
	}
	checkOrder(t, mustOpen(t, c), mustOpen(t, c))
}

// TestOrder: rows stand where their writer says, or not at all.
func TestOrder(t *testing.T) {
	c := start(t).Config()
	checkOrder(t, mustOpen(t, c), mustOpen(t, c))
}

func checkOrder(t *testing.T, a, b *redisqueue.Store) {
	t.Helper()
	first := register.Row{Root: trust.Hash{1}, Text: []byte("first")}
	second := register.Row{Root: trust.Hash{2}, Text: []byte("second")}
	appends := func(s *redisqueue.Store, after register.Place, c register.Change) bool {
		t.Helper()
		took, err := s.Append(t.Context(), after, c)
		if err != nil {
			t.Fatal(err)
		}
		return took
	}
	key := register.Key{Name: "0123456789abcdef01234567", Recipient: "recipient"}
	if !appends(a, register.Place{}, register.Change{Rows: []register.Row{first}, Keys: []register.Key{key}}) {
		t.Error("the first row is not taken")
	}
	for what, after := range map[string]register.Place{
		"again": {}, "ahead": {Size: 2, Root: first.Root}, "after another": {Size: 1, Root: second.Root},
	} {
		if appends(b, after, register.Change{Rows: []register.Row{second}}) {
			t.Errorf("a row is taken %s", what)
		}
	}
	if !appends(b, register.Place{Size: 1, Root: first.Root}, register.Change{Rows: []register.Row{second}}) {
		t.Error("the second row is not taken")
	}
	got, err := a.Rows(t.Context(), 1)
	if err != nil || got.From != 1 || got.End != 2 || got.Before != first.Root || len(got.Rows) != 1 || string(got.Rows[0].Text) != "second" {
		t.Errorf("rows: %+v, %v", got, err)
	}
	if found, err := b.Recipients(t.Context(), []string{"nobody", key.Name}); err != nil || found[0] != "" || found[1] != key.Recipient {
		t.Errorf("recipients: %q, %v", found, err)
	}
	if err := errors.Join(b.SetAside(t.Context(), 1, first), b.SetAside(t.Context(), 0, first)); err != nil {
		t.Fatal(err) // the former is not there, the latter is, with all after it
	}
	if got, err = a.Rows(t.Context(), 9); err != nil || got.End != 0 || got.From != 0 {
		t.Errorf("set aside: %+v, %v", got, err)
	}
	if _, err := a.Append(t.Context(), register.Place{}, register.Change{Rows: []register.Row{first}}); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("a new row right after: %v", err)
	}
	if !appends(a, register.Place{}, register.Change{Rows: []register.Row{first}, Again: true}) {
		t.Error("a row that is given back is not taken")
	}
}
