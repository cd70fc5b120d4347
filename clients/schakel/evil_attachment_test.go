package schakel_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/message"
	"schakel/relay/blob"
)

// lyingStore is where a dishonest operator keeps attachments: what is read of a part is what
// the deed makes of it.
type lyingStore struct {
	blob.Store
	mu   sync.Mutex
	deed func(name string, content []byte) ([]byte, error)
}

func (l *lyingStore) do(deed func(name string, content []byte) ([]byte, error)) {
	l.mu.Lock()
	l.deed = deed
	l.mu.Unlock()
}

func (l *lyingStore) Get(ctx context.Context, name string, from int64) (io.ReadCloser, error) {
	l.mu.Lock()
	deed := l.deed
	l.mu.Unlock()
	if deed == nil || !strings.HasPrefix(name, "parts/") {
		return l.Store.Get(ctx, name, from)
	}
	r, err := l.Store.Get(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err == nil {
		content, err = deed(name, content)
	}
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(content[min(int(from), len(content)):])), nil
}

// TestEvilRelayAttachments: what a relay does to a sealed file on its way. Each time the
// message is there, not one byte of plaintext can be had, and a person hears of it. The
// control of each is that the relay behaves again: then the file arrives by the same means.
func TestEvilRelayAttachments(t *testing.T) {
	chain := schakeltest.Prepare(t)
	lies := &lyingStore{}
	chain.Blobs = func(s blob.Store) blob.Store { lies.Store = s; return lies }
	chain.StartRelay()
	p := pair{Chain: chain, from: chain.Join("vt20/crisis", "veilig-thuis"), to: chain.Join("knooppunt/piket", "knooppunt")}
	p.from.Start()
	p.to.Start()
	p.reachable(t)
	question := p.asked(t)
	other := p.otherBlob(t, lies, question)
	for name, c := range map[string]struct {
		deed  func(name string, content []byte) ([]byte, error)
		state schakel.AttachmentState
	}{
		"E01 E04 swaps it for another blob of the conversation": {func(string, []byte) ([]byte, error) { return other, nil }, schakel.AttachmentRefused},
		"E02 exchanges two chunks": {func(_ string, content []byte) ([]byte, error) {
			const chunk = 64<<10 + 16
			at := len(content) - 3*chunk
			out := bytes.Clone(content)
			copy(out[at:], content[at+chunk:at+2*chunk])
			copy(out[at+chunk:], content[at:at+chunk])
			return out, nil
		}, schakel.AttachmentRefused},
		"E05 keeps it back": {func(string, []byte) ([]byte, error) { return nil, blob.ErrNone }, schakel.AttachmentUnavailable},
		"E06 the right beginning, another end": {func(_ string, content []byte) ([]byte, error) {
			return append(content[:len(content)-1000:len(content)-1000], make([]byte, 1000)...), nil
		}, schakel.AttachmentRefused},
	} {
		p.to.Stop()
		content := pdf(300_000)
		d := report(p, t, message.Acute, attach(t, p.from, "bewijs.pdf", content))
		d.Urgency, d.Answers = message.Urgent, question.Hash
		sent, err := p.from.Node.Send(testContext(t), d)
		if err != nil {
			t.Fatal(err)
		}
		attachmentIs(t, p.from, sent, 1, schakel.AttachmentAtRelay) // it looks at what it got itself
		lies.do(c.deed)
		p.to.Reopen()
		p.to.Start()
		p.delivered(t, sent)
		if c.state == schakel.AttachmentUnavailable {
			chain.Pass(2 * time.Hour)
		}
		attachmentIs(t, p.to, sent, 1, c.state)
		letter, err := p.to.Node.Read(testContext(t), sent.Hash)
		if err != nil || len(letter.Attachments) != 1 {
			t.Errorf("%s: the message is not shown: %v", name, err)
		}
		var out bytes.Buffer
		if _, err := p.to.Node.SaveAttachment(testContext(t), sent.Hash, 1, schakel.Saving{Anyway: true}, &out); !errors.Is(err, schakel.ErrNotHere) || out.Len() > 0 {
			t.Errorf("%s: %v, and %d bytes of plaintext", name, err, out.Len())
		}
		if a := alarmed(t, p.to, schakel.AlarmAttachment); !strings.Contains(a.Remedy, "Bel") && !strings.Contains(a.Remedy, "bel") {
			t.Errorf("%s: the alarm names no telephone: %+v", name, a)
		}
		lies.do(nil)
		chain.Pass(6 * time.Minute) // its sender asks: what the relay found to be another file it brings again
		if err := p.to.Node.MoveAttachment(testContext(t), sent.Hash, 1, schakel.MoveFetch); err != nil {
			t.Fatal(err)
		}
		attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
		if !bytes.Equal(saved(t, p.to, sent, 1), content) {
			t.Errorf("%s: the honest one is another", name)
		}
		eventually(t, name+": the alarm ends", func() bool { return len(alarms(t, p.to, schakel.AlarmAttachment)) == 0 })
	}
}

