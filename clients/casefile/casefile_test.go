package casefile_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"schakel/clients/casefile"
	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// A case file verifies with nothing but itself and the fingerprint, and is the same
// bytes each time.
func TestGenuineAndComplete(t *testing.T) {
	w := story(t)
	raw := w.finish(t, true)
	r := casefile.Verify(raw, w.told())
	if !r.Sound || !r.Complete || !r.Compared || len(r.Messages) != 2 {
		t.Fatalf("sound %v, complete %v, compared %v, %d messages: %s", r.Sound, r.Complete, r.Compared, len(r.Messages), faults(r))
	}
	for _, m := range r.Messages {
		if !m.Judged || len(m.Findings) != 0 || m.Device.Standing != casefile.StandingActive || m.Org == "" {
			t.Errorf("%s: %+v", m.Class, m)
		}
	}
	if p := r.Messages[1].Person; p == nil || p.ID != w.vt.Person.ID.String() || r.Person == nil {
		t.Errorf("who acknowledged: %+v, who signed the file: %+v", p, r.Person)
	}
	if again := w.finish(t, true); !bytes.Equal(raw, again) {
		t.Error("the same dossier gives another archive")
	}
	if r := casefile.Verify(raw, casefile.Options{}); !r.Sound || r.Compared || r.Fingerprint != w.chain.Fingerprint() {
		t.Errorf("without a fingerprint: sound %v, compared %v, %s", r.Sound, r.Compared, r.Fingerprint)
	}
	if r := casefile.Verify(raw, casefile.Options{Genesis: trusttest.New(w.at.AddDate(1, 0, 0)).Fingerprint()}); r.Sound || r.Compared ||
		!strings.Contains(faults(r), string(casefile.FaultGenesis)) {
		t.Errorf("another fingerprint: %s", faults(r))
	}
}

// Control: a register that somebody made up verifies just as well, but for the
// fingerprint. That is why verify says that it was not compared.
func TestMadeUpRegister(t *testing.T) {
	w := story(t)
	honest := trusttest.New(w.at.AddDate(0, 0, 1)).Fingerprint()
	if r := casefile.Verify(w.finish(t, false), casefile.Options{}); !r.Sound || r.Compared {
		t.Errorf("sound %v, compared %v", r.Sound, r.Compared)
	}
	if r := casefile.Verify(w.finish(t, false), casefile.Options{Genesis: honest}); r.Sound {
		t.Error("a made-up register passes for the real one")
	}
}

// A message that another one speaks of, and is not there, is named.
func TestMissingMessage(t *testing.T) {
	w := story(t)
	report, err := message.Parse(w.dossier.Messages[0])
	ok(t, err)
	w.dossier.Messages = w.dossier.Messages[1:]
	r := casefile.Verify(w.finish(t, false), w.told())
	if !r.Sound || r.Complete || len(r.Missing) != 1 || r.Missing[0].Message != report.Ref() {
		t.Errorf("sound %v, complete %v, missing %+v: %s", r.Sound, r.Complete, r.Missing, faults(r))
	}
	w.dossier.Record.Unreadable = []message.Hash{report.Hash()}
	if r := casefile.Verify(w.finish(t, false), w.told()); len(r.Unreadable) != 1 || r.Complete {
		t.Errorf("unreadable where it was made: %+v", r.Unreadable)
	}
}

// The rules are run over the history: an acute report without the police is flagged.
func TestRulesAreRunAgain(t *testing.T) {
	w := newWorld(t)
	w.say(t, w.doctor, "melding", message.Acute, body(t, "melding"), nil, "vt20/crisis")
	r := casefile.Verify(w.finish(t, false), w.told())
	if !r.Sound || len(r.Messages) != 1 || len(r.Messages[0].Findings) == 0 || r.Messages[0].Findings[0].Rule != "R02" {
		t.Errorf("findings %+v: %s", r.Messages, faults(r))
	}
}

