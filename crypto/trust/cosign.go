package trust

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"schakel/crypto/identity"
)

// ErrCosignature is wrapped when a line is no cosignature of the checkpoint by a
// witness that the root names, or has a time that cannot be.
var ErrCosignature = errors.New("not a cosignature of this checkpoint by a witness of the root")

// MostAhead is how far a cosignature may be ahead of the reader's clock. What is
// further ahead would make a register look fresh that is not (attack C10).
const MostAhead = 5 * time.Minute

// lastSecond is the last one that an RFC 3339 time can say.
const lastSecond = 253402300799

// Cosignature is a witness's word that it has seen a checkpoint at a time, and
// nothing that contradicts it: verified, or made here.
type Cosignature struct {
	Witness VKey
	At      time.Time // by the witness's clock, in whole seconds
	sig     signature
}

// Line is the signature line as it stands in a checkpoint.
func (s Cosignature) Line() []byte {
	n := signedNote{sigs: []signature{s.sig}}
	return n.format()[1:] // without the empty line
}

// cosigned is what a witness signs (C2SP tlog-cosignature).
func (c Checkpoint) cosigned(seconds uint64) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, c.note.text)
}

// Cosign makes a cosignature by the witness of that name. It looks at nothing:
// who signs has checked with [Pinned.Witness] that c continues what it signed
// last, and has the result on disk.
func (c Checkpoint) Cosign(name string, witness Signer, at time.Time) (Cosignature, error) {
	v, err := WitnessKey(name, witness.Public())
	if err != nil {
		return Cosignature{}, err
	}
	at = seconds(at)
	if at.Unix() <= 0 || at.Unix() > lastSecond {
		return Cosignature{}, fmt.Errorf("%w: no time of a witness", ErrCosignature)
	}
	statement := c.cosigned(uint64(at.Unix()))
	sig, err := witness.Sign(statement)
	if err != nil {
		return Cosignature{}, fmt.Errorf("failed to cosign as %s: %w", name, err)
	}
	if err := v.Key.Verify(statement, sig); err != nil {
		return Cosignature{}, fmt.Errorf("failed to cosign as %s: the signer's own key refuses the result: %w", name, err)
	}
	timed := append(binary.BigEndian.AppendUint64(nil, uint64(at.Unix())), sig...)
	return Cosignature{v, at, signature{name: name, hash: keyHash(name, algCosignature, v.Key), sig: timed}}, nil
}

// verifyCosignature says whether s is one of v under this checkpoint, and of when.
func (c Checkpoint) verifyCosignature(s signature, v VKey) (Cosignature, bool) {
	if s.name != v.Name || len(s.sig) != 8+ed25519.SignatureSize || s.hash != keyHash(v.Name, algCosignature, v.Key) {
		return Cosignature{}, false
	}
	at := binary.BigEndian.Uint64(s.sig)
	if at == 0 || at > lastSecond || v.Key.Verify(c.cosigned(at), s.sig[8:]) != nil {
		return Cosignature{}, false
	}
	return Cosignature{v, time.Unix(int64(at), 0).UTC(), s}, true
}

// Cosignatures are the verified cosignatures by the witnesses that root names, the
// newest first and one per witness. Lines that count for nothing are left alone:
// those of others, those that do not verify, and those more than [MostAhead] after
// now. A zero now knows no time and judges none.
func (c Checkpoint) Cosignatures(root Root, now time.Time) []Cosignature {
	newest := make(map[identity.Key]Cosignature)
	for _, s := range c.note.sigs {
		for _, v := range root.Witnesses {
			got, ok := c.verifyCosignature(s, v)
			if !ok || !now.IsZero() && got.At.After(now.Add(MostAhead)) {
				continue
			}
			if got.At.After(newest[v.Key].At) {
				newest[v.Key] = got
			}
		}
	}
	var all []Cosignature
	for _, s := range newest {
		all = append(all, s)
	}
	slices.SortFunc(all, newestFirst)
	return all
}

func newestFirst(a, b Cosignature) int {
	return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Witness.Name, b.Witness.Name), bytes.Compare(a.Witness.Key[:], b.Witness.Key[:]))
}

// CosignedAt checks the quorum that root demands and returns how fresh that makes
// the checkpoint: the median time of the newest cosignatures that make it up, the
// older of the two in the middle. Where root demands no witness the time is zero:
// nobody knows.
func (c Checkpoint) CosignedAt(root Root, now time.Time) (time.Time, error) {
	if root.Quorum == 0 {
		return time.Time{}, nil
	}
	all := c.Cosignatures(root, now)
	if len(all) < root.Quorum {
		return time.Time{}, fmt.Errorf("%w: %d of %d", ErrQuorum, len(all), root.Quorum)
	}
	return all[root.Quorum/2].At, nil
}

