package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"schakel/clients/cli"
	"schakel/configs"
)

// The way of an administrator: show what there is, write an addition on it, make the
// file, found a register on it, check that it is named; and see what is refused.
func TestAgreement(t *testing.T) {
	p := newCeremony(t)
	path := p.file
	shown, _ := p.must(cli.Done, "agreement", "show")
	digest := strings.TrimPrefix(strings.Fields(shown)[0], "sha256:")
	addition := strings.ReplaceAll(string(configs.Agreement), strings.Repeat("0", 64), digest)
	writeFile(t, path("agreement.toml"), addition, 0o644)
	made, _ := p.must(cli.Done, "agreement", "make", "--addition", path("agreement.toml"), path("agreement.txt"))
	if shown, _ := p.must(cli.Done, "agreement", "show", path("agreement.txt")); !strings.HasPrefix(shown, made) || !strings.Contains(shown, "added by the partners: bezoekafspraak") ||
		!strings.Contains(shown, "PT10M") {
		t.Errorf("made %s, shows %s", made, shown)
	}
	writeFile(t, path("weak.toml"), strings.Replace(addition, `"PT10M"`, `"PT20M"`, 1), 0o644)
	if _, errs := p.must(cli.Refused, "agreement", "make", "--addition", path("weak.toml"), path("weak.txt")); !strings.Contains(errs, "deadlines.acuut.acknowledged") {
		t.Errorf("stderr: %s", errs)
	}
	if _, err := os.Stat(path("weak.txt")); err == nil {
		t.Error("a weak agreement was written")
	}
	p.must(cli.Done, "agreement", "make", path("plain.txt"))
	p.begin("--agreement", path("agreement.txt"))
	p.must(cli.Done, "agreement", "check", path("agreement.txt"), path("root/genesis.txt"))
	p.must(cli.Unverified, "agreement", "check", path("plain.txt"), path("root/genesis.txt"))
	cut, err := os.ReadFile(path("agreement.txt"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path("cut.txt"), string(cut[:len(cut)-1]), 0o644)
	p.must(cli.Unverified, "agreement", "show", path("cut.txt"))
	p.must(cli.NotFound, "agreement", "show", path("none.txt"))
	p.must(cli.Usage, "agreement", "show", "a", "b")
}

// A class of the partners can be sent by who has their agreement, and by nobody else.
func TestSendAnAddedClass(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{})
	dir := t.TempDir()
	shown, _ := p.must(cli.Done, "agreement", "show")
	digest := strings.TrimPrefix(strings.Fields(shown)[0], "sha256:")
	toml := writeFile(t, filepath.Join(dir, "a.toml"), strings.ReplaceAll(string(configs.Agreement), strings.Repeat("0", 64), digest), 0o644)
	file := filepath.Join(dir, "a.txt")
	p.must(cli.Done, "agreement", "make", "--addition", toml, file)
	body := writeFile(t, filepath.Join(dir, "body.json"), `{"wanneer":"2026-12-01T10:00:00Z","doel":"eerste-gesprek"}`, 0o644)
	send := []string{"send", "--class", "bezoekafspraak", "--urgency", "spoed", "--to", "politie-mn/oc", "--body", body}
	p.must(cli.Usage, send...)
	p.must(cli.Done, append(send, "--agreement", file)...)
}
