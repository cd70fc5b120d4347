package cli_test

import (
	"testing"

	"schakel/clients/cli"
	"schakel/clients/schakel"
)

// TestCompareDesks: what somebody heard reaches the node with who signs it.
func TestCompareDesks(t *testing.T) {
	p, n := newPlace(t), &scripted{}
	p.serve(n)
	pin := writeFile(t, t.TempDir()+"/pin", "123456\n", 0o600)
	ann := []string{"--person", "A. Nnie", "--pin-file", pin}
	p.must(cli.Done, append([]string{"desks", "verify", "knooppunt/piket", "--fingerprint", "12345 67890"}, ann...)...)
	if n.last() != "verify knooppunt/piket 12345 67890 A. Nnie 123456" {
		t.Errorf("%q", n.last())
	}
	p.must(cli.Done, append([]string{"desks", "refuse", "knooppunt/piket"}, ann...)...)
	if n.last() != "refuse knooppunt/piket A. Nnie 123456" {
		t.Errorf("%q", n.last())
	}
	p.must(cli.Usage, append([]string{"desks", "verify", "knooppunt/piket"}, ann...)...)
	p.must(cli.Usage, append([]string{"desks", "refuse", "piket"}, ann...)...)
	n.personErr = schakel.ErrKeyMismatch
	p.must(cli.Unverified, append([]string{"desks", "verify", "knooppunt/piket", "--fingerprint", "1"}, ann...)...)
}
