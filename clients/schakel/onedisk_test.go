//go:build linux

package schakel_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/queue/queuetest/disktest"
)

// fillsUp writes a file until the disk takes no more: somebody else's.
func fillsUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	for err == nil {
		_, err = f.Write(make([]byte, 1<<20))
	}
	if e := f.Close(); e != nil || !errors.Is(err, syscall.ENOSPC) {
		t.Fatal("the control: the disk is not full:", err, e)
	}
}

// waitsForRoom sends something to a device whose disk another program fills by then, and returns it
// once it came, with room.
func (p pair) waitsForRoom(t *testing.T, another string) (late schakel.Sent) {
	t.Helper()
	answer := report(p, t, message.Urgent)
	answer.Answers = p.asked(t).Hash
	fillsUp(t, another)
	late, err := p.from.Node.Send(testContext(t), answer)
	if err == nil {
		_, err = p.from.Node.Wait(testContext(t), late.Hash, schakel.StateAtRelay)
	}
	if err != nil {
		t.Fatal(err)
	}
	own := schakel.Draft{Class: "informatieverzoek", Urgency: message.Urgent, To: []identity.DeskID{p.from.Desk}, Body: example(t, "informatieverzoek")}
	if _, err := p.to.Node.Send(testContext(t), own); !errors.Is(err, store.ErrFull) {
		t.Errorf("sending from a full disk: %v", err)
	}
	for range 3 {
		p.Pass(2 * time.Minute)
		if holds(t, p.to, late) != 0 {
			t.Error("a message was kept on a full disk")
		}
	}
	if err := os.Remove(another); err != nil {
		t.Fatal(err)
	}
	p.delivered(t, late)
	return late
}

// TestStoreAndFilesOnOneDisk: the store of a recipient and its files lie on one disk, which is too
// small for a file that comes. The file stops where there is still room for messages, which come
// meanwhile, and the alarm says what to do. Then another program fills the disk altogether: the
// device waits, what is sent to it waits at the relay, and nothing is lost. With room, all of it comes
// by itself. Throughout its program goes on. The control is that the file had begun, and that
// the disk was full.
func TestStoreAndFilesOnOneDisk(t *testing.T) {
	dir := disktest.TmpfsWithin(t, 96<<20)
	if dir == "" {
		return // it was run there
	}
	const leave, size = 48 << 20, 32 << 20
	chain := schakeltest.New(t)
	p := pair{Chain: chain, from: chain.Join("vt20/crisis", "veilig-thuis")}
	chain.Stores, chain.Leave = dir, leave
	p.to = chain.Join("knooppunt/piket", "knooppunt")
	p.from.Start()
	p.to.Start() // it fails this test where it ends by itself
	p.reachable(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 24<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	content := pdf(size)
	d := report(p, t, message.Urgent, attach(t, p.from, "groot.pdf", content))
	d.Answers = p.asked(t).Hash
	sent, err := p.from.Node.Send(testContext(t), d)
	if err != nil {
		t.Fatal(err)
	}
	p.delivered(t, sent)
	stops := func() bool {
		all := attachmentsAt(t, p.to, sent)
		return len(all) == 1 && all[0].Trouble == "schijf"
	}
	eventually(t, "the file stops", stops)
	files := filepath.Join(p.to.Files(), "attachments")
	const notes = 1 << 20 // that it stopped is written to the store, on the same disk
	if free, err := store.Free(dir); err != nil || free < leave-notes || free > leave+8<<20 {
		t.Errorf("the file left %d bytes free, want %d: %v", free, leave, err)
	}
	if came := fileSizes(t, files); came < 4<<20 {
		t.Fatalf("the control: only %d bytes came", came)
	}
	p.delivered(t, p.sendFiles(t)) // messages come
	p.Pass(70 * time.Minute)
	eventually(t, "an alarm says what to do", func() bool {
		all := alarms(t, p.to, schakel.AlarmAttachment)
		return stops() && len(all) == 1 && strings.Contains(all[0].Remedy, "Maak ruimte")
	})

	late := p.waitsForRoom(t, filepath.Join(dir, "another"))
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	p.goesOn(t, sent, content, files)
	eventually(t, "the alarm ends", func() bool { return len(alarms(t, p.to, schakel.AlarmAttachment)) == 0 })
	p.to.Reopen()
	if n := holds(t, p.to, late); n != 1 {
		t.Errorf("%d of what came late after a restart", n)
	}
}
