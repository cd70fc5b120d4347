package protocol_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

const (
	vt    identity.DeskID = "veilig-thuis/piket"
	vtA   identity.DeskID = "vt-a/crisis"
	knoop identity.DeskID = "knooppunt/piket"
	raad  identity.DeskID = "raad/piket"
	cops  identity.DeskID = "politie/piket"
	gp    identity.DeskID = "signaleerder/piket"
	buza  identity.DeskID = "buza/piket"
)

// script writes one case, message by message.
type script struct {
	*world
	said []protocol.Known
}

func (s *script) add(m message.Message, answers message.Ref, fields map[string]any, rests ...message.Ref) protocol.Known {
	if (answers != message.Ref{}) {
		m.Heading.Answers = []message.Ref{answers}
	}
	m.Heading.RestsOn, m.Body = rests, body(fields)
	k := s.known(m)
	s.said = append(s.said, k)
	return k
}

func (s *script) report(brp string, from identity.DeskID, to ...identity.DeskID) protocol.Known {
	return s.add(s.plain("melding", from, to...), message.Ref{}, map[string]any{
		"slachtoffers": []any{map[string]any{"rol": "slachtoffer", "brpStatus": brp, "gemeentecode": "GM0344"}}})
}

func (s *script) take(of protocol.Known, by identity.DeskID) protocol.Known {
	return s.add(s.plain("ontvangstbevestiging", by, of.From.Desk), of.Ref(), map[string]any{"status": "in-behandeling"})
}

func (s *script) offer(from, to identity.DeskID, rests ...message.Ref) protocol.Known {
	return s.add(s.plain("overdracht", from, to), message.Ref{},
		map[string]any{"nieuweRegieRol": s.desks[to].Role, "brpStatus": "niet-ingeschreven"}, rests...)
}

func (s *script) decide(offer protocol.Known, by identity.DeskID, outcome string) protocol.Known {
	return s.add(s.plain("besluit", by, offer.From.Desk), offer.Ref(),
		map[string]any{"betreft": "overdracht", "uitkomst": outcome, "regieBij": s.desks[by].Role}, offer.RestsOn[:min(1, len(offer.RestsOn))]...)
}

func (s *script) close(by identity.DeskID) protocol.Known {
	return s.add(s.plain("afsluiting", by, cops), message.Ref{}, map[string]any{"bewaartermijnTot": "2041-11-28", "vernietigInSchakelOp": "2026-12-28"})
}

// seen is the case of a desk that never got some of the messages.
func (s *script) seen(by identity.DeskID, never ...protocol.Known) protocol.Case {
	return protocol.V1().CaseOf(by, message.CaseRef{9}, slices.DeleteFunc(slices.Clone(s.said), func(k protocol.Known) bool {
		return slices.ContainsFunc(never, func(n protocol.Known) bool { return n.Hash == k.Hash })
	}))
}

// regie is the terms of a case in one line.
func regie(k protocol.Case) string {
	var out []string
	for _, t := range k.Terms {
		out = append(out, fmt.Sprintf("%d %s", t.Number, t.Holder))
	}
	return strings.Join(out, ", ")
}

func expect(t *testing.T, k protocol.Case, terms string, voids ...string) {
	t.Helper()
	if got := regie(k); got != terms {
		t.Errorf("regie: %s, want %s", got, terms)
	}
	var rules []string
	for _, v := range k.Voids {
		rules = append(rules, v.Rule)
	}
	if !slices.Equal(rules, voids) {
		t.Errorf("without effect: %v, want %v", rules, voids)
	}
}

func begun(t *testing.T) (*script, protocol.Known) {
	t.Helper()
	s := &script{world: newWorld()}
	return s, s.take(s.report("ingezetene", gp, vt, cops), vt)
}

func TestFirstHolder(t *testing.T) {
	s := &script{world: newWorld()}
	report := s.report("ingezetene", gp, vt, knoop)
	expect(t, s.seen(cops), "")
	s.take(report, cops) // was not addressed, and never leads
	s.take(report, knoop)
	expect(t, s.seen(cops), "")
	s.take(report, vt)
	expect(t, s.seen(cops), "1 "+string(vt))
	abroad := &script{world: newWorld()}
	abroad.take(abroad.report("vertrokken-rni", buza, knoop), knoop)
	expect(t, abroad.seen(cops), "1 "+string(knoop))
}

// Two take the same report: the first leads, on every desk, and the other is named.
func TestTwoTakeAtOnce(t *testing.T) {
	s := &script{world: newWorld()}
	report := s.report("ingezetene", gp, vt, vtA)
	first := s.take(report, vtA)
	s.now = first.Created - 60 // the very second
	second := s.take(report, vt)
	winner := first
	if slices.Compare(second.Hash[:], first.Hash[:]) < 0 {
		winner = second
	}
	expect(t, s.seen(cops), "1 "+string(winner.From.Desk), "R21")
}