// otherBlob is a sealed file of the same conversation and of the same size.
func (p pair) otherBlob(t *testing.T, lies *lyingStore, question schakel.Sent) []byte {
	t.Helper()
	seen := make(chan []byte, 1)
	lies.do(func(_ string, content []byte) ([]byte, error) {
		select {
		case seen <- content:
		default:
		}
		return content, nil
	})
	d := report(p, t, message.Urgent, attach(t, p.from, "ander.pdf", pdf(300_000)))
	d.Answers = question.Hash
	sent, err := p.from.Node.Send(testContext(t), d)
	if err != nil {
		t.Fatal(err)
	}
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
	lies.do(nil)
	return <-seen
}

// TestE09E10KeyOrBlobOfAnother: a sender that gives a second message the one-time identity
// of an earlier attachment, or its very blob, is refused with an alarm at both ends. The
// control is the same message with a file of its own.
func TestE09E10KeyOrBlobOfAnother(t *testing.T) {
	p := newPair(t, nil)
	first := p.sendFiles(t, attach(t, p.from, "een.pdf", pdf(5000)))
	attachmentIs(t, p.to, first, 1, schakel.AttachmentHere)
	earlier := attachmentsSigned(t, p.from, first)[0]
	for name, change := range map[string]func(*message.Attachment){
		"E09 one identity for two blobs": func(a *message.Attachment) { a.Identity = earlier.Identity },
		"E10 a blob of another message":  func(a *message.Attachment) { a.Blob, a.Digest = earlier.Blob, earlier.Digest },
		"E10 the whole attachment of then": func(a *message.Attachment) {
			a.Blob, a.Digest, a.Identity = earlier.Blob, earlier.Digest, earlier.Identity
		},
	} {
		d := report(p, t, message.Urgent, attach(t, p.from, "een.pdf", pdf(5000)))
		d.Answers = letterOf(t, p.from, "informatieverzoek")
		bad, err := p.from.Node.SignForTest(testContext(t), d, func(m *message.Message) { change(&m.Attachments[0]) })
		if err != nil {
			t.Fatal(err)
		}
		putSigned(t, p, bad)
		a := alarmed(t, p.to, schakel.AlarmAttachment)
		if a.Code != "attachment-key-reused" || holds(t, p.to, schakel.Sent{Hash: bad.Hash().String()}) != 0 {
			t.Errorf("%s: %+v", name, a)
		}
		if err := p.to.Node.ClearAlarm(testContext(t), a.Kind, a.Subject); err != nil {
			t.Fatal(err)
		}
	}
	control := p.sendFiles(t, attach(t, p.from, "een.pdf", pdf(5000)))
	attachmentIs(t, p.to, control, 1, schakel.AttachmentHere)
	if len(alarms(t, p.to, schakel.AlarmAttachment)) > 0 {
		t.Error("the control raised an alarm")
	}
}

// attachmentsSigned are the attachments of a message as it was signed, secrets and all.
func attachmentsSigned(t *testing.T, m *schakeltest.Member, sent schakel.Sent) (out []message.Attachment) {
	t.Helper()
	err := m.Store().View(testContext(t), func(tx *store.Tx) error {
		row, err := tx.FindMessage(sent.Hash)
		if err != nil {
			return err
		}
		signed, err := message.Parse(row.Raw)
		out = signed.Message.Attachments
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// putSigned delivers a message of a modified client.
func putSigned(t *testing.T, p pair, s message.Signed) {
	t.Helper()
	var counter uint64
	err := p.from.Store().Update(testContext(t), func(tx *store.Tx) (err error) {
		counter, err = tx.NextCounter(p.to.Desk)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is delivered", func() bool {
		return p.from.Node.PutForTest(testContext(t), p.to.Desk, envelope.TierUrgent,
			delivery.Delivery{Kind: delivery.KindMessage, Content: s.Raw, Counter: counter, Attended: make([]byte, 32)}) == nil
	})
}

// TestE07TypeIsLookedAtAgain: content that is not what its sender calls it is not written
// anywhere, unless somebody wants it all the same; what fits is written whole.
func TestE07TypeIsLookedAtAgain(t *testing.T) {
	for name, c := range map[string]struct {
		content, called string
		anyway, written bool
	}{
		"a program called pdf":         {"MZ\x90\x00" + strings.Repeat("x", 600), "application/pdf", false, false},
		"a page called text":           {"<html><script>", "text/plain", false, false},
		"a program that is wanted":     {"MZ\x90\x00" + strings.Repeat("x", 600), "application/pdf", true, true},
		"a pdf":                        {"%PDF-1.7" + strings.Repeat("x", 600), "application/pdf", false, true},
		"text of a few bytes":          {"dag", "text/plain", false, true},
		"E08 a bomb is not unpacked":   {"PK\x03\x04" + strings.Repeat("\x00", 600), "application/zip", false, true},
		"E08 a macro is not looked at": {"\xd0\xcf\x11\xe0" + strings.Repeat("\x00", 600), "application/msword", true, true},
	} {
		var out bytes.Buffer
		_, err := io.Copy(schakel.SniffForTest(&out, c.called, uint64(len(c.content)), c.anyway), iotestOneByte(c.content))
		if (err == nil) != c.written || (out.String() == c.content) != c.written || err != nil && !errors.Is(err, schakel.ErrMediaType) {
			t.Errorf("%s: %v, %d bytes written", name, err, out.Len())
		}
	}
}

// iotestOneByte gives a text in small pieces.
func iotestOneByte(s string) io.Reader {
	return io.MultiReader(strings.NewReader(s[:1]), strings.NewReader(s[1:2]), strings.NewReader(s[2:]))
}
