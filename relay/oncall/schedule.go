package oncall

import (
	"container/heap"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay/queue"
)

// entry is an envelope that waits for a person, as the holder of the timers knows it.
type entry struct {
	queue.Unattended
	timer  timer
	stored []byte    // the row as the journal has it; nil: none
	due    time.Time // of the next action, on the loop's clock
	place  int       // in the schedule; -1: not in it
	survey uint64    // the latest that saw it

	calls    int       // contacts that have not answered for the latest rung
	reached  bool      // one of them was
	noPlan   bool      // the desk has none: the sender hears at the first rung
	nobody   bool      // not even everyone could be reached: the sender hears now
	alarming bool      // the sender is being told
	tell     time.Time // not before this: it failed
	level    int       // of the latest rung
}

// schedule finds what is due next without looking at the rest.
type schedule struct {
	byRef map[queue.Ref]*entry
	order [envelope.TierAcute + 1]byDue // by tier: however much else is late, the loudest goes first
}

func (s *schedule) of(e *entry) *byDue { return &s.order[min(e.Tier, envelope.TierAcute)] }

// put adds an entry, or moves it to where its due time is.
func (s *schedule) put(e *entry) {
	if s.byRef[e.Ref] != e {
		s.byRef[e.Ref] = e
		e.place = -1
	}
	if e.place < 0 {
		heap.Push(s.of(e), e)
		return
	}
	heap.Fix(s.of(e), e.place)
}

func (s *schedule) remove(e *entry) {
	delete(s.byRef, e.Ref)
	if e.place >= 0 {
		heap.Remove(s.of(e), e.place)
	}
}

// has reports that the envelope still waits.
func (s *schedule) has(e *entry) bool { return s.byRef[e.Ref] == e }

// next returns when the next is due, and false when nothing is scheduled.
func (s *schedule) next() (time.Time, bool) {
	due, any := time.Time{}, false
	for _, order := range s.order {
		if len(order) > 0 && (!any || order[0].due.Before(due)) {
			due, any = order[0].due, true
		}
	}
	return due, any
}

// take takes out of the order, but not out of the schedule, what is due: the loudest first.
func (s *schedule) take(now time.Time, most int) (list []*entry) {
	for tier := len(s.order) - 1; tier >= 0; tier-- {
		order := &s.order[tier]
		for len(list) < most && len(*order) > 0 && !(*order)[0].due.After(now) {
			list = append(list, heap.Pop(order).(*entry))
		}
	}
	return list
}

func (s *schedule) clear() {
	clear(s.byRef)
	clear(s.order[:])
}

// byDue has the earliest first.
type byDue []*entry

var _ heap.Interface = (*byDue)(nil)

func (b byDue) Len() int           { return len(b) }
func (b byDue) Less(i, j int) bool { return b[i].due.Before(b[j].due) }
func (b byDue) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].place, b[j].place = i, j
}

// Push implements heap.Interface.
func (b *byDue) Push(x any) {
	e := x.(*entry)
	e.place = len(*b)
	*b = append(*b, e)
}

// Pop implements heap.Interface.
func (b *byDue) Pop() any {
	old := *b
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*b = old[:len(old)-1]
	e.place = -1
	return e
}
