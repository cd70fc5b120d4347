package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"schakel/clients/demo"
	"schakel/clients/schakel"
)

// teller tells the audience of a demonstration what happens: in words, or one JSON
// document per line.
type teller struct {
	*app
	lines bool
	wait  bool
	enter chan struct{}
	stop  chan struct{}
	facts map[demo.FactKind]int
}

var _ demo.Teller = (*teller)(nil)

func (a *app) newTeller(f demoFlags) *teller {
	in, isFile := a.In.(*os.File)
	t := &teller{app: a, lines: f.jsonLines, facts: map[demo.FactKind]int{}, stop: make(chan struct{})}
	t.wait = !f.auto && !f.headless && !f.jsonLines && isFile && term.IsTerminal(int(in.Fd()))
	if f.headless {
		a.paint = false
	}
	if t.wait {
		t.enter = make(chan struct{})
		go t.listen(in)
	}
	return t
}

// listen passes on each Enter. It ends with the terminal, or with the process.
func (t *teller) listen(in *os.File) {
	defer close(t.enter)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		select {
		case t.enter <- struct{}{}:
		case <-t.stop:
			return
		}
	}
}

func (t *teller) close() { close(t.stop) }

// line is one line for machines.
type line struct {
	Schema string         `json:"schema"`
	Event  string         `json:"event"`
	N      int            `json:"n,omitempty"`
	Step   *demo.Step     `json:"step,omitempty"`
	Fact   *demo.Fact     `json:"fact,omitempty"`
	Seen   []schakel.Seen `json:"seen,omitempty"`
	Text   string         `json:"text,omitempty"`
}

func (t *teller) write(l line) {
	l.Schema = "schakel.demo/1"
	b, err := json.Marshal(l)
	if err == nil {
		t.printf("%s\n", inertJSON(b))
	}
}

func (t *teller) begin(s demo.Scenario) {
	if t.lines {
		t.write(line{Event: "begin", Text: s.Title})
		return
	}
	t.printf("%s\n\n", t.in(bold, s.Title+". Everything here is fictional."))
	t.printf("Starting a relay and %d desks, each a process of its own with its own keys...\n", len(s.Desks))
}

func (t *teller) ready(world *demo.Local, s demo.Scenario) {
	if t.lines {
		t.write(line{Event: "ready", Text: world.Dir()})
		return
	}
	var rows [][]cell
	for _, d := range s.Desks {
		rows = append(rows, []cell{{"  " + string(d.ID), bold}, {string(d.Role), plain}, {d.Name, dim}})
	}
	t.table(rows)
	t.printf("Each desk joined with an invitation and a fingerprint, as partners do.\n")
}

// links tells the way into each web desk, where they are open.
func (t *teller) links(ctx context.Context, world *demo.Local, s demo.Scenario, web bool) error {
	if !web {
		return nil
	}
	var rows [][]cell
	for _, d := range s.Desks {
		for _, p := range d.Persons {
			link, err := world.Link(ctx, d.ID, p.Name)
			if err != nil {
				return err
			}
			rows = append(rows, []cell{{"  " + string(d.ID), bold}, {p.Name, plain}, {link, plain}})
			if t.lines {
				t.write(line{Event: "link", Text: link})
			}
		}
	}
	if !t.lines {
		t.printf("\nOpen a link in a browser on this machine; each works once, within ten minutes. The PIN is %s.\n", demo.PIN)
		t.table(rows)
	}
	return nil
}

// Step implements demo.Teller.
func (t *teller) Step(ctx context.Context, n int, s demo.Step) error {
	if t.lines {
		t.write(line{Event: "step", N: n, Step: &s})
		return nil
	}
	if err := t.pause(ctx, "Enter: go on"); err != nil {
		return err
	}
	t.printf("\n%s %s\n", t.in(bold, fmt.Sprintf("%2d.", n)), wrap(s.Say, 86, "    "))
	return nil
}

// pause waits for Enter where somebody sits at a terminal.
func (t *teller) pause(ctx context.Context, what string) error {
	if !t.wait {
		return ctx.Err()
	}
	fmt.Fprintf(t.Err, "%s", t.in(dim, "["+what+"] "))
	select {
	case <-ctx.Done():
		fmt.Fprintln(t.Err)
		return ctx.Err()
	case _, more := <-t.enter:
		t.wait = more
		return nil
	}
}

// Fact implements demo.Teller.
func (t *teller) Fact(f demo.Fact) {
	t.facts[f.Kind]++
	if t.lines {
		t.write(line{Event: "fact", N: f.Step, Fact: &f})
		return
	}
	paint := map[demo.FactKind]colour{demo.FactArrived: green, demo.FactAcknowledged: green, demo.FactRepaired: green,
		demo.FactRefused: red, demo.FactForbidden: red, demo.FactTampering: red, demo.FactWaiting: yellow, demo.FactAway: yellow}
	text := f.Text
	if f.By != "" {
		text = f.By + ": " + text
	}
	if f.Rule != "" {
		text += " (" + f.Rule + ")"
	}
	t.printf("      %-16s %-22s %s\n", f.Desk, f.Class, t.in(paint[f.Kind], text))
}

func (t *teller) end(ctx context.Context, world *demo.Local, s demo.Scenario, seen []schakel.Seen) error {
	if t.lines {
		t.write(line{Event: "seen", Seen: seen})
		return nil
	}
	t.printf("\n%s\n", t.in(bold, "What the relay saw of all this:"))
	t.showSeen(seen)
	t.printf("\n%d steps, %d classes of message. %d deliveries opened, each byte for byte as signed.\n", len(s.Steps), classesTold(s),
		t.facts[demo.FactArrived]+t.facts[demo.FactRepaired])
	t.printf("Refused before sealing: %d. Changed by the relay and refused: %d, delivered again: %d. Nothing lost.\n",
		t.facts[demo.FactForbidden], t.facts[demo.FactRefused], t.facts[demo.FactRepaired])
	if t.wait {
		t.printf("\nThe desks still run. Look around in another terminal, for instance:\n")
		t.printf("  schakel --home %s inbox\n  schakel demo peek\n", world.Home(s.Desks[1].ID))
	}
	return t.pause(ctx, "Enter: end, and remove everything")
}

func (t *teller) cleared() {
	if t.lines {
		t.write(line{Event: "cleared"})
		return
	}
	t.printf("\nNothing runs any more, and nothing is left behind.\n")
}

// wrap breaks text into lines of at most width characters.
func wrap(text string, width int, indent string) string {
	var out strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		if column > 0 && column+1+len(word) > width {
			out.WriteString("\n" + indent)
			column = 0
		} else if column > 0 {
			out.WriteString(" ")
			column++
		}
		out.WriteString(word)
		column += len(word)
	}
	return out.String()
}
