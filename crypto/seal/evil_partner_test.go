package seal_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"filippo.io/age"
	agearmor "filippo.io/age/armor"
	"golang.org/x/crypto/chacha20poly1305"

	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// TestForgeIsHonest is the control of every forgery below: with no step replaced,
// what the forger makes opens.
func TestForgeIsHonest(t *testing.T) {
	w := newWorld(t, 2)
	opened, err := seal.Open(w.forge(t, w.parcel(t, []byte("inhoud")), forgery{}), w.lock(1))
	must(t, err)
	if string(opened.Delivery.Content) != "inhoud" {
		t.Fatalf("got %q", opened.Delivery.Content)
	}
}

// TestF01Forwarded is F01: a partner passes on a message that was signed for others,
// in a delivery of its own, and the whole delivery under a header of its own.
func TestF01Forwarded(t *testing.T) {
	w, evil := newWorld(t, 1), newWorld(t, 1)
	signed := signedMessage(t, w.sender, nil, otherDesk)
	p := w.parcel(t, signed.Raw)
	p.Delivery.Kind = delivery.KindMessage
	opened, err := seal.Open(w.seal(t, p), w.lock(0))
	must(t, err)
	if _, err := opened.Message(); !errors.Is(err, seal.ErrNotAddressed) {
		t.Errorf("message for %s opened at %s: %v", otherDesk, recipientDesk, err)
	}
	addressed := p
	addressed.Delivery.Content = signedMessage(t, w.sender, nil, otherDesk, recipientDesk).Raw
	opened, err = seal.Open(w.seal(t, addressed), w.lock(0))
	must(t, err)
	if _, err := opened.Message(); err != nil { // the control
		t.Errorf("addressed message: %v", err)
	}
	evil.sender.ID = w.sender.ID // the header names the honest device, the signature is the evil one's
	refused(t, evil.forge(t, w.parcel(t, []byte("x")), forgery{}), w.lock(0), identity.ErrBadSignature)
}

// TestF02Rewrapped is F02: the signed delivery in a new age file. Under the same
// header it is the same envelope, which the store refuses as a replay; under any
// other it does not verify.
func TestF02Rewrapped(t *testing.T) {
	w := newWorld(t, 1)
	raw := w.seal(t, w.parcel(t, []byte("inhoud")))
	plain, _ := openWithAge(t, parse(t, raw).Sealed, w.devices[0].key)
	rewrap := func(change func(*envelope.Header)) []byte {
		return relay(t, raw, func(h *envelope.Header, _ []byte) []byte {
			change(h)
			return ageFile(t, plain, hybrid(t, w.targets(t)))
		})
	}
	opened, err := seal.Open(rewrap(func(*envelope.Header) {}), w.lock(0))
	must(t, err)
	if opened.Envelope.Header.ID != parse(t, raw).Header.ID {
		t.Error("another envelope id")
	}
	refused(t, rewrap(func(h *envelope.Header) { h.ID[0] ^= 1 }), w.lock(0), identity.ErrBadSignature)
}

// TestF03ReplacedPayload is F03: a recipient knows the file key and writes another
// payload under the original age header. age itself opens it: that is the control
// which shows that only the signature stops it.
func TestF03ReplacedPayload(t *testing.T) {
	w := newWorld(t, 2)
	raw := w.seal(t, w.parcel(t, []byte("inhoud")))
	sealed := parse(t, raw).Sealed
	plain, fileKey := openWithAge(t, sealed, w.devices[1].key)
	changed := bytes.Replace(plain, []byte("inhoud"), []byte("onzin!"), 1)
	forged := relay(t, raw, func(_ *envelope.Header, sealed []byte) []byte {
		return append(sealed[:introSize+2*stanzaSize+footerSize], stream(t, fileKey, changed)...)
	})
	byAge, _ := openWithAge(t, parse(t, forged).Sealed, w.devices[0].key)
	if !bytes.Equal(byAge, changed) {
		t.Fatal("age does not open the forgery: the test shows nothing")
	}
	refused(t, forged, w.lock(0), identity.ErrBadSignature)
}

