package relay

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// hub knows every live session, also those that have not logged in: it is the
// registry of connections that the HTTP server no longer knows about.
type hub struct {
	relay   *Relay
	posters *posters
	group   sync.WaitGroup

	mu       sync.Mutex // guards what follows; held for map work only
	all      map[*session]struct{}
	turn     int // of the session that was started last
	byDevice map[identity.DeviceID]*session
	byDesk   map[identity.DeskID]map[*session]struct{}
	meters   map[identity.DeviceID]*meter
	newest   map[identity.DeviceID]*newest // where the store is shared
	closed   bool
}

// meter holds a device's rates, and what it owes. It outlives the session, or whoever
// reconnects would start with a full allowance each time, and without debt.
type meter struct {
	puts *rate.Limiter
	asks *rate.Limiter
	idle time.Time // since when no session uses it; zero: one does
	debt debt
}

func newHub(r *Relay) *hub {
	return &hub{
		relay:    r,
		posters:  newPosters(r.config.Limits.EntriesPerMin),
		all:      make(map[*session]struct{}),
		byDevice: make(map[identity.DeviceID]*session),
		byDesk:   make(map[identity.DeskID]map[*session]struct{}),
		meters:   make(map[identity.DeviceID]*meter),
		newest:   make(map[identity.DeviceID]*newest),
	}
}

// start runs a session, unless the relay is ending.
func (h *hub) start(s *session) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.all[s] = struct{}{}
	h.turn = (h.turn + 1) % sweepParts
	s.turn = h.turn
	h.group.Go(func() {
		defer h.leave(s)
		s.run()
	})
	return true
}

// enter makes a session the live one of its device, and ends the one before: the
// newest wins, because the older may be a connection that only this side believes
// in. Where several relays share the store a number says which is the newest; 0 is
// none. It returns the device's meter.
func (h *hub) enter(s *session, number uint64) *meter {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.number = number
	if n := h.newest[s.rights.Device]; n != nil && number > 0 && number < n.number {
		s.end(wire.CloseEvicted) // another began while this one did
	} else {
		if n != nil {
			n.number = max(n.number, number)
		}
		if old := h.byDevice[s.rights.Device]; old != nil {
			old.end(wire.CloseEvicted)
		}
		h.byDevice[s.rights.Device] = s
	}
	desk := h.byDesk[s.rights.Desk]
	if desk == nil {
		desk = make(map[*session]struct{})
		h.byDesk[s.rights.Desk] = desk
	}
	desk[s] = struct{}{}
	h.relay.metrics.sessions.Set(float64(len(h.byDevice)))
	m := h.meters[s.rights.Device]
	if m == nil {
		l := h.relay.config.Limits
		m = &meter{
			puts: rate.NewLimiter(rate.Limit(l.PutsPerSecond), 2*l.PutsPerSecond),
			asks: rate.NewLimiter(rate.Limit(l.AsksPerSecond), 4*l.AsksPerSecond),
		}
		h.meters[s.rights.Device] = m
	}
	m.idle = time.Time{}
	return m
}

func (h *hub) leave(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, s)
	h.forgo(s)
	if desk := h.byDesk[s.rights.Desk]; desk != nil {
		delete(desk, s)
		if len(desk) == 0 {
			delete(h.byDesk, s.rights.Desk)
		}
	}
	if h.byDevice[s.rights.Device] == s {
		delete(h.byDevice, s.rights.Device)
		if m := h.meters[s.rights.Device]; m != nil {
			m.idle = time.Now()
		}
	}
	h.relay.metrics.sessions.Set(float64(len(h.byDevice)))
}

func (h *hub) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all)
}

// ring wakes the sessions of a desk: this relay has written to its mailbox.
func (h *hub) ring(desk identity.DeskID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.byDesk[desk] {
		s.ring()
	}
}

// rungElsewhere is ring for what another relay wrote.
func (h *hub) rungElsewhere(desk identity.DeskID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.byDesk[desk] {
		s.lookAgain()
	}
}

// each calls f for a snapshot of all sessions, without holding the lock.
func (h *hub) each(f func(*session)) {
	h.mu.Lock()
	list := make([]*session, 0, len(h.all))
	for s := range h.all {
		list = append(list, s)
	}
	h.mu.Unlock()
	for _, s := range list {
		f(s)
	}
}

// endAll ends every session and refuses new ones.
func (h *hub) endAll(code wire.CloseCode) {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.each(func(s *session) { s.end(code) })
}

// refuse starts no more sessions; those that are, stay.
func (h *hub) refuse() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

func (h *hub) wait() { h.group.Wait() }

// meterLife is how long a device's rates are remembered after its session.
const meterLife = time.Minute

func (h *hub) forgetMeters(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, m := range h.meters {
		if !m.idle.IsZero() && now.Sub(m.idle) > meterLife {
			delete(h.meters, id)
		}
	}
}
