package schakel_test

import (
	"bytes"
	"context"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/message"
	"schakel/relay/blob"
	"schakel/relay/wire"
)

// countingStore counts the parts that devices bring, can say that it has none, and can keep
// others.
type countingStore struct {
	blob.Store
	parts   atomic.Int64
	denies  atomic.Bool
	changes atomic.Bool // what it keeps
}

func (c *countingStore) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if strings.HasPrefix(name, "parts/") {
		c.parts.Add(1)
		if c.changes.Load() {
			content, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			content[0] ^= 1
			r = bytes.NewReader(content)
		}
	}
	return c.Store.Put(ctx, name, r, size)
}

func (c *countingStore) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	if c.denies.Load() && strings.HasPrefix(prefix, "parts/") {
		return func(func(blob.Object, error) bool) {}
	}
	return c.Store.List(ctx, prefix)
}

// newCounted is a pair whose relay keeps attachments in a store that counts.
func newCounted(t *testing.T) (pair, *countingStore) {
	t.Helper()
	chain, counted := schakeltest.Prepare(t), &countingStore{}
	chain.Blobs = func(s blob.Store) blob.Store { counted.Store = s; return counted }
	chain.StartRelay()
	p := pair{Chain: chain, from: chain.Join("vt20/crisis", "veilig-thuis"), to: chain.Join("knooppunt/piket", "knooppunt")}
	p.from.Start()
	p.to.Start()
	p.reachable(t)
	return p, counted
}

// oneToNobody sends a file of one part to a desk that is away.
func (p pair) oneToNobody(t *testing.T, content []byte) schakel.Sent {
	t.Helper()
	d := report(p, t, message.Urgent, attach(t, p.from, "een.pdf", content))
	d.Answers = p.asked(t).Hash
	p.to.Stop()
	sent, err := p.from.Node.Send(testContext(t), d)
	if err != nil {
		t.Fatal(err)
	}
	attachmentIs(t, p.from, sent, 1, schakel.AttachmentAtRelay)
	return sent
}

