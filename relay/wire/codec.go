package wire

import (
	"encoding/binary"
	"fmt"

	"schakel/crypto/canon"
)

// Side is one end of a connection.
type Side uint8

// The sides.
const (
	SideDevice Side = 0
	SideRelay  Side = 1
)

// maxPayload is the limit of each type, checked before the payload is looked at;
// zero for a type that does not exist.
func maxPayload(t Type) int {
	switch t {
	case TypePut:
		return MaxFrame - 8
	case TypeDeliver:
		return MaxFrame
	case TypeAck:
		return 8
	case TypeLogin:
		return MaxToken + 16
	case TypeCredit, TypeFetch, TypeAdvanced, TypeGoAway, TypePlanIs, TypeTestPageIs:
		return 16
	case TypePlan:
		return MaxPlan
	case TypeWantPages:
		return 32
	case TypePagesAre:
		return MaxPages*pagedSize + 32
	case TypeCosigned:
		return MaxWitness + MaxCosignature + 32
	case TypeCosign:
		return MaxCheckpoint + MaxProof*34 + 32
	case TypeAttended, TypeChallenge, TypeReady, TypeRefused, TypeNotice, TypeAppended, TypeAttendedIs, TypeTestPage:
		return 128
	case TypeAppend:
		return MaxEntry + MaxRecipients*(MaxRecipient+8) + 32
	case TypeWantKeys:
		return MaxKeys*32 + 32
	case TypeStored:
		return storedFixed + MaxLeaves*(leafFixed+32*maxPath)
	case TypeRegister:
		return MaxFrame
	case TypeKeysAre:
		return MaxKeys*(MaxRecipient+8) + 32
	}
	return 0
}

// AppendFrame adds the encoding of f to b.
func AppendFrame(b []byte, f Frame) ([]byte, error) {
	start := len(b)
	b = append(b, byte(f.Type()), 0, 0, 0, 0)
	b, err := f.appendPayload(b)
	if err != nil {
		return nil, err
	}
	n := len(b) - start - frameHeader
	if n > maxPayload(f.Type()) {
		return nil, fmt.Errorf("%w: type %#02x of %d bytes, at most %d", ErrFrame, f.Type(), n, maxPayload(f.Type()))
	}
	binary.BigEndian.PutUint32(b[start+1:], uint32(n))
	return b, nil
}

// ParseFrames reads all frames of one WebSocket message sent by the given side. The
// byte slices of Put and Deliver point into msg.
func ParseFrames(msg []byte, from Side) ([]Frame, error) {
	if len(msg) == 0 {
		return nil, fmt.Errorf("%w: empty message", ErrFrame)
	}
	frames := make([]Frame, 0, min(8, 1+len(msg)/64))
	for len(msg) > 0 {
		if len(frames) == MaxFrames {
			return nil, fmt.Errorf("%w: more than %d in a message", ErrFrame, MaxFrames)
		}
		f, rest, err := parseOne(msg, from)
		if err != nil {
			return nil, err
		}
		frames, msg = append(frames, f), rest
	}
	return frames, nil
}

func parseOne(msg []byte, from Side) (Frame, []byte, error) {
	if len(msg) < frameHeader {
		return nil, nil, fmt.Errorf("%w: %d bytes left over", ErrFrame, len(msg))
	}
	t, n := Type(msg[0]), int64(binary.BigEndian.Uint32(msg[1:]))
	limit := maxPayload(t)
	switch {
	case limit == 0:
		return nil, nil, fmt.Errorf("%w: unknown type %#02x", ErrFrame, t)
	case t.FromRelay() != (from == SideRelay):
		return nil, nil, fmt.Errorf("%w: type %#02x from the wrong side", ErrFrame, t)
	case n > int64(limit):
		return nil, nil, fmt.Errorf("%w: type %#02x claims %d bytes, at most %d", ErrFrame, t, n, limit)
	case n > int64(len(msg)-frameHeader):
		return nil, nil, fmt.Errorf("%w: type %#02x claims %d bytes, message has %d", ErrFrame, t, n, len(msg)-frameHeader)
	}
	end := frameHeader + int(n)
	f, err := parsePayload(t, msg[frameHeader:end:end])
	return f, msg[end:], err
}

func parsePayload(t Type, p []byte) (Frame, error) {
	switch t {
	case TypePut:
		return Put{Envelope: p}, nil
	case TypePlan:
		return Plan{Plan: p}, nil
	case TypeAck:
		if len(p) != 8 {
			return nil, fmt.Errorf("%w: ack of %d bytes", ErrFrame, len(p))
		}
		return Ack{Position: binary.BigEndian.Uint64(p)}, nil
	case TypeDeliver:
		if len(p) < 8 {
			return nil, fmt.Errorf("%w: deliver of %d bytes", ErrFrame, len(p))
		}
		return Deliver{Position: binary.BigEndian.Uint64(p), Envelope: p[8:]}, nil
	case TypeStored:
		return parseStored(p)
	}
	if t.FromRelay() {
		return parseFromRelay(t, p)
	}
	return parseFromDevice(t, p)
}

