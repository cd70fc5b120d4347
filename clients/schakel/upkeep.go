package schakel

import (
	"context"
	"errors"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// How often upkeep looks at what does not come by itself.
const (
	alarmsEvery  = 5 * time.Second
	epochsEvery  = time.Minute
	forgetEvery  = time.Hour
	logEvery     = 5 * time.Second
	rotaEvery    = time.Minute
	gapAlarm     = 30 * time.Minute
	gapAsk       = 5 * time.Minute // a number that is missing is asked for so often before that
	alarmsAtOnce = 5000
	// settling is how long a device that was off, over a weekend perhaps, hears what others
	// said meanwhile before it says that they said nothing.
	settling = time.Minute
	// pagesKept is how long the log of pages goes back: who was paged when is about officers.
	pagesKept = 365 * 24 * time.Hour
)

// upkeep does what time asks for: deliveries to make, statements to send, keys to
// publish and destroy, alarms to raise. It looks when it is poked and at every tick.
func (n *Node) upkeep(ctx context.Context) error {
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	var alarms, epochs, forget, shown, rota time.Time
	for {
		if n.recheck.Swap(false) {
			epochs, rota = time.Time{}, time.Time{}
		}
		soon, err := n.upkeepOnce(ctx)
		if err == nil && due(n.now(), &alarms, alarmsEvery) {
			if err = n.keepWatch(ctx); err == nil {
				err = n.judgeAhead(ctx)
			}
		}
		if err == nil && due(n.now(), &epochs, epochsEvery) {
			if err = n.keepEpochs(ctx); err == nil {
				err = n.keepPersons(ctx)
			}
			if err == nil {
				err = n.keepAnchors(ctx)
			}
		}
		if err == nil && (n.replan.Swap(false) || due(n.now(), &rota, rotaEvery)) {
			err = n.keepRota(ctx)
		}
		if err == nil && due(n.now(), &shown, logEvery) {
			err = n.showLog(ctx)
		}
		if err == nil && due(n.now(), &forget, forgetEvery) {
			if err = n.forget(ctx); err == nil {
				err = n.keepRetention(ctx)
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if fatal := new(fatalError); errors.As(err, &fatal) {
			return err
		}
		if err != nil {
			n.log.Error("upkeep failed, will try again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.work:
		case <-tick.C:
		case <-after(soon):
		}
	}
}

func due(now time.Time, last *time.Time, every time.Duration) bool {
	if !last.IsZero() && now.Sub(*last) < every {
		return false
	}
	*last = now
	return true
}

// after is a channel that fires after d, or never for 0.
func after(d time.Duration) <-chan time.Time {
	if d <= 0 {
		return nil
	}
	return time.After(d)
}

func (n *Node) upkeepOnce(ctx context.Context) (soon time.Duration, err error) {
	for more := true; more && err == nil; {
		more, err = n.makeDeliveries(ctx)
	}
	if err != nil {
		return 0, err
	}
	if err := n.tellNewcomers(ctx); err != nil {
		return 0, err
	}
	if err := n.showCheckpoints(ctx); err != nil {
		return 0, err
	}
	return n.stateAll(ctx)
}

func (n *Node) forget(ctx context.Context) error {
	return n.update(ctx, func(tx *store.Tx) error {
		if err := tx.ForgetPages(n.now().Add(-pagesKept)); err != nil {
			return err
		}
		if err := forgetStubs(tx, n.now().Add(-2*life)); err != nil {
			return err
		}
		if err := n.sweepAttached(tx); err != nil {
			return err
		}
		_, err := tx.ForgetArrivals(n.now().Add(-2 * life))
		return err
	})
}

// keepWatch raises what silence means: the sender's own timers, which go by
// signatures of the recipient alone, gaps in what arrived, and peers that no longer
// say anything. Statements to peers with an open case become due here too.
func (n *Node) keepWatch(ctx context.Context) error {
	now := n.now()
	in := &intake{n: n, now: now}
	err := n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events, in.answers = tx, nil, nil
		watches := []func() error{in.watchOwn, in.watchPeers, in.closeSent, in.watchBackups, in.watchAhead, in.watchNewDevices, in.watchFloods}
		if now.Sub(n.watching) >= settling {
			watches = append(watches, in.watchAcknowledgements, in.watchDeliveries, in.watchGaps, in.watchRegister, in.watchWitnesses, in.watchAttachments, in.watchTranscripts)
		}
		for _, watch := range watches {
			if err := watch(); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		n.afterwards(ctx, in)
	}
	return err
}

func (in *intake) watchAcknowledgements() error {
	rs, err := in.tx.Unconfirmed(in.now)
	if err != nil {
		return err
	}
	for _, r := range rs {
		if r.State == store.Rejected || r.State == store.Failed {
			continue
		}
		if err := in.raise(AlarmUnacknowledged, subject(r.Message, r.Desk), string(r.Desk)); err != nil {
			return err
		}
	}
	return nil
}

// watchOwn alarms for what this desk itself has not acknowledged in time.
func (in *intake) watchOwn() error {
	rows, err := in.tx.Messages(store.Query{Direction: store.In, Unacknowledged: true, Order: store.Urgent, Limit: maxList})
	if err != nil {
		return err
	}
	for _, row := range rows {
		due := in.n.ackDue(row)
		if due.IsZero() || in.now.Before(due) {
			continue
		}
		if err := in.raise(AlarmOverdue, row.Hash.String(), string(row.Peer)); err != nil {
			return err
		}
	}
	return nil
}

// watchDeliveries alarms for messages that no statement of the recipient has named
// within the time that their urgency allows for delivery.
func (in *intake) watchDeliveries() error {
	awaited := map[identity.DeskID]time.Time{}
	peers, err := in.tx.OpenPeers()
	for _, p := range peers {
		awaited[p.Desk] = in.n.heardBy(p)
	}
	if err != nil {
		return err
	}
	rs, err := in.tx.Unstated(in.now.Add(-time.Minute), alarmsAtOnce)
	if err != nil {
		return err
	}
	for _, r := range rs {
		if r.Desk == in.n.dev.Desk {
			continue
		}
		row, err := in.tx.Message(r.Message)
		if errors.Is(err, store.ErrDestroyed) {
			continue
		}
		if err != nil && !errors.Is(err, store.ErrRestricted) { // what it says is not asked
			return err
		}
		if row.Class == protocol.ClassAcknowledgement && in.now.Before(awaited[r.Desk]) {
			continue // the desk said that it is not there, and waits for no answer until it is
		}
		terms, ok := in.n.terms(message.Message{Heading: message.Heading{Class: row.Class, Urgency: row.Urgency}})
		since := lastMoment(row.Created, row.Received) // by another device's clock; when this one heard of it
		if !ok || terms.Delivered.IsZero() || in.now.Before(terms.Delivered.End(since, in.n.catalogue.Calendar())) {
			continue
		}
		if err := in.raise(AlarmUndelivered, subject(r.Message, r.Desk), string(r.Desk)); err != nil {
			return err
		}
	}
	return nil
}

// closeSent closes what was sent in restricted cases, once no desk waits for it any more.
func (in *intake) closeSent() error {
	_, err := in.tx.CloseSent()
	return err
}

func (in *intake) watchGaps() error {
	peers, err := in.tx.OpenPeers()
	if err != nil {
		return err
	}
	for _, p := range peers {
		devices, err := in.tx.PeerDevices(p.Desk)
		if err != nil {
			return err
		}
		for _, d := range devices {
			gaps, err := in.tx.Gaps(d)
			if err != nil {
				return err
			}
			if len(gaps) > 0 && in.now.Sub(gaps[0].Since) > gapAlarm {
				err = in.raise(AlarmGap, d.String(), string(p.Desk))
			} else if len(gaps) > 0 && in.now.Sub(p.StatementOut) > gapAsk {
				in.n.stateSoon(p.Desk) // it says what is missing
			} else if err = in.tx.ClearAlarm(string(AlarmGap), d.String()); errors.Is(err, store.ErrNotFound) {
				err = nil
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// watchPeers keeps the hourly statements going and notices when a peer's stop.
func (in *intake) watchPeers() error {
	peers, err := in.tx.OpenPeers()
	if err != nil {
		return err
	}
	for _, p := range peers {
		if in.now.Sub(lastMoment(p.LastIn, p.LastOut)) > peerOpen {
			if err := in.tx.ClosePeer(p.Desk); err != nil {
				return err
			}
			continue
		}
		if p.Desk == in.n.dev.Desk {
			continue
		}
		if in.now.Sub(p.StatementOut) >= in.n.statesEvery() {
			in.n.stateSoon(p.Desk)
		}
		if due := in.n.heardBy(p); !due.IsZero() && in.now.Sub(due) > statementEvery {
			if err := in.raise(AlarmSilence, string(p.Desk), string(p.Desk)); err != nil {
				return err
			}
		}
	}
	return nil
}

// heardBy is when a peer should have been heard of: when it promised; where it never
// promised anything, an hour after it wrote, because whoever writes states at once, and a
// relay can drop its every statement from the first on (attack B11). What a peer said while
// this device did not run is still on its way.
func (n *Node) heardBy(p store.Peer) time.Time {
	due := p.NextDue // an hour after it spoke, or the end of an absence: see Away
	if due.Unix() <= 0 {
		if p.LastIn.Unix() <= 0 {
			return time.Time{} // nothing came from there: watchDeliveries sees to what went
		}
		due = p.LastIn.Add(statementEvery)
	} else if most := p.StatementIn.Add(absentMost + clockSlack); due.After(most) {
		due = most // nobody is away for longer
	}
	if due.Before(n.watching) {
		return n.watching
	}
	return due
}

// alarm raises an alarm outside a larger transaction. That it could not be stored
// is logged: the caller is already dealing with something worse.
func (n *Node) alarm(ctx context.Context, kind AlarmKind, subject, code string) {
	in := &intake{n: n, now: n.now()}
	err := n.update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		return in.raise(kind, subject, code)
	})
	if err != nil {
		n.log.Error("alarm not stored", "kind", string(kind), "err", err)
	}
	n.events.publish(in.events...)
}
