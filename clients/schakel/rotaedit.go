package schakel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"schakel/clients/roster"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/relay/rota"
)

// actionRota is what the access log says of an edit of the rota; its subject is the
// revision that came of it.
const actionRota = "rota-changed"

// RotaChange is one decision about the rota, by somebody of the desk. Who and Other are
// contacts, identifiers or names of the rota's people.
type RotaChange struct {
	Kind  RotaChangeKind `json:"kind"`
	Who   string         `json:"who,omitempty"` // empty: whoever decides
	Other string         `json:"other,omitempty"`
	Level int            `json:"level,omitempty"`
	From  time.Time      `json:"from,omitzero"` // empty: now
	To    time.Time      `json:"to,omitzero"`
	Back  time.Time      `json:"back,omitzero"` // of a swap: when Other's shift is
}

// RotaChangeKind says what is decided.
type RotaChangeKind string

// The kinds of change.
const (
	RotaTake     RotaChangeKind = "take"     // Who has the level from now, until To or the end of the shift
	RotaOverride RotaChangeKind = "override" // Who has the level from From to To
	RotaSwap     RotaChangeKind = "swap"     // Who's shift at From goes to Other, and Other's at Back to Who
	RotaExchange RotaChangeKind = "exchange" // Who and Other take each other's shifts from From to To
	RotaLeave    RotaChangeKind = "leave"    // Who is on call no more from From on
)

// ChangeRota decides something about the rota. Anybody of the desk may, with the PIN: at
// night the one who can is the one who is there. Every change is signed, logged and shown
// to all devices. Of a person leaving, Gaps are what that leaves open.
func (n *Node) ChangeRota(ctx context.Context, c RotaChange, by By) (Rota, error) {
	var opened []rota.Gap
	out, err := n.editRota(ctx, by, func(s settled, d roster.Decision, self identity.PersonID) (r roster.Roster, err error) {
		if s.roster.IsZero() {
			return r, ErrNoRota
		}
		r, opened, err = c.apply(s.roster, d, self)
		return r, err
	})
	if err == nil && c.Kind == RotaLeave {
		out.Gaps = shownGaps(opened)
	}
	return out, err
}

func (c RotaChange) apply(r roster.Roster, d roster.Decision, self identity.PersonID) (out roster.Roster, opened []rota.Gap, err error) {
	if c.Who == "" {
		c.Who = d.By // a sheet that was written by hand may name people only
		if _, err := r.Find(self.String()); err == nil {
			c.Who = self.String()
		}
	}
	who, err := r.Find(c.Who)
	if err != nil {
		return r, nil, err
	}
	other := rota.Contact("")
	if c.Kind == RotaSwap || c.Kind == RotaExchange {
		if other, err = r.Find(c.Other); err != nil {
			return r, nil, err
		}
	}
	from := c.From
	if from.IsZero() {
		from = d.At
	}
	switch c.Kind {
	case RotaTake:
		out, err = r.TakeOver(d, who, c.Level, c.To)
	case RotaOverride:
		out, err = r.Override(d, who, c.Level, from, c.To)
	case RotaSwap:
		back := c.Back
		if back.IsZero() {
			back = from
		}
		out, err = r.Swap(d, who, from, other, back)
	case RotaExchange:
		out, err = r.Exchange(d, who, other, from, c.To)
	case RotaLeave:
		return r.PersonLeaves(d, who, from)
	default:
		err = fmt.Errorf("%w: a change of kind %.20q", roster.ErrFormat, c.Kind)
	}
	return out, nil, err
}

// SetRota puts a whole rota in the place of the one of the sheet's revision. Where
// somebody changed it since it is refused with ErrRotaChanged: a sheet that was begun
// yesterday must not undo who took over tonight.
func (n *Node) SetRota(ctx context.Context, sheet roster.Sheet, by By) (Rota, error) {
	if err := n.notLight(); err != nil {
		return Rota{}, err
	}
	return n.editRota(ctx, by, func(s settled, _ roster.Decision, _ identity.PersonID) (roster.Roster, error) {
		if sheet.Revision != s.revision {
			return roster.Roster{}, fmt.Errorf("%w: it is of revision %.40q now", ErrRotaChanged, s.revision)
		}
		return sheet.Roster, nil
	})
}

// ImportCalendar takes the shifts of an iCalendar file into the rota. The report names
// every event that was not taken.
func (n *Node) ImportCalendar(ctx context.Context, file []byte, by By) (out Rota, report roster.Import, err error) {
	if err := n.notLight(); err != nil {
		return out, report, err
	}
	out, err = n.editRota(ctx, by, func(s settled, d roster.Decision, _ identity.PersonID) (r roster.Roster, err error) {
		if s.roster.IsZero() {
			return r, ErrNoRota
		}
		r, report, err = s.roster.Import(d, file)
		return r, err
	})
	return out, report, err
}

// CalendarWish says what of the rota is exported.
type CalendarWish struct {
	Who   string `json:"who,omitempty"` // only the shifts of this one
	Names bool   `json:"names,omitempty"`
}

// Calendar returns 12 months of the rota as iCalendar.
func (n *Node) Calendar(ctx context.Context, w CalendarWish) ([]byte, error) {
	r, err := n.Roster(ctx)
	if err != nil {
		return nil, err
	}
	c := roster.Calendar{Desk: n.dev.Desk, Now: n.now(), Names: w.Names}
	if w.Who != "" {
		if c.Contact, err = r.Find(w.Who); err != nil {
			return nil, err
		}
	}
	return r.Export(c)
}

type rotaEdit func(s settled, d roster.Decision, self identity.PersonID) (roster.Roster, error)

// editRota signs what an edit makes of the rota as it stands, following all of it that
// is known here, so that two who edited at once are settled by the next edit.
func (n *Node) editRota(ctx context.Context, by By, edit rotaEdit) (out Rota, err error) {
	key, err := n.mustUnlock(ctx, by)
	if err != nil {
		return out, err
	}
	in := &intake{n: n, now: n.now()}
	err = n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		before, err := n.rota(tx)
		if err != nil && !errors.Is(err, ErrNoRota) {
			return err
		}
		d := roster.Decision{ID: fmt.Sprintf("%x", random(8)), By: n.nameOf(tx, key.ID), At: n.now()}
		r, err := edit(before, d, key.ID)
		if err != nil {
			return err
		}
		rec := delivery.Record{Kind: delivery.RecordRoster}
		if rec.Content, err = r.Encode(); err != nil {
			return err
		}
		for _, h := range before.heads {
			rec.Follows = append(rec.Follows, h.Hash())
			rec.Created = max(rec.Created, h.Record.Created+1) // a slow clock must not lose to what it saw
		}
		rec.Follows = rec.Follows[:min(len(rec.Follows), delivery.MaxFollows)]
		if _, err := n.write(tx, rec, key); err != nil {
			return err
		}
		after, err := n.rota(tx)
		if err != nil {
			return err
		}
		if err := tx.Audit(actionRota, after.revision, key.ID, n.now()); err != nil {
			return err
		}
		if out, err = n.shownRota(tx, after); err != nil {
			return err
		}
		return in.rotaMoved()
	})
	n.written(in.events, err)
	return out, err
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails (crypto/rand)
	return b
}
