package store

import "time"

// Alarm is something a person must look at. There is one per kind and subject,
// however often it is raised.
type Alarm struct {
	Kind    string // a constant of the caller, such as "gap"
	Subject string // an identifier; never content
	Code    string // detail, a code; never content
	At      time.Time
	Last    time.Time // newest raising
	Times   uint64
}

// RaiseAlarm raises an alarm; fresh is false when it was raised already, and then
// only its Code, Last and Times move.
func (tx *Tx) RaiseAlarm(kind, subject, code string, at time.Time) (fresh bool, err error) {
	if !tx.writes {
		return false, ErrReadOnly
	}
	var times uint64
	err = tx.each(`INSERT INTO alarm(kind,subject,code,at,times,last) VALUES(?,?,?,?,1,?)
		ON CONFLICT DO UPDATE SET code=excluded.code, times=times+1, last=max(last,excluded.last) RETURNING times`,
		args{kind, subject, code, at, at}, func(r row1) error {
			times = r.num(0)
			return nil
		})
	return times == 1, err
}

// ClearAlarm ends an alarm, or returns ErrNotFound.
func (tx *Tx) ClearAlarm(kind, subject string) error {
	if err := tx.exec(`DELETE FROM alarm WHERE kind=? AND subject=?`, kind, subject); err != nil {
		return err
	}
	if tx.changes() == 0 {
		return ErrNotFound
	}
	return nil
}

// Alarms returns all alarms, oldest first.
func (tx *Tx) Alarms() (as []Alarm, err error) {
	err = tx.each(`SELECT kind,subject,code,at,last,times FROM alarm ORDER BY at, kind, subject`, nil, func(r row1) error {
		as = append(as, Alarm{Kind: r.text(0), Subject: r.text(1), Code: r.text(2), At: r.time(3), Last: r.time(4), Times: r.num(5)})
		return nil
	})
	return as, err
}
