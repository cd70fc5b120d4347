package schakel

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/evidence"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// What a witness keeps in the store: its key, and the checkpoint that it signed last.
// What it was shown that contradicts that is kept with all other evidence.
const (
	settingWitnessKey    = "witness-key"
	settingWitnessSigned = "witness-signed"
)

// ErrWitness is wrapped when this device has another witness, or none.
var ErrWitness = errors.New("not this witness")

// witnessKey is the key of a witness and the device that made it. Only that device
// signs with it: one restored from a backup would have forgotten what it signed
// since, and could be made to sign a second branch.
type witnessKey struct {
	_      struct{} `cbor:",toarray"`
	Name   string
	Seed   []byte
	Device identity.DeviceID
}

// witnessSigned is the checkpoint that was signed last.
type witnessSigned struct {
	_    struct{} `cbor:",toarray"`
	Size uint64
	Root [32]byte
	Note []byte
	At   uint64 // seconds since 1970
}

// maxWitness bounds what is kept of one thing.
const maxWitness = 16 << 10

// WitnessState is what a device's own witness has done.
type WitnessState struct {
	Key  trust.VKey
	Size uint64    // that it signed last; 0: nothing yet
	At   time.Time // when
}

// MakeWitness makes the key of a witness in the store of a device, or returns the
// one that is there. The line is for the root holders, who name it in the root.
func MakeWitness(ctx context.Context, st *store.Store, name string) (trust.VKey, error) {
	var v trust.VKey
	err := st.Update(ctx, func(tx *store.Tx) error {
		dev, err := tx.Device()
		if err != nil {
			return err
		}
		k, err := readWitness(tx)
		if err == nil {
			if v, err = k.public(); err == nil && (k.Name != name || k.Device != dev.ID) {
				err = fmt.Errorf("%w: this store has %s already", ErrWitness, v.Name)
			}
			return err
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		seed := make([]byte, ed25519.SeedSize)
		_, _ = rand.Read(seed) // never fails
		k = witnessKey{Name: name, Seed: seed, Device: dev.ID}
		if v, err = k.public(); err != nil {
			return err
		}
		return keep(tx, settingWitnessKey, k)
	})
	return v, err
}

// Witness returns the witness of a store, or ErrWitness where it has none.
func Witness(ctx context.Context, st *store.Store) (w WitnessState, err error) {
	err = st.View(ctx, func(tx *store.Tx) error {
		k, err := readWitness(tx)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%w: none was made here", ErrWitness)
		}
		if err != nil {
			return err
		}
		if w.Key, err = k.public(); err != nil {
			return err
		}
		var signed witnessSigned
		if err := keptOne(tx, settingWitnessSigned, &signed); err != nil {
			return err
		}
		if w.Size = signed.Size; signed.At > 0 {
			w.At = time.Unix(int64(signed.At), 0).UTC()
		}
		return nil
	})
	return w, err
}

func readWitness(tx *store.Tx) (k witnessKey, err error) {
	b, err := tx.Setting(settingWitnessKey)
	if err != nil {
		return k, err
	}
	if err := canon.Unmarshal(b, maxWitness, &k); err != nil {
		return k, fmt.Errorf("%w: witness: %w", store.ErrTampered, err)
	}
	if len(k.Seed) != ed25519.SeedSize {
		return k, fmt.Errorf("%w: witness: key length", store.ErrTampered)
	}
	return k, nil
}

// keptOne reads what may not be there.
func keptOne(tx *store.Tx, setting string, v any) error {
	b, err := tx.Setting(setting)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return canon.Unmarshal(b, maxWitness, v)
}

func (k witnessKey) signer() edKey { return edKey(ed25519.NewKeyFromSeed(k.Seed)) }

func (k witnessKey) public() (trust.VKey, error) {
	return trust.WitnessKey(k.Name, k.signer().Public())
}

