package cli_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"schakel/clients/cli"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func (n *scripted) ReadAs(ctx context.Context, ref string, by schakel.By) (schakel.Letter, error) {
	n.did = append(n.did, "read "+by.Person+" "+by.PIN)
	return n.Read(ctx, ref)
}

func (n *scripted) Assign(_ context.Context, ref, to string, by schakel.By) (schakel.Assignment, error) {
	n.did = append(n.did, "assign "+ref+" to "+to+" by "+by.Person+" "+by.PIN)
	return schakel.Assignment{Case: case1, Name: to, By: by.Person, At: now(), Contested: true, Also: []string{"B. Ob\x1b[2J"}}, n.personErr
}

func (n *scripted) AddNote(_ context.Context, ref, text string, by schakel.By) (schakel.Note, error) {
	n.did = append(n.did, "note "+ref+" "+text+" by "+by.Person)
	return schakel.Note{Hash: hash1, By: by.Person, At: now(), Text: text}, nil
}

func (n *scripted) Worksheet(context.Context, string, ...schakel.By) (schakel.Worksheet, error) {
	return schakel.Worksheet{Assignment: schakel.Assignment{Case: case1}, Notes: []schakel.Note{{Hash: hash1, By: "A. Nnie", At: now(), Text: "belt \x1b[2Jterug"}},
		Drafts: []schakel.SavedDraft{{ID: id1, Version: hash1, By: "A. Nnie", At: now(), Draft: schakel.Draft{Class: "advies"}}}}, nil
}

func (n *scripted) Drafts(context.Context, string, ...schakel.By) ([]schakel.SavedDraft, error) {
	return []schakel.SavedDraft{{ID: id1, Version: hash1, By: "A. Nnie", At: now(),
		Draft: schakel.Draft{Class: "advies", Case: case1, To: []identity.DeskID{"vt20/crisis"}, Body: []byte(`{"a":1}`)}}}, nil
}

func (n *scripted) SaveDraft(_ context.Context, id, version string, d schakel.Draft, by schakel.By) (schakel.SavedDraft, error) {
	n.did = append(n.did, "save "+id+" "+version+" "+d.Class+" "+string(d.Body)+" by "+by.Person)
	return schakel.SavedDraft{ID: id1, Version: hash1, By: by.Person, At: now(), Draft: d}, n.sendErr
}

func (n *scripted) DropDraft(_ context.Context, id, version string, by schakel.By) error {
	n.did = append(n.did, "drop "+id+" "+version+" by "+by.Person)
	return nil
}

func (n *scripted) Restrict(_ context.Context, ref string, to []string, by schakel.By) (schakel.Restriction, error) {
	n.did = append(n.did, fmt.Sprintf("restrict %s to %q by %s %s glass %s", ref, to, by.Person, by.PIN, by.Glass))
	return n.Restriction(context.Background(), ref)
}

func (n *scripted) Restriction(context.Context, string) (schakel.Restriction, error) {
	return schakel.Restriction{Case: case1, By: "A. Nnie", At: now(), Contested: true, Readers: []schakel.Reader{{Name: "A. Nnie", Telephone: "+31600000007"}, {Name: "B. Ob\x1b[2J"}}}, n.personErr
}

func (n *scripted) Log(_ context.Context, ref string) (schakel.AccessLog, error) {
	fault := ""
	if ref == hash1 {
		fault = "cut"
	}
	return schakel.AccessLog{
		Lines:   []schakel.LogLine{{Device: id1, Number: 1, At: now().Add(-time.Minute), Action: "opened", Subject: hash1, Case: case1, Person: "A. Nnie"}},
		Devices: []schakel.LogState{{Device: id1, Here: true, Lines: 1, Fault: fault}},
	}, nil
}

func (n *scripted) last() string {
	if len(n.did) == 0 {
		return ""
	}
	return n.did[len(n.did)-1]
}

func TestWithinADesk(t *testing.T) {
	p, n := newPlace(t), &scripted{}
	p.serve(n)
	pin := writeFile(t, t.TempDir()+"/pin", "123456\n", 0o600)
	ann := []string{"--person", "A. Nnie", "--pin-file", pin}
	with := func(args ...string) []string { return append(args, ann...) }
	out, _ := p.must(cli.Done, with("take", hash1)...)
	if n.last() != "assign "+hash1+" to A. Nnie by A. Nnie 123456" || !contains(out, "A. Nnie", "at the same time") || contains(out, "\x1b[2J") {
		t.Errorf("take: %q, %s", n.last(), out)
	}
	p.must(cli.Done, with("assign", case1, "-")...)
	if n.last() != "assign "+case1+" to  by A. Nnie 123456" {
		t.Errorf("assign: %q", n.last())
	}
	p.must(cli.Usage, "take", hash1)
	p.in = "belt terug"
	p.must(cli.Done, with("note", case1, "--file", "-")...)
	if n.last() != "note "+case1+" belt terug by A. Nnie" {
		t.Errorf("note: %q", n.last())
	}
	if out, _ := p.must(cli.Done, "note", case1); !contains(out, "A. Nnie", "advies", id1, "nobody") || contains(out, "\x1b[2J") {
		t.Errorf("worksheet:\n%s", out)
	}
	p.must(cli.Done, with("read", hash1)...)
	if n.last() != "read A. Nnie 123456" {
		t.Errorf("read: %q", n.last())
	}
}