func parseFromDevice(t Type, p []byte) (Frame, error) {
	switch t {
	case TypeLogin:
		return parseCBOR[Login](p)
	case TypeCredit:
		return parseCBOR[Credit](p)
	case TypeAttended:
		return parseCBOR[Attended](p)
	case TypeFetch:
		return parseCBOR[Fetch](p)
	case TypeAppend:
		return parseCBOR[Append](p)
	case TypeWantKeys:
		return parseCBOR[WantKeys](p)
	case TypeTestPage:
		return parseCBOR[TestPage](p)
	case TypeWantPages:
		return parseCBOR[WantPages](p)
	case TypeCosigned:
		return parseCBOR[Cosigned](p)
	}
	return nil, fmt.Errorf("%w: unknown type %#02x", ErrFrame, t)
}

func parseFromRelay(t Type, p []byte) (Frame, error) {
	switch t {
	case TypeChallenge:
		return parseCBOR[Challenge](p)
	case TypeReady:
		return parseCBOR[Ready](p)
	case TypeRefused:
		return parseCBOR[Refused](p)
	case TypeNotice:
		return parseCBOR[Notice](p)
	case TypeRegister:
		return parseCBOR[Register](p)
	case TypeAppended:
		return parseCBOR[Appended](p)
	case TypeKeysAre:
		return parseCBOR[KeysAre](p)
	case TypeAdvanced:
		return parseCBOR[Advanced](p)
	case TypeGoAway:
		return parseCBOR[GoAway](p)
	case TypeAttendedIs:
		return parseCBOR[AttendedIs](p)
	case TypePlanIs:
		return parseCBOR[PlanIs](p)
	case TypeTestPageIs:
		return parseCBOR[TestPageIs](p)
	case TypePagesAre:
		return parseCBOR[PagesAre](p)
	case TypeCosign:
		return parseCBOR[Cosign](p)
	}
	return nil, fmt.Errorf("%w: unknown type %#02x", ErrFrame, t)
}

// checker is a frame whose fields have limits beyond their encoding.
type checker interface{ check() error }

