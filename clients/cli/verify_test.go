package cli_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/cli"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// A statement that a case was destroyed is verified with a register and nothing else,
// and says who, when, what. Changed, or by another register, it is not genuine.
func TestVerifyDeletions(t *testing.T) {
	p := newPlace(t)
	now := time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC)
	chain := trusttest.New(now)
	vt := chain.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	d := casefile.Deletion{Case: message.CaseRef{1}, Desk: vt.Desk, Device: vt.ID, At: now, Due: now, ClosedBy: "knooppunt/piket", Messages: []message.Hash{{7}}}
	one, err := d.Sign(vt.Sign)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, b []byte) string {
		return writeFile(t, filepath.Join(t.TempDir(), name), string(b), 0o600)
	}
	register := put("register.txt", trust.FormatEntries("register", chain.Entries()))
	statements := put("vernietigd.txt", append(bytes.Clone(one), one...))
	p.must(cli.Usage, "verify", statements)
	stdout, _ := p.must(cli.Done, "verify", statements, "--register", register, "--genesis", chain.Fingerprint())
	for _, want := range []string{"vt20/crisis", vt.ID.String(), d.Case.String(), message.Hash{7}.String(), "knooppunt/piket", "2 statements", "is the one that you gave"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if stdout, _ := p.must(cli.Done, "verify", statements, "--register", register, "--json"); !strings.Contains(stdout, `"schema": "schakel.destroyed/1"`) ||
		!strings.Contains(stdout, `"compared": false`) {
		t.Errorf("%s", stdout)
	}
	changed := bytes.Replace(one, []byte("2026-11-23T21"), []byte("2026-11-23T20"), 1)
	p.must(cli.Unverified, "verify", put("changed.txt", changed), "--register", register)
	p.must(cli.Unverified, "verify", put("followed.txt", append(bytes.Clone(one), "meer\n"...)), "--register", register)
	p.must(cli.Unverified, "verify", statements, "--register", put("other.txt", trust.FormatEntries("register", trusttest.New(now).Entries())))
	p.must(cli.Unverified, "verify", statements, "--register", register, "--genesis", trusttest.New(now.AddDate(1, 0, 0)).Fingerprint())
	p.must(cli.Unverified, "verify", statements, "--register", statements)
	p.must(cli.Usage, "verify", put("sealed.age", []byte("age-encryption.org/v1\n")))
}
