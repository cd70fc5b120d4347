package store

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"

	"schakel/crypto/message"
)

// Order of a list of messages.
type Order int

// Orders. Urgent puts the highest urgency first and the newest first within it.
const (
	Newest Order = iota
	Oldest
	Urgent
)

// Query selects messages. The zero Query is the newest hundred of all.
type Query struct {
	Direction      Direction       // 0: both
	Case           message.CaseRef // zero: all
	Class          string          // empty: all
	Answers        message.Hash    // zero: all
	Unread         bool            // inbound and not opened
	Unacknowledged bool            // inbound and not acknowledged
	Exercise       bool            // only what is part of an exercise
	Unjudged       bool            // the rules were not asked yet
	Of             []message.Hash  // only some of these; nil: all
	After, Before  uint64          // exclusive bounds on Seq; 0: none
	Live           bool            // not those that were destroyed
	Order          Order
	Limit          int // 0 means 100; at most 1000
	Offset         int
	Following      message.Hash // zero: from the first; else what comes after that one in the order Urgent
	Content        bool         // with Raw; a message that does not open fails the list
}

// Messages returns the messages of a query.
func (tx *Tx) Messages(q Query) (ms []Message, err error) {
	where, a := q.where()
	a = append(a, q.limit(), max(q.Offset, 0))
	err = tx.each(selectMessage+where+q.order()+` LIMIT ? OFFSET ?`, a, func(r row1) error {
		ms = append(ms, readMessage(r))
		return nil
	})
	if err != nil || !q.Content {
		return ms, err
	}
	for i := range ms {
		if err := tx.openMessage(&ms[i]); err != nil && !ms[i].Destroyed {
			return nil, err
		}
	}
	return ms, nil
}

// CountMessages returns how many messages a query selects, whatever its limit.
func (tx *Tx) CountMessages(q Query) (n int, err error) {
	where, a := q.where()
	err = tx.one(`SELECT count(*) FROM message`+where, a, func(r row1) error {
		n = r.int(0)
		return nil
	})
	return n, err
}

func (q Query) where() (string, args) {
	var w []string
	var a args
	and := func(on bool, clause string, v ...any) {
		if on {
			w = append(w, clause)
			a = append(a, v...)
		}
	}
	and(q.Direction != 0, `direction=?`, int(q.Direction))
	and(q.Case != message.CaseRef{}, `kase=?`, q.Case[:])
	and(q.Class != "", `class=?`, q.Class)
	and(q.Answers != message.Hash{}, `answers=?`, q.Answers[:])
	and(q.Unread, `direction=1 AND opened=0 AND destroyed=0`)
	and(q.Unacknowledged, `direction=1 AND acked=0 AND destroyed=0`)
	and(q.Exercise, `exercise=1`)
	and(q.Live, `destroyed=0`)
	and(q.Following != message.Hash{}, `(rank,seq)<(SELECT rank,seq FROM message WHERE hash=?)`, q.Following[:])
	and(q.Unjudged, `verdict=?`, Unjudged)
	if q.Of != nil {
		among := make(args, len(q.Of))
		for i, h := range q.Of {
			among[i] = h[:]
		}
		and(true, `hash IN (`+strings.TrimSuffix(strings.Repeat("?,", len(among)), ",")+`)`, among...)
	}
	and(q.After != 0, `seq>?`, q.After)
	and(q.Before != 0, `seq<?`, q.Before)
	if len(w) == 0 {
		return "", a
	}
	return ` WHERE ` + strings.Join(w, ` AND `), a
}

func (q Query) order() string {
	switch q.Order {
	case Oldest:
		return ` ORDER BY seq`
	case Urgent:
		return ` ORDER BY rank DESC, seq DESC`
	}
	return ` ORDER BY seq DESC`
}

// ByUrgency compares two messages as the order Urgent does: which comes first is less.
func ByUrgency(a, b Message) int {
	return cmp.Or(cmp.Compare(rank(b.Urgency), rank(a.Urgency)), cmp.Compare(b.Seq, a.Seq))
}

func (q Query) limit() int {
	if q.Limit <= 0 {
		return 100
	}
	return min(q.Limit, 1000)
}

// bounds returns the lowest and highest value of width hex digits that begin with p.
func bounds(p string, width int) (low, high []byte) {
	low, err := hex.DecodeString(p + strings.Repeat("0", width-len(p)))
	if err != nil {
		panic(fmt.Sprintf("prefix %q was checked", p))
	}
	high, _ = hex.DecodeString(p + strings.Repeat("f", width-len(p)))
	return low, high
}
