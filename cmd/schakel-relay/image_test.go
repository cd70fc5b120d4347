package main_test

import (
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instructions are the lines of a Dockerfile by their first word.
func instructions(dockerfile string) (all [][2]string) {
	for line := range strings.Lines(dockerfile) {
		if word, rest, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(word, "#") {
			all = append(all, [2]string{word, rest})
		}
	}
	return all
}

var goImage = regexp.MustCompile(`^golang:([0-9]+\.[0-9]+)\.[0-9]+-[a-z]+ AS build$`)

// wrongInImage looks at the last stage, and at what the first is built from.
func wrongInImage(dockerfile, goMod string) (wrong []string) {
	var last [][2]string
	froms := 0
	for _, i := range instructions(dockerfile) {
		switch i[0] {
		case "FROM":
			last, froms = [][2]string{i}, froms+1
			m := goImage.FindStringSubmatch(i[1])
			if froms == 1 && (m == nil || !strings.Contains(goMod, "\ngo "+m[1]+".")) {
				wrong = append(wrong, "Go is not pinned, or not that of go.mod: "+i[1])
			}
		case "COPY":
			last = append(last, i)
			source, _, _ := strings.Cut(i[1], " ")
			if _, err := os.Stat(filepath.Join(repository, source)); err != nil && !strings.HasPrefix(source, "--from=build") {
				wrong = append(wrong, "not in the repository: "+source)
			}
		default:
			last = append(last, i)
		}
	}
	for _, i := range [][2]string{{"FROM", "scratch"}, {"USER", "65532:65532"}, {"ENTRYPOINT", `["/schakel-relay"]`},
		{"COPY", "--from=build /out/schakel-relay /schakel-relay"}} {
		if !slices.Contains(last, i) {
			wrong = append(wrong, "the image has no "+i[0]+" "+i[1])
		}
	}
	if slices.ContainsFunc(last, func(i [2]string) bool { return i[0] == "RUN" }) {
		wrong = append(wrong, "nothing can run in an empty image")
	}
	return wrong
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestImage looks at Dockerfile without a container engine, and at one with one thing
// wrong, which it must see.
func TestImage(t *testing.T) {
	dockerfile, goMod := read(t, "Dockerfile"), read(t, "go.mod")
	for _, w := range wrongInImage(dockerfile, goMod) {
		t.Error(w)
	}
	for right, crooked := range map[string]string{
		"FROM scratch": "FROM debian:12", "USER 65532:65532": "USER root", "golang:1.26.5-bookworm": "golang:1.25.5-bookworm",
		"COPY crypto": "COPY cryptography", "EXPOSE 8443": "RUN chmod 755 /schakel-relay",
	} {
		text := strings.Replace(dockerfile, right, crooked, 1)
		if text == dockerfile || len(wrongInImage(text, goMod)) == 0 {
			t.Errorf("nothing is wrong with %q in place of %q", crooked, right)
		}
	}
}

// TestImageBuilds runs the line of Dockerfile that builds the program, on what
// .dockerignore lets through and COPY takes, and nothing else. The program is
// static, and what decrypts was not there.
func TestImageBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	src, out := t.TempDir(), t.TempDir()
	var line string
	for _, i := range instructions(read(t, "Dockerfile")) {
		words := strings.Fields(i[1])
		if i[0] == "COPY" && !strings.HasPrefix(i[1], "--from") {
			for _, source := range words[:len(words)-1] {
				take(t, src, source)
			}
		}
		if i[0] == "RUN" && strings.Contains(i[1], "go build") {
			line = strings.ReplaceAll(i[1], "/out/", out+"/")
		}
	}
	if _, err := os.Stat(filepath.Join(src, "crypto", "seal")); err == nil {
		t.Error("the code to decrypt is there")
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = src
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, said)
	}
	program, err := elf.Open(filepath.Join(out, "schakel-relay"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC }) {
		t.Error("the program is not static: an empty image cannot run it")
	}
}

// take copies a file or folder of the repository, without what .dockerignore holds back.
func take(t *testing.T, to, source string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(repository, source), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		inside, err := filepath.Rel(repository, name)
		if err != nil || heldBack(read(t, ".dockerignore"), filepath.ToSlash(inside)) {
			return err
		}
		target := filepath.Join(to, inside)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// heldBack says what .dockerignore does with a file: of the lines that fit it or a
// folder above it, the last one counts.
func heldBack(ignore, name string) (held bool) {
	for line := range strings.Lines(ignore) {
		pattern, comes := strings.CutPrefix(strings.TrimSpace(line), "!")
		if pattern == "" || pattern[0] == '#' {
			continue
		}
		for part := name; part != "."; part = path.Dir(part) {
			fits, _ := path.Match(pattern, part)
			if rest, anywhere := strings.CutPrefix(pattern, "**/"); anywhere {
				fits, _ = path.Match(rest, path.Base(part))
			}
			if fits {
				held = !comes
			}
		}
	}
	return held
}

// TestHeldBack holds the reading of .dockerignore to what is documented of it.
func TestHeldBack(t *testing.T) {
	const ignore = "# all\n*\n!relay\n!cmd/one\nrelay/secret\n**/*_test.go\n"
	for name, want := range map[string]bool{
		"README.md": true, "relay/a.go": false, "relay/wire/b.go": false, "relay/secret/c.go": true, "relay/wire/b_test.go": true,
		"cmd/two/main.go": true, "cmd/one/main.go": false,
	} {
		if heldBack(ignore, name) != want {
			t.Errorf("%s held back: %v", name, !want)
		}
	}
}
