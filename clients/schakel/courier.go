package schakel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/courier"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// While the relay is down, what is due to a desk can be carried to it in a file, and its
// answer back: the envelopes that the relay would have had, and a statement. A file changes
// nothing about what is believed, and nothing leaves the outbox for it: only the statement
// that comes back, by file or by the relay, does that.

// CourierDesk is a desk that something waits for here.
type CourierDesk struct {
	Desk       identity.DeskID `json:"desk"`
	Deliveries int             `json:"deliveries"` // of the outbox
	Files      int             `json:"files"`      // attachments that the relay has not got yet
	Statement  bool            `json:"statement"`  // it has not shown that it knows what this desk has of it
}

// Carried is a file of envelopes for one desk.
type Carried struct {
	Desk      identity.DeskID `json:"desk"`
	File      []byte          `json:"file"`
	Envelopes int             `json:"envelopes"`
	Left      int             `json:"left"`           // did not fit: they go with the next file, once these are confirmed
	Unsealed  int             `json:"unsealed"`       // messages of which no envelope could be made: the desk's keys are not here
	Until     time.Time       `json:"until,omitzero"` // when the first of them expires

	Attachments []SealedFile `json:"attachments"` // for CarryAttachment, beside the file
	LeftFiles   int          `json:"leftFiles"`   // more attachments than may go with one file
}

const actionCarried = "exported-by-file" // subject: the desk

// CourierDesks lists for which desks a file can be made, by name. This desk's own other
// devices are among them where something waits for those.
func (n *Node) CourierDesks(ctx context.Context) (out []CourierDesk, err error) {
	if err := n.makeAll(ctx); err != nil {
		return nil, err
	}
	err = n.store.View(ctx, func(tx *store.Tx) error {
		for _, desk := range n.directory().Desks() {
			ds, err := tx.Outgoing(desk, n.now())
			if err != nil {
				return err
			}
			pending, err := tx.PendingStatuses(desk, 1)
			if err != nil {
				return err
			}
			files, err := tx.UploadingTo(desk, maxCarried)
			if err != nil {
				return err
			}
			d := CourierDesk{Desk: desk, Deliveries: len(ds), Files: len(files), Statement: len(pending) > 0 && !n.silent(desk)}
			if d.Deliveries > 0 || d.Files > 0 || d.Statement {
				out = append(out, d)
			}
		}
		return nil
	})
	return out, err
}

// ExportEnvelopes writes what is due to a desk as a file that a person carries there, and
// notes of each message when that was. It is of this moment: made again, it holds what was
// not confirmed since, and a newer statement.
func (n *Node) ExportEnvelopes(ctx context.Context, to identity.DeskID) (c Carried, err error) {
	if state, ok := n.directory().Desk(to); !ok || !state.Active() {
		return c, fmt.Errorf("%w: %s", ErrUnknownDesk, to)
	}
	if to != n.dev.Desk && !n.directory().lane(n.dev.Desk, to) {
		return c, fmt.Errorf("%w: %s", ErrLane, to)
	}
	if err := errors.Join(n.mayWrite(to), n.makeAll(ctx)); err != nil {
		return c, err
	}
	stated, err := n.statementFor(ctx, to)
	if err != nil {
		return c, err
	}
	c.Desk = to
	err = n.update(ctx, func(tx *store.Tx) error {
		if err := n.carry(tx, &c, stated); err != nil {
			return err
		}
		return tx.Audit(actionCarried, string(to), identity.PersonID{}, n.now())
	})
	return c, err
}

// makeAll makes every delivery that is due, as upkeep does where it runs.
func (n *Node) makeAll(ctx context.Context) (err error) {
	for more := true; more && err == nil; {
		more, err = n.makeDeliveries(ctx)
	}
	return err
}

