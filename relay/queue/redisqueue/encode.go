package redisqueue

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// call is what goes to one bucket in one batch.
type call struct {
	bucket int
	at     []int // which results its answers are
	args   []any // of its operations
	orgs   map[identity.OrgID]use
	desks  map[identity.DeskID]struct{} // whose mailboxes it may touch
	outcome
}

// of adds a desk whose mailbox the call may touch.
func (c *call) of(desk identity.DeskID) {
	if c.desks == nil {
		c.desks = make(map[identity.DeskID]struct{})
	}
	c.desks[desk] = struct{}{}
}

// calls groups operations by bucket, and settles those that are refused before
// anything is sent.
func (s *Store) calls(ops []queue.Op, results []queue.Result) []*call {
	var list []*call
	var byBucket [buckets]*call
	unsafe := s.unsafe.Load()
	for i, op := range ops {
		desk, err := checked(op)
		if _, isPut := op.(*queue.Put); isPut && err == nil && unsafe != nil {
			err = fmt.Errorf("%w: %s", queue.ErrUnsafe, *unsafe)
		}
		if err != nil {
			results[i].Err = err
			continue
		}
		bucket := bucketOf(desk)
		if byBucket[bucket] == nil {
			byBucket[bucket] = &call{bucket: bucket, orgs: make(map[identity.OrgID]use)}
			list = append(list, byBucket[bucket])
		}
		byBucket[bucket].of(desk)
		byBucket[bucket].add(i, op)
	}
	return list
}

func checked(op queue.Op) (identity.DeskID, error) {
	switch op := op.(type) {
	case *queue.Put:
		return op.Desk, op.Check()
	case *queue.Ack:
		return op.Desk, op.Check()
	case *queue.DropDevice:
		return op.Desk, op.Check()
	case *queue.Notice:
		return op.Desk, op.Check()
	case *queue.Attend: // every unknown envelope is ErrToken, also one of no desk
		return op.Desk, nil
	}
	return "", queue.ErrInvalid
}

func (c *call) add(i int, op queue.Op) {
	c.at = append(c.at, i)
	switch op := op.(type) {
	case *queue.Put:
		c.addPut(op)
	case *queue.Ack:
		c.args = append(c.args, "A", string(op.Desk), op.Device[:], uint64(op.Position))
	case *queue.DropDevice:
		c.args = append(c.args, "D", string(op.Desk), op.Device[:])
	case *queue.Attend:
		sum := sha256.Sum256(op.Token[:])
		c.args = append(c.args, "T", string(op.Desk), fieldOf(op.Desk, op.ID), sum[:])
	case *queue.Notice:
		record := queue.Record{
			Kind: queue.KindNotice, Notice: op.Kind, ID: op.ID, Created: op.Created,
			Expires: op.Created + queue.NoticeLife, Targets: []identity.DeviceID{op.Device},
		}
		c.args = append(c.args, "N", string(op.Desk), fieldOf(op.Desk, op.ID), record.Expires, encode(op.Desk, &record))
	}
}

func (c *call) addPut(op *queue.Put) {
	record := queue.Record{
		Kind: queue.KindEnvelope, Tier: op.Tier, ID: op.ID, Created: op.Created, Expires: op.Expires,
		Sealer: op.Sealer, SealerDesk: op.SealerDesk, Targets: op.Targets, Envelope: op.Envelope,
	}
	org := op.SealerDesk.Org()
	sum := c.orgs[org]
	c.orgs[org] = use{sum.records + 1, sum.bytes + int64(len(op.Envelope))}
	field := fieldOf(op.Desk, op.ID)
	c.args = append(c.args, "P", string(op.Desk), field, op.Expires, said(field, op), encode(op.Desk, &record))
}

// fieldOf names an id of a desk in ids, waiting and ends.
func fieldOf(desk identity.DeskID, id envelope.ID) string {
	return string(desk) + "\x00" + string(id[:])
}

// An entry of a mailbox is a slip, by which the functions count and delete, and the
// record, which they do not understand. The slip, of which [parseSlip] in
// mailbox.lua counts on these places:
//
//	0   4  size of the envelope
//	4   1  length of the sealer's organisation, 0 for a notice
//	5   1  number of targets
//	6  16  id
//	22     the organisation, the targets
const slipFixed = 22

