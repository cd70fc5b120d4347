package schakel_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// threads is a network in memory, whose connections can be cut.
type threads struct {
	mu      sync.Mutex // guards what follows
	arrived chan net.Conn
	over    chan struct{} // closed with the listener; nil: nobody listens
	ends    []net.Conn
}

var errNobody = errors.New("nobody listens")

func (n *threads) listen() (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.arrived, n.over = make(chan net.Conn, 100), make(chan struct{})
	return &threadEnd{n, n.arrived, n.over, sync.Once{}}, nil
}

func (n *threads) dial(context.Context, string, string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over == nil {
		return nil, errNobody
	}
	near, far := net.Pipe()
	n.ends = append(n.ends, near)
	n.arrived <- far
	return near, nil
}

// cut ends every connection, within whatever is under way.
func (n *threads) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.ends {
		_ = c.Close()
	}
	n.ends = nil
}

type threadEnd struct {
	net     *threads
	arrived chan net.Conn
	over    chan struct{}
	once    sync.Once
}

func (l *threadEnd) Accept() (net.Conn, error) {
	select {
	case c := <-l.arrived:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *threadEnd) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		if l.net.over == l.over {
			l.net.over = nil
		}
		close(l.over)
	})
	return nil
}

func (l *threadEnd) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

var bubbles = flag.Int("bubbles", 1, "how often some hours are simulated with real clients")

// bubbleLasts is how long a simulation takes before all has two hours to become well.
const bubbleLasts = 4 * time.Hour

// TestHoursInABubble plays two desks as they are built, with their stores in files, and a
// relay with its own, for hours of a clock that stands still until all of them wait: messages
// both ways, connections that are cut, and a relay that is away. Everything sent arrives once,
// and its sender knows.
func TestHoursInABubble(t *testing.T) {
	for n := range uint64(*bubbles) {
		seed := *deskSeed + n
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			for _, fault := range inBubble(t, seed, nil) {
				t.Error(fault)
			}
		})
	}
}

// Control: what does not arrive is missed, at both ends.
func TestHoursInABubbleNotice(t *testing.T) {
	faults := inBubble(t, 0, func(_ identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
		if d, is := f.(wire.Deliver); is && from == wire.SideRelay && headerOf(d.Envelope).Tier > envelope.TierNone {
			return nil
		}
		return []wire.Frame{f}
	})
	if len(faults) < 5 {
		t.Errorf("not noticed: %q", faults)
	}
}

// inBubble plays one seed, and returns what was wrong.
func inBubble(t *testing.T, seed uint64, tap relayTap) (faults []string) {
	if _, err := os.Stat("/dev/shm"); err == nil { // each tick of both clocks may write to a disk
		t.Setenv("TMPDIR", "/dev/shm")
	}
	var begun atomic.Bool // not until the desks know each other
	p := newPair(t, func(d identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
		if tap == nil || !begun.Load() {
			return []wire.Frame{f}
		}
		return tap(d, from, f)
	})
	sealsTo(t, p.to, p.from.Desk, 1)
	begun.Store(true)
	p.from.Stop()
	p.to.Stop()
	p.StopRelay()
	now := p.Now()
	synctest.Test(t, func(t *testing.T) {
		b := &bubbled{T: t, pair: p, net: &threads{}, luck: rand.New(rand.NewPCG(seed, 0)), sent: map[*schakeltest.Member][]string{}}
		p.Pass(now.Sub(p.Now()))
		p.Listen, p.Network, p.Every, p.Expire = b.net.listen, b.net.dial, 20*time.Second, 5*time.Minute
		b.pair.from, b.pair.to = p.from.Twin(t), p.to.Twin(t)
		b.play()
		faults = b.faults
	})
	return faults
}

// relayTap is what an operator does with frames.
type relayTap func(identity.DeviceID, wire.Side, wire.Frame) []wire.Frame

type bubbled struct {
	*testing.T
	pair pair
	net  *threads
	luck *rand.Rand
	sent map[*schakeltest.Member][]string // what each is to get

	faults []string
}

func (b *bubbled) find(format string, args ...any) {
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

func (b *bubbled) play() {
	began := time.Now()
	b.pair.StartRelay()
	b.pair.from.Start()
	b.pair.to.Start()
	away := time.Time{}
	for time.Since(began) < bubbleLasts {
		<-time.After(time.Duration(b.luck.Int64N(int64(15 * time.Minute))))
		switch {
		case !away.IsZero() && time.Now().After(away):
			b.pair.StartRelay()
			away = time.Time{}
		case b.luck.IntN(5) == 0:
			b.net.cut()
		case b.luck.IntN(8) == 0 && away.IsZero():
			b.pair.StopRelay()
			away = time.Now().Add(time.Duration(b.luck.Int64N(int64(2 * time.Hour))))
		default:
			b.send()
		}
	}
	if !away.IsZero() {
		b.pair.StartRelay()
	}
	<-time.After(2 * time.Hour)
	b.judge(time.Since(began))
	b.pair.from.Stop()
	b.pair.to.Stop()
	b.pair.StopRelay()
}

// send has one desk write to the other.
func (b *bubbled) send() {
	from, to, class := b.pair.from, b.pair.to, "adviesvraag"
	if b.luck.IntN(2) == 0 {
		from, to, class = to, from, "informatieverzoek"
	}
	sent, err := from.Node.Send(context.Background(), schakel.Draft{Class: class, Urgency: message.Routine, To: []identity.DeskID{to.Desk}, Body: example(b, class)})
	if err != nil {
		b.find("%s cannot send: %v", from.Desk, err)
		return
	}
	b.sent[to] = append(b.sent[to], sent.Hash)
}

func (b *bubbled) judge(lived time.Duration) {
	total := 0
	for to, all := range b.sent {
		list, err := to.Node.List(context.Background(), schakel.Filter{Limit: 1000})
		if err != nil {
			b.Fatal(err)
		}
		var got []string
		for _, s := range list {
			if s.Inbound {
				got = append(got, s.Hash)
			}
		}
		slices.Sort(got)
		want := slices.Sorted(slices.Values(all))
		if !slices.Equal(got, want) {
			b.find("%s has %d messages, want %d", to.Desk, len(got), len(want))
		}
		total += len(want)
	}
	for from, to := range map[*schakeltest.Member]*schakeltest.Member{b.pair.from: b.pair.to, b.pair.to: b.pair.from} {
		for _, hash := range b.sent[to] {
			s, err := from.Node.Trace(context.Background(), hash)
			if err != nil || len(s.Recipients) != 1 || s.Recipients[0].State != schakel.StateDelivered {
				b.find("%s does not know that %.8s was delivered: %+v %v", from.Desk, hash, s.Recipients, err)
			}
		}
	}
	if total < 5 {
		b.find("control: %d messages say little", total)
	}
	b.Logf("%d messages in %v", total, lived.Round(time.Minute))
}
