package seal_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"schakel/crypto/seal"
)

var (
	hexBlock   = regexp.MustCompile("(?ms)^```hex ([a-z-]+)\n(.*?)^```")
	hexComment = regexp.MustCompile(`(?m)#.*$|\s`)
)

// TestDocumentedExamples compares every example in docs/crypto.md with the vector
// that it stands for.
func TestDocumentedExamples(t *testing.T) {
	b, err := os.ReadFile(vectorsFile)
	must(t, err)
	var v vectors
	must(t, json.Unmarshal(b, &v))
	want := map[string]string{
		"message": v.named(t, "message signed by a device"), "statement": v.named(t, "statement"),
		"envelope-prefix": hex.EncodeToString(parse(t, unhex(t, v.named(t, "envelope for one device"))).Prefix),
	}
	page, err := os.ReadFile("../../docs/crypto.md")
	must(t, err)
	blocks := hexBlock.FindAllStringSubmatch(string(page), -1)
	if len(blocks) != len(want) {
		t.Errorf("%d examples, want %d", len(blocks), len(want))
	}
	for _, b := range blocks {
		if got := hexComment.ReplaceAllString(b[2], ""); got != want[b[1]] {
			t.Errorf("example %q is %s, want %s", b[1], got, want[b[1]])
		}
	}
}

// TestDocumentedReasons: each word that an audit log may show stands in the page.
func TestDocumentedReasons(t *testing.T) {
	page, err := os.ReadFile("../../docs/crypto.md")
	must(t, err)
	for _, err := range []error{
		seal.ErrNotForMe, seal.ErrStanzas, seal.ErrNoEpochKey, seal.ErrUnknownSealer, seal.ErrDecrypt, seal.ErrPadding, seal.ErrKeyHash, seal.ErrNotAddressed,
	} {
		if word := seal.Reason(err); word == "other" || !strings.Contains(string(page), "`"+word+"`") {
			t.Errorf("%v is %q, which docs/crypto.md does not have", err, word)
		}
	}
}

func (v vectors) named(t *testing.T, name string) string {
	t.Helper()
	for _, x := range v.Vectors {
		if x.Name == name {
			return x.Good
		}
	}
	t.Fatalf("no vector %q", name)
	return ""
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}
