//go:build linux

package system_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// load is a chain under way: four desks send to one, and applications write down
// what they were promised and told.
type load struct {
	*chain
	random  *rand.Rand
	senders []*sender
	to      *recipient
	pause   time.Duration // between two messages of one sender
	stop    func()        // ends sending, and returns when the last one is done
}

// steady is a load about as high as two cores seal, sign and store.
const steady = 40 * time.Millisecond

// asking is how often a daemon is asked whether everything has arrived: not so
// often that this is what keeps it busy.
const asking = 200 * time.Millisecond

func (c *chain) newLoad() *load {
	c.t.Helper()
	c.t.Logf("seed %d", *seed)
	l := &load{chain: c, random: rand.New(rand.NewPCG(*seed, 1)), pause: steady * slower}
	c.startRelays()
	c.startDesk(piket)
	l.to = c.listen(piket)
	for _, id := range []identity.DeskID{doctor, safe, police, om} {
		c.startDesk(id)
		l.senders = append(l.senders, c.newSender(id))
	}
	for _, s := range l.senders {
		c.knows(s.desk, piket)
	}
	return l
}

func (l *load) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	for _, s := range l.senders {
		sending.Go(func() { s.keepSending(ctx, l.pause) })
	}
	l.stop = sync.OnceFunc(func() { cancel(); sending.Wait() })
	l.t.Cleanup(l.stop)
}

// rage kills relays and daemons at random instants, in random order, and starts each
// again at once. Where Redis is, half of the relays' turns kill Redis, by itself or
// with all relays.
func (l *load) rage(relays, daemons int) {
	l.t.Helper()
	victims := slices.Concat(slices.Repeat([]func(){l.killDaemon}, daemons), slices.Repeat([]func(){l.killRelay}, relays))
	if l.redis != nil {
		for i := range relays / 2 {
			victims[daemons+i] = []func(){l.killRedis, l.killBoth}[i%2]
		}
	}
	l.random.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	for _, kill := range victims {
		<-time.After(50*time.Millisecond + time.Duration(l.random.Int64N(int64(700*time.Millisecond))))
		kill()
	}
}

func (l *load) killRelay() {
	victim := l.relays[l.random.IntN(len(l.relays))]
	victim.kill()
	l.startRelay(victim)
}

func (l *load) killDaemon() {
	victim := l.to.device
	if i := l.random.IntN(len(l.senders) + 1); i < len(l.senders) {
		victim = l.senders[i].device
	}
	victim.daemon.kill()
	l.startDesk(victim.desk)
}

func (l *load) killRedis() {
	l.redis.Kill()
	l.restartRedis()
}

func (l *load) killBoth() {
	l.redis.Kill()
	l.killRelays()
	if err := l.redis.Restart(); err != nil {
		l.t.Fatal(err)
	}
	l.startRelays()
}

// settle gives what is under way time to arrive and returns what is wrong after.
func (l *load) settle(limit time.Duration) (tally, []string) {
	l.t.Helper()
	sent, known, cases := l.promised()
	began := time.Now()
	within(limit, asking, func() bool { return l.arrived(cases, known) })
	l.t.Logf("everything here %s after the last was sent", time.Since(began).Round(time.Millisecond))
	l.to.stop()
	l.to.list(l.t, known, cases)
	return check(sent, readHistory(l.t, l.to.path))
}

// promised reads what the senders wrote down. Nobody may be sending.
func (l *load) promised() (sent []record, known map[string]bool, cases []string) {
	known = map[string]bool{}
	for _, s := range l.senders {
		sent = append(sent, readHistory(l.t, s.path)...)
		cases = append(cases, s.cases...)
	}
	for _, r := range sent {
		if r.Do == doAccept {
			known[r.Hash] = true
		}
	}
	return sent, known, cases
}

// arrived reports whether everything accepted is in the inbox.
func (l *load) arrived(cases []string, known map[string]bool) bool {
	if st, err := l.to.client.Status(context.Background()); err != nil || st.Unread < len(known) {
		return false // cheap to ask, unlike what follows
	}
	there := 0
	for _, id := range cases {
		page, err := l.to.client.List(context.Background(), schakel.Filter{Case: id, Limit: 1000})
		if err != nil {
			return false
		}
		for _, s := range page {
			if known[s.Hash] {
				there++
			}
		}
	}
	return there == len(known)
}

// stated waits until every sender knows that everything it sent has arrived.
func (l *load) stated(limit time.Duration) {
	l.t.Helper()
	for _, s := range l.senders {
		eventually(l.t, string(s.desk)+" knows that everything was delivered", limit, func() bool {
			st, err := s.client.Status(context.Background())
			return err == nil && st.Outbox == 0
		})
	}
}