// parts are the files in which the relay keeps the bytes of attachments.
func (p pair) parts(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(p.Files(), "blobs", "parts", "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// losePart takes the bytes of an attachment away from the relay while it runs, and leaves its
// records, as a disk does or an operator who makes room.
func (p pair) losePart(t *testing.T) {
	t.Helper()
	lost := p.parts(t)
	if len(lost) == 0 {
		t.Fatal("nothing to lose")
	}
	for _, name := range lost {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLostFileComesAgain: the relay's disk loses one file while its envelope stays. The
// sender's device finds out, brings it again, and its desk gets it; no person did anything.
// The control is that it does not come before the device asked.
func TestLostFileComesAgain(t *testing.T) {
	p, counted := newCounted(t)
	content := pdf(100_000)
	sent := p.oneToNobody(t, content)
	p.losePart(t)
	p.to.Reopen()
	p.to.Start()
	p.delivered(t, sent)
	eventually(t, "it asked and got nothing", func() bool { all := attachmentsAt(t, p.to, sent); return len(all) == 1 && all[0].Trouble != "" })
	if all := attachmentsAt(t, p.to, sent); all[0].State == schakel.AttachmentHere || counted.parts.Load() != 1 {
		t.Fatalf("the control: %+v after %d parts", all, counted.parts.Load())
	}
	p.Pass(6 * time.Minute)
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
	if !bytes.Equal(saved(t, p.to, sent, 1), content) {
		t.Error("another content")
	}
	if n := counted.parts.Load(); n != 2 {
		t.Errorf("%d parts went up for a file of one that was lost once", n)
	}

	// Its desk has it: whatever the relay loses of it now, nobody brings it again.
	eventually(t, "the relay knows that its desk has it", func() bool {
		marks, err := filepath.Glob(filepath.Join(p.Files(), "blobs", "done", "*", "*", "*", "*"))
		return err == nil && len(marks) == 1
	})
	p.losePart(t)
	for range 5 {
		p.Pass(6 * time.Minute)
		p.asksOnce(t)
	}
	if n := counted.parts.Load(); n != 2 {
		t.Errorf("%d parts went up, the last for nobody", n)
	}
}

// rotPart changes one bit of an attachment on the relay's disk while it runs.
func (p pair) rotPart(t *testing.T) {
	t.Helper()
	there := p.parts(t)
	if len(there) != 1 {
		t.Fatalf("%d parts to change", len(there))
	}
	content, err := os.ReadFile(there[0])
	if err == nil {
		content[len(content)/2] ^= 1
		err = os.WriteFile(there[0], content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestRottenFileComesAgain: the relay's disk changes a bit of a file. Its recipient refuses it
// with an alarm, the relay finds out, the sender's device brings it again, and the alarm ends;
// no person did anything. The control is that it does not come before that device asked.
func TestRottenFileComesAgain(t *testing.T) {
	p, counted := newCounted(t)
	content := pdf(100_000)
	sent := p.oneToNobody(t, content)
	p.rotPart(t)
	p.to.Reopen()
	p.to.Start()
	p.delivered(t, sent)
	eventually(t, "the relay has let go of it", func() bool {
		all := attachmentsAt(t, p.to, sent)
		return len(p.parts(t)) == 0 && len(all) == 1 && all[0].State == schakel.AttachmentRefused
	})
	if n := counted.parts.Load(); n != 1 || len(alarms(t, p.to, schakel.AlarmAttachment)) != 1 {
		t.Fatalf("the control: %d parts, an alarm %t", n, len(alarms(t, p.to, schakel.AlarmAttachment)) == 1)
	}
	p.Pass(6 * time.Minute)
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
	if !bytes.Equal(saved(t, p.to, sent, 1), content) {
		t.Error("another content")
	}
	if n := counted.parts.Load(); n != 2 || len(alarms(t, p.to, schakel.AlarmAttachment)) == 1 {
		t.Errorf("%d parts went up for a file of one, the alarm stands %t", n, len(alarms(t, p.to, schakel.AlarmAttachment)) == 1)
	}
}

// TestRelayThatChangesForEver: a relay that says of each file that its disk changed it costs
// the sender three more uploads, and no fourth.
func TestRelayThatChangesForEver(t *testing.T) {
	p, counted := newCounted(t)
	counted.changes.Store(true)
	sent := p.oneToNobody(t, pdf(100_000))
	p.to.Reopen()
	p.to.Start()
	p.delivered(t, sent)
	for range 8 {
		eventually(t, "the relay has let go of it", func() bool { return len(p.parts(t)) == 0 })
		p.Pass(3 * time.Hour)
		p.asksOnce(t)
		attachmentIs(t, p.from, sent, 1, schakel.AttachmentAtRelay)
	}
	if n := counted.parts.Load(); n != 4 {
		t.Errorf("%d uploads of one file, want the first and three more", n)
	}
	if all := attachmentsAt(t, p.to, sent); all[0].State == schakel.AttachmentHere || len(alarms(t, p.to, schakel.AlarmAttachment)) != 1 {
		t.Errorf("its recipient: %+v", all)
	}
}

// asksOnce waits until the sender's device has asked the relay once more.
func (p pair) asksOnce(t *testing.T) {
	t.Helper()
	before := p.from.Node.AskedForTest()
	eventually(t, "its sender asked", func() bool { return p.from.Node.AskedForTest() > before })
}

// TestRelayThatLosesForEver: a relay that says for ever that it lost a file costs its sender
// three more uploads, and no fourth.
func TestRelayThatLosesForEver(t *testing.T) {
	p, counted := newCounted(t)
	sent := p.oneToNobody(t, pdf(100_000))
	counted.denies.Store(true)
	for range 12 {
		p.Pass(3 * time.Hour)
		p.asksOnce(t)
		attachmentIs(t, p.from, sent, 1, schakel.AttachmentAtRelay)
	}
	if n := counted.parts.Load(); n != 4 {
		t.Errorf("%d uploads of one file, want the first and three more", n)
	}
}

// TestPartsOfAnUpload: parts double while they arrive and are a quarter after each that broke
// off, within what a relay takes; what broke off once is made good again.
func TestPartsOfAnUpload(t *testing.T) {
	const mib = 1 << 20
	want := []int64{4 * mib, 8 * mib, 8 * mib, 2 * mib, mib / 2, mib / 4, mib / 4, mib / 2, mib, 2 * mib, 4 * mib, mib}
	got := schakel.PartsForTest([]bool{true, true, false, false, false, false, true, true, true, true, false, true})
	if !slices.Equal(got, want) {
		t.Errorf("parts of %d bytes, want %d", got, want)
	}
	for _, size := range got {
		if size < wire.MinBlobPart || size > wire.MaxBlobPart {
			t.Errorf("a part of %d bytes, which no relay takes", size)
		}
	}
}
