package cli_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"schakel/clients/cli"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// signer is a key of a test's own making.
type signer struct{ private ed25519.PrivateKey }

func (s signer) Public() identity.Key { return identity.Key(s.private.Public().(ed25519.PublicKey)) }

func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.private, msg), nil }

func keyOf(name string) signer {
	seed := sha256.Sum256([]byte(name))
	return signer{ed25519.NewKeyFromSeed(seed[:])}
}

// ceremony is a table with the root holders' files on it.
type ceremony struct {
	*place
	dir     string
	request string
}

func newCeremony(t *testing.T) ceremony {
	c := ceremony{place: newPlace(t), dir: t.TempDir()}
	log, err := trust.LogKey("relay-1.example/log", keyOf("log").Public())
	if err != nil {
		t.Fatal(err)
	}
	pin := sha256.Sum256([]byte("tls"))
	b, err := json.Marshal(map[string]string{"id": "relay-1", "url": "wss://127.0.0.1:8443", "log": log.String(),
		"spki": base64.StdEncoding.EncodeToString(pin[:]), "receipt": keyOf("receipt").Public().String()})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, c.file("relay.json"), string(b), 0o644)
	c.request = c.file("request.txt")
	writeFile(t, c.request, string(request(t, "vt20")), 0o644)
	return c
}

func (c ceremony) file(name string) string { return filepath.Join(c.dir, name) }

func (c ceremony) begin(more ...string) (fingerprint string) {
	out, _ := c.must(cli.Done, append([]string{"register", "init", "--dir", c.file("root"), "--relay", c.file("relay.json")}, more...)...)
	return strings.TrimSpace(out)
}

