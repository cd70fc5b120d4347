package schakel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// A machine that is switched off when people go home is not silence. Its device says in its
// last statement when it is back, and until then nobody misses it. All else stays: what does
// not arrive in time alarms its sender, and what nobody acknowledges too.

// ErrAbsence is wrapped by a refusal of a time to be back at.
var ErrAbsence = errors.New("an absence ends later than now, and within 14 days")

const (
	settingAway = "away-until"
	// absentMost is how long a desk may say that it is not there: as long as it can be written
	// to without a sign of life. Nobody believes more.
	absentMost = epochsAhead
	// toldWithin is how long Away waits for its statements to leave.
	toldWithin = 10 * time.Second
)

// Absence is until when this device said that it may be off.
type Absence struct {
	Until  time.Time         `json:"until,omitzero"`   // zero: it did not
	Untold []identity.DeskID `json:"untold,omitempty"` // desks with an open case that were not reached: they miss this desk two hours from its last statement
	Late   time.Time         `json:"late,omitzero"`    // when the sender of a routine message that comes right now is alarmed that nobody took it, where that is before Until
}

// Absent returns what this device said last, while it holds.
func (n *Node) Absent(ctx context.Context) (a Absence, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		a.Until, err = n.awayUntil(tx)
		return err
	})
	a.Late = n.lateBefore(a.Until)
	return a, err
}

// Away says to all desks with an open case that this device may be off until a time; the zero
// time says that it is back. Where the desk has another device that runs, that one's next
// statement counts again, as it should.
func (n *Node) Away(ctx context.Context, until time.Time) (Absence, error) {
	if now := n.now(); !until.IsZero() && (!until.After(now) || until.After(now.Add(absentMost))) {
		return Absence{}, fmt.Errorf("%w: %s", ErrAbsence, until.Format(time.RFC3339))
	}
	var desks []identity.DeskID
	err := n.update(ctx, func(tx *store.Tx) error {
		desks = desks[:0]
		peers, err := tx.OpenPeers()
		for _, p := range peers {
			if p.Desk != n.dev.Desk && !n.silent(p.Desk) {
				desks = append(desks, p.Desk)
			}
		}
		if err != nil || until.IsZero() {
			return errors.Join(err, tx.DeleteSetting(settingAway))
		}
		return errors.Join(keep(tx, settingAway, unix(until)), tx.Audit("away", until.UTC().Format(time.RFC3339), identity.PersonID{}, n.now()))
	})
	if err != nil {
		return Absence{}, err
	}
	for _, desk := range desks {
		n.stateSoon(desk)
	}
	return Absence{Until: until.UTC(), Untold: n.untold(ctx, desks), Late: n.lateBefore(until)}, nil
}

// lateBefore is when what nobody here takes is late first, where that is before a time: whoever
// closes on a day that the partners count as a working day hears of it while somebody is there.
func (n *Node) lateBefore(until time.Time) time.Time {
	terms, ok := n.catalogue.Terms(message.Routine)
	if !ok {
		return time.Time{}
	}
	if late := terms.Acknowledged.End(n.now(), n.catalogue.Calendar()); late.Before(until) {
		return late.UTC()
	}
	return time.Time{}
}

// untold waits until the relay has the statements to these desks, and returns those of which it
// does not. That they left this device is not enough: who is off says nothing again.
func (n *Node) untold(ctx context.Context, desks []identity.DeskID) []identity.DeskID {
	ctx, cancel := context.WithTimeout(ctx, toldWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		left := n.due(desks)
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return left
		case <-tick.C:
		}
	}
}

// due are those of some desks that a statement is due to, or on its way.
func (n *Node) due(desks []identity.DeskID) (left []identity.DeskID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, desk := range desks {
		_, waits := n.stating[desk]
		if _, leaves := n.unheard[desk]; waits || leaves {
			left = append(left, desk)
		}
	}
	return left
}

// awayUntil is when this device is back; zero where it is not away.
func (n *Node) awayUntil(tx *store.Tx) (time.Time, error) {
	var seconds uint64
	if err := kept(tx, settingAway, &seconds); err != nil || seconds <= unix(n.now()) {
		return time.Time{}, err
	}
	return time.Unix(int64(min(seconds, unix(n.now().Add(absentMost)))), 0).UTC(), nil
}
