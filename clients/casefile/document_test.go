package casefile_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"regexp"
	"strings"
	"testing"

	"schakel/clients/casefile"
	"schakel/crypto/delivery"
	"schakel/crypto/message"
)

// shape is a text without what differs from file to file.
func shape(s string) string {
	for _, r := range []struct{ pattern, with string }{
		{`[0-9a-f]{64}`, "HASH"}, {`[0-9a-f]{8}-[0-9a-f-]{27}`, "UUID"}, {`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, "TIME"},
		{`(?m)^register \d+`, "register N"}, {`(?m)^(bestand HASH) \d+`, "$1 N"}, {`(?m)^(apparaat|persoon|handtekening) [A-Za-z0-9+/]+=*$`, "$1 BASE64"},
	} {
		s = regexp.MustCompile(r.pattern).ReplaceAllString(s, r.with)
	}
	return s
}

func documented(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/casefile.md")
	ok(t, err)
	block := regexp.MustCompile("(?s)```" + name + "\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatalf("docs/casefile.md has no block %s", name)
	}
	return string(block[1])
}

// The layouts of docs/casefile.md are those of the code, and the signatures are over
// the bytes that it names.
func TestDocumentedTexts(t *testing.T) {
	w, asked := question(t)
	w.dossier.Messages = w.dossier.Messages[1:] // two, as documented
	w.dossier.Promises = [][]byte{w.promises(t, asked.Hash(), w.police.Desk, w.chain.Receipt.Private)}
	w.dossier.Statements = [][]byte{w.states(t, w.police, w.vt.Desk, nil, delivery.Status{Message: asked.Hash(), Received: 1})}
	files := unpack(t, w.finish(t, true))
	deletion, err := casefile.Deletion{Case: w.dossier.Case, Desk: w.vt.Desk, Device: w.vt.ID, At: w.at, Due: w.at, ClosedBy: "knooppunt/piket",
		Messages: []message.Hash{{1}, {2}}}.Sign(w.vt.Sign)
	ok(t, err)
	for name, got := range map[string]string{"manifest": string(files["manifest.txt"]), "signatures": string(files["handtekeningen.txt"]), "deletion": string(deletion)} {
		if want := documented(t, name); shape(got) != shape(want) {
			t.Errorf("%s\n%s\ndocumented\n%s", name, shape(got), shape(want))
		}
	}
	signed := func(line string) []byte {
		_, rest, _ := strings.Cut(string(files["handtekeningen.txt"]), "\n"+line+" ")
		encoded, _, _ := strings.Cut(rest, "\n")
		sig, err := base64.StdEncoding.DecodeString(encoded)
		ok(t, err)
		return sig
	}
	device, person := w.vt.Sign.Private.Public().(ed25519.PublicKey), w.vt.PersonKey.Private.Public().(ed25519.PublicKey)
	if !ed25519.Verify(device, files["manifest.txt"], signed("apparaat")) || !ed25519.Verify(person, files["manifest.txt"], signed("persoon")) {
		t.Error("a signature is not over the bytes of manifest.txt")
	}
	text, last, _ := strings.Cut(string(deletion), "handtekening ")
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(last))
	if err != nil || !ed25519.Verify(device, []byte(text), sig) {
		t.Error("the signature of a deletion is not over all that stands before it")
	}
}
