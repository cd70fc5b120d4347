//go:build linux

package schakel_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/crypto/message"
	"schakel/relay/queue/queuetest/disktest"
)

// TestDiskFillsDuringDownload: the disk that a recipient's files are on runs full while one comes.
// The device goes on and says why the file does not, messages come meanwhile, and with room the
// file goes on where it was. The control is that the disk was full. Its store is on another disk;
// for both on one see TestStoreAndFilesOnOneDisk.
func TestDiskFillsDuringDownload(t *testing.T) {
	disk := disktest.Tmpfs(t, 16<<20)
	p := newPair(t, nil)
	folder, ballast := disk.Path("attachments"), disk.Path("ballast")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.Symlink(folder, filepath.Join(p.to.Files(), "attachments")), os.WriteFile(ballast, make([]byte, 8<<20), 0o600)); err != nil {
		t.Fatal(err)
	}
	content := pdf(12 << 20)
	d := report(p, t, message.Urgent, attach(t, p.from, "groot.pdf", content))
	d.Answers = p.asked(t).Hash
	sent, err := p.from.Node.Send(testContext(t), d)
	if err != nil {
		t.Fatal(err)
	}
	p.delivered(t, sent)
	eventually(t, "the disk is full", func() bool {
		all := attachmentsAt(t, p.to, sent)
		return len(all) == 1 && all[0].Trouble == "schijf"
	})
	for range 3 { // each try finds the same, and what came stays
		p.Pass(2 * time.Minute)
	}
	control := disk.Path("control")
	if err := os.WriteFile(control, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the control: there is room: %v", err)
	}
	came := fileSizes(t, folder)
	if err := os.Remove(control); err != nil || came < 6<<20 || came >= 12<<20 {
		t.Fatalf("the control: %d bytes came before the disk was full: %v", came, err)
	}
	if all := attachmentsAt(t, p.to, sent); all[0].State == schakel.AttachmentHere || all[0].State == schakel.AttachmentRefused {
		t.Errorf("on a full disk: %+v", all[0])
	}
	if _, err := p.to.Node.SaveAttachment(testContext(t), sent.Hash, 1, schakel.Saving{}, io.Discard); !errors.Is(err, schakel.ErrNotHere) {
		t.Errorf("saving what is not here: %v", err)
	}
	p.delivered(t, p.sendFiles(t)) // messages come

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	p.goesOn(t, sent, content, folder)
}

// goesOn: with room again, a file comes to its end by itself, and nothing half stands beside it.
func (p pair) goesOn(t *testing.T, sent schakel.Sent, content []byte, folder string) {
	t.Helper()
	p.Pass(2 * time.Minute)
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
	if !bytes.Equal(saved(t, p.to, sent, 1), content) {
		t.Error("another content")
	}
	if left := namesOf(t, folder); len(left) != 1 {
		t.Errorf("files %q for one", left)
	}
}

// fileSizes is how many bytes the files of a folder have together.
func fileSizes(t *testing.T, folder string) (sum int64) {
	t.Helper()
	for _, name := range namesOf(t, folder) {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}