// What was said before a revocation stays said, and the report says who was revoked.
func TestRevokedSince(t *testing.T) {
	w := story(t)
	entry, err := trust.Revoke{Of: w.doctor.Subject(), Reason: trust.ReasonLost, Effective: w.at}.Sign(
		w.chain.Register().Next(w.doctor.Subject()), trust.ByOrg(trusttest.OrgKey("arts")))
	ok(t, err)
	w.chain.Add(entry)
	r := casefile.Verify(w.finish(t, false), w.told())
	if d := r.Messages[0].Device; !r.Sound || d.Standing != casefile.StandingRevoked || d.Revoked == 0 {
		t.Errorf("sound %v, device %+v: %s", r.Sound, d, faults(r))
	}
}

// A message that somebody else signed is a fault, in a file that its maker signed well.
func TestForgedMessage(t *testing.T) {
	for name, forge := range map[string]func(*world, *message.Message){
		"by another device": func(w *world, m *message.Message) { m.Sender.Device = w.police.ID },
		"for another desk":  func(w *world, m *message.Message) { m.Sender.Desk = w.police.Desk },
		"of another case":   func(_ *world, m *message.Message) { m.Case = message.CaseRef{1} },
		"by nobody": func(_ *world, m *message.Message) {
			m.Sender.Device = identity.DeviceID(trusttest.UUID("nobody"))
		},
	} {
		w := story(t)
		w.say(t, w.doctor, "signaal", message.Routine, body(t, "signaal"), func(m *message.Message) { forge(w, m) }, "vt20/crisis")
		s, err := message.Parse(w.dossier.Messages[2])
		ok(t, err)
		r := casefile.Verify(w.finish(t, false), w.told())
		if want := "bericht berichten/" + s.Hash().String() + ".cose"; r.Sound || faults(r) != want {
			t.Errorf("%s: %q, want %q", name, faults(r), want)
		}
	}
}

// Who signs the file cannot write another page beside the originals, nor another
// agreement, nor enclose fewer rules than the register names.
func TestMakerCannotLie(t *testing.T) {
	w := story(t)
	w.dossier.Agreement = bytes.Replace(w.dossier.Agreement, []byte("a"), []byte("b"), 1)
	if r := casefile.Verify(w.finish(t, false), w.told()); r.Sound || !strings.Contains(faults(r), "overeenkomst.txt") {
		t.Errorf("another agreement: %s", faults(r))
	}
	w = story(t)
	raw := w.finish(t, false)
	lying := rebuilt(t, w, unpack(t, raw), func(files map[string][]byte) {
		files["dossier.html"] = bytes.Replace(files["dossier.html"], []byte("arts/praktijk"), []byte("buza/consulair"), 1)
	})
	if r := casefile.Verify(lying, w.told()); r.Sound || faults(r) != "leesbare-versie dossier.html" {
		t.Errorf("a lying page: %q", faults(r))
	}
	control := rebuilt(t, w, unpack(t, raw), func(map[string][]byte) {})
	if r := casefile.Verify(control, w.told()); !r.Sound {
		t.Errorf("control: %s", faults(r))
	}
}

// The archive opens with another implementation of ZIP, which finds the same files.
func TestAnyMachineOpensIt(t *testing.T) {
	w := story(t)
	raw := w.finish(t, true)
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	ok(t, err)
	names := regexp.MustCompile(`(?m)^bestand ([0-9a-f]{64}) ([0-9]+) (.*)$`)
	var manifest []byte
	found := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		ok(t, err)
		b, err := io.ReadAll(r)
		ok(t, err)
		found[f.Name] = fmt.Sprintf("%x %d", sha256.Sum256(b), len(b))
		if f.Name == "manifest.txt" {
			manifest = b
		}
	}
	listed := names.FindAllSubmatch(manifest, -1)
	if len(listed) != len(z.File)-2 || len(listed) != 9 {
		t.Fatalf("%d files listed, %d in the archive", len(listed), len(z.File))
	}
	for _, l := range listed {
		if found[string(l[3])] != string(l[1])+" "+string(l[2]) {
			t.Errorf("%s: %s, listed %s %s", l[3], found[string(l[3])], l[1], l[2])
		}
	}
}

