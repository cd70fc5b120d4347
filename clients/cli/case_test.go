package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"schakel/clients/cli"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// ref names message i of the case of overview.
func ref(i byte) message.Ref {
	return message.Ref{ID: message.ID{0: 1, 15: i}, Hash: message.Hash{0: 0xa0 + i}}
}

func party(desk identity.DeskID, role identity.Role, region string) protocol.Party {
	return protocol.Party{Desk: desk, Role: role, Region: region}
}

// overview is a case in which everything happens that a screen has a place for.
func overview() schakel.Overview {
	doctor := party("arts/praktijk", identity.RoleSignaleerder, "")
	vt := party("vt20/crisis", identity.RoleVeiligThuis, "VT20")
	police := party("politie-re03/oc", identity.RolePolitie, "RE03")
	at := func(minutes int) time.Time { return now().Add(time.Duration(minutes) * time.Minute) }
	o := schakel.Overview{Safe: []schakel.SafeContact{{Message: ref(1), From: doctor.Desk,
		Says: json.RawMessage(`{"methode":"chat-app","nietInformeren":["ouders","familie"]}`)}}}
	id, _ := identity.ParseUUID(case1)
	o.Ref, o.Desk, o.KnownAt = message.CaseRef(id), vt.Desk, ref(6)
	o.Participants = []protocol.Party{doctor, vt, police}
	o.Terms = []protocol.LeadTerm{{Number: 1, Holder: vt.Desk, Role: vt.Role, Begins: ref(2), Since: at(-50)}}
	o.Offers = []protocol.Offer{{Message: ref(5), Ends: ref(2), By: vt.Desk, To: "knooppunt/piket", State: protocol.OfferRefused, Closed: ref(6)}}
	o.Obligations = []protocol.Obligation{
		{Rule: "R05", Duty: protocol.DutyAcknowledge, Owes: police.Desk, To: doctor.Desk, Since: ref(1), Due: at(-45), By: []string{"ontvangstbevestiging"}},
		{Rule: "R05", Duty: protocol.DutyAcknowledge, Owes: vt.Desk, To: doctor.Desk, Since: ref(1), Due: at(-45), Closed: ref(2), Met: at(-50)},
		{Rule: "R23", Duty: protocol.DutyFeedback1, Owes: vt.Desk, To: doctor.Desk, Since: ref(1), Due: now().AddDate(0, 0, 7), By: []string{"terugkoppeling"}},
		{Rule: "antwoord", Duty: protocol.DutyAnswer, Owes: police.Desk, To: vt.Desk, Since: ref(3), Due: at(90), By: []string{"informatieantwoord"}},
	}
	o.Owed, o.Awaited = o.Obligations[2:3], o.Obligations[3:4]
	o.Rests = []protocol.Rest{{Message: ref(4), On: ref(7), Class: "", Outcome: ""}, {Message: ref(5), On: ref(2), Class: "ontvangstbevestiging"}}
	o.Replaced = []protocol.Replacement{{Message: ref(3), By: ref(4)}}
	o.Missing = []protocol.Missing{{Message: ref(7), NamedBy: []message.Ref{ref(4)}}}
	o.Voids = []protocol.Void{{Rule: "R20", Message: ref(5), Against: ref(2)}}
	say := func(i byte, class string, u message.Urgency, from protocol.Party, minutes int, to ...protocol.Party) schakel.Moment {
		return schakel.Moment{Ref: ref(i), Class: class, Urgency: u, From: from, To: to, Created: at(minutes)}
	}
	o.Messages = []schakel.Moment{say(1, "melding", message.Acute, doctor, -60, vt, police), say(2, "ontvangstbevestiging", message.Acute, vt, -50, doctor, police),
		say(3, "informatieverzoek", message.Urgent, vt, -40, police), say(4, "correctie", message.Urgent, vt, -30, police),
		say(5, "overdracht", message.Urgent, vt, -20, party("knooppunt/piket", identity.RoleKnooppunt, "NL")), say(6, "besluit", message.Urgent, party("knooppunt/piket", identity.RoleKnooppunt, "NL"), -10, vt)}
	o.Messages[0].Flags = []protocol.Flag{{Rule: "R01", Certainty: protocol.Broken, Reason: protocol.Text{NL: "x", EN: "another region"}, Remedy: protocol.Text{NL: "x", EN: "answer who is right"}}}
	o.Messages[1].Answers, o.Messages[1].Person, o.Messages[1].By, o.Messages[1].Status = []message.Ref{ref(1)}, true, "P. Iket", "in-behandeling"
	o.Messages[5].Answers, o.Messages[5].Outcome, o.Messages[5].Person = []message.Ref{ref(5)}, "afgewezen", true
	o.Messages[2].Enclosed = true
	nobody := say(8, "overdracht", message.Urgent, vt, -5, party("knooppunt/piket", identity.RoleKnooppunt, "NL"))
	nobody.Unsaid = true
	o.Messages, o.Unsaid = append(o.Messages, nobody), []message.Ref{ref(8)}
	return o
}

