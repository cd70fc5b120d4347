//go:build linux

package boltqueue_test

import (
	"math/rand/v2"
	"os"
	"testing"

	"schakel/relay/queue/queuetest"
	"schakel/relay/queue/queuetest/disktest"
)

// powerCuts cuts the power of a disk on which a process keeps a store, each time
// from empty, and returns how often something that was answered was lost.
func powerCuts(t *testing.T, kind string, rounds int) (lost int) {
	t.Helper()
	disk := disktest.Ext4(t)
	t.Logf("seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 48))
	for n := range rounds {
		dir := disk.Path("queue")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		makeStore(t, dir)
		if err := disk.Sync(); err != nil {
			t.Fatal(err)
		}
		var after *disktest.Disk
		err := queuetest.PowerCut(queuetest.Backend{Open: open, Process: process(kind)}, dir, random, func(pid int) (_ string, err error) {
			if err = disktest.Freeze(pid); err != nil {
				return "", err
			}
			if after, err = disk.Cut(); err != nil {
				return "", err
			}
			return after.Path("queue"), nil
		})
		if after == nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Logf("cut %d: %v", n+1, err)
			lost++
		}
		after.Remove()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d power cuts lost something", lost, rounds)
	return lost
}

// Fault 47: what was answered is there after a power cut.
func TestPowerCut(t *testing.T) {
	if powerCuts(t, "sound", *cuts) > 0 {
		t.Error("the store lost what it had answered")
	}
}

// Fault 48, the control: without fsync, answered envelopes are gone.
func TestPowerCutNoticesUnsynced(t *testing.T) {
	if powerCuts(t, "unsynced", max(3, *cuts/10)) == 0 {
		t.Error("a store without fsync lost nothing: the test is blind")
	}
}
