//go:build linux

package system_test

import (
	"context"
	"flag"
	"slices"
	"testing"
	"time"

	"schakel/crypto/identity"
)

var lineCuts = flag.Int("line-cuts", 12, "how many times a line is cut within a frame")

// calm is how many sessions a desk may lose on a line that is slow and bearable. More are
// a storm: a desk that tries again and again what cannot succeed.
const calm = 3

// Faults 55, 56, 59 and 60: lines that are slow to answer, that carry a byte at a time or
// a kilobyte per second, and that break within a frame. Everything that was promised
// arrives, once and in order, and nobody else notices.
func TestBadLines(t *testing.T) {
	c := newChain(t)
	n := c.withLines()
	l := c.newLoad()
	l.connected(all...)
	storm := n.storm(l)
	rest := l.without(doctor) // whose line is unbearable meanwhile
	t.Run("two seconds", func(t *testing.T) { twoSeconds(t, rest, n) })
	t.Run("byte by byte", func(t *testing.T) { byteByByte(t, rest, n) })
	t.Run("a kilobyte per second", func(t *testing.T) { kilobytes(t, rest, n) })
	t.Run("the storm is seen", func(t *testing.T) { storm(t) })
	t.Run("cut within a frame", func(t *testing.T) { cutWithinFrames(t, l, n) })
	tally, wrong := l.settle(patience)
	l.report(tally, wrong)
	l.stated(patience)
}

// all are the desks of a load, and good those whose lines are bad and bearable.
var (
	all  = []identity.DeskID{piket, doctor, safe, police, om}
	good = []identity.DeskID{piket, safe, police, om}
)

// without is the load without one of its senders.
func (l *load) without(id identity.DeskID) *load {
	rest := *l
	rest.senders = slices.DeleteFunc(slices.Clone(l.senders), func(s *sender) bool { return s.desk == id })
	return &rest
}

// storm begins the control of two seconds: with twelve, a desk tries in vain. What it
// returns waits until that is seen, and ends it.
func (n *lines) storm(l *load) (seen func(*testing.T)) {
	heal := n.trouble("latency", []string{up}, map[string]int64{"latency": 12_000}, doctor)
	l.desks[doctor].daemon.kill()
	before := l.lost(doctor)
	l.startDesk(doctor)
	return func(t *testing.T) {
		eventually(t, "more sessions are lost than on a bearable line", patience, func() bool { return l.lost(doctor)-before > calm })
		heal()
		l.connected(all...)
	}
}

// twoSeconds: an answer takes between one second and three. Sessions stand, and a desk
// that begins gets in.
func twoSeconds(t *testing.T, l *load, n *lines) {
	before := l.lost(good...)
	heal := n.trouble("latency", []string{up, down}, map[string]int64{"latency": 1000, "jitter": 500}, good...)
	l.sendEach(few)
	took := l.allArrive("over slow lines")
	lost := l.lost(good...) - before
	t.Logf("with two seconds to an answer everything is here after %s, and %d sessions were lost", took.Round(time.Millisecond), lost)
	if lost > calm {
		t.Errorf("%d sessions were lost", lost)
	}
	l.desks[safe].daemon.kill()
	l.startDesk(safe)
	l.connected(safe)
	heal()
}

// byteByByte: every write on the line is of one byte, from the first of the handshake.
func byteByByte(t *testing.T, l *load, n *lines) {
	heal := n.trouble("slicer", []string{up, down}, map[string]int64{"average_size": 1}, good...)
	before := n.single.Load()
	l.desks[safe].daemon.kill()
	l.startDesk(safe)
	l.sendEach(few)
	l.allArrive("byte by byte")
	// The control: a busy machine reads several slices at once, and still one by one at times.
	eventually(t, "a thousand reads have brought one byte", patience, func() bool {
		l.sendEach(1)
		return n.single.Load()-before >= 1000
	})
	heal()
}

// kilobytes: one desk's line carries a kilobyte per second, both ways. What others send
// arrives long before, and the relay does not grow.
func kilobytes(t *testing.T, l *load, n *lines) {
	heal := n.trouble("bandwidth", []string{up, down}, map[string]int64{"rate": 1}, om)
	slow, others := l.without(safe).without(police), l.without(om)
	slow.sendEach(5 * few) // minutes, on that line
	others.sendEach(few)
	took := others.allArrive("from desks on good lines")
	st, err := l.desks[om].client.Status(t.Context())
	if err != nil || st.NotAtRelay == 0 { // the control
		t.Errorf("all of the slow desk is at the relay, %v: its line is not slow", err)
	}
	t.Logf("everything of others is here after %s; %d of the slow desk are not at the relay", took.Round(time.Millisecond), st.NotAtRelay)
	l.boundedRelays("has a desk at a kilobyte per second")
	heal()
	slow.allArrive("when the line is good again")
}

// place is one direction of one line, and about how much one message brings there.
type place struct {
	desk   identity.DeskID
	stream string
	bytes  int
}

var places = []place{{doctor, up, 5000}, {doctor, down, 400}, {piket, down, 5000}, {piket, up, 300}}

// cutWithinFrames cuts a line after so many bytes of what a message brings: within its
// envelope, its receipt, its delivery or its acknowledgement.
func cutWithinFrames(t *testing.T, l *load, n *lines) {
	for i := range *lineCuts {
		at := places[i%len(places)]
		bytes := i / len(places)
		if !*full { // spread over what there is
			bytes = bytes * len(places) * at.bytes / *lineCuts
		}
		l.cut(n, at, 1+bytes%at.bytes)
	}
	l.allArrive("over lines that were cut")
}

// cut sends until a line has been cut that breaks after so many bytes.
func (l *load) cut(n *lines, at place, bytes int) {
	l.t.Helper()
	l.connected(doctor, piket)
	before := n.calls[at.desk].Load()
	heal := n.trouble("limit_data", []string{at.stream}, map[string]int64{"bytes": int64(bytes)}, at.desk)
	eventually(l.t, "the line is cut", patience, func() bool {
		for _, s := range l.senders {
			if s.desk == doctor {
				_ = s.send(context.WithoutCancel(l.t.Context()))
			}
		}
		return within(200*time.Millisecond, 10*time.Millisecond, func() bool { return n.calls[at.desk].Load() > before })
	})
	heal()
}

// Control: where acknowledgements get lost, a client that does not notice repetitions
// tells its application twice.
func TestBadLinesFindRepetitions(t *testing.T) {
	c := newChain(t)
	c.programs = must[programs](t)(twiceClient())
	n := c.withLines()
	l := c.newLoad()
	for range 50 {
		if l.to.repeated.Load() > 0 {
			break
		}
		l.cut(n, place{piket, up, 1}, 1)
	}
	_, wrong := l.settle(patience)
	t.Logf("%d faults found, such as %q", len(wrong), append(wrong, "")[0])
	if len(wrong) == 0 {
		t.Error("a client that does not notice repetitions passes")
	}
}
