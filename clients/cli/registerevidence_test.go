package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"schakel/clients/cli"
	"schakel/crypto/evidence"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// A file of evidence says on any machine, in plain words, whom it is against; a doctored
// one, and the fingerprint of another register, are refused.
func TestEvidenceVerify(t *testing.T) {
	chain := trusttest.New(time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC))
	chain.AddDesk("vt20/crisis", identity.RoleVeiligThuis)
	reg := chain.Register()
	f := evidence.File{Version: evidence.Version, Kind: evidence.KindFork, Size: reg.Size(),
		Checkpoints: [][]byte{chain.Checkpoint(reg.Size(), reg.Root()), chain.Checkpoint(reg.Size(), trust.Hash{1})},
		Roots:       []trust.Hash{reg.Root(), {1}}, Proofs: [][]trust.Hash{{}, {}}}
	if err := f.SetEntries(chain.Entries()); err != nil {
		t.Fatal(err)
	}
	raw, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bewijs.bin")
	write := func(b []byte) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := newPlace(t)
	write(raw)
	out, _ := p.must(0, "register", "evidence", "verify", file, "--genesis", chain.Fingerprint())
	if !strings.Contains(out, "proven: the log of relay/relay-1 signed two registers that differ") {
		t.Errorf("it says %s", out)
	}
	if out, _ := p.must(0, "--json", "register", "evidence", "verify", file, "--genesis", chain.Fingerprint()); !strings.Contains(out, `"schakel.finding/1"`) {
		t.Errorf("as JSON %s", out)
	}
	p.must(cli.Usage, "register", "evidence", "verify", file)
	p.must(cli.Unverified, "register", "evidence", "verify", file, "--genesis", "12345 67890 12345 67890 12345 67890 12345 67890")
	write(bytes.Replace(raw, []byte("relay-1\n"), []byte("relay-2\n"), 1))
	p.must(cli.Unverified, "register", "evidence", "verify", file, "--genesis", chain.Fingerprint())
	write(raw[:len(raw)-1])
	p.must(cli.Unverified, "register", "evidence", "verify", file, "--genesis", chain.Fingerprint())
}