// A clock that is behind gives no right: what a message answers stands before it.
func TestOrderFollowsTheThread(t *testing.T) {
	s := &script{world: newWorld()}
	report := s.report("ingezetene", gp, vt, vtA)
	s.now -= 3600
	early := s.take(report, vtA)
	k := s.seen(cops)
	if before := k.Before(report.Hash); len(before) != 1 || before[0].Hash != report.Hash {
		t.Errorf("an answer stands before its question: %d messages", len(before))
	}
	if k.KnownAt != early.Ref() {
		t.Errorf("known at %v", k.KnownAt)
	}
}

func TestHandOver(t *testing.T) {
	s, ack := begun(t)
	offer := s.offer(vt, knoop, ack.Ref())
	expect(t, s.seen(cops), "1 "+string(vt))
	if o, open := s.seen(cops).OpenOffer(); !open || o.To != knoop {
		t.Errorf("offer = %+v, %v", o, open)
	}
	s.decide(offer, knoop, "aangehouden")
	if o, open := s.seen(cops).OpenOffer(); !open || o.State != protocol.OfferOpen {
		t.Errorf("held over, the offer is %+v, %v", o, open)
	}
	accepted := s.decide(offer, knoop, "aanvaard-onder-voorwaarden")
	expect(t, s.seen(cops), "1 "+string(vt)+", 2 "+string(knoop))
	back := s.decide(s.offer(knoop, vtA, accepted.Ref()), vtA, "aanvaard")
	expect(t, s.seen(cops), "1 "+string(vt)+", 2 "+string(knoop)+", 3 "+string(vtA))
	// Who never got the offers believes who accepted, except who would have made them.
	never := slices.DeleteFunc(slices.Clone(s.said), func(k protocol.Known) bool { return k.Class != "overdracht" })
	expect(t, s.seen(cops, never...), "1 "+string(vt)+", 2 "+string(knoop)+", 3 "+string(vtA))
	expect(t, s.seen(vt, never...), "1 "+string(vt)+", 0 "+string(knoop)+", 0 "+string(vtA))
	if lead, _ := s.seen(vt, never...).Lead(); lead.Holder != vt {
		t.Errorf("who made no offer lost the regie to %s", lead.Holder)
	}
	// Who lacks the middle sees a gap, and no number.
	k := s.seen(cops, append(never, accepted)...)
	if lead, _ := k.Lead(); lead.Holder != vt || !slices.Equal(k.Claimed(), []identity.DeskID{vtA}) || len(k.Missing) == 0 {
		t.Errorf("with the middle gone: %s, claimed %v, missing %v", regie(k), k.Claimed(), k.Missing)
	}
	if at := protocol.V1().CaseOf(cops, message.CaseRef{9}, s.seen(cops).Before(accepted.Hash)); regie(at) != "1 "+string(vt)+", 2 "+string(knoop) {
		t.Errorf("as known at the first acceptance: %s", regie(at))
	}
	if last := s.seen(cops).KnownAt; last != back.Ref() {
		t.Errorf("known at %v", last)
	}
}

// Who takes part hears who leads now, each as far as a besluit may go to it.
func TestHearers(t *testing.T) {
	s, _ := begun(t)
	s.add(s.plain("achterlatingssignaal", buza, knoop), message.Ref{}, nil)
	for by, want := range map[identity.DeskID][]identity.DeskID{knoop: {cops, vt, buza}, raad: {cops, vt, knoop}} {
		if got := protocol.V1().Hearers(s.desks[by], s.seen(by)); !slices.Equal(got, want) {
			t.Errorf("of a besluit of %s: %v, want %v", by, got, want)
		}
	}
}

func TestHandOverRefused(t *testing.T) {
	s, ack := begun(t)
	refusal := s.decide(s.offer(vt, raad, ack.Ref()), raad, "afgewezen")
	expect(t, s.seen(cops), "1 "+string(vt))
	again := s.offer(vt, knoop, ack.Ref(), refusal.Ref())
	s.decide(again, knoop, "aanvaard")
	expect(t, s.seen(cops), "1 "+string(vt)+", 2 "+string(knoop))
	// An offer that does not say that it comes after the refusal has no effect.
	other, ack2 := begun(t)
	other.decide(other.offer(vt, raad, ack2.Ref()), raad, "afgewezen")
	other.decide(other.offer(vt, knoop, ack2.Ref()), knoop, "aanvaard")
	expect(t, other.seen(cops), "1 "+string(vt), "R20", "R20")
}

