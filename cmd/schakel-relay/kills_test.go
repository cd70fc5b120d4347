package main_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"schakel/crypto/envelope"
	"schakel/relay/queue/redisqueue/redistest"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

var (
	kills     = flag.Int("kills", 6, "how often each store's relay is killed, and its Redis")
	killsSeed = flag.Uint64("seed", 1, "of the moments at which relays are killed")
)

// killed is a relay that is killed again and again, with what is known of its envelopes.
type killed struct {
	t        *testing.T // of the batch
	p        *process
	from, to *relaytest.Device
	redis    *redistest.Server // nil: bbolt
	random   *rand.Rand
	turn     int // kills so far
	torn     int // of them, with half a transaction at the end of Redis's file
	wrong    []string

	mu       sync.Mutex
	place    int                 // guarded by mu
	offered  map[envelope.ID]int // guarded by mu; in which place it was written to the connection
	promised map[envelope.ID]int // around which kill; until it is delivered
	last     int                 // the place of what was delivered last in this session
	acked    uint64              // the position that the store was told of
	total    int                 // promised in all
}

// Faults 1, 2 and 15: the program is killed at random moments while it takes envelopes and
// while it hands them out; with it, or alone, its Redis. What it promised is delivered, in the
// order in which it was sent; nothing is delivered that was not sent, and nothing again that
// the store has been told of.
func TestKilledRelayKeepsItsPromises(t *testing.T) {
	t.Run("bolt", func(t *testing.T) {
		k := killedOnBolt(t, build(t, "../schakel-relay"))
		k.often(t, *kills)
		k.report(t)
	})
	t.Run("redis", func(t *testing.T) {
		c, from, to := newCluster(t)
		c.nodes[1].stop(syscall.SIGKILL) // it would have half of the sessions
		from, to = c.direct[0].Device(from.Device), c.direct[0].Device(to.Device)
		epochs(t, to, c.direct[0])
		k := newKilled(c.nodes[0], from, to)
		k.redis = c.redis
		k.often(t, *kills)
		k.report(t)
	})
}

// Control: a relay that promises before it writes is found out.
func TestKilledRelayFindsEarlyPromises(t *testing.T) {
	k := killedOnBolt(t, build(t, "../schakel-relay", "-tags=seeded_early"))
	for n := 0; n < 20 && len(k.wrong) == 0; n++ { // chance decides how soon it shows
		k.often(t, 6)
	}
	if len(k.wrong) == 0 {
		t.Error("a relay that promises before it writes passes")
	}
	t.Logf("%d faults after %d kills, such as %q", len(k.wrong), k.turn, append(k.wrong, "")[0])
}

func killedOnBolt(t *testing.T, program string) *killed {
	p, from, to, w := newProcess(t)
	p.program = program
	p.start()
	epochs(t, to, w)
	return newKilled(p, from, to)
}

func newKilled(p *process, from, to *relaytest.Device) *killed {
	return &killed{p: p, from: from, to: to, random: rand.New(rand.NewPCG(*killsSeed, 15)),
		offered: map[envelope.ID]int{}, promised: map[envelope.ID]int{}}
}

func (k *killed) report(t *testing.T) {
	for _, w := range k.wrong[:min(20, len(k.wrong))] {
		t.Error(w)
	}
	if k.redis != nil && k.torn == 0 {
		t.Error("no kill left half a transaction: the test is blind for that")
	}
	t.Logf("seed %d: %d kills, %d of them within a write of Redis, %d envelopes promised, %d not delivered or not as they should be", *killsSeed, k.turn, k.torn, k.total, len(k.wrong))
}

// often kills so many times at least, and takes in between what waits: sessions of a batch
// end with it.
func (k *killed) often(t *testing.T, times int) {
	for end, goesOn := k.turn+times, true; goesOn && k.turn < end && len(k.wrong) == 0; {
		goesOn = t.Run(fmt.Sprint("from ", k.turn), func(t *testing.T) {
			k.t, k.p.t = t, t
			for range 5 {
				k.whileTaking()
			}
			k.whileHandingOut()
			k.takeAll()
		})
	}
	k.p.t = t
}

// kill ends the relay, Redis, or both, and returns when the relay is ready again.
func (k *killed) kill() {
	k.turn++
	relay, redis := true, false
	if k.redis != nil {
		relay, redis = k.turn%3 != 0, k.turn%3 != 1
	}
	if redis {
		k.redis.Kill()
		k.tear()
	}
	if relay {
		if code := k.p.stop(syscall.SIGKILL); code != -1 {
			k.t.Fatalf("the relay ended with %d", code)
		}
	}
	if redis {
		if err := k.redis.Restart(); err != nil {
			k.t.Fatal(err)
		}
	}
	_ = k.p.running.Wait() // one whose Redis was restarted ends by itself
	k.p.start()
}

// tear has the kill of Redis hit it within a write, each time: by itself it does so once in
// some hundred times. What was not promised before is not promised by it.
func (k *killed) tear() {
	torn, err := k.redis.Tear()
	if err != nil {
		k.t.Fatal(err)
	}
	if torn {
		k.torn++
	}
}

