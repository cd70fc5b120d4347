package schakel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/evidence"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// What an alarm rests on is kept with it, in the same transaction and sealed like all else,
// without the register, which is here anyhow. Nothing of it is ever pushed out: who can make
// alarms could make the first one disappear.
const (
	maxEvidence      = 256
	maxEvidenceOfOne = 8 // of one kind against one
	maxEvidenceBytes = 64 << 20
)

// ErrNoEvidence is wrapped when nothing is kept under an identifier.
var ErrNoEvidence = errors.New("no such evidence")

// Evidence is something that this device keeps for whoever investigates.
type Evidence struct {
	ID     string    `json:"id"`
	Kind   string    `json:"kind"` // fork, view, counter, identifier, entry
	Raised time.Time `json:"raised"`
	About  string    `json:"about"` // the device, desk, relay or entry of the register
	Size   int       `json:"size"`  // in bytes, without the entries of the register
}

// keepEvidence stores what an alarm rests on. Of what was said twice the smaller is kept: it
// carries less that is nobody's business.
func (in *intake) keepEvidence(f evidence.File, about string, detail []byte) error {
	for _, c := range f.Checkpoints {
		if len(c) == 0 {
			return nil // nothing but the genesis is known here: there is nothing to hold against it
		}
	}
	f.Raised = unix(in.now)
	content, err := f.Encode()
	if err != nil {
		return err
	}
	whom, what := sha256.Sum256([]byte(about)), sha256.Sum256(detail)
	id := slices.Concat([]byte{byte(f.Kind)}, whom[:15], what[:16])
	switch old, err := in.tx.Kept(store.ShelfEvidence, id); {
	case err == nil && len(old.Content) <= len(content):
		return nil
	case err == nil:
		return in.tx.Keep(store.ShelfEvidence, store.Kept{ID: id, At: old.At, Content: content})
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	of, _, err := in.tx.WeighKept(store.ShelfEvidence, id[:16])
	if err != nil {
		return err
	}
	all, size, err := in.tx.WeighKept(store.ShelfEvidence, nil)
	if err != nil {
		return err
	}
	if of >= maxEvidenceOfOne || all >= maxEvidence || size+len(content) > maxEvidenceBytes {
		return in.tx.CountRejected("evidence-full")
	}
	if err := in.tx.Keep(store.ShelfEvidence, store.Kept{ID: id, At: in.now, Content: content}); err != nil {
		return err
	}
	return in.tx.Audit("evidence-kept", hex.EncodeToString(id), identity.PersonID{}, in.now)
}

// Evidence returns what is kept, the oldest first.
func (n *Node) Evidence(ctx context.Context) (out []Evidence, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		kept, err := tx.KeptUntil(store.ShelfEvidence, time.Time{}, maxEvidence)
		for _, k := range kept {
			f, err := evidence.Parse(k.Content)
			if err != nil {
				return fmt.Errorf("%w: evidence: %w", store.ErrTampered, err)
			}
			out = append(out, Evidence{ID: hex.EncodeToString(k.ID), Kind: f.Kind.String(), Raised: time.Unix(int64(f.Raised), 0).UTC(),
				About: n.aboutOf(f), Size: len(k.Content)})
		}
		return err
	})
	return out, err
}

// aboutOf is whom or what a file is about, as far as it was kept.
func (n *Node) aboutOf(f evidence.File) string {
	for _, device := range devicesIn(f) {
		if d, ok := n.directory().Device(device); ok {
			return string(d.Desk) + " " + string(d.Subject())
		}
	}
	if f.Kind == evidence.KindEntry {
		return fmt.Sprintf("entry %d", f.Index)
	}
	return string(n.directory().relay.Subject())
}

func devicesIn(f evidence.File) (ids []identity.DeviceID) {
	for _, d := range f.Deliveries {
		if h, err := d.Header(); err == nil {
			ids = append(ids, h.Sealer)
		}
	}
	for _, raw := range f.Messages {
		if s, err := message.Parse(raw); err == nil {
			ids = append(ids, s.Message.Sender.Device)
		}
	}
	return ids
}

