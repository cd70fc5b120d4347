package schakel

import (
	"context"
	"errors"
	"time"

	"schakel/clients/store"
	"schakel/crypto/seal"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// Epoch keys: one a day, published well ahead so that a desk which was dark over a
// long holiday can still be written to, and destroyed when nothing sealed to them
// can still be under way. That bounds what a thief of a device can open.
const (
	epochLength  = 24 * time.Hour
	epochsAhead  = 14 * 24 * time.Hour
	epochsAtOnce = trust.MaxEpochs
	epochGrace   = life
)

// keepEpochs publishes keys when fewer than epochsAhead lie ahead, and destroys
// those whose time is over.
func (n *Node) keepEpochs(ctx context.Context) error {
	if err := n.destroyEpochs(ctx); err != nil {
		return err
	}
	last, ok := n.directory().LastEpoch(n.dev.ID)
	if ok && last.Until.After(n.now().Add(epochsAhead)) {
		return nil
	}
	if ok && !last.Until.After(n.now()) {
		n.alarm(ctx, AlarmEpochs, n.dev.ID.String(), "none-ahead")
	} else if err := n.clear(ctx, AlarmEpochs, n.dev.ID.String()); err != nil {
		return err
	}
	s := n.live()
	if s == nil || !s.online.Load() {
		return nil
	}
	entry, recipients, err := n.nextEpochs(ctx)
	if err != nil {
		return err
	}
	return s.say(ctx, wire.Append{Entry: entry, Recipients: recipients})
}

func (n *Node) destroyEpochs(ctx context.Context) error {
	gone := 0
	limit := n.now().Add(-epochGrace)
	err := n.update(ctx, func(tx *store.Tx) (err error) {
		gone, err = tx.DestroyEpochKeys(limit)
		return err
	})
	if err != nil || gone == 0 {
		return err
	}
	var kept []store.EpochKey
	if err := n.store.View(ctx, func(tx *store.Tx) (err error) { kept, err = tx.EpochKeys(); return err }); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	live := map[uint64]bool{}
	for _, k := range kept {
		live[k.Number] = true
	}
	for number := range n.epochs {
		if !live[number] {
			delete(n.epochs, number)
		}
	}
	return nil
}

// nextEpochs makes the keys that follow the last published ones, stores them, and
// returns the entry that publishes them. Keys already made for those numbers, in a
// try that was cut short, are used again.
func (n *Node) nextEpochs(ctx context.Context) (entry []byte, recipients []string, err error) {
	dir := n.directory()
	first, from := uint64(1), n.now().UTC().Truncate(epochLength)
	if last, ok := dir.LastEpoch(n.dev.ID); ok {
		first = last.Number + 1
		if last.Until.After(from) {
			from = last.Until
		}
	}
	keys, err := n.epochKeys(ctx, first, from)
	if err != nil {
		return nil, nil, err
	}
	e := trust.Epochs{Device: n.dev.ID, First: first, From: from, Length: epochLength}
	for _, k := range keys {
		e.Hashes = append(e.Hashes, k.RecipientHash())
		recipients = append(recipients, k.Recipient())
	}
	entry, err = e.Sign(dir.Next(e.Subject()), edKey(n.dev.Sign))
	return entry, recipients, err
}

// epochKeys returns the keys of epochsAtOnce epochs, durably stored.
func (n *Node) epochKeys(ctx context.Context, first uint64, from time.Time) ([]*seal.EpochKey, error) {
	var keys []*seal.EpochKey
	for i := range uint64(epochsAtOnce) {
		k, err := n.epochKey(first + i)
		if err != nil {
			if k, err = seal.NewEpochKey(first + i); err != nil {
				return nil, err
			}
		}
		keys = append(keys, k)
	}
	err := n.update(ctx, func(tx *store.Tx) error {
		for i, k := range keys {
			starts := from.Add(time.Duration(i) * epochLength)
			row := store.EpochKey{Number: k.Number(), Secret: k.Secret(), From: starts, Until: starts.Add(epochLength)}
			if err := tx.PutEpochKey(row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range keys {
		n.epochs[k.Number()] = k
	}
	return keys, nil
}

// appended hears what became of an entry this device offered. What was accepted
// comes back with the register, which is what counts.
func (n *Node) appended(_ context.Context, f wire.Appended) error {
	if f.Code != wire.CodeOK {
		n.log.Warn("relay did not take a register entry", "code", f.Code)
	}
	return nil
}

func (n *Node) clear(ctx context.Context, kind AlarmKind, subject string) error {
	return n.update(ctx, func(tx *store.Tx) error {
		if err := tx.ClearAlarm(string(kind), subject); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return nil
	})
}
