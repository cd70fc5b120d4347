//go:build linux

package system_test

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// few is how many messages each sender adds at each step of these tests.
const few = 6

// oldRelay is a load whose relay has been put back to an earlier moment by put:
// after it messages were taken, some of them delivered. What save did was at that
// moment, with the relay running.
func oldRelay(t *testing.T, save, put func(*load)) *load {
	t.Helper()
	l := newChain(t).newLoad()
	l.sendEach(few) // delivered before the backup, as far as they get
	l.to.daemon.kill()
	l.sendEach(few) // in the backup
	l.atRelay()
	save(l)
	l.sendEach(few) // delivered after the backup
	l.atRelay()
	l.startDesk(piket)
	_, known, cases := l.promised()
	eventually(t, "what came before and after the backup is delivered", patience, func() bool { return l.arrived(cases, known) })
	l.to.daemon.kill()
	l.sendEach(few) // after the backup, and delivered to nobody
	l.atRelay()
	l.killRelays()
	put(l)
	l.startRelays()
	l.startDesk(piket)
	return l
}

// The backup is made by the command while the relay runs, and restored by the
// command: the senders see a new epoch and offer everything again
// that nobody has confirmed. Nothing is lost, nothing is told twice.
func TestRelayIsRestored(t *testing.T) {
	backup := func(l *load) { l.runs("backup", "--data", l.file("relay"), "--out", l.file("backup")) }
	l := oldRelay(t, backup, func(l *load) {
		if err := os.RemoveAll(l.file("relay")); err != nil {
			t.Fatal(err)
		}
		l.runs("restore", "--data", l.file("relay"), l.file("backup"))
	})
	n, wrong := l.settle(patience)
	l.report(n, wrong)
	if *full { // statements that the old relay had and the new one has not come a minute later
		l.stated(patience)
	}
	if want := 4 * few * len(l.senders); n.accepted != want {
		t.Errorf("%d accepted, want %d", n.accepted, want)
	}
}

// Control: the same mailboxes put back with the epoch that they had, as a plain copy
// of the file has it. Nobody offers again, and the latest messages are missing.
func TestRelayIsRestoredWithoutItsEpoch(t *testing.T) {
	save := func(l *load) {
		l.stopRelays()
		must[[]byte](t)(exec.Command("cp", l.file("relay", "queue.db"), l.file("plain.db")).CombinedOutput())
		l.startRelays()
	}
	l := oldRelay(t, save, func(l *load) {
		if err := os.Rename(l.file("plain.db"), l.file("relay", "queue.db")); err != nil {
			t.Fatal(err)
		}
	})
	_, known, cases := l.promised()
	if within(5*time.Second, asking, func() bool { return l.arrived(cases, known) }) {
		t.Error("nothing is missing: the test does not see an old store")
	}
}

// runs runs a command of the relay to its end, and wants it done.
func (l *load) runs(args ...string) {
	l.t.Helper()
	_, said, code := command(l.t.Context(), l.programs.relay, args...)
	if code != 0 {
		l.t.Fatalf("%v ended with %d: %s", args, code, said)
	}
	l.t.Logf("%v: %s", args, said)
}
