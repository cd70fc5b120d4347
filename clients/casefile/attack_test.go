package casefile_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"schakel/clients/casefile"
	"schakel/crypto/delivery"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// What a maker who lies would try: it holds a device of the desk, signs a true manifest
// over what it made up, and hopes that nobody looks further than the signature.
func TestLyingMaker(t *testing.T) {
	w := story(t)
	raw := w.finish(t, false)
	lie := func(name, old, new string) func(map[string][]byte) {
		return func(files map[string][]byte) {
			changed := bytes.Replace(files[name], []byte(old), []byte(new), 1)
			if bytes.Equal(changed, files[name]) {
				t.Fatalf("%s has no %q", name, old)
			}
			files[name] = changed
		}
	}
	for what, change := range map[string]func(map[string][]byte){
		"another fingerprint in the file to read first": lie("LEESMIJ.txt", "DE VINGERAFDRUK", "12345 67890"),
		"another page":               lie("dossier.en.html", "arts/praktijk", "buza/consulair"),
		"another register size":      lie("manifest.txt", "register ", "register 1"),
		"another agreement":          lie("overeenkomst.txt", "a", "b"),
		"a later protocol":           lie("manifest.txt", "protocol schakel/1", "protocol schakel/2"),
		"of another desk":            lie("manifest.txt", "bureau vt20/crisis", "bureau politie-mn/oc"),
		"by another device":          lie("manifest.txt", "apparaat "+w.vt.ID.String(), "apparaat "+w.police.ID.String()),
		"by a person who did not":    lie("manifest.txt", "persoon -", "persoon "+w.vt.Person.ID.String()),
		"of another case":            lie("manifest.txt", "zaak "+w.dossier.Case.String(), "zaak "+trusttestCase()),
		"a remark among the entries": lie("register/entries-0001.txt", "#", "# vingerafdruk 12345 67890\n#"),
		"a file that nobody reads": func(files map[string][]byte) {
			files["register/entries-0003.txt"] = files["register/entries-0001.txt"]
			digest := fmt.Sprintf("bestand %x %d register/entries-0003.txt\n", sha256.Sum256(files["register/entries-0001.txt"]), len(files["register/entries-0001.txt"]))
			files["manifest.txt"] = append(files["manifest.txt"], digest...)
		},
		"a checkpoint over fewer":    lie("register/checkpoint.txt", "\n", "\n1"),
		"a message that it improved": func(files map[string][]byte) { flipFirst(files, "berichten/") },
	} {
		r := casefile.Verify(rebuilt(t, w, unpack(t, raw), change), w.told())
		if r.Sound {
			t.Errorf("%s: genuine", what)
		}
	}
	if r := casefile.Verify(rebuilt(t, w, unpack(t, raw), func(map[string][]byte) {}), w.told()); !r.Sound {
		t.Errorf("control: %s", faults(r))
	}
}

func trusttestCase() string { return message.CaseRef(trusttest.UUID("another case")).String() }

func flipFirst(files map[string][]byte, folder string) {
	for name := range files {
		if strings.HasPrefix(name, folder) {
			files[name] = bytes.Clone(files[name])
			files[name][len(files[name])-1] ^= 1
			return
		}
	}
}

// A maker that names a layout which this program does not know can write what it wants on
// the pages. It is told that they were not compared, and does not pass for complete.
func TestPagesOfAnotherLayout(t *testing.T) {
	w := story(t)
	lying := rebuilt(t, w, unpack(t, w.finish(t, false)), func(files map[string][]byte) {
		files["manifest.txt"] = bytes.Replace(files["manifest.txt"], []byte("\nopmaak 4\n"), []byte("\nopmaak 7\n"), 1)
		files["dossier.html"] = []byte("<h1>Er is niets gebeurd</h1>")
	})
	if r := casefile.Verify(lying, w.told()); r.PagesCompared || !r.Sound {
		t.Errorf("compared %v, %s", r.PagesCompared, faults(r))
	}
}

// Two messages under one identifier: their sender tells the one desk this and the other
// desk that. Both in one file is a fault, whichever stands first.
func TestTwoMessagesUnderOneIdentifier(t *testing.T) {
	w := story(t)
	w.say(t, w.doctor, "signaal", message.Routine, body(t, "signaal"), func(m *message.Message) { m.ID = message.ID(trusttest.UUID("message1")) }, "vt20/crisis")
	if r := casefile.Verify(w.finish(t, false), w.told()); r.Sound || !strings.HasPrefix(faults(r), "bericht berichten/") || len(r.Faults) != 1 {
		t.Errorf("%s", faults(r))
	}
}

// A file made with a device that was revoked is what that device signed; who reads the
// report sees that it was revoked, and by which entry.
func TestMadeByARevokedDevice(t *testing.T) {
	w := story(t)
	entry, err := trust.Revoke{Of: w.vt.Subject(), Reason: trust.ReasonLost, Effective: w.at}.Sign(w.chain.Register().Next(w.vt.Subject()), trust.ByOrg(trusttest.OrgKey("vt20")))
	ok(t, err)
	w.chain.Add(entry)
	if r := casefile.Verify(w.finish(t, false), w.told()); r.Device.Standing != casefile.StandingRevoked || r.Device.Revoked == 0 {
		t.Errorf("made by %+v", r.Device)
	}
}

// A proof of one case does not pass in the file of another, and not under another desk's
// manifest.
func TestProofsStayWhereTheyBelong(t *testing.T) {
	w, asked := question(t)
	proof := w.states(t, w.police, w.vt.Desk, nil, delivery.Status{Message: asked.Hash(), Received: 1})
	other := story(t)
	other.dossier.Statements = [][]byte{proof}
	if r := casefile.Verify(other.finish(t, false), casefile.Options{}); r.Sound {
		t.Error("a statement about another case is taken")
	}
	w.dossier.Statements = [][]byte{proof}
	w.dossier.Desk, w.dossier.Device = w.doctor.Desk, w.doctor.ID
	w.vt.Sign, w.vt.Desk = w.doctor.Sign, w.doctor.Desk
	if r := casefile.Verify(w.finish(t, false), casefile.Options{}); r.Sound || !strings.Contains(faults(r), "aflevering verklaringen/") {
		t.Errorf("a statement to another desk is taken: %s", faults(r))
	}
}
