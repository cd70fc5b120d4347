package relay_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// Row 35: a device takes all that comes and acknowledges nothing. Its mailbox has an end, the
// relay holds nothing for it, another desk notices nothing, an alarm says so. Once it has
// acknowledged, all of that is over. Control: another device's alarm ends when it acknowledges.
func TestDeviceNeverAcknowledges(t *testing.T) {
	most := 2000
	if *full {
		most = 100_000
	}
	var clock atomic.Int64
	clock.Store(time.Now().Unix())
	var out logs
	w, vt, mute := pair(t, relaytest.Config{
		Quota:  queue.Quota{DeskRecords: most, SealerRecords: 2 * most},
		Limits: relay.Limits{PutsPerSecond: 1 << 20, Sweep: 50 * time.Millisecond},
		Now:    func() time.Time { return time.Unix(clock.Load(), 0) },
		Log:    slog.New(slog.NewJSONHandler(&out, nil)),
	})
	om := w.Enrol("om-mn/zsm", identity.RoleOM)
	sv, so := vt.Login(), om.Login()
	so.Send(plenty)
	other := func() (acknowledge wire.Ack) {
		t.Helper()
		want := putAll(t, sv, vt, om, 5)
		got, last := collect(t, so, 5)
		if !same(got, want) {
			t.Error("the other desk got something else")
		}
		return wire.Ack{Position: last}
	}
	owed := func(seconds float64) func() bool {
		return func() bool { return metric(t, w, "schakel_relay_unacknowledged_seconds") == seconds }
	}

	ack := other()
	clock.Add(899)
	until(t, "a debt", owed(899))
	so.Send(ack)
	until(t, "control: no debt", owed(0))
	clock.Add(1000)

	f := newFlow(vt, mute, 1024) // ends the session of the other desk's sender
	sv.Close()
	fill(t, f, most)
	clock.Add(1000)
	until(t, "alarm", owed(1000))
	named := func() int {
		return strings.Count(out.String(), `"device acknowledges nothing","device":"`+mute.ID.String())
	}
	until(t, "the log names it", func() bool { return named() == 1 })
	f.out.CloseNow()
	sv = vt.Login()
	raw, id := vt.Envelope(mute)
	if code := answer(t, w, sv, raw, id); code != wire.CodeQuota {
		t.Errorf("one more than its desk's quota: %v", code)
	}
	so.Send(other())

	f.in.CloseNow()
	again := open(mute)
	payOff(t, again, most, &clock, owed)
	until(t, "room again", func() bool {
		raw, id := vt.Envelope(mute)
		return answer(t, w, sv, raw, id) == wire.CodeOK
	})
	_ = again.CloseNow()
	if all := strings.Count(out.String(), "acknowledges nothing"); named() != 1 || all != 1 {
		t.Errorf("the log named it %d times, and others %d times", named(), all-named())
	}
}

// fill has n envelopes put and handed over, for which the relay holds nothing in memory.
func fill(t *testing.T, f *flow, n int) {
	t.Helper()
	before := heap()
	for left := n; left > 0; left -= benchInFlight {
		some := min(left, benchInFlight)
		pour(t, f, some)
		handed(t, f.in, some)
	}
	if grown := heap() - before; grown > 24<<20 {
		t.Errorf("the relay holds %d KB", grown>>10)
	}
}

// payOff takes all n again in a new session, with the debt of the one before, and
// acknowledges them in two parts.
func payOff(t *testing.T, again *wire.Conn, n int, clock *atomic.Int64, owed func(seconds float64) func() bool) {
	t.Helper()
	must(t, again.Write(t.Context(), plenty))
	positions := handed(t, again, n)
	clock.Add(500)
	until(t, "the debt of both sessions", owed(1500))
	must(t, again.Write(t.Context(), wire.Ack{Position: positions[n/2]}))
	until(t, "no alarm, because it gets on", owed(0))
	clock.Add(500)
	until(t, "a debt again", owed(500))
	must(t, again.Write(t.Context(), wire.Ack{Position: positions[n-1]}))
	until(t, "no debt", owed(0))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pour puts n envelopes at once and waits for their receipts.
func pour(t *testing.T, f *flow, n int) {
	t.Helper()
	var frames []wire.Frame
	for range n {
		raw := append([]byte(nil), f.template...)
		rand.Read(raw[f.idAt : f.idAt+16])
		frames = append(frames, wire.Put{Envelope: raw})
	}
	must(t, f.out.Write(t.Context(), frames...))
	for got := 0; got < n; {
		answers, err := f.out.ReadFrames(t.Context())
		must(t, err)
		for _, a := range answers {
			stored, ok := a.(wire.Stored)
			if !ok {
				t.Fatalf("%T", a)
			}
			got += len(stored.Leaves)
		}
	}
}

// handed takes n deliveries, in order and each once, and returns their positions.
func handed(t *testing.T, c *wire.Conn, n int) (positions []uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*relaytest.Patience)
	defer cancel()
	for len(positions) < n {
		frames, err := c.ReadFrames(ctx)
		must(t, err)
		for _, f := range frames {
			d, ok := f.(wire.Deliver)
			if !ok {
				continue
			}
			if k := len(positions); k > 0 && positions[k-1] >= d.Position {
				t.Fatalf("position %d after %d", d.Position, positions[k-1])
			}
			positions = append(positions, d.Position)
		}
	}
	return positions
}