func (k *killed) whileTaking() {
	s := k.from.LoginIn(k.t)
	var sending sync.WaitGroup
	sending.Go(func() {
		for {
			raw, _ := k.offer()
			if s.Conn.Write(context.Background(), wire.Put{Envelope: raw}) != nil {
				return
			}
		}
	})
	for n, want := 0, 1+k.random.IntN(60); n < want; {
		f, err := s.Next()
		if err != nil {
			break
		}
		n += k.promises(f)
	}
	k.kill()
	sending.Wait()
	for { // promises that were under way
		f, err := s.Next()
		if err != nil {
			return
		}
		k.promises(f)
	}
}

// offer makes the next envelope.
func (k *killed) offer() (raw []byte, id envelope.ID) {
	raw, id = k.from.Envelope(k.to)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.place++
	k.offered[id] = k.place
	return raw, id
}

func (k *killed) promises(f wire.Frame) (n int) {
	stored, is := f.(wire.Stored)
	if !is {
		return 0
	}
	for _, l := range stored.Leaves {
		k.promised[l.ID] = k.turn
	}
	k.total += len(stored.Leaves)
	return len(stored.Leaves)
}

// whileHandingOut kills when some of what waits was delivered, and less was acknowledged.
func (k *killed) whileHandingOut() {
	most, last := k.random.IntN(max(1, len(k.promised))), k.mark()
	s := k.receive()
	for n := 0; n < most; n++ {
		d, id := k.take(s)
		if id == last {
			break
		}
		if k.random.IntN(20) == 0 {
			s.Send(wire.Ack{Position: d.Position})
		}
	}
	k.kill()
	s.Close()
}

// takeAll takes what waits, up to an envelope that is sent now.
func (k *killed) takeAll() {
	k.t.Helper()
	last := k.mark()
	s := k.receive()
	for {
		d, id := k.take(s)
		if id != last {
			continue
		}
		if len(k.promised) > 0 {
			k.sayLost(s, last)
		}
		if len(k.wrong) == 0 {
			k.settle(s, d.Position)
		}
		return
	}
}

// sayLost looks a second time, in a session of its own, whether what was promised is gone from
// the store or was passed over.
func (k *killed) sayLost(s *relaytest.Session, last envelope.ID) {
	k.t.Helper()
	where := make(map[envelope.ID]string, len(k.promised))
	for id, turn := range k.promised {
		where[id] = fmt.Sprintf("%s was promised around kill %d of %d, and is lost", id, turn, k.turn)
	}
	s.Close()
	again := k.receive()
	for {
		d, id := k.take(again)
		if _, missed := where[id]; missed {
			where[id] += fmt.Sprintf(": it is stored at %d, and was not handed out", d.Position)
		}
		if id == last {
			break
		}
	}
	for _, w := range where {
		k.wrong = append(k.wrong, w)
	}
}

// receive logs in as the recipient, and is ready for everything.
func (k *killed) receive() *relaytest.Session {
	s := k.to.LoginIn(k.t)
	s.Send(wire.Credit{Messages: 1 << 20, Bytes: 1 << 30})
	k.last = 0
	return s
}

// take takes one delivery.
func (k *killed) take(s *relaytest.Session) (wire.Deliver, envelope.ID) {
	k.t.Helper()
	d := relaytest.Expect[wire.Deliver](s)
	e, err := envelope.Parse(d.Envelope)
	if err != nil {
		k.t.Fatal(err)
	}
	place := k.offered[e.Header.ID]
	switch {
	case place == 0:
		k.wrong = append(k.wrong, "delivered, and nobody sent it")
	case d.Position <= k.acked:
		k.wrong = append(k.wrong, fmt.Sprintf("%d comes again, and was acknowledged", d.Position))
	case place <= k.last:
		k.wrong = append(k.wrong, fmt.Sprintf("%d comes after %d", place, k.last))
	}
	k.last = place
	delete(k.promised, e.Header.ID)
	return d, e.Header.ID
}

// mark sends one envelope, and waits for the promise.
func (k *killed) mark() envelope.ID {
	k.t.Helper()
	raw, id := k.offer()
	s := k.from.LoginIn(k.t)
	defer s.Close()
	s.Send(wire.Put{Envelope: raw})
	k.promises(relaytest.Expect[wire.Stored](s))
	return id
}

// settle acknowledges, and waits until it is written down: then what comes first is what was
// sent after it. An acknowledgement that the relay has not read when the next session begins
// ends with its own; then it is said again, and the session after that shows it.
func (k *killed) settle(s *relaytest.Session, at uint64) {
	k.t.Helper()
	s.Send(wire.Ack{Position: at})
	s.Close()
	clear(k.offered) // none of them may come again
	k.mark()
	eventually(k.t, "the acknowledgement is written down", func() bool {
		s := k.to.LoginIn(k.t)
		defer s.Close()
		s.Send(wire.Credit{Messages: 1, Bytes: 1 << 20})
		if relaytest.Expect[wire.Deliver](s).Position > at {
			return true
		}
		s.Send(wire.Ack{Position: at})
		return false
	})
	k.acked = at
}
