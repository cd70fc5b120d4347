package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// varies is what differs from one run of the demonstration to the next.
var varies = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "ENVELOPE"},
	{regexp.MustCompile(`\d+ +sealed`), "N sealed"},
	{regexp.MustCompile(`and \d+ envelopes`), "and N envelopes"},
	{regexp.MustCompile(`ENVELOPE +FOR DESK +ATTENTION +BYTES`), "HEADS"},
	{regexp.MustCompile(` +\n`), "\n"},
}

func unvaried(s string) string {
	for _, v := range varies {
		s = v.pattern.ReplaceAllString(s, v.with)
	}
	return s
}

// told finds each piece of what a page shows, which it cuts at "...", in what a program
// said, in that order. It returns the first piece that is not there.
func told(page, said string) error {
	_, rest, found := strings.Cut(page, "<!-- demo output -->")
	block, _, closed := strings.Cut(rest, "<!-- /demo output -->")
	fence := strings.Split(block, "```")
	if !found || !closed || len(fence) != 3 {
		return fmt.Errorf("no demo output in the page")
	}
	said = unvaried(said)
	pieces := regexp.MustCompile(`(?m)^ *\.\.\.$`).Split(fence[1], -1)
	if len(pieces) < 5 {
		return fmt.Errorf("only %d pieces", len(pieces))
	}
	for _, piece := range pieces {
		piece = strings.Trim(unvaried(piece), "\n")
		_, after, there := strings.Cut(said, piece)
		if !there {
			return fmt.Errorf("it does not say, at this place:\n%s", piece)
		}
		said = after
	}
	if strings.TrimSpace(said) != "" {
		return fmt.Errorf("and then it says:\n%s", said)
	}
	return nil
}

// What README shows of `make demo DEMO=--auto` is what that prints.
func TestReadmeShowsTheDemonstration(t *testing.T) {
	if testing.Short() {
		t.Skip("plays the demonstration")
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	bin := buildPrograms(t)
	temp, err := os.MkdirTemp("", "demo") // a short path: sockets are in it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	demo := exec.CommandContext(t.Context(), filepath.Join(bin, "schakel"), "demo", "--store", "bolt", "--auto")
	demo.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + temp, "TMPDIR=" + temp}
	said, err := demo.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if err := told(string(readme), string(said)); err != nil {
		t.Errorf("%v\n\nall it says:\n%s", err, said)
	}
	for _, lie := range [][2]string{{"refused before anything was sealed (R02)", "refused before anything was sealed (R03)"}, {"Nothing lost.", "Little lost."},
		{" 5. The doctor", " 6. The doctor"}} {
		if told(strings.Replace(string(readme), lie[0], lie[1], 1), string(said)) == nil {
			t.Errorf("control: README may say %q", lie[1])
		}
	}
}