func parseCBOR[F Frame](p []byte) (Frame, error) {
	var f F
	if err := canon.Unmarshal(p, len(p), &f); err != nil {
		return nil, fmt.Errorf("%w: type %#02x: %w", ErrFrame, f.Type(), err)
	}
	if c, ok := Frame(f).(checker); ok {
		if err := c.check(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func appendCBOR(b []byte, f Frame) ([]byte, error) {
	if c, ok := f.(checker); ok {
		if err := c.check(); err != nil {
			return nil, err
		}
	}
	p, err := canon.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("%w: type %#02x: %w", ErrFrame, f.Type(), err)
	}
	return append(b, p...), nil
}

func (f Put) appendPayload(b []byte) ([]byte, error)  { return append(b, f.Envelope...), nil }
func (f Plan) appendPayload(b []byte) ([]byte, error) { return append(b, f.Plan...), nil }
func (f Ack) appendPayload(b []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(b, f.Position), nil
}
func (f Deliver) appendPayload(b []byte) ([]byte, error) {
	return append(binary.BigEndian.AppendUint64(b, f.Position), f.Envelope...), nil
}

func (f Login) appendPayload(b []byte) ([]byte, error)      { return appendCBOR(b, f) }
func (f Credit) appendPayload(b []byte) ([]byte, error)     { return appendCBOR(b, f) }
func (f Attended) appendPayload(b []byte) ([]byte, error)   { return appendCBOR(b, f) }
func (f Fetch) appendPayload(b []byte) ([]byte, error)      { return appendCBOR(b, f) }
func (f Append) appendPayload(b []byte) ([]byte, error)     { return appendCBOR(b, f) }
func (f WantKeys) appendPayload(b []byte) ([]byte, error)   { return appendCBOR(b, f) }
func (f Challenge) appendPayload(b []byte) ([]byte, error)  { return appendCBOR(b, f) }
func (f Ready) appendPayload(b []byte) ([]byte, error)      { return appendCBOR(b, f) }
func (f Refused) appendPayload(b []byte) ([]byte, error)    { return appendCBOR(b, f) }
func (f Notice) appendPayload(b []byte) ([]byte, error)     { return appendCBOR(b, f) }
func (f Register) appendPayload(b []byte) ([]byte, error)   { return appendCBOR(b, f) }
func (f Appended) appendPayload(b []byte) ([]byte, error)   { return appendCBOR(b, f) }
func (f KeysAre) appendPayload(b []byte) ([]byte, error)    { return appendCBOR(b, f) }
func (f Advanced) appendPayload(b []byte) ([]byte, error)   { return appendCBOR(b, f) }
func (f GoAway) appendPayload(b []byte) ([]byte, error)     { return appendCBOR(b, f) }
func (f AttendedIs) appendPayload(b []byte) ([]byte, error) { return appendCBOR(b, f) }
func (f TestPage) appendPayload(b []byte) ([]byte, error)   { return appendCBOR(b, f) }
func (f WantPages) appendPayload(b []byte) ([]byte, error)  { return appendCBOR(b, f) }
func (f PlanIs) appendPayload(b []byte) ([]byte, error)     { return appendCBOR(b, f) }
func (f TestPageIs) appendPayload(b []byte) ([]byte, error) { return appendCBOR(b, f) }
func (f PagesAre) appendPayload(b []byte) ([]byte, error)   { return appendCBOR(b, f) }
func (f Cosigned) appendPayload(b []byte) ([]byte, error)   { return appendCBOR(b, f) }
func (f Cosign) appendPayload(b []byte) ([]byte, error)     { return appendCBOR(b, f) }

func (f Login) check() error {
	if len(f.Token) == 0 || len(f.Token) > MaxToken {
		return tooMany("token bytes", len(f.Token), MaxToken)
	}
	return nil
}

func (f Append) check() error {
	if len(f.Entry) == 0 || len(f.Entry) > MaxEntry {
		return tooMany("entry bytes", len(f.Entry), MaxEntry)
	}
	return checkRecipients(f.Recipients, MaxRecipients)
}

func (f WantKeys) check() error {
	if len(f.Keys) > MaxKeys {
		return tooMany("keys", len(f.Keys), MaxKeys)
	}
	return nil
}

func (f Challenge) check() error {
	if len(f.Relay) == 0 || len(f.Relay) > MaxRelayID {
		return tooMany("characters of a relay id", len(f.Relay), MaxRelayID)
	}
	return nil
}

func (f Register) check() error {
	switch {
	case len(f.Checkpoint) > MaxCheckpoint:
		return tooMany("checkpoint bytes", len(f.Checkpoint), MaxCheckpoint)
	case len(f.Entries) > MaxEntries:
		return tooMany("entries", len(f.Entries), MaxEntries)
	case len(f.Proof) > MaxProof:
		return tooMany("hashes of proof", len(f.Proof), MaxProof)
	}
	for _, e := range f.Entries {
		if len(e) == 0 || len(e) > MaxEntry {
			return tooMany("entry bytes", len(e), MaxEntry)
		}
	}
	return nil
}

func (f Cosigned) check() error {
	switch {
	case len(f.Witness) == 0 || len(f.Witness) > MaxWitness:
		return tooMany("characters of a witness", len(f.Witness), MaxWitness)
	case len(f.Line) > MaxCosignature:
		return tooMany("bytes of a cosignature", len(f.Line), MaxCosignature)
	}
	return nil
}

func (f Cosign) check() error {
	switch {
	case len(f.Checkpoint) == 0 || len(f.Checkpoint) > MaxCheckpoint:
		return tooMany("checkpoint bytes", len(f.Checkpoint), MaxCheckpoint)
	case len(f.Proof) > MaxProof:
		return tooMany("hashes of proof", len(f.Proof), MaxProof)
	}
	return nil
}

func (f TestPage) check() error {
	if len(f.Contact) == 0 || len(f.Contact) > MaxContact {
		return tooMany("characters of a contact", len(f.Contact), MaxContact)
	}
	return nil
}

func (f PagesAre) check() error {
	if len(f.Pages) > MaxPages {
		return tooMany("pages", len(f.Pages), MaxPages)
	}
	for i := range f.Pages {
		p := &f.Pages[i]
		switch {
		case len(p.Contact) > MaxContact:
			return tooMany("characters of a contact", len(p.Contact), MaxContact)
		case len(p.Channel) > MaxChannel:
			return tooMany("characters of a channel", len(p.Channel), MaxChannel)
		case len(p.Reference) > MaxReference:
			return tooMany("characters of a reference", len(p.Reference), MaxReference)
		case len(p.Outcome) > MaxOutcome:
			return tooMany("characters of an outcome", len(p.Outcome), MaxOutcome)
		}
	}
	return nil
}

func (f KeysAre) check() error { return checkRecipients(f.Recipients, MaxKeys) }

func checkRecipients(rs []string, limit int) error {
	if len(rs) > limit {
		return tooMany("recipients", len(rs), limit)
	}
	for _, r := range rs {
		if len(r) > MaxRecipient {
			return tooMany("recipient characters", len(r), MaxRecipient)
		}
	}
	return nil
}

func tooMany(what string, got, limit int) error {
	return fmt.Errorf("%w: %d %s, at most %d", ErrFrame, got, what, limit)
}
