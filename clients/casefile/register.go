package casefile

import (
	"errors"
	"fmt"
	"time"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// Standing says how somebody who signed stands in the register at its claimed size.
type Standing string

// The standings. What was signed before a revocation stays signed; whether the key was
// in other hands by then is for whoever weighs the evidence.
const (
	StandingActive    Standing = "actief"
	StandingRevoked   Standing = "ingetrokken"
	StandingSuspended Standing = "geschorst"
	StandingExpired   Standing = "verlopen" // valid when it signed, and no longer when the file was made
	StandingUnknown   Standing = "onbekend" // the register does not hold it
)

// Signer is who signed, and how it stands.
type Signer struct {
	ID       string   `json:"id"`
	Standing Standing `json:"standing"`
	Revoked  uint64   `json:"revoked,omitempty"` // index of the entry that revoked it
}

func standing(id fmt.Stringer, s trust.Standing, known, valid bool) Signer {
	out := Signer{ID: id.String(), Standing: StandingActive, Revoked: s.Revoked}
	switch {
	case !known:
		out.Standing = StandingUnknown
	case s.Revoked != 0:
		out.Standing = StandingRevoked
	case s.Suspended:
		out.Standing = StandingSuspended
	case !valid:
		out.Standing = StandingExpired
	}
	return out
}

func (r *reading) device(id identity.DeviceID) Signer {
	d, ok := r.register.Device(id)
	return standing(id, d.Standing, ok, d.ValidAt(r.manifest.Made))
}

func (r *reading) person(id identity.PersonID) Signer {
	p, ok := r.register.Person(id)
	return standing(id, p.Standing, ok, p.ValidAt(r.manifest.Made))
}

// Past is the register for what was said before: it does not become unsaid because its
// desk was closed or its person has left since.
type Past struct{ *trust.Register }

var _ protocol.Register = Past{}

// Party returns a desk as the root signed it.
func (p Past) Party(desk identity.DeskID) protocol.Party {
	state, ok := p.Desk(desk)
	if !ok {
		return protocol.Party{Desk: desk}
	}
	return protocol.Party{Desk: desk, Role: state.Role, Region: state.Region}
}

// Verify checks the signature of the sending device, and of the person where the
// message names one: both of the sending desk, the person valid when it was written.
func (p Past) Verify(s message.Signed) error {
	d, ok := p.Device(s.Message.Sender.Device)
	if !ok || d.Desk != s.Message.Sender.Desk {
		return fmt.Errorf("%w: device %s is not one of %s", identity.ErrBadSignature, s.Message.Sender.Device, s.Message.Sender.Desk)
	}
	if err := s.VerifyDevice(d.SignKey); err != nil {
		return fmt.Errorf("device %s: %w", d.ID, err)
	}
	if len(s.Message.Person) == 0 {
		return nil
	}
	who, ok := p.Person(identity.PersonID(s.Message.Person))
	if !ok || who.Desk != s.Message.Sender.Desk || !who.ValidAt(time.Unix(int64(s.Message.Created), 0)) {
		return fmt.Errorf("%w: person %s is not one of %s at that time", identity.ErrBadSignature, identity.PersonID(s.Message.Person), s.Message.Sender.Desk)
	}
	if err := s.VerifyPerson(who.Key); err != nil {
		return fmt.Errorf("person %s: %w", who.ID, err)
	}
	return nil
}

// entries are those of the register in the archive, as far as its files follow each other.
func (c contents) entries() (all [][]byte, err error) {
	for i := 1; ; i++ {
		piece, ok := c[fmt.Sprintf("%s%04d.txt", folderEntries, i)]
		if !ok {
			break
		}
		more, err := trust.ParseEntries(piece)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	if len(all) == 0 {
		return nil, errors.New("no entries")
	}
	return all, nil
}

// replay follows the register. told is the fingerprint that was compared by telephone;
// without one the register can only be followed from its own beginning, and the report
// says so.
func (c contents) replay(told string) (*trust.Register, string, error) {
	entries, err := c.entries()
	if err != nil {
		return nil, "", err
	}
	own := trust.GenesisFingerprint(entries[0])
	if told == "" {
		told = own
	}
	reg, err := trust.Replay(entries, told)
	return reg, own, err
}

// compareEntries holds the files of the register to the one way in which they are
// written: a remark in them could tell another fingerprint, and a file that nobody reads
// could say anything.
func (r *reading) compareEntries() {
	entries, err := r.entries()
	if err != nil {
		return // the register did not verify, which was said
	}
	written := contentsOf(registerFiles(entries))
	for _, name := range r.names(folderEntries) {
		if string(written[name]) != string(r.contents[name]) {
			r.fault(FaultContent, name, errors.New("not as the entries of a register are written"))
		}
	}
}

// checkpointed verifies that the log signed exactly this register.
func (c contents) checkpointed(reg *trust.Register) error {
	relay, ok := reg.Relay()
	if !ok {
		return errors.New("the register names no relay")
	}
	point, err := trust.ParseCheckpoint(c[nameCheckpoint])
	if err != nil {
		return err
	}
	if err := point.SignedBy(relay.Log); err != nil {
		return err
	}
	if point.Size != reg.Size() || point.Root != reg.Root() {
		return fmt.Errorf("signed over %d entries, here are %d, or others", point.Size, reg.Size())
	}
	return nil
}
