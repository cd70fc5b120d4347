package schakel

import (
	"errors"

	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// sentElsewhere is what stays here of a copy: how another device of this desk sent a
// message, and not what it says. That is stored with the messages of its case.
type sentElsewhere struct {
	_      struct{} `cbor:",toarray"`
	Sealer identity.DeviceID
	Sent   []delivery.Sent
}

// maxCopy bounds it: 32 desks of at most 100 bytes each.
const maxCopy = 16 << 10

func keepCopy(tx *store.Tx, h message.Hash, sealer identity.DeviceID, sent []delivery.Sent) error {
	b, err := canon.Marshal(sentElsewhere{Sealer: sealer, Sent: sent})
	if err != nil {
		return err
	}
	return tx.SetSetting(settingSent+h.String(), b)
}

// copyOf returns how another device sent a message; nothing where this one did.
func copyOf(tx *store.Tx, h message.Hash) (c sentElsewhere, err error) {
	b, err := tx.Setting(settingSent + h.String())
	if errors.Is(err, store.ErrNotFound) {
		return c, nil
	}
	if err != nil || canon.Unmarshal(b, maxCopy, &c) == nil {
		return c, err
	}
	whole, err := delivery.ParseCopy(b) // as versions before this one kept it
	if err != nil {
		return c, err
	}
	m, err := message.Parse(whole.Message)
	return sentElsewhere{Sealer: m.Message.Sender.Device, Sent: whole.Sent}, err
}

// trimCopy takes the message out of a copy that an earlier version kept whole.
func trimCopy(tx *store.Tx, h message.Hash) error {
	c, err := copyOf(tx, h)
	if err != nil || c.Sealer.IsZero() {
		return err
	}
	return keepCopy(tx, h, c.Sealer, c.Sent)
}
