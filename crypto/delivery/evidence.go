package delivery

import (
	"fmt"

	"schakel/crypto/canon"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// MaxEvidence bounds the evidence of one delivery.
const MaxEvidence = MaxSize + envelope.MaxHeader + 64

// Evidence is a delivery without its seal: the prefix of the envelope it was made for
// and the signed bytes. It shows to anybody, without any key, what the sealing device
// said and to which desk.
type Evidence struct {
	_      struct{} `cbor:",toarray"`
	Prefix []byte
	Signed []byte
}

// Encode returns the canonical bytes of e.
func (e Evidence) Encode() ([]byte, error) { return canon.Marshal(e) }

// ParseEvidence reads what Encode gives, and nothing else. It verifies nothing.
func ParseEvidence(b []byte) (Evidence, error) {
	var e Evidence
	if err := canon.Unmarshal(b, MaxEvidence, &e); err != nil {
		return Evidence{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return e, nil
}

// Header reads the header that the delivery was made for: who sealed it, and for whom.
// Nothing of it is proven before Verify.
func (e Evidence) Header() (envelope.Header, error) {
	h, rest, err := envelope.ParsePrefix(e.Prefix)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: %d bytes behind the header", ErrFormat, len(rest))
	}
	return h, err
}

// Verify checks that sealer signed this delivery for this header.
func (e Evidence) Verify(sealer identity.Key) (Delivery, error) {
	h, err := e.Header()
	if err != nil {
		return Delivery{}, err
	}
	d, err := Verify(e.Signed, e.Prefix, sealer)
	if err != nil {
		return Delivery{}, err
	}
	return d, d.Matches(h)
}
