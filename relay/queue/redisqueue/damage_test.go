package redisqueue_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"schakel/relay/queue"
	"schakel/relay/queue/queuetest"
	"schakel/relay/queue/redisqueue/redistest"
)

var damages = flag.Int("damages", 40, "how often a bit of the append-only file is flipped")

// served is a store whose server lives as long as it.
type served struct {
	queue.Store
	server *redistest.Server
}

func (s served) Close() error {
	err := s.Store.Close()
	s.server.Stop()
	return err
}

func openServed(dir string, _ queue.Quota) (queue.Store, error) {
	server, err := redistest.Start(dir)
	if errors.Is(err, redistest.ErrStart) {
		return nil, fmt.Errorf("%w: %w", queue.ErrDamaged, err)
	} else if err != nil {
		return nil, err
	}
	store, err := open(server.Config())
	if err != nil {
		server.Stop()
		return nil, err
	}
	return served{store, server}, nil
}

// openPatiently opens a store for what is offered again in hundreds, on a machine that may be
// too slow for them.
func openPatiently(dir string, quota queue.Quota) (queue.Store, error) {
	store, err := openServed(dir, quota)
	if err != nil {
		return nil, err
	}
	return patient{store}, nil
}

// flip flips a bit of the append-only file.
func flip(dir string, random *rand.Rand) error {
	file, err := redistest.LastFile(dir) // the functions stand in the base
	if err != nil {
		return err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	b[random.IntN(len(b))] ^= 1 << random.IntN(8)
	return os.WriteFile(file, b, 0o600)
}

// TestDamage flips bits in the append-only file. Redis itself checks nothing in it
// but its structure.
func TestDamage(t *testing.T) {
	t.Parallel() // it waits for the disk
	redistest.Need(t)
	found, err := queuetest.Damage(queuetest.Backend{Open: openServed, Damage: flip}, t.ArtifactDir(), *damages, *seed)
	t.Logf("seed %d: %+v", *seed, found)
	if err != nil {
		t.Error(err)
	}
	if found.Reported == 0 && found.Refused == 0 {
		t.Error("nothing was damaged: the test is blind")
	}
}

// TestOfferedAgainAfterLoss takes an envelope out of its stream, as a flipped bit in
// the name of one does. What is still known of its id must not answer for it when it
// is offered again; for one that was delivered it must.
func TestOfferedAgainAfterLoss(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	store := mustOpen(t, server.Config())
	delivered, gone := put(1), put(2)
	gone.Tier, gone.AttendedHash = 3, make([]byte, 32)
	at := commit(t, store, delivered)[0].Position
	commit(t, store, &queue.Ack{Desk: desk, Device: delivered.Targets[0], Position: at}, gone)
	for _, name := range []string{"*mail:" + string(desk), "*:waiting"} {
		for _, key := range root.Keys(t.Context(), name).Val() {
			if err := root.Del(t.Context(), key).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	results := commit(t, store, delivered, gone)
	if !results[0].Duplicate || results[1].Duplicate || results[1].Err != nil {
		t.Errorf("offered again: %+v", results)
	}
	if page := read(t, store); len(page.Records) != 1 || page.Records[0].ID != gone.ID {
		t.Errorf("then the mailbox has %+v", page)
	}
	if list, err := store.Waiting(t.Context(), queue.Ref{}, 9); err != nil || len(list) != 1 {
		t.Errorf("waiting are %+v, %v", list, err)
	}
}

// TestForeignEntries adds what an operator's hand might: it is reported, set aside,
// and blocks nobody.
func TestForeignEntries(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	store := mustOpen(t, server.Config())
	commit(t, store, put(1))
	key := root.Keys(t.Context(), "*mail:"+string(desk)).Val()[0]
	for range 3 {
		if err := root.Do(t.Context(), "xadd", key, "*", "poison", "x").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if r := commit(t, store, put(2))[0]; r.Err != nil {
		t.Fatal(r.Err)
	}
	var records, damaged int
	var after queue.Position
	for range 10 {
		page, err := store.Read(t.Context(), desk, after, queue.Limit{Records: 2, Bytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		records += len(page.Records)
		damaged += len(page.Damaged)
		for _, d := range page.Damaged {
			commit(t, store, &queue.Quarantine{Desk: desk, Position: d.Position, Now: 1000})
		}
		after = page.Next
	}
	if records != 2 || damaged == 0 || len(read(t, store).Damaged) != 0 {
		t.Errorf("%d records and %d damaged, and after quarantine %d", records, damaged, len(read(t, store).Damaged))
	}
}
