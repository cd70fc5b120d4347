package desk_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/store/vault"
	"schakel/crypto/message"
)

const phrase = "een fictieve wachtzin"

// doorstep is a door with a node behind it that phrase opens, and its socket.
type doorstep struct {
	*desk.Door
	client *desk.Client
	path   string
	tries  int
}

func newDoor(t *testing.T, n desk.Node) *doorstep {
	t.Helper()
	d := &doorstep{path: filepath.Join(t.TempDir(), "desk.sock")}
	d.Door = desk.NewDoor(desk.DoorConfig{Because: desk.BecauseIdle, Open: func(_ context.Context, p string) (desk.Node, error) {
		d.tries++
		if p != phrase {
			return nil, vault.ErrPassphrase
		}
		return n, nil
	}})
	ln, err := desk.Listen(d.path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, ln) }()
	if d.client, err = desk.Dial(t.Context(), d.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.client.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return d
}

// A locked device answers every call with ErrLocked and asks its node nothing.
func TestLockedAnswersNothing(t *testing.T) {
	n := &node{}
	d := newDoor(t, n)
	locked := func(when string) {
		t.Helper()
		n.asked = nil
		for name, call := range calls(t.Context(), d.client) {
			if _, err := call(); !errors.Is(err, desk.ErrLocked) {
				t.Errorf("%s: %s: %v", when, name, err)
			}
		}
		if n.asked != nil {
			t.Errorf("%s: the node was asked %+v", when, n.asked)
		}
	}
	locked("at first")
	if _, err := d.client.Unlock(t.Context(), "iets anders dan dat"); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("a wrong passphrase: %v", err)
	}
	locked("after a wrong passphrase")
	if state, err := d.client.LockState(t.Context()); err != nil || !state.Locked || state.Because != desk.BecauseIdle || state.Acute != 0 {
		t.Errorf("state %+v, %v", state, err)
	}
	state, err := d.client.Unlock(t.Context(), phrase)
	if err != nil || state.Locked || state.Acute != 1 {
		t.Fatalf("opened: %+v, %v", state, err)
	}
	for name, call := range calls(t.Context(), d.client) {
		if _, err := call(); err != nil {
			t.Errorf("control: open: %s: %v", name, err)
		}
	}
	if again, err := d.client.Unlock(t.Context(), "whatever"); err != nil || again != state || d.tries != 2 {
		t.Errorf("open already: %+v, %v, %d tries", again, err, d.tries)
	}
	if state, err = d.client.Lock(t.Context()); err != nil || !state.Locked || state.Acute != 1 {
		t.Errorf("locked with one acute message waiting: %+v, %v", state, err)
	}
	locked("after locking")
	if _, err := d.client.Unlock(t.Context(), phrase); !errors.Is(err, desk.ErrEnding) {
		t.Errorf("a door opens once: %v", err)
	}
	if state, err = d.client.LockState(t.Context()); err != nil || !state.Locked || state.Because != "" {
		t.Errorf("while it starts over: %+v, %v", state, err)
	}
}

