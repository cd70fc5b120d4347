package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// The devices of a desk keep each other's access logs. A device shows its lines in
// runs; each run says where the chain over all lines before it ended, so that a device
// whose owner cut or rewrote its log can no longer continue what it showed.

// LogRun is a run of lines of one device's access log.
type LogRun struct {
	From   uint64            // number of the first line
	Before [sha256.Size]byte // the open chain before it; zeros before line 1
	Lines  [][]byte
}

// LogLink continues the open chain over a log: without a key, so that every device can.
func LogLink(before [sha256.Size]byte, line []byte) [sha256.Size]byte {
	return sha256.Sum256(append(before[:], line...))
}

// After returns the open chain after the run.
func (r LogRun) After() [sha256.Size]byte {
	chain := r.Before
	for _, line := range r.Lines {
		chain = LogLink(chain, line)
	}
	return chain
}

// Check refuses a run that no honest device shows.
func (r LogRun) Check() error {
	if r.From == 0 || r.From > maxCounter || len(r.Lines) == 0 {
		return fmt.Errorf("%w: %d log lines from %d", ErrConflict, len(r.Lines), r.From)
	}
	for i, line := range r.Lines {
		e, err := parseAudit(line)
		if err != nil || e.Number != r.From+uint64(i) {
			return fmt.Errorf("%w: log line %d", ErrConflict, r.From+uint64(i))
		}
	}
	return nil
}

// AuditRun returns at most limit lines of this device's log after those already shown,
// continuing their open chain. It returns ErrTampered where the log has fewer lines than
// were shown.
func (tx *Tx) AuditRun(shown uint64, chain [sha256.Size]byte, limit int) (LogRun, error) {
	run := LogRun{From: shown + 1, Before: chain}
	last, _, err := tx.auditEnd()
	if err == nil && last < shown {
		err = fmt.Errorf("%w: %d lines in the audit log, %d were shown to other devices", ErrTampered, last, shown)
	}
	if err != nil {
		return run, err
	}
	err = tx.each(`SELECT entry FROM audit WHERE number>? ORDER BY number LIMIT ?`, args{shown, limit}, func(r row1) error {
		run.Lines = append(run.Lines, r.blob(0))
		return nil
	})
	return run, err
}

// AuditChain returns the open chain over the first n lines of this device's log.
func (tx *Tx) AuditChain(n uint64) (chain [sha256.Size]byte, err error) {
	err = tx.each(`SELECT entry FROM audit WHERE number<=? ORDER BY number`, args{n}, func(r row1) error {
		chain = LogLink(chain, r.blob(0))
		return nil
	})
	return chain, err
}

// Witness keeps a run that another device showed. It returns ErrConflict, and keeps
// nothing, where the run does not fit what that device showed before.
func (tx *Tx) Witness(device identity.DeviceID, run LogRun) error {
	if err := run.Check(); err != nil {
		return err
	}
	before, known, err := tx.witnessedChain(device, run.From-1)
	if err != nil {
		return err
	}
	if (known || run.From == 1) && before != run.Before {
		return fmt.Errorf("%w: log line %d does not continue what was shown", ErrConflict, run.From)
	}
	if err := tx.fits(device, run); err != nil {
		return err
	}
	chain := run.Before
	for i, line := range run.Lines {
		chain = LogLink(chain, line)
		if err := tx.witness(device, run.From+uint64(i), line, chain); err != nil {
			return err
		}
	}
	return nil
}

// fits compares a run with the lines that are kept already, and with the one after it.
func (tx *Tx) fits(device identity.DeviceID, run LogRun) error {
	chain := run.Before
	for i := 0; i <= len(run.Lines); i++ {
		n := run.From + uint64(i)
		old, err := tx.witnessedLine(device, n)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		kept := err == nil
		if i == len(run.Lines) {
			if kept && LogLink(chain, old.line) != old.chain {
				return fmt.Errorf("%w: log line %d was shown otherwise", ErrConflict, n)
			}
			return nil
		}
		chain = LogLink(chain, run.Lines[i])
		if kept && old.chain != chain {
			return fmt.Errorf("%w: log line %d was shown otherwise", ErrConflict, n)
		}
	}
	return nil
}

