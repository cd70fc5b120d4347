package store

import (
	"time"

	"schakel/crypto/identity"
)

// Watch is how far this device has climbed the ladder of something that waits for a
// person. There is one per kind and subject.
type Watch struct {
	Kind      string // a constant of the caller
	Subject   string // an identifier; never content
	Since     time.Time
	Rungs     int // begun so far
	Last      time.Time
	Unreached bool // nobody could be paged by the latest
	Silenced  bool // a person dealt with it, and nobody is paged about it any more
}

// Paged is one page through one channel. It is written before the channel hears of it:
// a row without an outcome is one that a crash came in between.
type Paged struct {
	Number    uint64 // given by the store
	Device    identity.DeviceID
	Kind      string // as in Watch; or of the caller's own for a test
	Subject   string
	Reference string
	Tier      uint8
	Rung      int
	Level     int
	Contact   string
	Channel   string // never the target: many a target is a secret
	Exercise  bool
	Waiting   int // how many subjects this one page was for
	At        time.Time
	Outcome   string // empty: begun
}

// Watches returns all watches.
func (tx *Tx) Watches() (ws []Watch, err error) {
	err = tx.each(`SELECT kind,subject,since,rungs,last,unreached,silenced FROM watch ORDER BY since,kind,subject`, nil, func(r row1) error {
		ws = append(ws, Watch{Kind: r.text(0), Subject: r.text(1), Since: r.time(2), Rungs: r.int(3), Last: r.time(4), Unreached: r.bool(5), Silenced: r.bool(6)})
		return nil
	})
	return ws, err
}

// SetWatch writes a watch, in the place of what was known of its subject.
func (tx *Tx) SetWatch(w Watch) error {
	return tx.exec(`INSERT INTO watch(kind,subject,since,rungs,last,unreached,silenced) VALUES(?,?,?,?,?,?,?)
		ON CONFLICT DO UPDATE SET since=excluded.since, rungs=excluded.rungs, last=excluded.last, unreached=excluded.unreached, silenced=excluded.silenced`,
		w.Kind, w.Subject, w.Since, w.Rungs, w.Last, w.Unreached, w.Silenced)
}

// DropWatch forgets a watch, if there is one.
func (tx *Tx) DropWatch(kind, subject string) error {
	return tx.exec(`DELETE FROM watch WHERE kind=? AND subject=?`, kind, subject)
}

// AddPaged writes a page down, and returns its number.
func (tx *Tx) AddPaged(p Paged) (number uint64, err error) {
	if !tx.writes {
		return 0, ErrReadOnly
	}
	err = tx.each(`INSERT INTO paged(device,kind,subject,reference,tier,rung,level,contact,channel,exercise,waiting,at,outcome)
		VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING number`,
		args{p.Device[:], p.Kind, p.Subject, p.Reference, uint64(p.Tier), p.Rung, p.Level, p.Contact, p.Channel, p.Exercise, p.Waiting, p.At, p.Outcome},
		func(r row1) error {
			number = r.num(0)
			return nil
		})
	return number, err
}

// SetOutcome notes what became of a page.
func (tx *Tx) SetOutcome(number uint64, outcome string) error {
	return tx.exec(`UPDATE paged SET outcome=? WHERE number=?`, outcome, number)
}

// PagedQuery selects pages. The zero PagedQuery selects the newest.
type PagedQuery struct {
	Begun   bool   // only those without an outcome
	Subject string // only about this
	Limit   int    // default 200
}

// Pages returns pages, the newest first.
func (tx *Tx) Pages(q PagedQuery) (ps []Paged, err error) {
	if q.Limit <= 0 {
		q.Limit = 200
	}
	err = tx.each(`SELECT number,device,kind,subject,reference,tier,rung,level,contact,channel,exercise,waiting,at,outcome FROM paged
		WHERE (?='' OR subject=?) AND (NOT ? OR outcome='') ORDER BY number DESC LIMIT ?`, args{q.Subject, q.Subject, q.Begun, q.Limit}, func(r row1) error {
		ps = append(ps, Paged{Number: r.num(0), Device: r.b16(1), Kind: r.text(2), Subject: r.text(3), Reference: r.text(4), Tier: uint8(r.num(5)), Rung: r.int(6),
			Level: r.int(7), Contact: r.text(8), Channel: r.text(9), Exercise: r.bool(10), Waiting: r.int(11), At: r.time(12), Outcome: r.text(13)})
		return nil
	})
	return ps, err
}

// ForgetPages forgets pages from before a time.
func (tx *Tx) ForgetPages(before time.Time) error {
	return tx.exec(`DELETE FROM paged WHERE at<?`, before)
}
