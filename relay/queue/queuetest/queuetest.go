// Package queuetest is the suite that every queue store must pass.
//
//	queuetest.Run(t, queuetest.Backend{Open: open, Damage: flipBits, Process: helper})
//
// Each check returns an error that says which promise of [queue.Store] was not
// kept, so that a backend's tests can also run the checks against stores that are
// broken on purpose and see them noticed.
package queuetest

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"

	"schakel/relay/queue"
)

// Backend is a store under test.
type Backend struct {
	// Open opens the store in dir, or makes it there.
	Open func(dir string, quota queue.Quota) (queue.Store, error)
	// Damage changes bytes of the closed store in dir, as random says: a flipped
	// bit, a lost page. Nil leaves out the check.
	Damage func(dir string, random *rand.Rand) error
	// Seed is of what is random in the damage.
	Seed uint64
	// Process returns a command that opens the store in dir with the default quota
	// and calls [ServeCrash] with it. Nil leaves out the check.
	Process func(dir string) *exec.Cmd
	// Kill is how Crash ends a process; nil kills it. A store that is a server of its
	// own may kill that one instead.
	Kill func(dir string, process *exec.Cmd)
}

// Check is one promise.
type Check struct {
	Name string
	run  func(w *world)
}

// Checks returns all promises that need no more than Backend.Open.
func Checks() []Check {
	return []Check{
		{"idempotence", checkIdempotence},
		{"idempotence after delivery", checkIdempotenceAfterDelivery},
		{"conflict", checkConflict},
		{"order", checkOrder},
		{"pages", checkPages},
		{"isolation", checkIsolation},
		{"cursors", checkCursors},
		{"cursors of many desks", checkManyDesks},
		{"deletion by all devices", checkDeletion},
		{"deletion within a mailbox", checkDeletionWithin},
		{"dropped devices", checkDropDevice},
		{"dropped before anyone read", checkDroppedUnread},
		{"long backlog", checkLongBacklog},
		{"quota of a desk", checkDeskQuota},
		{"quota of an organisation", checkSealerQuota},
		{"expiry", checkExpiry},
		{"expiry in slices", checkExpirySlices},
		{"expiry and the clock", checkExpiryClock},
		{"notices", checkNotices},
		{"attend", checkAttend},
		{"waiting", checkWaiting},
		{"epoch", checkEpoch},
		{"bounds", checkBounds},
		{"quarantine of sound records", checkSound},
		{"closed", checkClosed},
		{"concurrency", checkConcurrency},
		{"linearizability", checkLinearizability},
	}
}

// Run runs every check, a state machine against a reference model and, where the
// backend allows, damage and crashes.
func Run(t *testing.T, b Backend) {
	for _, check := range Checks() {
		t.Run(check.Name, func(t *testing.T) {
			if err := check.Run(b, t.TempDir()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("model", func(t *testing.T) { checkModel(t, b) })
	if b.Damage != nil {
		t.Run("damage", func(t *testing.T) {
			dir := t.ArtifactDir() // stays with -artifacts
			found, err := Damage(b, dir, damageRounds, b.Seed)
			t.Logf("seed %d: %+v", b.Seed, found)
			if err != nil {
				t.Error(err)
			}
		})
	}
	if b.Process != nil {
		t.Run("crash", func(t *testing.T) {
			if err := Crash(b, t.TempDir(), 12); err != nil {
				t.Error(err)
			}
		})
	}
}

// Run makes a store in dir and returns an error when it breaks the promise.
func (c Check) Run(b Backend, dir string) (err error) {
	w := &world{backend: b, dir: dir}
	defer func() {
		if r := recover(); r != nil {
			broken, ok := r.(broken)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%s: %w", c.Name, broken.error)
		}
		if w.store != nil {
			w.store.Close()
		}
	}()
	w.open()
	c.run(w)
	return nil
}
