package queue_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
)

func openWith(t *testing.T, config queue.CommitterConfig) (queue.Store, *queue.Committer) {
	t.Helper()
	store, err := boltqueue.Open(boltqueue.Config{Path: t.TempDir() + "/queue.db", MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	c := queue.NewCommitter(store, config)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, store.Close()); err != nil {
			t.Error(err)
		}
	})
	return store, c
}

// What a committer has in memory is what its store says, whatever was put, told,
// acknowledged, expired or pushed out in between; and most of it is from memory.
func TestRecentIsWhatTheStoreSays(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	store, c := openWith(t, queue.CommitterConfig{RecentBytes: 20_000})
	ctx, device := context.Background(), identity.DeviceID{1}
	last := make(map[identity.DeskID]queue.Position)
	fromMemory, now := 0, uint64(1000)
	for i := range 800 {
		desk := identity.DeskID(fmt.Sprintf("org-%d/desk", r.IntN(3)))
		var op queue.Op
		switch r.IntN(40) {
		case 0:
			op = &queue.Notice{Desk: desk, Device: device, Kind: queue.NoticeExpired, ID: envelope.ID{2, byte(i)}, Created: now}
		case 1:
			now++
			op = &queue.Expire{Now: now, Max: 100}
		case 2:
			op = &queue.Ack{Desk: desk, Device: device, Position: last[desk] / 2}
		default:
			op = putOf(desk, device, now+1+uint64(r.IntN(30)), r.IntN(2000)+1, i)
		}
		result, err := c.Do(ctx, op)
		if err != nil || result.Err != nil {
			t.Fatal(err, result.Err)
		}
		last[desk] = max(last[desk], result.Position)
		after := last[desk] - min(last[desk], queue.Position(r.IntN(12)))
		limit := queue.Limit{Records: 1 + r.IntN(8), Bytes: 1 + r.IntN(8000)}
		want, err := store.Read(ctx, desk, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := c.Recent(desk, after, limit)
		if !ok {
			continue
		}
		fromMemory++
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("step %d, %s after %d within %+v:\n%+v\nthe store says\n%+v", i, desk, after, limit, brief(got), brief(want))
		}
	}
	if fromMemory < 100 {
		t.Errorf("only %d of 800 pages were in memory", fromMemory)
	}
}

func putOf(desk identity.DeskID, device identity.DeviceID, expires uint64, size, number int) *queue.Put {
	raw := make([]byte, size)
	return &queue.Put{
		ID: envelope.ID{1, byte(number >> 8), byte(number)}, Desk: desk, Targets: []identity.DeviceID{device, {3}}, Sealer: identity.DeviceID{2},
		SealerDesk: "org-9/desk", Created: 1000, Expires: expires, Envelope: raw,
	}
}

// brief leaves out the bytes.
func brief(p queue.Page) string {
	out := ""
	for _, r := range p.Records {
		out += fmt.Sprintf(" %d(%d bytes)", r.Position, len(r.Envelope))
	}
	return fmt.Sprintf("%s next %d more %v", out, p.Next, p.More)
}

// Another relay wrote to the same desk: what it wrote is not skipped.
func TestRecentHasNoGaps(t *testing.T) {
	t.Parallel()
	store, c := openWith(t, queue.CommitterConfig{})
	ctx, device := context.Background(), identity.DeviceID{1}
	for i := range 3 {
		if _, err := c.Do(ctx, putOf("org/desk", device, 5000, 10, i)); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // behind the committer's back
			if _, err := store.Commit(ctx, []queue.Op{putOf("org/desk", device, 5000, 10, 100)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for after, want := range []int{-1, -1, 2, 1, -1} { // 1, the other's 2, and 3 and 4
		page, ok := c.Recent("org/desk", queue.Position(after), queue.Limit{Records: 10, Bytes: 1000})
		if ok != (want >= 0) || ok && (len(page.Records) != want || page.More) {
			t.Errorf("after %d: %v%s, want %d", after, ok, brief(page), want)
		}
	}
}

// The oldest goes first, and with a bound below zero nothing is kept.
func TestRecentIsBounded(t *testing.T) {
	t.Parallel()
	for bound, kept := range map[int]queue.Position{-1: 0, 100: 2, 0: 30} {
		_, c := openWith(t, queue.CommitterConfig{RecentBytes: bound})
		for i := range 30 {
			if _, err := c.Do(context.Background(), putOf("org/desk", identity.DeviceID{1}, 5000, 40, i)); err != nil {
				t.Fatal(err)
			}
		}
		for after := range queue.Position(31) {
			page, ok := c.Recent("org/desk", after, queue.Limit{Records: 1, Bytes: 100})
			if want := after < 30 && after >= 30-kept; ok != want || ok && (page.Next != after+1 || page.More != (after < 29)) {
				t.Errorf("bound %d, after %d: %v%s", bound, after, ok, brief(page))
			}
		}
	}
}
