package schakel

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// A relay limits what a device hands in, and may be lying about it. So each desk keeps a
// quota of its own for every other: what one partner, or a relay together with it, can put
// before people here is bounded (F22). More than all that ever waited for a desk in our tests
// fits in it: a desk that was dark for a week must lose nothing of an honest partner.
const (
	floodMost  = 5000            // at once
	floodEvery = 6 * time.Second // one more
)

// ruleFlood is stated to a sender who sent more than this desk takes.
const ruleFlood = "te-veel"

var errFlood = errors.New("more messages of one desk than this one takes")

// quotas are what each other desk may still send. A node that starts anew begins with full
// ones: it cannot be made to by others.
type quotas struct {
	mu   sync.Mutex
	most int
	of   map[identity.DeskID]*rate.Limiter
}

func newQuotas() *quotas {
	return &quotas{most: floodMost, of: map[identity.DeskID]*rate.Limiter{}}
}

// take takes one message of a desk from its quota, and reports whether there was one left.
func (q *quotas) take(desk identity.DeskID, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.of[desk]
	if l == nil { // as many as there are desks in the register
		l = rate.NewLimiter(rate.Every(floodEvery), q.most)
		q.of[desk] = l
	}
	return l.AllowN(now, 1)
}

// calm reports whether half of a desk's quota is there again.
func (q *quotas) calm(desk identity.DeskID, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.of[desk]
	return l == nil || l.TokensAt(now) >= float64(q.most)/2
}

// flooded refuses a message beyond the quota of its desk, which hears it. What is acute is
// taken all the same, and what says that a person took something: losing those harms people
// more than the flood does.
func (in *intake) flooded(a *arrival) error {
	m := a.signed.Message
	if has, err := in.tx.HasMessage(a.signed.Hash()); err != nil || has || a.from == in.n.dev.Desk || in.n.quotas.take(a.from, in.now) {
		return err
	}
	if m.Heading.Urgency != message.Acute && m.Heading.Class != protocol.ClassAcknowledgement {
		a.fault = &fault{reason: "flood", rule: ruleFlood, err: errFlood}
	}
	return in.raise(AlarmFlood, string(a.from), string(a.from))
}

// watchFloods ends the alarm once a desk has sent less for a while.
func (in *intake) watchFloods() error {
	alarms, err := in.tx.Alarms()
	for _, a := range alarms {
		if err == nil && AlarmKind(a.Kind) == AlarmFlood && in.n.quotas.calm(identity.DeskID(a.Subject), in.now) {
			err = in.clear(AlarmFlood, a.Subject)
		}
	}
	return err
}
