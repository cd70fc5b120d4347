package schakel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

const (
	// destroyWarning is how long before its date a case is announced.
	destroyWarning = 7 * 24 * time.Hour
	// clocksApart is how far the relay's clock and ours may differ before a person
	// must look at it.
	clocksApart = 24 * time.Hour
	// relayTimeFresh is how old the relay's word of the time may be.
	relayTimeFresh = time.Hour
)

// relayClock is what the relay last said of the time, and when by our own clock.
type relayClock struct{ said, heard time.Time }

// heardTime notes what the relay says of the time. Going back is no news: an older
// receipt may come late.
func (n *Node) heardTime(seconds uint64) {
	said, now := time.Unix(int64(min(seconds, 1<<40)), 0), n.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if said.After(n.relayTime.said) || now.Before(n.relayTime.heard) {
		n.relayTime = relayClock{said, now}
	}
}

// keepRetention destroys the keys of the cases whose date has come, and announces those
// whose date comes (R24). Nothing but a closing and the time decides: open obligations
// and a case that never left as a file are said in the announcement, and hold nothing up.
func (n *Node) keepRetention(ctx context.Context) error {
	refs, err := n.closedCases(ctx)
	if err != nil {
		return err
	}
	stale := false
	for _, ref := range refs {
		waits, err := n.retain(ctx, ref)
		if err != nil {
			return err
		}
		stale = stale || waits
	}
	if s := n.live(); s != nil && stale {
		s.conn.Close(wire.CloseNormal) // the next login hears the relay's time
	}
	return n.letGo(ctx)
}

// closedCases are the cases of which a closing is here.
func (n *Node) closedCases(ctx context.Context) (refs []message.CaseRef, err error) {
	seen := map[message.CaseRef]bool{}
	err = n.store.View(ctx, func(tx *store.Tx) error {
		for after := uint64(0); ; {
			rows, err := tx.Messages(store.Query{Class: protocol.ClassClosing, Order: store.Oldest, After: after, Limit: 1000})
			if err != nil || len(rows) == 0 {
				return err
			}
			for _, row := range rows {
				if after = row.Seq; !row.Destroyed && !seen[row.Case] {
					seen[row.Case] = true
					refs = append(refs, row.Case)
				}
			}
		}
	})
	return refs, err
}

// retain does what the date of one case asks for. It reports whether the date has come
// and the relay's word of the time is too old to act on.
func (n *Node) retain(ctx context.Context, ref message.CaseRef) (stale bool, err error) {
	in := &intake{n: n, now: n.now()}
	err = n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events, stale = tx, nil, false
		known, err := n.closingOf(tx, ref)
		if err != nil || known.Closing == nil {
			return err
		}
		due, err := n.destroyOn(tx, known)
		if err != nil {
			return err
		}
		switch {
		case in.now.Before(due.Add(-destroyWarning)):
			return in.unannounce(ref)
		case in.now.Before(due):
			return in.announce(known, due)
		}
		stale, err = in.overdue(known, due)
		return err
	})
	if err == nil {
		n.events.publish(in.events...)
	}
	return stale, err
}

// destroyOn is when the key of a closed case is destroyed: on the date of its closing,
// and not within thirty days after anything but an acknowledgement came here or left.
// The second goes by our own clock: a closing that was dated back destroys nothing
// early (attack: who closes a case dates it a year ago), and a case in which somebody
// still speaks is not over.
func (n *Node) destroyOn(tx *store.Tx, known protocol.Case) (time.Time, error) {
	rows, err := rowsOf(tx, known.Ref)
	due := known.Closing.DestroyOn
	for _, row := range rows {
		if row.Class != protocol.ClassAcknowledgement {
			due = lastMoment(due, row.Received.Add(protocol.MinimumStay))
		}
	}
	return due, err
}

func (in *intake) unannounce(ref message.CaseRef) error {
	for _, kind := range []AlarmKind{AlarmDestruction, AlarmClock} {
		if err := in.tx.ClearAlarm(string(kind), ref.String()); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// announce raises the alarm that says when a case will be destroyed, and what speaks
// against it.
func (in *intake) announce(known protocol.Case, due time.Time) error {
	if in.n.light {
		return nil // the office is told, where something can be done about it
	}
	code := due.UTC().Format(time.DateOnly)
	for _, o := range known.Obligations {
		if o.Open() {
			code += codeOpen
			break
		}
	}
	if _, err := in.tx.Setting(settingExported + known.Ref.String()); errors.Is(err, store.ErrNotFound) {
		code += codeNotExported
	} else if err != nil {
		return err
	}
	return in.raise(AlarmDestruction, known.Ref.String(), code)
}

// What the code of an AlarmDestruction says behind the date.
const (
	codeOpen        = " open"
	codeNotExported = " niet-geexporteerd"
	codeRelay       = "relay" // of an AlarmClock
)

// overdue destroys a case when two clocks agree that its date has come: ours, and the
// relay's, which a wrong clock here does not move. What is destroyed does not come back.
// A day later a person must look at what keeps them from agreeing.
func (in *intake) overdue(known protocol.Case, due time.Time) (stale bool, err error) {
	in.n.mu.Lock()
	relay := in.n.relayTime
	in.n.mu.Unlock()
	apart := relay.said.Sub(relay.heard).Abs()
	if !relay.said.Before(due) && apart <= clocksApart {
		return false, in.destroy(known, due)
	}
	if in.now.Sub(due) > clocksApart {
		if err := in.raise(AlarmClock, known.Ref.String(), codeRelay); err != nil {
			return false, err
		}
	}
	return in.now.Sub(relay.heard) > relayTimeFresh, in.announce(known, due)
}

// destroy destroys the key of a case and leaves the signed statement of it; a light
// device only destroys, since it does not speak for what the desk keeps.
func (in *intake) destroy(known protocol.Case, due time.Time) error {
	rows, err := rowsOf(in.tx, known.Ref)
	if err != nil {
		return err
	}
	if !in.n.light {
		var gone []message.Hash
		for _, row := range rows {
			gone = append(gone, row.Hash)
		}
		if err := in.stateDeletion(known, due, gone); err != nil {
			return err
		}
	}
	return in.forgetCase(known.Ref, "case-destroyed")
}

// stateDeletion signs what is destroyed, and stores it: one statement, and more where
// the case has more messages than one holds.
func (in *intake) stateDeletion(known protocol.Case, due time.Time, gone []message.Hash) error {
	stated, err := deletions(in.tx)
	if err != nil {
		return err
	}
	number := len(stated)
	for piece := range slices.Chunk(gone, casefile.MaxMessages) {
		d := casefile.Deletion{Case: known.Ref, Desk: in.n.dev.Desk, Device: in.n.dev.ID, At: in.now, Due: due,
			Closing: known.Closing.Message.Hash, ClosedBy: known.Closing.By, Messages: piece}
		raw, err := d.Sign(edKey(in.n.keys.Sign))
		if err != nil {
			return err
		}
		number++
		if err := in.tx.SetSetting(fmt.Sprint(settingDeletion, number), raw); err != nil {
			return err
		}
	}
	return nil
}
