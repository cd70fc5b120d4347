package seal_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// TestSealOpen is the control of every refusal in this package: the honest
// envelope opens, for every device of the desk, to what was put in.
func TestSealOpen(t *testing.T) {
	for _, devices := range []int{1, 2, 7, envelope.MaxTargets} {
		w := newWorld(t, devices)
		p := w.parcel(t, []byte("inhoud"))
		p.Delivery.Attended = bytes.Repeat([]byte{7}, 32)
		slices.Reverse(p.Targets) // any order will do
		raw := w.seal(t, p)
		for i := range w.devices {
			opened, err := seal.Open(raw, w.lock(i))
			must(t, err)
			d, h := opened.Delivery, opened.Envelope.Header
			if string(d.Content) != "inhoud" || d.Kind != delivery.KindTest || d.Keys[i].Recipient != w.devices[i].key.RecipientHash() {
				t.Fatalf("%d devices, device %d: got %+v", devices, i, d)
			}
			if sum := sha256.Sum256(d.Attended); !bytes.Equal(h.Attended, sum[:]) || h.ID != p.ID || h.Sealer != w.sender.ID {
				t.Fatalf("%d devices, device %d: got %+v", devices, i, h)
			}
		}
	}
}

// TestSizes checks the stated size of an envelope, and that sizes leak only what
// Padmé leaves.
func TestSizes(t *testing.T) {
	w := newWorld(t, 2)
	for _, c := range []struct{ content, plaintext int }{
		{0, 4096}, {1, 4096}, {3000, 4096}, {8_000, 8704}, {chunk - 400, chunk}, {chunk, 67_584}, {delivery.MaxSize - 300, 512 << 10},
	} {
		raw := w.seal(t, w.parcel(t, make([]byte, c.content)))
		chunks := (c.plaintext + chunk - 1) / chunk
		want := introSize + 2*stanzaSize + footerSize + nonceSize + c.plaintext + chunks*sealedTag
		if got := len(parse(t, raw).Sealed); got != want {
			t.Errorf("content of %d bytes: %d sealed, want %d", c.content, got, want)
		}
		_, err := seal.Open(raw, w.lock(1))
		must(t, err)
	}
}

func TestSealNeverTheSame(t *testing.T) {
	w := newWorld(t, 1)
	p := w.parcel(t, []byte("inhoud"))
	a, b := parse(t, w.seal(t, p)), parse(t, w.seal(t, p))
	if !bytes.Equal(a.Prefix, b.Prefix) {
		t.Error("the header depends on more than the parcel")
	}
	if bytes.Equal(a.Sealed[:introSize+stanzaSize], b.Sealed[:introSize+stanzaSize]) {
		t.Error("an age header was used twice")
	}
}

func TestSealRefuses(t *testing.T) {
	w := newWorld(t, 2)
	for name, c := range map[string]struct {
		want   error
		change func(p *seal.Parcel)
	}{
		"no targets":          {envelope.ErrFormat, func(p *seal.Parcel) { p.Targets = nil }},
		"65 targets":          {envelope.ErrFormat, func(p *seal.Parcel) { p.Targets = slices.Repeat(p.Targets[:1], 65) }},
		"device twice":        {envelope.ErrFormat, func(p *seal.Parcel) { p.Targets[1].Device = p.Targets[0].Device }},
		"no recipient":        {seal.ErrKey, func(p *seal.Parcel) { p.Targets[1].Recipient = nil }},
		"lives too long":      {envelope.ErrFormat, func(p *seal.Parcel) { p.Expires++ }},
		"no desk":             {envelope.ErrFormat, func(p *seal.Parcel) { p.Desk = "" }},
		"no id":               {envelope.ErrFormat, func(p *seal.Parcel) { p.ID = envelope.ID{} }},
		"unknown kind":        {delivery.ErrFormat, func(p *seal.Parcel) { p.Delivery.Kind = 99 }},
		"short token":         {delivery.ErrFormat, func(p *seal.Parcel) { p.Delivery.Attended = []byte("kort") }},
		"content too long":    {delivery.ErrFormat, func(p *seal.Parcel) { p.Delivery.Content = make([]byte, delivery.MaxSize) }},
		"message, no counter": {delivery.ErrFormat, func(p *seal.Parcel) { p.Delivery.Kind, p.Delivery.Counter = delivery.KindMessage, 0 }},
	} {
		p := w.parcel(t, []byte("inhoud"))
		c.change(&p)
		if raw, err := seal.Seal(p, w.sender); !errors.Is(err, c.want) || raw != nil {
			t.Errorf("%s: %d bytes, %v; want %v", name, len(raw), err, c.want)
		}
	}
}

