package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Refusals to open, beside envelope.ErrFormat, delivery.ErrFormat and
// identity.ErrBadSignature.
var (
	ErrNotForMe      = errors.New("envelope is not for this desk and device")
	ErrStanzas       = errors.New("age file is not sealed to exactly the devices in the header, hybrid post-quantum")
	ErrNoEpochKey    = errors.New("epoch key is not here: never made, or destroyed")
	ErrUnknownSealer = errors.New("sealing device is not known")
	ErrDecrypt       = errors.New("age file does not open")
	ErrPadding       = errors.New("padding is not the one that belongs to the size")
	ErrKeyHash       = errors.New("sealed to another key than the one in the register")
	ErrNotAddressed  = errors.New("message is not addressed to this desk")
)

// Lock is what a device opens with. Epoch gives the key with that number, or an
// error when it was never made or is destroyed. Sealer gives the signing key that
// the register holds for a device, or an error when it holds none.
type Lock struct {
	Desk   identity.DeskID
	Device identity.DeviceID
	Epoch  func(number uint64) (*EpochKey, error)
	Sealer func(identity.DeviceID) (identity.Key, error)
}

// Opened is an envelope and the delivery that was proven to belong in it. The
// envelope's slices point into the bytes that were opened.
type Opened struct {
	Envelope envelope.Envelope
	Delivery delivery.Delivery
	Signed   []byte // the delivery as it was signed: evidence, together with Envelope.Prefix
}

// Open verifies and decrypts raw, cheapest check first. It touches no key before
// the envelope is known to be well formed, for this device, and of exactly the
// size and stanza count that its header states; and it reads the file to its
// authenticated end before it looks at the first byte.
//
// Replays, counters, the message's own signatures, time and tier are the
// caller's: they need the register and the store.
func Open(raw []byte, l Lock) (Opened, error) {
	e, err := envelope.Parse(raw)
	if err != nil {
		return Opened{}, err
	}
	index := e.Header.Index(l.Device)
	if e.Header.Desk != l.Desk || index < 0 {
		return Opened{}, fmt.Errorf("%w: it is for %s", ErrNotForMe, e.Header.Desk)
	}
	padded, err := checkLayout(e.Sealed, len(e.Header.Targets))
	if err != nil {
		return Opened{}, err
	}
	sealer, key, err := l.keys(e.Header, index)
	if err != nil {
		return Opened{}, err
	}
	plain, err := decrypt(e.Sealed, padded, &strictIdentity{key: key, index: index, count: len(e.Header.Targets)})
	if err != nil {
		return Opened{}, err
	}
	signed, err := unpad(plain)
	if err != nil {
		return Opened{}, err
	}
	d, err := verify(signed, e, sealer, index, key)
	if err != nil {
		return Opened{}, err
	}
	return Opened{Envelope: e, Delivery: d, Signed: signed}, nil
}

// keys looks up who must have signed and what can open, before anything is decrypted.
func (l Lock) keys(h envelope.Header, index int) (identity.Key, *EpochKey, error) {
	sealer, err := l.Sealer(h.Sealer)
	if err != nil {
		return identity.Key{}, nil, fmt.Errorf("%w: %s: %w", ErrUnknownSealer, h.Sealer, err)
	}
	number := h.Targets[index].Epoch
	key, err := l.Epoch(number)
	if err != nil {
		return identity.Key{}, nil, fmt.Errorf("%w: epoch %d: %w", ErrNoEpochKey, number, err)
	}
	if key == nil || key.number != number {
		return identity.Key{}, nil, fmt.Errorf("%w: epoch %d", ErrNoEpochKey, number)
	}
	return sealer, key, nil
}

// decrypt returns the whole plaintext, or nothing.
func decrypt(sealed []byte, padded int, id *strictIdentity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), id)
	switch {
	case err == nil:
	case id.refused != nil:
		return nil, id.refused
	case !id.asked:
		return nil, fmt.Errorf("%w: %w", ErrStanzas, err)
	default:
		return nil, fmt.Errorf("%w: %w", ErrDecrypt, err)
	}
	plain := make([]byte, padded)
	if _, err := io.ReadFull(r, plain); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDecrypt, err)
	}
	// The end is authenticated too: a file cut at a chunk boundary (attack A12)
	// gives all its bytes and then an error instead of io.EOF.
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, fmt.Errorf("%w: no authenticated end: %v", ErrDecrypt, err)
	}
	return plain, nil
}

