package schakel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/relay/wire"
)

// A desk that lost its last device, and has no backup, has nobody to take its history over
// from but those it spoke with. Its new device asks them. At each a named person calls the
// desk on a number that was known before, and hands it its own words back: what that desk
// sent there, and what was sent to it, in cases that are not closed. Whoever stole the
// organisation's key can ask too: the telephone call is what keeps him out.

// ErrNotAsked refuses to hand history to a desk that did not ask for it.
var ErrNotAsked = errors.New("that desk did not ask for its history in the last 7 days: its new device does that with `schakel history ask`")

const (
	settingAsked   = "history/asked/" // begins the name under which this device notes whom it asked
	settingAskedBy = "history/by/"    // and which device of a desk asked it
	// askedFor is how long a question stands. It is as long as an envelope may be under way.
	askedFor = life

	actionAsked = "history-asked" // subject: the desk
	actionGiven = "history-given" // subject: the desk, and the number that was called
)

// asking is what this device asked of a desk, and what came.
type asking struct {
	_    struct{} `cbor:",toarray"`
	At   uint64
	Of   uint64
	Came []byte // one bit for each part
}

// askedBy is who asked this device.
type askedBy struct {
	_      struct{} `cbor:",toarray"`
	Device identity.DeviceID
	At     uint64
}

// History is what was asked between this desk and another, either way.
type History struct {
	Desk     identity.DeskID `json:"desk"`
	Asked    time.Time       `json:"asked,omitzero"`     // by this device
	Came     int             `json:"came"`               // messages
	Of       int             `json:"of"`                 // that the desk hands over; 0: it did not yet, or has none
	AskedBy  time.Time       `json:"askedBy,omitzero"`   // by the new device of that desk
	Answered bool            `json:"answered,omitempty"` // the desk handed over what it has
}

// Given is what was handed over.
type Given struct {
	Desk     identity.DeskID `json:"desk"`
	Messages int             `json:"messages"`
	Cases    int             `json:"cases"`
	Left     int             `json:"left"` // of restricted cases: who may read them exports them
}

// AskHistory asks desks for what was said between them and this one; of none in particular,
// all that this desk may write to. It can be asked again.
func (n *Node) AskHistory(ctx context.Context, desks []identity.DeskID) (asked []identity.DeskID, err error) {
	if err := n.notLight(); err != nil {
		return nil, err
	}
	dir := n.directory()
	for _, desk := range dir.Desks() {
		if desk != n.dev.Desk && dir.lane(n.dev.Desk, desk) && dir.lane(desk, n.dev.Desk) && (len(desks) == 0 || slices.Contains(desks, desk)) {
			asked = append(asked, desk)
		}
	}
	for _, desk := range desks {
		if !slices.Contains(asked, desk) {
			return nil, fmt.Errorf("%w: %s", ErrLane, desk)
		}
	}
	for i, desk := range asked {
		targets, err := n.targets(desk)
		if err == nil {
			err = n.whisper(ctx, desk, targets, delivery.History{Version: delivery.Version, Ask: true})
		}
		if notNow(err) && len(desks) == 0 {
			asked[i] = "" // nobody there now
			continue
		}
		if err != nil {
			return nil, err
		}
		err = n.update(ctx, func(tx *store.Tx) error {
			return errors.Join(keep(tx, settingAsked+string(desk), asking{At: unix(n.now()), Came: []byte{}}), tx.Audit(actionAsked, string(desk), identity.PersonID{}, n.now()))
		})
		if err != nil {
			return nil, err
		}
	}
	n.heardOut(ctx)
	return slices.DeleteFunc(asked, func(d identity.DeskID) bool { return d == "" }), nil
}

// connectedWithin waits a little for a connection: a command that runs alone has just begun one.
func (n *Node) connectedWithin(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, toldWithin)
	defer cancel()
	for {
		if s := n.live(); s != nil && s.online.Load() {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: no connection", ErrUnreachable)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// heardOut waits until the relay has read what was said before, so that a command may end.
func (n *Node) heardOut(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, toldWithin)
	defer cancel()
	_, err := ask[wire.PagesAre](ctx, n, func(tag uint64) wire.Frame { return wire.WantPages{Tag: tag, Since: math.MaxInt64} })
	if err != nil {
		n.log.Warn("the relay was not heard in time", "err", err)
	}
}

// whisper says something of a history to a desk.
func (n *Node) whisper(ctx context.Context, desk identity.DeskID, targets []seal.Target, h delivery.History) error {
	s, err := n.connectedWithin(ctx)
	if err != nil {
		return err
	}
	content, err := delivery.Encode(h)
	if err != nil {
		return err
	}
	raw, err := n.uncounted(ctx, desk, targets, delivery.KindHistory, content)
	if err != nil {
		return err
	}
	return s.say(ctx, wire.Put{Envelope: raw})
}

// Histories lists what was asked lately, by desk.
func (n *Node) Histories(ctx context.Context) (out []History, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		for _, desk := range n.directory().Desks() {
			mine, by, err := askedOf(tx, desk)
			if err != nil {
				return err
			}
			h := History{Desk: desk, Asked: moment(mine.At), Of: int(mine.Of), Came: mine.count(), AskedBy: moment(by.At)}
			h.Answered = len(mine.Came) > 0
			if mine.At+by.At > 0 {
				out = append(out, h)
			}
		}
		return nil
	})
	return out, err
}

