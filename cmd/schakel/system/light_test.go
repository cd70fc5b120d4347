//go:build linux

package system_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
)

// coldMost bounds a cold start to acknowledged.
const coldMost = 3 * time.Minute

// laptopPhrase opens the light device. It is in no file.
const laptopPhrase = "vijf fictieve woorden hier"

// laptop is a light device of the desk safe.
type laptop struct {
	w      *watched
	home   string
	daemon *process
}

// command runs schakel on the laptop, with the passphrase on standard input for those
// that ask for it.
func (l *laptop) command(args ...string) (out string, code int) {
	l.w.t.Helper()
	ctx, cancel := context.WithTimeout(l.w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.w.schakel, append([]string{"--home", l.home, "--passphrase-file", "-"}, args...)...)
	cmd.Env, cmd.Stdin = environ(), strings.NewReader(laptopPhrase+"\n")
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	_ = cmd.Run()
	return both.String(), cmd.ProcessState.ExitCode()
}

func (l *laptop) must(args ...string) string {
	l.w.t.Helper()
	out, code := l.command(args...)
	if code != 0 {
		l.w.t.Fatalf("schakel %s: exit code %d: %s", strings.Join(args, " "), code, out)
	}
	return out
}

func (l *laptop) start(more ...string) {
	l.w.t.Helper()
	l.daemon = start(l.w.t, l.w.file("laptop.log"), l.w.schakel, append([]string{"--home", l.home}, append(more, "run")...)...)
	eventually(l.w.t, "the laptop's daemon answers", patience, func() bool { return l.lockState().Locked })
	l.w.t.Cleanup(l.daemon.kill)
}

// lockState is the zero state while nobody answers.
func (l *laptop) lockState() (state desk.LockState) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := desk.Dial(ctx, filepath.Join(l.home, "desk.sock"))
	if err != nil {
		return state
	}
	defer client.Close()
	state, _ = client.LockState(ctx)
	return state
}

// newLaptop enrols a light device; the relay and the desks doctor, safe and police run.
func newLaptop(t *testing.T) *laptop {
	w := newWatched(newChain(t))
	w.startDesk(doctor)
	w.startDesk(safe)
	w.startDesk(police)
	w.knows(doctor, safe)
	w.knows(doctor, police)
	l := &laptop{w: w, home: w.file("desks", "laptop")}
	l.must("device", "request", "--light", "--desk", string(safe))
	request := must[[]byte](t)(os.ReadFile(filepath.Join(l.home, "device.txt")))
	told := must[string](t)(schakel.DeviceFingerprint(request))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, errs, code := command(ctx, w.schakel, "--home", w.desks[safe].home, "device", "vouch", filepath.Join(l.home, "device.txt"), "--fingerprint", told); code != 0 {
		t.Fatal(errs)
	}
	invitation := filepath.Join(w.desks[safe].home, "invitation.txt")
	genesis := must[string](t)(schakel.InvitationFingerprint(must[[]byte](t)(os.ReadFile(invitation))))
	l.must("join", invitation, "--fingerprint", genesis)
	return l
}

// sees waits until the doctor seals to the laptop too.
func (l *laptop) sees(devices int) {
	l.w.t.Helper()
	eventually(l.w.t, "the doctor knows the laptop", patience, func() bool {
		desks, err := l.w.desks[doctor].client.Directory(context.Background())
		return err == nil && slices.ContainsFunc(desks, func(d schakel.Desk) bool { return d.ID == safe && d.Devices == devices && d.Reachable })
	})
}

