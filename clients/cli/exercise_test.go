package cli_test

import (
	"strings"
	"testing"

	"schakel/clients/cli"
	"schakel/clients/schakel"
)

// An exercise says so before anything else on every screen that shows a message; a real
// message never does.
func TestExerciseIsUnmistakable(t *testing.T) {
	for _, exercise := range []bool{true, false} {
		m := inbound()
		m.Exercise = exercise
		p := newPlace(t)
		node := fullNode()
		node.listed, node.exercise = []schakel.Summary{m}, exercise
		p.serve(node)
		for _, args := range [][]string{{"inbox"}, {"read", "4f1c"}, {"sent", "4f1c"}} {
			out, _ := p.must(cli.Done, args...)
			if strings.Contains(out, "OEFENING") != exercise {
				t.Errorf("%v shows an exercise: %v, want %v\n%s", args, !exercise, exercise, out)
			}
			if args[0] != "inbox" && strings.HasPrefix(out, "OEFENING") != exercise {
				t.Errorf("%v does not say it first:\n%s", args, out)
			}
		}
	}
}

// Who sends into the case of an exercise hears so, whether they asked for it or not.
func TestSenderHearsOfTheExercise(t *testing.T) {
	p := newPlace(t)
	node := &scripted{exercise: true}
	p.serve(node)
	body := writeFile(t, p.home+"/body.json", `{}`, 0o600)
	send := []string{"send", "--class", "adviesvraag", "--urgency", "spoed", "--to", "knooppunt/piket", "--body", body}
	if _, errs := p.must(cli.Done, send...); !strings.Contains(errs, "OEFENING") {
		t.Errorf("not told: %s", errs)
	}
	node.exercise = false
	if _, errs := p.must(cli.Done, send...); strings.Contains(errs, "OEFENING") {
		t.Errorf("control: told of an exercise: %s", errs)
	}
	node.drafts = nil
	p.must(cli.Done, append(send, "--exercise")...)
	if len(node.drafts) != 1 || !node.drafts[0].Exercise {
		t.Errorf("the draft is no exercise: %+v", node.drafts)
	}
}
