package trust_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// documented is the register of the example in docs/register.md.
func documented(t testing.TB) *trusttest.Chain {
	c := trusttest.New(now)
	d := trusttest.NewDevice("docs", "vt20/crisis", now)
	w := &world{Chain: c, t: t}
	c.AddDesk("vt20/crisis", identity.RoleVeiligThuis)
	c.Add(w.ok(d.Device.Sign(trust.First(), trusttest.OrgKey("vt20"), d.Sign, d.Login)))
	c.Add(w.ok(d.Person.Sign(trust.First(), trusttest.OrgKey("vt20"), d.PersonKey)))
	c.Add(w.ok(d.Epochs(1, 2, now).Sign(trust.First(), d.Sign)))
	r := trust.Revoke{Of: d.Person.Subject(), Reason: trust.ReasonRetired, Effective: now}
	c.Add(w.ok(r.Sign(w.next(r), trust.ByOrg(trusttest.OrgKey("vt20")))))
	return c
}

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// blocks returns the fenced blocks of a language in docs/register.md.
func blocks(t *testing.T, language string) (all [][]byte) {
	t.Helper()
	page, err := os.ReadFile("../../docs/register.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fence.FindAllSubmatch(page, -1) {
		if string(m[1]) == language {
			all = append(all, m[2])
		}
	}
	return all
}

// TestDocument: the example in the document is a register that this program makes
// to the byte, accepts, and follows.
func TestDocument(t *testing.T) {
	c := documented(t)
	entries, checkpoints, told := blocks(t, "entry"), blocks(t, "checkpoint"), blocks(t, "fingerprint")
	if len(checkpoints) != 1 || len(told) != 1 {
		t.Fatalf("%d checkpoints, %d fingerprints", len(checkpoints), len(told))
	}
	if !slices.EqualFunc(entries, c.Entries(), slices.Equal) {
		t.Fatalf("the entries of the document are not:\n%s\n%s", "```entry\n"+strings.Join(strs(c.Entries()), "```\n```entry\n"), told)
	}
	reg, err := trust.New(entries[0], string(told[0]))
	if err != nil {
		t.Fatal(err)
	}
	u := c.Update(1)
	if string(u.Checkpoint) != string(checkpoints[0]) {
		t.Errorf("the checkpoint of the document is not:\n%s", u.Checkpoint)
	}
	u.Checkpoint, u.Entries = checkpoints[0], entries[1:]
	next, _, err := trust.Advance(reg, reg.Pin(), u)
	if err != nil || len(next.Skipped(0)) != 0 {
		t.Fatalf("%v, skipped %v", err, next)
	}
	cosigned := trusttest.Cosigned(checkpoints[0], now, 0)
	if all := blocks(t, "cosigned"); len(all) != 1 || string(all[0]) != string(cosigned) {
		t.Errorf("the cosigned checkpoint of the document is not:\n%s", cosigned)
	}
	// Control: with a letter of the document changed, nothing of this holds.
	entries[3][60]++
	if _, _, err := trust.Advance(reg, reg.Pin(), u); err == nil {
		t.Error("control: a changed document passes")
	}
}

func strs(entries [][]byte) (all []string) {
	for _, e := range entries {
		all = append(all, string(e))
	}
	return all
}
