package lossy_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/queuetest"
	"schakel/relay/queue/queuetest/lossy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestStore: what simulations run on keeps the contract of every store.
func TestStore(t *testing.T) {
	disks := make(map[string]*lossy.Disk)
	queuetest.Run(t, queuetest.Backend{Open: func(dir string, quota queue.Quota) (queue.Store, error) {
		if disks[dir] == nil {
			disks[dir] = lossy.NewDisk([16]byte{1})
		}
		return disks[dir].Open(quota), nil
	}})
}

func put(n byte) *queue.Put {
	return &queue.Put{
		ID: envelope.ID{n}, Desk: "pol-mn/zeden", Targets: []identity.DeviceID{{1}}, Sealer: identity.DeviceID{2}, SealerDesk: "vt20/crisis",
		Created: 1, Expires: 100, Digest: [32]byte{n}, Salt: [16]byte{n}, Envelope: []byte{n},
	}
}

// held is how many envelopes a store has.
func held(t *testing.T, s queue.Store) int {
	t.Helper()
	page, err := s.Read(t.Context(), "pol-mn/zeden", 0, queue.Limit{Records: 100, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Records)
}

// TestCut: what was answered for is there after a power cut, what was being written may
// be, and a store that answers early has lost what it answered for.
func TestCut(t *testing.T) {
	for name, c := range map[string]struct {
		late         int
		keep, stayed int
	}{"honest": {stayed: 2}, "of what was being written": {keep: 1, stayed: 3}, "late": {late: 2, stayed: 0}, "late, and the next sync": {late: 1, stayed: 1}} {
		t.Run(name, func(t *testing.T) {
			disk := lossy.NewDisk([16]byte{1})
			disk.Late = c.late
			store := disk.Open(queue.Quota{})
			for n := range byte(2) {
				if r, err := store.Commit(t.Context(), []queue.Op{put(n + 1)}); err != nil || r[0].Err != nil {
					t.Fatal(r, err)
				}
			}
			disk.Sync = func() { disk.Cut(c.keep) }
			if c.late > 0 {
				disk.Cut(0)
			}
			if _, err := store.Commit(t.Context(), []queue.Op{put(3), put(4)}); !errors.Is(err, queue.ErrIndeterminate) {
				t.Errorf("a commit in a power cut: %v", err)
			}
			if _, err := store.Commit(t.Context(), []queue.Op{put(5)}); !errors.Is(err, queue.ErrIndeterminate) {
				t.Errorf("a commit after it: %v", err)
			}
			if n := held(t, disk.Open(queue.Quota{})); n != c.stayed {
				t.Errorf("%d envelopes after the cut, want %d", n, c.stayed)
			}
		})
	}
}

// TestTroubles: each is answered by its own error, and leaves what the error says.
func TestTroubles(t *testing.T) {
	for name, c := range map[string]struct {
		trouble lossy.Trouble
		fickle  bool
		refused error // of the op
		failed  error // of the commit
		stayed  int
	}{
		"away":                       {trouble: lossy.Trouble{Away: true}, failed: queue.ErrUnavailable, stayed: 1},
		"full":                       {trouble: lossy.Trouble{Full: true}, refused: queue.ErrFullDisk, stayed: 1},
		"unconfirmed, and it is":     {trouble: lossy.Trouble{Unconfirmed: true}, fickle: true, refused: queue.ErrUnconfirmed, stayed: 2},
		"unconfirmed, and it is not": {trouble: lossy.Trouble{Unconfirmed: true}, refused: queue.ErrUnconfirmed, stayed: 1},
		"broken":                     {trouble: lossy.Trouble{Broken: true}, failed: queue.ErrIndeterminate, stayed: 1},
	} {
		t.Run(name, func(t *testing.T) {
			disk := lossy.NewDisk([16]byte{1})
			disk.Fickle = func() bool { return c.fickle }
			store := disk.Open(queue.Quota{})
			if r, err := store.Commit(t.Context(), []queue.Op{put(1)}); err != nil || r[0].Err != nil {
				t.Fatal(r, err)
			}
			disk.Suffer(c.trouble)
			results, err := store.Commit(t.Context(), []queue.Op{put(2)})
			if !errors.Is(err, c.failed) {
				t.Errorf("the commit: %v, want %v", err, c.failed)
			}
			if err == nil && !errors.Is(results[0].Err, c.refused) {
				t.Errorf("the put: %v, want %v", results[0].Err, c.refused)
			}
			disk.Suffer(lossy.Trouble{})
			disk.Cut(0)
			if n := held(t, disk.Open(queue.Quota{})); n != c.stayed {
				t.Errorf("%d envelopes, want %d", n, c.stayed)
			}
		})
	}
}
