// Package canon accepts exactly one encoding of each value.
//
// Everything signed or compared in Schakel is deterministic CBOR (RFC 8949, 4.2.1)
// without tags, floats, nil or indefinite lengths. The strictest options of the
// CBOR library still accept integers that are longer than needed, unsorted maps
// and missing fields, so [Unmarshal] decodes, encodes again and compares bytes.
package canon

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// ErrNotCanonical is wrapped by every refusal to decode: malformed, too large,
// unknown or missing fields, or another encoding than the one Marshal gives.
var ErrNotCanonical = errors.New("not canonical CBOR")

// maxElements bounds arrays and maps before anything is allocated for them.
const maxElements = 4096

var (
	encode = must(func() (cbor.UserBufferEncMode, error) {
		o := cbor.CoreDetEncOptions()
		o.TagsMd = cbor.TagsForbidden
		o.NilContainers = cbor.NilContainerAsEmpty
		return o.UserBufferEncMode()
	}())
	decode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8,
		MaxArrayElements:  maxElements,
		MaxMapPairs:       maxElements,
		UTF8:              cbor.UTF8RejectInvalid,
		NaN:               cbor.NaNDecodeForbidden,
		Inf:               cbor.InfDecodeForbidden,
	}.DecMode())
)

func must[M any](m M, err error) M {
	if err != nil {
		panic(err) // constant options: wrong here means wrong in every test
	}
	return m
}

// Marshal returns the one encoding of v.
func Marshal(v any) ([]byte, error) {
	b := scratch.Get().(*bytes.Buffer)
	defer put(b)
	if err := encode.MarshalToBuffer(v, b); err != nil {
		return nil, fmt.Errorf("failed to encode CBOR: %w", err)
	}
	return bytes.Clone(b.Bytes()), nil
}

// Unmarshal decodes b, of at most limit bytes, into v, and refuses any b that
// Marshal(*v) would not give. Byte strings in v are copies.
func Unmarshal(b []byte, limit int, v any) error {
	if len(b) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrNotCanonical, len(b), limit)
	}
	if err := decode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrNotCanonical, err)
	}
	again := scratch.Get().(*bytes.Buffer)
	defer put(again)
	if err := encode.MarshalToBuffer(v, again); err != nil {
		return fmt.Errorf("%w: %w", ErrNotCanonical, err)
	}
	if !bytes.Equal(again.Bytes(), b) {
		return fmt.Errorf("%w: another encoding of the same value", ErrNotCanonical)
	}
	return nil
}

// scratch holds buffers for an encoding while it is made: the library's own forget how large
// they were, and one of 64 KiB would grow anew each time.
var scratch = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const scratchKeep = 256 << 10

func put(b *bytes.Buffer) {
	if b.Cap() <= scratchKeep {
		b.Reset()
		scratch.Put(b)
	}
}
