package schakel

import (
	"context"
	"errors"
	"slices"

	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/identity"
)

// The public keys of others come from the relay. They are kept over a restart, and for days
// ahead: when the relay is down, what must travel by hand is sealed with them. Each is held
// against its hash in the register when it comes, and again when it is read here.

const (
	// keysAhead is for how many epochs from now keys are fetched: a long weekend.
	keysAhead = 4
	// keysAtMost bounds what is fetched for the days after tomorrow, so that a chain of
	// thousands of devices does not push the keys of today out of memory.
	keysAtMost = maxParsed / 2
	// A desk's keys are one row.
	settingKeys  = "keys/"
	maxKeptKeys  = 448
	maxKeptBytes = 1 << 20
)

// keptKey is one public key, as it is stored.
type keptKey struct {
	_         struct{} `cbor:",toarray"`
	Device    identity.DeviceID
	Epoch     uint64
	Recipient string
}

func keptKeys(tx *store.Tx, desk identity.DeskID) (kept []keptKey, err error) {
	raw, err := tx.Setting(settingKeys + string(desk))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		err = canon.Unmarshal(raw, maxKeptBytes, &kept)
	}
	return kept, err
}

// loadKeys takes the keys of before into memory.
func (n *Node) loadKeys(tx *store.Tx) error {
	for _, desk := range n.dir.Desks() {
		kept, err := keptKeys(tx, desk)
		if err != nil {
			return err
		}
		for _, k := range kept {
			if hash, ok := n.dir.EpochHash(k.Device, k.Epoch); ok {
				_, _ = n.parsed.Add(k.Recipient, hash) // one that is not in the register any more is no use, and no harm
			}
		}
	}
	return nil
}

// keepKeys stores what came, in the place of keys whose time is over. A disk that is full is
// no reason to do without them now.
func (n *Node) keepKeys(ctx context.Context, came []keptKey) error {
	dir := n.directory()
	of := map[identity.DeskID][]keptKey{}
	for _, k := range came {
		if d, ok := dir.Device(k.Device); ok {
			of[d.Desk] = append(of[d.Desk], k)
		}
	}
	if len(of) == 0 {
		return nil
	}
	err := n.update(ctx, func(tx *store.Tx) error {
		for desk, fresh := range of {
			kept, err := keptKeys(tx, desk)
			if err != nil {
				return err
			}
			kept = slices.DeleteFunc(kept, func(k keptKey) bool {
				epoch, ok := dir.Epoch(k.Device, k.Epoch)
				return !ok || !epoch.Until.After(n.now()) ||
					slices.ContainsFunc(fresh, func(f keptKey) bool { return f.Device == k.Device && f.Epoch == k.Epoch })
			})
			kept = append(kept, fresh...)
			raw, err := canon.Marshal(kept[max(0, len(kept)-maxKeptKeys):])
			if err == nil {
				err = tx.SetSetting(settingKeys+string(desk), raw)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrFull) {
		n.log.Warn("public keys of others not kept", "err", err)
		return nil
	}
	return err
}