// TestEvilPartner covers what a partner with its own, proven device can put into
// an envelope: F04, F05 (see also TestHiddenReader), F07 and C01.
func TestEvilPartner(t *testing.T) {
	w := newWorld(t, 2)
	p := w.parcel(t, []byte("inhoud"))
	thief := newDevice(t)
	runAttacks(t, w.lock(0), []attack{
		{"F04", "own key in another's name", identity.ErrBadSignature, func(t *testing.T) []byte {
			return w.forge(t, p, forgery{signer: thief})
		}},
		{"F07", "padding not zero", seal.ErrPadding, func(t *testing.T) []byte {
			return w.forge(t, p, forgery{plaintext: func(s []byte) []byte { b := pad(s, 4096); b[len(b)-1] = 1; return b }})
		}},
		{"F07", "padding longer than its size asks for", seal.ErrPadding, func(t *testing.T) []byte {
			return w.forge(t, p, forgery{plaintext: func(s []byte) []byte { return pad(s, 8192) }})
		}},
		{"F07", "no padding", seal.ErrStanzas, func(t *testing.T) []byte {
			return w.forge(t, p, forgery{plaintext: func(s []byte) []byte { return pad(s, len(s)+4) }})
		}},
		{"F07", "padding to a size that Padmé does not give", seal.ErrPadding, func(t *testing.T) []byte {
			return w.forge(t, p, forgery{plaintext: func(s []byte) []byte { return pad(s, 4097) }})
		}},
		{"F07", "length of zero", seal.ErrPadding, plainLength(w, p, 0)},
		{"F07", "length beyond the plaintext", seal.ErrPadding, plainLength(w, p, 4093)},
		{"F07", "length of 4 GiB", seal.ErrPadding, plainLength(w, p, 1<<32-1)},
		{"C01", "another key stated for me", seal.ErrKeyHash, func(t *testing.T) []byte {
			return w.forge(t, p, forgery{payload: changed(t, func(d *delivery.Delivery) { d.Keys[0].Recipient[0] ^= 1 })})
		}},
		{"A07", "keys of one device fewer", delivery.ErrFormat, func(t *testing.T) []byte {
			return w.forge(t, p, forgery{payload: changed(t, func(d *delivery.Delivery) { d.Keys = d.Keys[:1] })})
		}},
		{"A07", "keys in another order", delivery.ErrFormat, func(t *testing.T) []byte {
			return w.forge(t, p, forgery{payload: changed(t, func(d *delivery.Delivery) { slices.Reverse(d.Keys) })})
		}},
		{"H06", "attended token without its hash", delivery.ErrFormat, func(t *testing.T) []byte {
			return w.forge(t, p, forgery{payload: changed(t, func(d *delivery.Delivery) { d.Attended = make([]byte, 32) })})
		}},
		{"H06", "attended hash of another token", delivery.ErrFormat, func(t *testing.T) []byte {
			return w.forge(t, p, forgery{header: func(h *envelope.Header) { h.Attended = make([]byte, 32) },
				payload: changed(t, func(d *delivery.Delivery) { d.Attended = make([]byte, 32) })})
		}},
	})
}

