package boltqueue

import (
	"encoding/binary"
	"fmt"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// known is a row of ids: what a second put of the same envelope is answered by,
// what a token is compared with, and whom to tell when the record is damaged.
type known struct {
	position   queue.Position
	expires    uint64
	digest     [32]byte
	salt       [16]byte
	sealer     identity.DeviceID
	sealerDesk deskNumber
	tier       envelope.Tier
	attended   bool
	hash       []byte // 0 or 32 bytes
}

const knownSize = 8 + 8 + 32 + 16 + 16 + 4 + 1 + 1

func (k *known) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(k.position))
	b = binary.BigEndian.AppendUint64(b, k.expires)
	b = append(append(append(b, k.digest[:]...), k.salt[:]...), k.sealer[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(k.sealerDesk))
	return append(append(b, byte(k.tier), flag(k.attended)), k.hash...)
}

func parseKnown(key, value []byte) (known, error) {
	v, err := unseal(key, value, knownSize)
	if err != nil || (len(v) != knownSize && len(v) != knownSize+32) || v[85] > 1 {
		return known{}, fmt.Errorf("%w: id", errRow)
	}
	return known{
		position:   queue.Position(binary.BigEndian.Uint64(v)),
		expires:    binary.BigEndian.Uint64(v[8:]),
		digest:     [32]byte(v[16:48]),
		salt:       [16]byte(v[48:64]),
		sealer:     identity.DeviceID(v[64:80]),
		sealerDesk: deskNumber(binary.BigEndian.Uint32(v[80:])),
		tier:       envelope.Tier(v[84]),
		attended:   v[85] == 1,
		hash:       v[86:],
	}, nil
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

const cursorSize = 8 + 8 + 8 + 1

func (d *device) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(d.cursor))
	b = binary.BigEndian.AppendUint64(b, uint64(d.swept))
	b = binary.BigEndian.AppendUint64(b, uint64(d.until))
	return append(b, flag(d.dropped))
}

func parseCursor(key, value []byte) (device, error) {
	v, err := unseal(key, value, cursorSize)
	if err != nil || len(v) != cursorSize || v[24] > 1 {
		return device{}, fmt.Errorf("%w: cursor", errRow)
	}
	return device{
		cursor:  queue.Position(binary.BigEndian.Uint64(v)),
		swept:   queue.Position(binary.BigEndian.Uint64(v[8:])),
		until:   queue.Position(binary.BigEndian.Uint64(v[16:])),
		dropped: v[24] == 1,
	}, nil
}

// end is a row of ends.
type end struct {
	desk     deskNumber
	position queue.Position
	id       envelope.ID
}

const endSize = 4 + 8 + 16

func (e *end) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(e.desk))
	return append(binary.BigEndian.AppendUint64(b, uint64(e.position)), e.id[:]...)
}

func parseEnd(key, value []byte) (end, error) {
	v, err := unseal(key, value, endSize)
	if err != nil || len(v) != endSize {
		return end{}, fmt.Errorf("%w: end", errRow)
	}
	return end{
		desk:     deskNumber(binary.BigEndian.Uint32(v)),
		position: queue.Position(binary.BigEndian.Uint64(v[4:])),
		id:       envelope.ID(v[12:]),
	}, nil
}

// unattended is a row of waiting.
type unattended struct {
	tier             envelope.Tier
	created, expires uint64
	position         queue.Position
}

const unattendedSize = 1 + 8 + 8 + 8

func (u *unattended) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(append(b, byte(u.tier)), u.created)
	b = binary.BigEndian.AppendUint64(b, u.expires)
	return binary.BigEndian.AppendUint64(b, uint64(u.position))
}

func parseUnattended(key, value []byte) (unattended, error) {
	v, err := unseal(key, value, unattendedSize)
	if err != nil || len(v) != unattendedSize {
		return unattended{}, fmt.Errorf("%w: waiting", errRow)
	}
	return unattended{
		tier:     envelope.Tier(v[0]),
		created:  binary.BigEndian.Uint64(v[1:]),
		expires:  binary.BigEndian.Uint64(v[9:]),
		position: queue.Position(binary.BigEndian.Uint64(v[17:])),
	}, nil
}

// parseReserved reads the front of an unsealed row of desks.
func parseReserved(row []byte) queue.Position {
	return queue.Position(binary.BigEndian.Uint64(row))
}