// A case says in words who leads, who waits for whom, what is missing, and from where on
// more may be known elsewhere; what was corrected stays visible.
func TestCaseInWords(t *testing.T) {
	p := newPlace(t)
	p.serve(fullNode())
	out, _ := p.must(cli.Done, "case", "show", "4f1c", "--english")
	for _, want := range []string{"vt20/crisis (veilig-thuis), term 1", "as known at  besluit a600000000 of knooppunt/piket", "WAITS FOR US", "7 days left",
		"WE WAIT FOR", "OTHERS WAIT FOR EACH OTHER", "late by 45 minutes", "refused, by besluit", "message a700000000 (not here)", "named by correctie",
		"was corrected by correctie", "another region", "overdracht a800000000 counts nowhere"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if !strings.HasPrefix(out, "SAFE CONTACT") {
		t.Errorf("safe contact is not first:\n%s", out)
	}
	out, _ = p.must(cli.Done, "case", "timeline", "4f1c", "--english")
	if !strings.Contains(out, "CORRECTED by a400000000") || !strings.Contains(out, "informatieverzoek") {
		t.Errorf("what was corrected is hidden, or not marked:\n%s", out)
	}
	out, _ = p.must(cli.Done, "case", "obligations", "4f1c", "--english")
	if strings.Contains(out, "met by") || strings.Index(out, "vt20/crisis") > strings.Index(out, "politie-re03/oc") {
		t.Errorf("met ones are shown, or ours are not first:\n%s", out)
	}
	p.must(cli.Usage, "case", "show")
	p.must(cli.Usage, "case", "list", "--limit", "1000")
}

// An exercise says so first; control: a real case does not.
func TestCaseOfAnExercise(t *testing.T) {
	for _, exercise := range []bool{true, false} {
		p, n := newPlace(t), fullNode()
		n.overview.Exercise = exercise
		p.serve(n)
		for _, args := range [][]string{{"case", "show", "4f1c"}, {"case", "timeline", "4f1c"}, {"case", "obligations", "4f1c"}, {"playbook", "acuut-thuis", "--case", "4f1c"}} {
			if out, _ := p.must(cli.Done, args...); strings.HasPrefix(out, "OEFENING") != exercise {
				t.Errorf("%v: begins with an exercise: %v\n%s", args, !exercise, out)
			}
		}
		if out, _ := p.must(cli.Done, "case", "list"); strings.Contains(out, "OEFENING") != exercise {
			t.Errorf("list: %s", out)
		}
	}
}

// Everything of a case that a partner can have a hand in reaches a terminal inert.
func TestCaseIsInert(t *testing.T) {
	n := fullNode()
	o := &n.overview
	safe, err := json.Marshal(map[string]any{hostile: hostile, "x": []string{hostile}})
	if err != nil {
		t.Fatal(err)
	}
	o.Safe[0].Says, o.Safe[0].From = safe, identity.DeskID(hostile)
	for i := range o.Messages {
		m := &o.Messages[i]
		m.Class, m.Urgency, m.By, m.Status, m.Outcome, m.From.Desk, m.From.Region = hostile, hostile, hostile, hostile, hostile, hostile, hostile
		m.Flags = []protocol.Flag{{Rule: hostile, Reason: protocol.Text{EN: hostile}, Remedy: protocol.Text{EN: hostile}}}
	}
	for i := range o.Obligations {
		o.Obligations[i].Owes, o.Obligations[i].Duty, o.Obligations[i].Rule = hostile, hostile, hostile
	}
	o.Rests[0].Outcome, o.Voids[0].Rule, o.Offers[0].To, o.Terms[0].Holder, o.Participants[0].Desk = hostile, hostile, hostile, hostile, hostile
	p := newPlace(t)
	p.serve(n)
	for _, args := range [][]string{{"case", "show", "4f1c"}, {"case", "timeline", "4f1c"}, {"case", "obligations", "4f1c", "--all"}, {"playbook", "acuut-thuis", "--case", "4f1c"}} {
		for _, more := range [][]string{nil, {"--json"}} {
			out, _ := p.must(cli.Done, append(args, more...)...)
			if found := acting(out); len(found) > 0 {
				t.Errorf("schakel %v %v lets %q through", args, more, found)
			}
			if args[0] == "case" && !strings.Contains(out, `\u202egnp.exe`) {
				t.Errorf("control: %v %v shows nothing hostile", args, more)
			}
		}
	}
}

// Who reads a message sees first that it was withdrawn, and what is wrong with it.
// Control: of another message it says neither.
func TestReadSaysWhatTookItsPlace(t *testing.T) {
	p, n := newPlace(t), fullNode()
	p.serve(n)
	if out, _ := p.must(cli.Done, "read", "4f1c"); strings.Contains(out, "WITHDRAWN") || strings.Contains(out, "[R01") {
		t.Errorf("control: %s", out)
	}
	named := ref(3)
	if err := named.Hash.UnmarshalText([]byte(hash1)); err != nil {
		t.Fatal(err)
	}
	n.overview.Replaced = []protocol.Replacement{{Message: named, By: ref(4), Withdrawn: true}}
	n.flags = []protocol.Flag{{Rule: "R01", Certainty: protocol.Broken, Reason: protocol.Text{EN: "another region " + hostile}}}
	out, _ := p.must(cli.Done, "read", "4f1c")
	if !strings.HasPrefix(out, "WITHDRAWN by correctie a400000000 of vt20/crisis") || !strings.Contains(out, "[R01, broken]") || len(acting(out)) > 0 {
		t.Errorf("%s", out)
	}
}

// A person reads what a desk has to do, and how an offer stands, in words of the own
// language, whatever the protocol calls it; a word that this version does not know is
// shown as it is.
func TestEveryDutyHasWords(t *testing.T) {
	n := fullNode()
	o := &n.overview
	o.Obligations, o.Offers = nil, nil
	duties := []protocol.Duty{protocol.DutyAcknowledge, protocol.DutyAnswer, protocol.DutyForward, protocol.DutyOfferBack, protocol.DutyWeigh,
		protocol.DutyFeedback1, protocol.DutyFeedback2, protocol.DutyPolice, protocol.DutyRevise, "iets-nieuws"}
	for _, d := range duties {
		o.Obligations = append(o.Obligations, protocol.Obligation{Rule: "R99", Duty: d, Owes: "a/b", To: "c/d", Since: ref(1), Due: now()})
	}
	for _, state := range []protocol.OfferState{protocol.OfferOpen, protocol.OfferAccepted, protocol.OfferRefused, protocol.OfferWithdrawn, protocol.OfferReturned} {
		o.Offers = append(o.Offers, protocol.Offer{Message: ref(5), Ends: ref(2), By: "a/b", To: "c/d", State: state})
	}
	p := newPlace(t)
	p.serve(n)
	dutch, _ := p.must(cli.Done, "case", "show", "4f1c")
	english, _ := p.must(cli.Done, "case", "show", "4f1c", "--english")
	for _, d := range duties[:len(duties)-1] {
		if strings.Contains(dutch, string(d)+":") || strings.Contains(english, string(d)+":") {
			t.Errorf("%s has no words", d)
		}
	}
	for _, out := range []string{dutch, english} {
		if !strings.Contains(out, "a/b iets-nieuws: ") {
			t.Errorf("a duty that is not known is hidden:\n%s", out)
		}
	}
	for i, want := range []string{"nog geen besluit", "aanvaard", "geweigerd", "ingetrokken", "want anderen kregen het wel"} {
		if !strings.Contains(dutch, want) {
			t.Errorf("offer state %d: no %q", i, want)
		}
	}
	for _, want := range []string{"no decision yet", "accepted", "refused", "withdrawn", "because others got it"} {
		if !strings.Contains(english, want) {
			t.Errorf("no %q", want)
		}
	}
}
