package schakel

import (
	"sync"
	"time"
)

// subscribers hands events to whoever listens. An event is a hint to look again,
// never the truth itself, so a slow listener loses the oldest hints and nobody waits.
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

// offer puts e into ch and drops the oldest event where there is no room. The
// caller holds the lock, so nobody else puts.
func offer(ch chan Event, e Event) {
	for {
		select {
		case ch <- e:
			return
		default:
		}
		select {
		case <-ch:
		default:
		}
	}
}

// Subscribe returns events from now on. A subscriber that does not keep up loses
// the oldest ones: events are hints to look again. cancel ends it.
func (n *Node) Subscribe() (events <-chan Event, cancel func()) { return n.events.subscribe() }

func (n *Node) publish(kind EventKind, message, desk string) {
	n.events.publish(Event{Kind: kind, Message: message, Desk: desk, At: n.now().UTC().Truncate(time.Millisecond)})
}
