package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// ErrRecord is wrapped by every refusal to parse a record.
var ErrRecord = errors.New("damaged record")

// Kind is what a record carries.
type Kind uint8

// The kinds of record. The values are permanent.
const (
	KindEnvelope Kind = 1
	KindNotice   Kind = 2
)

// Record is one entry of a mailbox. An envelope has Tier and Envelope, a notice
// has Notice and one target; a notice has no sealer.
type Record struct {
	Position   Position
	Kind       Kind
	Notice     NoticeKind
	Tier       envelope.Tier
	ID         envelope.ID
	Created    uint64
	Expires    uint64
	Sealer     identity.DeviceID
	SealerDesk identity.DeskID
	Targets    []identity.DeviceID
	Envelope   []byte
}

// The encoding of a record, the same in every store, big endian:
//
//	0   4    CRC-32C of everything behind it
//	4   1    1, the version
//	5   1    kind
//	6   1    tier, or the kind of notice
//	7   1    T, number of targets
//	8   8    position
//	16  8    created
//	24  8    expires
//	32  16   id
//	48  16   sealer
//	64  1+D  length and name of the desk whose mailbox this is
//	    1+S  length and name of the sealer's desk
//	    16T  targets
//	    rest envelope
//
// Desk and position stand inside, so that a record that some accident moved to
// another mailbox or place fails as surely as one with a flipped bit. A store
// whose server gives the positions encodes and parses with position 0, because
// the checksum is made before it is known; it then relies on the server's key.
const (
	recordVersion = 1
	recordFixed   = 64
	deviceSize    = 16
	maxDeskName   = 63
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// RecordSize returns the length of the encoding of r in the mailbox of desk.
func RecordSize(desk identity.DeskID, r *Record) int {
	return recordFixed + 2 + len(desk) + len(r.SealerDesk) + deviceSize*len(r.Targets) + len(r.Envelope)
}

// AppendRecord appends the encoding of r, which stands in the mailbox of desk,
// to b. It expects an r within the bounds of [Put] or [Notice].
func AppendRecord(b []byte, desk identity.DeskID, r *Record) []byte {
	start := len(b)
	detail := byte(r.Tier)
	if r.Kind == KindNotice {
		detail = byte(r.Notice)
	}
	b = append(b, 0, 0, 0, 0, recordVersion, byte(r.Kind), detail, byte(len(r.Targets)))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Position))
	b = binary.BigEndian.AppendUint64(b, r.Created)
	b = binary.BigEndian.AppendUint64(b, r.Expires)
	b = append(b, r.ID[:]...)
	b = append(b, r.Sealer[:]...)
	b = append(append(b, byte(len(desk))), desk...)
	b = append(append(b, byte(len(r.SealerDesk))), r.SealerDesk...)
	for i := range r.Targets {
		b = append(b, r.Targets[i][:]...)
	}
	b = append(b, r.Envelope...)
	binary.BigEndian.PutUint32(b[start:], crc32.Checksum(b[start+4:], castagnoli))
	return b
}

// ParseRecord checks that b is the one encoding of a record at position in the
// mailbox of desk, and returns it. Its Envelope points into b.
func ParseRecord(b []byte, desk identity.DeskID, position Position) (Record, error) {
	if len(b) < recordFixed+2 {
		return Record{}, fmt.Errorf("%w: %d bytes", ErrRecord, len(b))
	}
	if crc32.Checksum(b[4:], castagnoli) != binary.BigEndian.Uint32(b) {
		return Record{}, fmt.Errorf("%w: checksum", ErrRecord)
	}
	r, err := parseFixed(b)
	if err != nil {
		return Record{}, err
	}
	if r.Position != position {
		return Record{}, fmt.Errorf("%w: it belongs at another position", ErrRecord)
	}
	name, rest, ok := cutName(b[recordFixed:])
	if !ok || name != string(desk) {
		return Record{}, fmt.Errorf("%w: it belongs to another desk", ErrRecord)
	}
	err = parseVariable(&r, rest, int(b[7]))
	return r, err
}

// RecordPlace returns where a record says that it belongs, unchecked: a store that
// lost its key to it parses it with that.
func RecordPlace(b []byte) (identity.DeskID, Position, bool) {
	if len(b) < recordFixed {
		return "", 0, false
	}
	name, _, ok := cutName(b[recordFixed:])
	return identity.DeskID(name), Position(binary.BigEndian.Uint64(b[8:])), ok
}

func parseFixed(b []byte) (Record, error) {
	r := Record{
		Kind:     Kind(b[5]),
		Position: Position(binary.BigEndian.Uint64(b[8:])),
		Created:  binary.BigEndian.Uint64(b[16:]),
		Expires:  binary.BigEndian.Uint64(b[24:]),
		ID:       envelope.ID(b[32:48]),
		Sealer:   identity.DeviceID(b[48:64]),
	}
	switch {
	case b[4] != recordVersion:
		return r, fmt.Errorf("%w: version %d", ErrRecord, b[4])
	case r.Kind == KindEnvelope:
		r.Tier = envelope.Tier(b[6])
	case r.Kind == KindNotice:
		r.Notice = NoticeKind(b[6])
	default:
		return r, fmt.Errorf("%w: kind %d", ErrRecord, b[5])
	}
	return r, nil
}

func parseVariable(r *Record, b []byte, targets int) error {
	name, b, ok := cutName(b)
	if !ok || targets == 0 || targets > envelope.MaxTargets || len(b) < targets*deviceSize {
		return fmt.Errorf("%w: lengths", ErrRecord)
	}
	r.SealerDesk = identity.DeskID(name)
	r.Targets = make([]identity.DeviceID, targets)
	for i := range r.Targets {
		r.Targets[i] = identity.DeviceID(b[i*deviceSize:])
	}
	b = b[targets*deviceSize:]
	if (r.Kind == KindNotice) != (len(b) == 0) || len(b) > envelope.MaxSize {
		return fmt.Errorf("%w: %d bytes of envelope", ErrRecord, len(b))
	}
	if r.Kind == KindEnvelope {
		r.Envelope = b
	}
	return nil
}

func cutName(b []byte) (name string, rest []byte, ok bool) {
	if len(b) == 0 || b[0] > maxDeskName || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}
