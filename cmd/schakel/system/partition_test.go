//go:build linux

package system_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"schakel/relay/queue/redisqueue/redistest"
)

// The addresses of the relay, which is in a network beside that of the desks and of Redis.
const (
	redisSide, relayOfRedis = "10.99.1.1", "10.99.1.2"
	deskSide, relayOfDesks  = "10.99.2.1", "10.99.2.2"
	toRedis, toDesks        = "redis", "desks" // the lines
)

// partitioned is a chain whose relay has a line to its Redis and another one to the desks.
func partitioned(t *testing.T) (*chain, *network) {
	t.Helper()
	c := newChain(t)
	n := newNetwork(t)
	n.join(toRedis, redisSide, relayOfRedis)
	n.join(toDesks, deskSide, relayOfDesks)
	if err := os.Mkdir(c.file("redis"), 0o700); err != nil {
		t.Fatal(err)
	}
	c.redis = must[*redistest.Server](t)(redistest.Start(c.file("redis"), "bind", "127.0.0.1 "+redisSide))
	t.Cleanup(c.redis.Stop)
	_, port, _ := net.SplitHostPort(c.redis.Address)
	c.redisAt = net.JoinHostPort(redisSide, port)
	_, port, _ = net.SplitHostPort(c.address)
	c.relays[0].listen, c.relays[0].network = net.JoinHostPort(relayOfDesks, port), n
	tap(t, must[net.Listener](t)(net.Listen("tcp", c.address)), inTurn([]string{c.relays[0].listen}), io.Discard)
	return c, n
}

// cuts are the ways in which relay and Redis may not reach each other, as the relay's
// network sees them.
var cuts = map[string][]string{
	"both ways":         {"input", "output"},
	"requests get lost": {"output"},
	"answers get lost":  {"input"},
}

// Faults 70 and 71: the network between relay and Redis is cut, in both directions or in
// one. Nothing is promised meanwhile, and when it is whole everything goes on by itself.
func TestPartition(t *testing.T) {
	t.Parallel() // it waits for timeouts
	redistest.Need(t)
	if !apart(t) {
		return
	}
	c, n := partitioned(t)
	l := c.newLoad()
	for name, directions := range cuts {
		rounds := 1
		if *full {
			rounds = 5
		}
		for round := range rounds {
			l.sendEach(few)
			l.atRelay()
			heal := n.drop(toRedis, directions...)
			l.sendEach(few)
			if promised := l.promisedWithin(5 * time.Second << round); promised > 0 {
				t.Errorf("%s: %d envelopes are promised that no store has", name, promised)
			}
			heal()
			t.Logf("%s: everything is here %s after the network was whole", name, l.allArrive("after the cut").Round(time.Millisecond))
		}
	}
	if err := l.relays[0].ended(); err != nil {
		t.Error(err)
	}
	tally, wrong := l.settle(patience)
	l.report(tally, wrong)
	l.stated(patience)
}

// Control: a relay that promises before it writes does so while the network is cut.
func TestPartitionFindsEarlyPromises(t *testing.T) {
	t.Parallel() // it waits for timeouts
	redistest.Need(t)
	early := must[programs](t)(earlyRelay()) // before: there is nothing but the test where it runs
	if !apart(t) {
		return
	}
	c, n := partitioned(t)
	c.programs = early
	l := c.newLoad()
	l.sendEach(1)
	l.atRelay()
	n.drop(toRedis, cuts["both ways"]...)
	l.sendEach(few)
	eventually(t, "an early promise is seen", patience, func() bool { return l.promisedWithin(time.Second) > 0 })
}

// promisedWithin returns how many of the last few messages of each sender it believes at
// the relay after a while.
func (l *load) promisedWithin(wait time.Duration) (n int) {
	l.t.Helper()
	waiting := func() (sum int) {
		for _, s := range l.senders {
			st, err := s.client.Status(context.Background())
			if err != nil {
				l.t.Fatal(err)
			}
			sum += st.NotAtRelay
		}
		return sum
	}
	all := few * len(l.senders)
	within(wait, asking, func() bool { return waiting() < all })
	return all - waiting()
}

// Fault 61: a desk is gone without a word. Neither its machine nor anything on the way
// says so. Relay and desk notice within half a minute and a bit, others stay, and when
// the way is there again so is the desk.
func TestPeerGoneWithoutAWord(t *testing.T) {
	t.Parallel() // it waits for half a minute
	if !apart(t) {
		return
	}
	c := newChain(t)
	_, port, _ := net.SplitHostPort(c.address)
	gone := newNetwork(t)
	gone.join(toDesks, deskSide, relayOfDesks)
	c.relays[0].listen = net.JoinHostPort("0.0.0.0", port)
	c.relays[0].admin = must[string](t)(freeAddress())
	c.desks[doctor].network = gone
	gone.leadTo(port)
	l := c.newLoad()
	l.connected(all...)
	if n := l.sessions(); n != len(all) {
		t.Fatalf("%d sessions, want %d", n, len(all))
	}
	heal := gone.drop(toDesks, "input", "output")
	began := time.Now()
	eventually(t, "the relay notices", patience, func() bool { return l.sessions() == len(all)-1 })
	atRelay := time.Since(began)
	eventually(t, "the desk notices", patience, func() bool {
		st, err := l.desks[doctor].client.Status(t.Context())
		return err == nil && !st.Connected
	})
	t.Logf("noticed by the relay after %s, by the desk after %s at most", atRelay.Round(time.Second), time.Since(began).Round(time.Second))
	for _, id := range all { // the control: who was not cut off
		if id != doctor && l.lost(id) > 0 {
			t.Errorf("%s lost its session too", id)
		}
	}
	l.sendEach(few)
	heal()
	l.connected(doctor)
	tally, wrong := l.settle(patience)
	l.report(tally, wrong)
}

// leadTo has a port of the network's own machine lead to the other end of its line, as
// the register says where the relay is.
func (n *network) leadTo(port string) {
	n.t.Helper()
	n.run("sh -c 'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet'")
	n.run("nft 'add chain ip nat output { type nat hook output priority -100; }'")
	n.run("nft 'add chain ip nat leaving { type nat hook postrouting priority 100; }'")
	n.run(fmt.Sprintf("nft add rule ip nat output ip daddr 127.0.0.1 tcp dport %s dnat to %s:%s", port, deskSide, port))
	n.run("nft add rule ip nat leaving oifname " + toDesks + " masquerade")
}

// sessions is how many devices the relay believes connected.
func (l *load) sessions() (n int) {
	l.t.Helper()
	for line := range strings.Lines(string(fetch(l.t, "http://"+l.relays[0].admin+"/metrics"))) {
		if rest, ok := strings.CutPrefix(line, "schakel_relay_sessions "); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
	}
	return n
}
