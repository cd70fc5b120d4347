package redisqueue_test

import (
	"context"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/queue/redisqueue"
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
	server := start(t)
	a, b := mustOpen(t, server.Config()), mustOpen(t, server.Config())
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
			number, err := store.Begin(t.Context(), "vt20/crisis", device)
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
	latest, err := b.Latest(t.Context(), map[identity.DeskID][]identity.DeviceID{"vt20/crisis": {device, other}})
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
