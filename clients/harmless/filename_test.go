package harmless_test

import (
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"schakel/clients/harmless"
)

func TestE07FileName(t *testing.T) {
	for name, want := range map[string]string{
		"brief.pdf":            "brief.pdf",
		"../../etc/passwd":     "passwd.pdf",
		`..\..\x.PDF`:          "x.pdf",
		"/":                    "bijlage_.pdf",
		"..":                   "bijlage_.pdf",
		".bashrc":              "bashrc.pdf",
		"factuur\u202efdp.exe": "factuur_fdp.exe.pdf",
		"CON.pdf":              "bijlage_CON.pdf",
		"com1":                 "bijlage_com1.pdf",
		"a\x00b\nc":            "a_b_c.pdf",
		"brief.pdf. ":          "brief.pdf",
		"-rf":                  "rf.pdf",
	} {
		if got := harmless.FileName(name, "application/pdf"); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
	if got := harmless.FileName("x", "application/x-own"); got != "x.bin" {
		t.Errorf("a type that nobody knows: %q", got)
	}
}

func FuzzFileName(f *testing.F) {
	f.Add("../x", "image/png")
	f.Add(strings.Repeat("ë", 300), "text/plain")
	f.Fuzz(func(t *testing.T, name, mediaType string) {
		got := harmless.FileName(name, mediaType)
		if got != filepath.Base(got) || got == "." || got == ".." || len(got) > 140 || !utf8.ValidString(got) || strings.HasPrefix(got, ".") ||
			strings.ContainsAny(got, `/\:*?"<>|`+"\x00\n") || harmless.Line(got) != got {
			t.Fatalf("%q becomes %q", name, got)
		}
		if again := harmless.FileName(got, mediaType); again != got {
			t.Fatalf("%q becomes %q", got, again)
		}
	})
}