func (tx *Tx) witness(device identity.DeviceID, n uint64, line []byte, chain [sha256.Size]byte) error {
	_, err := tx.witnessedLine(device, n)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	box, err := tx.put(tx.rows(), kindWitnessed, witnessRow(device, n), append(chain[:], line...))
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO witnessed(device,number,box) VALUES(?,?,?)`, device[:], n, box)
}

func witnessRow(device identity.DeviceID, n uint64) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(device[:]), n)
}

type witnessedLine struct {
	number uint64
	line   []byte
	chain  [sha256.Size]byte
}

func (tx *Tx) witnessedChain(device identity.DeviceID, n uint64) (chain [sha256.Size]byte, known bool, err error) {
	if n == 0 {
		return chain, false, nil
	}
	w, err := tx.witnessedLine(device, n)
	if errors.Is(err, ErrNotFound) {
		return chain, false, nil
	}
	return w.chain, err == nil, err
}

func (tx *Tx) witnessedLine(device identity.DeviceID, n uint64) (w witnessedLine, err error) {
	err = tx.one(`SELECT number, box FROM witnessed WHERE device=? AND number=?`, args{device[:], n}, func(r row1) (err error) {
		w, err = tx.openWitnessed(device, r)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = tx.notRemoved(kindWitnessed, witnessRow(device, n))
	}
	return w, err
}

func (tx *Tx) openWitnessed(device identity.DeviceID, r row1) (witnessedLine, error) {
	b, err := tx.get(tx.rows(), kindWitnessed, witnessRow(device, r.num(0)), r.blob(1))
	if err == nil && len(b) <= sha256.Size {
		err = ErrTampered
	}
	if err != nil {
		return witnessedLine{}, fmt.Errorf("failed to open log line %d of %s: %w", r.num(0), device, err)
	}
	return witnessedLine{number: r.num(0), line: b[sha256.Size:], chain: [sha256.Size]byte(b)}, nil
}

// WitnessedDevices returns the devices whose logs are kept here.
func (tx *Tx) WitnessedDevices() (ds []identity.DeviceID, err error) {
	err = tx.each(`SELECT DISTINCT device FROM witnessed ORDER BY device`, nil, func(r row1) error {
		ds = append(ds, r.b16(0))
		return nil
	})
	return ds, err
}

// WitnessedLog calls each with every line of another device's log in order, and checks
// that each continues the one before. missing counts lines that did not arrive yet.
func (tx *Tx) WitnessedLog(device identity.DeviceID, each func(AuditEntry) error) (missing uint64, err error) {
	var last witnessedLine
	err = tx.each(`SELECT number, box FROM witnessed WHERE device=? ORDER BY number`, args{device[:]}, func(r row1) error {
		w, err := tx.openWitnessed(device, r)
		if err != nil {
			return err
		}
		if w.number == last.number+1 && LogLink(last.chain, w.line) != w.chain {
			return fmt.Errorf("%w: log line %d of %s", ErrTampered, w.number, device)
		}
		missing += w.number - last.number - 1
		last = w
		e, err := parseAudit(w.line)
		if err != nil {
			return err
		}
		return each(e)
	})
	return missing, err
}

// CaseOf returns the case of a message, destroyed ones excepted, or ErrNotFound.
func (tx *Tx) CaseOf(h message.Hash) (ref message.CaseRef, err error) {
	err = tx.one(`SELECT kase FROM message WHERE hash=? AND destroyed=0`, args{h[:]}, func(r row1) error {
		ref = r.b16(0)
		return nil
	})
	return ref, err
}
