package schakel

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// Anchors say by when a message was there, whoever steals a key afterwards: once a day
// this device signs the root of a tree over what came and went into the register, and
// keeps for each message the path to it.

const (
	settingAnchoring = "anchoring" // what was signed and is not in the register yet
	settingAnchored  = "anchored"  // up to which message
	// anchoredAtOnce bounds one anchor; the next day takes what is left.
	anchoredAtOnce = 10_000
)

// anchoring is an anchor on its way into the register. It is on disk before it is
// signed: of one day two roots would be two stories.
type anchoring struct {
	_        struct{} `cbor:",toarray"`
	Day      uint64   // midnight UTC, in seconds
	Secret   [sha256.Size]byte
	Last     uint64 // Seq of the last message
	Messages []message.Hash
}

const maxAnchoring = anchoredAtOnce*(sha256.Size+2) + 128

// salt hides a message from whoever sees the root and knows, or guesses, its hash.
func (a anchoring) salt(h message.Hash) (salt [sha256.Size]byte) {
	m := hmac.New(sha256.New, a.Secret[:])
	m.Write(h[:])
	return [sha256.Size]byte(m.Sum(nil))
}

func (a anchoring) leaves() []trust.Hash {
	leaves := make([]trust.Hash, len(a.Messages))
	for i, h := range a.Messages {
		leaves[i] = trust.AnchorLeaf(a.salt(h), trust.Hash(h))
	}
	return leaves
}

func (a anchoring) day() time.Time { return time.Unix(int64(a.Day), 0).UTC() }

// keepAnchors makes the anchor of the day that ended, brings it into the register, and
// once it is there keeps what proves it.
func (n *Node) keepAnchors(ctx context.Context) error {
	if n.light {
		return nil // it keeps a week, and proves nothing later
	}
	a, err := n.anchoringNow(ctx)
	if err != nil || len(a.Messages) == 0 {
		return err
	}
	dir := n.directory()
	tree, err := trust.NewAnchorTree(a.leaves())
	if err != nil {
		return err
	}
	last, anchored := dir.LastAnchor(n.dev.ID)
	switch {
	case anchored && last.Day.Equal(a.day()) && last.Root == tree.Root():
		return n.anchorStands(ctx, a, tree, dir.pinned)
	case anchored && !last.Day.Before(a.day()):
		return n.anchorLater(ctx, a, last.Day)
	}
	s := n.live()
	if s == nil || !s.online.Load() {
		return nil
	}
	b := trust.Anchor{Device: n.dev.ID, Day: a.day(), Root: tree.Root()}
	entry, err := b.Sign(dir.Next(b.Subject()), edKey(n.dev.Sign))
	if err != nil {
		return err
	}
	return s.say(ctx, wire.Append{Entry: entry})
}

// anchoringNow returns what is on its way, or begins what is due: the messages since the
// last anchor, once the day of the first of them is over.
func (n *Node) anchoringNow(ctx context.Context) (a anchoring, err error) {
	begun := false
	look := func(tx *store.Tx) (err error) {
		if a, begun, err = begunAnchor(tx); err == nil && !begun {
			a, err = n.anchorDue(tx)
		}
		return err
	}
	if err := n.store.View(ctx, look); err != nil || begun || len(a.Messages) == 0 {
		return a, err
	}
	return a, n.update(ctx, func(tx *store.Tx) error { // as it is now: of one day there is one
		if err := look(tx); err != nil || begun || len(a.Messages) == 0 {
			return err
		}
		return saveAnchoring(tx, a)
	})
}

func begunAnchor(tx *store.Tx) (a anchoring, begun bool, err error) {
	raw, err := tx.Setting(settingAnchoring)
	if errors.Is(err, store.ErrNotFound) {
		return a, false, nil
	}
	if err != nil {
		return a, false, err
	}
	return a, true, canon.Unmarshal(raw, maxAnchoring, &a)
}

func saveAnchoring(tx *store.Tx, a anchoring) error {
	raw, err := canon.Marshal(a)
	if err != nil {
		return err
	}
	return tx.SetSetting(settingAnchoring, raw)
}

func (n *Node) anchorDue(tx *store.Tx) (a anchoring, err error) {
	if a.Last, err = lastAnchored(tx); err != nil {
		return a, err
	}
	today := n.now().UTC().Truncate(24 * time.Hour)
	a.Day = uint64(today.AddDate(0, 0, -1).Unix())
	for len(a.Messages) < anchoredAtOnce {
		rows, err := tx.Messages(store.Query{Order: store.Oldest, After: a.Last, Limit: 1000})
		if err != nil {
			return a, err
		}
		if len(rows) == 0 || len(a.Messages) == 0 && !rows[0].Received.Before(today) {
			break
		}
		for _, row := range rows {
			a.Messages, a.Last = append(a.Messages, row.Hash), row.Seq
		}
	}
	_, err = rand.Read(a.Secret[:])
	return a, err
}

// lastAnchored is the Seq up to which everything was anchored; zero: nothing was.
func lastAnchored(tx *store.Tx) (seq uint64, err error) {
	raw, err := tx.Setting(settingAnchored)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil || len(raw) != 8 {
		return 0, errors.Join(err, store.ErrDamaged)
	}
	return binary.BigEndian.Uint64(raw), nil
}

// anchorLater gives an anchor the next day that is free: after a clock was set back, or
// after another entry of this device that this store does not know.
func (n *Node) anchorLater(ctx context.Context, a anchoring, last time.Time) error {
	a.Day = uint64(last.AddDate(0, 0, 1).Unix())
	return n.update(ctx, func(tx *store.Tx) error { return saveAnchoring(tx, a) })
}

// anchorStands keeps the proof of each message, with the checkpoint that this device
// holds over the anchor.
func (n *Node) anchorStands(ctx context.Context, a anchoring, tree *trust.AnchorTree, over trust.Pinned) error {
	return n.update(ctx, func(tx *store.Tx) error {
		for i, h := range a.Messages {
			if err := n.keepAnchored(tx, a, tree, i, over.Note); err != nil {
				return fmt.Errorf("message %s: %w", h, err)
			}
		}
		if err := tx.SetSetting(settingAnchored, binary.BigEndian.AppendUint64(nil, a.Last)); err != nil {
			return err
		}
		return tx.DeleteSetting(settingAnchoring)
	})
}

func (n *Node) keepAnchored(tx *store.Tx, a anchoring, tree *trust.AnchorTree, i int, checkpoint []byte) error {
	h := a.Messages[i]
	rows, err := tx.Messages(store.Query{Of: []message.Hash{h}, Live: true, Limit: 1})
	if err != nil || len(rows) == 0 {
		return err // destroyed in the meantime
	}
	path, err := tree.Path(i)
	if err != nil {
		return err
	}
	p := casefile.Anchored{Message: h, Device: n.dev.ID, Day: a.Day, Salt: a.salt(h), Index: uint64(i), Size: uint64(len(a.Messages)), Checkpoint: checkpoint}
	p.Path = path
	raw, err := p.Encode()
	if err != nil {
		return err
	}
	return tx.KeepProof(h, n.dev.Desk, store.Anchored, raw)
}
