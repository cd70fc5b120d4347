package playbook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"schakel/clients/protocol"
	"schakel/clients/protocol/playbook"
	"schakel/configs"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func book(t testing.TB) playbook.Playbook {
	t.Helper()
	p, err := playbook.Parse(configs.Playbook, protocol.V1())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// said is a message of the case: number makes its names and its time.
func said(number byte, class string, from, to identity.Role, body map[string]string) protocol.Known {
	raw, _ := json.Marshal(body)
	return protocol.Known{Hash: message.Hash{number}, Draft: protocol.Draft{ID: message.ID{number}, Class: class, Created: uint64(number), Body: raw,
		From: protocol.Party{Desk: identity.DeskID(from + "/piket"), Role: from}, To: []protocol.Party{{Desk: identity.DeskID(to + "/piket"), Role: to}}}}
}

func states(progress []playbook.Taken) string {
	var out []string
	for _, t := range progress {
		out = append(out, t.Step.ID+":"+string(t.State))
	}
	return strings.Join(out, " ")
}

func acute(t testing.TB) playbook.Situation {
	t.Helper()
	s, ok := book(t).Situation("acuut-thuis")
	if !ok {
		t.Fatal("no situation acuut-thuis")
	}
	return s
}

func TestProgress(t *testing.T) {
	s := acute(t)
	report := said(1, "melding", "signaleerder", "politie", nil)
	ack := said(2, "ontvangstbevestiging", "politie", "signaleerder", map[string]string{"status": "in-behandeling"})
	wrong := said(3, "ontvangstbevestiging", "politie", "signaleerder", map[string]string{"status": "verkeerde-ontvanger"})
	decided := said(4, "besluit", "opvang", "veilig-thuis", map[string]string{"betreft": "inzetverzoek", "uitkomst": "aanvaard"})
	refused := said(5, "besluit", "opvang", "veilig-thuis", map[string]string{"betreft": "inzetverzoek", "uitkomst": "afgewezen"})
	back := said(6, protocol.ClassWithdrawal, "signaleerder", "politie", nil)
	back.RestsOn = []message.Ref{report.Ref()}
	stranger := said(7, protocol.ClassWithdrawal, "politie", "signaleerder", nil)
	stranger.RestsOn = []message.Ref{report.Ref()}
	for _, c := range []struct {
		name     string
		messages []protocol.Known
		done     string
		next     string
	}{
		{"nothing yet", nil, "", "melding"},
		{"reported", []protocol.Known{report}, "melding", "opgepakt"},
		{"not to the police", []protocol.Known{said(1, "melding", "signaleerder", "veilig-thuis", nil)}, "", "melding"},
		{"taken", []protocol.Known{ack, report}, "melding opgepakt", "veilige-plek"},
		{"the wrong recipient took nothing", []protocol.Known{report, wrong}, "melding", "opgepakt"},
		{"a place", []protocol.Known{report, ack, decided}, "melding opgepakt veilige-plek", "afwegen"},
		{"no place", []protocol.Known{report, ack, refused}, "melding opgepakt", "veilige-plek"},
		{"withdrawn", []protocol.Known{back, report}, "", "melding"},
		{"withdrawn by another", []protocol.Known{stranger, report}, "melding", "opgepakt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			progress := playbook.Progress(s, c.messages)
			var done []string
			for _, x := range progress {
				if x.State == playbook.StateDone {
					done = append(done, x.Step.ID)
				}
			}
			next, _ := playbook.Next(progress)
			if strings.Join(done, " ") != c.done || next.ID != c.next {
				t.Errorf("%s; next %s", states(progress), next.ID)
			}
			if progress[0].State != playbook.StateByHand {
				t.Errorf("a telephone call is %s", progress[0].State)
			}
		})
	}
}

// Whatever the order of arrival, the same progress; and one message more never undoes a
// step, unless it takes one back.
func TestProgressHasNoOrder(t *testing.T) {
	all := book(t).Situations
	classes := []string{"melding", "besluit", "ontvangstbevestiging", "advies", "afweging", "terugkoppeling", "achterlatingssignaal", "verificatieantwoord"}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(all).Draw(t, "situation")
		var messages []protocol.Known
		for i := range rapid.IntRange(0, 12).Draw(t, "messages") {
			role := func(name string) identity.Role { return rapid.SampledFrom(identity.Roles()).Draw(t, name) }
			messages = append(messages, said(byte(i+1), rapid.SampledFrom(classes).Draw(t, "class"), role("from"), role("to"),
				map[string]string{"status": "in-behandeling", "betreft": rapid.SampledFrom([]string{"inzetverzoek", "overdracht"}).Draw(t, "betreft"), "uitkomst": "aanvaard"}))
		}
		want := playbook.Progress(s, messages)
		got := playbook.Progress(s, rapid.Permutation(messages).Draw(t, "order"))
		for i := range want {
			if want[i].State != got[i].State || want[i].By != got[i].By {
				t.Fatalf("%s: %s and %s", s.ID, states(want), states(got))
			}
		}
		if len(messages) == 0 {
			return
		}
		for i, x := range playbook.Progress(s, messages[1:]) {
			if x.State == playbook.StateDone && want[i].State != playbook.StateDone {
				t.Fatalf("one message more undid %s", x.Step.ID)
			}
		}
	})
}