func request(t *testing.T, org identity.OrgID) []byte {
	r := trust.AdmissionRequest{
		Org:  trust.Org{ID: org, Name: "Veilig Thuis Utrecht", OIN: "00000099000000020000", Key: keyOf(string(org)).Public(), Status: trust.OrgActive},
		Desk: trust.Desk{ID: identity.DeskID(org + "/crisis"), Name: "Crisis", Role: identity.RoleVeiligThuis, Region: "VT20", Phone: "+31600000007"},
	}
	raw, err := r.Sign(keyOf(string(org)))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func fingerprintOf(t *testing.T, path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i, err := trust.ParseInvitation(raw)
	if err != nil {
		t.Fatal(err)
	}
	if i.Desk != "vt20/crisis" {
		t.Errorf("the invitation is for %s", i.Desk)
	}
	return trust.GenesisFingerprint(i.Genesis())
}

func TestCeremonyOfOne(t *testing.T) {
	c := newCeremony(t)
	_, stderr := c.must(cli.Done, "register", "init", "--dir", c.file("root"), "--relay", c.file("relay.json"))
	if !strings.Contains(stderr, "1 of 1") {
		t.Errorf("a root of one must say so loudly:\n%s", stderr)
	}
	fingerprint := c.begin() // again: kept
	_, stderr = c.must(cli.Done, "register", "admit", "--dir", c.file("root"), c.request, "--out", c.file("invitation.txt"))
	if !strings.Contains(stderr, "NOT COMPARED") {
		t.Errorf("an uncompared fingerprint must be said:\n%s", stderr)
	}
	if got := fingerprintOf(t, c.file("invitation.txt")); got != fingerprint {
		t.Errorf("the invitation has fingerprint %s, init said %s", got, fingerprint)
	}
	c.must(cli.Conflict, "register", "admit", "--dir", c.file("root"), c.request, "--out", c.file("again.txt"))
	out, _ := c.must(cli.Done, "register", "fingerprint", c.file("invitation.txt"))
	if strings.TrimSpace(out) != fingerprint {
		t.Errorf("register fingerprint says %s", out)
	}
	out, _ = c.must(cli.Done, "register", "show", c.file("invitation.txt"), "--json")
	if !strings.Contains(out, `"desk/vt20/crisis"`) || !strings.Contains(out, `"schakel.register/1"`) {
		t.Errorf("register show:\n%s", out)
	}
}

func TestCeremonyOfSeveralAtOneTable(t *testing.T) {
	c := newCeremony(t)
	c.begin("--threshold", "2", "--roots", "3")
	c.must(cli.Done, "register", "admit", "--dir", c.file("root"), "--key", c.file("root/root-1/root.key"), "--key", c.file("root/root-3/root.key"),
		c.request, "--out", c.file("invitation.txt"))
	fingerprintOf(t, c.file("invitation.txt"))
}

// TestCeremonyByDrafts has every holder sign on a machine of an own.
func TestCeremonyByDrafts(t *testing.T) {
	c := newCeremony(t)
	c.begin("--threshold", "2", "--roots", "3")
	one, two := c.file("root/root-1/root.key"), c.file("root/root-2/root.key")
	invitation, draft := c.file("invitation.txt"), c.file("invitation.txt.entries")
	c.must(cli.Partly, "register", "admit", "--dir", c.file("root"), "--key", one, c.request, "--out", invitation)
	if _, err := os.Stat(invitation); err == nil {
		t.Fatal("an invitation came of one signature of two")
	}
	c.must(cli.Done, "register", "cosign", draft, "--key", two)
	c.must(cli.Partly, "register", "admit", "--dir", c.file("root"), "--key", one, draft, "--out", invitation)
	c.must(cli.Done, "register", "cosign", invitation, "--key", two)
	fingerprintOf(t, invitation)
}

func TestCeremonyRefusals(t *testing.T) {
	c := newCeremony(t)
	c.begin()
	admit := []string{"register", "admit", "--dir", c.file("root"), c.request, "--out", c.file("invitation.txt")}
	c.must(cli.Unverified, append(admit, "--fingerprint", "12345 12345")...)
	c.must(cli.Usage, "register", "init", "--dir", c.file("r"), "--relay", c.file("relay.json"), "--threshold", "3", "--roots", "2")
	c.must(cli.NotFound, "register", "init", "--dir", c.file("r"), "--relay", c.file("none.json"))
	if err := os.Chmod(c.file("root/root.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr := c.must(cli.Refused, admit...); !strings.Contains(stderr, "can be read by others") {
		t.Error(stderr)
	}
}

func TestRootKeyUnderAPassphrase(t *testing.T) {
	c := newCeremony(t)
	c.begin()
	path := c.file("root/root.key")
	plain, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	locked, err := vault.Lock(plain, "zes willekeurige woorden hier", 4) // init takes 18: a second, a minute under -race
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(locked), 0o600)
	admit := []string{"register", "admit", "--dir", c.file("root"), c.request, "--out", c.file("invitation.txt")}
	c.must(cli.Usage, admit...)
	c.must(cli.Locked, append(admit, "--key-passphrase-file", writeFile(t, c.file("wrong"), "andere woorden\n", 0o600))...)
	c.must(cli.Done, append(admit, "--key-passphrase-file", writeFile(t, c.file("phrase"), "zes willekeurige woorden hier\n", 0o600))...)
}

// TestRootPassedOn: a draft goes round among holders of the old and of the new root, and
// counts when enough of both signed.
func TestRootPassedOn(t *testing.T) {
	c := newCeremony(t)
	c.begin("--threshold", "2", "--roots", "3")
	var holders []string
	for _, name := range []string{"n1", "n2"} {
		out, stderr := c.must(cli.Done, "register", "root", "key", "--dir", c.file(name))
		if !strings.Contains(stderr, "fingerprint ") {
			t.Errorf("nothing to read out by telephone:\n%s", stderr)
		}
		holders = append(holders, "--holder", strings.TrimSpace(out))
	}
	one, two, draft := c.file("root/root-1/root.key"), c.file("root/root-2/root.key"), c.file("root-2.txt")
	command := append([]string{"register", "root", "draft", "--dir", c.file("root"), "--key", one, "--out", draft}, holders...)
	_, stderr := c.must(cli.Partly, command...)
	for _, want := range []string{"version 2 in the place of 1", "2 of 2 must sign; before 2 of 3", "new       ", "leaves    ", "1 of 2 of the old root, 0 of 2 of the new"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the draft does not say %q:\n%s", want, stderr)
		}
	}
	c.must(cli.Conflict, command...) // a draft that went round already is not written over
	finish := []string{"register", "root", "finish", "--dir", c.file("root"), draft}
	c.must(cli.Done, "register", "cosign", draft, "--key", two)
	if _, stderr := c.must(cli.Partly, finish...); !strings.Contains(stderr, "2 of 2 of the old root, 0 of 2 of the new") {
		t.Errorf("the old holders alone made a root:\n%s", stderr)
	}
	c.must(cli.Done, append(finish, "--key", c.file("n1/root.key"), "--key", c.file("n2/root.key"))...)
	if _, stderr := c.must(cli.Done, finish...); !strings.Contains(stderr, "kept: ") {
		t.Error(stderr)
	}
	// The old holders can do nothing any more, and the new ones can.
	invitation := c.file("invitation.txt")
	c.must(cli.Partly, "register", "admit", "--dir", c.file("root"), "--key", one, "--key", two, c.request, "--out", invitation)
	if _, err := os.Stat(invitation); err == nil {
		t.Fatal("the old holders admitted a partner")
	}
	c.must(cli.Done, "register", "admit", "--dir", c.file("root"), "--key", c.file("n1/root.key"), "--key", c.file("n2/root.key"), c.request, "--out", invitation)
	fingerprintOf(t, invitation)
}

