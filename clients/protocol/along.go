package protocol

import (
	"iter"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Along returns the messages of a case in order, each with the case as it was known at
// that message, as far as the rules ask about it: what was said and replaced, who takes
// part, and who leads. Obligations and what is missing are those of CaseOf. What was said
// to nobody is not among them: no message was judged by it, and it was judged by nobody.
// It takes one walk for the whole case where CaseOf for each message would take one for
// each. A case that it hands out holds until the next one.
func (v Versions) Along(k Case) iter.Seq2[Known, Case] {
	return func(yield func(Known, Case) bool) {
		w := &walk{Case: Case{Ref: k.Ref, Desk: k.Desk, known: map[message.Hash]Known{}}, spoken: v,
			takes: map[identity.DeskID]bool{}, position: map[message.Hash]int{}}
		for i, m := range k.messages {
			w.messages, w.known[m.Hash], w.position[m.Hash] = k.messages[:i+1], m, i
			w.history = w.messages
			w.KnownAt = m.Ref()
			w.join(m)
			if m.Class == ClassCorrection || m.Class == ClassWithdrawal {
				w.Replaced = append(w.Replaced, replacedAt(w.known, m)...)
			}
			if movesLead(m) {
				w.leads(m)
			}
			if !yield(m, w.Case) {
				return
			}
		}
	}
}

// walk is a case that grows by one message at a time.
type walk struct {
	Case
	spoken   Versions
	takes    map[identity.DeskID]bool
	position map[message.Hash]int
	moves    []Known // the messages that can decide who leads
}

func (w *walk) join(m Known) {
	for _, p := range append([]Party{m.From}, m.heard()...) {
		if !w.takes[p.Desk] {
			w.takes[p.Desk] = true
			w.Participants = append(w.Participants, p)
		}
	}
}

// movesLead reports whether a message can begin, offer, end or take back a term: who
// leads is a function of these alone, and of what they name.
func movesLead(m Known) bool {
	switch m.Class {
	case ClassHandover, ClassDecision, ClassWithdrawal:
		return true
	}
	return m.Class == ClassAcknowledgement && m.facts.status == StatusTaken
}

// leads says anew who leads. What a message names stands before it, so a message that
// comes later changes nothing about what these name.
func (w *walk) leads(m Known) {
	w.moves = append(w.moves, m)
	k := w.Case
	k.messages, k.Terms, k.Offers, k.Voids = w.moves, nil, nil, nil
	s := &state{Case: &k, index: indexOf(w.moves), spoken: w.spoken, position: w.position, started: map[message.Hash]bool{},
		placed: map[message.Hash]bool{}, ended: map[message.Hash]message.Ref{}}
	s.leads()
	w.Terms, w.Offers, w.Voids = k.Terms, k.Offers, k.Voids
}
