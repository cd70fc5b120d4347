package store

import (
	"time"

	"schakel/crypto/message"
)

// CaseRow is a case of which messages are here.
type CaseRow struct {
	Ref      message.CaseRef
	Messages int
	Unread   int       // inbound and not opened
	Last     time.Time // when the newest of them came or was sent
}

// Cases returns the cases of which messages are here, the one that moved last first,
// without the first of them. What was destroyed is in none.
func (tx *Tx) Cases(limit, without int) (cs []CaseRow, err error) {
	const query = `SELECT kase, count(*), sum(direction=1 AND opened=0), max(received) FROM message
		WHERE destroyed=0 GROUP BY kase ORDER BY max(seq) DESC LIMIT ? OFFSET ?`
	err = tx.each(query, args{limit, without}, func(r row1) error {
		cs = append(cs, CaseRow{Ref: message.CaseRef(r.b16(0)), Messages: r.int(1), Unread: r.int(2), Last: r.time(3)})
		return nil
	})
	return cs, err
}

// CaseRefs returns every case that has a key here, also one of which only notes are.
func (tx *Tx) CaseRefs() (refs []message.CaseRef, err error) {
	err = tx.each(`SELECT ref FROM kase ORDER BY ref`, nil, func(r row1) error {
		refs = append(refs, message.CaseRef(r.b16(0)))
		return nil
	})
	return refs, err
}
