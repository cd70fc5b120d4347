package protocol

import (
	"slices"
	"strings"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// LeadTerm is one term of the regie: who leads the case, from which message on.
//
// Terms form a chain. The first begins with the first acknowledgement of a melding
// as in-behandeling, by Veilig Thuis or, where no victim is registered in the
// Netherlands, by the knooppunt (R07, R08). Each next one begins with the besluit
// that accepted an offer which rests on the beginning of the term before. A term is
// its beginning: two terms with one number are not possible, because only one
// message counts as the end of a term (see end).
type LeadTerm struct {
	Number int             `json:"number"` // from 1; 0: claimed, and this desk lacks what would prove it
	Holder identity.DeskID `json:"holder"`
	Role   identity.Role   `json:"role"`
	Begins message.Ref     `json:"begins"`
	Since  time.Time       `json:"since,omitzero"`
}

// OfferState is how an offer to take over the regie stands.
type OfferState string

// The states of an offer. Only a besluit or a withdrawal ends it, never time (R20).
const (
	OfferOpen      OfferState = "aangeboden"
	OfferAccepted  OfferState = "aanvaard"
	OfferRefused   OfferState = "geweigerd"
	OfferWithdrawn OfferState = "ingetrokken"
	// OfferReturned: the desk that was to decide rejected the offer itself, and another
	// addressed desk took it. Nobody will decide; its sender has to withdraw it.
	OfferReturned OfferState = "teruggewezen"
)

// waits reports whether an offer stands in the way of another.
func (o Offer) waits() bool { return o.State == OfferOpen || o.State == OfferReturned }

// Offer is an overdracht that counts: made by the holder of the term, one at a time.
type Offer struct {
	Message message.Ref     `json:"message"`
	Ends    message.Ref     `json:"ends"` // beginning of the term that it would end
	By      identity.DeskID `json:"by"`
	To      identity.DeskID `json:"to"`
	State   OfferState      `json:"state"`
	Closed  message.Ref     `json:"closed,omitzero"`
}

// Void is a message without effect on the case, and the message that stands in its
// way: two who decide at once, an offer by somebody who does not hold the regie.
type Void struct {
	Rule    string      `json:"rule"`
	Message message.Ref `json:"message"`
	Against message.Ref `json:"against,omitzero"`
}

// leads computes the terms. Messages must be in order.
func (s *state) leads() {
	first, rivals := s.firstTaken()
	if first != nil {
		s.chain(*first, 1)
	}
	for _, k := range rivals {
		if !s.holdsBy(k.From.Desk, k.Hash) {
			s.void("R21", k.Ref(), first.Ref())
		}
	}
	s.claims()
	s.strays()
}

// firstTaken returns the acknowledgement that began the first term, and the later
// ones that would have.
func (s *state) firstTaken() (first *Known, rivals []Known) {
	for i, k := range s.messages {
		report, ok := s.known[answered(k)]
		if !ok || !takes(k, report) {
			continue
		}
		if first == nil {
			first = &s.messages[i]
		} else {
			rivals = append(rivals, k)
		}
	}
	return first, rivals
}

// takes reports whether an acknowledgement makes its desk the first to lead: a
// named person takes a melding that was addressed to the desk.
func takes(k, report Known) bool {
	if k.Class != ClassAcknowledgement || k.facts.status != StatusTaken || !k.Person ||
		report.Class != ClassReport || !report.addresses(k.From.Desk) {
		return false
	}
	switch k.From.Role {
	case identity.RoleVeiligThuis:
		return true
	case identity.RoleKnooppunt:
		return report.facts.unregistered()
	}
	return false
}

func answered(k Known) message.Hash {
	if len(k.Answers) == 1 {
		return k.Answers[0].Hash
	}
	return message.Hash{}
}

// chain appends the term that begins with start, and all that follow from it.
func (s *state) chain(start Known, number int) {
	for next := &start; next != nil; {
		begins := *next
		s.started[begins.Hash] = true
		s.Terms = append(s.Terms, LeadTerm{Number: number, Holder: begins.From.Desk, Role: begins.From.Role,
			Begins: begins.Ref(), Since: since(begins)})
		if number > 0 {
			number++
		}
		if next = s.end(begins); next != nil {
			s.ends(*next)
			if s.started[next.Hash] {
				return
			}
		}
	}
}

// since is when a term began; zero where its beginning is not here.
func since(begins Known) time.Time {
	if begins.Created == 0 {
		return time.Time{}
	}
	return at(begins.Created)
}

// end returns the besluit that ends the term which begins there, nil while it runs.
// Of the offers in the term one counts at a time: the first in order, and after its
// refusal or withdrawal only one that rests on that refusal. So who made two offers
// at once made one, on every desk.
func (s *state) end(begins Known) *Known {
	var current *Offer
	var accepted *Known
	for _, k := range s.of(begins.Hash, ClassHandover) {
		if !k.rests(begins.Hash) || k.From.Desk != begins.From.Desk {
			continue
		}
		s.placed[k.Hash] = true
		if current != nil && !s.follows(*k, *current) {
			s.void("R20", k.Ref(), current.Message)
			continue
		}
		offer, by := s.offer(*k, begins)
		s.Offers = append(s.Offers, offer)
		current = &offer
		if by != nil {
			accepted = by
		}
	}
	if accepted != nil {
		return accepted
	}
	return s.acceptedUnseen(begins)
}

// follows reports whether an offer may come after another of its term: it rests on
// what closed that one, be it a message that this desk lacks.
func (s *state) follows(k Known, before Offer) bool {
	if before.State == OfferAccepted {
		return false
	}
	if !before.waits() {
		return k.rests(before.Closed.Hash)
	}
	for _, ref := range k.RestsOn {
		if !s.here(ref.Hash) && ref.Hash != before.Ends.Hash {
			return true
		}
	}
	return false
}

// offer says how an offer stands, and which besluit accepted it.
func (s *state) offer(k, begins Known) (o Offer, accepted *Known) {
	o = Offer{Message: k.Ref(), Ends: begins.Ref(), By: k.From.Desk, To: candidate(k.Draft), State: OfferOpen}
	if slices.Contains(k.Rejected, o.To) {
		o.State = OfferReturned
	}
	for _, answer := range s.of(k.Hash, ClassDecision, ClassWithdrawal) {
		var next OfferState
		switch {
		case answer.Class == ClassWithdrawal && answer.From.Desk == k.From.Desk && (answer.answers(k.Hash) || answer.rests(k.Hash)):
			next = OfferWithdrawn
		case answer.Class != ClassDecision || !answer.answers(k.Hash):
			continue
		default:
			next = decided(*answer, k)
		}
		switch {
		case next == "":
			continue
		case !o.waits():
			s.void("R20", answer.Ref(), o.Closed)
		default:
			o.State, o.Closed = next, answer.Ref()
			if next == OfferAccepted {
				accepted = answer
			}
		}
		s.placed[answer.Hash] = true
	}
	return o, accepted
}

// decided is what a besluit makes of an offer: nothing, unless a named person of the
// desk to which the regie was offered decided, and may (R07, R20, R22).
func decided(answer, offer Known) OfferState {
	if answer.facts.subject != ClassHandover || !answer.Person || answer.From.Desk != candidate(offer.Draft) {
		return ""
	}
	switch {
	case answer.facts.outcome == "afgewezen":
		return OfferRefused
	case !accepts(answer.Draft), answer.From.Role == identity.RoleKnooppunt && !exempt(offer.facts.brp):
		return ""
	}
	return OfferAccepted
}

// accepts reports whether a besluit takes over the regie for its own role.
func accepts(d Draft) bool {
	return d.Class == ClassDecision && d.facts.subject == ClassHandover && d.Person &&
		strings.HasPrefix(d.facts.outcome, "aanvaard") && d.facts.leadWith == string(d.From.Role)
}

// candidate is the desk to which an overdracht offers the regie: the one addressed
// desk of the new role. None, or two, is no offer to anybody (R20).
func candidate(d Draft) identity.DeskID {
	var found []identity.DeskID
	for _, to := range d.To {
		if string(to.Role) == d.facts.leadRole {
			found = append(found, to.Desk)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// acceptedUnseen is the besluit that says that it ends this term and answers an offer
// which this desk does not have: participants get the besluit, not always the offer.
// They believe the named person who accepted. The desk that would have made the offer
// does not: it knows that it made none.
func (s *state) acceptedUnseen(begins Known) *Known {
	if s.Desk == begins.From.Desk {
		return nil
	}
	for _, k := range s.of(begins.Hash, ClassDecision) {
		if accepts(k.Draft) && k.rests(begins.Hash) && len(k.Answers) == 1 && !s.here(answered(*k)) {
			return k
		}
	}
	return nil
}

// claims appends, unnumbered, what messages say of terms whose beginning cannot be
// proved here: offers that rest on something this desk lacks, and besluiten that
// hang in the air. Of several that would end the same term the first counts.
func (s *state) claims() {
	for _, k := range s.messages {
		switch {
		case s.placed[k.Hash] || s.started[k.Hash]:
		case k.Class == ClassHandover:
			if begins, ok := s.claimed(k); ok {
				s.chain(begins, 0)
			}
		case accepts(k.Draft) && !s.grounded(k):
			if against, taken := s.taken(k); taken {
				s.placed[k.Hash] = true
				s.void("R20", k.Ref(), against)
			} else {
				s.ends(k)
				s.chain(k, 0)
			}
		}
	}
}

// claimed is the beginning on which an offer says that it rests: a message that this
// desk lacks, or an acknowledgement of a report that it lacks.
func (s *state) claimed(k Known) (Known, bool) {
	for _, ref := range k.RestsOn {
		begins, here := s.known[ref.Hash]
		switch {
		case s.started[ref.Hash]:
			return Known{}, false
		case !here:
			return Known{Draft: Draft{ID: ref.ID, From: k.From}, Hash: ref.Hash}, true
		case begins.Class == ClassAcknowledgement && begins.From.Desk == k.From.Desk && !s.here(answered(begins)):
			return begins, true
		}
	}
	return Known{}, false
}

// ends notes the term that a besluit ends, by the offer that it answers and the
// beginnings that it names.
func (s *state) ends(k Known) {
	s.ended[answered(k)] = k.Ref()
	for _, ref := range k.RestsOn {
		if s.started[ref.Hash] || !s.here(ref.Hash) {
			s.ended[ref.Hash] = k.Ref()
		}
	}
}

// taken returns the besluit that ended the same term before.
func (s *state) taken(k Known) (by message.Ref, ok bool) {
	for _, ref := range k.refs() {
		if by, ok = s.ended[ref.Hash]; ok {
			return by, true
		}
	}
	return by, false
}

func (s *state) here(h message.Hash) bool { _, ok := s.known[h]; return ok }

// grounded reports whether all that a besluit hangs on is here: then it was judged
// with the chain, and found without effect.
func (s *state) grounded(k Known) bool {
	return !slices.ContainsFunc(k.refs(), func(r message.Ref) bool { return !s.here(r.Hash) })
}

// strays voids the offers and acceptances that found no place in any term.
func (s *state) strays() {
	for _, k := range s.messages {
		if s.placed[k.Hash] || s.started[k.Hash] || !s.grounded(k) {
			continue
		}
		switch {
		case k.Class == ClassHandover:
			s.void("R21", k.Ref(), s.latest())
		case k.Class == ClassDecision && k.facts.subject == ClassHandover && k.facts.outcome != "aangehouden":
			s.void("R20", k.Ref(), s.latest())
		}
	}
}

// holdsBy reports whether a desk held the regie in a term that began before a message.
func (s *state) holdsBy(desk identity.DeskID, h message.Hash) bool {
	for _, t := range s.Terms {
		if t.Holder == desk && s.position[t.Begins.Hash] <= s.position[h] {
			return true
		}
	}
	return false
}

func (s *state) latest() message.Ref {
	if len(s.Terms) == 0 {
		return message.Ref{}
	}
	return s.Terms[len(s.Terms)-1].Begins
}

func (s *state) void(rule string, m, against message.Ref) {
	s.Voids = append(s.Voids, Void{rule, m, against})
}
