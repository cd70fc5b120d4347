package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"schakel/crypto/canon"
	"schakel/crypto/identity"
)

// AuditEntry is one line of the log of what was done here and by whom.
type AuditEntry struct {
	Number  uint64 // 1, 2, 3 ...; given by the store
	Action  string // a constant of the caller
	Subject string // an identifier; never content
	Person  identity.PersonID
	At      time.Time
}

type auditRecord struct {
	_       struct{} `cbor:",toarray"`
	Number  uint64
	Action  string
	Subject string
	Person  identity.PersonID
	At      int64 // milliseconds since 1970
}

const maxAudit = 4 << 10

// Audit appends a line. Each is chained to the one before by a keyed hash, and
// the end of the chain is sealed: lines cannot be changed, taken out or cut off
// without the data key.
func (tx *Tx) Audit(action, subject string, person identity.PersonID, at time.Time) error {
	last, chain, err := tx.auditEnd()
	if err != nil {
		return err
	}
	b, err := encodeAudit(AuditEntry{Number: last + 1, Action: action, Subject: subject, Person: person, At: at})
	if err != nil {
		return fmt.Errorf("failed to write the audit log: %w", err)
	}
	if len(b) > maxAudit {
		return fmt.Errorf("%w: audit line of %d bytes", ErrTooLarge, len(b))
	}
	chain = tx.s.keys.link(chain, b)
	if err := tx.exec(`INSERT INTO audit(number,entry,chain) VALUES(?,?,?)`, last+1, b, chain); err != nil {
		return err
	}
	return tx.setSetting(settingAudit, append(number(last+1), chain...))
}

func (s *secrets) link(before, entry []byte) []byte {
	m := hmac.New(sha256.New, s.audit)
	m.Write(before)
	m.Write(entry)
	return m.Sum(nil)
}

// auditEnd returns the number of lines and the end of the chain, 32 bytes.
func (tx *Tx) auditEnd() (uint64, []byte, error) {
	b, err := tx.setting(settingAudit)
	if errors.Is(err, ErrNotFound) {
		return 0, make([]byte, sha256.Size), nil
	}
	if err == nil && len(b) != 8+sha256.Size {
		err = ErrTampered
	}
	if err != nil {
		return 0, nil, fmt.Errorf("failed to read the end of the audit log: %w", err)
	}
	return binary.BigEndian.Uint64(b), b[8:], nil
}

// AuditLog calls each with every line in order. It checks the whole chain and
// ends with ErrTampered when a line was changed, taken out or cut off.
func (tx *Tx) AuditLog(each func(AuditEntry) error) error {
	last, end, err := tx.auditEnd()
	if err != nil {
		return err
	}
	chain, next := make([]byte, sha256.Size), uint64(1)
	err = tx.each(`SELECT entry FROM audit ORDER BY number`, nil, func(r row1) error {
		b := r.blob(0)
		chain = tx.s.keys.link(chain, b)
		e, err := parseAudit(b)
		if err != nil {
			return err
		}
		if e.Number != next {
			return fmt.Errorf("%w: audit line %d is gone", ErrTampered, next)
		}
		next++
		return each(e)
	})
	if err == nil && (next != last+1 || !hmac.Equal(chain, end)) {
		err = fmt.Errorf("%w: audit log", ErrTampered)
	}
	return err
}

func encodeAudit(e AuditEntry) ([]byte, error) {
	return canon.Marshal(auditRecord{Number: e.Number, Action: e.Action, Subject: e.Subject, Person: e.Person, At: millis(e.At)})
}

func parseAudit(b []byte) (AuditEntry, error) {
	var r auditRecord
	if err := canon.Unmarshal(b, maxAudit, &r); err != nil {
		return AuditEntry{}, fmt.Errorf("%w: audit line: %w", ErrTampered, err)
	}
	if r.At < 0 || r.At > maxCounter {
		return AuditEntry{}, fmt.Errorf("%w: audit line: time", ErrTampered)
	}
	return AuditEntry{Number: r.Number, Action: r.Action, Subject: r.Subject, Person: r.Person, At: fromMillis(r.At)}, nil
}