// loadWitness reads the witness that this device runs, if it runs one.
func (n *Node) loadWitness(tx *store.Tx) error {
	k, err := readWitness(tx)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if k.Device != n.dev.ID {
		n.log.Warn("this store holds a witness of another device, which signs no more")
		return nil
	}
	n.witness = &k
	return nil
}

// signedLast is the checkpoint that this witness signed last. It begins with the
// genesis, whose fingerprint a person compared.
func (n *Node) signedLast(tx *store.Tx) (trust.Pinned, error) {
	var s witnessSigned
	if err := keptOne(tx, settingWitnessSigned, &s); err != nil {
		return trust.Pinned{}, err
	}
	if s.Size == 0 {
		root, _ := n.directory().RootAt(1)
		return trust.Pinned{Size: 1, Root: root}, nil
	}
	return trust.Pinned{Size: s.Size, Root: s.Root, Note: s.Note}, nil
}

// announceWitness tells the relay where this device's witness stands.
func (s *session) announceWitness(ctx context.Context) error {
	if s.n.witness == nil {
		return nil
	}
	var last trust.Pinned
	err := s.n.store.View(ctx, func(tx *store.Tx) (err error) {
		last, err = s.n.signedLast(tx)
		return err
	})
	if err != nil {
		return err
	}
	return s.say(ctx, wire.Cosigned{Witness: s.n.witness.Name, Size: last.Size})
}

// cosign answers the relay's question: with a line once what it says is on disk, or
// without one, which is a refusal.
func (s *session) cosign(ctx context.Context, f wire.Cosign) error {
	if s.n.witness == nil {
		return fmt.Errorf("%w: cosign, and this device announced no witness", wire.ErrFrame)
	}
	size, line, err := s.n.cosign(ctx, f)
	if err != nil {
		return err
	}
	return s.say(ctx, wire.Cosigned{Witness: s.n.witness.Name, Size: size, Line: line})
}

// cosign decides and remembers in one transaction. Should this process end before the
// line has left, the next asks from there again: the same checkpoint may be signed
// any number of times, and never another of its size.
func (n *Node) cosign(ctx context.Context, f wire.Cosign) (size uint64, line []byte, err error) {
	now, dir := n.now(), n.directory()
	var next trust.Pinned
	var refusal error
	in := &intake{n: n, now: now}
	err = n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		last, err := n.signedLast(tx)
		if err != nil {
			return err
		}
		size = last.Size
		if next, refusal = judgeCheckpoint(dir, last, f); refusal != nil {
			return in.refuseCosigning(last, f, refusal)
		}
		size = next.Size
		signed := witnessSigned{Size: next.Size, Root: next.Root, Note: next.Note, At: uint64(max(0, now.Unix()))}
		if err := keep(tx, settingWitnessSigned, signed); err != nil {
			return err
		}
		return tx.Audit("witness-cosigned", fmt.Sprintf("%d %s", next.Size, hex.EncodeToString(next.Root[:])), identity.PersonID{}, now)
	})
	if err != nil {
		return 0, nil, err
	}
	n.events.publish(in.events...)
	if refusal != nil {
		n.log.Warn("witness refuses to cosign", "signed", size, "err", refusal)
		return size, nil, nil
	}
	c, err := trust.ParseCheckpoint(next.Note)
	if err != nil {
		return 0, nil, err
	}
	one, err := c.Cosign(n.witness.Name, n.witness.signer(), now)
	if err != nil {
		return 0, nil, err
	}
	return size, one.Line(), nil
}

// errOtherBase says that the proof does not begin where this witness stands, which is
// the relay's mistake about us and no contradiction.
var errOtherBase = errors.New("proof from another size than this witness signed last")

