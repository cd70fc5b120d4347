package relay

import (
	"sync"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// debt is since when a device acknowledges nothing of what it was handed. A slow one that
// gets on owes nothing for long.
type debt struct {
	mu     sync.Mutex
	handed queue.Position
	acked  queue.Position
	since  time.Time // zero: nothing is owed
	said   bool      // in the log
}

func (d *debt) hand(p queue.Position, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p <= d.acked { // by a session that has been evicted
		return
	}
	d.handed = max(d.handed, p)
	if d.since.IsZero() {
		d.since = now
	}
}

func (d *debt) acknowledge(p queue.Position, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p <= d.acked { // said again, it is no progress
		return
	}
	d.acked, d.since, d.said = p, now, false
	if p >= d.handed {
		d.since = time.Time{}
	}
}

// debtLate is from which age on the log names a device; configs/alerts.yml has the same.
const debtLate = 15 * time.Minute

// age returns how old the debt is, and once per debt that the log should name the device.
func (d *debt) age(now time.Time) (age time.Duration, say bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since.IsZero() {
		return 0, false
	}
	age = now.Sub(d.since)
	say = age >= debtLate && !d.said
	d.said = d.said || say
	return age, say
}

// lookAtDebts measures the oldest debt, and names who has one that is late.
func (r *Relay) lookAtDebts(now time.Time) {
	oldest, late := r.hub.debts(now)
	r.metrics.owed.Set(oldest.Seconds())
	for _, id := range late {
		r.log.Warn("device acknowledges nothing", "device", id.String())
	}
}

func (h *hub) debts(now time.Time) (oldest time.Duration, late []identity.DeviceID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, m := range h.meters {
		age, say := m.debt.age(now)
		oldest = max(oldest, age)
		if say {
			late = append(late, id)
		}
	}
	return oldest, late
}
