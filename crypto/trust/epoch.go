package trust

import (
	"fmt"
	"slices"
	"time"

	"schakel/crypto/identity"
)

// Bounds of an epoch's length, and of its number.
const (
	minEpoch       = time.Hour
	maxEpoch       = 7 * 24 * time.Hour
	maxEpochNumber = 1 << 40
)

// Epochs publishes the keys that others seal to for a device: only hashes of the
// recipient strings, which the relay keeps. Epoch First+i covers
// [From + i*Length, From + (i+1)*Length).
type Epochs struct {
	Device identity.DeviceID
	First  uint64 // number of the first; higher than every number published before
	From   time.Time
	Length time.Duration // whole seconds
	Hashes []Hash        // SHA-256 of the recipient strings, 1 to MaxEpochs
}

// EpochRef is one published epoch of a device.
type EpochRef struct {
	Number      uint64
	Hash        Hash // SHA-256 of the recipient string
	From, Until time.Time
}

// Kind is KindEpoch.
func (Epochs) Kind() Kind { return KindEpoch }

// Subject is "epoch/" and the id of the device.
func (b Epochs) Subject() Subject { return Subject("epoch/" + b.Device.String()) }

func (Epochs) signers() []string { return []string{asDevice} }

// Sign makes the entry; the device's signing key must sign.
func (b Epochs) Sign(at Place, device Signer) ([]byte, error) {
	b.From, b.Length = seconds(b.From), b.Length.Truncate(time.Second)
	return signEntry(b, at, By{asDevice, device})
}

// Refs lists the epochs one by one.
func (b Epochs) Refs() []EpochRef {
	refs := make([]EpochRef, len(b.Hashes))
	for i := range refs {
		refs[i] = b.ref(i)
	}
	return refs
}

func (b Epochs) ref(i int) EpochRef {
	from := b.From.Add(time.Duration(i) * b.Length)
	return EpochRef{Number: b.First + uint64(i), Hash: b.Hashes[i], From: from, Until: from.Add(b.Length)}
}

// at returns the epoch that covers t.
func (b Epochs) at(t time.Time) (EpochRef, bool) {
	if t.Before(b.From) || t.Sub(b.From) >= time.Duration(len(b.Hashes))*b.Length {
		return EpochRef{}, false
	}
	return b.ref(int(t.Sub(b.From) / b.Length)), true
}

// last is the highest number published by the entry.
func (b Epochs) last() uint64 { return b.First + uint64(len(b.Hashes)) - 1 }

func (b Epochs) write(w *writer) {
	w.number("first", b.First)
	w.time("from", b.From)
	w.number("length", uint64(b.Length/time.Second))
	for _, h := range b.Hashes {
		w.hash("recipient", h)
	}
}

func readEpochs(s Subject, r *reader) Epochs {
	return Epochs{
		Device: subjectID(r, s, KindEpoch, identity.ParseDeviceID),
		First:  r.number("first"),
		From:   r.time("from"),
		Length: time.Duration(min(r.number("length"), 1<<30)) * time.Second,
		Hashes: takeAll(r, "recipient", MaxEpochs, func() Hash { return r.hash("recipient") }),
	}
}

func (b Epochs) check() error {
	switch {
	case b.Device.IsZero():
		return fmt.Errorf("%w: device id of zeros", ErrFormat)
	case b.First == 0 || b.First > maxEpochNumber:
		return fmt.Errorf("%w: epoch number %d", ErrFormat, b.First)
	case b.Length < minEpoch || b.Length > maxEpoch || b.Length%time.Second != 0:
		return fmt.Errorf("%w: epoch length %v, want %v to %v", ErrFormat, b.Length, minEpoch, maxEpoch)
	case len(b.Hashes) == 0 || len(b.Hashes) > MaxEpochs:
		return fmt.Errorf("%w: %d epochs, want 1 to %d", ErrFormat, len(b.Hashes), MaxEpochs)
	}
	for i, h := range b.Hashes {
		if slices.Contains(b.Hashes[:i], h) {
			return fmt.Errorf("%w: one epoch key twice", ErrKeyReused)
		}
	}
	return nil
}
