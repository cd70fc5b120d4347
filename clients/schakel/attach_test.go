package schakel_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// pdf is content that looks like one, of a size.
func pdf(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b) // never fails
	copy(b, "%PDF-1.7\n")
	return b
}

func attach(t *testing.T, m *schakeltest.Member, name string, content []byte) schakel.Attached {
	t.Helper()
	file, err := m.Node.Attach(testContext(t), name, "", bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// report is a melding with files from Veilig Thuis to the knooppunt's police.
func report(p pair, t *testing.T, u message.Urgency, files ...schakel.Attached) schakel.Draft {
	t.Helper()
	d := schakel.Draft{Class: "informatieantwoord", Urgency: u, To: []identity.DeskID{p.to.Desk}, Body: example(t, "informatieantwoord")}
	for _, f := range files {
		d.Attachments = append(d.Attachments, f.ID)
	}
	return d
}

// asked makes a case in which an answer with files can be given.
func (p pair) asked(t *testing.T) schakel.Sent {
	t.Helper()
	p.answerable(t)
	sent, err := p.to.Node.Send(testContext(t), schakel.Draft{Class: "informatieverzoek", Urgency: message.Urgent,
		To: []identity.DeskID{p.from.Desk}, Body: example(t, "informatieverzoek")})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the question is there", func() bool { return holds(t, p.from, sent) == 1 })
	return sent
}

// sendFiles answers with files.
func (p pair) sendFiles(t *testing.T, files ...schakel.Attached) schakel.Sent {
	t.Helper()
	d := report(p, t, message.Urgent, files...)
	d.Answers = p.asked(t).Hash
	sent, err := p.from.Node.Send(testContext(t), d)
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

func attachmentsAt(t *testing.T, m *schakeltest.Member, sent schakel.Sent) []schakel.Attachment {
	t.Helper()
	all, err := m.Node.Attachments(testContext(t), sent.Hash)
	if err != nil {
		return nil
	}
	return all
}

func attachmentIs(t *testing.T, m *schakeltest.Member, sent schakel.Sent, place int, want schakel.AttachmentState) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("attachments at %s: %+v", m.Desk, attachmentsAt(t, m, sent))
		}
	})
	eventually(t, "attachment "+string(want)+" at "+string(m.Desk), func() bool {
		all := attachmentsAt(t, m, sent)
		return len(all) >= place && all[place-1].State == want
	})
}

