package protocol

import (
	"slices"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Case is the state of a case as one desk knows it: a function of the signed
// messages that the desk has, whatever the order in which they came. Partners
// lawfully have different messages, so what it says holds as known at KnownAt, and
// Missing names what other messages speak of and this desk does not have.
type Case struct {
	Ref          message.CaseRef `json:"case"`
	Desk         identity.DeskID `json:"desk"` // whose view it is
	KnownAt      message.Ref     `json:"knownAt"`
	Participants []Party         `json:"participants"`
	Terms        []LeadTerm      `json:"terms"`
	Offers       []Offer         `json:"offers"`
	Obligations  []Obligation    `json:"obligations"`
	Rests        []Rest          `json:"rests"`
	Replaced     []Replacement   `json:"replaced"`
	Closing      *Closing        `json:"closing,omitempty"`
	Missing      []Missing       `json:"missing"`
	Voids        []Void          `json:"voids"`
	Unsaid       []message.Ref   `json:"unsaid"` // own messages that every addressed desk rejected

	messages []Known // that count, in order
	history  []Known // and those that do not
	known    map[message.Hash]Known
	beside   []Known // of other cases, to check by; see Beside
}

// Rest says that a message rests on a weighing or a verification.
type Rest struct {
	Message message.Ref `json:"message"`
	On      message.Ref `json:"on"`
	Class   string      `json:"class,omitempty"` // of what it rests on; empty: not here
	Outcome string      `json:"outcome,omitempty"`
}

// Replacement says that a later message of the same desk corrects or withdraws one.
// Nothing is deleted: the first stays readable beside what took its place.
type Replacement struct {
	Message   message.Ref `json:"message"`
	By        message.Ref `json:"by"`
	Withdrawn bool        `json:"withdrawn"`
}

// Closing is the end of a case, by the regiehouder, with the dates that it set (R24).
type Closing struct {
	Message     message.Ref     `json:"message"`
	By          identity.DeskID `json:"by"`
	At          time.Time       `json:"at"`
	RetainUntil time.Time       `json:"retainUntil"` // the partners' own files
	DestroyOn   time.Time       `json:"destroyOn"`   // keys in Schakel; never sooner than 30 days
}

// MinimumStay is how long Schakel keeps a closed case at least: a closing with an
// earlier date, by mistake or to destroy evidence, does not make it sooner.
const MinimumStay = 30 * 24 * time.Hour

// Missing is a message that this desk does not have and others speak of.
type Missing struct {
	Message message.Ref   `json:"message"`
	NamedBy []message.Ref `json:"namedBy"`
}

// state is a case being computed.
type state struct {
	*Case
	index
	spoken      Versions
	position    map[message.Hash]int
	started     map[message.Hash]bool        // begins a term
	placed      map[message.Hash]bool        // its part in the regie is settled
	ended       map[message.Hash]message.Ref // offer or beginning of a term: what ended it
	replacement map[message.Hash]Replacement // the first that took its place
	withdrawn   map[message.Hash]bool
}

// CaseOf computes the state of a case from the messages of it that a desk has, in
// any order. Messages of other cases, and duplicates, do not count.
func (c *Catalogue) CaseOf(desk identity.DeskID, ref message.CaseRef, messages []Known) Case {
	return Versions{[]*Catalogue{c}}.CaseOf(desk, ref, messages)
}

// CaseOf computes the state of a case whose messages are of several versions. What each
// asks of whom is said by the version that its own heading names, so that a desk which
// speaks that version alone computes the same of it.
func (v Versions) CaseOf(desk identity.DeskID, ref message.CaseRef, messages []Known) Case {
	k := Case{Ref: ref, Desk: desk}
	all, counted := inOrder(desk, messages)
	k.known, k.messages, k.history = counted, make([]Known, 0, len(all)), make([]Known, 0, len(all))
	for _, m := range all {
		_, counts := counted[m.Hash]
		switch {
		case m.Case != ref:
			delete(counted, m.Hash)
			continue
		case counts:
			k.messages = append(k.messages, m)
		default:
			k.Unsaid = append(k.Unsaid, m.Ref())
		}
		k.history = append(k.history, m)
	}
	s := newState(&k, v)
	s.participants()
	s.missing()
	s.replaced()
	s.leads()
	s.rests()
	s.closing()
	s.obligations()
	return k
}

// newState begins to compute a case whose messages are in their order.
func newState(k *Case, v Versions) *state {
	s := &state{Case: k, index: indexOf(k.messages), spoken: v, position: map[message.Hash]int{}, started: map[message.Hash]bool{},
		placed: map[message.Hash]bool{}, ended: map[message.Hash]message.Ref{}, withdrawn: map[message.Hash]bool{},
		replacement: map[message.Hash]Replacement{}}
	for i, m := range k.messages {
		s.position[m.Hash] = i
		k.KnownAt = m.Ref()
	}
	return s
}

// by returns the catalogue of the version of a message; the newest for a version that
// this program does not speak, of which it took none.
func (s *state) by(m Known) *Catalogue {
	if c, ok := s.spoken.For(m.Protocol); ok {
		return c
	}
	return s.spoken.spoken[len(s.spoken.spoken)-1]
}

// Before returns the messages up to and including one, in the order of the case:
// CaseOf them is the case as known at that message.
func (k Case) Before(h message.Hash) []Known {
	i := slices.IndexFunc(k.messages, func(m Known) bool { return m.Hash == h })
	return k.messages[:i+1]
}

// Message returns a message of the case by its hash.
func (k Case) Message(h message.Hash) (Known, bool) {
	m, ok := k.known[h]
	return m, ok
}

// Lead returns the term that runs, as this desk knows it. What is proved goes before
// what is only claimed; a claim counts where nothing is proved.
func (k Case) Lead() (LeadTerm, bool) {
	for _, t := range slices.Backward(k.Terms) {
		if t.Number > 0 {
			return t, true
		}
	}
	if n := len(k.Terms); n > 0 {
		return k.Terms[n-1], true
	}
	return LeadTerm{}, false
}

// Claimed returns the desks that say to hold the regie where this desk cannot prove
// it, beside the one that Lead names.
func (k Case) Claimed() (out []identity.DeskID) {
	lead, _ := k.Lead()
	for _, t := range k.Terms {
		if t.Number == 0 && t.Holder != lead.Holder {
			out = append(out, t.Holder)
		}
	}
	return out
}

// OpenOffer returns the offer that waits for a besluit in the running term.
func (k Case) OpenOffer() (Offer, bool) {
	lead, _ := k.Lead()
	for _, o := range k.Offers {
		if o.State == OfferOpen && o.Ends == lead.Begins {
			return o, true
		}
	}
	return Offer{}, false
}

// Takes reports whether a desk takes part in the case.
func (k Case) Takes(desk identity.DeskID) bool {
	return slices.ContainsFunc(k.Participants, func(p Party) bool { return p.Desk == desk })
}

func (s *state) participants() {
	seen := map[identity.DeskID]bool{}
	for _, m := range s.messages {
		for _, p := range append([]Party{m.From}, m.heard()...) {
			if !seen[p.Desk] {
				seen[p.Desk] = true
				s.Participants = append(s.Participants, p)
			}
		}
	}
}

func (s *state) missing() {
	at := map[message.Ref]int{}
	for _, m := range s.messages {
		for _, ref := range m.refs() {
			if s.here(ref.Hash) {
				continue
			}
			i, ok := at[ref]
			if !ok {
				i = len(s.Missing)
				at[ref] = i
				s.Missing = append(s.Missing, Missing{Message: ref})
			}
			s.Missing[i].NamedBy = append(s.Missing[i].NamedBy, m.Ref())
		}
	}
}

// replaced finds corrections and withdrawals.
func (s *state) replaced() {
	for _, m := range s.messages {
		if m.Class != ClassCorrection && m.Class != ClassWithdrawal {
			continue
		}
		for _, r := range replacedAt(s.known, m) {
			s.Replaced = append(s.Replaced, r)
			if _, before := s.replacement[r.Message.Hash]; !before {
				s.replacement[r.Message.Hash] = r
			}
			s.withdrawn[r.Message.Hash] = s.withdrawn[r.Message.Hash] || r.Withdrawn
		}
	}
}

// replacedAt is what a correction or withdrawal takes the place of. Only the desk that
// said something takes it back.
func replacedAt(known map[message.Hash]Known, m Known) (out []Replacement) {
	for _, ref := range m.refs() {
		if old, ok := known[ref.Hash]; ok && old.From.Desk == m.From.Desk {
			out = append(out, Replacement{ref, m.Ref(), m.Class == ClassWithdrawal})
		}
	}
	return out
}

func (k Case) replacedBy(h message.Hash) (Replacement, bool) {
	for _, r := range k.Replaced {
		if r.Message.Hash == h {
			return r, true
		}
	}
	return Replacement{}, false
}

func (s *state) rests() {
	for _, m := range s.messages {
		for _, ref := range m.RestsOn {
			on := s.known[ref.Hash]
			s.Rests = append(s.Rests, Rest{m.Ref(), ref, on.Class, on.facts.outcome})
		}
	}
}

// closing is the first afsluiting by the desk that held the regie when it closed.
func (s *state) closing() {
	for _, m := range s.messages {
		if m.Class != ClassClosing {
			continue
		}
		if s.withdrawn[m.Hash] {
			continue // taken back: the case is open, and may be closed again
		}
		if s.Closing != nil || !s.ledAt(m) {
			s.void("R21", m.Ref(), s.latest())
			continue
		}
		closed := at(m.Created)
		s.Closing = &Closing{Message: m.Ref(), By: m.From.Desk, At: closed,
			RetainUntil: day(m.facts.retainUntil), DestroyOn: closed.Add(MinimumStay)}
		if on := day(m.facts.destroyOn); on.After(s.Closing.DestroyOn) {
			s.Closing.DestroyOn = on
		}
	}
}

// ledAt reports whether the sender of a message held the regie at its place in the
// order. Where nothing is proved, who claims it is believed to close.
func (s *state) ledAt(m Known) bool {
	var holder identity.DeskID
	proved := false
	for _, t := range s.Terms {
		begun := s.position[t.Begins.Hash] < s.position[m.Hash]
		if begun && (t.Number > 0 || !proved) {
			holder, proved = t.Holder, t.Number > 0
		}
	}
	return holder == m.From.Desk
}

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
