package boltqueue_test

import (
	"testing"

	"schakel/relay/queue"
)

// TestEndsOfTheDeleted opens a store again in which the newest record was delivered
// and deleted. Its end is still to come, at the same second as that of the next
// record, and neither may take the other's place.
func TestEndsOfTheDeleted(t *testing.T) {
	c := config(t.TempDir(), queue.Quota{})
	for n := range byte(4) {
		store := mustOpen(t, c)
		put := samplePut(n + 1)
		at := commit(t, store, put)[0].Position
		commit(t, store, &queue.Ack{Desk: put.Desk, Device: put.Targets[0], Position: at})
		store.Close()
	}
	store := mustOpen(t, c)
	if gone := commit(t, store, &queue.Expire{Now: samplePut(1).Expires, Max: 9})[0].Expired; len(gone) != 4 {
		t.Errorf("%d ends of 4 came: %+v", len(gone), gone)
	}
	for n := range byte(4) {
		if r := commit(t, store, samplePut(n+1))[0]; r.Duplicate {
			t.Errorf("envelope %d is known beyond its end", n+1)
		}
	}
}
