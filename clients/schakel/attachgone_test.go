package schakel_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// TestOrphanFilesGo: what a crash left in the folder of attachments goes after a day, and what
// was attached and never sent after seven. What belongs to a message stays, however old, and
// so does what is not ours: both are the controls.
func TestOrphanFilesGo(t *testing.T) {
	p := newPair(t, nil)
	sent := p.sendFiles(t, attach(t, p.from, "verzonden.pdf", pdf(5000)))
	attachmentIs(t, p.from, sent, 1, schakel.AttachmentAtRelay)
	folder := filepath.Join(p.from.Files(), "attachments")
	before := namesOf(t, folder)
	unsent := attach(t, p.from, "blijft-liggen.pdf", pdf(5000))
	young, old, foreign := strings.Repeat("1a", 16), strings.Repeat("2b", 16), "LEESMIJ.txt"
	for _, name := range []string{young, old, foreign} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{old, foreign, before[0]} {
		if err := os.Chtimes(filepath.Join(folder, name), time.Time{}, p.Now().Add(-25*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(folder, young), time.Time{}, p.Now().Add(-23*time.Hour)); err != nil {
		t.Fatal(err)
	}
	forget := func() []string {
		t.Helper()
		if err := p.from.Node.ForgetForTest(testContext(t)); err != nil {
			t.Fatal(err)
		}
		return namesOf(t, folder)
	}
	if left := forget(); len(left) != 4 || slices.Contains(left, old) || !slices.Contains(left, young) || !slices.Contains(left, foreign) {
		t.Errorf("after a day there are %q", left)
	}
	p.Pass(8 * day)
	if left := forget(); len(left) != 2 || !slices.Contains(left, before[0]) || !slices.Contains(left, foreign) {
		t.Errorf("after a week there are %q", left)
	}
	if err := p.from.Node.DropAttached(testContext(t), unsent.ID); !errors.Is(err, schakel.ErrNoAttachment) {
		t.Errorf("what was never sent: %v", err)
	}
	if got := saved(t, p.from, sent, 1); len(got) != 5000 {
		t.Errorf("%d bytes of what was sent", len(got))
	}
}

// TestFileBeingAttachedIsNoOrphan: while a file is read in the machine sleeps for two days, and
// then looks for what a crash left behind. What is being attached is not that, and can be sent.
func TestFileBeingAttachedIsNoOrphan(t *testing.T) {
	p := newPair(t, nil)
	question, content := p.asked(t), pdf(300_000)
	slept := false
	file, err := p.from.Node.Attach(testContext(t), "traag.pdf", "", io.MultiReader(bytes.NewReader(content[:200_000]), readerFunc(func([]byte) (int, error) {
		if slept = true; len(namesOf(t, filepath.Join(p.from.Files(), "attachments"))) != 1 {
			t.Error("the control: nothing is there to be taken for an orphan")
		}
		p.Pass(2 * day)
		if err := p.from.Node.ForgetForTest(testContext(t)); err != nil {
			t.Error(err)
		}
		return 0, io.EOF
	}), bytes.NewReader(content[200_000:])))
	if err != nil || !slept {
		t.Fatal(err, slept)
	}
	sent := p.answering(t, question.Hash, file)
	if got := saved(t, p.from, sent, 1); !bytes.Equal(got, content) {
		t.Errorf("%d bytes of what was sent", len(got))
	}
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
}

// readerFunc is a reader that is a function.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func namesOf(t *testing.T, folder string) (names []string) {
	t.Helper()
	rows, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, r := range rows {
		names = append(names, r.Name())
	}
	return names
}

// TestDestroyedCaseTakesItsAttachments: on its date a case goes with its sealed files, and not
// before. Another file of the same desk stays: the control.
func TestDestroyedCaseTakesItsAttachments(t *testing.T) {
	content := pdf(30_000)
	c := newClosed(t, content)
	attachmentIs(t, c.police, c.report, 1, schakel.AttachmentHere)
	folder := filepath.Join(c.police.Files(), "attachments")
	if got := saved(t, c.police, c.report, 1); !bytes.Equal(got, content) || len(namesOf(t, folder)) != 1 {
		t.Fatalf("before: %d bytes, files %q", len(got), namesOf(t, folder))
	}
	c.Pass(c.due(t).Sub(c.Now()) - day)
	c.check(t)
	kept := attach(t, c.police, "andere-zaak.pdf", pdf(500))
	if len(namesOf(t, folder)) != 2 {
		t.Fatal("a file went before its date")
	}
	c.Pass(2 * day)
	eventually(t, "the case is destroyed", func() bool { c.check(t); return len(c.deletions(t)) == 1 })
	// Whoever looked, this test or upkeep, deletes the file once the case is gone, and not before.
	eventually(t, "of two files one is left", func() bool { return len(namesOf(t, folder)) == 1 })
	if _, err := c.police.Node.SaveAttachment(testContext(t), c.report.Hash, 1, schakel.Saving{}, io.Discard); !errors.Is(err, store.ErrDestroyed) {
		t.Errorf("the attachment: %v", err)
	}
	if err := c.police.Node.DropAttached(testContext(t), kept.ID); err != nil {
		t.Errorf("the other file: %v", err)
	}
}

// TestForwardSealsItsFilesAnew: a report that came to the wrong desk goes on with its files, to
// a desk that did not have them, as other sealed files under other keys. The control is that
// the wrong desk's are still what they were.
func TestForwardSealsItsFilesAnew(t *testing.T) {
	e := newEvil(t)
	ctx := testContext(t)
	wrong, doctor := e.Join("vtx/crisis", identity.RoleVeiligThuis), e.Join("arts/praktijk", identity.RoleSignaleerder)
	wrong.Start()
	doctor.Start()
	for _, desk := range []identity.DeskID{e.vt.Desk, wrong.Desk} {
		eventually(t, "the doctor knows "+string(desk), func() bool { return doctor.Node.TargetsForTest(desk) > 0 })
	}
	eventually(t, "the answer can go", func() bool { return wrong.Node.TargetsForTest(doctor.Desk) > 0 })
	officer, content := wrong.AddPerson("K. Piket"), pdf(30_000)
	sent := misdirectedReport(t, doctor, wrong.Desk, attach(t, doctor, "brief.pdf", content))
	attachmentIs(t, wrong, sent, 1, schakel.AttachmentHere)
	back, err := wrong.Node.Acknowledge(ctx, sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN,
		Status: protocol.StatusWrongRecipient, RightRole: identity.RoleVeiligThuis, RightUnit: "VT20"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer arrives", func() bool { return inbox(t, doctor, back.Hash) != nil })
	on, err := doctor.Node.Forward(ctx, back.Hash, schakel.Forwarding{})
	if err != nil {
		t.Fatal(err)
	}
	attachmentIs(t, e.vt, on, 1, schakel.AttachmentHere)
	if !bytes.Equal(saved(t, e.vt, on, 1), content) || !bytes.Equal(saved(t, wrong, sent, 1), content) {
		t.Error("another content")
	}
	first, second := attachmentsSigned(t, doctor, sent)[0], attachmentsSigned(t, doctor, on)[0]
	if first.Blob == second.Blob || first.Identity == second.Identity || first.Name != second.Name || first.Size != second.Size {
		t.Errorf("forwarded as %+v, first %+v", second, first)
	}
	if a := alarms(t, e.vt, schakel.AlarmAttachment); len(a) > 0 {
		t.Errorf("alarms at the right desk: %+v", a)
	}
}

// misdirectedReport is a report without a municipality to one desk of Veilig Thuis.
func misdirectedReport(t *testing.T, doctor *schakeltest.Member, to identity.DeskID, file schakel.Attached) schakel.Sent {
	t.Helper()
	body := strings.ReplaceAll(string(example(t, "melding")), `"ingezetene"`, `"nog-niet-nagegaan"`)
	body = regexp.MustCompile(`,\s*"gemeentecode": "GM[0-9]+"`).ReplaceAllString(body, "")
	sent, err := doctor.Node.Send(testContext(t), schakel.Draft{Class: "melding", Urgency: message.Urgent, To: []identity.DeskID{to}, Body: []byte(body), Attachments: []string{file.ID}})
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// TestDeliveryMadeAgainBringsItsFiles: the relay lost the sealed file alone while its envelope
// stayed, and the envelope grew too old before its desk was back. The delivery is made again,
// and the file goes up again with it; nobody had to ask. The control is that the relay had
// nothing of it any more.
func TestDeliveryMadeAgainBringsItsFiles(t *testing.T) {
	p := newPair(t, nil)
	question, content := p.asked(t), pdf(30_000)
	p.to.Stop()
	sent := p.answering(t, question.Hash, attach(t, p.from, "een.pdf", content))
	attachmentIs(t, p.from, sent, 1, schakel.AttachmentAtRelay)
	p.StopRelay()
	p.LoseBlobs()
	p.Pass(7*day + time.Minute)
	p.StartRelay()
	if all := attachmentsAt(t, p.from, sent); len(all) != 1 || all[0].State != schakel.AttachmentAtRelay {
		t.Errorf("the control: its sender believes that the relay has it, and says %+v", all)
	}
	p.to.Reopen()
	p.to.Start()
	p.delivered(t, sent)
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
	if !bytes.Equal(saved(t, p.to, sent, 1), content) {
		t.Error("another content")
	}
}
