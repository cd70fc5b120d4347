package schakel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// maxCase bounds how many messages of a case its state is computed from, oldest
// first: who floods a case must not stop the desk that reads it.
const maxCase = 4000

// Case returns the state of a case, given by its own identifier or by a message of it.
// It returns ErrNotFound for a case of which no message is here. The access log says that
// the case was opened before anybody sees its state: under the name of whoever by proves,
// where one is given. A restricted case opens for the persons named for it only.
func (n *Node) Case(ctx context.Context, ref string, by ...By) (protocol.Case, error) {
	return n.lookAt(ctx, ref, one(by), nil)
}

// lookAt opens a case, and runs more in the same transaction.
func (n *Node) lookAt(ctx context.Context, ref string, by By, more func(*store.Tx, protocol.Case) error) (k protocol.Case, err error) {
	a, err := n.accessTo(ctx, ref, by)
	if err != nil {
		return k, err
	}
	err = n.inside(ctx, a, false, func(tx *store.Tx) error {
		if k, err = n.caseOf(tx, a.kase); err == nil && len(k.History()) == 0 {
			return fmt.Errorf("%w: no message of case %s", ErrNotFound, a.kase)
		}
		if err != nil || more == nil {
			return err
		}
		return more(tx, k)
	})
	if err == nil {
		err = n.note(ctx, actionCase, a.kase.String(), a.person)
	}
	if err != nil {
		return protocol.Case{}, err
	}
	return k, nil
}

// one is who looks: the person given, or nobody in particular.
func one(by []By) (b By) {
	if len(by) > 0 {
		b = by[0]
	}
	return b
}

func caseRef(tx *store.Tx, ref string) (message.CaseRef, error) {
	row, err := find(tx, ref)
	if err == nil {
		return row.Case, nil
	}
	u, bad := identity.ParseUUID(ref)
	if bad != nil || !errors.Is(err, ErrNotFound) {
		return message.CaseRef{}, err
	}
	return message.CaseRef(u), nil
}

// caseOf computes a case from the messages of it that are stored here. All of them
// were verified when they came; what they enclose is verified again. It refuses with
// ErrRestricted where the transaction was not given the key: half a case is none.
func (n *Node) caseOf(tx *store.Tx, ref message.CaseRef) (protocol.Case, error) {
	var known []protocol.Known
	rejected, err := rejections(tx, ref)
	if err != nil {
		return protocol.Case{}, err
	}
	for after := uint64(0); len(known) < maxCase; {
		rows, err := tx.Messages(store.Query{Case: ref, Order: store.Oldest, After: after, Limit: 1000})
		if err != nil {
			return protocol.Case{}, err
		}
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].Seq
		for _, row := range rows {
			if row.Verdict != "" {
				continue // not judged yet, or refused when it was
			}
			k, ok, err := n.recall(tx, row.Hash)
			if err != nil {
				return protocol.Case{}, err
			}
			if ok {
				k.Rejected = rejected[row.Hash]
				known = append(known, k)
			}
		}
	}
	return n.spoken.CaseOf(n.dev.Desk, ref, known), nil
}

// rejections is which desks rejected messages of a case, by the message.
func rejections(tx *store.Tx, ref message.CaseRef) (map[message.Hash][]identity.DeskID, error) {
	rows, err := tx.RejectedIn(ref)
	out := map[message.Hash][]identity.DeskID{}
	for _, r := range rows {
		if protocol.IsRejection(r.Rule) {
			out[r.Message] = append(out[r.Message], r.Desk)
		}
	}
	return out, err
}

// recall reads one stored message. One that was destroyed or damaged since is missing
// from the case, and named as that; it must not keep new messages out.
func (n *Node) recall(tx *store.Tx, h message.Hash) (protocol.Known, bool, error) {
	row, err := tx.Message(h)
	if errors.Is(err, store.ErrRestricted) {
		return protocol.Known{}, false, n.closedHere(tx, row.Case)
	}
	if err != nil {
		return protocol.Known{}, false, nil
	}
	signed, err := message.Parse(row.Raw)
	if err != nil {
		return protocol.Known{}, false, nil
	}
	return protocol.KnownOf(signed, archive{n.directory()}), true, nil
}

