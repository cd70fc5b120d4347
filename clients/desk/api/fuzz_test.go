package api_test

import (
	"fmt"
	"testing"

	"schakel/clients/desk/api"
)

func FuzzCursor(f *testing.F) {
	key := [32]byte{1}
	f.Add(api.NewCursor(key, "4f1c", 100, "token\nlistMessages\n"), "token\nlistMessages\n")
	f.Add("", "")
	f.Add("aGFsbG8", "x")
	f.Fuzz(func(t *testing.T, cursor, scope string) {
		at, count, again, err := api.RoundCursor(key, cursor, scope)
		if err != nil {
			return
		}
		back, n, _, err := api.RoundCursor(key, again, scope)
		if err != nil || back != at || n != count {
			t.Errorf("%q, %d: became %q, %d, %v", at, count, back, n, err)
		}
		if _, _, _, err := api.RoundCursor(key, cursor, scope+"x"); err == nil {
			t.Error("it opens for another list")
		}
		if _, _, _, err := api.RoundCursor([32]byte{2}, cursor, scope); err == nil {
			t.Error("it opens with another key")
		}
	})
}

func FuzzEventCursor(f *testing.F) {
	for _, c := range []string{"0011223344556677-5", "-", "x-01", "a-b-1", "", "run-18446744073709551615"} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		if run, n, ok := api.EventCursor(cursor); ok && fmt.Sprintf("%s-%d", run, n) != cursor {
			t.Errorf("%q is read as %q and %d", cursor, run, n)
		}
	})
}