func (l *load) report(n tally, wrong []string) {
	l.t.Helper()
	l.t.Logf("%d attempts, %d accepted, %d in the inbox, told of %d", n.attempts, n.accepted, n.listed, n.received)
	for i, w := range wrong {
		if i == 20 {
			l.t.Errorf("and %d more", len(wrong)-i)
			break
		}
		l.t.Error(w)
	}
}

// Faults 1 to 6 and 15: relays, Redis and daemons are killed at random instants under
// load from four senders. What Send took reaches the recipient's application exactly once,
// in order per sender, and every sender comes to know it.
func TestKills(t *testing.T) { onEach(t, kills) }

func kills(t *testing.T, c *chain) {
	relays, daemons := 6, 3 // on each store
	if *full {
		relays, daemons = 100, 50
	}
	l := c.newLoad()
	began := time.Now()
	l.begin()
	l.rage(relays, daemons)
	l.stop()
	t.Logf("%d kills of a relay or of Redis and %d of daemons in %s", relays, daemons, time.Since(began).Round(time.Second))
	n, wrong := l.settle(patience)
	l.report(n, wrong)
	if n.accepted == 0 || n.received == 0 {
		t.Error("nothing happened")
	}
	l.stated(patience)
	l.allVisited()
}

// Control: a relay that promises before it writes loses what it promised. The
// senders notice later, by the recipients' statements, and make it again, out of
// order; the checker must see one or the other.
func TestKillsFindEarlyPromises(t *testing.T) {
	for world := range 5 { // chance decides how soon it shows
		if found := earlyPromises(t); found > 0 {
			t.Logf("found in world %d", world+1)
			return
		}
	}
	t.Error("a relay that promises before it writes passes")
}

// earlyPromises returns how many faults the checker finds in one world.
func earlyPromises(t *testing.T) int {
	c := newChain(t)
	c.programs = must[programs](t)(earlyRelay())
	l := c.newLoad()
	l.pause = steady // it takes a promise that was not written yet
	l.begin()
	l.rage(25, 0)
	l.stop()
	n, wrong := l.settle(5 * time.Second)
	t.Logf("%d of %d; %d faults found, such as %q", n.listed, n.accepted, len(wrong), slices.Concat(wrong, []string{""})[0])
	return len(wrong)
}

// Control: a client that does not notice repetitions tells its application twice.
func TestKillsFindRepetitions(t *testing.T) {
	c := newChain(t)
	c.programs = must[programs](t)(twiceClient())
	l := c.newLoad()
	l.pause = steady // it takes a delivery whose acknowledgement was under way
	l.begin()
	for round := 0; round < 10 && l.to.repeated.Load() == 0; round++ {
		l.rage(5, 0)
	}
	l.stop()
	n, wrong := l.settle(patience)
	t.Logf("told of %d, has %d; %d faults found, such as %q", n.received, n.listed, len(wrong), slices.Concat(wrong, []string{""})[0])
	if len(wrong) == 0 {
		t.Error("a client that does not notice repetitions passes")
	}
}

// Fault 54: the relay's whole store is gone, with messages in it that nobody has
// fetched. The senders offer everything again that the recipient has not stated.
func TestRelayLosesItsStore(t *testing.T) { onEachStore(t, losesItsStore) }

func losesItsStore(t *testing.T, c *chain) {
	l := c.newLoad()
	l.begin()
	l.rage(2, 0)
	l.to.daemon.kill() // from here on everything waits at the relay
	before := l.accepted()
	eventually(t, "messages wait", patience, func() bool { return l.accepted() >= before+60/slower })
	l.stop()
	l.atRelay()
	l.killRelays()
	for _, s := range l.senders {
		s.daemon.kill()
	}
	l.loseStore()
	l.startRelays()
	l.startDesk(piket)

	// Control: while no sender is there, it is really lost.
	t.Run("without the senders", func(t *testing.T) {
		_, known, cases := l.promised()
		if within(2*time.Second, asking, func() bool { return l.arrived(cases, known) }) {
			t.Error("nothing was lost: the test does not see a lost store")
		}
	})
	for _, s := range l.senders {
		l.startDesk(s.desk)
	}
	l.begin() // in mid-run: new ones must not overtake what is offered again
	l.rage(1, 0)
	l.stop()
	n, wrong := l.settle(patience)
	l.report(n, wrong)
	l.stated(patience)
}

// accepted counts what all senders were promised so far.
func (l *load) accepted() (n int64) {
	for _, s := range l.senders {
		n += s.accepted.Load()
	}
	return n
}

// atRelay waits until nothing lies at the senders only.
func (l *load) atRelay() {
	l.t.Helper()
	for _, s := range l.senders {
		eventually(l.t, "everything of "+string(s.desk)+" is at the relay", patience, func() bool {
			st, err := s.client.Status(context.Background())
			return err == nil && st.Connected && st.NotAtRelay == 0
		})
	}
}
