//go:build linux

package redisqueue_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"schakel/relay/queue"
	"schakel/relay/queue/queuetest"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

var failovers = flag.Int("failovers", 1, "how often a primary is killed under load")

// readyWithin is how soon after the death of a primary another takes envelopes. The short
// run has a machine that does other things as well: there it only says that it ends.
func readyWithin() time.Duration {
	if full() {
		return 10 * time.Second
	}
	return time.Minute
}

// pair is a primary and a replica under three sentinels, that a process writes to.
type pair struct {
	t        *testing.T
	servers  *redistest.Sentinels
	replicas int  // whose confirmation the relay demands
	gap      bool // the replica falls behind before the primary dies
	alone    bool // nobody comes back before envelopes are taken again
	random   *rand.Rand
	ready    []time.Duration // from the death of a primary to a put that was taken
	killed   time.Time
	taken    chan struct{} // closed by isTaken: envelopes are taken again, or never
	isTaken  func()
	returned chan error // of the one that was killed
}

// newPair starts a primary with so many replicas, of which the relay demands some.
func newPair(t *testing.T, there, replicas int, gone time.Duration) *pair {
	t.Helper()
	redistest.Need(t)
	t.Logf("seed %d", *seed)
	servers, err := redistest.StartSentinels(t.TempDir(), there, gone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Stop)
	return &pair{t: t, servers: servers, replicas: replicas, random: rand.New(rand.NewPCG(*seed, 37))}
}

func (p *pair) config(dir string) redisqueue.Config {
	c := p.servers.Config()
	c.Prefix, c.Replicas = prefixOf(dir), p.replicas
	return c
}

// cycle kills the primary once, while a process writes to an empty store, and says
// what was lost.
func (p *pair) cycle(n int) error {
	if err := p.servers.Settle(); err != nil {
		p.t.Fatal(err)
	}
	p.empty()
	dir := strconv.Itoa(n)
	store := mustOpen(p.t, p.config(dir)) // loads the functions
	state, err := store.State(p.t.Context())
	store.Close()
	if err != nil {
		p.t.Fatal(err)
	}
	p.taken, p.returned = make(chan struct{}), make(chan error, 1)
	p.isTaken = sync.OnceFunc(func() { close(p.taken) })
	err = queuetest.PowerCut(queuetest.Backend{
		Open:    func(dir string, _ queue.Quota) (queue.Store, error) { return p.reopen(dir, state) },
		Process: func(dir string) *exec.Cmd { return process(p.config(dir)) },
	}, dir, p.random, func(int) (string, error) { return dir, p.kill() })
	p.isTaken()
	if returned := <-p.returned; returned != nil {
		p.t.Fatal(returned)
	}
	return err
}

// kill ends the primary as a power cut would, and has it come back as a replica once
// another has taken over.
func (p *pair) kill() error {
	primary := p.servers.Primary()
	if primary == nil {
		return errors.New("no primary")
	}
	if p.gap {
		if err := p.fallBehind(primary, p.servers.Others(primary)[0]); err != nil {
			return err
		}
	}
	primary.Kill()
	p.servers.Others(primary)[0].Thaw()
	p.killed = time.Now()
	go func() {
		for p.servers.Primary() == nil && time.Since(p.killed) < 2*time.Minute {
			<-time.After(50 * time.Millisecond)
		}
		if p.alone {
			<-p.taken
		}
		p.returned <- p.servers.Return(primary)
	}()
	return nil
}

// fallBehind freezes the replica and cuts its link, and returns when the primary has
// written what the replica will not have; or when it writes nothing more.
func (p *pair) fallBehind(primary, replica *redistest.Server) error {
	replica.Freeze()
	root := primary.Root()
	defer root.Close()
	if err := root.Do(p.t.Context(), "client", "kill", "type", "replica").Err(); err != nil {
		return err
	}
	written := func() (offset int) {
		fmt.Sscan(primary.Replication()["master_repl_offset"], &offset)
		return offset
	}
	most := 500 * time.Millisecond
	if p.replicas == 0 { // then it writes on, however slow this machine is
		most = time.Minute
	}
	for began, at := time.Now(), written(); time.Since(began) < most && written() < at+100_000; {
		<-time.After(5 * time.Millisecond)
	}
	return nil
}

// reopen opens the store after a failover, and returns when it takes envelopes.
func (p *pair) reopen(dir string, before queue.State) (queue.Store, error) {
	store, err := open(p.config(dir))
	if err != nil {
		return nil, err
	}
	opened := time.Since(p.killed)
	again := patient{store}
	if _, err := again.Commit(context.Background(), []queue.Op{probe()}); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	p.ready = append(p.ready, time.Since(p.killed))
	p.t.Logf("open again after %v, takes envelopes after %v", opened.Round(time.Millisecond), time.Since(p.killed).Round(time.Millisecond))
	if after, err := store.State(context.Background()); err != nil || after.Epoch == before.Epoch {
		return nil, errors.Join(fmt.Errorf("the epoch is that of before the failover, %w", err), store.Close())
	}
	p.isTaken()
	return again, nil
}

