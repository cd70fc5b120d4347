package delivery

import (
	"fmt"

	"schakel/crypto/canon"
	"schakel/crypto/cose"
	"schakel/crypto/envelope"
)

// Bare is the evidence of a delivery without what it carried: small enough to keep of every
// one, and whole again as long as its content is kept elsewhere.
type Bare struct {
	_         struct{} `cbor:",toarray"`
	Prefix    []byte
	Payload   []byte // canonical, with no content
	Signature []byte
}

// MaxBare bounds the encoded form of one.
const MaxBare = 64<<10 + envelope.MaxHeader

// Bare takes the content out.
func (e Evidence) Bare() (Bare, error) {
	s1, err := cose.Parse(cose.KindDelivery, e.Signed, MaxSize)
	if err != nil {
		return Bare{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	var d Delivery
	if err := canon.Unmarshal(s1.Payload, MaxSize, &d); err != nil {
		return Bare{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	d.Content = nil
	payload, err := canon.Marshal(d)
	return Bare{Prefix: e.Prefix, Payload: payload, Signature: s1.Signature}, err
}

// With puts the content back. Only with the content that was there does the result verify.
func (b Bare) With(content []byte) (Evidence, error) {
	var d Delivery
	if err := canon.Unmarshal(b.Payload, MaxBare, &d); err != nil {
		return Evidence{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	d.Content = content
	payload, err := canon.Marshal(d)
	if err != nil {
		return Evidence{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	signed, err := cose.Assemble(cose.KindDelivery, payload, b.Signature)
	if err != nil {
		return Evidence{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return Evidence{Prefix: b.Prefix, Signed: signed}, nil
}

// Encode returns the canonical bytes of b.
func (b Bare) Encode() ([]byte, error) { return canon.Marshal(b) }

// ParseBare reads what Encode gives, and nothing else. It verifies nothing.
func ParseBare(raw []byte) (Bare, error) {
	var b Bare
	if err := canon.Unmarshal(raw, MaxBare, &b); err != nil {
		return Bare{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return b, nil
}
