package browser_test

import (
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"schakel/clients/demo"
	"schakel/clients/desk/web/formbody"
	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/configs"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// The desks that tell the case, of those of the demonstration.
const (
	doctor    identity.DeskID = "arts/praktijk"
	veilig    identity.DeskID = "vt20/crisis"
	officers  identity.DeskID = "politie-mn/oc"
	knooppunt identity.DeskID = "knooppunt/piket"
	buza      identity.DeskID = "buza/consulair"
)

var programs = flag.String("programs", "", "folder with both programs; empty: they are built")

// chain is one of real processes: a relay, and desks whose web desks are open.
type chain struct {
	*demo.Local
	scenario demo.Scenario
	program  string
}

// startChain starts both programs as the demonstration does.
func startChain(t *testing.T) *chain {
	t.Helper()
	dir := *programs
	if dir == "" {
		dir = t.TempDir()
		// As other tests build them, so that what is built is there: the race detector looks at those.
		build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+string(filepath.Separator), "schakel/cmd/schakel", "schakel/cmd/schakel-relay")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building the programs: %v\n%s", err, out)
		}
	}
	c := &chain{program: filepath.Join(dir, "schakel")}
	var err error
	c.scenario, err = demo.Parse(configs.Scenario)
	ok(t, err)
	c.scenario.Desks = slices.DeleteFunc(c.scenario.Desks, func(d demo.Desk) bool { return len(d.Persons) == 0 })
	c.Local, err = demo.Start(t.Context(), demo.LocalConfig{Scenario: c.scenario, Program: c.program, Relay: filepath.Join(dir, "schakel-relay"), Parent: t.TempDir(), Web: true})
	t.Cleanup(func() {
		if c.Local != nil {
			ok(t, c.Close())
		}
	})
	ok(t, err)
	return c
}

// person is who signs at a desk.
func (c *chain) person(id identity.DeskID) string {
	d, _ := c.scenario.Desk(id)
	return d.Persons[0].Name
}

// letter is a message that somebody writes: the example of its class, typed into its form.
type letter struct {
	class   string
	urgency message.Urgency
	to      []identity.DeskID
	with    map[string]any // in place of what the example says
	file    string         // that goes along; empty: none
}

// entries are what is typed for a letter. What Schakel fills in by itself is left out:
// the names of messages and cases, which an example makes up.
func (l letter) entries(t *testing.T) (out []entry) {
	t.Helper()
	e, err := protocol.V1().Example(l.class)
	ok(t, err)
	form, err := protocol.V1().Form(l.class)
	ok(t, err)
	v, err := protocol.ParseValues(e.Body)
	ok(t, err)
	delete(v, "bijlagen")
	for k, x := range l.with {
		v[k] = x
		if x == nil {
			delete(v, k)
		}
	}
	for name, values := range formbody.Typed(form, v, calendar.Zone()) {
		if made := strings.Contains(values[0], "019ab2c0-") || strings.HasPrefix(values[0], "sha256:"); !made && !strings.HasSuffix(name, ".rows") {
			out = append(out, entry{name, values})
		}
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	to := entry{Name: "to"}
	for _, id := range l.to {
		to.Values = append(to.Values, string(id))
	}
	u := l.urgency
	if u == "" {
		u = e.Kop.Urgency
	}
	return append(out, to, entry{"urgency", []string{string(u)}})
}

// label is the name of a class as a reader sees it.
func label(t *testing.T, class, lang string) string {
	t.Helper()
	form, err := protocol.V1().Form(class)
	ok(t, err)
	if lang == "en" {
		return form.Label.EN
	}
	return form.Label.NL
}

// rowOf is the list that a field is in that is not there yet: v.personen of
// v.personen.1.naam.
func rowOf(name string) (list string, is bool) {
	parts := strings.Split(name, ".")
	for i := len(parts) - 1; i > 0; i-- {
		var n int
		if _, err := fmt.Sscanf(parts[i], "%d", &n); err == nil {
			return strings.Join(parts[:i], "."), true
		}
	}
	return "", false
}
