package wire_test

import (
	"strconv"
	"strings"
	"testing"

	"schakel/relay/wire"
)

// What a path or a header of a request for a blob says has one spelling.
func FuzzBlobTexts(f *testing.F) {
	for _, text := range []string{
		strings.Repeat("0a", 32), strings.Repeat("0A", 32), "vt20/crisis,pol-mn/zeden", "vt20/crisis,vt20/crisis", "vt20/crisis, pol-mn/zeden", ",", "",
		"0", "00", "+1", "-1", "4294967296", "4294967297", "1e3", "../../x", strings.Repeat("a/b,", 40) + "a/b",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := wire.ParseBlobID(text); err == nil && id.String() != text {
			t.Errorf("%q is the blob %s", text, id)
		}
		if desks, err := wire.ParseDesks(text); err == nil && (wire.FormatDesks(desks) != text || len(desks) > wire.MaxBlobDesks) {
			t.Errorf("%q is the desks %q", text, desks)
		}
		if n, err := wire.ParseLength(text); err == nil && (strconv.FormatInt(n, 10) != text || n < 0 || n > wire.MaxBlob) {
			t.Errorf("%q is the length %d", text, n)
		}
	})
}