func TestOfferWithdrawn(t *testing.T) {
	s, ack := begun(t)
	offer := s.offer(vt, knoop, ack.Ref())
	taken := s.add(s.plain("intrekking", vt, knoop), message.Ref{}, map[string]any{}, offer.Ref())
	s.decide(offer, knoop, "aanvaard")
	expect(t, s.seen(cops), "1 "+string(vt), "R20")
	if k := s.seen(cops); k.Offers[0].State != protocol.OfferWithdrawn || k.Replaced[0].By != taken.Ref() || !k.Replaced[0].Withdrawn {
		t.Errorf("%+v %+v", k.Offers, k.Replaced)
	}
	// Accepted first: a withdrawal undoes no besluit. Only its maker withdraws an offer.
	s, ack = begun(t)
	offer = s.offer(vt, knoop, ack.Ref())
	s.add(s.plain("intrekking", cops, knoop), message.Ref{}, map[string]any{}, offer.Ref())
	s.decide(offer, knoop, "aanvaard")
	s.add(s.plain("intrekking", vt, knoop), message.Ref{}, map[string]any{}, offer.Ref())
	expect(t, s.seen(cops), "1 "+string(vt)+", 2 "+string(knoop), "R20")
}

// Both partners offer at once: only the holder's offer is one.
func TestBothOfferAtOnce(t *testing.T) {
	s, ack := begun(t)
	mine, theirs := s.offer(vt, vtA, ack.Ref()), s.offer(vtA, vt, ack.Ref())
	s.decide(theirs, vt, "aanvaard")
	expect(t, s.seen(cops), "1 "+string(vt), "R21", "R20")
	s.decide(mine, vtA, "aanvaard")
	expect(t, s.seen(cops), "1 "+string(vt)+", 2 "+string(vtA), "R21", "R20")
}

// Two offers of one term, both accepted: the same one counts on every desk.
func TestTwoAcceptAtOnce(t *testing.T) {
	s, ack := begun(t)
	one, two := s.offer(vt, knoop, ack.Ref()), s.offer(vt, raad, ack.Ref())
	s.decide(two, raad, "aanvaard")
	s.decide(one, knoop, "aanvaard")
	for _, desk := range []identity.DeskID{vt, knoop, raad, cops} {
		expect(t, s.seen(desk), "1 "+string(vt)+", 2 "+string(knoop), "R20", "R20")
	}
	// Who got neither offer, and lacks how the term began, lets one of them count too.
	part := s.seen(cops, one, two, ack)
	if len(part.Terms) != 1 || len(part.Voids) != 1 {
		t.Errorf("%s, without effect %v", regie(part), part.Voids)
	}
	// One desk that says two things said the first.
	s, ack = begun(t)
	offer := s.offer(vt, knoop, ack.Ref())
	s.decide(offer, knoop, "afgewezen")
	s.decide(offer, knoop, "aanvaard")
	expect(t, s.seen(cops), "1 "+string(vt), "R20")
}

func TestWhoMayAccept(t *testing.T) {
	for name, change := range map[string]func(*script, protocol.Known){
		"another desk": func(s *script, o protocol.Known) { s.decide(o, raad, "aanvaard") },
		"a machine": func(s *script, o protocol.Known) {
			m := s.plain("besluit", knoop, vt)
			m.Person = nil
			s.add(m, o.Ref(), map[string]any{"betreft": "overdracht", "uitkomst": "aanvaard", "regieBij": "knooppunt"}, o.RestsOn...)
		},
		"for another role": func(s *script, o protocol.Known) {
			s.add(s.plain("besluit", knoop, vt), o.Ref(), map[string]any{"betreft": "overdracht", "uitkomst": "aanvaard", "regieBij": "raad"}, o.RestsOn...)
		},
		"another subject": func(s *script, o protocol.Known) {
			s.add(s.plain("besluit", knoop, vt), o.Ref(), map[string]any{"betreft": "inzetverzoek", "uitkomst": "aanvaard", "regieBij": "knooppunt"}, o.RestsOn...)
		},
	} {
		s, ack := begun(t)
		change(s, s.offer(vt, knoop, ack.Ref()))
		if got := regie(s.seen(cops)); got != "1 "+string(vt) {
			t.Errorf("%s moves the regie: %s", name, got)
		}
	}
}

// R07 in the state: nobody makes the knooppunt lead a case of a resident.
func TestKnooppuntLeadsByExceptionOnly(t *testing.T) {
	s, ack := begun(t)
	m := s.plain("overdracht", vt, knoop)
	offer := s.add(m, message.Ref{}, map[string]any{"nieuweRegieRol": "knooppunt", "brpStatus": "ingezetene"}, ack.Ref())
	s.decide(offer, knoop, "aanvaard")
	expect(t, s.seen(cops), "1 "+string(vt), "R20")
}

