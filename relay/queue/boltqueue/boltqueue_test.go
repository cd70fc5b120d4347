package boltqueue_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
	"schakel/relay/queue/queuetest"
)

// The environment variables by which a test starts this binary again as a process
// that holds a store, to be killed.
const (
	crashDirectory = "SCHAKEL_TEST_QUEUE_DIRECTORY"
	crashStore     = "SCHAKEL_TEST_QUEUE_STORE"
)

var cuts = flag.Int("cuts", 5, "how often the power is cut; above 50, every call of the disk fails once")

var seed = flag.Uint64("seed", 1, "of power cuts and damage")

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirectory); dir != "" {
		os.Exit(serveCrash(dir, os.Getenv(crashStore)))
	}
	goleak.VerifyTestMain(m)
}

func serveCrash(dir, kind string) int {
	config := config(dir, queue.Quota{})
	if kind == "unsynced" {
		config = boltqueue.Unsynced(config)
	}
	opened, err := boltqueue.Open(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var store queue.Store = opened
	if kind == "early" {
		store = &early{Store: store}
	}
	err = queuetest.ServeCrash(store, os.Stdin, os.Stdout)
	fmt.Fprintln(os.Stderr, err)
	if errors.Is(err, queue.ErrIndeterminate) {
		return queuetest.ExitIndeterminate
	}
	return 1
}

func config(dir string, quota queue.Quota) boltqueue.Config {
	return boltqueue.Config{Path: filepath.Join(dir, "queue.db"), Quota: quota, MinFree: 1 << 20}
}

func open(dir string, quota queue.Quota) (queue.Store, error) {
	store, err := boltqueue.Open(config(dir, quota))
	if err != nil {
		return nil, err // a nil *Store would not be a nil queue.Store
	}
	return store, nil
}

func process(kind string) func(dir string) *exec.Cmd {
	return func(dir string) *exec.Cmd {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), crashDirectory+"="+dir, crashStore+"="+kind)
		return command
	}
}

// hurt damages the part of the file that was written: mostly it flips one bit,
// sometimes it loses a page or the end.
func hurt(dir string, random *rand.Rand) error {
	file, err := os.OpenFile(filepath.Join(dir, "queue.db"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	const seekHole = 4
	used, err := file.Seek(0, seekHole)
	if err != nil {
		return err
	}
	at := random.Int64N(used)
	switch random.IntN(20) {
	case 0:
		_, err = file.WriteAt(make([]byte, 4096), at&^4095)
	case 1:
		err = file.Truncate(at)
	default:
		var b [1]byte
		if _, err := file.ReadAt(b[:], at); err != nil {
			return err
		}
		b[0] ^= 1 << random.IntN(8)
		_, err = file.WriteAt(b[:], at)
	}
	return err
}

func TestStore(t *testing.T) {
	queuetest.Run(t, queuetest.Backend{Open: open, Damage: hurt, Seed: *seed, Process: process("sound")})
}