// TestRootDraftRefused: what cannot become a root is refused before it goes round, and
// what somebody changed on its way when it comes back.
func TestRootDraftRefused(t *testing.T) {
	c := newCeremony(t)
	c.begin()
	witness, err := trust.WitnessKey("witness.example/w", keyOf("witness").Public())
	if err != nil {
		t.Fatal(err)
	}
	draft := []string{"register", "root", "draft", "--dir", c.file("root"), "--out", c.file("draft.txt")}
	for what, flags := range map[string][]string{
		"no signature enough":   {"--threshold", "2"},
		"a quorum of nobody":    {"--quorum", "1"},
		"more witnesses needed": {"--witness", witness.String(), "--quorum", "2"},
		"no key":                {"--holder", "vt20"},
		"a holder twice":        {"--holder", keyOf("a").Public().String(), "--holder", keyOf("a").Public().String()},
		"no witness":            {"--witness", "vt20"},
		"no day":                {"--expires", "next year"},
		"late at once":          {"--expires", now().AddDate(0, 0, 30).Format("2006-01-02")},
		"two years":             {"--expires", now().AddDate(2, 0, 0).Format("2006-01-02")},
	} {
		if _, stderr := c.must(cli.Usage, append(draft, flags...)...); stderr == "" {
			t.Errorf("%s: refused without a word", what)
		}
	}
	c.must(cli.Unverified, "register", "root", "finish", "--dir", c.file("root"), c.file("root/register.txt"))
	c.must(cli.NotFound, "register", "root", "finish", "--dir", c.file("root"), c.file("none.txt"))
	_, stderr := c.must(cli.Partly, append(draft, "--holder", keyOf("a").Public().String(), "--witness", witness.String(), "--quorum", "1")...)
	if !strings.Contains(stderr, "1 of 1 must sign; before 0 of 0") || !strings.Contains(stderr, witness.String()) {
		t.Errorf("the witnesses are not shown:\n%s", stderr)
	}
	raw, err := os.ReadFile(c.file("draft.txt"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := trust.ParseEntries(raw)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(entries[0]), "quorum 1", "quorum 0", 1)
	writeFile(t, c.file("changed.txt"), string(trust.FormatEntries("draft", [][]byte{[]byte(changed)})), 0o644)
	c.must(cli.Unverified, "register", "root", "finish", "--dir", c.file("root"), c.file("changed.txt"))
	c.must(cli.Partly, "register", "root", "finish", "--dir", c.file("root"), c.file("draft.txt"))
}
