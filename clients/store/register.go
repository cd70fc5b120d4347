package store

import (
	"errors"
	"fmt"

	"schakel/crypto/canon"
)

// Pinned is the newest register state this device has verified: what every later
// one must be consistent with.
type Pinned struct {
	Size uint64
	Root [32]byte
	Note []byte // the signed checkpoint
}

type pinnedRecord struct {
	_    struct{} `cbor:",toarray"`
	Size uint64
	Root [32]byte
	Note []byte
}

// SaveRegister appends entries, the first of which has index from, and pins p, in
// one step. It refuses with ErrGap when from is not the number of entries stored
// or p.Size not the number afterwards.
func (tx *Tx) SaveRegister(from uint64, entries [][]byte, p Pinned) error {
	have, err := tx.registerSize()
	if err != nil {
		return err
	}
	if from != have || p.Size != have+uint64(len(entries)) {
		return fmt.Errorf("%w: %d register entries stored, %d given from %d, pinned %d", ErrGap, have, len(entries), from, p.Size)
	}
	for i, e := range entries {
		if err := tx.exec(`INSERT INTO register(idx,entry) VALUES(?,?)`, from+uint64(i), e); err != nil {
			return err
		}
	}
	b, err := canon.Marshal(pinnedRecord{Size: p.Size, Root: p.Root, Note: p.Note})
	if err != nil {
		return fmt.Errorf("failed to pin the register: %w", err)
	}
	return tx.setSetting(settingPinned, b)
}

// Pinned returns the pinned state; the zero Pinned before the first SaveRegister.
func (tx *Tx) Pinned() (Pinned, error) {
	b, err := tx.setting(settingPinned)
	if errors.Is(err, ErrNotFound) {
		return Pinned{}, nil
	}
	if err != nil {
		return Pinned{}, fmt.Errorf("failed to read the pinned register: %w", err)
	}
	return parsePinned(b)
}

func parsePinned(b []byte) (Pinned, error) {
	var r pinnedRecord
	if err := canon.Unmarshal(b, maxSetting, &r); err != nil {
		return Pinned{}, fmt.Errorf("%w: pinned register: %w", ErrTampered, err)
	}
	return Pinned{Size: r.Size, Root: r.Root, Note: r.Note}, nil
}

// Register calls each with every entry in order, and returns the pinned state.
// The entries prove themselves against its root when they are replayed.
func (tx *Tx) Register(each func(index uint64, entry []byte) error) (Pinned, error) {
	p, err := tx.Pinned()
	if err != nil {
		return p, err
	}
	next := uint64(0)
	err = tx.each(`SELECT idx, entry FROM register ORDER BY idx`, nil, func(r row1) error {
		if r.num(0) != next {
			return fmt.Errorf("%w: register entry %d is gone", ErrTampered, next)
		}
		next++
		return each(r.num(0), r.blob(1))
	})
	if err == nil && next != p.Size {
		err = fmt.Errorf("%w: %d register entries, pinned %d", ErrTampered, next, p.Size)
	}
	return p, err
}

func (tx *Tx) registerSize() (n uint64, err error) {
	err = tx.one(`SELECT coalesce(max(idx)+1,0) FROM register`, nil, func(r row1) error {
		n = r.num(0)
		return nil
	})
	return n, err
}