// The four situations of the issue, each with a message to write and one thing that
// never may be done; and 112 for the one in which minutes count.
func TestTheBookIsThere(t *testing.T) {
	p := book(t)
	for _, id := range []string{"achtergelaten-buitenland", "dreigend-vertrek", "acuut-thuis", "terugkeer-en-opvang"} {
		s, ok := p.Situation(id)
		if !ok || !slices.ContainsFunc(s.Steps, func(s playbook.Step) bool { return s.Send != nil }) {
			t.Errorf("%s is missing, or writes no message", id)
		}
		if !strings.Contains(s.Never[0].NL, "gezin") {
			t.Errorf("%s does not begin with the family: %s", id, s.Never[0].NL)
		}
	}
	if first := acute(t).Steps[0]; !slices.Contains(first.Call, "noodnummer") {
		t.Errorf("acute danger begins with %s", first.ID)
	}
	for id, want := range map[string]string{"noodnummer": "112", "veilig-thuis": "0800-2000"} {
		if n, ok := p.Number(id); !ok || n.Telephone != want {
			t.Errorf("%s is %q", id, n.Telephone)
		}
	}
}

// Sentences of a person in a hurry: short, and without the words of an office.
func TestTheBookIsPlain(t *testing.T) {
	hard := regexp.MustCompile(`(?i)\b(middels|teneinde|derhalve|dient te|inzake|alvorens|indien|conform|pursuant|hereby|prior to)\b`)
	sentence := regexp.MustCompile(`[.!?:]+(\s|$)`)
	for _, m := range regexp.MustCompile(`(nl|en) = "([^"]*)"`).FindAllStringSubmatch(string(configs.Playbook), -1) {
		for _, s := range sentence.Split(m[2], -1) {
			if n := len(strings.Fields(s)); n > 16 || hard.MatchString(s) {
				t.Errorf("%d words, or a hard one: %s", n, s)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, pair := range map[string][2]string{
		"unknown class":    {`class = "achterlatingssignaal", urgency`, `class = "oproep", urgency`},
		"unknown urgency":  {`urgency = "spoed"`, `urgency = "haast"`},
		"no route":         {`to = ["knooppunt"] }`, `to = ["lec-egg"] }`},
		"sign of no class": {`{ class = "melding", to = ["knooppunt"] }`, `{ class = "oproep", to = ["knooppunt"] }`},
		"sign no route":    {`{ class = "melding", to = ["knooppunt"] }`, `{ class = "melding", to = ["buza"] }`},
		"sign no choice":   {`status = ["in-behandeling"]`, `status = ["opgepakt"]`},
		"sign no field":    {`where = { status`, `where = { stand`},
		"sign of nothing":  {`status = ["in-behandeling"]`, `status = []`},
		"unknown number":   {`call = ["noodnummer", "knooppunt"]`, `call = ["noodnummer", "wethouder"]`},
		"a number twice":   {`id = "noodnummer"`, `id = "veilig-thuis"`},
		"no telephone":     {`telephone = "112"`, `telephone = "een-een-twee"`},
		"one language":     {`en = "Tell the hub"`, `en = ""`},
		"a step twice":     {`id = "nagaan"`, `id = "signaal"`},
		"unknown word":     {`outage = [`, "colour = \"red\"\noutage = ["},
		"not TOML":         {`outage = [`, `outage : [`},
	} {
		raw := string(configs.Playbook)
		if !strings.Contains(raw, pair[0]) {
			t.Errorf("%s: nothing to replace: %s", name, pair[0])
		}
		if _, err := playbook.Parse([]byte(strings.Replace(raw, pair[0], pair[1], 1)), protocol.V1()); !errors.Is(err, playbook.ErrPlaybook) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := playbook.Parse(nil, protocol.V1()); !errors.Is(err, playbook.ErrPlaybook) {
		t.Errorf("an empty playbook: %v", err)
	}
}

func card(t testing.TB, english bool) playbook.Card {
	t.Helper()
	return book(t).CardOf("vt20/crisis", []playbook.Desk{
		{ID: "politie-mn/oc", Org: "Politie (fictief)", Role: "politie", Region: "RE03", Telephone: "+31600000004"},
		{ID: "opvang/nacht", Org: "Opvang <script>alert(1)</script> \x1b[31m", Role: "opvang"},
		{ID: "knooppunt/piket", Org: "Knooppunt (fictief)", Role: "knooppunt", Telephone: "+31600000006"},
	}, time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC), english)
}

func TestCard(t *testing.T) {
	var text, html bytes.Buffer
	if err := errors.Join(card(t, false).WriteText(&text), card(t, false).WriteHTML(&html)); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), html.String()} {
		for _, want := range []string{"112", "0800-2000", "31600000004", "31600000006", "2026-11-28", "vt20/crisis", "gezin"} {
			if !strings.Contains(out, want) {
				t.Errorf("the card does not say %s:\n%s", want, out)
			}
		}
		if strings.Index(out, "31600000006") > strings.Index(out, "31600000004") {
			t.Error("the knooppunt does not come first")
		}
	}
	if !strings.Contains(text.String(), "________________ Opvang") {
		t.Error("a desk without a number leaves no line to write it on")
	}
	if strings.Contains(text.String(), "\x1b") || strings.Contains(html.String(), "<script") || strings.Contains(html.String(), "http") {
		t.Error("a name of the register reaches the terminal or the page, or the page fetches something")
	}
	var english bytes.Buffer
	if err := card(t, true).WriteHTML(&english); err != nil || !strings.Contains(english.String(), `<html lang="en">`) || strings.Contains(english.String(), "Bureaus") {
		t.Errorf("%v: %s", err, english.String())
	}
}

func FuzzParse(f *testing.F) {
	f.Add(string(configs.Playbook))
	f.Add("outage = [{ nl = 'x', en = 'x' }]")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := playbook.Parse([]byte(s), protocol.V1())
		if err != nil {
			return
		}
		for _, s := range p.Situations {
			if len(playbook.Progress(s, nil)) != len(s.Steps) {
				t.Fatal("a step is lost")
			}
		}
	})
}