// Read verifies one line that is said to be a cosignature of c, as a witness
// returns it.
func (c Checkpoint) Read(line []byte, root Root, now time.Time) (Cosignature, error) {
	alone := signedNote{text: c.note.text}
	n, err := parseNote(append(alone.format(), line...), maxCheckpoint)
	if err != nil || len(n.sigs) != 1 {
		return Cosignature{}, fmt.Errorf("%w: not one signature line", ErrCosignature)
	}
	all := Checkpoint{c.Origin, c.Size, c.Root, n}.Cosignatures(root, now)
	if len(all) != 1 {
		return Cosignature{}, fmt.Errorf("%w: unknown witness, wrong signature, or a time ahead", ErrCosignature)
	}
	return all[0], nil
}

// With writes the checkpoint with the log's signature and these cosignatures, the
// newest of each witness, in one order. Other lines are dropped.
func (c Checkpoint) With(all ...Cosignature) []byte {
	n := signedNote{text: c.note.text}
	for _, s := range c.note.sigs {
		if s.name == c.Origin && len(s.sig) == ed25519.SignatureSize {
			n.sigs = append(n.sigs, s)
		}
	}
	all = slices.Clone(all)
	slices.SortFunc(all, newestFirst)
	var kept []Cosignature
	for _, s := range all {
		if !slices.ContainsFunc(kept, func(k Cosignature) bool { return k.Witness == s.Witness }) {
			kept = append(kept, s)
		}
	}
	slices.SortFunc(kept, func(a, b Cosignature) int { return strings.Compare(a.Witness.String(), b.Witness.String()) })
	for _, s := range kept {
		n.sigs = append(n.sigs, s.sig)
	}
	return n.format()
}

// Witness is the decision of a witness: whether it may cosign a checkpoint of log
// after p, which it signed last (or the genesis, see [Register.Pin]). The result
// is to be on disk before the cosignature leaves: a witness that forgets what it
// signed can be made to sign two branches. After ErrFork and ErrProof both
// checkpoints are evidence; ErrRollback alone may be a relay that is behind.
func (p Pinned) Witness(log VKey, checkpoint []byte, proof []Hash) (Pinned, error) {
	c, err := ParseCheckpoint(checkpoint)
	if err != nil {
		return Pinned{}, err
	}
	if err := c.SignedBy(log); err != nil {
		return Pinned{}, err
	}
	switch {
	case p.Size == 0:
		return Pinned{}, fmt.Errorf("%w: a witness begins with a genesis", ErrPinned)
	case c.Size > MaxEntries:
		return Pinned{}, fmt.Errorf("%w: %d entries", ErrTooLarge, c.Size)
	case c.Size < p.Size:
		return Pinned{}, fmt.Errorf("%w: size %d after %d", ErrRollback, c.Size, p.Size)
	case c.Size == p.Size && c.Root != p.Root:
		return Pinned{}, fmt.Errorf("%w: two roots at size %d", ErrFork, c.Size)
	case c.Size > p.Size && (len(proof) > maxProof || checkProof(proof, p.Size, p.Root, c.Size, c.Root) != nil):
		return Pinned{}, fmt.Errorf("%w: from size %d to %d", ErrProof, p.Size, c.Size)
	}
	return Pinned{c.Size, c.Root, bytes.Clone(checkpoint)}, nil
}

// CosignedAt is how fresh a pinned checkpoint is by this register's root; false
// where no witness is demanded, or its quorum is not there.
func (r *Register) CosignedAt(p Pinned, now time.Time) (time.Time, bool) {
	c, err := ParseCheckpoint(p.Note)
	if err != nil || c.Size != p.Size || c.Root != p.Root {
		return time.Time{}, false
	}
	at, err := c.CosignedAt(r.Authority(), now)
	return at, err == nil && !at.IsZero()
}

// Tolerance says what the quorum of a root withstands: how many dishonest
// witnesses cannot help a dishonest log to two registers that both reach it, and
// how many may be away. Two branches need 2×quorum cosignatures, of which the
// honest give one each. Below 0 dishonest, even honest witnesses that are told
// different things let two registers pass.
func (b Root) Tolerance() (dishonest, away int) {
	return 2*b.Quorum - len(b.Witnesses) - 1, len(b.Witnesses) - b.Quorum
}
