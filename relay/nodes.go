package relay

import (
	"context"
	"errors"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/register"
	"schakel/relay/wire"
)

// sharedNodes is a store by which several relays agree on more than mailboxes: each
// session of a device has a number, higher than those before it, and the newest stays.
type sharedNodes interface {
	Begin(ctx context.Context, desk identity.DeskID, device identity.DeviceID) (uint64, error)
	Latest(ctx context.Context, devices map[identity.DeskID][]identity.DeviceID) (map[identity.DeviceID]uint64, error)
	// Attend tells what other relays did, until ctx ends; it may miss some.
	Attend(ctx context.Context, grown func(), begun func(identity.DeviceID, uint64))
}

// nodes returns the store as one that other relays share, or nil.
func (r *Relay) nodes() sharedNodes {
	n, _ := r.config.Store.(sharedNodes)
	return n
}

// follow takes over what other relays do: at once when they tell, and once per
// Limits.Sweep because a word may be lost.
func (r *Relay) follow(ctx context.Context) {
	nodes := r.nodes()
	if nodes == nil {
		return
	}
	grown := make(chan struct{}, 1)
	go func() {
		defer close(grown)
		nodes.Attend(ctx, func() { signal(grown) }, r.hub.begun)
	}()
	tick := time.NewTicker(r.config.Limits.Sweep)
	defer tick.Stop()
	for {
		select {
		case _, attending := <-grown:
			if !attending { // ctx has ended
				return
			}
		case <-tick.C:
			r.compareSessions(ctx, nodes)
		}
		r.followRegister(ctx)
	}
}

// followRegister ends the relay when there are two registers, or its file fails:
// serving on would show clients something else than the other relays do.
func (r *Relay) followRegister(ctx context.Context) {
	err := r.config.Register.Follow(ctx, r.config.Now())
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, register.ErrClosed):
		r.metrics.registerLate.Set(0)
	case errors.Is(err, register.ErrFork), errors.Is(err, register.ErrFailed):
		r.fail(err)
	default:
		r.metrics.registerLate.Set(1)
		r.log.Warn("the shared register cannot be followed", "error", err.Error())
	}
}

// begin gives a session its number. Where the store does not answer the device gets
// in all the same, and its number with the next comparison: two sessions of a device
// cost a delivery more, which it recognises; none costs its messages.
func (r *Relay) begin(ctx context.Context, s *session) uint64 {
	nodes := r.nodes()
	if nodes == nil {
		return 0
	}
	r.hub.expect(s)
	number, err := nodes.Begin(ctx, s.rights.Desk, s.rights.Device)
	if err != nil {
		r.log.Warn("session begins without a number", "device", s.rights.Device.String(), "error", err.Error())
		return 0
	}
	return number
}

// mostNumbered bounds the sessions that get their number in one comparison.
const mostNumbered = 1000

// compareSessions ends sessions that are not the newest of their device, in case a
// word was lost, and gives those a number that could not get one.
func (r *Relay) compareSessions(ctx context.Context, nodes sharedNodes) {
	err := r.numberSessions(ctx, nodes)
	if err == nil {
		var latest map[identity.DeviceID]uint64
		latest, err = nodes.Latest(ctx, r.hub.numbered())
		r.hub.compare(latest)
	}
	if err != nil && ctx.Err() == nil {
		r.log.Warn("sessions cannot be compared with those of other relays", "error", err.Error())
	}
}

func (r *Relay) numberSessions(ctx context.Context, nodes sharedNodes) error {
	for _, s := range r.hub.unnumbered() {
		number, err := nodes.Begin(ctx, s.rights.Desk, s.rights.Device)
		if err != nil {
			return err
		}
		r.hub.number(s, number)
	}
	return nil
}

// newest is what this relay knows of the sessions of a device anywhere, for as long
// as the device is here.
type newest struct {
	number   uint64 // the highest heard of
	sessions int    // here, also those that are still logging in
}

// expect makes the hub listen for sessions of a device that is logging in: one that
// begins elsewhere before this one is in must not go unheard.
func (h *hub) expect(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.newest[s.rights.Device]
	if n == nil {
		n = &newest{}
		h.newest[s.rights.Device] = n
	}
	n.sessions++
	s.expected = true
}

// forgo ends what expect began. The caller holds mu.
func (h *hub) forgo(s *session) {
	n := h.newest[s.rights.Device]
	if !s.expected || n == nil {
		return
	}
	if n.sessions--; n.sessions == 0 {
		delete(h.newest, s.rights.Device)
	}
}

// begun hears of a session elsewhere, and ends the one of that device here if it is
// older. One that got no number is: it began before this word came.
func (h *hub) begun(device identity.DeviceID, number uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.newest[device]
	if n == nil {
		return
	}
	n.number = max(n.number, number)
	if s := h.byDevice[device]; s != nil && s.number < number {
		s.end(wire.CloseEvicted)
	}
}

// compare ends sessions that are older than the latest of their devices.
func (h *hub) compare(latest map[identity.DeviceID]uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for device, number := range latest {
		if s := h.byDevice[device]; s != nil && s.number > 0 && s.number < number {
			s.end(wire.CloseEvicted)
		}
	}
}

// number gives a session its number later than its login.
func (h *hub) number(s *session, number uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.number = number
	if n := h.newest[s.rights.Device]; n != nil && number >= n.number {
		n.number = number
	} else {
		s.end(wire.CloseEvicted)
	}
}

// unnumbered are live sessions that have no number yet.
func (h *hub) unnumbered() (list []*session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.byDevice {
		if s.number == 0 && len(list) < mostNumbered {
			list = append(list, s)
		}
	}
	return list
}

// numbered are the devices whose live session has a number, by desk.
func (h *hub) numbered() map[identity.DeskID][]identity.DeviceID {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make(map[identity.DeskID][]identity.DeviceID)
	for id, s := range h.byDevice {
		if s.number > 0 {
			all[s.rights.Desk] = append(all[s.rights.Desk], id)
		}
	}
	return all
}
