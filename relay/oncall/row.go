package oncall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"schakel/relay/ladder"
	"schakel/relay/queue"
)

// ErrRow is a row of a timer that failed its checks.
var ErrRow = errors.New("damaged timer")

// timer is what is durable of an envelope that climbs: where it is on its ladder.
type timer struct {
	ladder.State
	// settled is how many rungs have answered: of those begun beyond them it is not
	// known whether their pages went out. Whoever finds them so after a restart or a
	// takeover pages again.
	settled int
}

// A row is, big endian:
//
//	0   4  CRC-32C of the rest and of the envelope's name
//	4   1  version
//	5   1  flags: 1 nobody was reached, 2 the sender was told
//	6   4  rungs begun
//	10  4  of those, settled
//	14  8  since, milliseconds of steady time
//	22  8  the latest rung began, 0 for none
const (
	rowSize    = 30
	rowVersion = 1
)

const (
	flagUnreached = 1 << iota
	flagAlarmed
	flagEnd
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// row encodes a timer. The name of the envelope is in the checksum, so that a row
// that went astray is damaged.
func (t timer) row(ref queue.Ref) []byte {
	b := make([]byte, rowSize)
	b[4] = rowVersion
	if t.Unreached {
		b[5] |= flagUnreached
	}
	if t.Alarmed {
		b[5] |= flagAlarmed
	}
	binary.BigEndian.PutUint32(b[6:], uint32(t.Rungs))
	binary.BigEndian.PutUint32(b[10:], uint32(t.settled))
	binary.BigEndian.PutUint64(b[14:], millis(t.Since))
	binary.BigEndian.PutUint64(b[22:], millis(t.Last))
	binary.BigEndian.PutUint32(b, sumOf(ref, b[4:]))
	return b
}

func sumOf(ref queue.Ref, rest []byte) uint32 {
	sum := crc32.Checksum([]byte(ref.Desk), castagnoli)
	sum = crc32.Update(sum, castagnoli, ref.ID[:])
	return crc32.Update(sum, castagnoli, rest)
}

// parseRow accepts the one encoding of a timer.
func parseRow(ref queue.Ref, b []byte) (timer, error) {
	if len(b) != rowSize || b[4] != rowVersion || b[5] >= flagEnd || binary.BigEndian.Uint32(b) != sumOf(ref, b[4:]) {
		return timer{}, fmt.Errorf("%w: %d bytes", ErrRow, len(b))
	}
	since, last := binary.BigEndian.Uint64(b[14:]), binary.BigEndian.Uint64(b[22:])
	t := timer{settled: int(binary.BigEndian.Uint32(b[10:])), State: ladder.State{
		Since: moment(since), Rungs: int(binary.BigEndian.Uint32(b[6:])), Last: moment(last),
		Unreached: b[5]&flagUnreached != 0, Alarmed: b[5]&flagAlarmed != 0,
	}}
	if since > queue.MaxTime*1000 || last > queue.MaxTime*1000 || t.settled > t.Rungs {
		return timer{}, fmt.Errorf("%w: numbers out of bounds", ErrRow)
	}
	return t, nil
}

// reopened returns the timer as it was before the rungs that did not settle. Those are
// due at once, each once.
func (t timer) reopened() timer {
	if t.settled < t.Rungs {
		t.Rungs, t.Last = t.settled, time.Time{}
	}
	return t
}

// millis counts as rows do; the zero time is 0.
func millis(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(0, t.UnixMilli()))
}

func moment(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}
