package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"schakel/clients/cli"
	"schakel/clients/courier"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// One file is for one desk; a folder gets one for each other desk, under names that say
// nothing, and no file is ever written over.
func TestOutboxExport(t *testing.T) {
	p := newPlace(t)
	node := &scripted{recipients: []schakel.Recipient{{Desk: "om/officier", State: schakel.StatePrepared, At: now(), ByFile: now().Add(time.Minute), Files: now().Add(time.Hour)}}}
	p.serve(node)
	if out, _ := p.must(cli.Done, "sent", "4f1c"); !strings.Contains(out, "om/officier: exported by file at 2026-11-24 09:01, not confirmed") ||
		!strings.Contains(out, "om/officier: has all files since 2026-11-24 10:00") {
		t.Errorf("the trace says %s", out)
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "stick")
	if _, said := p.must(cli.Usage, "outbox", "export", file); !strings.Contains(said, "knooppunt/piket, politie-re03/oc") || strings.Contains(said, "vt20") {
		t.Errorf("it says %q", said)
	}
	p.must(cli.Usage, "outbox", "export", file, "--to", "vt20")
	p.must(cli.Done, "outbox", "export", file, "--to", "politie-re03/oc")
	p.must(cli.Conflict, "outbox", "export", file, "--to", "politie-re03/oc")
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	p.must(cli.Done, "outbox", "export", folder)
	files, err := filepath.Glob(filepath.Join(folder, "*.koerier"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, f := range files {
		if name := filepath.Base(f); strings.Contains(name, "politie") || strings.Contains(name, "knoop") || len(name) != 20 {
			t.Errorf("a name that says something: %s", name)
		}
	}
	for _, c := range []schakel.Carried{{Left: 2}, {Unsealed: 1}} {
		node.carried = c
		p.must(cli.Partly, "outbox", "export", filepath.Join(t.TempDir(), "more"), "--to", "om/officier", "--json")
	}
	node.personErr = schakel.ErrKeyChanged
	p.must(cli.Refused, "outbox", "export", filepath.Join(folder, "another"), "--to", "om/officier")
}

func TestInboxImport(t *testing.T) {
	p := newPlace(t)
	node := &scripted{}
	p.serve(node)
	file := writeFile(t, filepath.Join(t.TempDir(), "f"), courier.Magic, 0o600)
	for _, c := range []struct {
		brought schakel.Brought
		code    int
		says    string
	}{
		{schakel.Brought{Taken: 2, From: []identity.DeskID{"vt20/crisis"}}, cli.Done, "--to vt20/crisis"},
		{schakel.Brought{Known: 2}, cli.Done, "2 here already"},
		{schakel.Brought{}, cli.Done, ""},
		{schakel.Brought{Taken: 2, Refused: 1, Reasons: []string{"expired"}}, cli.Partly, "1 refused: expired"},
		{schakel.Brought{Taken: 2, Damaged: 1}, cli.Partly, "1 damaged"},
		{schakel.Brought{Taken: 2, Waiting: 1}, cli.Partly, "1 from who is newer"},
		{schakel.Brought{Refused: 1}, cli.Unverified, "1 refused"},
		{schakel.Brought{Other: 3}, cli.NotFound, "3 for another desk"},
	} {
		node.brought = c.brought
		if out, _ := p.must(c.code, "inbox", "import", file); !strings.Contains(out, c.says) {
			t.Errorf("%+v: says %q", c.brought, out)
		}
	}
	if out, _ := p.must(cli.NotFound, "inbox", "import", file, "--json"); !strings.Contains(out, `"schema": "schakel.inbox-import/1"`) {
		t.Errorf("as JSON: %s", out)
	}
	p.must(cli.NotFound, "inbox", "import", file+"x")
	p.must(cli.Refused, "inbox", "import", writeFile(t, filepath.Join(t.TempDir(), "g"), strings.Repeat("x", courier.MaxFile+1), 0o600))
	node.personErr = courier.ErrFormat
	p.must(cli.Unverified, "inbox", "import", file)
}