func moment(seconds uint64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(min(seconds, envelope.MaxTime)), 0).UTC()
}

func askedOf(tx *store.Tx, desk identity.DeskID) (mine asking, by askedBy, err error) {
	err = errors.Join(kept(tx, settingAsked+string(desk), &mine), kept(tx, settingAskedBy+string(desk), &by))
	return mine, by, err
}

// GiveHistory hands a desk that asked what was said between it and this one, in cases that
// are not closed here, to the very device that asked. A named person answers for having
// called the desk; the number is noted.
func (n *Node) GiveHistory(ctx context.Context, desk identity.DeskID, called string, by By) (g Given, err error) {
	if err := n.notLight(); err != nil {
		return g, err
	}
	if !telephone.MatchString(called) {
		return g, ErrNotCalled
	}
	target, err := n.whoAsked(ctx, desk)
	if err != nil {
		return g, err
	}
	person, err := n.mustUnlock(ctx, by)
	if err != nil {
		return g, err
	}
	said, g, err := n.saidWith(ctx, desk)
	if err != nil {
		return g, err
	}
	err = n.update(ctx, func(tx *store.Tx) error {
		return tx.Audit(actionGiven, string(desk)+" "+called, person.ID, n.now())
	})
	if err != nil {
		return g, err
	}
	if len(said) == 0 {
		return g, n.whisper(ctx, desk, target, delivery.History{Version: delivery.Version})
	}
	for i, raw := range said {
		h := delivery.History{Version: delivery.Version, Part: uint64(i) + 1, Of: uint64(len(said)), Message: raw}
		if err := n.whisper(ctx, desk, target, h); err != nil {
			return g, fmt.Errorf("%d of %d messages left; give it again: %w", i, len(said), err)
		}
	}
	n.heardOut(ctx)
	return g, nil
}

// whoAsked is the device that asked, where it may be given anything.
func (n *Node) whoAsked(ctx context.Context, desk identity.DeskID) (target []seal.Target, err error) {
	if err := errors.Join(n.current(), n.mayWrite(desk)); err != nil {
		return nil, err
	}
	var by askedBy
	err = n.store.View(ctx, func(tx *store.Tx) error { _, by, err = askedOf(tx, desk); return err })
	if err != nil {
		return nil, err
	}
	d, ok := n.directory().Device(by.Device)
	if !ok || d.Desk != desk || !d.UsableAt(n.now()) || n.now().Sub(moment(by.At)) > askedFor {
		return nil, fmt.Errorf("%w: %s", ErrNotAsked, desk)
	}
	all, err := n.targets(desk)
	target = slices.DeleteFunc(all, func(t seal.Target) bool { return t.Device != by.Device })
	if err == nil && len(target) == 0 {
		err = fmt.Errorf("%w: desk %s", ErrNoKeys, desk)
	}
	return target, err
}

// saidWith collects the messages between this desk and another, in the order in which they
// came to be known here, so that what rests on others comes after those.
func (n *Node) saidWith(ctx context.Context, desk identity.DeskID) (said [][]byte, g Given, err error) {
	g.Desk = desk
	closed, err := n.closedCases(ctx)
	if err != nil {
		return nil, g, err
	}
	cases := map[message.CaseRef]bool{}
	err = n.store.View(ctx, func(tx *store.Tx) error {
		for after := uint64(0); ; {
			rows, err := tx.Messages(store.Query{Order: store.Oldest, After: after, Live: true, Limit: 1000})
			if err != nil || len(rows) == 0 {
				return err
			}
			for _, row := range rows {
				after = row.Seq
				if slices.Contains(closed, row.Case) || len(said) == delivery.MaxHistory {
					continue
				}
				between, raw, err := n.between(tx, row, desk)
				if err != nil {
					return err
				}
				if between && raw == nil {
					g.Left++
				} else if between {
					said, cases[row.Case] = append(said, raw), true
				}
			}
		}
	})
	g.Messages, g.Cases = len(said), len(cases)
	return said, g, err
}

// between reports whether a message went from this desk to another or back, and returns its
// permanent bytes; none where its case is closed to all but named persons.
func (n *Node) between(tx *store.Tx, row store.Message, desk identity.DeskID) (yes bool, raw []byte, err error) {
	if row.Direction == store.In && row.Peer != desk {
		return false, nil, nil
	}
	whole, err := tx.Message(row.Hash)
	if errors.Is(err, store.ErrRestricted) { // what it says stays shut; to whom it went does not
		to, err := tx.Recipients(row.Hash)
		return row.Direction == store.In || slices.ContainsFunc(to, func(r store.Recipient) bool { return r.Desk == desk }), nil, err
	}
	if err != nil {
		return false, nil, err
	}
	s, err := message.Parse(whole.Raw)
	if err != nil {
		return false, nil, err
	}
	return row.Direction == store.In || s.Message.AddressedTo(desk), s.Raw, nil
}
