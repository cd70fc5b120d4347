package protocol_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// histories is how many random cases the property tests walk through; make histories
// takes ten thousand.
var histories = flag.Int("histories", 0, "random histories; 0: as many as fit in a second or so")

// partners are the five of a random history, and the desks beside them that they
// write about a report.
var partners = []identity.DeskID{"veilig-thuis/piket", "vt-a/crisis", "knooppunt/piket", "raad/piket", "politie/piket"}

// body writes the few fields that the case state reads. The state takes what was
// checked on arrival; what was not must not confuse it either.
func body(fields map[string]any) []byte {
	raw, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return raw
}

// history draws a case at random. Some of its writers keep the protocol, and some do
// not: they offer twice, accept what was offered to another, answer what was answered.
type history struct {
	*world
	t    *rapid.T
	said []protocol.Known
}

func drawHistory(t *rapid.T) history {
	h := history{world: newWorld(), t: t}
	steps := []func(){h.report, h.take, h.offer, h.offer, h.offer, h.decide, h.decide, h.decide, h.decide, h.withdraw, h.close, h.advise, h.weigh}
	h.report()
	h.take()
	for range rapid.IntRange(4, 30).Draw(t, "messages") {
		steps[rapid.IntRange(0, len(steps)-1).Draw(t, "step")]()
	}
	return h
}

func (h *history) say(m message.Message) {
	if rapid.Bool().Draw(h.t, "millisecond") {
		m = at(m, m.Created*1000+uint64(rapid.IntRange(0, 999).Draw(h.t, "ms")))
	}
	k := h.known(m)
	for _, to := range k.To {
		if to.Desk != k.From.Desk && rapid.IntRange(0, 7).Draw(h.t, "rejected") == 0 {
			k.Rejected = append(k.Rejected, to.Desk)
		}
	}
	h.said = append(h.said, k)
	if rapid.IntRange(0, 3).Draw(h.t, "at once") == 0 {
		h.now -= 60 // another clock, or the same second
	}
}

// mostly is true three times out of four.
func (h *history) mostly(what string) bool { return rapid.IntRange(0, 3).Draw(h.t, what) > 0 }

func (h *history) desk() identity.DeskID {
	return partners[rapid.IntRange(0, len(partners)-1).Draw(h.t, "desk")]
}

// pick returns a message said before, of a class, or false.
func (h *history) pick(class string) (protocol.Known, bool) {
	of := slices.DeleteFunc(slices.Clone(h.said), func(k protocol.Known) bool { return k.Class != class })
	if len(of) == 0 {
		return protocol.Known{}, false
	}
	return of[rapid.IntRange(0, len(of)-1).Draw(h.t, class)], true
}

func (h *history) report() {
	brp := rapid.SampledFrom([]string{"ingezetene", "niet-ingeschreven"}).Draw(h.t, "brp")
	m := h.plain(protocol.ClassReport, "signaleerder/piket", h.desk(), h.desk())
	m.Body = body(map[string]any{"slachtoffers": []any{map[string]any{"rol": "slachtoffer", "brpStatus": brp, "gemeentecode": "GM0344"}}})
	h.say(m)
}

func (h *history) take() {
	report, ok := h.pick(protocol.ClassReport)
	if !ok {
		return
	}
	from := report.To[rapid.IntRange(0, len(report.To)-1).Draw(h.t, "by")].Desk
	m := h.plain(protocol.ClassAcknowledgement, from, report.From.Desk)
	m.Heading.Answers = []message.Ref{report.Ref()}
	m.Body = body(map[string]any{"status": protocol.StatusTaken})
	h.say(m)
}

// offer is made by somebody who believes to lead, on what is known by now.
func (h *history) offer() {
	from, to := h.desk(), h.desk()
	if from == to {
		return
	}
	state := h.state("", h.said)
	m := h.plain(protocol.ClassHandover, from, to)
	if lead, ok := state.Lead(); ok {
		m.Heading.RestsOn = append(m.Heading.RestsOn, lead.Begins)
		if lead.Holder != to && h.mostly("the holder") {
			m.Sender.Desk = lead.Holder
		}
	}
	if before, ok := h.pick(protocol.ClassDecision); ok && !h.mostly("new offer") {
		m.Heading.RestsOn = append(m.Heading.RestsOn, before.Ref())
	}
	m.Body = body(map[string]any{"nieuweRegieRol": h.desks[to].Role, "brpStatus": "niet-ingeschreven"})
	h.say(m)
}