// EvidenceFile returns a file for others, with what of the register they need to verify it
// and nothing else to go by than its fingerprint. id may be the beginning of one.
func (n *Node) EvidenceFile(ctx context.Context, id string) ([]byte, error) {
	if err := n.notLight(); err != nil {
		return nil, err
	}
	var found []store.Kept
	var entries [][]byte
	err := n.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.KeptRows(store.ShelfEvidence)
		for _, k := range rows {
			if name := hex.EncodeToString(k.ID); err == nil && len(id) > 0 && len(id) <= len(name) && name[:len(id)] == id {
				k, err = tx.Kept(store.ShelfEvidence, k.ID)
				found = append(found, k)
			}
		}
		if err != nil || len(found) != 1 {
			return err
		}
		_, err = tx.Register(func(_ uint64, entry []byte) error {
			entries = append(entries, bytes.Clone(entry))
			return nil
		})
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fmt.Errorf("%w: %.64q", ErrNoEvidence, id)
	case len(found) > 1:
		return nil, fmt.Errorf("%w: %.64q", ErrAmbiguous, id)
	}
	f, err := evidence.Parse(found[0].Content)
	if err != nil {
		return nil, fmt.Errorf("%w: evidence: %w", store.ErrTampered, err)
	}
	if err := complete(&f, entries); err != nil {
		return nil, err
	}
	return f.Encode()
}

// complete puts the entries into a file that say whose the keys are.
func complete(f *evidence.File, entries [][]byte) error {
	if f.Kind == evidence.KindEntry {
		return f.SetEntries(entries[:min(f.Index+1, uint64(len(entries)))])
	}
	var about []trust.Subject
	for _, d := range devicesIn(*f) {
		about = append(about, trust.Device{ID: d}.Subject())
	}
	needed, err := evidence.Select(entries, about...)
	if err != nil {
		return err
	}
	return f.SetEntries(needed)
}

// stub keeps the signature of a delivery that brought a message: should its device use the
// counter once more, both can be shown, as long as the message is here.
func (in *intake) stub(a *arrival) error {
	if a.from == in.n.dev.Desk {
		return nil
	}
	bare, err := a.evidence.Bare()
	if err != nil {
		return err
	}
	content, err := bare.Encode()
	if err != nil || len(content) > delivery.MaxBare {
		return err
	}
	hash := a.signed.Hash()
	return in.tx.Keep(store.ShelfStubs, store.Kept{ID: stubID(a), At: in.now, Content: append(hash[:], content...)})
}

func stubID(a *arrival) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(a.header.Sealer[:]), a.delivery.Counter)
}

// equivocated keeps both deliveries that a device sealed under one counter, where the first
// can still be put together.
func (in *intake) equivocated(a *arrival) error {
	k, err := in.tx.Kept(store.ShelfStubs, stubID(a))
	if errors.Is(err, store.ErrNotFound) || err == nil && len(k.Content) < len(message.Hash{}) {
		return nil
	}
	if err != nil {
		return err
	}
	row, err := in.tx.Message(message.Hash(k.Content[:32]))
	if err != nil || row.Raw == nil {
		return nil //nolint:nilerr // destroyed, or closed to named persons: the first cannot be shown
	}
	bare, err := delivery.ParseBare(k.Content[32:])
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	first, err := bare.With(row.Raw)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	f := evidence.File{Version: evidence.Version, Kind: evidence.KindCounter, Deliveries: []delivery.Evidence{first, a.evidence}}
	return in.keepEvidence(f, a.header.Sealer.String(), binary.BigEndian.AppendUint64(nil, a.delivery.Counter))
}

// forgetStubs goes with forgetting arrivals: after that a counter is only old.
func forgetStubs(tx *store.Tx, until time.Time) error {
	const atOnce = 1000
	for {
		old, err := tx.KeptUntil(store.ShelfStubs, until, atOnce)
		if err != nil {
			return err
		}
		for _, k := range old {
			if err := tx.Forget(store.ShelfStubs, k.ID); err != nil {
				return err
			}
		}
		if len(old) < atOnce {
			return nil
		}
	}
}

// reused keeps both messages that a desk signed under one identifier.
func (in *intake) reused(a *arrival) error {
	first, err := in.tx.HashOf(a.signed.Message.ID)
	if err != nil {
		return err
	}
	row, err := in.tx.Message(first)
	if err != nil || row.Raw == nil || row.Peer != a.from || row.Direction != store.In {
		return nil //nolint:nilerr // destroyed, closed, or of another desk: there are not two of one
	}
	f := evidence.File{Version: evidence.Version, Kind: evidence.KindIdentifier, Messages: [][]byte{row.Raw, a.signed.Raw}}
	return in.keepEvidence(f, string(a.from), a.signed.Message.ID[:])
}

// skipped keeps an entry that counts for nobody, by its place: the log is here.
func (in *intake) skipped(dir directory, index uint64) error {
	proof, err := dir.Proof(index+1, dir.pinned.Size)
	if err != nil {
		return err
	}
	f := evidence.File{Version: evidence.Version, Kind: evidence.KindEntry, Checkpoints: [][]byte{dir.pinned.Note}, Proofs: [][]trust.Hash{proof}, Index: index}
	return in.keepEvidence(f, "log", binary.BigEndian.AppendUint64(nil, index))
}