func appendSlip(b []byte, r *queue.Record) []byte {
	org := r.SealerDesk.Org()
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Envelope)))
	b = append(append(b, byte(len(org)), byte(len(r.Targets))), r.ID[:]...)
	b = append(b, org...)
	for i := range r.Targets {
		b = append(b, r.Targets[i][:]...)
	}
	return b
}

// encode writes position 0: the server gives the position after the checksum is made.
func encode(desk identity.DeskID, r *queue.Record) []byte {
	slip := slipFixed + len(r.SealerDesk) + 16*len(r.Targets)
	b := make([]byte, 0, slip+queue.RecordSize(desk, r))
	return queue.AppendRecord(appendSlip(b, r), desk, r)
}

// decode verifies checksum, desk and slip. The id is that of the slip, and there
// also when the rest is damaged.
func decode(desk identity.DeskID, b []byte) (id envelope.ID, record queue.Record, err error) {
	if len(b) < slipFixed {
		return id, record, errForeign
	}
	id = envelope.ID(b[6:slipFixed])
	size := slipFixed + int(b[4]) + 16*int(b[5])
	if len(b) < size {
		return id, record, fmt.Errorf("%w: slip", queue.ErrRecord)
	}
	if record, err = queue.ParseRecord(b[size:], desk, 0); err != nil {
		return id, record, err
	}
	if !bytes.Equal(b[:size], appendSlip(nil, &record)) {
		return id, record, fmt.Errorf("%w: slip", queue.ErrRecord)
	}
	return id, record, nil
}

// What a put said of its envelope, as the rows of ids keep it behind a seal of
// eight digits; operations.lua counts on these places:
//
//	0    32  digest
//	32   16  salt
//	48   16  sealer
//	64   1   tier, a digit
//	65   14  expires, hexadecimal
//	79   14  created, hexadecimal
//	93   1   1 when there is an attended hash
//	94   32  attended hash, or zeros
//	126      the sealer's desk
const saidSize = 126

func said(field string, op *queue.Put) []byte {
	b := make([]byte, 0, len(field)+1+saidSize+len(op.SealerDesk))
	b = append(append(b, field...), 0)
	b = append(append(append(b, op.Digest[:]...), op.Salt[:]...), op.Sealer[:]...)
	b = appendHex(appendHex(append(b, '0'+byte(op.Tier)), op.Expires), op.Created)
	var hash [32]byte
	has := byte('0')
	if copy(hash[:], op.AttendedHash) == len(hash) {
		has = '1'
	}
	b = append(append(append(b, has), hash[:]...), op.SealerDesk...)
	return sealed(b, len(field)+1)
}

// sealed puts before the row, which stands behind the place and a zero, what unseal
// in mailbox.lua expects.
func sealed(b []byte, place int) []byte {
	sum := sha1.Sum(b)
	return append(hex.AppendEncode(make([]byte, 0, 8+len(b)-place), sum[:4]), b[place:]...)
}

// known is a row of ids that a function has verified: position, whether attended,
// and what the put said.
type known struct {
	position         queue.Position
	tier             envelope.Tier
	created, expires uint64
	sealer           identity.DeviceID
	sealerDesk       identity.DeskID
}

// parseSaid returns false for what is no row.
func parseSaid(b string) (known, bool) {
	if len(b) <= saidSize {
		return known{}, false
	}
	k := known{
		tier: envelope.Tier(b[64] - '0'), sealer: identity.DeviceID([]byte(b[48:64])),
		expires: unhex(b[65:79]), created: unhex(b[79:93]), sealerDesk: identity.DeskID(b[saidSize:]),
	}
	return k, k.tier <= envelope.TierAcute
}

// parseKnown is parseSaid with the position and the attended flag before it.
func parseKnown(b string) (known, bool) {
	if len(b) < 15 {
		return known{}, false
	}
	k, ok := parseSaid(b[15:])
	k.position = queue.Position(unhex(b[:14]))
	return k, ok
}

func unhex(digits string) uint64 {
	n, _ := strconv.ParseUint(digits, 16, 64)
	return n
}

// appendHex writes 14 digits, as many as a position or a time can have.
func appendHex(b []byte, n uint64) []byte {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], n)
	return hex.AppendEncode(b, raw[1:])
}

func hexPosition(p queue.Position) string { return string(appendHex(nil, uint64(p))) }
