package cli_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/relay/page"
)

func (n *scripted) TestPages(_ context.Context, t schakel.TestPage) ([]schakel.Tested, error) {
	n.did = append(n.did, "test page "+t.Who)
	out := []schakel.Tested{{By: "device", Contact: "p-7k2", Channel: page.NTFY, Outcome: page.Sent}}
	if t.Relay {
		out = append(out, schakel.Tested{By: "relay", Contact: "p-7k2", Outcome: page.Refused})
	}
	return out, nil
}

func (n *scripted) PageLog(context.Context, int) ([]schakel.Page, error) {
	return []schakel.Page{
		{At: now(), Why: "owed", Subject: hash1 + " politie-inschakelen", Waiting: 1, Tier: "acute", Rung: 1, Contact: "p-7k2", Name: "P. Iket\x1b[2J", Channel: page.SMTP, Reference: "ABCD-EFGH", Outcome: page.Late},
		{At: now(), Why: "waiting", Subject: hash1, Waiting: 2, Tier: "acute", Rung: 2, Contact: "f-1", Channel: page.NTFY, Reference: "ABCD-EFGI", Exercise: true, Outcome: page.Sent, Here: true},
	}, nil
}

func (n *scripted) RelayPages(context.Context) ([]schakel.Page, error) {
	return []schakel.Page{{At: now(), Why: "relay", Subject: id1, Tier: "acute", Rung: 1, Contact: "p-7k2", Channel: page.NTFY, Reference: "ABCD-EFGH", Outcome: page.Sent}}, nil
}

func (n *scripted) StartDrill(_ context.Context, to identity.DeskID, _ schakel.By) (schakel.Sent, error) {
	n.did = append(n.did, "drill "+string(to))
	return schakel.Sent{Hash: hash1, ID: id1, Case: case1, Exercise: true}, nil
}

func (n *scripted) Drills(context.Context) ([]schakel.Drill, error) {
	return []schakel.Drill{
		{Message: hash1, Inbound: true, Desk: "vt20/crisis", Sent: now(), Came: now(), Paged: now().Add(2 * time.Second), Acknowledged: now().Add(50 * time.Second), ToPaged: 2 * time.Second, ToAcknowledged: 50 * time.Second},
		{Message: hash1, Desk: "knooppunt/piket", Sent: now()},
	}, nil
}

func (n *scripted) Readiness(context.Context) ([]schakel.Readiness, error) {
	drill := schakel.Readiness{Name: "drill", Evidence: "this desk has never answered one", Remedy: "ask another desk"}
	if len(n.body) > 0 {
		drill = schakel.Readiness{Name: "drill", Ready: true, Evidence: "answered on 2026-11-02, 50s after it came"}
	}
	return []schakel.Readiness{{Name: "rota", Ready: true, Evidence: "0 gaps in the next 14 days"}, drill}, nil
}

func TestPageCommands(t *testing.T) {
	p := newPlace(t)
	n := &scripted{}
	p.serve(n)
	if out, _ := p.must(0, "oncall", "test", "--person", "P. Iket"); !strings.Contains(out, "sent") {
		t.Error(out)
	}
	p.must(3, "oncall", "test", "--person", "P. Iket", "--relay")
	p.must(2, "oncall", "test")
	if out, _ := p.must(0, "oncall", "drill", "--to", "vt20/crisis", "--wait", "1s"); !strings.Contains(out, "exercise") {
		t.Error(out)
	}
	p.must(2, "oncall", "drill", "--to", "nobody")
	if out, _ := p.must(1, "oncall", "readiness"); !strings.Contains(out, "do: ask another desk") {
		t.Error(out)
	}
	if out, _ := p.must(0, "oncall", "log", "--relay"); !strings.Contains(out, "relay") || strings.Contains(out, "\x1b[2J") {
		t.Error(out)
	}
	for _, want := range []string{"test page P. Iket", "drill vt20/crisis"} {
		if !strings.Contains(strings.Join(n.did, "\n"), want) {
			t.Errorf("%q was not done: %v", want, n.did)
		}
	}
}
