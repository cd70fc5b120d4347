package schakel

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"schakel/clients/protocol/calendar"
	"schakel/clients/store"
)

// A desk that organises the drills of its partners holds one a month. A person begins
// each: it wakes somebody elsewhere, somebody must telephone when nobody answers, and no
// timer knows of a real case that is going on. What the daemon does is not to let it be
// forgotten (decision 0159).

// The reminder comes on the first Tuesday of the month that is a working day, at a minute
// of these hours that only this device knows: a desk that is tried must not know when.
const (
	drillFrom = 10 // o'clock, in Amsterdam
	drillTo   = 16
)

// drillMonth is the subject of the alarm that the drill of a month is due: there is one.
const drillMonth = "maand"

// drillDay is when the drill of the month that t is in becomes due.
func (n *Node) drillDay(key []byte, t time.Time) time.Time {
	first := calendar.DateOf(t)
	first.Day = 1
	days, day := n.catalogue.Calendar(), first
	for day.Weekday() != time.Tuesday || !days.IsWorkingDay(day) {
		day = day.Add(1)
	}
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "drill %04d-%02d", first.Year, first.Month)
	minute := binary.BigEndian.Uint32(h.Sum(nil)) % ((drillTo - drillFrom) * 60)
	return time.Date(day.Year, day.Month, day.Day, drillFrom, int(minute), 0, 0, calendar.Zone())
}

// drillOwed says of which month a drill is owed, "" of none: the latest month whose day
// has come, unless this desk began one since that month did.
func (n *Node) drillOwed(tx *store.Tx, now time.Time) (month string, err error) {
	key, err := n.pageKey(tx)
	if err != nil {
		return "", err
	}
	today := calendar.DateOf(now)
	start := time.Date(today.Year, today.Month, 1, 0, 0, 0, 0, calendar.Zone())
	if now.Before(n.drillDay(key, start)) {
		start = start.AddDate(0, -1, 0)
	}
	last, err := n.lastGiven(tx)
	if err != nil || !last.Before(start) {
		return "", err
	}
	return start.Format("2006-01"), nil
}

// maxLooked bounds how far back a drill is looked for: in that many exercises one asked
// for a person, or none is called a drill.
const maxLooked = 100

// lastGiven is when this desk last began a drill, on whichever device.
func (n *Node) lastGiven(tx *store.Tx) (time.Time, error) {
	rows, err := tx.Messages(store.Query{Direction: store.Out, Exercise: true, Limit: maxLooked})
	for _, row := range rows {
		if !n.ackDeadline(headOf(row)).IsZero() {
			return row.Created, err
		}
	}
	return time.Time{}, err
}

// watchDrill raises or ends the alarm that the drill of the month is due. The pager pages
// for it, in the hours of the office.
func (in *intake) watchDrill() error {
	month := ""
	if in.n.drillMonthly && !in.n.light {
		var err error
		if month, err = in.n.drillOwed(in.tx, in.now); err != nil {
			return err
		}
	}
	if month != "" {
		return in.raise(AlarmDrill, drillMonth, month)
	}
	return in.clear(AlarmDrill, drillMonth)
}

// readyGiven is whether the drill of the month was begun, where this desk organises them.
func (n *Node) readyGiven(tx *store.Tx, now time.Time) (Readiness, error) {
	month, err := n.drillOwed(tx, now)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Readiness{}, err
	}
	last, err := n.lastGiven(tx)
	evidence := "this desk has never begun one"
	if !last.IsZero() {
		evidence = "last begun on " + last.UTC().Format(time.DateOnly)
	}
	return ready("monthly drill", month == "", evidence, "begin one: `schakel oncall drill --to ORGANISATION/DESK`, and telephone where nobody answers"), err
}
