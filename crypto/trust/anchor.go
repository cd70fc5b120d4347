package trust

import (
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"schakel/crypto/identity"
)

// MaxAnchored is how many messages one anchor can hold.
const MaxAnchored = 1 << 20

// Days of an anchor: what no clock of ours can be.
var (
	firstDay = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	lastDay  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Anchor fixes in the log which messages a device had by the time the log reached it: the
// root of a tree over salted hashes, which tells nobody anything who was not given salt
// and path. Whoever steals a key later can date a message back, and cannot have it stand
// in an anchor from before.
type Anchor struct {
	Device identity.DeviceID
	Day    time.Time // midnight UTC; a label, and no proof of anything
	Root   Hash      // of the AnchorTree of that day's leaves
}

// Kind is KindAnchor.
func (Anchor) Kind() Kind { return KindAnchor }

// Subject is "anchor/" and the id of the device.
func (b Anchor) Subject() Subject { return Subject("anchor/" + b.Device.String()) }

func (Anchor) signers() []string { return []string{asDevice} }

// Sign makes the entry; the device's signing key must sign.
func (b Anchor) Sign(at Place, device Signer) ([]byte, error) {
	b.Day = b.Day.UTC().Truncate(24 * time.Hour)
	return signEntry(b, at, By{asDevice, device})
}

func (b Anchor) write(w *writer) {
	w.time("day", b.Day)
	w.hash("root", b.Root)
}

func readAnchor(s Subject, r *reader) Anchor {
	return Anchor{Device: subjectID(r, s, KindAnchor, identity.ParseDeviceID), Day: r.time("day"), Root: r.hash("root")}
}

func (b Anchor) check() error {
	switch {
	case b.Device.IsZero():
		return fmt.Errorf("%w: device id of zeros", ErrFormat)
	case b.Day.Before(firstDay) || b.Day.After(lastDay) || !b.Day.Equal(b.Day.Truncate(24*time.Hour)):
		return fmt.Errorf("%w: day %v, want midnight UTC", ErrFormat, b.Day)
	}
	return nil
}

// allowAnchor: the device itself, no day twice. A light device keeps a week of messages
// and proves nothing later.
func (r *Register) allowAnchor(e Entry, b Anchor) error {
	dev, ok := r.Device(b.Device)
	if !ok {
		return fmt.Errorf("%w: device %w", ErrRule, ErrUnknown)
	}
	if !dev.Active() {
		return ErrRevoked
	}
	if dev.Type == DeviceLight {
		return fmt.Errorf("%w: a light device anchors nothing", ErrRule)
	}
	if rec := r.anchors[b.Device]; rec != nil && !b.Day.After(rec.current().Day) {
		return fmt.Errorf("%w: the day %s was anchored before", ErrRule, b.Day.Format(time.DateOnly))
	}
	return e.signedByAll(mustSign{asDevice, dev.SignKey})
}

// Anchored is an anchor and the index of its entry: a register of more entries than
// Index has it.
type Anchored struct {
	Anchor
	Index uint64
}

// AnchorOf returns what a device anchored for a day.
func (r *Register) AnchorOf(device identity.DeviceID, day time.Time) (Anchored, bool) {
	rec := r.anchors[device]
	if rec == nil {
		return Anchored{}, false
	}
	for _, v := range rec.versions {
		if v.body.Day.Equal(day) {
			return Anchored{v.body, v.index}, true
		}
	}
	return Anchored{}, false
}

// LastAnchor returns the newest anchor of a device.
func (r *Register) LastAnchor(device identity.DeviceID) (Anchored, bool) {
	rec := r.anchors[device]
	if rec == nil {
		return Anchored{}, false
	}
	v := rec.versions[len(rec.versions)-1]
	return Anchored{v.body, v.index}, true
}

// anchorPrefix begins every leaf, so that no hash of anything else is one.
const anchorPrefix = "schakel/anchor/v1\x00"

// AnchorLeaf is the leaf of a message: the leaf hash of RFC 6962 over a prefix, 32 bytes
// that nobody can guess, and the hash of the message.
func AnchorLeaf(salt, message Hash) Hash {
	return Hash(tlog.RecordHash(append(append([]byte(anchorPrefix), salt[:]...), message[:]...)))
}

// AnchorTree is the tree of one anchor. It hashes leaves the way the log hashes entries.
type AnchorTree struct{ tree tree }

// NewAnchorTree makes the tree over 1 to MaxAnchored leaves in their order.
func NewAnchorTree(leaves []Hash) (*AnchorTree, error) {
	if len(leaves) == 0 || len(leaves) > MaxAnchored {
		return nil, fmt.Errorf("%w: %d messages in one anchor, want 1 to %d", ErrTooLarge, len(leaves), MaxAnchored)
	}
	a := &AnchorTree{}
	for _, leaf := range leaves {
		h, err := tlog.StoredHashesForRecordHash(int64(a.tree.size), tlog.Hash(leaf), &a.tree)
		if err != nil {
			return nil, err
		}
		a.tree.hashes = append(a.tree.hashes, h...)
		a.tree.size++
	}
	return a, nil
}

// Root is what the anchor says.
func (a *AnchorTree) Root() Hash { return a.tree.root(a.tree.size) }

// Path proves that leaf i is in the tree (RFC 6962, 2.1.1).
func (a *AnchorTree) Path(i int) ([]Hash, error) {
	p, err := tlog.ProveRecord(int64(a.tree.size), int64(i), &a.tree)
	if err != nil {
		return nil, fmt.Errorf("failed to prove message %d of %d: %w", i, a.tree.size, err)
	}
	path := make([]Hash, len(p))
	for j, h := range p {
		path[j] = Hash(h)
	}
	return path, nil
}

// Holds verifies that leaf is the one at index of size under the root of b.
func (b Anchor) Holds(leaf Hash, index, size uint64, path []Hash) error {
	if size > MaxAnchored || index >= size || len(path) > maxProof {
		return fmt.Errorf("%w: message %d of %d with %d hashes", ErrProof, index, size, len(path))
	}
	p := make(tlog.RecordProof, len(path))
	for i, h := range path {
		p[i] = tlog.Hash(h)
	}
	if err := tlog.CheckRecord(p, int64(size), tlog.Hash(b.Root), int64(index), tlog.Hash(leaf)); err != nil {
		return fmt.Errorf("%w: the message is not in the anchor of %s", ErrProof, b.Day.Format(time.DateOnly))
	}
	return nil
}