// statementFor is the statement that goes with a file, or nothing where this device makes none to
// that desk, or has no key of it.
func (n *Node) statementFor(ctx context.Context, to identity.DeskID) ([]byte, error) {
	if n.silent(to) {
		return nil, nil
	}
	targets, err := n.targets(to)
	if notNow(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, raw, err := n.sealStatement(ctx, to, targets)
	return raw, err
}

func (n *Node) carry(tx *store.Tx, c *Carried, stated []byte) error {
	ds, err := tx.Outgoing(c.Desk, n.now())
	if err != nil {
		return err
	}
	var envelopes [][]byte
	size := len(courier.Magic) + len(stated)
	for _, d := range ds {
		if d, err = tx.Delivery(d.Envelope); err != nil {
			return err
		}
		if size += len(d.Raw); size > courier.MaxFile || len(envelopes) == courier.MaxEnvelopes-1 {
			break
		}
		envelopes = append(envelopes, d.Raw)
		if c.Until.IsZero() || d.Expires.Before(c.Until) {
			c.Until = d.Expires.UTC()
		}
	}
	c.Left = len(ds) - len(envelopes)
	if c.Attachments, c.LeftFiles, err = filesFor(tx, c.Desk, ds[:len(envelopes)]); err != nil {
		return err
	}
	if err := noteMarks(tx, settingCarried, n.now(), idsOf(ds[:len(envelopes)])...); err != nil {
		return err
	}
	waiting, err := tx.Undelivered(n.now(), deliverLook)
	for _, r := range waiting {
		if r.Desk == c.Desk {
			c.Unsealed++
		}
	}
	if len(stated) > 0 {
		envelopes = append(envelopes, stated)
	}
	c.File, _ = courier.Write(envelopes)
	c.Envelopes = len(envelopes)
	return err
}

func idsOf(ds []store.Delivery) (ids [][16]byte) {
	for _, d := range ds {
		ids = append(ids, d.Envelope)
	}
	return ids
}

// carriedAt is when a message last left for a desk in a file; zero: never, or it is
// confirmed since.
func carriedAt(tx *store.Tx, r store.Recipient) (at time.Time, err error) {
	if r.State > store.AtRelay {
		return at, nil
	}
	marks, err := marksOf(tx, settingCarried)
	if err != nil || len(marks) == 0 {
		return at, err
	}
	made, err := tx.DeliveriesOf(r.Message, r.Desk)
	for _, m := range marks {
		if slices.ContainsFunc(made, func(d store.Delivery) bool { return d.Envelope == m.ID }) {
			at = lastMoment(at, m.At)
		}
	}
	return utc(at), err
}

// Brought is what became of the envelopes of a file.
type Brought struct {
	Taken   int               `json:"taken"`   // verified, and stored here
	Known   int               `json:"known"`   // were here already
	Other   int               `json:"other"`   // for another desk: left alone
	Waiting int               `json:"waiting"` // sealed by who is newer than this device's register: bring them again once it reached the relay
	Refused int               `json:"refused"` // as they would have been from the relay; `schakel alarms` says more
	Damaged int               `json:"damaged"` // stretches of the file that are no envelope
	Reasons []string          `json:"reasons,omitempty"`
	From    []identity.DeskID `json:"from,omitempty"` // desks that should get an answer
}

// ImportEnvelopes takes in a file that somebody carried here. Each envelope is judged and
// stored exactly as if the relay had brought it; none stands in the way of the others, and
// that it came in a file speaks for nothing. The same file twice changes nothing.
func (n *Node) ImportEnvelopes(ctx context.Context, file []byte) (b Brought, err error) {
	p, err := courier.Parse(file)
	if err != nil {
		return b, err
	}
	b.Damaged = p.Damaged
	for batch := range slices.Chunk(p.Envelopes, offerBatch) {
		arrivals := n.unpack(batch, &b)
		if err := n.take(ctx, arrivals); err != nil {
			return b, err
		}
		for i := range arrivals {
			b.count(&arrivals[i], n.dev.Desk)
		}
	}
	slices.Sort(b.From)
	slices.Sort(b.Reasons)
	b.From, b.Reasons = slices.Compact(b.From), slices.Compact(b.Reasons)
	n.poke()
	return b, nil
}

// unpack judges what is for this desk.
func (n *Node) unpack(envelopes [][]byte, b *Brought) (out []arrival) {
	dir, now := n.directory(), n.now()
	for _, raw := range envelopes {
		if h, _, err := envelope.ParsePrefix(raw); err != nil || h.Desk != n.dev.Desk {
			b.Other++
			continue
		}
		a := n.judge(raw, dir, now)
		a.byFile = true
		if a.fault != nil && a.fault.wait {
			b.Waiting++
			continue
		}
		out = append(out, a)
	}
	return out
}

func (b *Brought) count(a *arrival, own identity.DeskID) {
	switch {
	case a.fault != nil:
		b.Refused++
		b.Reasons = append(b.Reasons, a.fault.reason)
	case a.known:
		b.Known++
	default:
		b.Taken++
	}
	if a.proven && a.from != own && a.delivery.Kind != delivery.KindStatement {
		b.From = append(b.From, a.from)
	}
}
