package cli_test

import (
	"testing"

	"schakel/clients/cli"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
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
	p.must(cli.Done, append([]string{"desks", "confirm", "knooppunt/piket", "--called", "+31600000006"}, ann...)...)
	if want := "confirm knooppunt/piket " + (identity.DeviceID{9}).String() + " +31600000006 A. Nnie 123456"; n.last() != want {
		t.Errorf("%q, want %q", n.last(), want)
	}
	p.must(cli.Usage, append([]string{"desks", "confirm", "knooppunt/piket"}, ann...)...)
	p.must(cli.NotFound, append([]string{"desks", "confirm", "politie-re03/oc", "--called", "+31600000006"}, ann...)...)
	n.desks = []schakel.Desk{{ID: "a/b", NewDevices: []schakel.NewDevice{{ID: identity.DeviceID{1}, Waits: now()}, {ID: identity.DeviceID{2}, Waits: now()}}}}
	p.must(cli.Usage, append([]string{"desks", "confirm", "a/b", "--called", "+31600000006"}, ann...)...)
	p.must(cli.Done, append([]string{"desks", "confirm", "a/b", "--called", "+31600000006", "--device", (identity.DeviceID{2}).String()}, ann...)...)
	n.desks = nil
	n.personErr = schakel.ErrKeyMismatch
	p.must(cli.Unverified, append([]string{"desks", "verify", "knooppunt/piket", "--fingerprint", "1"}, ann...)...)
}
