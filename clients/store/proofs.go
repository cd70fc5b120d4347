package store

import (
	"crypto/sha256"
	"fmt"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// MaxProof bounds what is kept of one proof. An honest statement fits with the largest
// number of statuses; a peer cannot fill the disk with one that it blew up.
const MaxProof = 128 << 10

// Proof says which signed bytes show that a message came as far as State at a desk.
type Proof struct {
	Desk  identity.DeskID
	State RecipientState
	Hash  [sha256.Size]byte // of the bytes: see Proven
}

// Anchored marks the proof that a message stands in an anchor in the register. It is no
// state of a recipient.
const Anchored RecipientState = 64

// Whole marks the proof that a desk has all files of a message. It is no state either: the
// files come when they come.
const Whole RecipientState = 65

// KeepProof keeps the first proof that a message came as far as state at a desk. One
// statement proves that of many messages, and is kept once. It goes with the last of
// the messages that it proves something of. It refuses with ErrTooLarge.
func (tx *Tx) KeepProof(h message.Hash, desk identity.DeskID, state RecipientState, raw []byte) error {
	if len(raw) > MaxProof {
		return fmt.Errorf("%w: proof of %d bytes, at most %d", ErrTooLarge, len(raw), MaxProof)
	}
	hash := sha256.Sum256(raw)
	if err := tx.exec(`INSERT INTO proves(message,desk,state,proof) VALUES(?,?,?,?) ON CONFLICT DO NOTHING`, h[:], desk, int(state), hash[:]); err != nil {
		return err
	}
	if tx.changes() == 0 {
		return nil
	}
	if err := tx.exec(`INSERT INTO proof(hash,box) VALUES(?,x'') ON CONFLICT DO NOTHING`, hash[:]); err != nil || tx.changes() == 0 {
		return err
	}
	box, err := tx.put(tx.rows(), kindProof, hash[:], raw)
	if err != nil {
		return err
	}
	return tx.exec(`UPDATE proof SET box=? WHERE hash=?`, box, hash[:])
}

// Proofs returns what is kept of the way of one message, by desk and state.
func (tx *Tx) Proofs(h message.Hash) (ps []Proof, err error) {
	err = tx.each(`SELECT desk,state,proof FROM proves WHERE message=? ORDER BY desk,state`, args{h[:]}, func(r row1) error {
		ps = append(ps, Proof{Desk: r.desk(0), State: RecipientState(r.int(1)), Hash: r.b32(2)})
		return nil
	})
	return ps, err
}

// Proven returns the bytes of a proof, or ErrNotFound.
func (tx *Tx) Proven(hash [sha256.Size]byte) (raw []byte, err error) {
	found := false
	err = tx.each(`SELECT box FROM proof WHERE hash=?`, args{hash[:]}, func(r row1) (err error) {
		found = true
		raw, err = tx.get(tx.rows(), kindProof, hash[:], r.blob(0))
		return err
	})
	if err == nil && !found {
		err = tx.notRemoved(kindProof, hash[:])
	}
	if err != nil {
		return nil, fmt.Errorf("failed to open a proof: %w", err)
	}
	return raw, nil
}

// dropProofs forgets the way of a message, and each proof that shows nothing any more.
func (tx *Tx) dropProofs(h message.Hash) error {
	ps, err := tx.Proofs(h)
	if err != nil {
		return err
	}
	if err := tx.exec(`DELETE FROM proves WHERE message=?`, h[:]); err != nil {
		return err
	}
	for _, p := range ps {
		if err := tx.exec(`DELETE FROM proof WHERE hash=? AND NOT EXISTS (SELECT 1 FROM proves WHERE proof=?)`, p.Hash[:], p.Hash[:]); err != nil {
			return err
		}
		if tx.changes() == 0 {
			continue
		}
		if err := tx.drop(kindProof, p.Hash[:]); err != nil {
			return err
		}
	}
	return nil
}
