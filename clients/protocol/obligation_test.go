package protocol_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Each duty arises from what its rule says, is due when it says, and is met by a
// message that its rule names, and by no other. Both ends compute the same.
func TestDuties(t *testing.T) {
	monday := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		duty    protocol.Duty
		rule    string
		owes    identity.DeskID
		begin   func(*script) protocol.Known
		due     time.Time
		wrong   func(*script, protocol.Known) // looks like it, and is not
		meeting func(*script, protocol.Known)
	}{
		{"an acute report is acknowledged in a quarter of an hour", protocol.DutyAcknowledge, "R05", vt,
			func(s *script) protocol.Known { return s.acute("melding", gp, vt, cops) }, monday.Add(15 * time.Minute),
			func(s *script, k protocol.Known) { s.take(k, cops) },
			func(s *script, k protocol.Known) { s.take(k, vt) }},
		{"a question is answered", protocol.DutyAnswer, "antwoord", cops,
			func(s *script) protocol.Known { return s.say("informatieverzoek", vt, cops) }, monday.Add(24 * time.Hour),
			func(s *script, k protocol.Known) { s.take(k, cops) },
			func(s *script, k protocol.Known) { s.reply("informatieantwoord", k, cops, nil) }},
		{"a sign from abroad is answered", protocol.DutyAnswer, "R10", knoop,
			func(s *script) protocol.Known { return s.say("achterlatingssignaal", buza, knoop) }, monday.Add(24 * time.Hour),
			func(s *script, _ protocol.Known) { s.say("verificatieverzoek", knoop, vt) },
			func(s *script, k protocol.Known) { s.reply("terugkoppeling", k, knoop, nil) }},
		{"and the other way round", protocol.DutyAnswer, "R10", buza,
			func(s *script) protocol.Known { return s.say("achterlatingssignaal", knoop, buza) }, monday.Add(24 * time.Hour),
			func(s *script, k protocol.Known) { s.take(k, buza) },
			func(s *script, k protocol.Known) { s.reply("verificatieverzoek", k, buza, nil) }},
		{"a wrong recipient is put right", protocol.DutyForward, "R01", gp,
			func(s *script) protocol.Known {
				k := s.say("signaal", gp, vtA)
				return s.reply("ontvangstbevestiging", k, vtA, map[string]any{"status": "verkeerde-ontvanger"})
			}, monday.Add(time.Minute + 4*time.Hour),
			func(s *script, _ protocol.Known) { s.say("melding", gp, vt) },
			func(s *script, _ protocol.Known) { s.say("signaal", gp, vt) }},
		{"acute went first, the weighing follows", protocol.DutyWeigh, "R18", vt,
			func(s *script) protocol.Known { return s.acute("inzetverzoek", vt, cops) }, time.Date(2026, 11, 24, 23, 0, 0, 0, time.UTC),
			func(s *script, _ protocol.Known) { s.say("afweging", knoop, vt) },
			func(s *script, _ protocol.Known) { s.say("afweging", vt, knoop) }},
		{"feedback after the safety assessment", protocol.DutyFeedback1, "R23", vt,
			func(s *script) protocol.Known { return s.say("melding", gp, vt) }, time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC),
			func(s *script, k protocol.Known) {
				s.reply("terugkoppeling", k, vt, map[string]any{"moment": "tussentijds"})
			},
			func(s *script, k protocol.Known) {
				s.reply("terugkoppeling", k, vt, map[string]any{"moment": "na-veiligheidsbeoordeling"})
			}},
		{"feedback after the investigation", protocol.DutyFeedback2, "R23", vt,
			func(s *script) protocol.Known { return s.say("melding", gp, vt) }, time.Date(2027, 2, 1, 23, 0, 0, 0, time.UTC),
			func(s *script, k protocol.Known) {
				s.reply("terugkoppeling", k, vt, map[string]any{"moment": "na-veiligheidsbeoordeling"})
			},
			func(s *script, k protocol.Known) {
				s.reply("terugkoppeling", k, vt, map[string]any{"moment": "na-onderzoek"})
			}},
		{"acute from abroad: the police within the hour", protocol.DutyPolice, "R25", knoop,
			func(s *script) protocol.Known { return s.acute("contactverzoek", buza, knoop) }, monday.Add(time.Hour),
			func(s *script, k protocol.Known) { s.reply("terugkoppeling", k, knoop, map[string]any{}) },
			func(s *script, _ protocol.Known) { s.say("inzetverzoek", knoop, cops) }},
		{"or why they cannot act", protocol.DutyPolice, "R25", knoop,
			func(s *script) protocol.Known { return s.acute("melding", buza, knoop) }, monday.Add(time.Hour),
			func(s *script, _ protocol.Known) { s.say("melding", knoop, vt) },
			func(s *script, k protocol.Known) {
				s.reply("terugkoppeling", k, knoop, map[string]any{"toelichting": "geen adres in Nederland"})
			}},
		{"a new version of the plan is decided on again", protocol.DutyRevise, "R19", buza,
			func(s *script) protocol.Known {
				first := s.add(s.plain("repatrieringsplan", knoop, buza), message.Ref{}, map[string]any{"versie": 1})
				s.reply("besluit", first, buza, map[string]any{"betreft": "repatrieringsplan", "uitkomst": "aanvaard"})
				return s.add(s.plain("repatrieringsplan", knoop, buza), message.Ref{}, map[string]any{"versie": 2})
			}, monday.Add(2*time.Minute + 4*time.Hour),
			func(s *script, k protocol.Known) { s.take(k, buza) },
			func(s *script, k protocol.Known) {
				s.reply("besluit", k, buza, map[string]any{"betreft": "repatrieringsplan", "uitkomst": "aanvaard"})
			}},
		{"an offer is decided on", protocol.DutyAnswer, "R20", knoop,
			func(s *script) protocol.Known { return s.offer(vt, knoop) }, monday.Add(24 * time.Hour),
			func(s *script, k protocol.Known) { s.take(k, knoop) },
			func(s *script, k protocol.Known) { s.decide(k, knoop, "afgewezen") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &script{world: newWorld()}
			s.now = uint64(monday.Unix()) - 60
			k := c.begin(s)
			open := func(at protocol.Case) (found []protocol.Obligation) {
				for _, o := range at.Owes(c.owes) {
					if o.Duty == c.duty && o.Since == k.Ref() {
						found = append(found, o)
					}
				}
				return found
			}
			owed := open(s.seen(vt))
			if len(owed) != 1 || owed[0].Rule != c.rule || !owed[0].Due.Equal(c.due) {
				t.Fatalf("owed: %+v, want one of %s, due %s", owed, c.rule, c.due)
			}
			if owed[0].To != "" && len(s.seen(vt).Awaits(owed[0].To)) == 0 {
				t.Error("nobody waits for it")
			}
			if owed[0].Late(c.due) || !owed[0].Late(c.due.Add(time.Second)) {
				t.Error("late at the wrong moment")
			}
			c.wrong(s, k)
			if len(open(s.seen(vt))) != 1 {
				t.Error("met by something else")
			}
			c.meeting(s, k)
			if got := open(s.seen(vt)); len(got) != 0 {
				t.Errorf("still owed: %+v", got)
			}
		})
	}
}

