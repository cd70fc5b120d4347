// Package cose builds and opens COSE_Sign1 (RFC 9052, 4.2) in the one shape that
// Schakel signs: Ed25519, a constant protected header per kind, an empty
// unprotected header, untagged.
//
// Nothing is negotiable, so there is nothing to downgrade: a structure whose
// protected header is not, byte for byte, the one of the expected kind is refused
// before its signature is looked at. That also stops one kind from being passed
// off as another (attack A23).
package cose

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"schakel/crypto/canon"
)

// ErrFormat is wrapped by every refusal of a structure that is not the COSE_Sign1
// expected.
var ErrFormat = errors.New("not the expected COSE_Sign1")

// Kind is the media type in the protected header (typ, RFC 9596).
type Kind string

// The kinds that Schakel signs.
const (
	KindMessage  Kind = "application/vnd.schakel.msg.v1+cbor"
	KindDelivery Kind = "application/vnd.schakel.delivery.v1+cbor"
	KindRecord   Kind = "application/vnd.schakel.record.v1+cbor"
)

// algEd25519 is the fully-specified algorithm of RFC 9864, not the polymorphic -8.
const algEd25519 = -19

// Sign1 is an opened structure. Payload and Signature are copies.
type Sign1 struct {
	Kind      Kind
	Payload   []byte
	Signature []byte
}

type structure struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected struct{}
	Payload     []byte
	Signature   []byte
}

// Protected returns the encoded protected header of a kind: {1: -19, 16: kind}.
func (k Kind) Protected() []byte {
	b, err := canon.Marshal(struct {
		Alg int    `cbor:"1,keyasint"`
		Typ string `cbor:"16,keyasint"`
	}{algEd25519, string(k)})
	if err != nil {
		panic(err) // two constants always encode
	}
	return b
}

// ToBeSigned returns the Sig_structure (RFC 9052, 4.4) over payload and the
// external data aad.
func ToBeSigned(kind Kind, aad, payload []byte) ([]byte, error) {
	const context = "Signature1"
	protected := kind.Protected()
	b := make([]byte, 0, 1+byteString(len(context))+byteString(len(protected))+byteString(len(aad))+byteString(len(payload)))
	b = append(b, array4, text+byte(len(context)))
	b = appendBytes(append(b, context...), protected)
	return appendBytes(appendBytes(b, aad), payload), nil
}

// Assemble returns the COSE_Sign1 that carries payload under a signature made
// over ToBeSigned.
func Assemble(kind Kind, payload, signature []byte) ([]byte, error) {
	if len(signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("%w: signature of %d bytes", ErrFormat, len(signature))
	}
	b := append(make([]byte, 0, Size(kind, len(payload))), array4)
	b = append(appendBytes(b, kind.Protected()), emptyMap)
	return appendBytes(appendBytes(b, payload), signature), nil
}

// The first bytes of what is written by hand (RFC 8949, 3): a payload of 64 KiB costs one
// copy so, and three with the library.
const (
	bstr     = 0x40
	text     = 0x60
	array4   = 0x84
	emptyMap = 0xa0
)

// appendBytes adds a byte string.
func appendBytes(b, content []byte) []byte {
	switch n := len(content); {
	case n < 24:
		b = append(b, bstr+byte(n))
	case n < 1<<8:
		b = append(b, bstr+24, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, bstr+25), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, bstr+26), uint32(n))
	}
	return append(b, content...)
}

// Size is the length of what Assemble gives for a payload of that length.
func Size(kind Kind, payload int) int {
	const brackets, signature = 2, 2 + ed25519.SignatureSize // array(4) and the empty map; bstr(64)
	return brackets + byteString(len(kind.Protected())) + byteString(payload) + signature
}

// byteString is the encoded length of a byte string of n bytes (RFC 8949, 3).
func byteString(n int) int {
	switch {
	case n < 24:
		return 1 + n
	case n < 1<<8:
		return 2 + n
	case n < 1<<16:
		return 3 + n
	default:
		return 5 + n
	}
}

// Parse opens raw, of at most limit bytes, as a COSE_Sign1 of the given kind. The
// signature is not verified: the caller knows the key, and the external data.
func Parse(kind Kind, raw []byte, limit int) (Sign1, error) {
	var s structure
	if err := canon.Unmarshal(raw, limit, &s); err != nil {
		return Sign1{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if !bytes.Equal(s.Protected, kind.Protected()) {
		return Sign1{}, fmt.Errorf("%w: other protected header", ErrFormat)
	}
	if len(s.Signature) != ed25519.SignatureSize {
		return Sign1{}, fmt.Errorf("%w: signature of %d bytes", ErrFormat, len(s.Signature))
	}
	return Sign1{Kind: kind, Payload: s.Payload, Signature: s.Signature}, nil
}
