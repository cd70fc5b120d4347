package wire_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"schakel/relay/wire"
)

// connected returns both ends of a connection, without TLS.
func connected(t *testing.T, l wire.Limits) (device, relay *wire.Conn) {
	t.Helper()
	accepted := make(chan *wire.Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := wire.Accept(w, r, l)
		if err != nil {
			t.Error(err)
			return
		}
		accepted <- c
	}))
	t.Cleanup(server.Close)
	device, err := wire.Dial(context.Background(), "ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	relay = <-accepted
	t.Cleanup(func() { _, _ = device.CloseNow(), relay.CloseNow() })
	relay.SetReadLimit(wire.MaxMessage)
	return device, relay
}

func TestManyFramesPerMessage(t *testing.T) {
	device, relay := connected(t, wire.Limits{})
	ctx := context.Background()
	var frames []wire.Frame
	for i := range 100 {
		frames = append(frames, wire.Ack{Position: uint64(i + 1)})
	}
	if err := device.Write(ctx, frames...); err != nil {
		t.Fatal(err)
	}
	got, err := relay.ReadFrames(ctx)
	if err != nil || len(got) != 100 || got[99] != frames[99] {
		t.Errorf("%d frames in the first message, %v", len(got), err)
	}
}

// Large batches are cut into messages, each below the limit, in order.
func TestBatchesAreCut(t *testing.T) {
	device, relay := connected(t, wire.Limits{})
	ctx := context.Background()
	var frames []wire.Frame
	for i := range 20 {
		frames = append(frames, wire.Put{Envelope: bytes.Repeat([]byte{byte(i)}, 10_000)})
	}
	frames = append(frames, wire.Put{Envelope: make([]byte, 1<<20)}, wire.Ack{Position: 7})
	written := make(chan error, 1)
	go func() { written <- device.Write(ctx, frames...) }()
	messages, n := 0, 0
	for n < len(frames) {
		got, err := relay.ReadFrames(ctx)
		if err != nil {
			t.Fatal(err)
		}
		messages++
		for _, f := range got {
			if p, ok := f.(wire.Put); ok && n < 20 && (len(p.Envelope) != 10_000 || p.Envelope[0] != byte(n)) {
				t.Errorf("frame %d is another", n)
			}
			n++
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if messages < 4 || messages > 8 {
		t.Errorf("%d messages", messages)
	}
}

// What was read is the caller's to keep: the next message does not overwrite it.
func TestFramesAreKept(t *testing.T) {
	device, relay := connected(t, wire.Limits{})
	ctx := context.Background()
	for _, fill := range []byte{1, 2} {
		if err := device.Write(ctx, wire.Put{Envelope: bytes.Repeat([]byte{fill}, 1000)}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := relay.ReadFrames(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := relay.ReadFrames(ctx); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first[0].(wire.Put).Envelope, bytes.Repeat([]byte{1}, 1000)) {
		t.Error("overwritten")
	}
}

func TestCloseTellsWhy(t *testing.T) {
	device, relay := connected(t, wire.Limits{})
	closed := make(chan error, 1)
	go func() { closed <- relay.Close(wire.CloseEvicted) }()
	_, err := device.ReadFrames(context.Background())
	if code, ok := wire.CloseCodeOf(err); !ok || code != wire.CloseEvicted {
		t.Errorf("%v %v: %v", code, ok, err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := relay.Close(wire.CloseNormal); err != nil && !strings.Contains(err.Error(), "closed") {
		t.Errorf("closing again: %v", err)
	}
}

// A device that reads keeps the connection alive by pings; one whose pings do not
// come is taken for gone.
func TestIdleConnections(t *testing.T) {
	t.Parallel()                 // it waits for silence
	const idle = 4 * time.Second // a ping is to be answered within half of it, by a busy machine too
	for _, c := range []struct {
		name string
		ping time.Duration
		want bool // that it lives
	}{{"pings", idle / 2, true}, {"control: none", time.Hour, false}} {
		t.Run(c.name, func(t *testing.T) {
			device, relay := connected(t, wire.Limits{})
			wire.Hasten(relay, 0, idle)
			wire.Hasten(device, c.ping, time.Hour)
			read := make(chan error, 1)
			go func() {
				_, err := relay.ReadFrames(context.Background())
				read <- err
			}()
			go func() { _, _ = device.ReadFrames(context.Background()) }()
			most := time.Minute
			if c.want {
				most = 2 * idle
			}
			select {
			case err := <-read:
				if c.want || wire.CodeFor(err) != wire.CloseTimeout {
					t.Errorf("ended with %v", err)
				}
			case <-time.After(most):
				if !c.want {
					t.Error("lives on")
				}
			}
		})
	}
}

// The time that a message may take to leave is over with the message: a connection on which
// nothing was said for longer than that still answers pings. Control: such a message is late.
func TestIdleLongAfterAMessage(t *testing.T) {
	t.Parallel() // it waits for silence
	const slowest = 2 * time.Second
	device, relay := connected(t, wire.Limits{})
	for _, c := range []*wire.Conn{device, relay} {
		wire.Hasten(c, slowest/2, 20*slowest)
		wire.Impatient(c, slowest)
	}
	ctx := context.Background()
	if err := errors.Join(device.Write(ctx, wire.Credit{Messages: 1}), relay.Write(ctx, wire.Notice{})); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	for _, c := range []*wire.Conn{device, relay} {
		go func() {
			_, err := c.ReadFrames(ctx)
			for err == nil {
				_, err = c.ReadFrames(ctx)
			}
			ended <- err
		}()
	}
	select {
	case err := <-ended:
		t.Errorf("an idle connection ended with %v", err)
	case <-time.After(3 * slowest):
	}
	wire.Impatient(device, time.Nanosecond)
	if err := device.Write(ctx, wire.Credit{Messages: 1}); err == nil {
		t.Error("control: a message that may take no time was sent")
	}
}

// A relay that answers no ping is gone for the device.
func TestDeviceNoticesASilentRelay(t *testing.T) {
	device, _ := connected(t, wire.Limits{}) // nobody reads at the relay, so nobody answers
	wire.Hasten(device, 50*time.Millisecond, time.Hour)
	if _, err := device.ReadFrames(context.Background()); err == nil {
		t.Error("goes on waiting")
	}
}

func TestFrameRate(t *testing.T) {
	device, relay := connected(t, wire.Limits{FramesPerSecond: 10})
	ctx := context.Background()
	for range 5 {
		if err := device.Write(ctx, wire.Ack{Position: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := relay.ReadFrames(ctx); err != nil {
			t.Fatal("control:", err)
		}
	}
	go func() {
		for device.Write(ctx, wire.Ack{Position: 1}) == nil {
		}
	}()
	for {
		if _, err := relay.ReadFrames(ctx); err != nil {
			if wire.CodeFor(err) != wire.CloseFlood {
				t.Error(err)
			}
			return
		}
	}
}

func TestDialRefusals(t *testing.T) {
	answer := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return "ws" + strings.TrimPrefix(s.URL, "http")
	}
	busy := answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	if _, err := wire.Dial(context.Background(), busy, nil); !errors.Is(err, wire.ErrBusy) {
		t.Errorf("busy: %v", err)
	}
	followed := false
	target := answer(func(http.ResponseWriter, *http.Request) { followed = true })
	away := answer(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http"+strings.TrimPrefix(target, "ws"), http.StatusFound)
	})
	if _, err := wire.Dial(context.Background(), away, nil); err == nil || followed {
		t.Errorf("redirected: %v, followed %v", err, followed)
	}
	if _, err := wire.Dial(context.Background(), busy, &tls.Config{}); err == nil {
		t.Error("plain text where TLS was asked for")
	}
	if _, err := wire.Dial(context.Background(), "wss://127.0.0.1:1", nil); err == nil {
		t.Error("TLS without a configuration")
	}
}

// A dial that is given up leaves nothing behind (TestMain looks for goroutines).
func TestDialGivenUp(t *testing.T) {
	stalled := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer stalled.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := wire.Dial(ctx, "ws"+strings.TrimPrefix(stalled.URL, "http"), nil); err == nil {
		t.Error("connected")
	}
}
