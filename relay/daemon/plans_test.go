package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"schakel/relay/daemon"
	"schakel/relay/oncall/boltjournal"
)

// timers opens the journal of a relay that does not run.
func (h *house) timers() *boltjournal.Journal {
	h.t.Helper()
	j, err := boltjournal.Open(filepath.Join(h.data, "oncall.db"))
	if err != nil {
		h.t.Fatal(err)
	}
	return j
}

// serve runs the relay, and returns what ends it.
func (h *house) serve() (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended, said := make(chan int, 1), new(bytes.Buffer)
	go func() {
		args := []string{"serve", "--listen", "127.0.0.1:0", "--data", h.data, "--admin", "off", "--config", h.empty()}
		ended <- daemon.Main(ctx, args, daemon.Std{Out: io.Discard, Err: said, Now: time.Now})
	}()
	deadline := time.After(time.Minute)
	for {
		if c, err := net.Dial("unix", filepath.Join(h.data, "copies.sock")); err == nil {
			_ = c.Close()
			return func() {
				cancel()
				if code := <-ended; code != daemon.Done {
					h.t.Errorf("serve ended with %d: %s", code, said)
				}
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case code := <-ended:
			cancel()
			h.t.Fatalf("serve ended with %d: %s", code, said)
		case <-deadline:
			cancel()
			h.t.Fatal("the relay does not serve")
		}
	}
}

// TestRemovePlan: the operator takes one desk's plan away, while the relay runs and while
// it does not.
func TestRemovePlan(t *testing.T) {
	if _, said := newHouse(t).run(daemon.BadConfig, "oncall", "remove", "pol-mn/zeden"); !strings.Contains(said, "no relay in") {
		t.Errorf("of a folder without a relay: %s", said)
	}
	h := admitted(t)
	h.run(daemon.NotFound, "oncall", "remove", "pol-mn/zeden") // no timers yet
	for _, runs := range []bool{false, true} {
		j := h.timers()
		err := errors.Join(
			j.Publish(t.Context(), "pol-mn/zeden", 1, []byte("a plan")),
			j.Publish(t.Context(), "vt20/crisis", 1, []byte("another plan")), j.Close())
		if err != nil {
			t.Fatal(err)
		}
		stop := func() {}
		if runs {
			stop = h.serve()
		}
		h.run(daemon.Usage, "oncall", "remove", "zeden")
		h.run(daemon.Done, "oncall", "remove", "pol-mn/zeden")
		h.run(daemon.NotFound, "oncall", "remove", "pol-mn/zeden")
		stop()
		j = h.timers()
		if p, err := j.Plan(t.Context(), "pol-mn/zeden"); err != nil || len(p) != 0 {
			t.Errorf("relay runs %v: still %q, %v", runs, p, err)
		}
		if p, err := j.Plan(t.Context(), "vt20/crisis"); err != nil || string(p) != "another plan" {
			t.Errorf("relay runs %v: the other desk has %q, %v", runs, p, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
