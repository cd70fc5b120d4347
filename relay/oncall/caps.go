package oncall

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/page"
)

// A plan may name 64 points anywhere, and whoever sends that desk acute envelopes has
// each of them called every few seconds: a relay must not be made to flood somebody
// else's server. So there is a budget for each point, for each desk, and for each
// registered domain, and all three must have something left.
//
// Nobody spends another's. Points and domains are counted for each organisation apart: one
// that floods a mailbox that everybody can guess, or a host that all partners use, takes
// nothing from whoever is called there in earnest. And what is less urgent leaves a part of
// each budget to what is acute.
//
// A page over its budget does not go out, and the desk's log says so. For the ladder it is
// as one that nobody took: the next rung is due at once, and at last the operator.
var budgets = struct{ point, desk, domain budget }{
	point:  budget{8, 4 * time.Second}, // in the long run what the gap of acute pages allows
	desk:   budget{128, time.Second / 2},
	domain: budget{256, time.Second / 4},
}

// budget is how many pages may go out at once, and after how long one more may.
type budget struct {
	most int
	each time.Duration
}

// kept is the part of a budget that a tier leaves alone.
var kept = [...]float64{
	envelope.TierNone: 0.5, envelope.TierRoutine: 0.5, envelope.TierUrgent: 0.25, envelope.TierAcute: 0,
}

// caps is what the desks have spent.
type caps struct {
	elapsed func() time.Duration

	mu    sync.Mutex // guards what follows
	spent map[spender]*rate.Limiter
	swept time.Duration
}

// spender is whose budget it is: an organisation's for a point or a domain, or a desk's.
type spender struct{ whose, what string }

// ample is after how long any budget is whole again, and need not be remembered.
const ample = 2 * time.Minute

func newCaps(elapsed func() time.Duration) *caps {
	return &caps{elapsed: elapsed, spent: make(map[spender]*rate.Limiter)}
}

// take spends one page of a tier at a point, or reports that there is no budget for it.
func (c *caps) take(desk identity.DeskID, p page.Point, tier envelope.Tier) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Time{}.Add(c.elapsed())
	c.forget(now)
	org := string(desk.Org())
	var all [3]*rate.Limiter
	for i, s := range [...]struct {
		spender
		budget
	}{
		{spender{string(desk), "desk"}, budgets.desk},
		{spender{org, "domain " + p.Domain()}, budgets.domain},
		{spender{org, "point " + p.Channel + " " + strings.ToLower(p.Target)}, budgets.point},
	} { // the widest first: nothing is remembered of a point that nothing is spent at
		all[i] = c.of(s.spender, s.budget)
		if all[i].TokensAt(now) < 1+kept[min(tier, envelope.TierAcute)]*float64(s.most) {
			return false
		}
	}
	for _, l := range all {
		l.AllowN(now, 1)
	}
	return true
}

func (c *caps) of(s spender, b budget) *rate.Limiter {
	if c.spent[s] == nil {
		c.spent[s] = rate.NewLimiter(rate.Every(b.each), b.most)
	}
	return c.spent[s]
}

// forget drops the budgets that are whole. What is left is bounded by what the desks may
// spend in that time.
func (c *caps) forget(now time.Time) {
	if at := c.elapsed(); at-c.swept >= ample {
		c.swept = at
		for s, l := range c.spent {
			if l.TokensAt(now) >= float64(l.Burst()) {
				delete(c.spent, s)
			}
		}
	}
}

// capped are the points of a desk, within its budget.
type capped struct {
	Points
	caps *caps
	desk identity.DeskID
}

// For implements Points. What cannot be used spends nothing.
func (c capped) For(p page.Point) (page.Notifier, error) {
	n, err := c.Points.For(p)
	if err != nil {
		return nil, err
	}
	return spending{n, func(t envelope.Tier) bool { return c.caps.take(c.desk, p, t) }}, nil
}

// spending is a way to a person that a budget goes by.
type spending struct {
	page.Notifier
	take func(envelope.Tier) bool
}

// Notify implements page.Notifier.
func (s spending) Notify(ctx context.Context, p page.Page) error {
	if !s.take(p.Tier) {
		return page.ErrCapped
	}
	return s.Notifier.Notify(ctx, p)
}

// within are the points that a desk names, within its budget.
func (l *Loop) within(desk identity.DeskID) Points { return capped{l.config.Points, l.caps, desk} }
