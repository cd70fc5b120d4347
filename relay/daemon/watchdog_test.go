package daemon_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"schakel/relay/daemon"
)

// systemd is the end of the socket at which a service says that it works.
func systemd(t *testing.T) (environ []string, heard func(wait time.Duration) bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=200000"}, func(wait time.Duration) bool {
		b := make([]byte, 100)
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(b)
		if err == nil && string(b[:n]) != "WATCHDOG=1" {
			t.Errorf("systemd heard %q", b[:n])
		}
		return err == nil
	}
}

// Fault 9: systemd hears again and again that the relay works, and nothing from one that
// does not: neither from one that says so, nor from one that never answers.
func TestWatchdogIsToldWhatWorks(t *testing.T) {
	for name, c := range map[string]struct {
		works func(context.Context) error
		hears bool
	}{
		"works":  {func(context.Context) error { return nil }, true},
		"says":   {func(context.Context) error { return errors.New("stuck") }, false},
		"silent": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			environ, heard := systemd(t)
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() {
				if err := daemon.Report(ctx, environ, c.works); err != nil {
					t.Error(err)
				}
			})
			defer running.Wait()
			defer cancel()
			if !c.hears {
				if heard(time.Second) { // five times what systemd waits
					t.Error("systemd hears that it works")
				}
				return
			}
			for range 3 {
				if !heard(time.Minute) {
					t.Fatal("systemd hears nothing")
				}
			}
		})
	}
}

// Where no watchdog asks nothing is said, and nonsense is refused.
func TestWatchdogSettings(t *testing.T) {
	environ, heard := systemd(t)
	if err := daemon.Report(t.Context(), environ[:1], nil); err != nil {
		t.Errorf("without a watchdog: %v", err)
	}
	if heard(time.Millisecond) {
		t.Error("without a watchdog systemd hears something")
	}
	for _, wrong := range []string{"", "0", "-1", "soon", "99999999999999999999"} {
		if err := daemon.Report(t.Context(), []string{"WATCHDOG_USEC=" + wrong}, nil); err == nil {
			t.Errorf("WATCHDOG_USEC=%q is taken", wrong)
		}
	}
}
