package release_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"schakel/clients/release"
)

func list() release.List {
	return release.List{Version: "v1.2.0", Commit: strings.Repeat("0a", 20), Go: "go1.26.8", Files: []release.File{
		{Name: "linux-amd64/schakel", Size: 7, Hash: sha256.Sum256([]byte("partner"))},
		{Name: "linux-amd64/schakel-relay", Size: 5, Hash: sha256.Sum256([]byte("relay"))},
		{Name: "linux-arm64/schakel", Size: 5, Hash: sha256.Sum256([]byte("other"))},
	}}
}

func key(t testing.TB) (secret, verifier string) {
	t.Helper()
	secret, verifier, err := release.NewKey("schakel.example/releases")
	if err != nil {
		t.Fatal(err)
	}
	return secret, verifier
}

// What is signed is read back, and only with the key that was pinned; each way in which a
// list can be somebody else's has an error of its own.
func TestG05SignedList(t *testing.T) {
	secret, verifier := key(t)
	other, stranger := key(t)
	signed, err := list().Sign(secret + "\n")
	if err != nil {
		t.Fatal(err)
	}
	got, err := release.Open(signed, verifier)
	if err != nil || got.Text() != list().Text() || got.Digest() != list().Digest() {
		t.Fatalf("got %+v, %v", got, err)
	}
	theirs, err := list().Sign(other)
	if err != nil {
		t.Fatal(err)
	}
	_, lines, _ := bytes.Cut(theirs, []byte("\n\n"))
	if _, err := release.Open(append(bytes.Clone(signed), lines...), verifier); err != nil {
		t.Errorf("a second signature beside ours: %v", err)
	}
	changed := bytes.Replace(signed, []byte("v1.2.0"), []byte("v1.2.1"), 1)
	garbled := func(b []byte) []byte { return append(bytes.Clone(b), 'x') }
	for name, c := range map[string]struct {
		signed   []byte
		verifier string
		want     error
	}{
		"signed by somebody else":          {theirs, verifier, release.ErrUnknownKey},
		"our list, their key pinned":       {signed, stranger, release.ErrUnknownKey},
		"another version under our name":   {changed, verifier, release.ErrSignature},
		"without a signature":              {[]byte(list().Text()), verifier, release.ErrFormat},
		"bytes behind it":                  {garbled(signed), verifier, release.ErrFormat},
		"too long":                         {make([]byte, release.MaxList+1), verifier, release.ErrFormat},
		"no key":                           {signed, "", release.ErrKey},
		"a key in another spelling":        {signed, verifier + " ", release.ErrKey},
		"a key for which anybody can sign": {signed, "schakel.example/releases+4cbd6e68+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", release.ErrKey},
	} {
		if _, err := release.Open(c.signed, c.verifier); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestG05FindsTheProgram(t *testing.T) {
	l := list()
	for name, c := range map[string]struct {
		file, content, want string
		err                 error
	}{
		"the program":                      {"/usr/bin/schakel", "partner", "linux-amd64/schakel", nil},
		"that of another platform":         {"schakel", "other", "linux-arm64/schakel", nil},
		"under a name of its own":          {"schakel.new", "relay", "linux-amd64/schakel-relay", nil},
		"changed":                          {"/usr/bin/schakel", "Partner", "", release.ErrOtherHash},
		"another program under its name":   {"/usr/bin/schakel", "relay", "", release.ErrOtherHash},
		"something else under a free name": {"/usr/bin/true", "true", "", release.ErrNotListed},
	} {
		got, err := l.Find(c.file, sha256.Sum256([]byte(c.content)))
		if got.Name != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", name, got.Name, err)
		}
	}
}

func TestListRefuses(t *testing.T) {
	text := list().Text()
	if _, err := release.ParseText(text); err != nil {
		t.Fatalf("control: %v", err)
	}
	edit := func(old, new string) string { return strings.Replace(text, old, new, 1) }
	for name, crooked := range map[string]string{
		"empty": "", "another format": edit("/v1", "/v2"), "no version": edit("v1.2.0", "1.2.0"), "a short commit": edit("0a0a", "0a"),
		"a commit in capitals": edit("0a0a", "0A0A"), "no Go": edit("go1.26.8", "tinygo"), "no files": text[:strings.Index(text, "file ")],
		"a file twice": edit("linux-arm64/schakel", "linux-amd64/schakel"), "out of order": edit("linux-amd64/schakel ", "zlinux/schakel "),
		"a way up": edit("linux-amd64/schakel ", "../schakel "), "a size of zero": edit(" 7 ", " 0 "), "zeros before": edit(" 7 ", " 07 "),
		"two spaces": edit("version ", "version  "), "capitals in a hash": edit("file linux-amd64/schakel 7 "+text[strings.Index(text, " 7 ")+3:][:64],
			"file linux-amd64/schakel 7 "+strings.ToUpper(text[strings.Index(text, " 7 ")+3:][:64])),
		"a line more": text + "url x\n", "no line end": strings.TrimSuffix(text, "\n"),
	} {
		if _, err := release.ParseText(crooked); !errors.Is(err, release.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*release.List){
		"version": func(l *release.List) { l.Version = "v1\nfile x" }, "files": func(l *release.List) { l.Files = nil },
		"name": func(l *release.List) { l.Files[0].Name = "a b" },
	} {
		l := list()
		change(&l)
		secret, _ := key(t)
		if _, err := l.Sign(secret); !errors.Is(err, release.ErrFormat) {
			t.Errorf("signed with a %s that nobody can read back: %v", name, err)
		}
	}
}

// FuzzList: what is accepted is the one spelling there is.
func FuzzList(f *testing.F) {
	f.Add(list().Text())
	f.Add("schakel.example/release/v1\nversion v0\ncommit \ngo go\nfile a 1 \n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := release.ParseText(text)
		if err != nil {
			return
		}
		if l.Text() != text {
			t.Fatalf("another spelling was accepted:\n%q\n%q", text, l.Text())
		}
	})
}

// FuzzOpen gives Open any file: only what the pinned key signed comes out.
func FuzzOpen(f *testing.F) {
	secret, verifier := key(f)
	signed, err := list().Sign(secret)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if l, err := release.Open(raw, verifier); err == nil && l.Text() != list().Text() {
			t.Fatalf("a list that nobody signed: %s", raw)
		}
	})
}
