package oncall

import (
	"container/heap"
	"time"

	"schakel/relay/queue"
)

// entry is an envelope that waits for a person, as the holder of the timers knows it.
type entry struct {
	queue.Unattended
	timer  timer
	stored []byte    // the row as the journal has it; nil: none
	due    time.Time // of the next action, on the loop's clock
	place  int       // in the schedule; -1: not in it

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
	order byDue
}

// put adds an entry, or moves it to where its due time is.
func (s *schedule) put(e *entry) {
	if s.byRef[e.Ref] != e {
		s.byRef[e.Ref] = e
		e.place = -1
	}
	if e.place < 0 {
		heap.Push(&s.order, e)
		return
	}
	heap.Fix(&s.order, e.place)
}

func (s *schedule) remove(e *entry) {
	delete(s.byRef, e.Ref)
	if e.place >= 0 {
		heap.Remove(&s.order, e.place)
	}
}

// has reports that the envelope still waits.
func (s *schedule) has(e *entry) bool { return s.byRef[e.Ref] == e }

// next returns when the next is due, and false when nothing is scheduled.
func (s *schedule) next() (time.Time, bool) {
	if len(s.order) == 0 {
		return time.Time{}, false
	}
	return s.order[0].due, true
}

// take takes out of the order, but not out of the schedule, what is due.
func (s *schedule) take(now time.Time, most int) (list []*entry) {
	for len(list) < most && len(s.order) > 0 && !s.order[0].due.After(now) {
		list = append(list, heap.Pop(&s.order).(*entry))
	}
	return list
}

func (s *schedule) clear() {
	clear(s.byRef)
	s.order = nil
}

// byDue has the earliest first, and of those the loudest.
type byDue []*entry

var _ heap.Interface = (*byDue)(nil)

func (b byDue) Len() int { return len(b) }
func (b byDue) Less(i, j int) bool {
	if b[i].due.Equal(b[j].due) {
		return b[i].Tier > b[j].Tier
	}
	return b[i].due.Before(b[j].due)
}
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
