package schakel

import (
	"context"
	"errors"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Prepared is what a draft becomes when it is sent, for a person to look at first:
// whom it goes to, what it rests on and brings along, and what stands in its way.
// Nothing is signed or kept.
type Prepared struct {
	Case       string            `json:"case"` // the new one, when Opens
	Opens      bool              `json:"opens,omitempty"`
	Exercise   bool              `json:"exercise,omitempty"`
	To         []identity.DeskID `json:"to"`
	Added      []identity.DeskID `json:"added"`     // of To: not in the draft, and must hear it
	Unreached  []identity.DeskID `json:"unreached"` // must hear it, and has no key for now: telephone
	Answers    *Named            `json:"answers,omitempty"`
	RestsOn    []Named           `json:"restsOn"`
	Encloses   []Named           `json:"encloses"`
	Telephone  bool              `json:"telephone,omitempty"` // call as well
	AckDue     time.Time         `json:"ackDue,omitzero"`
	AnswerDue  time.Time         `json:"answerDue,omitzero"`
	NeedPerson bool              `json:"needPerson,omitempty"`
	Refusal    *protocol.Refusal `json:"refusal,omitempty"` // it will be refused under this rule
}

// Named is a message by its names, and what it is where that is known here.
type Named struct {
	message.Ref
	Class   string          `json:"class,omitempty"`
	From    identity.DeskID `json:"from,omitempty"`
	Created time.Time       `json:"created,omitzero"`
	Outcome string          `json:"outcome,omitempty"`
}

// Prepare says what a draft becomes, without sending it. An answer that names nobody
// goes to who asked. It refuses as Send does where it cannot even be composed; a rule
// that the message would break is in Refusal.
func (n *Node) Prepare(ctx context.Context, d Draft) (Prepared, error) {
	if err := n.toAsker(ctx, &d); err != nil {
		return Prepared{}, err
	}
	p := Prepared{Opens: d.Case == "" && d.Answers == "", Added: []identity.DeskID{}, Unreached: []identity.DeskID{},
		NeedPerson: protocol.NeedsPerson(d.Class)}
	if d.Override != nil && d.Override.Called == "" {
		d.Override = &Override{Called: unknownNumber} // the same: Send asks which
	}
	if d.Person == "" && (p.NeedPerson || d.Override != nil) {
		d.Person = unknownSigner // composed as if somebody signs; Send asks who
	}
	m, known, err := n.compose(ctx, d)
	if err != nil {
		return Prepared{}, err
	}
	signs := present{n.directory()}
	if d.Person != "" {
		m.Person = make([]byte, len(identity.PersonID{}))
	}
	for _, desk := range n.judgedBy(m).MustHear(protocol.DraftOf(m, signs), known) {
		if n.reachable([]identity.DeskID{desk}) != nil {
			p.Unreached = append(p.Unreached, desk)
			continue
		}
		p.Added, d.To = append(p.Added, desk), append(d.To, desk)
	}
	if len(p.Added) > 0 { // what travels along depends on who gets it
		if m, known, err = n.compose(ctx, d); err != nil {
			return Prepared{}, err
		}
		m.Person = make([]byte, len(identity.PersonID{}))
	}
	n.describe(&p, m, known)
	return p, nil
}

// toAsker addresses an answer that names no desk to the desk that asked.
func (n *Node) toAsker(ctx context.Context, d *Draft) error {
	if len(d.To) > 0 || d.Answers == "" {
		return nil
	}
	return n.store.View(ctx, func(tx *store.Tx) error {
		row, err := find(tx, d.Answers)
		if err == nil && row.Direction == store.In {
			d.To = []identity.DeskID{row.Peer}
		}
		return err
	})
}

func (n *Node) describe(p *Prepared, m message.Message, known protocol.Case) {
	draft := protocol.DraftOf(m, present{n.directory()})
	p.Case, p.Exercise, p.To = m.Case.String(), m.Heading.Exercise, full(m.Addressed)
	p.RestsOn, p.Encloses = []Named{}, []Named{}
	for _, ref := range m.Heading.Answers {
		asked := namedIn(known, ref)
		p.Answers = &asked
	}
	for _, ref := range m.Heading.RestsOn {
		p.RestsOn = append(p.RestsOn, namedIn(known, ref))
	}
	for _, e := range draft.Enclosed {
		p.Encloses = append(p.Encloses, namedIn(known, e.Ref()))
	}
	if terms, ok := n.terms(m); ok {
		p.Telephone = terms.TelephoneToo
		created := time.Unix(int64(m.Created), 0)
		if !terms.Acknowledged.IsZero() && m.Heading.Class != protocol.ClassAcknowledgement {
			p.AckDue = terms.Acknowledged.End(created, n.judgedBy(m).Calendar()).UTC()
		}
		if !terms.Answered.IsZero() {
			p.AnswerDue = terms.Answered.End(created, n.judgedBy(m).Calendar()).UTC()
		}
	}
	var refusal *protocol.Refusal
	if errors.As(n.judgedBy(m).Check(draft, known).Refusal(), &refusal) {
		p.Refusal = refusal
	}
}

func namedIn(known protocol.Case, ref message.Ref) Named {
	k, ok := known.Message(ref.Hash)
	if !ok {
		return Named{Ref: ref}
	}
	m := momentOf(k)
	return Named{Ref: ref, Class: m.Class, From: k.From.Desk, Created: m.Created, Outcome: m.Outcome}
}
