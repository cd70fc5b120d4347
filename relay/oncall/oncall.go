// Package oncall calls the person who is on call for an envelope that nobody has
// attended, again and again and one person after the other, as the ladder of the desk
// says.
//
//	loop, err := oncall.New(oncall.Config{Journal: journal, Waiting: store, Points: channels, Tell: notice})
//	loop.Put(unattended)     // after each commit: what came, and what need not wait
//	err = loop.Run(ctx)      // until ctx ends; an error ends the process
//
// Timers are rows of a [Journal]. A rung is written as begun before anybody is
// paged for it, so that a restart neither forgets a page nor sends it twice; only
// what was on its way when the process died is sent again. Of several nodes on one
// journal one holds the timers, and another takes over when it falls silent.
//
// It fails open. A page too many is better than one too few: a timer that is damaged
// begins again, a journal that does not answer does not stop who held it from paging,
// and a desk without a plan, or whose contacts cannot be reached, has the operator of
// the relay called and the sender told.
package oncall

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/page"
	"schakel/relay/queue"
	"schakel/relay/wire"
)

// Config is what a Loop needs; the zero value of optional fields is a sound default.
type Config struct {
	Journal Journal
	Waiting Waiting
	Points  Points
	// Tell lets the sender of an envelope know that nobody attends it: durable when it
	// returns nil. It is called again after an error.
	Tell func(ctx context.Context, u queue.Unattended) error
	// Operator is called when a desk has published no plan, when nobody in its plan can
	// be reached, and when the loop itself is silent.
	Operator []page.Point

	Log      *slog.Logger         // nil discards
	Now      func() time.Time     // the clock on the wall; nil: time.Now
	Elapsed  func() time.Duration // what has passed since any fixed moment; nil: since New
	Metrics  *Metrics             // nil: none are kept
	Beat     time.Duration        // between two looks at the journal; default 1 s
	Lease    time.Duration        // after this silence another node takes over; default 3 s
	DeadMan  time.Duration        // after this silence the alarm fires; default 30 s
	Rescan   time.Duration        // between two looks at all that waits; default 10 min
	Patience time.Duration        // with one page; default 15 s
}

// Waiting lists what nobody attended; see queue.Store.
type Waiting interface {
	Waiting(ctx context.Context, after queue.Ref, limit int) ([]queue.Unattended, error)
}

// Points makes a way to a person of a contact point; page.Channels does.
type Points interface {
	For(p page.Point) (page.Notifier, error)
}

// ErrSilent ends Run when its loop has not answered for twice Config.DeadMan: the
// process must end and start again.
var ErrSilent = errors.New("the loop that pages is silent")

// Loop keeps the timers. Make it with New and call Run once.
type Loop struct {
	config Config
	log    *slog.Logger
	node   string
	clock  clock

	wake   chan struct{} // capacity 1: the inbox has something
	beat   atomic.Int64  // when the journal last answered, as Config.Elapsed counts
	turned atomic.Int64  // when the loop last got on

	mu    sync.Mutex // guards inbox
	inbox inbox

	// Owned by Run.
	lease    Lease
	heard    time.Duration // when the journal last said that this node holds
	asked    time.Duration // when it was last asked
	arrivals time.Duration // when it was last asked what came by other nodes
	scanned  time.Duration // when the last look at all that waits ended
	lookAll  bool          // something may have been missed
	survey   *survey       // nil: none is on its way
	surveys  uint64        // how many have begun
	schedule schedule
	unnoted  []queue.Ref         // without a row
	noted    time.Duration       // when rows were last written for those
	changed  map[*entry]struct{} // whose rows are behind
	plans    map[identity.DeskID]*deskPlan
	planless time.Duration // no plan is asked for before: one could not be read
	contacts map[contactKey]*contact
	caps     *caps
	unlogged map[identity.DeskID][]wire.Paged

	workers sync.WaitGroup
}

// New returns a loop that is ready for Run.
func New(c Config) (*Loop, error) {
	if c.Journal == nil || c.Waiting == nil || c.Points == nil || c.Tell == nil {
		return nil, errors.New("failed to make a pager: journal, mailboxes, channels or notices missing")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Elapsed == nil {
		began := time.Now()
		c.Elapsed = func() time.Duration { return time.Since(began) }
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	for _, d := range []struct {
		is       *time.Duration
		fallback time.Duration
	}{
		{&c.Beat, time.Second}, {&c.Lease, 3 * time.Second}, {&c.DeadMan, 30 * time.Second},
		{&c.Rescan, 10 * time.Minute}, {&c.Patience, 15 * time.Second},
	} {
		if *d.is <= 0 {
			*d.is = d.fallback
		}
	}
	l := &Loop{
		config: c, log: c.Log, node: rand.Text(), clock: clock{elapsed: c.Elapsed},
		wake: make(chan struct{}, 1), caps: newCaps(c.Elapsed), contacts: make(map[contactKey]*contact), unlogged: make(map[identity.DeskID][]wire.Paged),
	}
	l.plans = make(map[identity.DeskID]*deskPlan)
	l.schedule.byRef, l.changed = make(map[queue.Ref]*entry), make(map[*entry]struct{})
	l.asked, l.scanned = -c.Beat, -c.Rescan
	return l, nil
}

// inbox is what others leave for the loop.
type inbox struct {
	news        []any // queue.Unattended came, queue.Ref need not wait
	missed      bool  // there was no room for some
	answers     []answer
	told        []told
	republished []identity.DeskID
}

// mostNews bounds what waits for a loop that does not get on. Beyond it the loop looks
// at all that waits instead.
const mostNews = 1 << 17

// Put says that an envelope with a tier was stored. It never blocks.
func (l *Loop) Put(u queue.Unattended) { l.news(u) }

// Done says that an envelope was attended, or is gone. It never blocks. No page for
// it begins after the loop has heard of it.
func (l *Loop) Done(ref queue.Ref) { l.news(ref) }

func (l *Loop) news(item any) {
	l.leave(func(i *inbox) {
		if len(i.news) < mostNews {
			i.news = append(i.news, item)
			return
		}
		i.missed = true
	})
}

func (l *Loop) leave(what func(*inbox)) {
	l.mu.Lock()
	what(&l.inbox)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Loop) collect() inbox {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.inbox
	l.inbox = inbox{}
	return i
}
