package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/rights"
	"schakel/clients/desk/webhook"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

func page(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../../docs/api.md")
	ok(t, err)
	return string(raw)
}

// TestExamplesOfThePage runs what docs/api.md tells to type, with a real curl.
func TestExamplesOfThePage(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not here")
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(page(t), -1)
	if len(blocks) < 4 {
		t.Fatalf("%d examples", len(blocks))
	}
	o := open(t)
	p := o.worker()
	hash := o.report(nil)
	var letter schakel.Letter
	p.want(200, "POST", "/v1/messages/"+hash+"/openings", schakel.By{}).into(t, &letter)
	rota, err := json.Marshal(aRota(o))
	ok(t, err)
	p.want(200, "PUT", "/v1/rota", string(rota), "If-None-Match", "*")
	env := append(os.Environ(), "API="+o.base, "TOKEN="+p.secret, "MESSAGE="+hash, "CASE="+letter.Case, "PERSON="+o.person.ID.String(), "PIN="+schakeltest.PIN, "ROTA="+string(rota),
		"DESK="+string(o.doctor.Desk), "HEARD="+deskOf(o, p).Fingerprint, "no_proxy=*")
	for _, b := range blocks {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		c := exec.CommandContext(ctx, "sh", "-euc", b[1])
		c.Env = env
		if out, err := c.CombinedOutput(); err != nil || len(out) == 0 || !strings.Contains(string(out), "{") {
			t.Errorf("%v: %s\n%s", err, b[1], out)
		}
		cancel()
	}
	if d := deskOf(o, p); d.Key != schakel.KeyVerified {
		t.Errorf("the example did not compare the key: %+v", d)
	}
	all, err := o.member.Node.List(t.Context(), schakel.Filter{Limit: 10})
	if err != nil || all[0].AckBy != o.person.Name {
		t.Errorf("the example did not acknowledge: %+v, %v", all, err)
	}
}

// aRota is a rota of one person.
func aRota(o *office) map[string]any {
	return map[string]any{"roster": map[string]any{"version": 1, "people": []any{map[string]any{"contact": "p-7k2", "name": "P. Iket", "phone": "+31600000007", "person": o.person.ID.String()}},
		"layers": []any{map[string]any{"rules": []any{map[string]any{"from": "2026-01-01T08:00", "to": "2026-01-02T08:00", "repeat": "FREQ=DAILY", "contacts": []string{"p-7k2"}}}}}, "fallback": []string{"p-7k2"}}, "by": by(o)}
}

// TestThePageSaysWhatIs: scopes and times in docs/api.md are those of the program.
func TestThePageSaysWhatIs(t *testing.T) {
	text := page(t)
	var scopes []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z:-]+)` \\|").FindAllStringSubmatch(text, -1) {
		scopes = append(scopes, m[1])
	}
	if !slices.Equal(scopes, rights.Scopes()) {
		t.Errorf("scopes %v, want %v", scopes, rights.Scopes())
	}
	var times []string
	for _, d := range webhook.Schedule() {
		unit := map[bool]string{true: fmt.Sprintf("%d h", int(d.Hours())), false: fmt.Sprintf("%d min", int(d.Minutes()))}[d >= time.Hour]
		if d < time.Minute {
			unit = fmt.Sprintf("%d s", int(d.Seconds()))
		}
		times = append(times, unit)
	}
	last := len(times) - 1
	if said := "after " + strings.Join(times[:last], ", ") + " and " + times[last] + "."; !strings.Contains(text, said) {
		t.Errorf("the page does not say %q", said)
	}
}

// TestRemedies: every code that can be answered has a remedy in both languages, and none
// is about a code that is no more.
func TestRemedies(t *testing.T) {
	raw, err := os.ReadFile("remedies.csv")
	ok(t, err)
	said := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || cells[3] == "" || cells[4] == "" || (cells[1] == "") != (cells[2] == "") || said[cells[0]] {
			t.Errorf("%q", line)
		}
		said[cells[0]] = true
	}
	for _, code := range desk.Codes() {
		if !said[code] {
			t.Errorf("no remedy for %s", code)
		}
		delete(said, code)
	}
	source, err := os.ReadFile("problem.go")
	ok(t, err)
	for _, m := range regexp.MustCompile(`, "([a-z-]+)", http\.Status`).FindAllStringSubmatch(string(source), -1) {
		if !said[m[1]] {
			t.Errorf("no remedy for %s", m[1])
		}
		delete(said, m[1])
	}
	if len(said) > 0 {
		t.Errorf("remedies for nothing: %v", slices.Sorted(maps.Keys(said)))
	}
}
