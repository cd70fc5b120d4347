package casefile

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"schakel/crypto/canon"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// Anchored proves that a device had a message by the time the log reached a size: the
// path from the message to an anchor in the register, and a checkpoint over it.
type Anchored struct {
	_           struct{} `cbor:",toarray"`
	Message     message.Hash
	Device      identity.DeviceID
	Day         uint64 // midnight UTC, in seconds
	Salt        [sha256.Size]byte
	Index, Size uint64 // place among the messages of the anchor
	Path        [][sha256.Size]byte
	Checkpoint  []byte // the first that this device saw over the anchor
}

// maxAnchored bounds the bytes of one: a path of 20 hashes and a checkpoint with the
// cosignatures of sixteen witnesses.
const maxAnchored = 16 << 10

// Encode returns the canonical bytes of a.
func (a Anchored) Encode() ([]byte, error) { return canon.Marshal(a) }

// ParseAnchored parses what Encode wrote. Nothing in it is verified yet.
func ParseAnchored(raw []byte) (a Anchored, err error) {
	err = canon.Unmarshal(raw, maxAnchored, &a)
	return a, err
}

// Fixed says that a message was there before the register grew beyond a size.
type Fixed struct {
	By    Signer    `json:"by"`            // the device that anchored it
	Entry uint64    `json:"entry"`         // of the anchor
	Size  uint64    `json:"size"`          // of the register, at the checkpoint over it
	At    time.Time `json:"at,omitzero"`   // when witnesses signed that checkpoint; zero: none did
	File  string    `json:"file,omitzero"` // where the proof is
}

// Verify checks the path against the register, and that the log signed a checkpoint of
// this very register over the anchor.
func (a Anchored) Verify(reg *trust.Register) (f Fixed, err error) {
	anchor, ok := reg.AnchorOf(a.Device, instant(a.Day))
	if !ok {
		return f, fmt.Errorf("%w: the register has no anchor of device %s for that day", trust.ErrProof, a.Device)
	}
	if err := anchor.Holds(trust.AnchorLeaf(a.Salt, trust.Hash(a.Message)), a.Index, a.Size, a.Path); err != nil {
		return f, err
	}
	point, err := trust.ParseCheckpoint(a.Checkpoint)
	if err != nil {
		return f, err
	}
	if root, ok := reg.RootAt(point.Size); !ok || root != point.Root || point.Size <= anchor.Index {
		return f, fmt.Errorf("%w: a checkpoint of %d entries, which is not of this register or not over entry %d", trust.ErrProof, point.Size, anchor.Index)
	}
	if !slices.ContainsFunc(logsOf(reg), func(k trust.VKey) bool { return point.SignedBy(k) == nil }) {
		return f, fmt.Errorf("%w: no log of this register signed it", identity.ErrBadSignature)
	}
	f = Fixed{Entry: anchor.Index, Size: point.Size}
	if root, ok := reg.AuthorityAt(point.Size); ok {
		f.At, err = point.CosignedAt(root, time.Time{})
	}
	return f, err
}

// logsOf are the keys that the log had, the newest of them.
func logsOf(reg *trust.Register) (keys []trust.VKey) {
	relays := reg.Relays()
	for _, s := range relays[max(0, len(relays)-maxRelays):] {
		keys = append(keys, s.Log)
	}
	return keys
}

var errNotThere = errors.New("it is of a message that is not in this file")

// readAnchors verifies the anchors in the file. Of one message the earliest counts.
func (r *reading) readAnchors() {
	r.fixed = map[message.Hash]Fixed{}
	for _, name := range r.names(folderAnchors) {
		a, f, err := r.anchored(name)
		if _, ok := r.signed[a.Message]; err == nil && !ok && !r.noted.unreadable[a.Message] {
			err = errNotThere
		}
		if err != nil {
			r.fault(FaultAnchor, name, err)
			continue
		}
		r.fix(a.Message, f)
	}
}

func (r *reading) anchored(name string) (a Anchored, f Fixed, err error) {
	raw := r.contents[name]
	if proofFile(folderAnchors, raw) != name {
		return a, f, errors.New("another proof than its name says")
	}
	if a, err = ParseAnchored(raw); err != nil {
		return a, f, err
	}
	if f, err = a.Verify(r.register); err != nil {
		return a, f, err
	}
	f.By, f.File = r.device(a.Device), name
	return a, f, nil
}

// fix keeps the earliest proof. Of the same size everybody must keep the same one.
func (r *reading) fix(h message.Hash, f Fixed) {
	if had, ok := r.fixed[h]; !ok || cmp.Or(cmp.Compare(f.Size, had.Size), strings.Compare(f.File, had.File)) < 0 {
		r.fixed[h] = f
	}
}

// anchors are those of an archive that verify, for whoever verifies a message by itself:
// one that does not is a fault of the file of the case, and proves nothing here.
func (c contents) anchors(reg *trust.Register) map[message.Hash]Fixed {
	r := &reading{contents: c, register: reg, fixed: map[message.Hash]Fixed{}}
	for _, name := range c.names(folderAnchors) {
		if a, f, err := r.anchored(name); err == nil {
			r.fix(a.Message, f)
		}
	}
	return r.fixed
}
