package once_test

import (
	"testing"

	"schakel/clients/desk/once"
)

// FuzzKey: no two callers and keys are one, wherever the line between them runs.
func FuzzKey(f *testing.F) {
	f.Add("a", "b", "ab", "")
	f.Add("a\x00", "b", "a", "\x00b")
	f.Fuzz(func(t *testing.T, caller, key, caller2, key2 string) {
		if same := caller == caller2 && key == key2; (once.KeyOf(caller, key) == once.KeyOf(caller2, key2)) != same {
			t.Errorf("%q %q, %q %q", caller, key, caller2, key2)
		}
	})
}
