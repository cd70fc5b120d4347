package schakel

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"schakel/clients/roster"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/rota"
)

// handFor is how long it counts that somebody proved themselves on a device: a month
// with a drill in it.
const handFor = drillEvery

// hands says on which devices of this desk each person last proved themselves with the
// PIN: what the devices show each other of their access logs. A key lies on every device
// of the desk; whether its person can get at one tonight only use shows.
func (n *Node) hands(tx *store.Tx, since time.Time) (map[identity.PersonID]map[identity.DeviceID]time.Time, error) {
	out := map[identity.PersonID]map[identity.DeviceID]time.Time{}
	of := func(d identity.DeviceID) func(store.AuditEntry) error {
		return func(e store.AuditEntry) error {
			if e.Person == (identity.PersonID{}) || e.At.Before(since) {
				return nil
			}
			if out[e.Person] == nil {
				out[e.Person] = map[identity.DeviceID]time.Time{}
			}
			out[e.Person][d] = e.At
			return nil
		}
	}
	if err := tx.AuditLog(of(n.dev.ID)); err != nil {
		return nil, err
	}
	others, err := tx.WitnessedDevices()
	if err != nil {
		return nil, err
	}
	for _, d := range others {
		// A log with a fault is a matter of its own (`schakel log`): what came before it counts.
		if _, err := tx.WitnessedLog(d, of(d)); err != nil {
			n.log.Warn("access log of another device not read to its end", "device", d, "err", err)
		}
	}
	return out, nil
}

// readyHands asks of each person who is on call in the days ahead for a device that can
// open messages and on which that person signed within the month: best one to carry.
func (n *Node) readyHands(tx *store.Tx, r roster.Roster, ahead []rota.Contact, now time.Time) (Readiness, error) {
	hands, err := n.hands(tx, now.Add(-handFor))
	if err != nil {
		return Readiness{}, err
	}
	var found, without []string
	devices := slices.DeleteFunc(n.directory().DevicesOf(n.dev.Desk), func(d trust.DeviceState) bool { return !n.opens(d, now) })
	for _, c := range ahead {
		p, _ := r.Person(c)
		id, err := identity.ParsePersonID(p.Person)
		if p.Person == "" || err != nil {
			continue // a function of the desk carries nothing
		}
		held, ok := handOf(hands[id], devices)
		if !ok {
			without = append(without, r.Name(c))
		}
		found = append(found, r.Name(c)+": "+held)
	}
	if len(found) == 0 {
		found = []string{"nobody on call is known as a person"}
	}
	return ready("device at hand", len(without) == 0 && len(ahead) > 0, strings.Join(found, "; "),
		"let each acknowledge a drill from the device that they will use: a light device at home (`schakel device request --light`), or one of the office where that is always staffed").without(without), nil
}

// opens reports whether a device can open what is sent now.
func (n *Node) opens(d trust.DeviceState, now time.Time) bool {
	last, ok := n.directory().LastEpoch(d.ID)
	return d.UsableAt(now) && ok && last.Until.After(now)
}

// handOf is the device that somebody has at hand: one to carry before one of the office,
// and of each kind the one that was used last.
func handOf(used map[identity.DeviceID]time.Time, devices []trust.DeviceState) (held string, ok bool) {
	var best *trust.DeviceState
	for i, d := range devices {
		at, ok := used[d.ID]
		carried := d.Type == trust.DeviceLight
		if !ok || best != nil && (best.Type == trust.DeviceLight && !carried || (best.Type == trust.DeviceLight) == carried && !at.After(used[best.ID])) {
			continue
		}
		best = &devices[i]
	}
	if best == nil {
		return "none on which they signed in the last month", false
	}
	kind := "device of the office"
	if best.Type == trust.DeviceLight {
		kind = "light device"
	}
	return fmt.Sprintf("%s %.8s, %s", kind, best.ID, used[best.ID].UTC().Format(time.DateOnly)), true
}