// TestHiddenReader is F05 and F06: a reader that the header does not name, hybrid
// or, "so that our old tool can read it", X25519. The control is that age itself
// opens each for that reader.
func TestHiddenReader(t *testing.T) {
	w, hidden := newWorld(t, 2), newMember(t)
	old, err := age.GenerateX25519Identity()
	must(t, err)
	hiddenID, err := age.ParseHybridIdentity(hidden.key.Secret())
	must(t, err)
	p := w.parcel(t, []byte("inhoud"))
	const oldSize = len("-> X25519 \n\n") + 43 + 43
	for name, c := range map[string]struct {
		reader age.Identity
		extra  func(honest []age.Recipient) []age.Recipient
	}{
		"F05 one more stanza": {hiddenID, func(h []age.Recipient) []age.Recipient { return append(h, unlabelled{hiddenID.Recipient()}) }},
		"F05 in the place of a device": {hiddenID, func(h []age.Recipient) []age.Recipient {
			return []age.Recipient{h[0], unlabelled{hiddenID.Recipient()}}
		}},
		"F06 X25519 as well": {old, func(h []age.Recipient) []age.Recipient { return append(h, old.Recipient()) }},
		"F06 X25519 in a device's place": {old, func(h []age.Recipient) []age.Recipient {
			return []age.Recipient{h[0], old.Recipient(), filler{stanzaSize - oldSize}}
		}},
		"F06 X25519 first, sizes that fit": {old, func(h []age.Recipient) []age.Recipient {
			return []age.Recipient{old.Recipient(), h[0], filler{stanzaSize - oldSize}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			raw := w.forge(t, p, forgery{recipients: func(targets []seal.Target) []age.Recipient { return c.extra(hybrid(t, targets)) }})
			if _, err := age.Decrypt(bytes.NewReader(parse(t, raw).Sealed), c.reader); err != nil {
				t.Fatalf("age refuses it too, the test shows nothing: %v", err)
			}
			if name == "F05 in the place of a device" {
				// The other device cannot open it, and says so; this one cannot know.
				refused(t, raw, w.lock(1), seal.ErrDecrypt)
				return
			}
			refused(t, raw, w.lock(0), seal.ErrStanzas)
		})
	}
}

// TestNotCanonical is F18: a delivery that is properly signed and is not the one
// encoding of its content.
func TestNotCanonical(t *testing.T) {
	w := newWorld(t, 1)
	p := w.parcel(t, []byte("inhoud"))
	honest := func(d delivery.Delivery) []byte { b, err := canon.Marshal(d); must(t, err); return b }
	// Every payload begins a9 01 01 02 03 03 46 ...: nine pairs; version 1; kind 3; content of 6 bytes.
	edit := func(old, new string) func(delivery.Delivery) []byte {
		return func(d delivery.Delivery) []byte {
			b := bytes.Replace(honest(d), []byte(old), []byte(new), 1)
			if bytes.Equal(b, honest(d)) {
				t.Fatalf("%x is not in the payload", old)
			}
			return b
		}
	}
	const start = "\xa9\x01\x01\x02\x03\x03\x46inhoud"
	for name, payload := range map[string]func(delivery.Delivery) []byte{
		"integer longer than needed": edit(start, "\xa9\x01\x18\x01\x02\x03\x03\x46inhoud"),
		"keys not sorted":            edit(start, "\xa9\x02\x03\x01\x01\x03\x46inhoud"),
		"key twice":                  edit(start, "\xaa\x01\x01\x01\x01\x02\x03\x03\x46inhoud"),
		"key missing":                edit(start, "\xa8\x01\x01\x03\x46inhoud"),
		"unknown key":                edit(start, "\xaa\x00\x01\x01\x01\x02\x03\x03\x46inhoud"),
		"null for bytes":             edit(start, "\xa9\x01\x01\x02\x03\x03\xf6"),
		"indefinite length":          edit(start, "\xa9\x01\x01\x02\x03\x03\x5f\x46inhoud\xff"),
		"tag":                        edit(start, "\xa9\x01\x01\x02\x03\x03\xd8\x18\x46inhoud"),
		"float for integer":          edit(start, "\xa9\x01\xf9\x3c\x00\x02\x03\x03\x46inhoud"),
		"text for bytes":             edit(start, "\xa9\x01\x01\x02\x03\x03\x66inhoud"),
		"deeply nested":              edit(start, "\xa9\x01\x01\x02\x03\x03"+string(bytes.Repeat([]byte{0x81}, 200))+"\x00"),
		"array of a million":         edit(start, "\xa9\x01\x01\x02\x03\x03\x9a\x00\x10\x00\x00"),
		"bytes behind":               func(d delivery.Delivery) []byte { return append(honest(d), 0) },
		"empty":                      func(delivery.Delivery) []byte { return nil },
	} {
		t.Run("F18 "+name, func(t *testing.T) {
			refused(t, w.forge(t, p, forgery{payload: payload}), w.lock(0), delivery.ErrFormat)
		})
	}
}

func plainLength(w *world, p seal.Parcel, n uint32) func(t *testing.T) []byte {
	return func(t *testing.T) []byte {
		return w.forge(t, p, forgery{plaintext: func(s []byte) []byte {
			b := pad(s, minPadded)
			binary.BigEndian.PutUint32(b, n)
			return b
		}})
	}
}

func changed(t *testing.T, change func(*delivery.Delivery)) func(delivery.Delivery) []byte {
	return func(d delivery.Delivery) []byte {
		change(&d)
		b, err := canon.Marshal(d)
		must(t, err)
		return b
	}
}

// keyTap is an identity that remembers the file key it gave.
type keyTap struct {
	age.Identity
	fileKey []byte
}

func (k *keyTap) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	fileKey, err := k.Identity.Unwrap(stanzas)
	k.fileKey = bytes.Clone(fileKey)
	return fileKey, err
}

