package trust

import (
	"fmt"
	"slices"
	"time"

	"schakel/crypto/identity"
)

// RootWarning is how long before a root expires people must be told: holders have to
// meet, or send a draft around.
const RootWarning = 60 * 24 * time.Hour

// Expired reports that the root rules no more: nobody renewed it in time, and whoever
// holds its keys now may be somebody else (attack C12).
func (b Root) Expired(t time.Time) bool { return !t.Before(b.Expires) }

// Expiring reports that the root has to be renewed soon, or should have been.
func (b Root) Expiring(t time.Time) bool { return !t.Before(b.Expires.Add(-RootWarning)) }

// Rotation is a root that would take the place of the one in force, as far as its
// holders signed it.
type Rotation struct {
	Old, New Root
	signed   []identity.Key
}

// Rotation reads a draft of a root entry: its place, version and keys must be right and
// every signature on it valid, though some may still be missing. The error wraps
// ErrSkipped.
func (r *Register) Rotation(draft []byte) (Rotation, error) {
	e, err := ParseEntry(draft)
	if err != nil {
		return Rotation{}, err
	}
	b, ok := e.Body.(Root)
	if !ok {
		return Rotation{}, fmt.Errorf("%w: %s is no root", ErrRule, e.Body.Subject())
	}
	if want := r.Next(b.Subject()); e.Place != want {
		return Rotation{}, fmt.Errorf("%w: the root is at seq %d, this says %d", ErrSequence, want.Seq, e.Seq)
	}
	if err := r.freshKeys(b); err != nil {
		return Rotation{}, err
	}
	return r.rotation(e, b)
}

// rotation goes by what the register is now. Its place was checked before.
func (r *Register) rotation(e Entry, b Root) (Rotation, error) {
	old := r.Authority()
	if b.Version != old.Version+1 {
		return Rotation{}, fmt.Errorf("%w: root version %d after %d", ErrRule, b.Version, old.Version)
	}
	got, err := e.note.signedBy(signers{asRoot: slices.Concat(old.Keys, b.Keys)})
	return Rotation{Old: old, New: b, signed: got[asRoot]}, err
}

// BySigned are the holders of the old and of the new root who signed. Who is in both
// counts in both.
func (t Rotation) BySigned() (old, next []identity.Key) {
	return t.Old.among(t.signed), t.New.among(t.signed)
}

// Complete reports that k of the old and k of the new signed (attack C11).
func (t Rotation) Complete() bool { return t.Old.met(t.signed) && t.New.met(t.signed) }

// among lists the holders whose key is in signed, in the order of the root.
func (b Root) among(signed []identity.Key) (keys []identity.Key) {
	for _, k := range b.Keys {
		if slices.Contains(signed, k) {
			keys = append(keys, k)
		}
	}
	return keys
}
