//go:build linux

package system_test

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"schakel/clients/schakel"
)

// phases are when one file was as far as each of its steps.
type phases struct{ sealed, atRelay, here, saved time.Duration }

// TestBesideAge: a file goes from desk to desk and is saved, beside the stock age program,
// cp, and age again, as they are and with each of their files synced, as each of ours is. In
// full a gigabyte, three times in turn, and how long each took.
func TestBesideAge(t *testing.T) {
	size, rounds := int64(4<<20), 1
	if *full {
		size, rounds = *besideAge<<20, 3
	}
	c := newChain(t)
	c.startRelays()
	from, to := c.startDesk(doctor), c.startDesk(safe)
	c.knows(doctor, safe)
	f := &files{chain: c, from: from, to: to, path: c.file("groot.pdf")}
	f.sum = f.write(size)
	stock := f.stockAge()
	var shares, synced []float64
	for range rounds {
		before := f.processor()
		ours := f.timed()
		after := f.processor()
		t.Logf("%d MiB: sealed after %s, at the relay after %s, here after %s, saved after %s", size>>20,
			ms(ours.sealed), ms(ours.atRelay), ms(ours.here), ms(ours.saved))
		for name, used := range after {
			t.Logf("processor of %s: %s", name, ms(used-before[name]))
		}
		shares = append(shares, f.besides("age, cp and age", ours, func() (took, worked time.Duration) { return stock(false) }))
		synced = append(synced, f.besides("age, cp and age, each synced", ours, func() (took, worked time.Duration) { return stock(true) }))
	}
	slices.Sort(shares)
	slices.Sort(synced)
	t.Logf("the middle one of %d: %.2f of their speed, %.2f where they sync", rounds, shares[rounds/2], synced[rounds/2])
}

// besides runs what others do with the same file, and returns our share of their speed.
func (f *files) besides(what string, ours phases, others func() (took, worked time.Duration)) (share float64) {
	f.t.Helper()
	took, worked := others()
	share = took.Seconds() / ours.saved.Seconds()
	f.t.Logf("%s: %s, %s of the processor: %.2f of their speed", what, ms(took), ms(worked), share)
	return share
}

// processor is how much of the processors each process has used.
func (f *files) processor() map[string]time.Duration {
	f.t.Helper()
	used := map[string]time.Duration{}
	for name, p := range f.processes() {
		raw := must[[]byte](f.t)(os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat"))
		_, rest, _ := strings.Cut(string(raw), ") ")
		cells := strings.Fields(rest)
		const user, system, second = 11, 12, 100 // behind the name; in hundredths
		ticks := must[int](f.t)(strconv.Atoi(cells[user])) + must[int](f.t)(strconv.Atoi(cells[system]))
		used[name] = time.Duration(ticks) * time.Second / second
	}
	return used
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// seldom is how often it is asked how far a file is: to answer costs time as well.
const seldom = 50 * time.Millisecond

// timed sends the large file, undisturbed, and saves it with the command line.
func (f *files) timed() (p phases) {
	f.t.Helper()
	began := time.Now()
	sent := f.send(f.path)
	p.sealed = time.Since(began)
	if !within(4*patience, seldom, func() bool {
		all, err := f.from.client.Attachments(f.t.Context(), sent.Hash)
		return err == nil && len(all) == 1 && all[0].State == schakel.AttachmentAtRelay
	}) {
		f.t.Fatal("the file never was at the relay")
	}
	p.atRelay = time.Since(began)
	if !within(4*patience, seldom, func() bool {
		all, err := f.to.client.Attachments(f.t.Context(), sent.Hash)
		return err == nil && len(all) == 1 && all[0].State == schakel.AttachmentHere
	}) {
		f.t.Fatal("the file never was at its recipient")
	}
	p.here = time.Since(began)
	path := f.file("saved.pdf")
	save := exec.Command(f.programs.schakel, "--home", f.to.home, "attachment", "save", sent.Hash, "1", "--out", path)
	save.Env = environ()
	if out, err := save.CombinedOutput(); err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
	p.saved = time.Since(began)
	f.same(path)
	return p
}

// same demands that a file is the one that was sent, and removes it.
func (f *files) same(path string) {
	f.t.Helper()
	in := must[*os.File](f.t)(os.Open(path))
	defer in.Close()
	sum := sha256.New()
	must[int64](f.t)(io.Copy(sum, in))
	if [32]byte(sum.Sum(nil)) != f.sum {
		f.t.Error("another file arrived")
	}
	if err := os.Remove(path); err != nil {
		f.t.Error(err)
	}
}

// stockAge builds the stock age program, and returns what seals the large file with it, copies
// it and opens it.
func (f *files) stockAge() func(synced bool) (took, worked time.Duration) {
	f.t.Helper()
	program := f.file("age")
	build := exec.Command("go", "build", "-o", program, "filippo.io/age/cmd/age")
	build.Dir = "../../../crypto/oracles" // whose module has what the program needs beside the library
	must[[]byte](f.t)(build.CombinedOutput())
	id := must[*age.HybridIdentity](f.t)(age.GenerateHybridIdentity())
	key := f.file("key.txt")
	if err := os.WriteFile(key, []byte(id.String()+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
	sealed, copied, plain := f.file("a.age"), f.file("b.age"), f.file("plain")
	commands := []string{program + " -r " + id.Recipient().String() + " -o " + sealed + " " + f.path, "cp " + sealed + " " + copied, program + " -d -i " + key + " -o " + plain + " " + copied}
	synced := []string{commands[0], "sync " + sealed, commands[1], "sync " + copied, commands[2], "sync " + plain}
	return func(sync bool) (took, worked time.Duration) {
		run := commands
		if sync {
			run = synced
		}
		began := time.Now()
		for _, line := range run {
			words := strings.Fields(line)
			c := exec.Command(words[0], words[1:]...)
			must[[]byte](f.t)(c.CombinedOutput())
			worked += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		}
		took = time.Since(began)
		f.same(plain)
		if err := errors.Join(os.Remove(sealed), os.Remove(copied)); err != nil {
			f.t.Error(err)
		}
		return took, worked
	}
}
