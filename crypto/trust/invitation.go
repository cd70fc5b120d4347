package trust

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"schakel/crypto/identity"
)

// ErrInvitation is wrapped by every refusal of an invitation.
var ErrInvitation = errors.New("not a valid invitation")

const (
	invitationLine    = "schakel.example/invitation/v1"
	maxInvitation     = 512 << 10
	maxInvitedEntries = 64
)

// Invitation is the text file with which the root holders admit a desk: the
// register's genesis, and the entries that name the relay, the organisation and
// the desk. The operator of the relay cannot make one. Without the fingerprint of
// the genesis, told by telephone, it proves nothing: see CheckFingerprint.
type Invitation struct {
	Desk    identity.DeskID
	Entries [][]byte // the genesis first; complete chains, in the order of the log
	reg     *Register
	note    signedNote
}

// NewInvitation picks from entries, in the order of the log, what a partner needs
// in order to join with a desk. It fails where something is missing.
func NewInvitation(desk identity.DeskID, entries [][]byte) (Invitation, error) {
	want := []Subject{Root{}.Subject(), Org{ID: desk.Org()}.Subject(), Desk{ID: desk}.Subject()}
	i := Invitation{Desk: desk}
	for _, raw := range entries {
		e, err := ParseEntry(raw)
		if err != nil {
			continue // skipped by everyone; the replay in check has the last word
		}
		kind, _ := e.Body.Subject().split()
		if kind == KindRelay || slices.Contains(want, e.Body.Subject()) {
			i.Entries = append(i.Entries, raw)
		}
	}
	return i, i.check()
}

// Sign makes the file. k holders of the root in force must sign, if not all at
// once then with CosignInvitation.
func (i Invitation) Sign(holders ...Signer) ([]byte, error) {
	if err := i.check(); err != nil {
		return nil, err
	}
	i.note = signedNote{text: i.text()}
	return i.sign(holders)
}

// CosignInvitation adds the signatures of further holders.
func CosignInvitation(raw []byte, holders ...Signer) ([]byte, error) {
	i, err := readInvitation(raw)
	if err != nil {
		return nil, err
	}
	return i.sign(holders)
}

func (i Invitation) sign(holders []Signer) ([]byte, error) {
	n := signedNote{i.note.text, slices.Clone(i.note.sigs)}
	for _, h := range holders {
		if n.signedAlready(asRoot, h.Public()) {
			continue
		}
		if err := n.sign(asRoot, h); err != nil {
			return nil, err
		}
	}
	n.order([]string{asRoot})
	return n.format(), nil
}

// ParseInvitation accepts one spelling and verifies every signature inside and
// around it, up to the genesis.
func ParseInvitation(raw []byte) (Invitation, error) {
	i, err := readInvitation(raw)
	if err != nil {
		return Invitation{}, err
	}
	root := i.reg.Authority()
	got, err := i.note.signedBy(signers{asRoot: root.Keys})
	if err != nil || !root.met(got[asRoot]) {
		return Invitation{}, fmt.Errorf("%w: want %d holders of the root to sign it", ErrInvitation, root.Threshold)
	}
	return i, nil
}

func readInvitation(raw []byte) (Invitation, error) {
	n, err := parseNote(raw, maxInvitation)
	if err != nil {
		return Invitation{}, fmt.Errorf("%w: %w", ErrInvitation, err)
	}
	r := &reader{rest: n.text}
	r.literal(invitationLine)
	i := Invitation{note: n, Desk: take(r, "desk", maxName, identity.ParseDeskID)}
	i.Entries = takeAll(r, "entry", maxInvitedEntries, func() []byte { return r.bytes("entry", MaxEntry) })
	if r.err != nil {
		return Invitation{}, fmt.Errorf("%w: %v", ErrInvitation, r.err)
	}
	if i.text() != n.text || !n.ordered([]string{asRoot}) {
		return Invitation{}, fmt.Errorf("%w: another spelling", ErrInvitation)
	}
	return i, i.check()
}

func (i Invitation) text() string {
	var w writer
	w.b.WriteString(invitationLine + "\n")
	w.text("desk", string(i.Desk))
	for _, e := range i.Entries {
		w.text("entry", base64.StdEncoding.EncodeToString(e))
	}
	return w.b.String()
}

// check replays the entries: every one must count, and name a relay and the desk.
func (i *Invitation) check() error {
	if len(i.Entries) == 0 || len(i.Entries) > maxInvitedEntries {
		return fmt.Errorf("%w: %d entries, want 1 to %d", ErrInvitation, len(i.Entries), maxInvitedEntries)
	}
	reg, err := Replay(i.Entries, GenesisFingerprint(i.Entries[0]))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvitation, err)
	}
	if skipped := reg.Skipped(0); len(skipped) > 0 {
		return fmt.Errorf("%w: entry %d: %v", ErrInvitation, skipped[0].Index, skipped[0].Reason)
	}
	if _, ok := reg.Relay(); !ok {
		return fmt.Errorf("%w: it names no relay", ErrInvitation)
	}
	if d, ok := reg.Desk(i.Desk); !ok || !d.Active() {
		return fmt.Errorf("%w: desk %s is not admitted by it", ErrInvitation, i.Desk)
	}
	i.reg = reg
	return nil
}

// CheckFingerprint compares the genesis with the fingerprint that was told by
// telephone. There is no trust on first use: nothing may happen before this.
func (i Invitation) CheckFingerprint(told string) error {
	_, err := New(i.Genesis(), told)
	return err
}

// Genesis is the root entry that everything rests on.
func (i Invitation) Genesis() []byte { return i.Entries[0] }

// Register is the little register of the entries inside: it answers for the relay,
// the organisation and the desk, and has other indexes than the log.
func (i Invitation) Register() *Register { return i.reg }