func TestRestrict(t *testing.T) {
	p, n := newPlace(t), &scripted{overview: overview(), restricted: true}
	p.serve(n)
	pin, words := writeFile(t, t.TempDir()+"/pin", "123456\n", 0o600), writeFile(t, t.TempDir()+"/words", "zes woorden in de kluis\n", 0o600)
	signed := []string{"--person", "A. Nnie", "--pin-file", pin}
	out, _ := p.must(cli.Done, append([]string{"case", "restrict", case1, "--to", "A. Nnie", "--to", "B. Ob", "--emergency-file", words}, signed...)...)
	if n.last() != "restrict "+case1+` to ["A. Nnie" "B. Ob"] by A. Nnie 123456 glass zes woorden in de kluis` {
		t.Errorf("restrict: %q", n.last())
	}
	if !contains(out, "A. Nnie", "+31600000007", "B. Ob", "same time") || contains(out, "\x1b[2J") {
		t.Errorf("restricted:\n%s", out)
	}
	p.must(cli.Usage, "case", "restrict", case1, "--to", "A. Nnie")
	before := n.last()
	if out, _ := p.must(cli.Done, "case", "restrict", case1, "--json"); !contains(out, "schakel.restriction/1", `"contested": true`) || n.last() != before {
		t.Errorf("shown:\n%s", out)
	}
	if _, stderr := p.must(cli.Refused, "case", "show", case1); !contains(stderr, "call A. Nnie +31600000007", "--person", "--emergency-file") {
		t.Errorf("to nobody in particular:\n%s", stderr)
	}
	for _, verb := range []string{"show", "timeline", "obligations"} {
		p.must(cli.Done, append([]string{"case", verb, case1, "--emergency-file", words}, signed...)...)
		if by := n.looked[len(n.looked)-1]; by.Person != "A. Nnie" || by.PIN != "123456" || by.Glass != "zes woorden in de kluis" {
			t.Errorf("case %s: %+v", verb, by)
		}
	}
}

func TestDrafts(t *testing.T) {
	p, n := newPlace(t), &scripted{}
	p.serve(n)
	pin := writeFile(t, t.TempDir()+"/pin", "123456\n", 0o600)
	p.in = `{"half":`
	p.must(cli.Done, "draft", "save", "--class", "advies", "--body", "-", "--person", "A. Nnie", "--pin-file", pin)
	if n.last() != `save   advies {"half": by A. Nnie` {
		t.Errorf("save: %q", n.last())
	}
	if out, _ := p.must(cli.Done, "draft", "list"); !contains(out, id1, "advies", "A. Nnie") {
		t.Errorf("list:\n%s", out)
	}
	if out, _ := p.must(cli.Done, "draft", "show", id1[:8]); !contains(out, `{"a":1}`, "vt20/crisis") {
		t.Errorf("show:\n%s", out)
	}
	p.must(cli.NotFound, "draft", "show", "ffff")
	p.must(cli.Done, "draft", "drop", id1, "--version", hash1, "--person", "A. Nnie", "--pin-file", pin)
	if n.last() != "drop "+id1+" "+hash1+" by A. Nnie" {
		t.Errorf("drop: %q", n.last())
	}
	n.sendErr = schakel.ErrDraftVersions
	_, stderr := p.must(cli.Conflict, "draft", "save", "--id", id1, "--person", "A. Nnie", "--pin-file", pin)
	if !contains(stderr, "--version") {
		t.Error(stderr)
	}
}

// A saved draft is sent as it was saved, a flag goes before what it says, and the node
// hears which version it was. Whoever sends it must say who that is.
func TestSendDraft(t *testing.T) {
	p, n := newPlace(t), &scripted{desks: chain()}
	p.serve(n)
	pin := writeFile(t, t.TempDir()+"/pin", "123456\n", 0o600)
	ann := []string{"--person", "A. Nnie", "--pin-file", pin}
	_, stderr := p.must(cli.Usage, "send", "--draft", id1)
	if !contains(stderr, "--person") {
		t.Error(stderr)
	}
	p.must(cli.Usage, append([]string{"send", "--draft", id1}, ann...)...) // it has no urgency yet
	p.must(cli.Done, append([]string{"send", "--draft", id1[:8], "--urgency", "spoed", "--to", "politie-mn/oc"}, ann...)...)
	if len(n.drafts) != 1 {
		t.Fatalf("%d drafts sent", len(n.drafts))
	}
	d := n.drafts[0]
	if d.Saved == nil || *d.Saved != (schakel.SavedVersion{ID: id1, Version: hash1}) || d.Class != "advies" || string(d.Body) != `{"a":1}` || d.PIN != "123456" ||
		len(d.To) != 1 || d.To[0] != "politie-mn/oc" || d.Case != case1 {
		t.Errorf("sent %+v", d)
	}
	p.must(cli.NotFound, append([]string{"send", "--draft", "ffff"}, ann...)...)
	p.must(cli.NotFound, append([]string{"send", "--draft", id1, "--draft-version", "ffff"}, ann...)...)
	n.sendErr = schakel.ErrDraftVersions
	p.must(cli.Conflict, append([]string{"send", "--draft", id1, "--urgency", "spoed"}, ann...)...)
}

func TestAccessLog(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{})
	if out, _ := p.must(cli.Done, "log"); !contains(out, "A. Nnie", "opened", "checks out") {
		t.Errorf("log:\n%s", out)
	}
	if out, _ := p.must(cli.Done, "log", "--verify", "--json"); !contains(out, "schakel.log/1", `"intact": true`, `"lines": []`) {
		t.Errorf("json:\n%s", out)
	}
	if out, stderr := p.must(cli.Unverified, "log", "--case", hash1); !contains(out, "cut") || !contains(stderr, "security officer") {
		t.Errorf("tampered:\n%s%s", out, stderr)
	}
}