func (s *script) say(class string, from identity.DeskID, to ...identity.DeskID) protocol.Known {
	return s.add(s.plain(class, from, to...), message.Ref{}, map[string]any{"uitkomst": "nu-niet-melden"})
}

func (s *script) acute(class string, from identity.DeskID, to ...identity.DeskID) protocol.Known {
	m := s.plain(class, from, to...)
	m.Heading.Urgency = message.Acute
	return s.add(m, message.Ref{}, map[string]any{})
}

func (s *script) reply(class string, k protocol.Known, by identity.DeskID, fields map[string]any) protocol.Known {
	return s.add(s.plain(class, by, k.From.Desk), k.Ref(), fields)
}

// R08: the knooppunt leads by exception, a municipality becomes known, and it offers
// the regie back within five working days, which a holiday makes longer.
func TestOfferBack(t *testing.T) {
	s := &script{world: newWorld()}
	s.now = uint64(time.Date(2026, 12, 22, 9, 0, 0, 0, time.UTC).Unix()) - 180
	began := s.take(s.report("vertrokken-rni", buza, knoop), knoop)
	owes := func() []protocol.Obligation {
		return slices.DeleteFunc(s.seen(knoop).Owes(knoop), func(o protocol.Obligation) bool { return o.Duty != protocol.DutyOfferBack })
	}
	if len(owes()) != 0 {
		t.Error("owed before anything is known")
	}
	s.add(s.plain("verificatieantwoord", vt, knoop), message.Ref{}, map[string]any{"brpStatus": "ingezetene"})
	// Tuesday 22 December; 25 is Christmas (and a Friday), so the fifth working day is the 30th.
	if got := owes(); len(got) != 1 || !got[0].Due.Equal(time.Date(2026, 12, 30, 23, 0, 0, 0, time.UTC)) {
		t.Fatalf("owed: %+v", got)
	}
	s.offer(knoop, raad, began.Ref())
	if len(owes()) != 1 {
		t.Error("met by an offer to the Raad")
	}
	s2, began2 := &script{world: s.world, said: slices.Clone(s.said[:3])}, began
	s2.offer(knoop, vt, began2.Ref())
	if k := s2.seen(knoop); len(slices.DeleteFunc(k.Owes(knoop), func(o protocol.Obligation) bool { return o.Duty != protocol.DutyOfferBack })) != 0 {
		t.Error("still owed after the offer")
	}
}

