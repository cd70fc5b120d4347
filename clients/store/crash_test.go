package store_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/delivery"
	"schakel/crypto/message"
)

const (
	childDir = "SCHAKEL_STORE_TEST_DIR"
	childKey = "SCHAKEL_STORE_TEST_KEY"
	kills    = 120
)

// TestCrash kills a process that writes, at random instants, and looks at what is
// left: every Update that returned is there, and nothing is half there.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	p := newPlace(t)
	if err := p.create(t).Close(); err != nil {
		t.Fatal(err)
	}
	var total uint64
	for range kills {
		confirmed := killedWriter(t, p, total)
		total = checkAfterCrash(t, p, max(confirmed, total))
	}
	t.Logf("%d transactions in %d killed processes", total, kills)
}

// killedWriter lets a child write until it is killed, and returns the last number
// that the child said was durable.
func killedWriter(t *testing.T, p place, before uint64) uint64 {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashWriter$")
	cmd.Env = append(os.Environ(), childDir+"="+p.dir, childKey+"="+p.ways[0].(vault.KeyFile).Path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	first, err := r.ReadString('\n')
	if err != nil || first != "ready\n" {
		rest, _ := io.ReadAll(r)
		t.Fatalf("writer did not start: %q %s %v", first, rest, err)
	}
	// A few transactions first, so that a slow machine makes progress too, and
	// then some part of the next ones.
	delay, steps := time.Duration(rand.IntN(3000))*time.Microsecond, rand.IntN(6)
	last := before
	for i := 0; ; i++ {
		if i == steps {
			defer time.AfterFunc(delay, func() { cmd.Process.Kill() }).Stop()
		}
		line, err := r.ReadString('\n')
		if err != nil {
			break
		}
		if n, err := strconv.ParseUint(line[:len(line)-1], 10, 64); err == nil {
			last = n
		}
	}
	cmd.Wait()
	return last
}

// TestCrashWriter is the process that gets killed.
func TestCrashWriter(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("only as a child of TestCrash")
	}
	s, err := store.Open(t.Context(), dir, store.Unlock{Keys: []vault.Way{vault.KeyFile{Path: os.Getenv(childKey)}}})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	for {
		n, err := crashStep(t, s)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

// crashStep sends message n, and confirms and forgets an older one, so that the
// file shrinks and grows.
func crashStep(t *testing.T, s *store.Store) (n uint64, err error) {
	err = s.Update(t.Context(), func(tx *store.Tx) error {
		if n, err = tx.NextCounter(peer); err != nil {
			return err
		}
		m := storedMessage(n, store.Out)
		m.Raw = crashBody(n)
		if _, err := tx.SaveMessage(m); err != nil {
			return err
		}
		if err := tx.AddRecipient(m.Hash, peer, now, now); err != nil {
			return err
		}
		if err := tx.PutDelivery(storedDelivery(n, n, m.Hash, m.Raw)); err != nil {
			return err
		}
		if n > 10 {
			_, _, err = tx.Confirmed(peer, []delivery.Received{{Device: self, Contiguous: n - 10}}, now)
		}
		return err
	})
	return n, err
}

func crashBody(n uint64) []byte {
	b := make([]byte, 200+n*1571%9000)
	for i := 0; i+8 <= len(b); i += 8 {
		binary.BigEndian.PutUint64(b[i:], n)
	}
	return b
}

// checkAfterCrash opens what the dead process left and returns the number of the
// last transaction.
func checkAfterCrash(t *testing.T, p place, confirmed uint64) (last uint64) {
	t.Helper()
	s := p.open(t)
	defer s.Close()
	view(t, s, func(tx *store.Tx) error {
		var err error
		if last, err = tx.LastCounter(peer); err != nil {
			return err
		}
		if last < confirmed || last > confirmed+1 {
			t.Errorf("last transaction %d, confirmed %d", last, confirmed)
		}
		return checkSteps(t, tx, last)
	})
	return last
}

func checkSteps(t *testing.T, tx *store.Tx, last uint64) error {
	t.Helper()
	ms, err := tx.CountMessages(store.Query{})
	if err != nil {
		return err
	}
	waiting, err := tx.OutboxSize()
	if err != nil {
		return err
	}
	if uint64(ms) != last || uint64(waiting) != min(last, 10) {
		t.Errorf("after transaction %d: %d messages, %d deliveries", last, ms, waiting)
	}
	for n := last; n > 0 && n+12 > last; n-- {
		var h message.Hash = storedMessage(n, store.Out).Hash
		m, err := tx.Message(h)
		if err != nil {
			return fmt.Errorf("message %d of %d: %w", n, last, err)
		}
		if string(m.Raw) != string(crashBody(n)) {
			t.Errorf("message %d has another content", n)
		}
	}
	return nil
}
