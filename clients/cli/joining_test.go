package cli_test

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"schakel/clients/cli"
)

var flagName = regexp.MustCompile(`--[a-z-]+`)

// Every command and flag of docs/joining.md exists.
func TestJoiningPage(t *testing.T) {
	raw, err := os.ReadFile("../../docs/joining.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, line := range strings.Split(string(raw), "\n") {
		if !strings.HasPrefix(line, "schakel ") {
			continue
		}
		commands++
		checkCommand(t, line)
	}
	if commands < 15 {
		t.Errorf("%d commands on the page; is it still read?", commands)
	}
}

func checkCommand(t *testing.T, line string) {
	t.Helper()
	var words []string
	for _, w := range strings.Fields(line)[1:] {
		if !regexp.MustCompile(`^[a-z]+$`).MatchString(w) || len(words) == 3 {
			break
		}
		words = append(words, w)
	}
	help := helpOf(words)
	if !strings.Contains(help, "Usage:\n  schakel "+strings.Join(words, " ")) {
		t.Errorf("no such command: %s", line)
	}
	for _, f := range flagName.FindAllString(line, -1) {
		if !strings.Contains(help, f) {
			t.Errorf("`schakel %s` has no %s", strings.Join(words, " "), f)
		}
	}
}

func helpOf(words []string) string {
	var out bytes.Buffer
	cli.Main(context.Background(), append(words, "--help"), cli.Stdio{
		In: bytes.NewReader(nil), Out: &out, Err: &out, Now: time.Now, Zone: time.UTC,
	})
	return out.String()
}

// The check notices what does not exist.
func TestJoiningPageControl(t *testing.T) {
	if strings.Contains(helpOf([]string{"person", "hire"}), "Usage:\n  schakel person hire") {
		t.Error("a command that does not exist has a help")
	}
	if strings.Contains(helpOf([]string{"join"}), "--trust-me") {
		t.Error("a flag that does not exist is in the help")
	}
}