func (h *history) decide() {
	offer, ok := h.pick(protocol.ClassHandover)
	if !ok {
		return
	}
	if open, is := h.state("", h.said).OpenOffer(); is && h.mostly("on the open offer") {
		offer = h.said[slices.IndexFunc(h.said, func(k protocol.Known) bool { return k.Ref() == open.Message })]
	}
	from := offer.To[0].Desk
	if !h.mostly("by the right desk") {
		from = h.desk()
	}
	m := h.plain(protocol.ClassDecision, from, offer.From.Desk)
	m.Heading.Answers, m.Heading.RestsOn = []message.Ref{offer.Ref()}, offer.RestsOn[:min(1, len(offer.RestsOn))]
	m.Body = body(map[string]any{"betreft": protocol.ClassHandover, "regieBij": h.desks[from].Role,
		"uitkomst": rapid.SampledFrom([]string{"aanvaard", "aanvaard", "aanvaard-onder-voorwaarden", "afgewezen", "aangehouden"}).Draw(h.t, "outcome")})
	h.say(m)
}

func (h *history) withdraw() {
	if offer, ok := h.pick(protocol.ClassHandover); ok {
		m := h.plain(protocol.ClassWithdrawal, offer.From.Desk, offer.To[0].Desk)
		m.Heading.Answers = []message.Ref{offer.Ref()}
		h.say(m)
	}
}

func (h *history) close() {
	if !h.mostly("stays open") {
		m := h.plain(protocol.ClassClosing, h.desk(), "politie/piket")
		m.Body = body(map[string]any{"bewaartermijnTot": "2041-01-01", "vernietigInSchakelOp": "2026-01-01"})
		h.say(m)
	}
}

func (h *history) advise() { h.say(h.plain(protocol.ClassAdvice, h.desk(), "lec-egg/piket")) }

func (h *history) weigh() {
	m := h.plain(protocol.ClassWeighing, h.desk(), "om/piket")
	m.Body = body(map[string]any{"uitkomst": "melden-aan-om"})
	h.say(m)
}

func (h *history) state(desk identity.DeskID, known []protocol.Known) protocol.Case {
	return protocol.V1().CaseOf(desk, message.CaseRef{9}, known)
}