func saved(t *testing.T, m *schakeltest.Member, sent schakel.Sent, place int) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := m.Node.SaveAttachment(testContext(t), sent.Hash, place, schakel.Saving{}, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Files travel beside their message to every device of the desk, come out as they went in,
// and leave nothing in plain on a disk.
func TestAttachmentsTravel(t *testing.T) {
	chain := schakeltest.New(t)
	p := pair{Chain: chain, from: chain.Join("vt20/crisis", identity.RoleVeiligThuis), to: chain.Join("knooppunt/piket", identity.RoleKnooppunt)}
	p.from.Start()
	p.to.Start()
	p.reachable(t)
	second := p.to.Sibling()
	second.Start()
	sealsTo(t, p.from, p.to.Desk, 2)
	small, large := append([]byte("%PDF-1.4 KANARIE-INHOUD "), make([]byte, 5000)...), pdf(9<<20)
	sent := p.sendFiles(t, attach(t, p.from, "KANARIE-NAAM.pdf", small), attach(t, p.from, "groot.pdf", large), attach(t, p.from, "leeg.txt", nil))
	attachmentIs(t, p.from, sent, 2, schakel.AttachmentAtRelay)
	for _, m := range []*schakeltest.Member{p.to, second} {
		for place, want := range [][]byte{small, large, {}} {
			attachmentIs(t, m, sent, place+1, schakel.AttachmentHere)
			if !bytes.Equal(saved(t, m, sent, place+1), want) {
				t.Errorf("attachment %d is another at %s", place+1, m.Desk)
			}
		}
	}
	if got := saved(t, p.from, sent, 1); !bytes.Equal(got, small) {
		t.Error("its sender cannot open it")
	}
	letter, err := p.to.Node.Read(testContext(t), sent.Hash)
	if err != nil || len(letter.Attachments) != 3 || letter.Attachments[0].Name != "KANARIE-NAAM.pdf" || !strings.Contains(string(letter.Body), letter.Attachments[1].SHA256) {
		t.Errorf("read shows %+v, %v", letter.Attachments, err)
	}
	letters := letter.Body
	if described := protocol.V1().FilesIn("informatieantwoord", letters); len(described) != 3 || described[1].Bytes != 9<<20 {
		t.Errorf("the body describes %+v", described)
	}
	for _, folder := range []string{chain.Files(), p.from.Files(), p.to.Files(), second.Files()} {
		nowhere(t, folder, "KANARIE-NAAM", "KANARIE-INHOUD", "AGE-SECRET-KEY-PQ")
	}
}

// nowhere fails where a file below a folder holds one of the words. The control is that the
// search finds what is there.
func nowhere(t *testing.T, folder string, words ...string) {
	t.Helper()
	control := filepath.Join(t.TempDir(), "control")
	if err := os.WriteFile(control, []byte("..."+words[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, found := range map[string]bool{control: true, folder: false} {
		any := false
		err := filepath.WalkDir(file, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil //nolint:nilerr // removed meanwhile
			}
			b, _ := os.ReadFile(path)
			for _, w := range words {
				any = any || bytes.Contains(b, []byte(w)) || strings.Contains(path, w)
			}
			return nil
		})
		if err != nil || any != found {
			t.Errorf("%s: found %t, %v", file, any, err)
		}
	}
}

// The relay is stopped on the way, loses all that it had, and the sender's device is opened
// anew: what was begun goes on, and what was lost is uploaded again.
func TestAttachmentsOutliveTheRelay(t *testing.T) {
	p := newPair(t, nil)
	content := pdf(24 << 20)
	sent := p.sendFiles(t, attach(t, p.from, "groot.pdf", content))
	eventually(t, "some of it is at the relay", func() bool { all := attachmentsAt(t, p.from, sent); return len(all) == 1 && all[0].Done > 0 })
	p.StopRelay()
	p.from.Stop()
	p.from.Reopen()
	p.from.Start()
	p.StartRelay()
	attachmentIs(t, p.from, sent, 1, schakel.AttachmentAtRelay)
	eventually(t, "some of it is here", func() bool { all := attachmentsAt(t, p.to, sent); return len(all) == 1 && all[0].Done > 0 })
	p.StopRelay()
	p.StartRelay()
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
	if !bytes.Equal(saved(t, p.to, sent, 1), content) {
		t.Error("another content")
	}
}

// A relay that lost everything gets the files again with the envelopes, and a desk whose
// file the relay alone lost gets it when the sender is asked.
func TestAttachmentIsUploadedAgain(t *testing.T) {
	p := newPair(t, nil)
	d := report(p, t, message.Urgent, attach(t, p.from, "een.pdf", pdf(100_000)))
	d.Answers = p.asked(t).Hash
	p.to.Stop()
	sent, err := p.from.Node.Send(testContext(t), d)
	if err != nil {
		t.Fatal(err)
	}
	attachmentIs(t, p.from, sent, 1, schakel.AttachmentAtRelay)
	p.StopRelay()
	p.LoseStore()
	p.LoseBlobs()
	p.StartRelay()
	p.to.Reopen()
	p.to.Start()
	p.delivered(t, sent)
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)

	p.to.Stop()
	d = report(p, t, message.Urgent, attach(t, p.from, "twee.pdf", pdf(100_000)))
	d.Answers = letterOf(t, p.from, "informatieverzoek")
	if sent, err = p.from.Node.Send(testContext(t), d); err != nil {
		t.Fatal(err)
	}
	attachmentIs(t, p.from, sent, 1, schakel.AttachmentAtRelay)
	p.StopRelay()
	p.LoseBlobs()
	p.StartRelay()
	p.to.Reopen()
	p.to.Start()
	p.delivered(t, sent)
	if all := attachmentsAt(t, p.to, sent); len(all) != 1 || all[0].State == schakel.AttachmentHere {
		t.Errorf("the control: the relay lost it, and it is %+v", all)
	}
	if err := p.from.Node.MoveAttachment(testContext(t), sent.Hash, 1, schakel.MoveFetch); err != nil {
		t.Fatal(err)
	}
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
}

// What a person pauses stays paused until somebody goes on with it.
func TestAttachmentIsPaused(t *testing.T) {
	p := newPair(t, nil)
	sent := p.sendFiles(t, attach(t, p.from, "een.pdf", pdf(100_000)), attach(t, p.from, "twee.pdf", pdf(100_000)))
	attachmentIs(t, p.to, sent, 2, schakel.AttachmentHere)
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
	for _, act := range []schakel.MoveAct{schakel.MovePause, schakel.MoveResume, schakel.MoveFetch} {
		if err := p.to.Node.MoveAttachment(testContext(t), sent.Hash, 0, act); err != nil {
			t.Errorf("%s: %v", act, err)
		}
	}
	if all := attachmentsAt(t, p.to, sent); all[0].State != schakel.AttachmentHere {
		t.Errorf("what is here cannot be paused: %+v", all[0])
	}
	if err := p.to.Node.MoveAttachment(testContext(t), sent.Hash, 3, schakel.MovePause); !errors.Is(err, schakel.ErrNoAttachment) {
		t.Errorf("no third: %v", err)
	}
	p.StopRelay()
	eventually(t, "no connection", func() bool { return !statusOf(t, p.from).Connected })
	late := report(p, t, message.Urgent, attach(t, p.from, "drie.pdf", pdf(1000)))
	late.Answers = letterOf(t, p.from, "informatieverzoek")
	third, err := p.from.Node.Send(testContext(t), late)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.from.Node.MoveAttachment(testContext(t), third.Hash, 1, schakel.MovePause); err != nil {
		t.Fatal(err)
	}
	p.StartRelay()
	p.delivered(t, third) // the message does not wait for its file
	attachmentIs(t, p.from, third, 1, schakel.AttachmentPaused)
	if all := attachmentsAt(t, p.to, third); len(all) != 1 || all[0].State != schakel.AttachmentWaiting {
		t.Errorf("its recipient sees %+v", all)
	}
	if err := p.from.Node.MoveAttachment(testContext(t), third.Hash, 1, schakel.MoveResume); err != nil {
		t.Fatal(err)
	}
	attachmentIs(t, p.to, third, 1, schakel.AttachmentHere)
}

// letterOf is the hash of a message of a class that a member received.
func letterOf(t *testing.T, m *schakeltest.Member, class string) string {
	t.Helper()
	all, err := m.Node.List(testContext(t), schakel.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Class == class {
			return s.Hash
		}
	}
	t.Fatalf("no %s", class)
	return ""
}

// TestAttachRefuses: what cannot go is refused before anything is signed.
func TestAttachRefuses(t *testing.T) {
	p := newPair(t, nil)
	ctx := testContext(t)
	for name, try := range map[string]func() error{
		"E07 a program called pdf": func() error {
			_, err := p.from.Node.Attach(ctx, "brief.pdf", "application/pdf", strings.NewReader("MZ\x90\x00"))
			return err
		},
		"E07 no name":          func() error { _, err := p.from.Node.Attach(ctx, "", "", strings.NewReader("x")); return err },
		"E07 a name that acts": func() error { _, err := p.from.Node.Attach(ctx, "a\nb", "", strings.NewReader("x")); return err },
		"a file that nobody has": func() error {
			_, err := p.from.Node.Send(ctx, report(p, t, message.Urgent, schakel.Attached{ID: strings.Repeat("ab", 32)}))
			return err
		},
		"dropped": func() error {
			f := attach(t, p.from, "x.txt", []byte("x"))
			_ = p.from.Node.DropAttached(ctx, f.ID)
			return p.from.Node.DropAttached(ctx, f.ID)
		},
	} {
		if err := try(); !errors.Is(err, schakel.ErrMediaType) && !errors.Is(err, schakel.ErrAttachedName) && !errors.Is(err, schakel.ErrNoAttachment) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(p.from.Files(), "attachments")); len(left) > 0 {
		t.Errorf("%d files stay behind", len(left))
	}
}