// openWithAge opens an age file with nothing but age.
func openWithAge(t testing.TB, sealed []byte, key *seal.EpochKey) (plain, fileKey []byte) {
	t.Helper()
	id, err := age.ParseHybridIdentity(key.Secret())
	must(t, err)
	tap := &keyTap{Identity: id}
	r, err := age.Decrypt(bytes.NewReader(sealed), tap)
	must(t, err)
	plain, err = io.ReadAll(r)
	must(t, err)
	return plain, tap.fileKey
}

// stream encrypts one chunk as age's payload (age-encryption.org/v1, "Payload").
func stream(t testing.TB, fileKey, plain []byte) []byte {
	t.Helper()
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	key, err := hkdf.Key(sha256.New, fileKey, nonce, "payload", 32)
	must(t, err)
	aead, err := chacha20poly1305.New(key)
	must(t, err)
	last := [12]byte{11: 1}
	return append(nonce, aead.Seal(nil, last[:], plain, nil)...)
}

func armor(t testing.TB, sealed []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := agearmor.NewWriter(&out)
	_, err := w.Write(sealed)
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

func statement(t testing.TB) []byte {
	t.Helper()
	b, err := delivery.Encode(delivery.Statement{Version: 1, From: senderDesk, To: recipientDesk, Number: 1, At: created, Next: created + 3600})
	must(t, err)
	return b
}

func signedMessage(t testing.TB, device *seal.DeviceKeys, person *seal.PersonKey, desks ...identity.DeskID) message.Signed {
	t.Helper()
	slices.Sort(desks)
	s, err := seal.SignMessage(draft(t, device, desks...), device, person)
	must(t, err)
	return s
}

func draft(t testing.TB, device *seal.DeviceKeys, desks ...identity.DeskID) message.Message {
	t.Helper()
	return message.Message{
		Version: 1, ID: message.ID(newID(t)), Case: message.CaseRef(newID(t)),
		Heading: message.Heading{Protocol: message.Protocol, Class: "melding", Urgency: message.Urgent, Expires: created + 86400},
		Body:    []byte(`{"inhoud":"verzonnen"}`), Sender: message.Sender{Desk: senderDesk, Device: device.ID},
		Addressed: desks, Created: created,
	}
}

// TestIdentity: the strict identity holds outside an envelope too, where no layout
// has been checked before. The control opens with the right count.
func TestIdentity(t *testing.T) {
	w := newWorld(t, 2)
	file := ageFile(t, []byte("inhoud"), hybrid(t, w.targets(t)))
	for _, c := range []struct {
		index, count int
		want         error
	}{
		{0, 2, nil}, {0, 1, seal.ErrStanzas}, {0, 3, seal.ErrStanzas}, {1, 2, errUnknown},
	} {
		id, err := w.devices[0].key.Identity(c.index, c.count)
		must(t, err)
		_, err = age.Decrypt(bytes.NewReader(file), id)
		if c.want == errUnknown { // another's stanza: refused by the key, not by the rules
			if err == nil || errors.Is(err, seal.ErrStanzas) {
				t.Errorf("stanza of another device: %v", err)
			}
		} else if !errors.Is(err, c.want) {
			t.Errorf("stanza %d of %d: %v, want %v", c.index, c.count, err, c.want)
		}
	}
	for _, c := range [][2]int{{-1, 1}, {1, 1}, {0, 0}, {0, 65}} {
		if _, err := w.devices[0].key.Identity(c[0], c[1]); !errors.Is(err, seal.ErrStanzas) {
			t.Errorf("identity for stanza %d of %d: %v", c[0], c[1], err)
		}
	}
}
