package schakel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// KeyState is what this device knows of the key of an organisation, beyond that the
// register has it: whether people compared it by telephone.
type KeyState string

// The states. A changed or refused key stops all that people write to the organisation:
// root holders who were deceived, or who deceive, can replace a key in the register, and
// nobody but a person on the telephone can notice.
const (
	KeyUnchecked KeyState = ""         // nobody here compared it
	KeyVerified  KeyState = "verified" // somebody here heard it by telephone, and it is the same
	KeyChanged   KeyState = "changed"  // it took the place of another, and nobody here compared it
	KeyRefused   KeyState = "refused"  // somebody here found that it is not theirs
)

// Refusals of a key that people must look at first.
var (
	ErrKeyChanged  = errors.New("the organisation has another key than before: telephone and compare it first")
	ErrKeyRefused  = errors.New("the organisation's key was refused here: telephone the desk")
	ErrKeyMismatch = errors.New("what was read out is not the fingerprint of this organisation")
)

// compared is what people of this desk found of an organisation's key.
type compared struct {
	key     identity.Key
	refused bool
	by      string // name, as it was then
	at      time.Time
}

type comparedRow struct {
	_       struct{} `cbor:",toarray"`
	Key     []byte
	Refused bool
	By      string
	At      uint64
}

const (
	settingCompared = "org-key/" // begins the name under which it is kept, by organisation
	maxComparedRow  = 1 << 10
)

// What the access log says when somebody compared a key.
const (
	actionVerified = "key-verified"
	actionRefused  = "key-refused"
)

// loadCompared reads what was compared of every organisation in the register.
func (n *Node) loadCompared(tx *store.Tx) error {
	for _, desk := range n.dir.Desks() {
		org := desk.Org()
		raw, err := tx.Setting(settingCompared + string(org))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		var row comparedRow
		if err := canon.Unmarshal(raw, maxComparedRow, &row); err != nil {
			return fmt.Errorf("%w: compared key: %w", store.ErrTampered, err)
		}
		key, err := identity.ParseKey(row.Key)
		if err != nil {
			return fmt.Errorf("%w: compared key: %w", store.ErrTampered, err)
		}
		n.compared[org] = compared{key, row.Refused, row.By, time.Unix(int64(row.At), 0).UTC()}
	}
	return nil
}

// keyState says how a key in a register stands here. This organisation's own is no
// question: its devices would stop telling each other.
func (n *Node) keyState(dir directory, id identity.OrgID) (KeyState, compared) {
	org, ok := dir.Org(id)
	if !ok || id == n.dev.Desk.Org() {
		return KeyUnchecked, compared{}
	}
	n.mu.Lock()
	c, known := n.compared[id]
	n.mu.Unlock()
	switch {
	case known && c.key == org.Key && c.refused:
		return KeyRefused, c
	case known && c.key == org.Key:
		return KeyVerified, c
	case known || replaced(dir, org):
		return KeyChanged, compared{}
	}
	return KeyUnchecked, compared{}
}

// replaced reports whether the register has had another key of the organisation before:
// every device of the chain sees the same, whenever it joined.
func replaced(dir directory, org trust.OrgState) bool {
	first, ok := dir.OrgAt(org.ID, org.Since+1)
	return ok && first.Key != org.Key
}

// mayWrite refuses what people write to a desk: with ErrKeyChanged or ErrKeyRefused for its
// organisation's key, with ErrOtherView or ErrForked for the register.
func (n *Node) mayWrite(desk identity.DeskID) error {
	if err := n.goesTo(desk); err != nil {
		return err
	}
	dir := n.directory()
	state, _ := dir.Desk(desk)
	switch s, _ := n.keyState(dir, desk.Org()); s {
	case KeyChanged:
		return fmt.Errorf("%w: %s, %s", ErrKeyChanged, desk, state.Phone)
	case KeyRefused:
		return fmt.Errorf("%w: %s, %s", ErrKeyRefused, desk, state.Phone)
	}
	return nil
}

// VerifyDesk notes that a person of this desk heard the fingerprint of the key of an
// organisation by telephone, on a number that was known before. It refuses with
// ErrKeyMismatch where that is not the one in the register.
func (n *Node) VerifyDesk(ctx context.Context, desk identity.DeskID, heard string, by By) error {
	return n.compare(ctx, desk, by, func(org trust.OrgState) (compared, error) {
		if !identity.SameFingerprint(orgFingerprint(org), heard) {
			return compared{}, fmt.Errorf("%w: %s", ErrKeyMismatch, desk)
		}
		return compared{key: org.Key}, nil
	})
}

// RefuseDesk notes that a person of this desk found that the key of an organisation is
// not theirs. Nothing goes there until somebody verifies it after all.
func (n *Node) RefuseDesk(ctx context.Context, desk identity.DeskID, by By) error {
	return n.compare(ctx, desk, by, func(org trust.OrgState) (compared, error) {
		return compared{key: org.Key, refused: true}, nil
	})
}

func (n *Node) compare(ctx context.Context, desk identity.DeskID, by By, find func(trust.OrgState) (compared, error)) error {
	dir := n.directory()
	org, ok := dir.Org(desk.Org())
	if _, known := dir.Desk(desk); !ok || !known || desk.Org() == n.dev.Desk.Org() {
		return fmt.Errorf("%w: %s", ErrUnknownDesk, desk)
	}
	c, err := find(org)
	if err != nil {
		return err
	}
	key, err := n.mustUnlock(ctx, by)
	if err != nil {
		return err
	}
	c.at = n.now().UTC().Truncate(time.Second)
	err = n.update(ctx, func(tx *store.Tx) error {
		c.by = n.nameOf(tx, key.ID)
		raw, err := canon.Marshal(comparedRow{Key: c.key[:], Refused: c.refused, By: c.by, At: unix(c.at)})
		if err != nil {
			return err
		}
		if err := tx.SetSetting(settingCompared+string(org.ID), raw); err != nil {
			return err
		}
		if err := tx.ClearAlarm(string(AlarmNewKey), string(org.ID)); err != nil && !isNotFound(err) {
			return err
		}
		action := actionVerified
		if c.refused {
			action = actionRefused
		}
		return tx.Audit(action, string(org.ID), key.ID, c.at)
	})
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.compared[org.ID] = c
	n.mu.Unlock()
	n.publish(EventDesk, "", string(desk))
	n.poke()
	return nil
}

// watchKeys raises an alarm about each organisation whose key is another since before.
func (n *Node) watchKeys(ctx context.Context, before, now directory) {
	seen := map[identity.OrgID]bool{}
	for _, desk := range now.Desks() {
		org := desk.Org()
		if seen[org] {
			continue
		}
		seen[org] = true
		was, _ := before.Org(org)
		is, _ := now.Org(org)
		if state, _ := n.keyState(now, org); state == KeyChanged && was.Key != is.Key {
			n.alarm(ctx, AlarmNewKey, string(org), string(desk))
		}
	}
}

// orgFingerprint is the one that the organisation itself reads out: `schakel init` shows
// the same.
func orgFingerprint(org trust.OrgState) string {
	return identity.Fingerprint(trust.PurposeOrgKey, org.Key[:])
}
