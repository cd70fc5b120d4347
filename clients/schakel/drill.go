package schakel

import (
	"context"
	"errors"
	"fmt"

	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// ErrNoDrill says that no class of the protocol can carry a drill to a desk.
var ErrNoDrill = errors.New("no acute message of the protocol may go from this desk to that one: ask a desk that may write to it")

// StartDrill sends an acute exercise to a desk on the real path: sealed, paged and
// acknowledged as the real thing is, and marked as an exercise for whoever opens it. It
// takes the first class that may go there, with the example that the protocol has of it.
func (n *Node) StartDrill(ctx context.Context, to identity.DeskID, by By) (Sent, error) {
	if err := n.notLight(); err != nil {
		return Sent{}, err
	}
	if err := n.reachable([]identity.DeskID{to}); err != nil {
		return Sent{}, err
	}
	for _, class := range n.catalogue.Classes() {
		example, err := n.catalogue.Example(class.Name)
		if _, acute := class.Terms(message.Acute); err != nil || !acute || class.Person && by.Person == "" {
			continue
		}
		d := Draft{Class: class.Name, Urgency: message.Acute, To: []identity.DeskID{to}, Body: example.Body, Exercise: true, Person: by.Person, PIN: by.PIN}
		m, known, err := n.compose(ctx, d)
		if err != nil || n.keepsProtocol(m, known) != nil {
			continue
		}
		sent, err := n.Send(ctx, d)
		if err == nil { // it is not owed any more
			n.replan.Store(true)
			n.poke()
		}
		return sent, err
	}
	return Sent{}, fmt.Errorf("%w (%s)", ErrNoDrill, to)
}

// headOf is as much of a stored message as its deadline is computed from.
func headOf(row store.Message) message.Message {
	return message.Message{Created: unix(row.Created), Heading: message.Heading{Class: row.Class, Urgency: row.Urgency}}
}