// Whatever a partner wrote, the page stays a page: no script, no element, no
// direction that it did not have; safe contact before any telephone number.
func TestPageIsInert(t *testing.T) {
	w := newWorld(t)
	attack := strings.Replace(body(t, "melding"), "Slachtoffer belt", "</dd><script>alert(1)</script>\u202e\\u0007 &amp; <img src=//x>", 1)
	if !strings.Contains(attack, "script") {
		t.Fatal("the example has other facts")
	}
	w.say(t, w.doctor, "melding", message.Acute, attack, nil, "politie-mn/oc", "vt20/crisis")
	files := unpack(t, w.finish(t, false))
	for _, name := range []string{"dossier.html", "dossier.en.html"} {
		page := string(files[name])
		for _, bad := range []string{"<script", "<img", "\u202e", "\u0007", "http://", "https://", "src="} {
			if strings.Contains(strings.ReplaceAll(page, "src=//x", ""), bad) {
				t.Errorf("%s has %q", name, bad)
			}
		}
		if !strings.Contains(page, "&lt;script&gt;") || !strings.Contains(page, `\u202e`) {
			t.Errorf("%s does not show what was written", name)
		}
		safe, phone := strings.Index(page, `id="veilig"`), strings.Index(page, "316000000")
		if safe < 0 || phone < 0 || safe > phone {
			t.Errorf("%s: safe contact at %d, the first number at %d", name, safe, phone)
		}
	}
	if !strings.Contains(string(files["dossier.html"]), `<html lang="nl">`) || !strings.Contains(string(files["dossier.en.html"]), `<html lang="en">`) {
		t.Error("a page does not say its language")
	}
}

func TestExerciseIsSaidFirst(t *testing.T) {
	w := newWorld(t)
	w.say(t, w.doctor, "signaal", message.Routine, body(t, "signaal"), func(m *message.Message) { m.Heading.Exercise = true }, "vt20/crisis")
	page := string(unpack(t, w.finish(t, false))["dossier.html"])
	if banner, title := strings.Index(page, protocol.ExerciseBanner().NL), strings.Index(page, "<h1>"); banner < 0 || banner > title {
		t.Errorf("banner at %d, title at %d", banner, title)
	}
	if page := string(unpack(t, story(t).finish(t, false))["dossier.html"]); strings.Contains(page, protocol.ExerciseMark().NL) {
		t.Error("control: a real case is called an exercise")
	}
}

// A deletion statement verifies against the register, in one spelling.
func TestDeletion(t *testing.T) {
	w := story(t)
	d := casefile.Deletion{Case: w.dossier.Case, Desk: w.vt.Desk, Device: w.vt.ID, At: w.at, Due: w.at, Closing: message.Hash{2}, ClosedBy: "knooppunt/piket",
		Messages: []message.Hash{{3}, {1}}}
	raw, err := d.Sign(w.vt.Sign)
	ok(t, err)
	got, err := casefile.VerifyDeletion(raw, w.chain.Register())
	if err != nil || got.Case != d.Case || len(got.Messages) != 2 || got.Messages[0] != (message.Hash{1}) {
		t.Errorf("%+v, %v", got, err)
	}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		if _, err := casefile.VerifyDeletion(changed, w.chain.Register()); err == nil {
			t.Fatalf("byte %d changed, and it verifies", i)
		}
	}
	if foreign, err := d.Sign(w.police.Sign); err != nil {
		t.Fatal(err)
	} else if _, err := casefile.VerifyDeletion(foreign, w.chain.Register()); err == nil {
		t.Error("signed by another device, and it verifies")
	}
}
