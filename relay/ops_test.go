package relay_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

func admin(t testing.TB, w *relaytest.World, path string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: relaytest.Patience}
	resp, err := client.Get(w.AdminURL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func metric(t testing.TB, w *relaytest.World, name string) (value float64) {
	t.Helper()
	_, text := admin(t, w, "/metrics")
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if n, _ := fmt.Sscanf(lines.Text(), name+" %g", &value); n == 1 {
			return value
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestDrain(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	s, sp := vt.Login(), pol.Login()
	want := putAll(t, s, vt, pol, 3)
	half := relaytest.Attend(t, vt.Dial()) // not logged in
	relaytest.Expect[wire.Challenge](half)

	ended := make(chan error, 1)
	go func() { ended <- w.Stop() }()
	if g := relaytest.Expect[wire.GoAway](sp); g.AfterMillis == 0 || g.AfterMillis > 10_001 {
		t.Errorf("come back after %d ms", g.AfterMillis)
	}
	for _, x := range []*relaytest.Session{s, sp} {
		if code := x.ExpectClose(); code != wire.CloseRestart {
			t.Errorf("closed with %v", code)
		}
	}
	half.ExpectClose()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := wire.Dial(ctx, w.URL, w.TLS()); err == nil {
		t.Error("accepts after the drain")
	}

	w.Start()
	sp = pol.Login()
	sp.Send(plenty)
	if got, _ := collect(t, sp, 3); !same(got, want) {
		t.Error("other envelopes after the restart")
	}
}

// Every put that went out before the drain is answered: with a receipt that
// holds, or with a refusal, or the device sees no answer and offers it again.
func TestDrainUnderLoadLosesNoPromise(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	s := vt.Login()
	var put sync.WaitGroup
	put.Go(func() {
		for {
			raw, _ := vt.Envelope(pol)
			if s.Conn.Write(context.Background(), wire.Put{Envelope: raw}) != nil {
				return
			}
		}
	})
	promised := map[[16]byte]bool{}
	for len(promised) < 50 {
		for _, l := range relaytest.Expect[wire.Stored](s).Leaves {
			promised[l.ID] = true
		}
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := s.Next()
		if err != nil {
			break
		}
		if stored, ok := f.(wire.Stored); ok {
			for _, l := range stored.Leaves {
				promised[l.ID] = true
			}
		}
	}
	put.Wait()
	w.Start()
	sp := pol.Login()
	sp.Send(plenty)
	for len(promised) > 0 {
		delete(promised, idOf(t, relaytest.Expect[wire.Deliver](sp)))
	}
}

// faulty is a store that a test lets fail.
type faulty struct {
	queue.Store
	commit atomic.Pointer[error]
	after  atomic.Pointer[error] // of every op, once it was carried out
	read   atomic.Pointer[func(identity.DeskID) (queue.Page, bool, error)]
}

func (f *faulty) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	if err := f.commit.Load(); err != nil {
		return nil, *err
	}
	results, err := f.Store.Commit(ctx, ops)
	if after := f.after.Load(); after != nil {
		for i := range results {
			results[i].Err = *after
		}
	}
	return results, err
}

func (f *faulty) Read(ctx context.Context, desk identity.DeskID, after queue.Position, limit queue.Limit) (queue.Page, error) {
	if r := f.read.Load(); r != nil {
		if page, instead, err := (*r)(desk); instead {
			return page, err
		}
	}
	return f.Store.Read(ctx, desk, after, limit)
}

func faultyPair(t *testing.T, limits relay.Limits) (*relaytest.World, *faulty, *relaytest.Device, *relaytest.Device) {
	f := new(faulty)
	w, vt, pol := pair(t, relaytest.Config{Limits: limits, Store: func(s queue.Store) queue.Store {
		f.Store = s
		return f
	}})
	return w, f, vt, pol
}

// An I/O error leaves open what is on disk: nobody gets a receipt, and the process
// ends, saying why.
func TestStoreFailureEndsTheRelay(t *testing.T) {
	w, f, vt, pol := faultyPair(t, relay.Limits{})
	s := vt.Login()
	putAll(t, s, vt, pol, 1)
	failed := fmt.Errorf("%w: input/output error", queue.ErrIndeterminate)
	f.commit.Store(&failed)
	raw, _ := vt.Envelope(pol)
	s.Send(wire.Put{Envelope: raw})
	for {
		frame, err := s.Next()
		if err != nil {
			if code, _ := wire.CloseCodeOf(err); code != wire.CloseInternal {
				t.Errorf("closed with %v", err)
			}
			break
		}
		t.Errorf("answered with %T", frame)
	}
	if err := w.Wait(); !errors.Is(err, relay.ErrStore) || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("ended with %v", err)
	}
}

func TestD38UnavailableStoreRefusesAndGoesOn(t *testing.T) {
	w, f, vt, pol := faultyPair(t, relay.Limits{})
	s := vt.Login()
	failed := fmt.Errorf("%w: away", queue.ErrUnavailable)
	f.commit.Store(&failed)
	raw, id := vt.Envelope(pol)
	if code := answer(t, w, s, raw, id); code != wire.CodeUnavailable {
		t.Error(code)
	}
	f.commit.Store(nil)
	if code := answer(t, w, s, raw, id); code != wire.CodeOK {
		t.Error("control:", code)
	}
}

// What is stored and was not confirmed as promised gets no receipt, until it is
// offered again and is.
func TestUnconfirmedIsNotPromised(t *testing.T) {
	w, f, vt, pol := faultyPair(t, relay.Limits{})
	s := vt.Login()
	unconfirmed := fmt.Errorf("%w: no replica", queue.ErrUnconfirmed)
	f.after.Store(&unconfirmed)
	raw, id := vt.Envelope(pol)
	if code := answer(t, w, s, raw, id); code != wire.CodeUnavailable {
		t.Error(code)
	}
	f.after.Store(nil)
	if code := answer(t, w, s, raw, id); code != wire.CodeOK {
		t.Error("control:", code)
	}
}

// A ring that came to nothing is made good by the sweep.
func TestSweepFindsMissedRings(t *testing.T) {
	w, f, vt, pol := faultyPair(t, relay.Limits{Sweep: 100 * time.Millisecond})
	_ = w
	var misses atomic.Int32
	empty := func(identity.DeskID) (queue.Page, bool, error) { misses.Add(1); return queue.Page{}, true, nil }
	f.read.Store(&empty)
	sp := pol.Login()
	sp.Send(plenty)
	want := putAll(t, vt.Login(), vt, pol, 1)
	until(t, "a ring came to nothing", func() bool { return misses.Load() > 0 })
	f.read.Store(nil)
	if got, _ := collect(t, sp, 1); !same(got, want) {
		t.Error("another envelope")
	}
}

func TestPanicEndsOneSession(t *testing.T) {
	w, f, vt, pol := faultyPair(t, relay.Limits{})
	bad := func(desk identity.DeskID) (queue.Page, bool, error) {
		if desk == pol.Desk {
			panic("a fault of the program")
		}
		return queue.Page{}, false, nil
	}
	f.read.Store(&bad)
	s, sp := vt.Login(), pol.Login()
	sp.Send(plenty)
	if code := sp.ExpectClose(); code != wire.CloseInternal {
		t.Errorf("closed with %v", code)
	}
	putAll(t, s, vt, pol, 1)
	if n := metric(t, w, "schakel_relay_panics_total"); n < 1 {
		t.Error("not counted")
	}
}

// The operator's brake ends sessions of an organisation and lets none in, without
// a word in the register.
func TestSuspendedOrganisation(t *testing.T) {
	var suspended atomic.Bool
	_, vt, pol := pair(t, relaytest.Config{
		Suspended: func(id identity.OrgID) bool { return id == "vt20" && suspended.Load() },
		Limits:    relay.Limits{Sweep: 50 * time.Millisecond},
	})
	s, other := vt.Login(), pol.Login()
	suspended.Store(true)
	if code := s.ExpectClose(); code != wire.CloseRevoked {
		t.Errorf("closed with %v", code)
	}
	if _, err := vt.TryLogin(); err == nil {
		t.Error("logs in again")
	}
	other.Send(wire.WantKeys{Tag: 1})
	relaytest.Expect[wire.KeysAre](other)
	suspended.Store(false)
	vt.Login()
}

func TestHealth(t *testing.T) {
	w, vt, _ := pair(t, relaytest.Config{})
	for _, path := range []string{"/livez", "/readyz"} {
		if code, _ := admin(t, w, path); code != http.StatusOK {
			t.Errorf("%s: %d", path, code)
		}
	}
	vt.Login()
	if n := metric(t, w, "schakel_relay_sessions"); n != 1 {
		t.Errorf("%v sessions", n)
	}
}

// logs is a buffer that many goroutines write to.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Row 86: whatever happens, neither log nor metrics say who writes to whom, and no
// token, key or content. The envelope id at debug level is the control: the look
// finds what is there.
func TestG06LogsAndMetricsSayNothing(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		t.Run(level.String(), func(t *testing.T) {
			var out logs
			w, vt, pol := pair(t, relaytest.Config{Log: slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level}))})
			s, sp := vt.Login(), pol.Login()
			sp.Send(plenty)
			ids := putAll(t, s, vt, pol, 3)
			_, last := collect(t, sp, 3)
			sp.Send(wire.Ack{Position: last})
			raw, id := vt.Envelope(pol)
			answer(t, w, s, raw, id)
			raw[len(raw)-1] ^= 1
			answer(t, w, s, raw, id) // conflict
			buza := w.Enrol("buza/consulair", identity.RoleBuza)
			raw, id2 := vt.Envelope(buza)
			answer(t, w, s, raw, id2) // lane
			half := relaytest.Attend(t, vt.Dial())
			token := vt.Token(relaytest.Expect[wire.Challenge](half), nil)
			half.Send(token)
			half.ExpectClose()
			w.Revoke(pol)
			sp.ExpectClose()
			_, metrics := admin(t, w, "/metrics")
			if err := w.Stop(); err != nil {
				t.Fatal(err)
			}
			text := out.String() + metrics
			canaries := []string{"Organisatie", string(token.Token[len(token.Token)-30:]), "+316", "00000099"}
			if level > slog.LevelDebug { // who writes to whom
				canaries = append(canaries, "vt20", "pol-mn", "zeden", "crisis")
			}
			for _, canary := range canaries {
				if strings.Contains(text, canary) {
					t.Errorf("%q stands in log or metrics", canary)
				}
			}
			if got, want := strings.Contains(text, id.String()), level == slog.LevelDebug; got != want {
				t.Errorf("envelope id in the log: %v at %v", got, level)
			}
			if !strings.Contains(text, vt.ID.String()) || len(ids) != 3 {
				t.Error("control: the device id is not there")
			}
		})
	}
}
