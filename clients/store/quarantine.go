package store

import (
	"fmt"
	"time"

	"schakel/crypto/envelope"
)

// Quarantined is an envelope that was refused, kept as it came for whoever
// investigates.
type Quarantined struct {
	Number uint64 // given by the store
	Reason string // a code, no free text
	At     time.Time
	Raw    []byte
}

// Limits of the quarantine. A hostile relay can send rubbish without end: beyond
// these, only the count per reason grows.
const (
	maxQuarantine     = 1000
	maxQuarantineSize = 64 << 20
)

// Quarantine keeps a refused envelope and counts its reason. kept is false when
// the quarantine is full: then it only counted.
func (tx *Tx) Quarantine(q Quarantined) (kept bool, err error) {
	if err := tx.CountRejected(q.Reason); err != nil {
		return false, err
	}
	var rows, size int
	if err := tx.one(`SELECT count(*), coalesce(sum(size),0) FROM quarantine`, nil, func(r row1) error {
		rows, size = r.int(0), r.int(1)
		return nil
	}); err != nil {
		return false, err
	}
	if rows >= maxQuarantine || size+len(q.Raw) > maxQuarantineSize || len(q.Raw) > envelope.MaxSize {
		return false, nil
	}
	return true, tx.keepQuarantined(q)
}

func (tx *Tx) keepQuarantined(q Quarantined) error {
	var n uint64
	if err := tx.one(`SELECT coalesce(max(id),0)+1 FROM quarantine`, nil, func(r row1) error {
		n = r.num(0)
		return nil
	}); err != nil {
		return err
	}
	box, err := tx.put(tx.rows(), kindQuarantine, number(n), q.Raw)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO quarantine(id,reason,at,size,box) VALUES(?,?,?,?,?)`, n, q.Reason, q.At, len(q.Raw), box)
}

// Quarantined returns at most limit refused envelopes after a number, oldest first.
func (tx *Tx) Quarantined(after uint64, limit int) (qs []Quarantined, err error) {
	err = tx.each(`SELECT id, reason, at, box FROM quarantine WHERE id>? ORDER BY id LIMIT ?`, args{after, limit}, func(r row1) error {
		q := Quarantined{Number: r.num(0), Reason: r.text(1), At: r.time(2)}
		q.Raw, err = tx.get(tx.rows(), kindQuarantine, number(q.Number), r.blob(3))
		if err != nil {
			return fmt.Errorf("failed to open quarantined envelope %d: %w", q.Number, err)
		}
		qs = append(qs, q)
		return nil
	})
	return qs, err
}

// Release deletes a refused envelope, or returns ErrNotFound.
func (tx *Tx) Release(n uint64) error {
	if err := tx.exec(`DELETE FROM quarantine WHERE id=?`, n); err != nil {
		return err
	}
	if tx.changes() == 0 {
		return ErrNotFound
	}
	return tx.drop(kindQuarantine, number(n))
}

// CountRejected counts a refusal without keeping what was refused.
func (tx *Tx) CountRejected(reason string) error {
	return tx.exec(`INSERT INTO rejected(reason,times) VALUES(?,1) ON CONFLICT DO UPDATE SET times=times+1`, reason)
}

// Rejected returns how often each reason was counted.
func (tx *Tx) Rejected() (map[string]uint64, error) {
	counts := map[string]uint64{}
	err := tx.each(`SELECT reason, times FROM rejected`, nil, func(r row1) error {
		counts[r.text(0)] = r.num(1)
		return nil
	})
	return counts, err
}