// What a raw caller can get out of a locked socket is one constant answer.
func TestLockedSocketByHand(t *testing.T) {
	d := newDoor(t, &node{})
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", d.path)
	}}}
	for _, path := range []string{"/v1/messages", "/v1/status", "/v1/events", "/v1/nothing", "/"} {
		resp, err := plain.Get("http://schakel" + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusLocked {
			t.Errorf("%s: status %d", path, resp.StatusCode)
		}
	}
	resp, err := plain.Post("http://schakel/v1/unlock", "application/json", strings.NewReader(`{"passphrase":"x","remember":true}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || d.tries != 0 {
		t.Errorf("an unknown field: status %d, %d tries", resp.StatusCode, d.tries)
	}
}

// An ordinary device has no lock, and says so.
func TestOrdinaryDeviceDoesNotLock(t *testing.T) {
	c, _ := start(t, &node{})
	for name, call := range map[string]func() error{
		"state":  func() error { _, err := c.LockState(t.Context()); return err },
		"lock":   func() error { _, err := c.Lock(t.Context()); return err },
		"unlock": func() error { _, err := c.Unlock(t.Context(), phrase); return err },
	} {
		if err := call(); !errors.Is(err, desk.ErrNoLock) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// touch does as a request over the socket would, without a socket.
func touch(d *desk.Door, method, path, body string) int {
	r, _ := http.NewRequest(method, "http://schakel"+path, strings.NewReader(body))
	w := &recorder{header: http.Header{}}
	d.Handler().ServeHTTP(w, r)
	return w.status
}

type recorder struct {
	header http.Header
	status int
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (w *recorder) WriteHeader(status int)      { w.status = status }

// The clock that locks: what an officer does keeps the device open, what a program asks
// does not, and a clock that jumps means that the machine slept.
func TestLocksByItself(t *testing.T) {
	const after = 10 * time.Minute
	tests := map[string]struct {
		every        time.Duration // between two requests
		method, path string
		jump         time.Duration // of the clock on the wall, after a minute
		want         desk.Because
		at           time.Duration
	}{
		"nobody is there":             {want: desk.BecauseIdle, at: after},
		"somebody opens messages":     {every: 9 * time.Minute, method: "POST", path: "/v1/messages/ab/open", at: time.Hour},
		"but too seldom":              {every: 11 * time.Minute, method: "POST", path: "/v1/messages/ab/open", want: desk.BecauseIdle, at: after},
		"a program looks every while": {every: time.Minute, method: "GET", path: "/v1/messages", want: desk.BecauseIdle, at: after},
		"the machine slept":           {jump: time.Hour, want: desk.BecauseAsleep, at: time.Minute},
		"the clock was set back":      {jump: -time.Hour, want: desk.BecauseAsleep, at: time.Minute},
		"the clock was corrected":     {jump: 2 * time.Second, want: desk.BecauseIdle, at: after},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := desk.NewDoor(desk.DoorConfig{Open: func(context.Context, string) (desk.Node, error) { return &node{}, nil }, Because: desk.BecauseStarted})
				if status := touch(d, "POST", "/v1/unlock", `{"passphrase":"x"}`); status != http.StatusOK {
					t.Fatalf("status %d", status)
				}
				began := time.Now()
				wall := func() time.Time {
					if time.Since(began) >= time.Minute {
						return time.Now().Add(test.jump)
					}
					return time.Now()
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if test.every > 0 {
					go func() {
						for tick := time.NewTicker(test.every); ; {
							select {
							case <-ctx.Done():
								return
							case <-tick.C:
								touch(d, test.method, test.path, `{}`)
							}
						}
					}()
				}
				got := d.AwaitLock(ctx, after, wall)
				if took := time.Since(began); got != test.want || took < test.at || took > test.at+2*time.Second {
					t.Errorf("%q after %s, want %q after %s", got, took, test.want, test.at)
				}
				cancel()
			})
		})
	}
}

func TestAskedToLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := desk.NewDoor(desk.DoorConfig{Open: func(context.Context, string) (desk.Node, error) { return &node{}, nil }, Because: desk.BecauseStarted})
		touch(d, "POST", "/v1/unlock", `{"passphrase":"x"}`)
		why := make(chan desk.Because)
		go func() { why <- d.AwaitLock(t.Context(), time.Hour, time.Now) }()
		<-time.After(time.Minute)
		if status := touch(d, "POST", "/v1/lock", `{}`); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
		if status := touch(d, "GET", "/v1/messages", ""); status != http.StatusLocked {
			t.Errorf("it answers %d in the instant after", status)
		}
		if got := <-why; got != desk.BecauseAsked {
			t.Errorf("because %q", got)
		}
	})
}

func TestAcuteCounts(t *testing.T) {
	listed := &lister{[]schakel.Summary{{Urgency: message.Acute}, {Urgency: message.Routine}, {Urgency: message.Acute}}}
	if n, err := desk.Acute(t.Context(), listed); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
}

type lister struct{ all []schakel.Summary }

func (l *lister) List(_ context.Context, f schakel.Filter) ([]schakel.Summary, error) {
	if !f.ToAck {
		return nil, errors.New("asked for more than what waits")
	}
	return l.all, nil
}
