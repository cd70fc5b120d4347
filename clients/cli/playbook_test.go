package cli_test

import (
	"path/filepath"
	"strings"
	"testing"

	"schakel/clients/cli"
	"schakel/configs"
)

func TestPlaybook(t *testing.T) {
	p := newPlace(t)
	out, _ := p.must(cli.Done, "playbook", "acuut-thuis")
	for _, want := range []string{"NOOIT", "bel: 112", "bel: 0800-2000", "bericht: melding (acuut) -> veilig-thuis, politie"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if out, _ := p.must(cli.Done, "playbook", "acuut-thuis", "--english"); !strings.Contains(out, "NEVER") || strings.Contains(out, "NOOIT") {
		t.Errorf("not in English:\n%s", out)
	}
	if _, errs := p.must(cli.Usage, "playbook", "acuut-thui"); !strings.Contains(errs, `did you mean "acuut-thuis"`) {
		t.Errorf("stderr: %s", errs)
	}
	p.must(cli.Usage, "playbook", "a", "b")
	own := writeFile(t, filepath.Join(t.TempDir(), "own.toml"), strings.Replace(string(configs.Playbook), "Acuut gevaar thuis", "Gevaar in huis", 1), 0o644)
	if out, _ := p.must(cli.Done, "playbook", "--file", own); !strings.Contains(out, "Gevaar in huis") {
		t.Errorf("another playbook than the one that was named:\n%s", out)
	}
	broken := writeFile(t, filepath.Join(t.TempDir(), "broken.toml"), strings.Replace(string(configs.Playbook), `telephone = "112"`, ``, 1), 0o644)
	if _, errs := p.must(cli.BadConfig, "playbook", "--file", broken); !strings.Contains(errs, "what to do: mend the playbook") {
		t.Errorf("stderr: %s", errs)
	}
}

func TestCard(t *testing.T) {
	p := newPlace(t)
	p.serve(region())
	out, _ := p.must(cli.Done, "card", "--html")
	for _, want := range []string{"<!DOCTYPE html>", `<html lang="nl">`, "112", "31600000006", "2026-11-24"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if out, _ := p.must(cli.Done, "card", "--english"); !strings.Contains(out, "OUTAGE CARD") {
		t.Errorf("not in English:\n%s", out)
	}
	empty := newPlace(t)
	empty.must(cli.NotFound, "card")
}
