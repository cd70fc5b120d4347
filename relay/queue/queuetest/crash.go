package queuetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// ExitIndeterminate is the exit code of a process in which ServeCrash returned an
// error that wraps queue.ErrIndeterminate.
const ExitIndeterminate = 3

// The desks of a crash test. Both devices of two desks never acknowledge; the one
// device of the third acknowledges everything.
var crashDesks = []identity.DeskID{wacht, vt, "a/b"}

const crashInFlight = 64

// ServeCrash puts and acknowledges as fast as it can until the process is killed
// or the store fails. It reads the number of the round from in, and writes a line
// to out for every durable answer ("put serial", "ack position") and, before it
// asks for it, for every acknowledgement ("try position").
func ServeCrash(store queue.Store, in io.Reader, out io.Writer) error {
	var round uint64
	if _, err := fmt.Fscan(in, &round); err != nil {
		return fmt.Errorf("failed to read the round: %w", err)
	}
	room := make(chan struct{}, crashInFlight)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var c *queue.Committer
	c = queue.NewCommitter(store, queue.CommitterConfig{Committed: func(batch []queue.Entry) {
		lines, acks := describe(batch, room)
		io.WriteString(out, lines)
		for _, ack := range acks {
			c.Submit(nil, ack)
		}
	}})
	go func() {
		for i := uint64(0); ; i++ {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			c.Submit(nil, crashPut(round<<32|i))
		}
	}()
	return c.Run(ctx)
}

func crashPut(serial uint64) *queue.Put {
	n := int(serial % 3)
	return newPut(crashDesks[n], serial, 2-n/2, 64+int(serial*131%3000))
}

func describe(batch []queue.Entry, room <-chan struct{}) (string, []queue.Op) {
	var lines strings.Builder
	var acks []queue.Op
	for _, entry := range batch {
		switch op := entry.Op.(type) {
		case *queue.Put:
			<-room
			if entry.Result.Err != nil {
				continue
			}
			fmt.Fprintf(&lines, "put %d\n", serialOf(op.ID))
			if op.Desk == crashDesks[2] {
				fmt.Fprintf(&lines, "try %d\n", serialOf(op.ID))
				acks = append(acks, &queue.Ack{Desk: op.Desk, Device: device(op.Desk, 1), Position: entry.Result.Position})
			}
		case *queue.Ack:
			if entry.Result.Err == nil {
				fmt.Fprintf(&lines, "ack %d\n", op.Position)
			}
		}
	}
	return lines.String(), acks
}

// history is what a process said before it ended.
type history struct {
	put   map[uint64]bool // serials, answered as durable
	tried map[uint64]bool // serials whose acknowledgement was asked for
	acked queue.Position  // the greatest that was answered as durable
}

// listen reads lines until the process ends, or until enough puts were answered.
func (h *history) listen(lines *bufio.Scanner, enough int) {
	for n := 0; n < enough && lines.Scan(); {
		var word string
		var number uint64
		if _, err := fmt.Sscan(lines.Text(), &word, &number); err != nil {
			continue // the last line of a killed process
		}
		switch word {
		case "put":
			h.put[number] = true
			n++
		case "try":
			h.tried[number] = true
		case "ack":
			h.acked = max(h.acked, queue.Position(number))
		}
	}
}

// Crash kills the backend's process at random instants, and returns an error when
// a put that was answered is not there afterwards, or is there twice, or when an
// answered acknowledgement was forgotten.
func Crash(b Backend, dir string, rounds int) error {
	h := history{put: make(map[uint64]bool), tried: make(map[uint64]bool)}
	for round := range rounds {
		command := b.Process(dir)
		command.Stdin = strings.NewReader(fmt.Sprint(round + 1))
		out, err := command.StdoutPipe()
		if err != nil {
			return err
		}
		if err := command.Start(); err != nil {
			return err
		}
		lines := bufio.NewScanner(out)
		h.listen(lines, 1+rand.N(3000))
		if b.Kill != nil {
			b.Kill(dir, command)
		} else {
			command.Process.Kill()
		}
		h.listen(lines, 1<<30) // what it said before it died
		command.Wait()
		if err := h.verify(b, dir, uint64(round+1)); err != nil {
			return fmt.Errorf("after kill %d, with %d puts answered: %w", round+1, len(h.put), err)
		}
	}
	return nil
}

