package cli_test

import (
	"strings"
	"testing"

	"schakel/clients/cli"
)

func TestCompletion(t *testing.T) {
	p := newPlace(t)
	p.serve(fullNode())
	for want, args := range map[string][]string{
		"4f1c09aa00\tmelding from arts/praktijk": {"read", ""},
		"4f1c09aa00\tmelding to vt20/crisis":     {"wait", ""},
		"knooppunt/piket\tLandelijk Knooppunt":   {"send", "--to", ""},
		"P. Iket\tpiketdienst":                   {"ack", "4f1c", "--person", ""},
		"strafbaar-feit-melding":                 {"send", "--class", ""},
		"veilig-thuis":                           {"init", "--role", ""},
	} {
		out, _ := p.must(cli.Done, append([]string{"__complete"}, args...)...)
		if !strings.Contains(out, want) {
			t.Errorf("%v: no %q in\n%s", args, want, out)
		}
	}
	if out, _ := newPlace(t).must(cli.Done, "__complete", "read", ""); strings.Contains(out, "failed") {
		t.Errorf("without a device there is nothing to suggest, and nothing to complain of:\n%s", out)
	}
}