func checkHistories(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	n, seed := *histories, 0 // drawn
	if n == 0 {
		n, seed = 1000, 1 // the controls count what these histories have
		if raceEnabled {
			n = 100
		}
	}
	for name, value := range map[string]string{"rapid.checks": fmt.Sprint(n), "rapid.seed": fmt.Sprint(seed), "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, property)
}

// Same messages, same state: whatever the order of arrival, and however often. Never
// two regiehouders in one term: not with all messages, not with some of them.
func TestHistories(t *testing.T) {
	longest, offers, voids, closed := 0, 0, 0, 0
	checkHistories(t, func(t *rapid.T) {
		h := drawHistory(t)
		some := h.some(t)
		part, whole := h.state("politie/piket", some), h.state("", h.said)
		again := rapid.Permutation(append(slices.Clone(some), some[:len(some)/2]...)).Draw(t, "order of arrival")
		if a, b := marshal(t, part), marshal(t, h.state("politie/piket", again)); a != b {
			t.Fatalf("another order of arrival:\n%s\n%s", a, b)
		}
		oneHolder(t, whole)
		oneHolder(t, part)
		sayWhyTheyDiffer(t, part, whole)
		longest, offers, voids = max(longest, len(whole.Terms)), max(offers, len(whole.Offers)), max(voids, len(whole.Voids))
		if whole.Closing != nil {
			closed++
		}
	})
	if longest < 3 || offers < 2 || voids == 0 || closed == 0 {
		t.Errorf("control: the histories are tame: at most %d terms, %d offers, %d without effect, %d closed", longest, offers, voids, closed)
	}
}

// sayWhyTheyDiffer: two desks may differ on a numbered term only where messages
// contradict each other, and then who has all of them sees the contradiction. It is
// none when a desk takes a further report while it leads already, by terms that the other
// desk does not have: both name the same desk at that message.
func sayWhyTheyDiffer(t *rapid.T, part, whole protocol.Case) {
	for i := range min(len(part.Terms), len(whole.Terms)) {
		a, b := part.Terms[i], whole.Terms[i]
		then, _ := protocol.V1().CaseOf("", whole.Ref, whole.Before(a.Begins.Hash)).Lead()
		if a.Number > 0 && a.Number == b.Number && a.Holder != b.Holder && len(whole.Voids) == 0 && then.Holder != a.Holder {
			t.Fatalf("term %d: %s and %s, and nothing says that they contradict", a.Number, a.Holder, b.Holder)
		}
	}
}

// seenBy is what a desk has of a history when all has arrived: what it said, with the
// rejections that it heard, and what it took of others, of whose rejections it knows
// nothing.
func (h *history) seenBy(desk identity.DeskID) (out []protocol.Known) {
	for _, k := range h.said {
		switch {
		case k.From.Desk == desk:
			out = append(out, k)
		case slices.ContainsFunc(k.To, func(p protocol.Party) bool { return p.Desk == desk }) && !slices.Contains(k.Rejected, desk):
			k.Rejected = nil
			out = append(out, k)
		}
	}
	return out
}

// some draws what one desk has of a history.
func (h *history) some(t *rapid.T) (out []protocol.Known) {
	for _, k := range h.said {
		if rapid.IntRange(0, 3).Draw(t, "has") > 0 {
			out = append(out, k)
		}
	}
	return out
}

func marshal(t interface{ Fatal(...any) }, k protocol.Case) string {
	raw, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func oneHolder(t *rapid.T, k protocol.Case) {
	numbers, beginnings, ended := map[int]bool{}, map[message.Hash]bool{}, map[message.Ref]int{}
	for _, term := range k.Terms {
		if term.Number > 0 && numbers[term.Number] || beginnings[term.Begins.Hash] {
			t.Fatalf("term %d (%s) twice: %+v", term.Number, term.Begins.Hash, k.Terms)
		}
		numbers[term.Number], beginnings[term.Begins.Hash] = true, true
	}
	for _, o := range k.Offers {
		if o.State == protocol.OfferAccepted {
			if ended[o.Ends]++; ended[o.Ends] > 1 {
				t.Fatalf("a term ended twice: %+v", k.Offers)
			}
		}
	}
	open := map[message.Ref]int{}
	for _, o := range k.Offers {
		if o.State == protocol.OfferOpen {
			if open[o.Ends]++; open[o.Ends] > 1 && len(k.Missing) == 0 {
				t.Fatalf("two offers open in one term: %+v", k.Offers)
			}
		}
	}
}

// Control: without the rule of one acceptance per offer the histories do hold two
// holders of one term, so the property can fail.
func TestHistoriesHoldContradictions(t *testing.T) {
	twice := 0
	checkHistories(t, func(t *rapid.T) {
		h := drawHistory(t)
		accepted := map[message.Ref]map[identity.DeskID]bool{}
		for _, k := range h.said {
			var b struct{ Uitkomst string }
			if err := json.Unmarshal(k.Body, &b); err != nil {
				t.Fatal(err)
			}
			if k.Class == protocol.ClassDecision && b.Uitkomst == "aanvaard" && len(k.RestsOn) == 1 {
				if accepted[k.RestsOn[0]] == nil {
					accepted[k.RestsOn[0]] = map[identity.DeskID]bool{}
				}
				accepted[k.RestsOn[0]][k.From.Desk] = true
			}
		}
		for _, by := range accepted {
			if len(by) > 1 {
				twice++
			}
		}
	})
	if twice == 0 {
		t.Error("no history in which two desks accept the regie of one term")
	}
}

// Advice and questions never move the regie (R03).
func TestAdviceMovesNothing(t *testing.T) {
	checkHistories(t, func(t *rapid.T) {
		h := drawHistory(t)
		without := slices.DeleteFunc(slices.Clone(h.said), func(k protocol.Known) bool { return k.Class == protocol.ClassAdvice })
		if a, b := h.state("", h.said).Terms, h.state("", without).Terms; !reflect.DeepEqual(a, b) {
			t.Fatalf("with advice %v, without %v", a, b)
		}
	})
}