// What was withdrawn asks nothing any more, and who sends a signal of a class that
// asks for no acknowledgement is owed none.
func TestNothingOwed(t *testing.T) {
	s := &script{world: newWorld()}
	k := s.say("informatieverzoek", vt, cops)
	s.add(s.plain("intrekking", vt, cops), message.Ref{}, map[string]any{}, k.Ref())
	info := s.plain("terugkoppeling", vt, gp)
	info.Heading.Urgency = message.Info
	s.add(info, message.Ref{}, nil)
	for _, o := range s.seen(cops).Owes(cops) {
		if o.Since == k.Ref() {
			t.Errorf("owed for a withdrawn question: %+v", o)
		}
	}
	if got := s.seen(gp).Owes(gp); len(got) != 0 {
		t.Errorf("owed for information: %+v", got)
	}
	wrong := s.say("melding", gp, vtA)
	s.reply("ontvangstbevestiging", wrong, vtA, map[string]any{"status": "verkeerde-ontvanger"})
	for _, o := range s.seen(vtA).Owes(vtA) {
		if o.Rule == "R23" {
			t.Error("feedback owed by the wrong recipient")
		}
	}
	signalled := s.acute("melding", gp, vt, cops)
	for _, o := range s.seen(gp).Owes(gp) {
		if o.Since == signalled.Ref() && o.Duty == protocol.DutyWeigh {
			t.Error("a doctor owes a weighing, and has no class for it")
		}
	}
}

// What others speak of and this desk lacks is named; what a message rests on too.
func TestMissingIsNamed(t *testing.T) {
	s := &script{world: newWorld()}
	weighing := s.add(s.plain("afweging", vt, cops), message.Ref{}, map[string]any{"uitkomst": "melden-aan-politie"})
	offence := s.add(s.plain("strafbaar-feit-melding", vt, cops), message.Ref{}, map[string]any{}, weighing.Ref())
	if k := s.seen(cops); len(k.Missing) != 0 || k.Rests[0].Outcome != "melden-aan-politie" || k.Rests[0].Message != offence.Ref() {
		t.Errorf("missing %v, rests %+v", k.Missing, k.Rests)
	}
	k := s.seen(cops, weighing)
	if len(k.Missing) != 1 || k.Missing[0].Message != weighing.Ref() || !slices.Equal(k.Missing[0].NamedBy, []message.Ref{offence.Ref()}) {
		t.Errorf("missing %+v", k.Missing)
	}
	// An enclosed original counts as one that the desk has; a forged one does not.
	m := s.plain("strafbaar-feit-melding", vt, cops)
	m.Heading.RestsOn, m.Body = []message.Ref{weighing.Ref()}, body(nil)
	original := s.plain("afweging", vt, cops)
	original.Body = body(map[string]any{"uitkomst": "melden-aan-politie"})
	forged := original
	forged.Sender.Desk = forger
	m.Enclosed = [][]byte{signed(original).Raw, signed(forged).Raw, []byte("not a message")}
	d := protocol.DraftOf(m, s.desks)
	if len(d.Enclosed) != 1 || d.Unproved != 2 {
		t.Errorf("%d enclosed, %d unproved", len(d.Enclosed), d.Unproved)
	}
	got := protocol.V1().CaseOf(cops, message.CaseRef{9}, []protocol.Known{s.known(m)})
	if _, ok := got.Message(signed(original).Hash()); !ok {
		t.Error("the enclosed original is not known")
	}
}

