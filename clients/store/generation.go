package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
)

// sum is a keyed sum over the seals of all rows, modulo 2^256 (the MSet-Add-Hash
// of Clarke and others, Asiacrypt 2003): it changes with each row at the cost of
// that row alone, and whoever lacks the key can neither take a row away, nor put
// an older one back, without changing it.
type sum [4]uint64

func (s *sum) add(o sum) {
	var c uint64
	for i := range s {
		s[i], c = bits.Add64(s[i], o[i], c)
	}
}

func (s *sum) remove(o sum) {
	var b uint64
	for i := range s {
		s[i], b = bits.Sub64(s[i], o[i], b)
	}
}

// term is what one seal adds to the sum.
func (s *secrets) term(k kind, row []byte, version uint64) (t sum) {
	m := hmac.New(sha256.New, s.sums)
	m.Write(boundTo(k, row, version))
	b := m.Sum(nil)
	for i := range t {
		t[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return t
}

// state is what stands in two places: in the database, written by each
// transaction, and in the side file, written after each commit. Generation counts
// the transactions that wrote.
type state struct {
	generation uint64
	sum        sum
}

const stateSize = 8 + 4*8

func (s state) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, stateSize), s.generation)
	for _, limb := range s.sum {
		b = binary.BigEndian.AppendUint64(b, limb)
	}
	return b
}

func parseState(b []byte) (s state, err error) {
	if len(b) != stateSize {
		return s, fmt.Errorf("%w: generation of %d bytes", ErrTampered, len(b))
	}
	s.generation = binary.BigEndian.Uint64(b)
	for i := range s.sum {
		s.sum[i] = binary.BigEndian.Uint64(b[8+8*i:])
	}
	return s, nil
}

// sideFile is the second place: two slots, written in turn, so that a torn write
// leaves the one before. A slot is nonce | sealed state | tag.
//
// It is written after the commit and not synced, so after a power cut it may be
// behind the database, never ahead of it. A database behind it was rolled back.
type sideFile struct {
	f    *os.File
	keys *secrets
}

const (
	slotSize   = 24 + stateSize + 16
	slotStride = 4096 // two slots never share a sector
)

var sideRow = []byte("side")

func createSide(path string, keys *secrets) (*sideFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to create the generation file: %w", err)
	}
	return &sideFile{f: f, keys: keys}, nil
}

func openSide(path string, keys *secrets) (*sideFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		// Without it a rollback would go unseen: its absence must not be a way in.
		return nil, fmt.Errorf("%w: its generation file is missing", ErrRolledBack)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to open the generation file: %w", err)
	}
	return &sideFile{f: f, keys: keys}, nil
}

// read returns the newest slot that opens. One that does not may be torn; two
// are no accident.
func (s *sideFile) read() (newest state, err error) {
	found := false
	for slot := range int64(2) {
		box := make([]byte, slotSize)
		if n, _ := s.f.ReadAt(box, slot*slotStride); n != slotSize {
			continue
		}
		plain, err := s.keys.open(s.keys.rows, kindSide, sideRow, uint64(slot), box)
		if err != nil {
			continue
		}
		st, err := parseState(plain)
		if err == nil && (!found || st.generation > newest.generation) {
			newest, found = st, true
		}
	}
	if !found {
		return state{}, fmt.Errorf("%w: generation file does not open", ErrTampered)
	}
	return newest, nil
}

func (s *sideFile) write(st state) error {
	slot := st.generation % 2
	box := s.keys.seal(s.keys.rows, kindSide, sideRow, slot, st.encode())
	if _, err := s.f.WriteAt(box, int64(slot)*slotStride); err != nil {
		return fmt.Errorf("failed to write the generation file: %w", err)
	}
	return nil
}

func (s *sideFile) close() error {
	return errors.Join(s.f.Sync(), s.f.Close())
}