func TestClosing(t *testing.T) {
	s, ack := begun(t)
	s.close(knoop)
	if k := s.seen(cops); k.Closing != nil || len(k.Voids) != 1 {
		t.Errorf("closed by who does not lead: %+v", k.Closing)
	}
	s.decide(s.offer(vt, knoop, ack.Ref()), knoop, "aanvaard")
	s.close(vt)
	closed := s.close(knoop)
	k := s.seen(cops)
	if k.Closing == nil || k.Closing.By != knoop || k.Closing.Message != closed.Ref() {
		t.Fatalf("closing = %+v", k.Closing)
	}
	if k.Closing.RetainUntil.Format("2006-01-02") != "2041-11-28" || k.Closing.DestroyOn.Sub(k.Closing.At).Hours() < 30*24 {
		t.Errorf("retention: %+v", k.Closing)
	}
	back := s.plain(protocol.ClassWithdrawal, knoop, cops)
	s.add(back, message.Ref{}, map[string]any{}, closed.Ref())
	if k := s.seen(cops); k.Closing != nil {
		t.Errorf("taken back, and still closed: %+v", k.Closing)
	}
	again := s.close(knoop)
	if k := s.seen(cops); k.Closing == nil || k.Closing.Message != again.Ref() {
		t.Errorf("closed again: %+v", k.Closing)
	}
}

// at gives a message an identifier that says at which millisecond it was made.
func at(m message.Message, ms uint64) message.Message {
	id, err := identity.NewUUIDv7(time.UnixMilli(int64(ms)), bytes.NewReader(m.ID[6:]))
	if err != nil {
		panic(err)
	}
	m.ID, m.Created = id, ms/1000
	return m
}

// Within one second the millisecond of the identifier decides, so that a device's own
// messages stand in the order in which it said them. Control: without it the hash does,
// and puts some of them the other way round.
func TestOrderWithinOneSecond(t *testing.T) {
	s := &script{world: newWorld()}
	start := s.now * 1000
	byHash := 0
	for i := range uint64(20) {
		k := s.add(at(s.plain("terugkoppeling", vt, gp), start+i), message.Ref{}, nil)
		if i > 0 && slices.Compare(k.Hash[:], s.said[i-1].Hash[:]) < 0 {
			byHash++
		}
	}
	if byHash == 0 {
		t.Error("control: the hashes happen to be in order")
	}
	slices.Reverse(s.said)
	for i, k := range s.seen(gp).History() {
		if k.Hash != s.said[len(s.said)-1-i].Hash {
			t.Fatalf("message %d of one device is not in its place", i)
		}
	}
	// What answers nothing by name, in the same second as what asked for it, met it.
	s = &script{world: newWorld()}
	m := at(s.plain("contactverzoek", buza, knoop), start)
	m.Heading.Urgency = message.Acute
	asked := s.add(m, message.Ref{}, nil)
	s.add(at(s.plain("inzetverzoek", knoop, cops), start+700), message.Ref{}, nil)
	for _, o := range s.seen(knoop).Owes(knoop) {
		if o.Duty == protocol.DutyPolice && o.Since == asked.Ref() {
			t.Error("the police were brought in within the second, and it does not count")
		}
	}
}

// An identifier that claims another second than the signed time, or is of another kind,
// moves nothing: an order by it would be the sender's to choose.
func TestIdentifierLiesAboutTheSecond(t *testing.T) {
	s := &script{world: newWorld()}
	report := s.report("ingezetene", gp, vt, vtA)
	second := (report.Created + 60) * 1000
	honest := func(by identity.DeskID, ms uint64) message.Message {
		m := at(s.plain("ontvangstbevestiging", by, gp), ms)
		m.Heading.Answers, m.Body = []message.Ref{report.Ref()}, body(map[string]any{"status": "in-behandeling"})
		return m
	}
	liar := at(honest(vtA, second+900), second-30_000)
	liar.Created = second/1000 + 1 // the identifier says half a minute before
	s.said = append(s.said, s.known(liar), s.known(honest(vt, second+500)))
	expect(t, s.seen(gp), "1 "+string(vt), "R21")
	s.said = s.said[:1]
	s.said = append(s.said, s.known(honest(vtA, second+900)), s.known(honest(vt, second+500)))
	expect(t, s.seen(gp), "1 "+string(vt), "R21")
	s.said = s.said[:1]
	s.said = append(s.said, s.known(honest(vtA, second+100)), s.known(honest(vt, second+500)))
	expect(t, s.seen(gp), "1 "+string(vtA), "R21") // control: the millisecond decides
}
