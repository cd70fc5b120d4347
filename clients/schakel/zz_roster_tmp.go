package schakel

import (
	"context"
	"errors"

	"schakel/clients/roster"
	"schakel/clients/store"
)

func (n *Node) Roster(ctx context.Context) (r roster.Roster, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		b, err := tx.Setting("tmp-roster")
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		r, err = roster.Parse(b)
		return err
	})
	return r, err
}

// SetRosterTmp is temporary.
func (n *Node) SetRosterTmp(r roster.Roster) error {
	b, err := r.Encode()
	if err != nil {
		return err
	}
	return n.update(context.Background(), func(tx *store.Tx) error { return tx.SetSetting("tmp-roster", b) })
}
