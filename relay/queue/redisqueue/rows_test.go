package redisqueue_test

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"schakel/relay/queue"
)

// change replaces one row of a hash by what damage makes of it.
func change(t *testing.T, root *redis.Client, hash, field string, damage func(row []byte)) {
	t.Helper()
	for _, key := range root.Keys(t.Context(), "*:"+hash).Val() {
		if row, err := root.HGet(t.Context(), key, field).Bytes(); err == nil {
			damage(row)
			if err := root.HSet(t.Context(), key, field, row).Err(); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no row of %q in %s", field, hash)
}

// TestDamagedDesk flips every bit of the last position that the row of a desk has
// given. The next is made from the mailbox then. The control flips the bit in both
// copies, and is believed.
func TestDamagedDesk(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	store := mustOpen(t, server.Config())
	last := commit(t, store, put(1))[0].Position
	for bit := range 6 * 8 {
		change(t, root, "desks", string(desk), func(row []byte) { row[bit/8] ^= 1 << (bit % 8) })
		r := commit(t, store, put(2+bit))[0]
		if r.Err != nil || r.Position != last+1 {
			t.Fatalf("bit %d: position %d after %d, %v", bit, r.Position, last, r.Err)
		}
		last = r.Position
	}
	change(t, root, "desks", string(desk), func(row []byte) {
		second := (len(row)-len(desk))/2 + len(desk)
		row[4] ^= 1
		row[second+4] ^= 1
	})
	if r := commit(t, store, put(99))[0]; r.Position == last+1 {
		t.Error("a change in both copies was noticed, too: what notices it?")
	}
}

// TestDamagedKnowledge flips bits of what is known of an id: of the position, of the
// digest and of the seal. Its envelope is taken as new when it is offered again, and
// neither refused as another one nor answered for.
func TestDamagedKnowledge(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	store := mustOpen(t, server.Config())
	p := put(1)
	field := string(desk) + "\x00" + string(p.ID[:])
	commit(t, store, p)
	if r := commit(t, store, p)[0]; !r.Duplicate {
		t.Fatalf("offered again: %+v", r)
	}
	for _, at := range []int{0, 13, 14, 15, 29, 30, 37, 38, 69, 100, 140} {
		change(t, root, "ids", field, func(row []byte) { row[at] ^= 1 })
		if r := commit(t, store, p)[0]; r.Err != nil || r.Duplicate {
			t.Errorf("byte %d is damaged, offered again: %+v", at, r)
		}
	}
	other := put(1)
	other.Digest[0] ^= 1
	if r := commit(t, store, other)[0]; !errors.Is(r.Err, queue.ErrConflict) {
		t.Errorf("another envelope of this id: %+v", r)
	}
}
