// Package trust decides whom to believe: it replays the register, a small signed
// log of who belongs to the chain and with which keys.
//
// A register begins with a genesis root entry, whose fingerprint reaches every
// participant by telephone ([GenesisFingerprint], [New]). Every further entry is
// a signed note ([ParseEntry]) that the rules of its kind accept or skip
// ([Register.Check], [Register.Apply]). Clients follow the relay's log with
// [Advance], which refuses whatever does not continue what they already saw.
//
//	reg, err := trust.New(genesis, typedFingerprint)
//	pinned := reg.Pin()
//	next, pinned, err := trust.Advance(reg, pinned, update)
//	// store update.Entries and pinned durably, and only then use next
//
// To make an entry, fill its struct and sign it in its place:
//
//	entry, err := device.Sign(reg.Next(device.Subject()), orgKey, signKey, loginKey)
//
// The package is pure: it holds no secrets (keys sign behind [Signer]), reads no
// clock, and touches neither files nor network. A [Register] may be read by any
// number of goroutines; Apply changes it in place and needs it alone, so whoever
// serves readers while the register grows applies to a [Register.Clone] and
// publishes that.
//
// Where the root names witnesses and a quorum, a checkpoint counts only with that
// many cosignatures ([Checkpoint.CosignedAt]); a witness decides with
// [Pinned.Witness] whether it may give one. What follows from an old checkpoint, or
// from a partner who saw another register, is for clients to decide.
package trust

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"schakel/crypto/identity"
)

// Limits. They bound what a malicious log can make a client hold (attack C21).
const (
	MaxEntry       = 8 << 10   // bytes of one entry
	MaxEntries     = 1 << 20   // entries of a register
	MaxUpdateBytes = 256 << 20 // bytes of all entries of one update
	MaxHolders     = 16        // keys of a root
	MaxWitnesses   = 16
	MaxEpochs      = 16 // recipient hashes in one entry
)

// Reasons why an entry is skipped. Every one wraps ErrSkipped, so that a caller
// can ask the one question or the detailed one.
var (
	ErrSkipped      = errors.New("register entry not accepted")
	ErrFormat       = fmt.Errorf("%w: malformed", ErrSkipped)
	ErrUnknownKind  = fmt.Errorf("%w: unknown kind; a newer program may know it", ErrSkipped)
	ErrSequence     = fmt.Errorf("%w: not the next entry of its subject", ErrSkipped)
	ErrUnauthorised = fmt.Errorf("%w: not signed by who must sign it", ErrSkipped)
	ErrKeyReused    = fmt.Errorf("%w: key already stands for something else", ErrSkipped)
	ErrRevoked      = fmt.Errorf("%w: subject, or what it belongs to, is revoked or suspended", ErrSkipped)
	ErrRule         = fmt.Errorf("%w: against the rules of its kind", ErrSkipped)
)

// ErrUnknown is wrapped when an organisation, desk, device or person is not in
// the register.
var ErrUnknown = errors.New("not in the register")

// Hash is a SHA-256 hash: of an entry, or of a Merkle tree of entries (RFC 6962).
type Hash = [32]byte

// Signer signs with one Ed25519 key. Sign returns the 64 bytes of RFC 8032 over
// msg itself, not over a hash of it.
type Signer interface {
	Public() identity.Key
	Sign(msg []byte) ([]byte, error)
}

// EntryHash is the hash by which the next entry of a subject refers to entry, and
// the leaf hash of entry in the log (RFC 6962, 2.1): an entry has one identity.
func EntryHash(entry []byte) Hash { return Hash(tlog.RecordHash(entry)) }

// GenesisFingerprint turns a genesis root entry into the eight groups of five
// digits that partners compare by telephone.
func GenesisFingerprint(rootEntry []byte) string {
	return identity.Fingerprint("register genesis", rootEntry)
}