// closedHere is the refusal of a case that cannot be read now.
func (n *Node) closedHere(tx *store.Tx, kase message.CaseRef) error {
	l, err := n.listOf(tx, kase)
	if err != nil {
		return err
	}
	return n.restrictedTo(tx, l)
}

// present is the register as it is: a desk that is no longer active has no role, and
// nothing may be said to it or by it.
type present struct{ directory }

var _ protocol.Register = present{}

func (p present) Party(desk identity.DeskID) protocol.Party {
	if state, ok := p.Desk(desk); ok && state.Active() {
		return protocol.Party{Desk: desk, Role: state.Role, Region: state.Region}
	}
	return protocol.Party{Desk: desk}
}

func (p present) Verify(s message.Signed) error { return archive(p).Verify(s) }

// archive is the register for what was said before: it does not become unsaid because
// its desk was closed or its person has left since.
type archive struct{ directory }

var _ protocol.Register = archive{}

func (a archive) Party(desk identity.DeskID) protocol.Party {
	state, ok := a.Desk(desk)
	if !ok {
		return protocol.Party{Desk: desk}
	}
	return protocol.Party{Desk: desk, Role: state.Role, Region: state.Region}
}

// Verify checks an original that another message encloses.
func (a archive) Verify(s message.Signed) error {
	if err := verifySender(s, a.directory); err != nil {
		return err
	}
	if len(s.Message.Person) == 0 {
		return nil
	}
	p, ok := a.Person(identity.PersonID(s.Message.Person))
	if !ok || p.Desk != s.Message.Sender.Desk || !p.ValidAt(time.Unix(int64(s.Message.Created), 0)) {
		return identity.ErrBadSignature
	}
	return s.VerifyPerson(p.Key)
}

// complete adds to a message what the case asks of it: that it rests on the term of
// regie that it ends, and that the originals travel along which an addressee may lack.
// Those of enclose travel anyway.
func (n *Node) complete(tx *store.Tx, m *message.Message, enclose []message.Ref) (protocol.Case, error) {
	known, err := n.caseOf(tx, m.Case)
	if err != nil {
		return known, err
	}
	m.Heading.RestsOn = append(m.Heading.RestsOn, known.MustRestOn(protocol.DraftOf(*m, present{n.directory()}))...)
	must := n.judgedBy(*m).MustEnclose(protocol.DraftOf(*m, present{n.directory()}), known)
	if known, err = n.beside(tx, protocol.DraftOf(*m, present{n.directory()}), known); err != nil {
		return known, err
	}
	must = slices.DeleteFunc(must, func(r message.Ref) bool { return slices.Contains(enclose, r) })
	for _, ref := range append(slices.Clone(enclose), must...) {
		row, err := tx.Message(ref.Hash)
		if errors.Is(err, store.ErrNotFound) {
			continue // enclosed in another message itself; the rule says whether that is enough
		}
		if errors.Is(err, store.ErrRestricted) {
			return known, n.closedHere(tx, row.Case)
		}
		if err != nil {
			return known, err
		}
		m.Enclosed = append(m.Enclosed, row.Raw)
	}
	return known, nil
}

