package schakel

import (
	"context"
	"slices"
	"time"

	"schakel/clients/roster"
	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/relay/page"
	"schakel/relay/rota"
)

// pagedRow is one page as the devices of a desk tell each other of it.
type pagedRow struct {
	_         struct{} `cbor:",toarray"`
	Kind      string
	Subject   string
	Reference string
	Tier      uint64
	Rung      uint64
	Level     uint64 // less one, so that Everyone is 0
	Contact   string
	Channel   string
	Exercise  bool
	Waiting   uint64
	At        uint64 // seconds since 1970
	Outcome   string
}

// pagedRecord is the content of a record of pages: the rows, and the rungs that they
// were for and that others of the desk need not climb again.
type pagedRecord struct {
	_     struct{} `cbor:",toarray"`
	Rows  []pagedRow
	Rungs []rungRow
}

type rungRow struct {
	_       struct{} `cbor:",toarray"`
	Kind    string
	Subject string
	Rungs   uint64
}

const maxPagedText = 256

// told is what the desk's other devices hear of a round. Of more rungs than they take in it
// is the most pressing: what did not fit a record would keep its outcomes from being written.
func (r *round) told(at time.Time) (content pagedRecord) {
	for _, e := range r.errands {
		content.Rows = append(content.Rows, pagedRow{Kind: e.row.Kind, Subject: e.row.Subject, Reference: e.row.Reference, Tier: uint64(e.row.Tier),
			Rung: uint64(e.row.Rung), Level: uint64(e.row.Level + 1), Contact: e.row.Contact, Channel: e.row.Channel, Exercise: e.page.Exercise,
			Waiting: uint64(e.page.Waiting), At: unix(at), Outcome: string(e.outcome)})
	}
	for _, g := range r.rungs {
		if len(content.Rungs) < maxErrands && r.reached(g) {
			content.Rungs = append(content.Rungs, rungRow{Kind: string(g.kind), Subject: g.subject, Rungs: uint64(g.watch.Rungs)})
		}
	}
	return content
}

// tell makes a record of what was paged for the desk's other devices.
func (r *round) tell(in *intake) error {
	content := r.told(in.now)
	if len(content.Rows) == 0 && len(content.Rungs) == 0 {
		return nil
	}
	if _, err := in.n.sealable(in.n.dev.Desk, in.n.now()); err != nil {
		return nil //nolint:nilerr // this device is alone
	}
	b, err := canon.Marshal(content)
	if err != nil {
		return err
	}
	_, err = in.n.write(in.tx, delivery.Record{Kind: delivery.RecordPaged, Content: b}, nil)
	return err
}

// paged takes in what another device of this desk paged: this one's timers go on from
// there. Such a record ends no timer: it counts rungs, and above the last one everyone is
// called again and again.
func (in *intake) paged(r delivery.Record) error {
	var content pagedRecord
	if err := canon.Unmarshal(r.Content, delivery.MaxRecordContent, &content); err != nil {
		return in.tx.CountRejected("pages-malformed")
	}
	for _, row := range content.Rows {
		p := row.stored(r.Device)
		if len(p.Kind)+len(p.Subject)+len(p.Contact)+len(p.Channel)+len(p.Outcome)+len(p.Reference) > maxPagedText {
			return in.tx.CountRejected("pages-malformed")
		}
		if _, err := in.tx.AddPaged(p); err != nil {
			return err
		}
	}
	if in.n.channels == nil || in.n.timersLost.Load() {
		return nil // it pages nobody, and nothing here would end a timer; or it goes by timers of its own
	}
	ws, err := in.tx.Watches()
	if err != nil {
		return err
	}
	_, now := in.n.clock.read(in.n.now)
	for _, g := range content.Rungs[:min(len(content.Rungs), maxErrands)] {
		w := store.Watch{Kind: g.Kind, Subject: g.Subject, Since: now} // of what has not arrived here yet
		if len(g.Kind)+len(g.Subject) > maxPagedText {
			return in.tx.CountRejected("pages-malformed")
		}
		if i := slices.IndexFunc(ws, func(w store.Watch) bool { return g.Kind == w.Kind && g.Subject == w.Subject }); i >= 0 {
			w = ws[i]
		}
		if claimed := int(min(g.Rungs, mostRungs)); claimed > w.Rungs {
			w.Rungs, w.Last, w.Unreached = claimed, now, false
			if err := in.tx.SetWatch(w); err != nil {
				return err
			}
		}
	}
	return nil
}

func (row pagedRow) stored(d identity.DeviceID) store.Paged {
	return store.Paged{Device: d, Kind: row.Kind, Subject: row.Subject, Reference: row.Reference, Tier: uint8(min(row.Tier, 3)), Rung: int(min(row.Rung, 1<<16)),
		Level: int(min(row.Level, 1<<8)) - 1, Contact: row.Contact, Channel: row.Channel, Exercise: row.Exercise, Waiting: int(min(row.Waiting, 1<<16)),
		At: time.Unix(int64(min(row.At, 1<<40)), 0), Outcome: row.Outcome}
}

// Page is one page of this desk through one channel, as its log shows it.
type Page struct {
	At        time.Time    `json:"at"`
	Why       string       `json:"why"`     // waiting, unheard, owed, alarm, test
	Subject   string       `json:"subject"` // what for; see Waiting
	Waiting   int          `json:"waiting"` // how much it was for in all
	Tier      string       `json:"tier"`
	Rung      int          `json:"rung"` // 1: the first
	Contact   string       `json:"contact"`
	Name      string       `json:"name,omitempty"` // of the contact, as the roster has it now
	Channel   string       `json:"channel"`
	Reference string       `json:"reference"`
	Exercise  bool         `json:"exercise,omitempty"`
	Outcome   page.Outcome `json:"outcome"`
	Device    string       `json:"device"`
	Here      bool         `json:"here"`
}

var tierNames = [...]string{"none", "routine", "urgent", "acute"}

// PageLog returns what the devices of this desk paged, the newest first.
func (n *Node) PageLog(ctx context.Context, limit int) (out []Page, err error) {
	r, err := n.rosterOrNone(ctx)
	if err != nil {
		return nil, err
	}
	err = n.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.Pages(store.PagedQuery{Limit: min(limit, maxList)})
		for _, p := range rows {
			out = append(out, Page{At: p.At.UTC(), Why: p.Kind, Subject: p.Subject, Waiting: p.Waiting, Tier: tierNames[min(p.Tier, 3)], Rung: p.Rung + 1,
				Contact: p.Contact, Name: nameIn(r, p.Contact), Channel: p.Channel, Reference: p.Reference, Exercise: p.Exercise,
				Outcome: page.Outcome(p.Outcome), Device: p.Device.String(), Here: p.Device == n.dev.ID})
		}
		return err
	})
	return out, err
}

func nameIn(r roster.Roster, contact string) string {
	p, _ := r.Person(rota.Contact(contact))
	return p.Name
}
