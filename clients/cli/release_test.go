package cli_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"schakel/clients/cli"
	"schakel/clients/release"
	"schakel/crypto/trust"
)

// released is a folder with a program, the list of it and the key to pin.
type released struct {
	*ceremony
	program, list, key string
}

func newReleased(t *testing.T) released {
	c := newCeremony(t)
	r := released{ceremony: &c, program: c.file("schakel"), list: c.file("release.txt")}
	writeFile(t, r.program, "a program", 0o755)
	r.key = r.sign(t, r.list, r.program)
	return r
}

// sign writes a signed list of a program at path, and returns the key it was signed with.
func (r released) sign(t *testing.T, path, program string) (verifier string) {
	t.Helper()
	secret, verifier, err := release.NewKey("schakel.example/releases")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	l := release.List{Version: "v1.0.0", Commit: strings.Repeat("0a", 20), Go: "go1.26.8",
		Files: []release.File{{Name: "linux-amd64/" + filepath.Base(program), Size: int64(len(content)), Hash: sha256.Sum256(content)}}}
	signed, err := l.Sign(secret)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(signed), 0o644)
	return verifier
}

// An administrator sees by the exit code which of the ways it is in which a program is not
// the one that was released.
func TestG05ReleaseVerify(t *testing.T) {
	r := newReleased(t)
	out, _ := r.must(cli.Done, "release", "verify", r.list, r.program, "--key", r.key)
	if !contains(out, "linux-amd64/schakel of v1.0.0", "not compared", "released") {
		t.Error(out)
	}
	out, _ = r.must(cli.Done, "release", "verify", r.list, r.program, "--key", r.key, "--json")
	if !contains(out, `"schakel.release/1"`, `"register": null`) {
		t.Error(out)
	}
	r.must(cli.Usage, "release", "verify", r.list, r.program)
	stranger := r.sign(t, r.file("theirs.txt"), r.program)
	_, stderr := r.must(cli.Unverified, "release", "verify", r.list, r.program, "--key", stranger)
	if !contains(stderr, "signed by nobody whose key was pinned", "by telephone") {
		t.Error(stderr)
	}
	r.must(cli.Unverified, "release", "verify", r.file("theirs.txt"), r.program, "--key", r.key)
	r.must(cli.NotFound, "release", "verify", r.list, writeFile(t, r.file("other"), "something else", 0o755), "--key", r.key)
	r.must(cli.NotFound, "release", "verify", r.list, "--key", r.key) // the one that runs: this test
	if err := os.WriteFile(r.program, []byte("another program"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, stderr = r.must(cli.Unverified, "release", "verify", r.list, r.program, "--key", r.key)
	if !contains(stderr, "not the program that was released", "do not run it") {
		t.Error(stderr)
	}
}

// The pinned key may stand in the configuration, and must be one.
func TestG05PinnedKey(t *testing.T) {
	r := newReleased(t)
	r.configFile(`release-key = "` + r.key + `"`)
	r.must(cli.Done, "release", "verify", r.list, r.program)
	r.configFile(`release-key = "schakel.example/releases"`)
	r.must(cli.BadConfig, "release", "verify", r.list, r.program)
}

// What root holders sign into the register is what everybody has; a list for one partner
// alone is not in it, and what was revoked is not to be run.
func TestG05ReleaseInTheRegister(t *testing.T) {
	r := newReleased(t)
	fingerprint := r.begin("--threshold", "2", "--roots", "3")
	register := r.file("root/register.txt")
	verify := []string{"release", "verify", r.list, r.program, "--key", r.key, "--register", register, "--genesis", fingerprint}
	if _, stderr := r.must(cli.Unverified, verify...); !contains(stderr, "has no release v1.0.0") {
		t.Error(stderr)
	}
	one, two, out := r.file("root/root-1/root.key"), r.file("root/root-2/root.key"), r.file("v1.entries")
	enter := []string{"register", "release", "--dir", r.file("root"), "--out", out, "--of", r.key, "--key"}
	r.must(cli.Partly, append(enter, one, r.list)...)
	r.must(cli.Unverified, verify...)
	r.must(cli.Done, append(enter, two, out)...)
	said, _ := r.must(cli.Done, verify...)
	if !contains(said, "has this list (entry 2)") || contains(said, "NOT") {
		t.Error(said)
	}
	if said, _ := r.must(cli.Done, verify[:len(verify)-2]...); !contains(said, "NOT compared") {
		t.Error("nobody compared the fingerprint of the register, and it does not say so: " + said)
	}
	r.must(cli.Conflict, append(enter, one, r.list)...)
	theirs := r.file("theirs.txt")
	program := writeFile(t, filepath.Join(t.TempDir(), "schakel"), "for one partner", 0o755)
	stranger := r.sign(t, theirs, program)
	_, stderr := r.must(cli.Unverified, "release", "verify", theirs, program, "--key", stranger, "--register", register)
	if !contains(stderr, "another list for v1.0.0") {
		t.Error(stderr)
	}
	r.must(cli.Unverified, "release", "verify", r.list, r.program, "--key", r.key, "--register", register, "--genesis", "12345 67890")
	r.must(cli.Done, "register", "revoke", "--dir", r.file("root"), "--key", one, "--key", two, "--subject", "release/v1.0.0", "--reason", "compromised", "--out", r.file("end.txt"))
	ended, err := os.ReadFile(r.file("end.txt"))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(register)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, register, string(whole)+string(ended), 0o644)
	if _, stderr := r.must(cli.Unverified, verify...); !contains(stderr, "was revoked") {
		t.Error(stderr)
	}
}

// Who signs a list signs programs of Schakel that others can build again, and nothing else.
func TestG05ReleaseSignRefuses(t *testing.T) {
	r := newReleased(t)
	secretKey := r.file("release.key")
	out, _ := r.must(cli.Done, "release", "key", "--name", "schakel.example/releases", "--out", secretKey)
	if release.CheckKey(strings.TrimSpace(out)) != nil {
		t.Errorf("no key to pin: %q", out)
	}
	r.must(cli.Conflict, "release", "key", "--name", "schakel.example/releases", "--out", secretKey)
	folder := t.TempDir()
	sign := []string{"release", "sign", folder, "--key", secretKey, "--version", "v1.0.0", "--commit", strings.Repeat("0a", 20)}
	r.must(cli.Usage, sign...) // nothing in it
	writeFile(t, filepath.Join(folder, "notes.txt"), "no program", 0o644)
	r.must(cli.Refused, sign...)
	if err := os.Remove(filepath.Join(folder, "notes.txt")); err != nil {
		t.Fatal(err)
	}
	running, err := os.Executable() // built by Go, for this test, and not as a release
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(running, filepath.Join(folder, "schakel")); err != nil {
		t.Fatal(err)
	}
	r.must(cli.Refused, sign...)
	if err := os.Chmod(secretKey, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr := r.must(cli.Refused, sign...); !contains(stderr, "can be read by others") {
		t.Error(stderr)
	}
}

// The doctor compares the program that runs with what the administrator pinned.
func TestG05DoctorLooksAtTheProgram(t *testing.T) {
	r := newReleased(t)
	r.begin()
	running, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	key := r.sign(t, r.list, running)
	before := entriesIn(t, r.file("root/register.txt"))
	r.must(cli.Done, "register", "release", "--dir", r.file("root"), "--out", r.file("v1.entries"), "--of", key, r.list)
	after := entriesIn(t, r.file("root/register.txt"))
	other := r.file("other.txt")
	pinned := "release-key = %KEY%\nrelease-list = \"%LIST%\"\n"
	for name, c := range map[string]struct {
		key, list string
		entries   [][]byte
		result    string
		says      string
	}{
		"as released":           {key, r.list, after, "ok", "as the register has it"},
		"not in the register":   {key, r.list, before, "warn", "does not have this release"},
		"another key is pinned": {r.sign(t, other, running), r.list, after, "fail", "nobody whose key was pinned"},
		"of another release":    {r.sign(t, other, r.program), other, after, "fail", "no program of this release"},
		"no list":               {key, "", after, "fail", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := doctorAt(t, &scripted{entries: c.entries},
				strings.NewReplacer("%KEY%", `"`+c.key+`"`, "%LIST%", c.list).Replace(pinned))
			if got["program"].Result != c.result || !strings.Contains(got["program"].Evidence, c.says) {
				t.Errorf("got %+v", got["program"])
			}
		})
	}
	if got, _ := doctor(t, &scripted{}); got["program"].Result != "" {
		t.Errorf("nothing is pinned: %+v", got["program"])
	}
}

func entriesIn(t *testing.T, path string) [][]byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := trust.ParseEntries(raw)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}