// Fault runs the backend's process under a wrapper that makes one call of the
// disk fail, such as strace with fault injection. It returns an error unless the
// process ends with ExitIndeterminate before most puts were answered, and
// everything that it answered is there afterwards.
func Fault(b Backend, dir string, wrap func(*exec.Cmd) *exec.Cmd, most int) error {
	h := history{put: make(map[uint64]bool), tried: make(map[uint64]bool)}
	command := wrap(b.Process(dir))
	command.Stdin = strings.NewReader("1")
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	h.listen(bufio.NewScanner(out), most)
	if len(h.put) >= most {
		command.Process.Kill()
		command.Wait()
		return fmt.Errorf("the process answered %d puts and did not notice the fault", len(h.put))
	}
	err = command.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != ExitIndeterminate {
		return fmt.Errorf("the process ended with %w, want code %d", err, ExitIndeterminate)
	}
	return h.verify(b, dir, 1)
}

// PowerCut lets the backend's process write in dir until as many puts were answered
// as random says. Then cut stops whoever writes and returns a directory with what
// would be there if the power had failed at that moment. PowerCut returns an error
// when something that was answered is missing there.
func PowerCut(b Backend, dir string, random *rand.Rand, cut func(process int) (survivor string, err error)) error {
	h := history{put: make(map[uint64]bool), tried: make(map[uint64]bool)}
	command := b.Process(dir)
	command.Stdin = strings.NewReader("1")
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	h.listen(lines, 500+random.IntN(3000))
	survivor, err := cut(command.Process.Pid)
	command.Process.Kill()
	h.listen(lines, 1<<30) // all of it was said before the cut
	command.Wait()
	if err != nil {
		return err
	}
	if err := h.verify(b, survivor, 1); err != nil {
		return fmt.Errorf("with %d puts answered before the cut: %w", len(h.put), err)
	}
	return nil
}

// verify opens the store again and looks for everything that was answered, then
// puts the whole round again, as its senders would.
func (h *history) verify(b Backend, dir string, round uint64) error {
	store, err := b.Open(dir, queue.Quota{})
	if err != nil {
		return fmt.Errorf("failed to open after the crash: %w", err)
	}
	defer store.Close()
	if err := h.count(store); err != nil {
		return err
	}
	var latest uint64
	for serial := range h.put {
		latest = max(latest, serial&0xffffffff)
	}
	var ops []queue.Op
	for i := range latest + 2*crashInFlight {
		ops = append(ops, crashPut(round<<32|i))
	}
	for chunk := range slices.Chunk(ops, 500) {
		if err := h.again(store, chunk); err != nil {
			return err
		}
	}
	return h.count(store)
}

func (h *history) again(store queue.Store, ops []queue.Op) error {
	results, err := store.Commit(ctx(), ops)
	if err != nil {
		return fmt.Errorf("failed to put again: %w", err)
	}
	for i, r := range results {
		serial := serialOf(ops[i].(*queue.Put).ID)
		if r.Err != nil || h.put[serial] && !r.Duplicate {
			return fmt.Errorf("%d was answered %v, put again it gave %+v", serial, h.put[serial], r)
		}
		h.put[serial] = true
		h.tried[serial] = true // by the next process, which acknowledges beyond it
	}
	return nil
}

// count wants every answered put exactly once, except what was acknowledged.
func (h *history) count(store queue.Store) error {
	seen := make(map[uint64]bool)
	for _, desk := range crashDesks {
		records, err := readAll(store, desk, 0, queue.Limit{Records: 500, Bytes: 4 << 20})
		if err != nil {
			return err
		}
		for _, r := range records {
			serial := serialOf(r.ID)
			if seen[serial] {
				return fmt.Errorf("%d is there twice", serial)
			}
			if desk == crashDesks[2] && r.Position <= h.acked {
				return fmt.Errorf("%d is there and was acknowledged", serial)
			}
			seen[serial] = true
			if err := same(&r, crashPut(serial)); err != nil {
				return fmt.Errorf("%d: %w", serial, err)
			}
		}
	}
	for serial := range h.put {
		if !seen[serial] && !(h.tried[serial] && serial%3 == 2) {
			return fmt.Errorf("%d was answered and is lost", serial)
		}
	}
	return nil
}
