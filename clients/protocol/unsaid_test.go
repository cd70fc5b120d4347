package protocol_test

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// rejected gives the rejection of a message by desks to the script.
func (s *script) rejected(k protocol.Known, by ...identity.DeskID) {
	i := slices.IndexFunc(s.said, func(o protocol.Known) bool { return o.Hash == k.Hash })
	s.said[i].Rejected = append(s.said[i].Rejected, by...)
}

// A hand-over that the other desk rejected was never offered: it is no open offer, and
// a new one needs nobody's leave.
func TestRejectedOffer(t *testing.T) {
	s, ack := begun(t)
	offer := s.offer(vt, knoop, ack.Ref())
	if _, open := s.seen(vt).OpenOffer(); !open {
		t.Fatal("control: the offer is open before anybody rejects it")
	}
	before := s.seen(vt, offer)
	s.rejected(offer, knoop)
	k := s.seen(vt)
	if _, open := k.OpenOffer(); open || len(k.Offers) != 0 || len(k.Awaits(vt)) != len(before.Awaits(vt)) {
		t.Errorf("a rejected offer stands: %+v, awaits %+v", k.Offers, k.Awaits(vt))
	}
	if !slices.Equal(k.Unsaid, []message.Ref{offer.Ref()}) || !k.Unheard(offer.Hash) || k.Unheard(ack.Hash) {
		t.Errorf("unsaid %v", k.Unsaid)
	}
	if h := k.History(); len(h) != 3 || h[2].Hash != offer.Hash || k.KnownAt != ack.Ref() {
		t.Errorf("the history lost it, or the case counts it: %d messages, known at %v", len(h), k.KnownAt)
	}
	again := s.offer(vt, knoop, ack.Ref())
	s.decide(again, knoop, "aanvaard")
	expect(t, s.seen(vt), "1 "+string(vt)+", 2 "+string(knoop))
	expect(t, s.seen(knoop, offer), "1 "+string(vt)+", 2 "+string(knoop))
}

// An offer that the desk which was to decide rejected, and another took, is known to
// that other: it stands in the way until its sender withdraws it.
func TestOfferRejectedByOne(t *testing.T) {
	s, ack := begun(t)
	offer := s.add(s.plain("overdracht", vt, knoop, raad), message.Ref{}, map[string]any{"nieuweRegieRol": "knooppunt", "brpStatus": "niet-ingeschreven"}, ack.Ref())
	s.rejected(offer, knoop)
	k := s.seen(vt)
	if len(k.Offers) != 1 || k.Offers[0].State != protocol.OfferReturned || k.Takes(knoop) || !k.Takes(raad) {
		t.Fatalf("offers %+v, taking part %v", k.Offers, k.Participants)
	}
	for _, o := range k.Awaits(vt) {
		if o.Owes == knoop {
			t.Errorf("the knooppunt owes for what it does not have: %+v", o)
		}
	}
	m := s.plain("overdracht", vt, knoop)
	m.Body, m.Heading.RestsOn = body(map[string]any{"nieuweRegieRol": "knooppunt", "brpStatus": "niet-ingeschreven"}), []message.Ref{ack.Ref()}
	if got := k.MustRestOn(protocol.DraftOf(m, s.desks)); len(got) != 0 {
		t.Errorf("rests on %v", got)
	}
	taken := s.add(s.plain("intrekking", vt, raad, knoop), message.Ref{}, nil, offer.Ref())
	if k := s.seen(vt); k.Offers[0].State != protocol.OfferWithdrawn || k.Offers[0].Closed != taken.Ref() {
		t.Errorf("after the withdrawal: %+v", k.Offers)
	}
}

// A message of the rejecting desk that names what was rejected shows that another of
// its devices took it.
func TestRejectionIsBelied(t *testing.T) {
	s, ack := begun(t)
	offer := s.offer(vt, knoop, ack.Ref())
	s.rejected(offer, knoop)
	s.decide(offer, knoop, "aanvaard")
	expect(t, s.seen(vt), "1 "+string(vt)+", 2 "+string(knoop))
	if k := s.seen(vt); len(k.Unsaid) != 0 {
		t.Errorf("unsaid: %v", k.Unsaid)
	}
}

