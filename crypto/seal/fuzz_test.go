package seal_test

import (
	"bytes"
	"reflect"
	"testing"

	"schakel/crypto/seal"
)

// FuzzOpen changes an honest envelope: whatever opens has the honest content, and
// whatever does not releases nothing.
func FuzzOpen(f *testing.F) {
	w := newWorld(f, 1)
	raw := w.seal(f, w.parcel(f, []byte("inhoud")))
	lock := w.lock(0)
	f.Add(0, []byte{})
	f.Add(0, []byte("SKE2"))
	f.Add(len(raw)-1, []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, at int, patch []byte) {
		changed := bytes.Clone(raw)
		if at >= 0 && at <= len(raw) {
			changed = append(changed[:at:at], patch...)
			changed = append(changed, raw[min(len(raw), at+len(patch)):]...)
		}
		opened, err := seal.Open(changed, lock)
		if err != nil {
			if !reflect.DeepEqual(opened, seal.Opened{}) || seal.Reason(err) == "other" {
				t.Fatalf("%v, and %+v", err, opened)
			}
			return
		}
		if !bytes.Equal(changed, raw) {
			t.Fatal("a changed envelope opened")
		}
	})
}

// FuzzKeyText parses epoch keys and recipients: one spelling each.
func FuzzKeyText(f *testing.F) {
	key, err := seal.NewEpochKey(1)
	must(f, err)
	f.Add(key.Secret())
	f.Add(key.Recipient())
	f.Add("AGE-SECRET-KEY-1")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := seal.ParseEpochKey(1, s); err == nil && k.Secret() != s {
			t.Errorf("epoch key %q comes back as another", s)
		}
		if r, err := seal.ParseRecipient(s); err == nil && r.String() != s {
			t.Errorf("recipient %q comes back as %q", s, r)
		}
	})
}
