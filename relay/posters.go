package relay

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// posters limits register entries posted without a login: an address first, so that
// one that floods does not use up what all have together.
type posters struct {
	perMinute int
	all       *rate.Limiter

	mu     sync.Mutex // guards byHost
	byHost map[string]*rate.Limiter
}

// mostPosters bounds the addresses remembered. Beyond it strangers share one place.
const mostPosters = 4096

func newPosters(perMinute int) *posters {
	return &posters{perMinute: perMinute, all: limiterOf(perMinute), byHost: make(map[string]*rate.Limiter)}
}

// limiterOf allows so many a minute, a quarter of them at once.
func limiterOf(perMinute int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perMinute)/60, max(1, perMinute/4))
}

// allow reports whether an address may post one entry now. What is refused to an
// address costs the others nothing.
func (p *posters) allow(host string, now time.Time) bool {
	return p.of(host).AllowN(now, 1) && p.all.AllowN(now, 1)
}

// of is the limiter of an address, which has half of what all have together.
func (p *posters) of(host string) *rate.Limiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.byHost[host]; l != nil {
		return l
	}
	if len(p.byHost) >= mostPosters {
		host = ""
		if l := p.byHost[host]; l != nil {
			return l
		}
	}
	l := limiterOf(max(1, p.perMinute/2))
	p.byHost[host] = l
	return l
}

// forget drops addresses that have their full allowance again.
func (p *posters) forget(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for host, l := range p.byHost {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(p.byHost, host)
		}
	}
}