// Who waits for an answer still waits when it rejected the answer, and the police that
// rejected a request were not brought in.
func TestRejectedMeetsNothing(t *testing.T) {
	s := &script{world: newWorld()}
	s.acute("contactverzoek", buza, knoop)
	police := func() bool {
		return slices.ContainsFunc(s.seen(knoop).Owes(knoop), func(o protocol.Obligation) bool { return o.Duty == protocol.DutyPolice })
	}
	action := s.add(s.plain("inzetverzoek", knoop, cops, "kmar/piket"), message.Ref{}, nil)
	if police() {
		t.Fatal("control: a request that the police have meets it")
	}
	s.rejected(action, cops)
	if !police() {
		t.Error("police who rejected the request were brought in by it")
	}
	q := s.say("informatieverzoek", vt, cops)
	a := s.add(s.plain("informatieantwoord", cops, vt, knoop), q.Ref(), nil)
	s.rejected(a, vt)
	if !slices.ContainsFunc(s.seen(cops).Owes(cops), func(o protocol.Obligation) bool { return o.Since == q.Ref() && o.Duty == protocol.DutyAnswer }) {
		t.Error("an answer that its asker rejected answers")
	}
}

// What travelled inside a message that was taken was said, whatever became of it alone.
func TestRejectedAndEnclosed(t *testing.T) {
	s := &script{world: newWorld()}
	weighing := s.add(s.plain("afweging", vt, cops), message.Ref{}, map[string]any{"uitkomst": "melden-aan-politie"})
	s.rejected(weighing, cops)
	if k := s.seen(vt); len(k.Unsaid) != 1 {
		t.Fatalf("control: %v", k.Unsaid)
	}
	m := s.plain("strafbaar-feit-melding", vt, cops)
	m.Enclosed = [][]byte{signed(s.weighing(weighing)).Raw}
	k := s.add(m, message.Ref{}, nil, weighing.Ref())
	if len(k.Enclosed) != 1 || k.Enclosed[0].Hash != weighing.Hash {
		t.Fatal("control: the weighing is not enclosed")
	}
	if got := s.seen(vt); len(got.Unsaid) != 0 || len(got.Missing) != 0 {
		t.Errorf("unsaid %v, missing %v", got.Unsaid, got.Missing)
	}
}

// weighing writes the message of a known weighing once more, byte for byte.
func (s *script) weighing(k protocol.Known) message.Message {
	m := s.plain(k.Class, k.From.Desk, k.To[0].Desk)
	m.ID, m.Created, m.Body = k.ID, k.Created, k.Body
	m.Heading.RestsOn, m.Heading.Expires = k.RestsOn, k.Created+1000
	return m
}

// What every addressed desk rejected changes nothing: with it and its rejections a desk
// computes what it would without it. So a sender and its recipients, who have it not,
// agree; and where desks give one term to two holders, who has all sees why.
func TestHistoriesWithoutTheUnsaid(t *testing.T) {
	unsaid, mattered := 0, 0
	checkHistories(t, func(t *rapid.T) {
		h := drawHistory(t)
		whole := h.state("", h.said)
		one := h.desk()
		seen := h.seenBy(one)
		k := h.state(one, seen)
		oneHolder(t, k)
		sayWhyTheyDiffer(t, k, whole)
		if len(k.History()) != len(seen) {
			t.Fatalf("the history has %d of %d messages", len(k.History()), len(seen))
		}
		if len(k.Unsaid) == 0 {
			return
		}
		heard := slices.DeleteFunc(slices.Clone(seen), func(m protocol.Known) bool { return k.Unheard(m.Hash) })
		a, b := k, h.state(one, heard)
		if a.Unsaid = nil; marshal(t, a) != marshal(t, b) {
			t.Fatalf("what nobody heard changed the case:\n%s\n%s", marshal(t, a), marshal(t, b))
		}
		unsaid += len(k.Unsaid)
		if !reflect.DeepEqual(h.state(one, deaf(seen)).Offers, k.Offers) {
			mattered++
		}
	})
	if unsaid == 0 || mattered == 0 && !raceEnabled { // a hundred histories may well hold no such offer
		t.Errorf("control: %d messages unsaid, and it made a difference to the offers of %d cases", unsaid, mattered)
	}
}

// deaf is messages whose sender heard no rejection.
func deaf(seen []protocol.Known) []protocol.Known {
	out := slices.Clone(seen)
	for i := range out {
		out[i].Rejected = nil
	}
	return out
}
