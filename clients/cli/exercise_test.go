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
	p := newPlace(t)
	node := &scripted{}
	p.serve(node)
	body := writeFile(t, p.home+"/body.json", `{}`, 0o600)
	p.must(cli.Done, "send", "--exercise", "--class", "adviesvraag", "--urgency", "spoed", "--to", "knooppunt/piket", "--body", body)
	if len(node.drafts) != 1 || !node.drafts[0].Exercise {
		t.Errorf("the draft is no exercise: %+v", node.drafts)
	}
}
