package schakel

import (
	"context"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/relay/wire"
)

// PutForTest seals any delivery with the node's real keys and hands it to the
// relay: what a modified client can do.
func (n *Node) PutForTest(ctx context.Context, desk identity.DeskID, tier envelope.Tier, d delivery.Delivery) error {
	targets, err := n.targets(desk)
	if err != nil {
		return err
	}
	_, raw, err := n.seal(desk, targets, tier, d)
	if err != nil {
		return err
	}
	return n.live().say(ctx, wire.Put{Envelope: raw})
}

// SignForTest signs a message as this device without asking the protocol.
func (n *Node) SignForTest(ctx context.Context, d Draft, change func(*message.Message)) (message.Signed, error) {
	m, _, err := n.compose(ctx, d)
	if err != nil {
		return message.Signed{}, err
	}
	if change != nil {
		change(&m)
	}
	return seal.SignMessage(m, n.keys, nil)
}

// SignAsForTest signs a message as this device and a person of it, without asking the
// protocol.
func (n *Node) SignAsForTest(ctx context.Context, d Draft, change func(*message.Message)) (message.Signed, error) {
	m, _, err := n.compose(ctx, d)
	if err != nil {
		return message.Signed{}, err
	}
	if change != nil {
		change(&m)
	}
	person, err := n.unlock(ctx, d.Person, d.PIN)
	if err != nil {
		return message.Signed{}, err
	}
	m.Person = person.ID[:]
	return seal.SignMessage(m, n.keys, person)
}

// KeepRetentionForTest looks at the dates of closed cases now.
func (n *Node) KeepRetentionForTest(ctx context.Context) error { return n.keepRetention(ctx) }
