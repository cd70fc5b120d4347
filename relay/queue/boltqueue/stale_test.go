package boltqueue_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
	"schakel/relay/queue/queuetest"
)

var damageFor = flag.Duration("damage", 0, "how long to damage files, beyond the first rounds")

const damageRounds = 300 // of each file

// misled flips one bit of what leads to rows: the root of a bucket, or the number
// of a page in a branch. Such a bit may lead to an older page, sound in itself,
// that bbolt has not used again yet.
func misled(dir string, random *rand.Rand) error {
	file, err := os.OpenFile(filepath.Join(dir, "queue.db"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	raw := make([]byte, 2<<20) // what the suite fills is less
	if _, err := file.ReadAt(raw, 0); err != nil {
		return err
	}
	numbers := pageNumbers(raw)
	if len(numbers) == 0 {
		return errors.New("no pages in the file")
	}
	bit := random.IntN(10) // the pages of the suite's file have numbers below 1024
	at := numbers[random.IntN(len(numbers))] + bit/8
	_, err = file.WriteAt([]byte{raw[at] ^ 1<<(bit%8)}, int64(at))
	return err
}

// pageNumbers is where numbers of pages stand in raw, also in pages that are not in
// use any more: what is flipped there is the same to everybody.
func pageNumbers(raw []byte) (places []int) {
	const pageSize, header, element, branch, leaf, bucket = 4096, 16, 16, 1, 2, 1
	n := binary.NativeEndian
	for page := 2 * pageSize; page+pageSize <= len(raw); page += pageSize {
		kind, count := n.Uint16(raw[page+8:]), int(n.Uint16(raw[page+10:]))
		if n.Uint64(raw[page:]) != uint64(page/pageSize) || count > (pageSize-header)/element {
			continue // empty, or the middle of a record
		}
		for at := page + header; at < page+header+count*element; at += element {
			switch {
			case kind == branch:
				places = append(places, at+8)
			case kind == leaf && n.Uint32(raw[at:]) == bucket:
				places = append(places, at+int(n.Uint32(raw[at+4:])+n.Uint32(raw[at+8:])))
			}
		}
	}
	return places
}

func openUntallied(dir string, quota queue.Quota) (queue.Store, error) {
	store, err := boltqueue.Open(boltqueue.Untallied(config(dir, quota)))
	if err != nil {
		return nil, err
	}
	return store, nil
}

// TestStaleBranches flips bits where they lead to rows, and, asked for with
// -damage, bits anywhere as well, in ever new files.
func TestStaleBranches(t *testing.T) {
	dir, seed, rounds := t.ArtifactDir(), *seed, 0
	for began, pass := time.Now(), uint64(0); pass == 0 || time.Since(began) < *damageFor; pass++ {
		backend := queuetest.Backend{Open: open, Damage: misled}
		if pass%2 == 1 {
			backend.Damage = hurt
		}
		if err := os.RemoveAll(filepath.Join(dir, "queue.db")); err != nil {
			t.Fatal(err)
		}
		found, err := queuetest.Damage(backend, dir, damageRounds, seed+pass)
		if err != nil {
			t.Fatalf("%v, after %d rounds", err, rounds)
		}
		rounds += damageRounds
		t.Logf("seed %d: %+v", seed+pass, found)
	}
	t.Logf("%d rounds", rounds)
}

// The control: who does not count loses rows without a word.
func TestStaleBranchesNoticesMissingTallies(t *testing.T) {
	backend := queuetest.Backend{Open: openUntallied, Damage: misled}
	for pass := range uint64(20) {
		if _, err := queuetest.Damage(backend, t.TempDir(), damageRounds, *seed+pass); err != nil {
			t.Log(err)
			return
		}
	}
	t.Error("no bit led to an older page: the test is blind")
}
