package courier_test

import (
	"crypto/sha256"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"schakel/clients/courier"
)

// FuzzSealedName: a name is taken in one spelling only, and is never a path.
func FuzzSealedName(f *testing.F) {
	good := courier.SealedName(sha256.Sum256([]byte("een")))
	for _, name := range []string{good, strings.ToUpper(good), good[1:], good + "0", "../" + good[3:], good[:63] + "/", good + ".half", "", "NUL"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		digest, err := courier.ParseSealedName(name)
		if err != nil {
			if !errors.Is(err, courier.ErrName) || digest != ([32]byte{}) {
				t.Fatalf("%x, %v", digest, err)
			}
			return
		}
		if courier.SealedName(digest) != name || filepath.Base(name) != name || !filepath.IsLocal(name) {
			t.Fatalf("%q is taken, and comes back as %q", name, courier.SealedName(digest))
		}
	})
}

// The control of the fuzz target: the good one of its seeds is taken, and no other.
func TestSealedName(t *testing.T) {
	t.Parallel()
	digest := sha256.Sum256([]byte("een"))
	good := courier.SealedName(digest)
	if got, err := courier.ParseSealedName(good); err != nil || got != digest {
		t.Errorf("%x, %v", got, err)
	}
	for _, bad := range []string{strings.ToUpper(good), good[2:], good + "00", "../" + good[3:]} {
		if _, err := courier.ParseSealedName(bad); !errors.Is(err, courier.ErrName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
