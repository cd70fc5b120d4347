package bench

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"time"

	"filippo.io/age"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/seal"
)

// sealing compares 1 KiB sealed to one device with age alone plus the signature.
func sealing() (s Sealing, err error) {
	keys, err := seal.NewDeviceKeys(identity.DeviceID{1}, rand.Reader)
	if err != nil {
		return s, err
	}
	epoch, err := seal.NewEpochKey(1)
	if err != nil {
		return s, err
	}
	recipient, err := seal.ParseRecipient(epoch.Recipient())
	if err != nil {
		return s, err
	}
	content := make([]byte, 1<<10)
	parcel := seal.Parcel{
		ID: envelope.ID{1}, Desk: "bench/desk", Targets: []seal.Target{{Device: identity.DeviceID{2}, Epoch: 1, Recipient: recipient}},
		Created: 1, Expires: 2, Delivery: delivery.Delivery{Kind: delivery.KindTest, Content: content},
	}
	raw, err := seal.Seal(parcel, keys)
	if err != nil {
		return s, err
	}
	lock := seal.Lock{
		Desk: "bench/desk", Device: identity.DeviceID{2},
		Epoch:  func(uint64) (*seal.EpochKey, error) { return epoch, nil },
		Sealer: func(identity.DeviceID) (identity.Key, error) { return keys.SignPublic(), nil },
	}
	if _, err := seal.Open(raw, lock); err != nil {
		return s, err
	}
	bareRecipient, err := age.ParseHybridRecipient(epoch.Recipient())
	if err != nil {
		return s, err
	}
	bareIdentity, err := age.ParseHybridIdentity(epoch.Secret())
	if err != nil {
		return s, err
	}
	padded := make([]byte, 4096)
	sealed, signature, err := bareSeal(padded, bareRecipient, keys.Sign)
	if err != nil {
		return s, err
	}
	for _, m := range []struct {
		into *float64
		call func() error
	}{
		{&s.Seal, func() error { _, err := seal.Seal(parcel, keys); return err }},
		{&s.BareSeal, func() error { _, _, err := bareSeal(padded, bareRecipient, keys.Sign); return err }},
		{&s.Open, func() error { _, err := seal.Open(raw, lock); return err }},
		{&s.BareOpen, func() error { return bareOpen(sealed, padded, signature, bareIdentity, keys.Sign) }},
	} {
		if *m.into, err = micros(m.call); err != nil {
			return s, err
		}
	}
	s.SealRatio, s.OpenRatio = s.Seal/s.BareSeal, s.Open/s.BareOpen
	return s, nil
}

func bareSeal(plain []byte, to *age.HybridRecipient, key ed25519.PrivateKey) (sealed, signature []byte, err error) {
	signature = ed25519.Sign(key, plain)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, nil, err
	}
	if err := w.Close(); err != nil {
		return nil, nil, err
	}
	return out.Bytes(), signature, nil
}

func bareOpen(sealed, plain, signature []byte, from *age.HybridIdentity, key ed25519.PrivateKey) error {
	r, err := age.Decrypt(bytes.NewReader(sealed), from)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	if !ed25519.Verify(key.Public().(ed25519.PublicKey), plain, signature) {
		return identity.ErrBadSignature
	}
	return nil
}

// micros is the mean time of one call over half a second of calls.
func micros(f func() error) (float64, error) {
	const atLeast = 500 * time.Millisecond
	began := time.Now()
	for n := 1; ; n++ {
		if err := f(); err != nil {
			return 0, err
		}
		if took := time.Since(began); took > atLeast {
			return float64(took.Microseconds()) / float64(n), nil
		}
	}
}