// The state travels to screens and files as JSON.
func TestCaseInJSON(t *testing.T) {
	s, ack := begun(t)
	s.offer(vt, knoop, ack.Ref())
	raw, err := json.Marshal(s.seen(cops))
	if err != nil {
		t.Fatal(err)
	}
	var back protocol.Case
	if err := json.Unmarshal(raw, &back); err != nil || back.Terms[0] != s.seen(cops).Terms[0] || len(back.Obligations) == 0 {
		t.Errorf("%s comes back as %+v, %v", raw, back, err)
	}
}

// What must be named, and what must travel along.
func TestMustRestOnAndEnclose(t *testing.T) {
	c := protocol.V1()
	s, ack := begun(t)
	draft := func(m message.Message) protocol.Draft { return protocol.DraftOf(m, s.desks) }
	m := s.plain("overdracht", vt, raad)
	m.Body = body(map[string]any{"nieuweRegieRol": "raad"})
	if got := s.seen(vt).MustRestOn(draft(m)); !slices.Equal(got, []message.Ref{ack.Ref()}) {
		t.Errorf("an offer rests on %v", got)
	}
	refusal := s.decide(s.offer(vt, raad, ack.Ref()), raad, "afgewezen")
	m.Heading.RestsOn = s.seen(vt).MustRestOn(draft(m))
	if !slices.Equal(m.Heading.RestsOn, []message.Ref{ack.Ref(), refusal.Ref()}) {
		t.Errorf("after a refusal it rests on %v", m.Heading.RestsOn)
	}
	if got := c.MustEnclose(draft(m), s.seen(vt)); !slices.Equal(got, []message.Ref{ack.Ref()}) {
		t.Errorf("encloses %v: the Raad refused itself, and got no acknowledgement", got)
	}
	b := s.plain("besluit", raad, vt, buza)
	b.Body = body(map[string]any{"betreft": "overdracht", "uitkomst": "aanvaard", "regieBij": "raad"})
	b.Heading.Answers = []message.Ref{s.offer(vt, raad, m.Heading.RestsOn...).Ref()}
	b.Heading.RestsOn = s.seen(raad).MustRestOn(draft(b))
	if !slices.Equal(b.Heading.RestsOn, []message.Ref{ack.Ref()}) {
		t.Errorf("an acceptance rests on %v", b.Heading.RestsOn)
	}
	if got := c.MustEnclose(draft(b), s.seen(raad)); len(got) != 0 {
		t.Errorf("encloses to the ministry what Veilig Thuis may not send it: %v", got)
	}
	weighing := s.add(s.plain("afweging", vt, cops), message.Ref{}, map[string]any{"uitkomst": "melden-aan-politie"})
	o := s.plain("strafbaar-feit-melding", vt, cops)
	o.Heading.RestsOn = []message.Ref{weighing.Ref()}
	if got := c.MustEnclose(draft(o), s.seen(vt)); len(got) != 0 {
		t.Errorf("the police have it: %v", got)
	}
	o.Addressed = []identity.DeskID{"om/piket", cops}
	if got := c.MustEnclose(draft(o), s.seen(vt)); !slices.Equal(got, []message.Ref{weighing.Ref()}) {
		t.Errorf("the prosecutor lacks it: %v", got)
	}
	invited := s.plain("uitnodiging", vt, "om/piket")
	invited.Body = body(map[string]any{"geschiedenis": []any{
		map[string]any{"wijze": "ingesloten", "bericht": map[string]any{"berichtId": weighing.ID.String(), "hash": "sha256:" + weighing.Hash.String()}},
		map[string]any{"wijze": "op-te-vragen", "bericht": map[string]any{"berichtId": ack.ID.String(), "hash": "sha256:" + ack.Hash.String()}}}})
	if got := c.MustEnclose(draft(invited), s.seen(vt)); !slices.Equal(got, []message.Ref{weighing.Ref()}) {
		t.Errorf("an invitation encloses what it says it does: %v", got)
	}
}
