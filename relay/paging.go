package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/oncall"
	"schakel/relay/page"
	"schakel/relay/queue"
	"schakel/relay/rota"
	"schakel/relay/wire"
)

// Paging is what a relay needs to call people.
type Paging struct {
	Journal  oncall.Journal // the caller closes it after Run
	Points   oncall.Points
	Operator []page.Point // called where nobody else can be
	// DeadMan is the silence after which nobody may count on pages; zero: that of oncall.
	DeadMan time.Duration
}

// pager has people called for what nobody attends, and answers devices about it. A
// relay without paging has nil.
type pager struct {
	loop  *oncall.Loop
	tests tests
}

// newPager returns nil where nothing is configured.
func newPager(r *Relay) (*pager, error) {
	p := r.config.Paging
	if p == nil {
		return nil, nil
	}
	store, ok := r.config.Store.(oncall.Waiting)
	if !ok {
		return nil, errors.New("failed to make a relay: mailboxes that cannot say what waits")
	}
	loop, err := oncall.New(oncall.Config{
		Journal: p.Journal, Waiting: store, Points: p.Points, Operator: p.Operator, Tell: r.tellUnattended,
		Log: r.log, Now: r.config.Now, Metrics: oncall.NewMetrics(r.registry), DeadMan: p.DeadMan,
	})
	if err != nil {
		return nil, err
	}
	return &pager{loop: loop, tests: tests{byDesk: make(map[identity.DeskID]*test)}}, nil
}

// page calls people until ctx ends.
func (r *Relay) page(ctx context.Context) {
	if r.pager == nil {
		return
	}
	if err := r.pager.loop.Run(ctx); err != nil {
		r.fail(fmt.Errorf("paging failed: %w", err))
	}
	r.pager.tests.end()
}

// RemovePlan takes away the plan of a desk, and reports whether there was one; a relay
// without paging has none.
func (r *Relay) RemovePlan(ctx context.Context, desk identity.DeskID) (had bool, err error) {
	if r.pager == nil {
		return false, nil
	}
	if had, err = r.pager.loop.Remove(ctx, desk); errors.Is(err, queue.ErrIndeterminate) {
		r.fail(fmt.Errorf("paging failed: %w", err))
	}
	return had, err
}

// silent reports that nobody may count on pages.
func (p *pager) silent() bool { return p != nil && p.loop.Silent() }

// heard tells the pager what a durable batch changed, before anybody is answered.
func (p *pager) heard(batch []queue.Entry) {
	if p == nil {
		return
	}
	for i := range batch {
		result := &batch[i].Result
		if result.Err != nil {
			continue
		}
		switch op := batch[i].Op.(type) {
		case *queue.Put:
			if op.Tier != envelope.TierNone && !result.Duplicate {
				p.loop.Put(queue.Unattended{
					Ref: queue.Ref{Desk: op.Desk, ID: op.ID}, Tier: op.Tier, Created: op.Created, Expires: op.Expires,
					Position: result.Position, Sealer: op.Sealer, SealerDesk: op.SealerDesk,
				})
			}
		case *queue.Attend:
			p.loop.Done(queue.Ref{Desk: op.Desk, ID: op.ID})
		}
		for _, e := range result.Expired {
			p.loop.Done(e.Ref)
		}
	}
}

// tellUnattended leaves a notice for the device that sealed an envelope. Where the
// store has lost who that was there is nobody to tell.
func (r *Relay) tellUnattended(ctx context.Context, u queue.Unattended) error {
	if u.SealerDesk == "" {
		r.log.Error("nobody attends, and whom to tell is lost", "id", u.ID.String())
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	result, err := r.committer.Do(ctx, &queue.Notice{
		Desk: u.SealerDesk, Device: u.Sealer, Kind: queue.NoticeUnattended, ID: u.ID, Created: r.seconds(),
	})
	return errors.Join(err, result.Err)
}

// pagerAsks is how many questions a plan or a look into the log of pages counts for: a
// plan is written to the disk that timers are on, and the log is read as a whole.
const pagerAsks = 8

// askPager takes the frames about pages. What waits for channels answers later.
func (s *session) askPager(ctx context.Context, f wire.Frame) error {
	allowed := s.meter.asks.AllowN(s.relay.config.Now(), min(pagerAsks, s.relay.config.Limits.AsksPerSecond))
	p := s.relay.pager
	switch f := f.(type) {
	case wire.Plan:
		answer := wire.PlanIs{Code: wire.CodeUnavailable}
		switch {
		case !allowed:
			answer.Code = wire.CodeRate
		case p != nil:
			serial, err := p.loop.Publish(ctx, s.rights.Desk, f.Plan)
			if s.relay.ended(s.rights.Desk) { // its plan may have been taken away before this one came
				_ = s.relay.dropPlan(context.WithoutCancel(ctx), s.rights.Desk)
			}
			answer = wire.PlanIs{Serial: serial, Code: codeOf(err)}
			s.log.Debug("plan published", "desk", string(s.rights.Desk), "serial", serial, "code", answer.Code.String())
		}
		s.answer(refusalWeight, answer)
	case wire.WantPages:
		if !allowed {
			return fmt.Errorf("%w: pages", errAsks)
		}
		answer := wire.PagesAre{Tag: f.Tag}
		if p != nil {
			var err error
			if answer.Pages, answer.More, err = p.loop.Pages(ctx, s.rights.Desk, f.Since); err != nil {
				s.log.Warn("the log of pages cannot be read", "error", err.Error())
			}
		}
		s.answer(refusalWeight*(1+len(answer.Pages)), answer)
	case wire.TestPage:
		s.testPage(ctx, f)
	}
	return nil
}

func (s *session) testPage(ctx context.Context, f wire.TestPage) {
	p := s.relay.pager
	if p == nil {
		s.answer(refusalWeight, wire.TestPageIs{Tag: f.Tag, Code: wire.CodeUnavailable})
		return
	}
	begun := p.tests.begin(s.rights.Desk, time.Now(), func() {
		err := p.loop.Test(context.WithoutCancel(ctx), s.rights.Desk, rota.Contact(f.Contact))
		s.answer(refusalWeight, wire.TestPageIs{Tag: f.Tag, Code: codeOf(err)})
	})
	if !begun {
		s.answer(refusalWeight, wire.TestPageIs{Tag: f.Tag, Code: wire.CodeRate})
	}
}

// tests limits test pages: a desk has one at a time, and a few a minute, or it would
// be a way to ring somebody out of bed without an envelope.
type tests struct {
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows
	byDesk map[identity.DeskID]*test
	ended  bool // none begins any more: the journal will be closed
}

type test struct {
	rate    *rate.Limiter
	running bool
}

// end waits for what runs. Sessions that drain may ask for more, and get none.
func (t *tests) end() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.running.Wait()
}

// testsPerMinute is what a desk may send; as many at once.
const testsPerMinute = 6

// begin runs do, unless the desk has to wait.
func (t *tests) begin(desk identity.DeskID, now time.Time, do func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	is := t.byDesk[desk] // as many as there are desks in the register
	if is == nil {
		is = &test{rate: rate.NewLimiter(rate.Limit(testsPerMinute)/60, testsPerMinute)}
		t.byDesk[desk] = is
	}
	if t.ended || is.running || !is.rate.AllowN(now, 1) {
		return false
	}
	is.running = true
	t.running.Go(func() {
		defer func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			is.running = false
		}()
		do()
	})
	return true
}
