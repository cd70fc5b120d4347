package redisqueue

import (
	"crypto/sha256"
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
		c.args = append(c.args, "T", string(op.Desk), op.ID[:], sum[:])
	case *queue.Notice:
		record := queue.Record{
			Kind: queue.KindNotice, Notice: op.Kind, ID: op.ID, Created: op.Created,
			Expires: op.Created + queue.NoticeLife, Targets: []identity.DeviceID{op.Device},
		}
		c.args = append(c.args, "N", string(op.Desk), op.Device[:], op.ID[:], record.Expires, encode(op.Desk, &record))
	}
}

func (c *call) addPut(op *queue.Put) {
	record := queue.Record{
		Kind: queue.KindEnvelope, Tier: op.Tier, ID: op.ID, Created: op.Created, Expires: op.Expires,
		Sealer: op.Sealer, SealerDesk: op.SealerDesk, Targets: op.Targets, Envelope: op.Envelope,
	}
	targets := make([]byte, 0, 16*len(op.Targets))
	for i := range op.Targets {
		targets = append(targets, op.Targets[i][:]...)
	}
	org := op.SealerDesk.Org()
	sum := c.orgs[org]
	c.orgs[org] = use{sum.records + 1, sum.bytes + int64(len(op.Envelope))}
	c.args = append(c.args, "P", string(op.Desk), op.ID[:], said(op), string(org), len(op.Envelope), targets, encode(op.Desk, &record))
}

// encode writes position 0: the server gives the position after the checksum is made.
func encode(desk identity.DeskID, r *queue.Record) []byte {
	return queue.AppendRecord(make([]byte, 0, queue.RecordSize(desk, r)), desk, r)
}

// What a put said of its envelope, as the rows of ids keep it; operations.lua counts
// on these places:
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

func said(op *queue.Put) []byte {
	b := make([]byte, 0, saidSize+len(op.SealerDesk))
	b = append(append(append(b, op.Digest[:]...), op.Salt[:]...), op.Sealer[:]...)
	b = fmt.Appendf(append(b, '0'+byte(op.Tier)), "%014x%014x", op.Expires, op.Created)
	hash, has := make([]byte, 32), byte('0')
	if len(op.AttendedHash) == 32 {
		hash, has = op.AttendedHash, '1'
	}
	return append(append(append(b, has), hash...), op.SealerDesk...)
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

func hexPosition(p queue.Position) string { return fmt.Sprintf("%014x", uint64(p)) }
