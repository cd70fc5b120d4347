package store

import (
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Heads returns the heads of a case's conversation as far as a desk was addressed
// in it, sorted.
func (tx *Tx) Heads(desk identity.DeskID, ref message.CaseRef) (hs []message.Hash, err error) {
	err = tx.each(`SELECT hash FROM head WHERE desk=? AND kase=? ORDER BY hash`, args{desk, ref[:]}, func(r row1) error {
		hs = append(hs, r.b32(0))
		return nil
	})
	return hs, err
}

// SetHead makes a message a head of a case for a desk, in place of the heads that
// it follows.
func (tx *Tx) SetHead(desk identity.DeskID, ref message.CaseRef, head message.Hash, follows ...message.Hash) error {
	for _, h := range follows {
		if err := tx.exec(`DELETE FROM head WHERE desk=? AND kase=? AND hash=?`, desk, ref[:], h[:]); err != nil {
			return err
		}
	}
	return tx.exec(`INSERT INTO head(desk,kase,hash) VALUES(?,?,?) ON CONFLICT DO NOTHING`, desk, ref[:], head[:])
}
