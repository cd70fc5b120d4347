package relay_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"schakel/relay"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// flood logs in as d from several goroutines at once, until stop closes and at most so
// often, with tokens for the binding that is given. It counts how the attempts ended.
func flood(w *relaytest.World, d *relaytest.Device, binding func(*wire.Conn) []byte, most int64, stop <-chan struct{}) (refused, entered *atomic.Int64, wait func()) {
	refused, entered = new(atomic.Int64), new(atomic.Int64)
	var begun atomic.Int64
	var flooders sync.WaitGroup
	for range 8 {
		flooders.Go(func() {
			for begun.Add(1) <= most {
				select {
				case <-stop:
					return
				default:
				}
				switch code, in := attempt(w, d, binding); {
				case in:
					entered.Add(1)
				case code == wire.CloseLogin:
					refused.Add(1)
				}
			}
		})
	}
	return refused, entered, flooders.Wait
}

// attempt is one login with a token signed by the key of d.
func attempt(w *relaytest.World, d *relaytest.Device, binding func(*wire.Conn) []byte) (code wire.CloseCode, in bool) {
	ctx, cancel := context.WithTimeout(context.Background(), relaytest.Patience)
	defer cancel()
	c, err := wire.Dial(ctx, w.URL, w.TLS())
	if err != nil {
		return 0, false // shed, as an honest device might be: that is for the test of the gate
	}
	defer func() { _ = c.CloseNow() }()
	frames, err := c.ReadFrames(ctx)
	if err != nil {
		return 0, false
	}
	challenge, ok := frames[0].(wire.Challenge)
	if !ok || c.Write(ctx, d.Token(challenge, binding(c))) != nil {
		return 0, false
	}
	frames, err = c.ReadFrames(ctx)
	if err != nil {
		code, _ = wire.CloseCodeOf(err)
		return code, false
	}
	return 0, frames[0].Type() == wire.TypeReady
}

// D42 with tokens: whoever logs in again and again with tokens that do not fit is
// refused each time with the one code, and keeps nobody else out: who is in is
// answered, and another device gets in. The control is the same flood by a device
// with a right to be here, whose tokens fit.
func TestLoginFlood(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{Limits: relay.Limits{MaxPending: 16, MaxPerHost: 16}})
	live := vt.Login()
	stop := make(chan struct{})
	stolen := func(*wire.Conn) []byte { return make([]byte, 32) } // the binding of another connection
	refused, entered, wait := flood(w, w.Enrol(vt.Desk, "veilig-thuis"), stolen, 4000, stop)
	until(t, "the flood is on", func() bool { return refused.Load() > 20 })

	raw, id := vt.Envelope(pol)
	live.Send(wire.Put{Envelope: raw})
	if stored := relaytest.Expect[wire.Stored](live); stored.Leaves[0].ID != id {
		t.Error("another envelope was stored")
	}
	until(t, "an honest device gets in", func() bool {
		_, in := attempt(w, pol, (*wire.Conn).Binding)
		return in
	})
	before := refused.Load()
	until(t, "the flood goes on", func() bool { return refused.Load() > before })
	close(stop)
	wait()
	if entered.Load() > 0 {
		t.Errorf("%d of the flood got in", entered.Load())
	}

	stop = make(chan struct{})
	time.AfterFunc(relaytest.Patience, func() { close(stop) })
	refused, entered, wait = flood(w, w.Enrol(vt.Desk, "veilig-thuis"), (*wire.Conn).Binding, 40, stop)
	wait()
	if entered.Load() == 0 || refused.Load() > 0 {
		t.Errorf("control: %d of 40 honest logins, %d refused", entered.Load(), refused.Load())
	}
}