// judgeCheckpoint is the witness's decision. A smaller register may be a relay that
// is behind; one that this device itself knows otherwise is not.
func judgeCheckpoint(dir directory, last trust.Pinned, f wire.Cosign) (trust.Pinned, error) {
	next, err := last.Witness(dir.relay.Log, f.Checkpoint, f.Proof)
	switch {
	case errors.Is(err, trust.ErrCheckpoint), errors.Is(err, trust.ErrTooLarge):
		return next, err
	case errors.Is(err, trust.ErrProof) && f.From != last.Size:
		return next, errOtherBase
	}
	c, _ := trust.ParseCheckpoint(f.Checkpoint) // it is one, or the error above would say so
	if root, ok := dir.RootAt(c.Size); ok && root != c.Root {
		return next, fmt.Errorf("%w: this device verified another root at size %d", trust.ErrFork, c.Size)
	}
	return next, err
}

// refuseCosigning keeps what contradicts, and alarms.
func (in *intake) refuseCosigning(last trust.Pinned, f wire.Cosign, refusal error) error {
	if !errors.Is(refusal, trust.ErrFork) && !errors.Is(refusal, trust.ErrProof) {
		return nil
	}
	dir := in.n.directory()
	if err := in.keepEvidence(branches(dir, last, f.Checkpoint), string(dir.relay.Subject()), f.Checkpoint); err != nil {
		return err
	}
	return in.raise(AlarmRegister, "witness", "fork")
}

// branches is what a witness signed last and what it was shown, and where both are known
// at one size, the roots there.
func branches(dir directory, last trust.Pinned, shown []byte) evidence.File {
	f := evidence.File{Version: evidence.Version, Kind: evidence.KindFork, Checkpoints: [][]byte{last.Note, shown}}
	c, err := trust.ParseCheckpoint(shown)
	if err != nil || c.Size > last.Size {
		return f
	}
	own, known, proof := last.Root, true, []trust.Hash(nil)
	if c.Size < last.Size {
		own, known = dir.RootAt(c.Size)
		if proof, err = dir.Proof(c.Size, last.Size); err != nil {
			return f // this device itself has not come so far
		}
	}
	if known && own != c.Root {
		f.Size, f.Roots, f.Proofs = c.Size, []trust.Hash{own, c.Root}, [][]trust.Hash{proof, nil}
	}
	return f
}

// witnessWord says what the root demands of witnesses and what that withstands, and
// how far this device's own one has come.
func (n *Node) witnessWord(tx *store.Tx, dir directory, s *session) string {
	root := dir.Authority()
	text := QuorumWord(root.Quorum, len(root.Witnesses))
	if at, ok := dir.CosignedAt(dir.pinned, time.Time{}); ok {
		text += "; cosigned at " + at.UTC().Format(time.RFC3339)
	}
	if s != nil && root.Quorum > 0 && s.ready.RegisterSize > dir.Size() {
		text += fmt.Sprintf("; %d newer entries wait for witnesses", s.ready.RegisterSize-dir.Size())
	}
	if n.witness != nil {
		last, err := n.signedLast(tx)
		if err == nil {
			text += fmt.Sprintf("; this device is %s, signed up to %d", n.witness.Name, last.Size)
		}
	}
	return text
}

// QuorumWord says plainly what a quorum of witnesses withstands.
func QuorumWord(quorum, witnesses int) string {
	if quorum == 0 {
		return "none: a relay and log that lie together are noticed late or never"
	}
	text := fmt.Sprintf("%d of %d must cosign", quorum, witnesses)
	dishonest, away := trust.Root{Quorum: quorum, Witnesses: make([]trust.VKey, witnesses)}.Tolerance()
	switch {
	case dishonest < 0:
		text += "; too few: two registers can pass even with honest witnesses"
	case dishonest == 0:
		text += "; no dishonest witness tolerated"
	case dishonest == 1:
		text += "; 1 dishonest witness tolerated"
	default:
		text += fmt.Sprintf("; %d dishonest witnesses tolerated", dishonest)
	}
	return text + fmt.Sprintf(", %d may be away", away)
}