// secrets are what must be in no memory once the laptop is locked. They are read from
// its store, which nobody holds open then.
func (l *laptop) secrets(k canaries) []needle {
	t := l.w.t
	t.Helper()
	ways := []vault.Way{vault.Attended{Phrase: laptopPhrase}}
	folder := filepath.Join(l.home, "store")
	key, _, err := vault.Open(folder, ways...)
	if err != nil {
		t.Fatal(err)
	}
	// The names of the classes are in the program itself.
	words := slices.DeleteFunc(k.needles(), func(n needle) bool { return strings.HasPrefix(n.what, "the class") })
	all := slices.Concat(words, needles("the passphrase", laptopPhrase), needles("the data key", string(key[:])))
	st := must[*store.Store](t)(store.Open(t.Context(), folder, store.Unlock{Keys: ways}))
	defer st.Close()
	err = st.View(t.Context(), func(tx *store.Tx) error {
		dev, err := tx.Device()
		if err != nil {
			return err
		}
		epochs, err := tx.EpochKeys()
		if err != nil {
			return err
		}
		persons, err := tx.Persons()
		if err != nil || len(persons) == 0 || len(epochs) == 0 {
			t.Errorf("%d persons, %d epochs, %v", len(persons), len(epochs), err)
			return err
		}
		person, err := persons[0].Unlock(pin)
		all = slices.Concat(all, needles("the signing key", string(dev.Sign.Seed())), needles("the login key", string(dev.Login.Seed())),
			needles("the person's key", string(person.Seed())), needles("an epoch key", string(epochs[0].Secret)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A locked laptop holds nothing: no key, no passphrase, no word of a message is in the
// memory of its daemon, which is still the same process. Control: while it is open they
// are found there.
func TestLockedLaptopHoldsNothing(t *testing.T) {
	l, k := newLaptop(t), newCanaries()
	l.start()
	l.must("unlock")
	l.sees(2)
	sent := l.w.tell(doctor, []identity.DeskID{safe, police}, &k)
	l.read(k, sent)
	if out, code := l.command("ack", sent.Hash, "--person", officer, "--pin-file", l.w.file("pin")); code != 0 {
		t.Fatal(out)
	}
	pid := l.daemon.cmd.Process.Pid
	l.must("lock")
	all := l.secrets(k)
	found, n, err := searchMemory(pid, all)
	if err != nil || n < 1<<20 {
		t.Fatalf("only %d bytes searched: %v", n, err)
	}
	if len(found) > 0 {
		t.Errorf("in the memory of a locked laptop: %q", found)
	}
	if _, code := l.command("inbox"); code != 6 {
		t.Errorf("a locked laptop answers with %d", code)
	}
	l.must("unlock")
	l.read(k, sent)
	found, _, err = searchMemory(pid, all)
	for _, what := range []string{"the text", "the data key", "the signing key"} {
		if err != nil || !slices.Contains(found, what) {
			t.Errorf("control: %s is not found while it is open, only %q, %v", what, found, err)
		}
	}
	t.Logf("found while open: %q", found)
	// nobody does anything: it locks by itself, and the same holds
	if err := l.daemon.stop(); err != nil {
		t.Fatal(err)
	}
	l.start("--lock-after", "2s")
	l.must("unlock")
	pid = l.daemon.cmd.Process.Pid
	eventually(t, "it locks by itself", patience, func() bool { return l.lockState().Because == desk.BecauseIdle })
	if found, _, err = searchMemory(pid, all); err != nil || len(found) > 0 {
		t.Errorf("after it locked by itself: %q, %v", found, err)
	}
	l.lockedByRelay(t, all)
	// an attacker who has the folder finds no word and no key in it
	if found := must[[]string](t)(searchFolder(l.home, all)); len(found) > 0 {
		t.Errorf("in the folder of the laptop: %q", found)
	}
}

// lockedByRelay revokes a laptop that is locked. Who finds it, and its passphrase, opens it
// once: the relay refuses the login, without a reason, and it locks as it did before.
func (l *laptop) lockedByRelay(t *testing.T, all []needle) {
	t.Helper()
	id := l.device()
	if out, errs, code := command(t.Context(), l.w.schakel, "--home", l.w.desks[safe].home, "device", "revoke", id, "--reason", "lost"); code != 0 {
		t.Fatal(out, errs)
	}
	l.sees(1)
	if err := l.daemon.stop(); err != nil {
		t.Fatal(err)
	}
	l.start()
	pid := l.daemon.cmd.Process.Pid
	l.must("unlock")
	eventually(t, "it locks because the relay refuses it", patience, func() bool { return l.lockState().Because == desk.BecauseRefused })
	if found, n, err := searchMemory(pid, all); err != nil || len(found) > 0 || n < 1<<20 {
		t.Errorf("after the relay refused its login: %q in %d bytes, %v", found, n, err)
	}
	if out, code := l.command("unlock"); code != 6 || !strings.Contains(out, "admits this device no more") {
		t.Errorf("it opens again with %d: %s", code, out)
	}
	eventually(t, "nothing of the try stays", patience, func() bool {
		found, n, err := searchMemory(pid, all)
		return err == nil && len(found) == 0 && n > 1<<20
	})
}

// device is the identifier of the laptop, while it is open or after.
func (l *laptop) device() string {
	l.w.t.Helper()
	devices, err := l.w.desks[safe].client.Devices(context.Background())
	i := slices.IndexFunc(devices, func(d schakel.Device) bool { return d.Light })
	if err != nil || i < 0 {
		l.w.t.Fatalf("no light device in %+v, %v", devices, err)
	}
	return devices[i].ID.String()
}

// Of two daemons that start in the same instant on one locked light device, which holds
// no store whose lock would part them, one runs and answers, and the other one says why
// it does not. One that was killed keeps nobody out.
func TestOneDaemonOfALaptop(t *testing.T) {
	built, err := honest()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	home := filepath.Join(dir, "laptop")
	cmd := exec.CommandContext(t.Context(), built.schakel, "--home", home, "--passphrase-file", "-", "device", "request", "--light", "--desk", string(safe))
	cmd.Env, cmd.Stdin = environ(), strings.NewReader(laptopPhrase+"\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	answers := func() bool {
		client, err := desk.Dial(t.Context(), filepath.Join(home, "desk.sock"))
		if err != nil {
			return false
		}
		defer client.Close()
		state, err := client.LockState(t.Context())
		return err == nil && state.Locked
	}
	for range 5 {
		logs := []string{filepath.Join(dir, "one.log"), filepath.Join(dir, "other.log")}
		ps := make([]*process, len(logs))
		for i, log := range logs {
			ps[i] = start(t, log, built.schakel, "--home", home, "run")
			defer ps[i].kill()
		}
		eventually(t, "one of them ends", patience, func() bool { return ps[0].ended() != nil || ps[1].ended() != nil })
		lost, runs := 0, 1
		if ps[1].ended() != nil {
			lost, runs = 1, 0
		}
		if said := tail(logs[lost]); !strings.Contains(said, "another daemon") {
			t.Errorf("it does not say why: %s", said)
		}
		eventually(t, "the other one answers", patience, answers)
		if err := ps[runs].ended(); err != nil {
			t.Errorf("none runs: %v", err)
		}
		ps[runs].kill()
	}
}

// read waits until a message came, and shows it.
func (l *laptop) read(k canaries, sent schakel.Sent) {
	l.w.t.Helper()
	eventually(l.w.t, "the message is on the laptop", patience, func() bool {
		out, code := l.command("read", sent.Hash)
		return code == 0 && strings.Contains(out, k.text)
	})
}

// From nothing that runs on the laptop to a report that is acknowledged, seen by who
// sent it. What it took is logged: an officer is to need less than a minute beside the
// typing, which a test on a busy machine cannot demand. It demands that it does not hang
// anywhere: coldMost is far more than a busy machine under the race detector needs.
func TestColdStartToAcknowledged(t *testing.T) {
	l, k := newLaptop(t), newCanaries()
	l.sees(2)
	sent := l.w.tell(doctor, []identity.DeskID{safe, police}, &k)
	began := time.Now()
	l.start()
	l.must("unlock")
	unlocked := time.Since(began)
	eventually(t, "the report is in the inbox", patience, func() bool {
		out, code := l.command("inbox", "--to-ack")
		return code == 0 && strings.Contains(out, sent.Hash[:8])
	})
	l.must("read", sent.Hash)
	read := time.Since(began)
	if out, code := l.command("ack", sent.Hash, "--person", officer, "--pin-file", l.w.file("pin")); code != 0 {
		t.Fatal(out)
	}
	signed := time.Since(began)
	l.w.awaitState(doctor, sent, safe, schakel.StateAcknowledged)
	seen := time.Since(began)
	t.Logf("open after %s, read after %s, at the relay after %s, seen by the sender after %s", unlocked, read, signed, seen)
	if seen > coldMost {
		t.Errorf("from nothing to acknowledged took %s, at most %s on any machine", seen, coldMost)
	}
}
