//go:build linux

package system_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// aboveIdle bounds what moving files may add to the memory of a relay or a daemon, in KiB,
// whatever their size. The race detector multiplies memory.
func aboveIdle() int { return 64 << 10 * slower }

// TestAttachments: a large file goes from one real daemon to another over a real relay that
// is killed on the way, again and again, and arrives as it was; no process needs memory for
// it. In full: a gigabyte, ten kills, a thousand small files at once, and beside it how long
// the stock age program and cp take for the same file.
func TestAttachments(t *testing.T) {
	size, kills, small := int64(24<<20), 2, 0
	if *full {
		size, kills, small = 1<<30, 10, 1000
	}
	c := newChain(t)
	c.startRelays()
	from, to := c.startDesk(doctor), c.startDesk(safe)
	c.knows(doctor, safe)
	f := &files{chain: c, from: from, to: to, path: c.file("groot.pdf")}
	f.sum = f.write(size)
	f.idle()
	began := time.Now()
	sent := f.send(f.path)
	f.killing(sent, size, kills)
	f.arrives(sent)
	t.Logf("%d MiB over a relay that was killed %d times: %s", size>>20, kills, time.Since(began).Round(time.Millisecond))
	f.bounded()
	if small > 0 {
		f.many(small)
		f.bounded()
	}
	nowhereIn(t, c.file("relay"), "groot.pdf", "AGE-SECRET-KEY", "KANARIE")
}

// files are what a test of attachments moves.
type files struct {
	*chain
	from, to *device
	path     string
	sum      [32]byte
	resting  map[string]int // memory in KiB before anything moved, by process
}

// write makes a file that looks like one of its name.
func (f *files) write(size int64) [32]byte {
	f.t.Helper()
	out := must[*os.File](f.t)(os.Create(f.path))
	defer out.Close()
	sum := sha256.New()
	noise := rand.NewChaCha8([32]byte{byte(size)})
	must[int64](f.t)(io.Copy(io.MultiWriter(out, sum), io.LimitReader(io.MultiReader(strings.NewReader("%PDF-1.7 KANARIE "), noise), size)))
	return [32]byte(sum.Sum(nil))
}

func (f *files) processes() map[string]*process {
	return map[string]*process{"the relay": f.relays[0].process, "its sender's daemon": f.from.daemon, "its recipient's daemon": f.to.daemon}
}

// idle notes what memory everybody has, and has the kernel forget the peaks so far.
func (f *files) idle() {
	f.resting = map[string]int{}
	for name, p := range f.processes() {
		f.forgetPeak(p)
		f.resting[name] = must[int](f.t)(peakMemory(p.cmd.Process.Pid))
	}
}

func (f *files) forgetPeak(p *process) {
	if err := os.WriteFile("/proc/"+strconv.Itoa(p.cmd.Process.Pid)+"/clear_refs", []byte("5"), 0); err != nil {
		f.t.Fatal(err)
	}
}

func (f *files) bounded() {
	f.t.Helper()
	for name, p := range f.processes() {
		peak := must[int](f.t)(peakMemory(p.cmd.Process.Pid))
		f.t.Logf("%s: %d MiB at its peak, %d MiB before", name, peak>>10, f.resting[name]>>10)
		if peak-f.resting[name] > aboveIdle() {
			f.t.Errorf("%s needs %d KiB above idle for files, at most %d are allowed", name, peak-f.resting[name], aboveIdle())
		}
	}
}

// send attaches files to one report.
func (f *files) send(paths ...string) schakel.Sent {
	f.t.Helper()
	d := schakel.Draft{Class: "melding", Urgency: message.Urgent, To: []identity.DeskID{safe}, Body: must[protocol.Example](f.t)(protocol.V1().Example("melding")).Body}
	for _, path := range paths {
		file := must[*os.File](f.t)(os.Open(path))
		attached, err := f.from.client.Attach(f.t.Context(), "groot.pdf", "", file)
		if err = errors.Join(err, file.Close()); err != nil {
			f.t.Fatal(err)
		}
		d.Attachments = append(d.Attachments, attached.ID)
	}
	return must[schakel.Sent](f.t)(f.from.client.Send(f.t.Context(), d))
}

// done is how much of the first file is at the relay, or here.
func (f *files) done(at *device, sent schakel.Sent) uint64 {
	all, err := at.client.Attachments(context.Background(), sent.Hash)
	if err != nil || len(all) == 0 {
		return 0
	}
	return all[0].Done
}

// killing kills the relay while the file goes up, and while it comes down.
func (f *files) killing(sent schakel.Sent, size int64, kills int) {
	f.t.Helper()
	each := kills / 2
	for way, at := range []*device{f.from, f.to} {
		for k := range each {
			reach := uint64(size) * uint64(k+1) / uint64(each+1)
			eventually(f.t, fmt.Sprintf("%d bytes moved", reach), 4*patience, func() bool { return f.done(at, sent) >= reach })
			f.t.Logf("way %d: killed the relay at %d of %d MiB", way+1, f.done(at, sent)>>20, size>>20)
			f.killRelays()
			f.startRelays()
			f.forgetPeak(f.relays[0].process)
		}
	}
}

// arrives waits for every file of a message, and compares the first.
func (f *files) arrives(sent schakel.Sent) {
	f.t.Helper()
	f.here(sent)
	sum := sha256.New()
	if _, err := f.to.client.SaveAttachment(f.t.Context(), sent.Hash, 1, schakel.Saving{}, sum); err != nil {
		f.t.Fatal(err)
	}
	if [32]byte(sum.Sum(nil)) != f.sum {
		f.t.Error("another file arrived")
	}
}

func (f *files) here(sent schakel.Sent) {
	f.t.Helper()
	eventually(f.t, "every file is here", 4*patience, func() bool {
		all, err := f.to.client.Attachments(context.Background(), sent.Hash)
		for _, a := range all {
			if a.State != schakel.AttachmentHere {
				return false
			}
		}
		return err == nil && len(all) > 0
	})
}

// many sends so many small files, all under way together.
func (f *files) many(n int) {
	f.t.Helper()
	path := f.file("klein.pdf")
	if err := os.WriteFile(path, append([]byte("%PDF-1.7 "), make([]byte, 20_000)...), 0o600); err != nil {
		f.t.Fatal(err)
	}
	began := time.Now()
	var sent []schakel.Sent
	for left := n; left > 0; left -= message.MaxAttachments {
		var paths []string
		for range min(left, message.MaxAttachments) {
			paths = append(paths, path)
		}
		sent = append(sent, f.send(paths...))
	}
	for _, s := range sent {
		f.here(s)
	}
	f.t.Logf("%d small files in %d messages: %s", n, len(sent), time.Since(began).Round(time.Millisecond))
}

// nowhereIn fails where a file below a folder, its log too, holds a word.
func nowhereIn(t *testing.T, folder string, words ...string) {
	t.Helper()
	var args []string
	for _, w := range words {
		args = append(args, "-e", w)
	}
	out, _ := exec.Command("grep", append(append([]string{"-rlaF"}, args...), folder)...).Output() // 1: nothing was found
	if len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("found at the relay: %s", out)
	}
}
