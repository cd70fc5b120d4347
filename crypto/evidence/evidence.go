// Package evidence is a file that shows a wrong to somebody who trusts neither side, and has nothing but the fingerprint of the register.
//
// A file holds what was signed and cannot all be honest: two checkpoints of one log that
// contradict each other, what a device signed of the register against a checkpoint, two
// deliveries of one device under one counter, two messages under one identifier, or an
// entry of the log that nobody was entitled to make. With it come the entries of the
// register that say whose keys these are, so that [File.Verify] asks nobody.
//
// Who makes a file can leave out what speaks for the other side: that it proves something
// never rests on something being absent. The package is pure and holds no secrets.
package evidence

import (
	"encoding/binary"
	"errors"
	"fmt"

	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// Refusals of a file.
var (
	ErrFormat = errors.New("not a file of evidence")
	// ErrFalse says that a file does not show what it claims: it was doctored, is cut
	// short, or never proved anything.
	ErrFalse = errors.New("the file does not show what it claims")
)

// first is the first line of a file. What follows is one canonical CBOR map.
const first = "schakel-evidence/1\n"

// Limits of a file.
const (
	Version    = 1
	MaxFile    = 32 << 20
	MaxEntries = 24 << 20 // bytes of all entries of a file
)

// Kind says what a file shows.
type Kind uint64

// The kinds. The numbers never change meaning.
const (
	KindFork       Kind = 1 // two checkpoints of one log contradict each other
	KindView       Kind = 2 // a device signed another register than a checkpoint has
	KindCounter    Kind = 3 // a device signed two deliveries under one counter
	KindIdentifier Kind = 4 // a desk signed two messages under one identifier
	KindEntry      Kind = 5 // the log holds an entry that nobody was entitled to make
)

// String is the word for a kind in documents and commands.
func (k Kind) String() string {
	words := map[Kind]string{KindFork: "fork", KindView: "view", KindCounter: "counter", KindIdentifier: "identifier", KindEntry: "entry"}
	if w, ok := words[k]; ok {
		return w
	}
	return fmt.Sprintf("kind %d", uint64(k))
}

// File is the content of one file. What is of no use to its kind is empty.
type File struct {
	Version uint64 `cbor:"1,keyasint"`
	Kind    Kind   `cbor:"2,keyasint"`
	Raised  uint64 `cbor:"3,keyasint"` // when its maker saw it, in seconds since 1970: the maker's word, no more
	Entries []byte `cbor:"4,keyasint"` // see SetEntries

	Checkpoints [][]byte       `cbor:"5,keyasint"` // signed by the log
	Size        uint64         `cbor:"6,keyasint"` // at which the two sides differ; 0: they were not shown to
	Roots       []trust.Hash   `cbor:"7,keyasint"` // of both sides at that size
	Proofs      [][]trust.Hash `cbor:"8,keyasint"` // that the checkpoints continue them
	Index       uint64         `cbor:"9,keyasint"` // of the entry that counts for nobody

	Deliveries []delivery.Evidence `cbor:"10,keyasint"`
	Messages   [][]byte            `cbor:"11,keyasint"` // their permanent bytes
}

// SetEntries puts entries of the register into the file, the genesis first.
func (f *File) SetEntries(entries [][]byte) error {
	var all []byte
	for _, e := range entries {
		if len(e) > trust.MaxEntry || len(all)+len(e) > MaxEntries {
			return fmt.Errorf("%w: more than %d bytes of register entries", ErrFormat, MaxEntries)
		}
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(e))), e...)
	}
	f.Entries = all
	return nil
}

func (f File) entries() (out [][]byte, err error) {
	for rest := f.Entries; len(rest) > 0; {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return nil, fmt.Errorf("%w: entries are cut short", ErrFormat)
		}
		n := 2 + int(binary.BigEndian.Uint16(rest))
		out, rest = append(out, rest[2:n]), rest[n:]
	}
	return out, nil
}

// Encode returns the one spelling of a file.
func (f File) Encode() ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	b, err := canon.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return append([]byte(first), b...), nil
}

// Parse reads what Encode gives, and nothing else. It verifies nothing.
func Parse(raw []byte) (File, error) {
	if len(raw) > MaxFile || len(raw) < len(first) || string(raw[:len(first)]) != first {
		return File{}, fmt.Errorf("%w: %d bytes, or another first line than %q", ErrFormat, len(raw), first)
	}
	var f File
	if err := canon.Unmarshal(raw[len(first):], MaxFile, &f); err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return f, f.check()
}

// parts is how much of everything a kind has.
type parts struct{ checkpoints, roots, deliveries, messages int }

func (f File) parts() parts {
	return parts{len(f.Checkpoints), len(f.Roots), len(f.Deliveries), len(f.Messages)}
}

func (f File) check() error {
	want := map[Kind]parts{
		KindFork: {checkpoints: 2, roots: 2}, KindView: {checkpoints: 1, roots: 2, deliveries: 1},
		KindCounter: {deliveries: 2}, KindIdentifier: {messages: 2}, KindEntry: {checkpoints: 1},
	}
	w, known := want[f.Kind]
	if f.Size == 0 {
		w.roots = 0
	}
	proofs := w.checkpoints
	if w.roots == 0 && f.Kind != KindEntry {
		proofs = 0
	}
	switch {
	case f.Version != Version:
		return fmt.Errorf("%w: version %d; this program knows version %d", ErrFormat, f.Version, Version)
	case !known:
		return fmt.Errorf("%w: %s; a newer program may know it", ErrFormat, f.Kind)
	case f.parts() != w || len(f.Proofs) != proofs:
		return fmt.Errorf("%w: other parts than %s has", ErrFormat, f.Kind)
	case f.Kind != KindEntry && f.Index != 0, f.Size != 0 && w.roots == 0, f.Size > trust.MaxEntries, f.Index >= trust.MaxEntries:
		return fmt.Errorf("%w: size or index out of place", ErrFormat)
	}
	for _, d := range f.Deliveries {
		if len(d.Prefix)+len(d.Signed) > delivery.MaxEvidence {
			return fmt.Errorf("%w: delivery too large", ErrFormat)
		}
	}
	for _, m := range f.Messages {
		if len(m) > message.MaxSize {
			return fmt.Errorf("%w: message too large", ErrFormat)
		}
	}
	_, err := f.entries()
	return err
}
