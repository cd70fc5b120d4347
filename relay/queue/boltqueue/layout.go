package boltqueue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// The file has one bucket per kind of row. Numbers are big endian, so that the
// order of keys is the order of time; every value below ends with a CRC-32C over
// its key and what stands before it, except in log, whose records carry their own.
//
//	format  -> formatText     exact
//	epoch   -> 16             the store's epoch
//	now     -> u64            the latest Expire
//	tallies -> 4 times u64, u64   the rows of log, ids, ends and waiting: how many, and the sum of their names
//	desks      desk u32                -> reserved u64, name
//	cursors    desk u32 | device 16    -> position, swept, until u64, dropped u8
//	moves      number u64              -> up to moveDevices times: desk u32, device 16, position
//	log        sequence u64 | desk u32 | position u64 | size u32 | sealer's desk u32 | kind u8 | CRC-32C
//	                                   -> record (queue.AppendRecord)
//	ids        id 16 | desk u32        -> position, expires u64, digest 32, salt 16, sealer 16, sealer's desk u32,
//	                                      tier u8, attended u8, hash 0|32
//	ends       expires u64 | sequence u64 -> desk u32, position u64, id 16
//	waiting    id 16 | desk u32        -> tier u8, created, expires, position u64
//	quarantine desk u32 | position u64 -> the damaged bytes
//
// Envelopes stand in log in the order of arrival, whoever they are for: a batch
// writes one run of pages, whether it is for ten desks or ten thousand. What
// turns the log into mailboxes is in memory, and is made from the keys of log at
// open. Identifiers are version 7 UUIDs, so ids, too, grows at one edge.
const formatText = "schakel queue 2\n"

var (
	bucketMeta       = []byte("meta")
	bucketDesks      = []byte("desks")
	bucketCursors    = []byte("cursors")
	bucketMoves      = []byte("moves")
	bucketLog        = []byte("log")
	bucketIDs        = []byte("ids")
	bucketEnds       = []byte("ends")
	bucketWaiting    = []byte("waiting")
	bucketQuarantine = []byte("quarantine")

	keyFormat  = []byte("format")
	keyEpoch   = []byte("epoch")
	keyNow     = []byte("now")
	keyTallies = []byte("tallies")
)

func allBuckets() [][]byte {
	return [][]byte{bucketMeta, bucketDesks, bucketCursors, bucketMoves, bucketLog, bucketIDs,
		bucketEnds, bucketWaiting, bucketQuarantine}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errRow is a row that fails its checksum or length.
var errRow = errors.New("damaged row")

const sumSize = 4

// seal appends the checksum of key and value to value.
func seal(key, value []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
	return binary.BigEndian.AppendUint32(value, sum)
}

// unseal checks a sealed value of at least size bytes and returns it without its checksum.
func unseal(key, value []byte, size int) ([]byte, error) {
	n := len(value) - sumSize
	if n < size {
		return nil, fmt.Errorf("%w: %d bytes", errRow, len(value))
	}
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value[:n])
	if sum != binary.BigEndian.Uint32(value[n:]) {
		return nil, fmt.Errorf("%w: checksum", errRow)
	}
	return value[:n], nil
}

type deskNumber uint32

func (n deskNumber) key() []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

const logKeySize = 8 + 4 + 8 + 4 + 4 + 1 + sumSize

// logKey is the place of an entry of d in log.
func logKey(n deskNumber, e *entry) []byte {
	k := binary.BigEndian.AppendUint64(make([]byte, 0, logKeySize), e.sequence)
	k = binary.BigEndian.AppendUint32(k, uint32(n))
	k = binary.BigEndian.AppendUint64(k, uint64(e.position))
	k = binary.BigEndian.AppendUint32(k, e.size)
	k = binary.BigEndian.AppendUint32(k, uint32(e.sealerDesk))
	return seal(nil, append(k, byte(e.kind)))
}

func parseLogKey(k []byte) (deskNumber, entry, error) {
	if len(k) != logKeySize {
		return 0, entry{}, errRow
	}
	e := entry{
		sequence:   binary.BigEndian.Uint64(k),
		position:   queue.Position(binary.BigEndian.Uint64(k[12:])),
		size:       binary.BigEndian.Uint32(k[20:]),
		sealerDesk: deskNumber(binary.BigEndian.Uint32(k[24:])),
		kind:       queue.Kind(k[28]),
	}
	_, err := unseal(nil, k, logKeySize-sumSize)
	return deskNumber(binary.BigEndian.Uint32(k[8:])), e, err
}

// asideKey is the place of a damaged record in quarantine.
func asideKey(n deskNumber, p queue.Position) []byte {
	return binary.BigEndian.AppendUint64(n.key(), uint64(p))
}

func cursorKey(n deskNumber, device identity.DeviceID) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 20), uint32(n)), device[:]...)
}

func idKey(id envelope.ID, n deskNumber) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 20), id[:]...), uint32(n))
}

func parseIDKey(k []byte) (envelope.ID, deskNumber, bool) {
	if len(k) != 20 {
		return envelope.ID{}, 0, false
	}
	return envelope.ID(k[:16]), deskNumber(binary.BigEndian.Uint32(k[16:])), true
}

// sequenceOf is that of the record whose end is at key.
func sequenceOf(key []byte) uint64 {
	if len(key) != 16 {
		return 0
	}
	return binary.BigEndian.Uint64(key[8:])
}

func endKey(expires, sequence uint64) []byte {
	k := binary.BigEndian.AppendUint64(make([]byte, 0, 16), expires)
	return binary.BigEndian.AppendUint64(k, sequence)
}
