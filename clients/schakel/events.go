package schakel

import (
	"sync"
	"time"
)

// subscribers hands events to whoever listens. An event is a hint to look again,
// never the truth itself, so a slow listener loses the oldest hints, is told so, and nobody waits.
type subscribers struct {
	mu   sync.Mutex
	next int
	all  map[int]chan Event
}

const eventBuffer = 256

func (s *subscribers) subscribe() (<-chan Event, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[int]chan Event{}
	}
	id := s.next
	s.next++
	ch := make(chan Event, eventBuffer)
	s.all[id] = ch
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.all[id]; ok {
			delete(s.all, id)
			close(ch)
		}
	}
}

func (s *subscribers) publish(events ...Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		for _, ch := range s.all {
			offer(ch, e)
		}
	}
}

// offer puts e into ch. Where there is no room the older half makes way for one event that
// says so: who hands events on must not keep that others missed some. The caller holds the
// lock, so nobody else puts.
func offer(ch chan Event, e Event) {
	select {
	case ch <- e:
		return
	default:
	}
	for range cap(ch) / 2 {
		select {
		case <-ch:
		default:
		}
	}
	ch <- Event{Kind: EventGap, At: e.At}
	ch <- e
}

// Subscribe returns events from now on. A subscriber that does not keep up loses
// the oldest ones, which EventGap tells: events are hints to look again. cancel ends it.
func (n *Node) Subscribe() (events <-chan Event, cancel func()) { return n.events.subscribe() }

func (n *Node) publish(kind EventKind, message, desk string) {
	n.events.publish(Event{Kind: kind, Message: message, Desk: desk, At: n.now().UTC().Truncate(time.Millisecond)})
}
