package queue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"testing"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

func sampleRecords() map[identity.DeskID]queue.Record {
	return map[identity.DeskID]queue.Record{
		"knooppunt/piket": {
			Position: 7, Kind: queue.KindEnvelope, Tier: envelope.TierAcute, ID: envelope.ID{1, 2},
			Created: 1_800_000_000, Expires: 1_800_003_600, Sealer: identity.DeviceID{3},
			SealerDesk: "vt20/crisis", Targets: []identity.DeviceID{{4}, {5}}, Envelope: []byte("sealed"),
		},
		"vt20/crisis": {
			Position: 1 << 52, Kind: queue.KindNotice, Notice: queue.NoticeExpired, ID: envelope.ID{9},
			Created: 1, Expires: 1 + queue.NoticeLife, Targets: []identity.DeviceID{{6}},
		},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for desk, want := range sampleRecords() {
		b := queue.AppendRecord([]byte("front"), desk, &want)[len("front"):]
		if len(b) != queue.RecordSize(desk, &want) {
			t.Errorf("%d bytes, RecordSize says %d", len(b), queue.RecordSize(desk, &want))
		}
		got, err := queue.ParseRecord(b, desk, want.Position)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("came back as %+v, %v", got, err)
		}
		if _, err := queue.ParseRecord(b, "raad/landelijk", want.Position); !errors.Is(err, queue.ErrRecord) {
			t.Errorf("in another mailbox: %v", err)
		}
		if _, err := queue.ParseRecord(b, desk, want.Position+1); !errors.Is(err, queue.ErrRecord) {
			t.Errorf("at another position: %v", err)
		}
	}
}

// TestRecordFlips flips every bit of small records, and random bits of large
// ones, and cuts them at every length. CRC-32C has distance 6 up to 655 bytes and
// finds any single flip at all lengths here.
func TestRecordFlips(t *testing.T) {
	refused := func(b []byte, desk identity.DeskID, p queue.Position) {
		t.Helper()
		if _, err := queue.ParseRecord(b, desk, p); !errors.Is(err, queue.ErrRecord) {
			t.Fatalf("damaged record gave %v", err)
		}
	}
	for desk, r := range sampleRecords() {
		b := queue.AppendRecord(nil, desk, &r)
		for bit := range 8 * len(b) {
			b[bit/8] ^= 1 << (bit % 8)
			refused(b, desk, r.Position)
			b[bit/8] ^= 1 << (bit % 8)
		}
		for n := range b {
			refused(b[:n], desk, r.Position)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	large := sampleRecords()["knooppunt/piket"]
	large.Envelope = bytes.Repeat([]byte("sealed"), 20_000)
	b := queue.AppendRecord(nil, "knooppunt/piket", &large)
	for range 5_000 {
		bit := random.IntN(8 * len(b))
		b[bit/8] ^= 1 << (bit % 8)
		refused(b, "knooppunt/piket", large.Position)
		b[bit/8] ^= 1 << (bit % 8)
	}
}

// FuzzRecord gives hostile bytes a right checksum: whatever then parses must be
// the one encoding of what it parsed to.
func FuzzRecord(f *testing.F) {
	for desk, r := range sampleRecords() {
		f.Add(queue.AppendRecord(nil, desk, &r), string(desk), uint64(r.Position))
	}
	f.Fuzz(func(t *testing.T, b []byte, desk string, position uint64) {
		if len(b) >= 4 {
			b = bytes.Clone(b)
			binary.BigEndian.PutUint32(b, crc32.Checksum(b[4:], crc32.MakeTable(crc32.Castagnoli)))
		}
		r, err := queue.ParseRecord(b, identity.DeskID(desk), queue.Position(position))
		if err != nil {
			if !errors.Is(err, queue.ErrRecord) {
				t.Fatalf("error of no type: %v", err)
			}
			return
		}
		if again := queue.AppendRecord(nil, identity.DeskID(desk), &r); !bytes.Equal(again, b) {
			t.Fatalf("second encoding of %+v", r)
		}
	})
}
