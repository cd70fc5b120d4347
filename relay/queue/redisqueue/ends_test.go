package redisqueue_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
)

// TestExpiryInParts lets what one call put expire a few at a time: each is told once,
// and nothing of it is left.
func TestExpiryInParts(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	store := mustOpen(t, server.Config())
	var puts []queue.Op
	for n := range 7 {
		p := put(n)
		p.Expires += uint64(n % 2)
		puts = append(puts, p)
	}
	commit(t, store, puts...)
	told := make(map[envelope.ID]int)
	for range 4 {
		for _, e := range commit(t, store, &queue.Expire{Now: 3000, Max: 2})[0].Expired {
			told[e.ID]++
			if e.Delivered || e.SealerDesk != "knooppunt/piket" {
				t.Errorf("expired as %+v", e)
			}
		}
	}
	for _, op := range puts {
		if n := told[op.(*queue.Put).ID]; n != 1 {
			t.Errorf("%s was told %d times", op.(*queue.Put).ID, n)
		}
	}
	if page := read(t, store); len(page.Records) != 0 {
		t.Errorf("%d records are left", len(page.Records))
	}
	for _, key := range root.Keys(t.Context(), "*:ends").Val() {
		for _, row := range root.ZRange(t.Context(), key, 0, -1).Val() {
			if strings.Contains(row, string(desk)) {
				t.Errorf("%s still has %q", key, row)
			}
		}
	}
}

func line(position queue.Position, desk identity.DeskID, id byte) queue.Expired {
	return queue.Expired{Position: position, Ref: queue.Ref{Desk: desk, ID: envelope.ID{id, '\n', 0}}}
}

// TestDamagedLine loses no line but the damaged ones and the one after each.
func TestDamagedLine(t *testing.T) {
	var row []byte
	want := []queue.Expired{line(1, desk, 1), line(2, "knooppunt/piket", 2), line(3, desk, 3), line(4, desk, 4)}
	for i := range want {
		row = redisqueue.AppendLine(row, &want[i])
	}
	for at := range row {
		for bit := range 8 {
			damaged := bytes.Clone(row)
			damaged[at] ^= 1 << bit
			list, _ := redisqueue.ParseLines(string(damaged))
			kept := 0
			for _, e := range want {
				if slices.ContainsFunc(list, func(x queue.Expired) bool { return x.Ref == e.Ref && x.Position == e.Position }) {
					kept++
				}
			}
			if kept < len(want)-2 {
				t.Fatalf("bit %d of byte %d: only %d of %d lines are left", bit, at, kept, len(want))
			}
		}
	}
}

func FuzzLines(f *testing.F) {
	first := line(77, desk, 9)
	f.Add(string(redisqueue.AppendLine(redisqueue.AppendLine(nil, &first), &first)))
	f.Add("")
	f.Add("00000000000001a\x00\n")
	f.Fuzz(func(t *testing.T, row string) {
		list, damaged := redisqueue.ParseLines(row)
		var again []byte
		for i := range list {
			again = redisqueue.AppendLine(again, &list[i])
		}
		if damaged == 0 && !strings.EqualFold(string(again), row) {
			t.Errorf("%q became %q", row, again)
		}
		if second, damaged := redisqueue.ParseLines(string(again)); damaged != 0 || !slices.EqualFunc(list, second, same) {
			t.Errorf("%+v became %+v", list, second)
		}
	})
}

func same(x, y queue.Expired) bool { return x.Ref == y.Ref && x.Position == y.Position }

func FuzzEntry(f *testing.F) {
	r := queue.Record{
		Kind: queue.KindEnvelope, ID: envelope.ID{5}, Created: 1, Expires: 9, Sealer: identity.DeviceID{2},
		SealerDesk: "knooppunt/piket", Targets: []identity.DeviceID{{1}, {3}}, Envelope: []byte("sealed"),
	}
	f.Add(redisqueue.Encode(desk, &r))
	f.Add([]byte{})
	f.Add(make([]byte, 30))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, record, err := redisqueue.Decode(desk, b)
		if err == nil && !bytes.Equal(redisqueue.Encode(desk, &record), b) {
			t.Errorf("%x is accepted, and written as %x", b, redisqueue.Encode(desk, &record))
		}
	})
}