// beside adds to a case what this desk has of the others that a message ties it to: the
// case that a koppeling names, and the koppelingen that name that of an anonymous question.
func (n *Node) beside(tx *store.Tx, d protocol.Draft, known protocol.Case) (protocol.Case, error) {
	if other, ok := d.Links(); ok {
		there, err := n.caseOf(tx, other)
		if errors.Is(err, ErrRestricted) {
			return known, nil // closed here: nobody can ask the rules about it now
		}
		return known.Beside(there.History()), err
	}
	if !d.Anonymous() {
		return known, nil
	}
	var links []protocol.Known
	for after := uint64(0); ; {
		rows, err := tx.Messages(store.Query{Class: protocol.ClassLink, Order: store.Oldest, After: after, Limit: 1000})
		if err != nil || len(rows) == 0 {
			return known.Beside(links), err
		}
		for _, row := range rows {
			after = row.Seq
			k, ok, err := n.recall(tx, row.Hash)
			switch {
			case errors.Is(err, ErrRestricted):
				continue // the same: what another case says in private stops nobody here
			case err != nil:
				return known, err
			case !ok:
				continue
			}
			if other, names := k.Links(); names && other == d.Case {
				links = append(links, k)
			}
		}
	}
}

// keepsProtocol is the sender's check, before anything is signed.
func (n *Node) keepsProtocol(m message.Message, known protocol.Case) error {
	return n.judgedBy(m).Check(protocol.DraftOf(m, present{n.directory()}), known).Refusal()
}

// protocol is the recipient's check, the same as the sender's, on what this desk knows
// of the case by now: what the same batch brought before included. What was stored
// once is not judged again. A message that is rejected is stated to its sender with the
// rule; when it was acute, somebody here must telephone as well.
func (in *intake) protocol(a *arrival) error {
	m, hash := a.signed.Message, a.signed.Hash()
	if has, err := in.tx.HasMessage(hash); err != nil || has {
		return err
	}
	lock, err := in.tx.CaseLock(m.Case)
	if err != nil {
		return err
	}
	if lock != nil {
		a.unjudged = true // the rules need the rest of the case: see judgeWaiting
		if protocol.NeedsPerson(m.Heading.Class) && len(m.Person) == 0 {
			// This one does not; and what a machine acknowledges would end timers here.
			a.fault = &fault{reason: "protocol", rule: protocol.RulePerson, err: message.ErrFormat}
		}
		return nil
	}
	draft := protocol.DraftOf(m, present{in.n.directory()})
	known, err := in.n.caseOf(in.tx, m.Case)
	if err == nil {
		known, err = in.n.beside(in.tx, draft, known)
	}
	if err != nil {
		return err
	}
	findings := in.n.judgedBy(m).Check(draft, known)
	if err := findings.Rejection(); err != nil {
		a.fault = &fault{reason: "protocol", rule: ruleOf(err), err: err}
		if m.Heading.Urgency != message.Acute {
			return nil
		}
		a.fault.quarantine = true
		return in.raise(AlarmRefused, subject(hash, a.from), string(a.from))
	}
	return in.flag(findings, hash, a.from)
}

// flag alarms for a message that is kept though it breaks a rule.
func (in *intake) flag(findings protocol.Findings, hash message.Hash, from identity.DeskID) error {
	for _, f := range findings.Flags() {
		if f.Certainty == protocol.Broken && f.Rule != ruleOvertaken {
			if err := in.raise(AlarmRule, subject(hash, from), f.Rule); err != nil {
				return err
			}
		}
	}
	return nil
}

// ruleOvertaken alarms nobody: an older version of a plan came after a newer one.
const ruleOvertaken = "R19"

// flags is what is wrong with a message that this desk took, as known by now.
func (n *Node) flags(tx *store.Tx, s message.Signed) ([]protocol.Flag, error) {
	known, err := n.caseOf(tx, s.Message.Case)
	if err != nil {
		return nil, err
	}
	return n.flagsIn(tx, known, s)
}

func (n *Node) flagsIn(tx *store.Tx, known protocol.Case, s message.Signed) ([]protocol.Flag, error) {
	before := n.spoken.CaseOf(n.dev.Desk, s.Message.Case, known.Before(s.Hash()))
	more, err := n.remarks(tx, before, s)
	return slices.Concat(staleFlags(s.Message), more, n.judgedBy(s.Message).Check(protocol.DraftOf(s.Message, archive{n.directory()}), before).Flags()), err
}
