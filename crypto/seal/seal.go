// Package seal turns a delivery into an envelope that only the devices of one
// desk can open, and opens such envelopes: it holds the secrets.
//
// A sender makes the permanent message with [SignMessage], fills a [Parcel] per
// addressed desk and calls [Seal]. A recipient calls [Open] with a [Lock] that
// knows its own epoch keys and whom the register names as sealing device. Open
// returns everything or nothing: on any error there is no envelope, no delivery,
// and no byte of plaintext.
//
// age proves no sender, and any recipient can replace the payload under the
// original header: only the signature inside counts, over the received bytes.
// Errors are for the local audit log (see [Reason]); towards the network every
// failure must look the same, so never send one to the relay.
//
// Only programs that hold keys import this package: the relay does not.
package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"

	"schakel/crypto/cose"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// ErrSigner says that a message names another device or person than the one whose
// key was given.
var ErrSigner = errors.New("message names another signer")

// SignMessage signs m as its sending device and, where person is not nil, as that
// person, whose identifier it fills in.
func SignMessage(m message.Message, device *DeviceKeys, person *PersonKey) (message.Signed, error) {
	if err := device.check(); err != nil {
		return message.Signed{}, err
	}
	if m.Sender.Device != device.ID {
		return message.Signed{}, fmt.Errorf("%w: device %s, keys are those of %s", ErrSigner, m.Sender.Device, device.ID)
	}
	if err := namePerson(&m, person); err != nil {
		return message.Signed{}, err
	}
	payload, tbs, err := m.ToBeSigned()
	if err != nil {
		return message.Signed{}, err
	}
	var personSig []byte
	if person != nil {
		personSig = ed25519.Sign(person.Key, tbs)
	}
	return message.Assemble(payload, ed25519.Sign(device.Sign, tbs), personSig)
}

func namePerson(m *message.Message, person *PersonKey) error {
	if person == nil {
		if len(m.Person) != 0 {
			return fmt.Errorf("%w: a person is named and no person signs", ErrSigner)
		}
		return nil
	}
	if person.ID.IsZero() || len(person.Key) != ed25519.PrivateKeySize {
		return fmt.Errorf("%w: person key of %d bytes", ErrKey, len(person.Key))
	}
	if len(m.Person) == 0 {
		m.Person = person.ID[:]
	}
	if !bytes.Equal(m.Person, person.ID[:]) {
		return fmt.Errorf("%w: another person", ErrSigner)
	}
	return nil
}

// Target is one device to seal to, and its key in that epoch.
type Target struct {
	Device    identity.DeviceID
	Epoch     uint64
	Recipient *Recipient
}

// Parcel is what goes to one desk. Seal fills the delivery's version and keys,
// and puts the hash of its attended token into the header. Times are seconds
// since 1970.
type Parcel struct {
	ID               envelope.ID
	Desk             identity.DeskID
	Targets          []Target // in any order
	Created, Expires uint64
	Tier             envelope.Tier
	Delivery         delivery.Delivery
}

// Seal signs the delivery as device, under the envelope's header, and returns the
// whole envelope. It keeps nothing: a second call gives other bytes, because a
// file key and an age header are never used twice.
func Seal(p Parcel, device *DeviceKeys) ([]byte, error) {
	if err := device.check(); err != nil {
		return nil, err
	}
	targets, err := sortTargets(p.Targets)
	if err != nil {
		return nil, err
	}
	d := p.Delivery
	d.Version, d.Keys = delivery.Version, keyUses(targets)
	payload, err := d.Payload()
	if err != nil {
		return nil, err
	}
	padded := paddedSize(cose.Size(cose.KindDelivery, len(payload)))
	prefix, err := header(p, targets, device.ID, sealedSize(len(targets), padded)).Prefix()
	if err != nil {
		return nil, err
	}
	signed, err := signDelivery(prefix, payload, device)
	if err != nil {
		return nil, err
	}
	return encrypt(prefix, signed, targets)
}

func sortTargets(targets []Target) ([]Target, error) {
	if len(targets) == 0 || len(targets) > envelope.MaxTargets {
		return nil, fmt.Errorf("%w: %d targets, want 1 to %d", envelope.ErrFormat, len(targets), envelope.MaxTargets)
	}
	sorted := slices.Clone(targets)
	slices.SortFunc(sorted, func(a, b Target) int { return bytes.Compare(a.Device[:], b.Device[:]) })
	for _, t := range sorted {
		if t.Recipient == nil {
			return nil, fmt.Errorf("%w: no recipient for device %s", ErrKey, t.Device)
		}
	}
	return sorted, nil
}

func keyUses(targets []Target) []delivery.KeyUse {
	uses := make([]delivery.KeyUse, len(targets))
	for i, t := range targets {
		uses[i] = delivery.KeyUse{Device: t.Device, Epoch: t.Epoch, Recipient: t.Recipient.hash}
	}
	return uses
}

func header(p Parcel, targets []Target, sealer identity.DeviceID, size int) envelope.Header {
	h := envelope.Header{
		Version: 1, ID: p.ID, Sealer: sealer, Desk: p.Desk,
		Created: p.Created, Expires: p.Expires, AgeLength: uint64(size), Tier: p.Tier,
	}
	for _, t := range targets {
		h.Targets = append(h.Targets, envelope.Target{Device: t.Device, Epoch: t.Epoch})
	}
	if len(p.Delivery.Attended) > 0 {
		sum := sha256.Sum256(p.Delivery.Attended)
		h.Attended = sum[:]
	}
	return h
}

func signDelivery(prefix, payload []byte, device *DeviceKeys) ([]byte, error) {
	tbs, err := cose.ToBeSigned(cose.KindDelivery, prefix, payload)
	if err != nil {
		return nil, err
	}
	signed, err := cose.Assemble(cose.KindDelivery, payload, ed25519.Sign(device.Sign, tbs))
	if err != nil {
		return nil, err
	}
	if len(signed) > delivery.MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", delivery.ErrFormat, len(signed), delivery.MaxSize)
	}
	return signed, nil
}

// encrypt appends to prefix the age file around the signed delivery.
func encrypt(prefix, signed []byte, targets []Target) ([]byte, error) {
	padded := paddedSize(len(signed))
	size := len(prefix) + sealedSize(len(targets), padded)
	out := bytes.NewBuffer(make([]byte, 0, size))
	out.Write(prefix)
	w, err := age.Encrypt(out, everyone(targets))
	if err != nil {
		return nil, fmt.Errorf("failed to seal: %w", err)
	}
	if err := writePadded(w, signed, padded); err != nil {
		return nil, fmt.Errorf("failed to seal: %w", err)
	}
	if out.Len() != size { // the signed header would state another size
		return nil, fmt.Errorf("failed to seal: age wrote %d bytes, want %d", out.Len(), size)
	}
	return out.Bytes(), nil
}

func writePadded(w io.WriteCloser, signed []byte, padded int) error {
	length := binary.BigEndian.AppendUint32(nil, uint32(len(signed)))
	if _, err := w.Write(length); err != nil {
		return err
	}
	if _, err := w.Write(signed); err != nil {
		return err
	}
	for rest := padded - lengthSize - len(signed); rest > 0; {
		n, err := w.Write(zeros[:min(rest, len(zeros))])
		if err != nil {
			return err
		}
		rest -= n
	}
	return w.Close()
}