func TestOpenWithoutKey(t *testing.T) {
	w := newWorld(t, 2)
	raw := w.seal(t, w.parcel(t, []byte("inhoud")))
	for name, c := range map[string]struct {
		want   error
		change func(l *seal.Lock)
	}{
		"other desk":               {seal.ErrNotForMe, func(l *seal.Lock) { l.Desk = otherDesk }},
		"other device of the desk": {seal.ErrNotForMe, func(l *seal.Lock) { l.Device = identity.DeviceID(newID(t)) }},
		"epoch destroyed":          {seal.ErrNoEpochKey, func(l *seal.Lock) { l.Epoch = func(uint64) (*seal.EpochKey, error) { return nil, errUnknown } }},
		"no key and no error":      {seal.ErrNoEpochKey, func(l *seal.Lock) { l.Epoch = func(uint64) (*seal.EpochKey, error) { return nil, nil } }},
		"key of another epoch":     {seal.ErrNoEpochKey, func(l *seal.Lock) { l.Epoch = func(uint64) (*seal.EpochKey, error) { return seal.NewEpochKey(1) } }},
		"key of another device":    {seal.ErrDecrypt, func(l *seal.Lock) { l.Epoch = w.lock(1).Epoch }},
		"sealer not in register": {seal.ErrUnknownSealer, func(l *seal.Lock) {
			l.Sealer = func(identity.DeviceID) (identity.Key, error) { return identity.Key{}, errUnknown }
		}},
		"sealer with zero key": {identity.ErrBadSignature, func(l *seal.Lock) {
			l.Sealer = func(identity.DeviceID) (identity.Key, error) { return identity.Key{}, nil }
		}},
	} {
		lock := w.lock(0)
		c.change(&lock)
		t.Run(name, func(t *testing.T) { refused(t, raw, lock, c.want) })
	}
}

func TestSignMessage(t *testing.T) {
	device, other := newDevice(t), newDevice(t)
	person, err := seal.NewPersonKey(identity.PersonID(newID(t)), rand.Reader)
	must(t, err)
	alone, both := signedMessage(t, device, nil, recipientDesk), signedMessage(t, device, person, recipientDesk)
	must(t, errors.Join(alone.VerifyDevice(device.SignPublic()), both.VerifyDevice(device.SignPublic()), both.VerifyPerson(person.Public())))
	for name, err := range map[string]error{
		"another device":              alone.VerifyDevice(other.SignPublic()),
		"login key":                   alone.VerifyDevice(device.LoginPublic()),
		"person where none signed":    alone.VerifyPerson(person.Public()),
		"device as the person":        both.VerifyPerson(device.SignPublic()),
		"person as the device":        both.VerifyDevice(person.Public()),
		"zero key, missing signature": alone.VerifyPerson(identity.Key{}),
	} {
		if !errors.Is(err, identity.ErrBadSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignMessageRefuses(t *testing.T) {
	device := newDevice(t)
	person, err := seal.NewPersonKey(identity.PersonID(newID(t)), rand.Reader)
	must(t, err)
	for name, c := range map[string]struct {
		want   error
		person *seal.PersonKey
		change func(m *message.Message)
	}{
		"another device":           {seal.ErrSigner, nil, func(m *message.Message) { m.Sender.Device[0] ^= 1 }},
		"person named, none signs": {seal.ErrSigner, nil, func(m *message.Message) { m.Person = person.ID[:] }},
		"another person named":     {seal.ErrSigner, person, func(m *message.Message) { m.Person = make([]byte, 16) }},
		"half a person key":        {seal.ErrKey, &seal.PersonKey{ID: person.ID, Key: person.Key[:32]}, func(*message.Message) {}},
		"no body":                  {message.ErrFormat, person, func(m *message.Message) { m.Body = nil }},
	} {
		m := draft(t, device, recipientDesk)
		c.change(&m)
		if _, err := seal.SignMessage(m, device, c.person); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := seal.SignMessage(draft(t, device, recipientDesk), nil, nil); !errors.Is(err, seal.ErrKey) {
		t.Errorf("no device keys: %v", err)
	}
}
