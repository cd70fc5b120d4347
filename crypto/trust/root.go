package trust

import (
	"fmt"
	"slices"
	"time"

	"schakel/crypto/identity"
)

// maxRootLife is 13 months, generously: a root that nobody renews must not rule
// forever.
const maxRootLife = 400 * 24 * time.Hour

// Root says who governs the register: Threshold of Keys together admit relays and
// organisations and give desks their roles. Only k of the old and k of the new
// root together can replace it, one version at a time.
type Root struct {
	Version   uint64
	Threshold int
	Keys      []identity.Key
	Witnesses []VKey // always-on cosigners of checkpoints
	Quorum    int    // how many of them a checkpoint needs; 0: none. See Advance and Tolerance
	Agreement Hash   // of the catalogue and the lanes that the partners agreed on
	Issued    time.Time
	Expires   time.Time // at most 400 days after Issued
}

// Kind is KindRoot.
func (Root) Kind() Kind { return KindRoot }

// Subject is "root": a register has one.
func (Root) Subject() Subject { return "root" }

func (Root) signers() []string { return []string{asRoot} }

// Sign makes the entry. For a genesis the holders are those of the root itself;
// for a successor, k of the old and k of the new.
func (b Root) Sign(at Place, holders ...Signer) ([]byte, error) {
	b.Issued, b.Expires = seconds(b.Issued), seconds(b.Expires)
	return signEntry(b, at, byRoots(holders)...)
}

func (b Root) write(w *writer) {
	w.number("version", b.Version)
	w.number("threshold", uint64(b.Threshold))
	for _, k := range b.Keys {
		w.text("key", k.String())
	}
	for _, v := range b.Witnesses {
		w.text("witness", v.String())
	}
	w.number("quorum", uint64(b.Quorum))
	w.hash("agreement", b.Agreement)
	w.time("issued", b.Issued)
	w.time("expires", b.Expires)
}

func readRoot(r *reader) Root {
	return Root{
		Version:   r.number("version"),
		Threshold: int(min(r.number("threshold"), MaxHolders+1)),
		Keys:      takeAll(r, "key", MaxHolders, func() identity.Key { return r.key("key") }),
		Witnesses: takeAll(r, "witness", MaxWitnesses, func() VKey { return take(r, "witness", 160, ParseWitnessKey) }),
		Quorum:    int(min(r.number("quorum"), MaxWitnesses+1)),
		Agreement: r.hash("agreement"),
		Issued:    r.time("issued"),
		Expires:   r.time("expires"),
	}
}

func (b Root) check() error {
	switch {
	case b.Version == 0:
		return fmt.Errorf("%w: root version 0", ErrFormat)
	case b.Threshold < 1 || b.Threshold > len(b.Keys) || len(b.Keys) > MaxHolders:
		return fmt.Errorf("%w: threshold %d of %d keys", ErrFormat, b.Threshold, len(b.Keys))
	case b.Quorum < 0 || b.Quorum > len(b.Witnesses) || len(b.Witnesses) > MaxWitnesses:
		return fmt.Errorf("%w: quorum %d of %d witnesses", ErrFormat, b.Quorum, len(b.Witnesses))
	case !b.Issued.Before(b.Expires) || b.Expires.Sub(b.Issued) > maxRootLife:
		return fmt.Errorf("%w: a root lives at most %d days", ErrFormat, int(maxRootLife.Hours()/24))
	}
	keys := slices.Clone(b.Keys)
	for _, v := range b.Witnesses {
		keys = append(keys, v.Key)
	}
	return distinct(keys...)
}

// met reports whether enough distinct holders are among signed.
func (b Root) met(signed []identity.Key) bool { return len(b.among(signed)) >= b.Threshold }

// distinct refuses zero keys and one key in two roles (attack C19).
func distinct(keys ...identity.Key) error {
	for i, k := range keys {
		if k.IsZero() {
			return fmt.Errorf("%w: key missing", ErrFormat)
		}
		if slices.Contains(keys[:i], k) {
			return fmt.Errorf("%w: one key twice", ErrKeyReused)
		}
	}
	return nil
}