// empty forgets the cycles of before: how long a server takes to come back, and a
// replica to have a whole copy, would grow with them.
func (p *pair) empty() {
	p.t.Helper()
	root := p.servers.Primary().Root()
	defer root.Close()
	if err := root.FlushAll(p.t.Context()).Err(); err != nil {
		p.t.Fatal(err)
	}
}

// probe is an envelope for a desk that no test looks at.
func probe() *queue.Put {
	op := put(1)
	op.Desk = "probe/probe"
	return op
}

// patient asks again for what was not confirmed, as senders do.
type patient struct{ queue.Store }

func (p patient) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	results := make([]queue.Result, len(ops))
	pending := make([]int, len(ops))
	for i := range pending {
		pending[i] = i
	}
	for began := time.Now(); len(pending) > 0; {
		var again []queue.Op
		for _, i := range pending {
			again = append(again, ops[i])
		}
		got, err := p.Store.Commit(ctx, again)
		if err != nil {
			return nil, err
		}
		var left []int
		for n, i := range pending {
			results[i] = got[n]
			if unanswered(got[n].Err) {
				left = append(left, i)
			}
		}
		if pending = left; time.Since(began) > time.Minute {
			return results, nil
		}
	}
	return results, nil
}

// unanswered reports that an operation promises nothing, and may be asked for again.
func unanswered(err error) bool {
	return errors.Is(err, queue.ErrUnconfirmed) || errors.Is(err, queue.ErrUnavailable)
}

// failOver returns how often something that was answered was lost.
func (p *pair) failOver(rounds int) (lost int) {
	p.t.Helper()
	for n := range rounds {
		err := p.cycle(n)
		switch {
		case err == nil:
		case strings.Contains(err.Error(), "is lost"), strings.Contains(err.Error(), "was acknowledged"):
			lost++
			p.t.Logf("failover %d: %v", n+1, err)
		default:
			p.t.Errorf("failover %d: %v", n+1, err)
		}
	}
	slices.Sort(p.ready)
	if len(p.ready) > 0 {
		p.t.Logf("%d of %d failovers lost something; took envelopes again after %v (median), %v (most)", lost, rounds,
			p.ready[len(p.ready)/2].Round(time.Millisecond), p.ready[len(p.ready)-1].Round(time.Millisecond))
	}
	return lost
}

// full says that this is the long run.
func full() bool { return *failovers > 10 }

func onlyFull(t *testing.T) {
	t.Helper()
	if !full() {
		t.Skip("NOT TESTED: it takes long; make failovers does")
	}
}

// goneWithin is when sentinels give a primary up; the full run has the time that is
// shipped.
func goneWithin() time.Duration {
	if full() {
		return 0
	}
	return 2 * time.Second
}

// Faults 37 and 41: the primary is killed under load, and every envelope that was
// answered with the confirmation of the replica is there afterwards.
func TestFailover(t *testing.T) {
	t.Parallel() // it waits for sentinels
	p := newPair(t, 1, 1, goneWithin())
	if lost := p.failOver(*failovers); lost > 0 {
		t.Errorf("%d failovers lost what was confirmed", lost)
	}
	if len(p.ready) > 0 && p.ready[len(p.ready)-1] > readyWithin() {
		t.Errorf("it took %v", p.ready[len(p.ready)-1])
	}
}

// The same, with a replica that has fallen behind when the primary dies: nothing was
// answered from then on.
func TestFailoverToTheLate(t *testing.T) {
	onlyFull(t)
	t.Parallel() // it waits for sentinels
	p := newPair(t, 1, 1, 2*time.Second)
	p.gap = true
	if lost := p.failOver(max(1, *failovers/10)); lost > 0 {
		t.Errorf("%d failovers lost what was confirmed", lost)
	}
}

// With two replicas, of which one must confirm, the relay takes envelopes again before
// the machine that died is back; sentinels choose the replica that has most.
func TestFailoverOfThree(t *testing.T) {
	onlyFull(t)
	t.Parallel() // it waits for sentinels
	p := newPair(t, 2, 1, goneWithin())
	p.alone = true
	if lost := p.failOver(max(1, *failovers/5)); lost > 0 {
		t.Errorf("%d failovers lost what was confirmed", lost)
	}
}

// The control: without the confirmation of the replica, envelopes that were answered
// are gone with the primary, and the check sees it.
func TestFailoverNoticesUnconfirmed(t *testing.T) {
	t.Parallel() // it waits for sentinels
	p := newPair(t, 1, 0, 2*time.Second)
	p.gap = true
	if lost := p.failOver(max(1, *failovers/10)); lost == 0 {
		t.Error("nothing was lost: the test is blind")
	}
}