// verify gives the delivery in signed, once it is proven to be the sealing device's
// own, made for this header, and sealed to the key that was used.
func verify(signed []byte, e envelope.Envelope, sealer identity.Key, index int, key *EpochKey) (delivery.Delivery, error) {
	d, err := delivery.Verify(signed, e.Prefix, sealer)
	if err != nil {
		return delivery.Delivery{}, err
	}
	if err := d.Matches(e.Header); err != nil {
		return delivery.Delivery{}, err
	}
	if d.Keys[index].Recipient != key.hash {
		return delivery.Delivery{}, fmt.Errorf("%w: epoch %d", ErrKeyHash, key.number)
	}
	return d, nil
}

// Identity is k as an age.Identity with the rules of Open: it opens stanza index
// of exactly count hybrid ones, and refuses any other file. For whoever reads an
// age file outside an envelope, such as an exported delivery.
func (k *EpochKey) Identity(index, count int) (age.Identity, error) {
	if index < 0 || index >= count || count > envelope.MaxTargets {
		return nil, fmt.Errorf("%w: stanza %d of %d", ErrStanzas, index, count)
	}
	return &strictIdentity{key: k, index: index, count: count}, nil
}

// strictIdentity opens the one stanza at this device's place, after checking all
// of them. age refuses to mix kinds of recipient when it encrypts but not when it
// decrypts, tries every stanza, and would compute scrypt for one: here any other
// stanza, or one too many (a hidden reader, attack F05), ends it. No error wraps
// age.ErrIncorrectIdentity, so each is fatal to age.Decrypt.
type strictIdentity struct {
	key     *EpochKey
	index   int
	count   int
	asked   bool  // age could parse the header
	refused error // why the stanzas were refused, if they were
}

var _ age.Identity = (*strictIdentity)(nil)

// Unwrap implements age.Identity.
func (s *strictIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	s.asked = true
	if s.refused = s.checkStanzas(stanzas); s.refused != nil {
		return nil, s.refused
	}
	fileKey, err := s.key.identity.Unwrap(stanzas[s.index : s.index+1])
	if err != nil {
		return nil, fmt.Errorf("stanza %d: %s", s.index, err) // %s: fatal, see above
	}
	return fileKey, nil
}

func (s *strictIdentity) checkStanzas(stanzas []*age.Stanza) error {
	if len(stanzas) != s.count {
		return fmt.Errorf("%w: %d stanzas for %d devices", ErrStanzas, len(stanzas), s.count)
	}
	for i, z := range stanzas {
		if z.Type != stanzaType {
			return fmt.Errorf("%w: stanza %d is %.40q", ErrStanzas, i, z.Type)
		}
		if len(z.Args) != 1 || len(z.Args[0]) != argSize || len(z.Body) != bodySize {
			return fmt.Errorf("%w: stanza %d has another shape", ErrStanzas, i)
		}
	}
	return nil
}

// Message returns the signed message that a delivery of delivery.KindMessage
// carries, once it is known to be addressed to the desk of the envelope: a message
// signed for others and passed on is refused (attacks F01 and H03). Its
// signatures are still to be verified, with keys from the register.
func (o Opened) Message() (message.Signed, error) {
	if o.Delivery.Kind != delivery.KindMessage {
		return message.Signed{}, fmt.Errorf("%w: delivery of kind %d carries no message", delivery.ErrFormat, o.Delivery.Kind)
	}
	s, err := message.Parse(o.Delivery.Content)
	if err != nil {
		return message.Signed{}, err
	}
	if !s.Message.AddressedTo(o.Envelope.Header.Desk) {
		return message.Signed{}, fmt.Errorf("%w: %s", ErrNotAddressed, o.Envelope.Header.Desk)
	}
	return s, nil
}

// Reason is the constant word for an error of this package, for the local audit
// log and for counting; it holds nothing that the sender chose.
func Reason(err error) string {
	for _, r := range []struct {
		err  error
		word string
	}{
		{ErrNotForMe, "not-for-me"}, {ErrStanzas, "stanzas"}, {ErrNoEpochKey, "no-epoch-key"},
		{ErrUnknownSealer, "unknown-sealer"}, {ErrDecrypt, "decrypt"}, {ErrPadding, "padding"},
		{ErrKeyHash, "key-hash"}, {identity.ErrBadSignature, "signature"}, {ErrNotAddressed, "not-addressed"},
		{envelope.ErrVersion, "envelope-version"}, {envelope.ErrFormat, "envelope-format"}, {delivery.ErrFormat, "delivery-format"}, {message.ErrFormat, "message-format"},
	} {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	return "other"
}
