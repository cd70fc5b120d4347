package schakel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Forwarding sends a returned message on to the desk that should have had it.
type Forwarding struct {
	To     identity.DeskID `json:"to,omitempty"` // empty: the one desk that the answer points at
	Person string          `json:"person,omitempty"`
	PIN    string          `json:"pin,omitempty"`
	// Override sends what is acute although the register is too old: see ErrStale.
	Override *Override `json:"override,omitempty"`
}

// Forward sends a message of this desk again, to the desk that the recipient named when
// it answered verkeerde-ontvanger (R01). The reference is to the message or to that
// answer. It is a new message of the same class with the same bytes as body, that rests
// on the first one and on the answer and brings both along: the right desk sees since
// when the matter is known, and at no desk something is missing. Only who wrote it can
// forward it, because only its writer can sign it.
//
// It refuses with ErrNotReturned where nobody returned the message and no desk is
// given, and with ErrNoRightDesk where the answer points at none, or at several.
func (n *Node) Forward(ctx context.Context, ref string, f Forwarding) (Sent, error) {
	first, back, err := n.returnedMessage(ctx, ref, By{Person: f.Person, PIN: f.PIN})
	if err != nil {
		return Sent{}, err
	}
	if f.To == "" {
		if f.To, err = n.rightDesk(back); err != nil {
			return Sent{}, err
		}
	}
	files, err := n.attachAgain(ctx, first, By{Person: f.Person, PIN: f.PIN})
	if err != nil {
		return Sent{}, err
	}
	defer n.dropUnsent(ctx, files)
	m, known, err := n.again(ctx, first, back, f, files)
	if err != nil {
		return Sent{}, err
	}
	person, err := n.unlock(ctx, f.Person, f.PIN)
	if err != nil {
		return Sent{}, err
	}
	if person != nil {
		m.Person = person.ID[:]
	}
	if err := n.keepsProtocol(m, known); err != nil {
		return Sent{}, err
	}
	return n.commit(ctx, m, person, func(tx *store.Tx, _ message.Signed) error { return n.forwarded(tx, first, back) })
}

// returnedMessage finds a message that this desk sent, and the newest answer to it that
// says verkeerde-ontvanger; the zero answer where there is none.
func (n *Node) returnedMessage(ctx context.Context, ref string, by By) (first, back protocol.Known, err error) {
	known, err := n.Case(ctx, ref, by)
	if err != nil {
		return first, back, err
	}
	var named message.Hash
	err = n.store.View(ctx, func(tx *store.Tx) error {
		row, err := find(tx, ref)
		named = row.Hash
		if err == nil && row.Class == protocol.ClassAcknowledgement && row.Answers != (message.Hash{}) {
			named = row.Answers
		}
		return err
	})
	if err != nil {
		return first, back, err
	}
	first, ok := known.Message(named)
	if !ok || first.From.Desk != n.dev.Desk {
		return first, back, fmt.Errorf("%w: %.8s is not a message of this desk: answer its sender with verkeerde-ontvanger, and the sender forwards it", ErrNotReturned, named)
	}
	for _, k := range known.Counted() {
		if k.Class == protocol.ClassAcknowledgement && len(k.Answers) == 1 && k.Answers[0].Hash == named &&
			acknowledgementOf(k.Body).Status == protocol.StatusWrongRecipient {
			back = k
		}
	}
	return first, back, nil
}

// rightDesk is the one desk of the register that an answer points at.
func (n *Node) rightDesk(back protocol.Known) (identity.DeskID, error) {
	if back.Hash == (message.Hash{}) {
		return "", ErrNotReturned
	}
	var said struct {
		Right struct {
			Role identity.Role `json:"rol"`
			Unit string        `json:"eenheid"`
		} `json:"juisteOntvanger"`
	}
	if err := json.Unmarshal(back.Body, &said); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoRightDesk, err)
	}
	var fit []string
	dir := n.directory()
	for _, id := range dir.Desks() {
		state, ok := dir.Desk(id)
		if ok && state.Active() && state.Role == said.Right.Role && (said.Right.Unit == "" || state.Region == said.Right.Unit) &&
			id != back.From.Desk && id != n.dev.Desk && dir.lane(n.dev.Desk, id) {
			fit = append(fit, string(id))
		}
	}
	switch len(fit) {
	case 1:
		return identity.DeskID(fit[0]), nil
	case 0:
		return "", fmt.Errorf("%w: the register has no %s %s that this desk may write to", ErrNoRightDesk, said.Right.Role, printable(said.Right.Unit))
	}
	return "", fmt.Errorf("%w: it can be %s", ErrNoRightDesk, strings.Join(fit, ", "))
}

// printable is a region of the register, or a question mark for what a partner made up.
func printable(unit string) string {
	if unit == "" || strings.Trim(unit, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "" {
		return unit
	}
	return "?"
}

// again composes the new message: to the right desk alone, or to the other desks that
// got the first one as well where a rule asks for them, as it does of an acute report.
func (n *Node) again(ctx context.Context, first, back protocol.Known, f Forwarding, files []string) (message.Message, protocol.Case, error) {
	d := Draft{Class: first.Class, Urgency: first.Urgency, Case: first.Case.String(), To: []identity.DeskID{f.To}, Outcome: first.Outcome,
		Body: first.Body, Attachments: files, Exercise: first.Exercise, Person: f.Person, PIN: f.PIN, Override: f.Override, RestsOn: []string{first.Hash.String()}, encloses: []message.Ref{first.Ref()}}
	for _, r := range first.RestsOn {
		d.RestsOn = append(d.RestsOn, r.Hash.String())
	}
	for _, r := range first.Answers {
		d.Answers = r.Hash.String()
	}
	class, _ := n.catalogue.Class(protocol.ClassAcknowledgement)
	to := present{n.directory()}.Party(f.To)
	if back.Hash != (message.Hash{}) && (back.From.Desk.Org() == f.To.Org() || class.Carries(back.From.Role, to.Role)) {
		d.RestsOn, d.encloses = append(d.RestsOn, back.Hash.String()), append(d.encloses, back.Ref())
	}
	m, known, err := n.compose(ctx, d)
	if err != nil {
		return m, known, err
	}
	if f.Person != "" {
		m.Person = make([]byte, len(identity.PersonID{})) // judged as signed; Forward signs it
	}
	if n.keepsProtocol(m, known) == nil {
		return m, known, nil
	}
	for _, p := range first.To {
		if p.Desk != back.From.Desk && !slices.Contains(d.To, p.Desk) {
			d.To = append(d.To, p.Desk)
		}
	}
	return n.compose(ctx, d)
}

// forwarded ends the alarm about the returned message: it has been dealt with.
func (n *Node) forwarded(tx *store.Tx, first, back protocol.Known) error {
	if back.Hash == (message.Hash{}) {
		return nil
	}
	err := tx.ClearAlarm(string(AlarmReturned), subject(first.Hash, back.From.Desk))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
