package schakel_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/relay/blob"
)

// sealedOf is a sealed file as a courier carries it.
func sealedOf(t *testing.T, m *schakeltest.Member, id string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := m.Node.CarryAttachment(testContext(t), id, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// filesOn counts the sealed files in the folder of a device.
func filesOn(t *testing.T, m *schakeltest.Member) int {
	t.Helper()
	found, err := os.ReadDir(filepath.Join(m.Files(), "attachments"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return len(found)
}

// answering is a draft with files, to the question of an earlier message.
func (p pair) answering(t *testing.T, question string, files ...schakel.Attached) schakel.Sent {
	t.Helper()
	d := report(p, t, message.Urgent, files...)
	d.Answers = question
	sent, err := p.from.Node.Send(testContext(t), d)
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// TestAttachmentsByHand: while the relay is down a courier brings the sealed files beside the
// envelopes. What was changed, cut or made longer is refused and leaves nothing; what comes
// whole is here without the relay, and is not fetched any more when that is back; what was
// not brought waits, and the relay brings it then.
func TestAttachmentsByHand(t *testing.T) {
	chain := schakeltest.Prepare(t)
	lies := &lyingStore{}
	chain.Blobs = func(s blob.Store) blob.Store { lies.Store = s; return lies }
	chain.StartRelay()
	p := pair{Chain: chain, from: chain.Join("vt20/crisis", identity.RoleVeiligThuis), to: chain.Join("knooppunt/piket", identity.RoleKnooppunt)}
	p.from.Start()
	p.to.Start()
	p.reachable(t)
	question := p.asked(t)
	p.stopRelay()
	large, small := pdf(300_000), pdf(20_000)
	sent := p.answering(t, question.Hash, attach(t, p.from, "groot.pdf", large), attach(t, p.from, "klein.pdf", small))
	c := carry(t, p.from, p.to)
	if len(c.Attachments) != 2 || c.LeftFiles != 0 || c.Attachments[0].Length >= c.Attachments[1].Length {
		t.Fatalf("carried %+v", c.Attachments)
	}
	if missing, err := p.to.Node.MissingAttachments(testContext(t)); err != nil || len(missing) > 0 {
		t.Errorf("before the envelopes it waits for %+v, %v", missing, err)
	}
	if err := p.to.Node.BringAttachment(testContext(t), c.Attachments[1].ID, strings.NewReader("x")); !errors.Is(err, schakel.ErrNoAttachment) {
		t.Errorf("a file that nothing waits for: %v", err)
	}
	got, err := p.to.Node.ImportEnvelopes(testContext(t), c.File)
	if err != nil || got.Taken < 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentWaiting)
	missing, err := p.to.Node.MissingAttachments(testContext(t))
	if err != nil || len(missing) != 2 || missing[0] != c.Attachments[0] || missing[1] != c.Attachments[1] {
		t.Fatalf("it waits for %+v, %v", missing, err)
	}
	id := c.Attachments[1].ID
	refusedByHand(t, p.to, id, sealedOf(t, p.from, id))
	if err := p.to.Node.BringAttachment(testContext(t), id, bytes.NewReader(sealedOf(t, p.from, id))); err != nil {
		t.Fatal(err)
	}
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
	if !bytes.Equal(saved(t, p.to, sent, 1), large) || filesOn(t, p.to) != 1 {
		t.Errorf("another content, or %d files", filesOn(t, p.to))
	}
	if err := p.to.Node.BringAttachment(testContext(t), id, strings.NewReader("brought twice")); err != nil {
		t.Errorf("what is here already: %v", err)
	}
	attachmentIs(t, p.to, sent, 2, schakel.AttachmentWaiting)
	p.backAndFetched(t, lies, sent, c.Attachments)
	if !bytes.Equal(saved(t, p.to, sent, 1), large) || !bytes.Equal(saved(t, p.to, sent, 2), small) {
		t.Error("another content")
	}
}

// backAndFetched has the relay come back, and asks that the smaller of two files is fetched
// from it and the larger, which came by hand, is not.
func (p pair) backAndFetched(t *testing.T, lies *lyingStore, sent schakel.Sent, files []schakel.SealedFile) {
	t.Helper()
	p.to.Stop()
	p.StartRelay()
	for place := range files {
		attachmentIs(t, p.from, sent, place+1, schakel.AttachmentAtRelay)
	}
	var mu sync.Mutex
	fetched := map[string]int{}
	lies.do(func(name string, content []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		fetched[strings.Split(name, "/")[1]]++
		return content, nil
	})
	p.to.Reopen()
	p.to.Start()
	attachmentIs(t, p.to, sent, 2, schakel.AttachmentHere)
	clean(t, p.to)
	mu.Lock()
	defer mu.Unlock()
	if fetched[files[0].ID] == 0 || fetched[files[1].ID] > 0 {
		t.Errorf("fetched %v; of %+v the second came by hand", fetched, files)
	}
}

// refusedByHand brings what is not the sealed file that is waited for.
func refusedByHand(t *testing.T, to *schakeltest.Member, id string, whole []byte) {
	t.Helper()
	before := filesOn(t, to)
	changed := bytes.Clone(whole)
	changed[len(changed)/2] ^= 1
	for name, file := range map[string][]byte{"one bit of it changed": changed, "its last byte cut": whole[:len(whole)-1], "nothing": nil} {
		if err := to.Node.BringAttachment(testContext(t), id, bytes.NewReader(file)); !errors.Is(err, seal.ErrDigest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	endless := &counted{r: io.MultiReader(bytes.NewReader(whole), zeroes{})}
	if err := to.Node.BringAttachment(testContext(t), id, endless); !errors.Is(err, seal.ErrDigest) || endless.n > int64(len(whole))+1 {
		t.Errorf("a file without end: %v, and %d bytes of it were read", err, endless.n)
	}
	if err := to.Node.BringAttachment(testContext(t), id, io.MultiReader(bytes.NewReader(whole[:1000]), failing{})); err == nil || errors.Is(err, seal.ErrDigest) || errors.Is(err, schakel.ErrDisk) {
		t.Errorf("a stick that is pulled out: %v", err)
	}
	for _, name := range []string{"../" + id[3:], strings.ToUpper(id), "", id + "0"} {
		if err := to.Node.BringAttachment(testContext(t), name, bytes.NewReader(whole)); !errors.Is(err, schakel.ErrNoAttachment) {
			t.Errorf("called %q: %v", name, err)
		}
	}
	if after := filesOn(t, to); after != before {
		t.Errorf("%d files before, %d after", before, after)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, os.ErrClosed }

type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// TestCarryAttachmentThatIsGone: a sealed file that was changed or taken away on the sender's
// disk does not leave as if it were whole. The control is that it left before.
func TestCarryAttachmentThatIsGone(t *testing.T) {
	p := newPair(t, nil)
	question := p.asked(t)
	p.stopRelay()
	p.answering(t, question.Hash, attach(t, p.from, "een.pdf", pdf(50_000)))
	c := carry(t, p.from, p.to)
	if len(c.Attachments) != 1 || uint64(len(sealedOf(t, p.from, c.Attachments[0].ID))) != c.Attachments[0].Length {
		t.Fatalf("carried %+v", c.Attachments)
	}
	files, err := filepath.Glob(filepath.Join(p.from.Files(), "attachments", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 1
	if err := os.WriteFile(files[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // changed, and then known to be gone
		if err := p.from.Node.CarryAttachment(testContext(t), c.Attachments[0].ID, io.Discard); !errors.Is(err, schakel.ErrNotHere) {
			t.Errorf("%v", err)
		}
	}
	if c := carry(t, p.from, p.to); len(c.Attachments) != 0 {
		t.Errorf("carried %+v", c.Attachments)
	}
}

// TestWhatIsHereIsNotBegunAnew: a transfer that was listed before the file came, by the relay or
// by hand, does not begin over what is here. The control is that the same try fetches what is
// still to come.
func TestWhatIsHereIsNotBegunAnew(t *testing.T) {
	p := newPair(t, nil)
	content := pdf(50_000)
	sent := p.sendFiles(t, attach(t, p.from, "een.pdf", content))
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
	var listed store.Attachment
	ok := p.to.Store().Update(testContext(t), func(tx *store.Tx) error {
		row, err := tx.FindMessage(sent.Hash)
		if err != nil {
			return err
		}
		listed, err = tx.AttachmentOf(row.Hash, 1)
		return err
	})
	if ok != nil {
		t.Fatal(ok)
	}
	before := listed.File
	listed.Copy, listed.File = store.CopyWanted, ""
	p.StopRelay()
	if err := p.to.Node.MoveForTest(testContext(t), listed); err != nil {
		t.Fatal(err)
	}
	if got := saved(t, p.to, sent, 1); !bytes.Equal(got, content) || filesOn(t, p.to) != 1 {
		t.Errorf("%d bytes, %d files", len(got), filesOn(t, p.to))
	}
	lost := p.to.Store().Update(testContext(t), func(tx *store.Tx) error {
		tx.LoseFile(before)
		return tx.SetCopy(listed.Message, 1, store.CopyWanted, "")
	})
	if err := p.to.Node.MoveForTest(testContext(t), listed); errors.Join(lost, err) != nil {
		t.Fatal(err)
	}
	if filesOn(t, p.to) != 1 || attachmentsAt(t, p.to, sent)[0].State == schakel.AttachmentHere {
		t.Error("the control: nothing was begun for what is still to come")
	}
}
