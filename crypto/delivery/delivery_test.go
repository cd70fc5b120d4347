package delivery_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"reflect"
	"slices"
	"testing"

	"schakel/crypto/canon"
	"schakel/crypto/cose"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

var (
	private = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	public  = identity.Key(private.Public().(ed25519.PublicKey))
	prefix  = []byte("SKE1 the received header")
)

func honest() delivery.Delivery {
	return delivery.Delivery{
		Version: 1, Kind: delivery.KindMessage, Content: []byte("inhoud"), Counter: 3,
		Keys:       []delivery.KeyUse{{Device: identity.DeviceID{1}, Epoch: 7}, {Device: identity.DeviceID{2}, Epoch: 8}},
		Heads:      []message.Hash{{1}},
		Supersedes: []delivery.Superseded{{Envelope: envelope.ID{5}, Sealer: identity.DeviceID{6}, Counter: 2}},
		Register:   delivery.RegisterView{Size: 10, Root: [32]byte{8}}, Attended: bytes.Repeat([]byte{9}, 32),
	}
}

func sign(t testing.TB, kind cose.Kind, payload, prefix []byte) []byte {
	t.Helper()
	tbs, err := cose.ToBeSigned(kind, prefix, payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := cose.Assemble(kind, payload, ed25519.Sign(private, tbs))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func signed(t testing.TB, d delivery.Delivery) []byte {
	t.Helper()
	payload, tbs, err := d.ToBeSigned(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := cose.ToBeSigned(cose.KindDelivery, prefix, payload); !bytes.Equal(tbs, want) {
		t.Fatal("other bytes to be signed")
	}
	return sign(t, cose.KindDelivery, payload, prefix)
}

func TestRoundTrip(t *testing.T) {
	statement := honest()
	statement.Kind, statement.Counter, statement.Attended = delivery.KindStatement, 0, []byte{}
	statement.Heads, statement.Supersedes = []message.Hash{}, []delivery.Superseded{}
	for _, d := range []delivery.Delivery{honest(), statement} {
		got, err := delivery.Verify(signed(t, d), prefix, public)
		if err != nil || !reflect.DeepEqual(got, d) {
			t.Errorf("comes back as %+v, %v", got, err)
		}
	}
}

// TestVerifyRefuses: the signature covers the received header and every byte, and
// is looked at before anything inside is parsed.
func TestVerifyRefuses(t *testing.T) {
	raw := signed(t, honest())
	other := identity.Key(ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey))
	garbage := sign(t, cose.KindDelivery, []byte("no CBOR at all"), prefix)
	for name, c := range map[string]struct {
		want   error
		raw    []byte
		prefix []byte
		key    identity.Key
	}{
		"other header":        {identity.ErrBadSignature, raw, append(bytes.Clone(prefix), 0), public},
		"no header":           {identity.ErrBadSignature, raw, nil, public},
		"other key":           {identity.ErrBadSignature, raw, prefix, other},
		"zero key":            {identity.ErrBadSignature, raw, prefix, identity.Key{}},
		"garbage, not signed": {identity.ErrBadSignature, garbage, prefix, other},
		"garbage, signed":     {delivery.ErrFormat, garbage, prefix, public},
		"A23 signed message":  {delivery.ErrFormat, sign(t, cose.KindMessage, []byte("x"), prefix), prefix, public},
		"empty":               {delivery.ErrFormat, nil, prefix, public},
		"too large":           {delivery.ErrFormat, make([]byte, delivery.MaxSize+1), prefix, public},
	} {
		d, err := delivery.Verify(c.raw, c.prefix, c.key)
		if !errors.Is(err, c.want) || !reflect.DeepEqual(d, delivery.Delivery{}) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		if _, err := delivery.Verify(changed, prefix, public); err == nil {
			t.Fatalf("byte %d changed, and it verifies", i)
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, change := range map[string]func(d *delivery.Delivery){
		"version 0":            func(d *delivery.Delivery) { d.Version = 0 },
		"kind 0":               func(d *delivery.Delivery) { d.Kind = 0 },
		"kind 8":               func(d *delivery.Delivery) { d.Kind = 8 },
		"message, no counter":  func(d *delivery.Delivery) { d.Counter = 0 },
		"counter too high":     func(d *delivery.Delivery) { d.Counter = delivery.MaxCounter + 1 },
		"supersedes counter 0": func(d *delivery.Delivery) { d.Supersedes[0].Counter = 0 },
		"supersedes too high":  func(d *delivery.Delivery) { d.Supersedes[0].Counter = delivery.MaxCounter + 1 },
		"no keys":              func(d *delivery.Delivery) { d.Keys = nil },
		"65 keys":              func(d *delivery.Delivery) { d.Keys = make([]delivery.KeyUse, 65) },
		"65 heads":             func(d *delivery.Delivery) { d.Heads = make([]message.Hash, 65) },
		"257 superseded":       func(d *delivery.Delivery) { d.Supersedes = make([]delivery.Superseded, 257) },
		"token of 31 bytes":    func(d *delivery.Delivery) { d.Attended = d.Attended[1:] },
		"token longer than 32": func(d *delivery.Delivery) { d.Attended = make([]byte, 33) },
	} {
		d := honest()
		change(&d)
		if _, err := d.Payload(); !errors.Is(err, delivery.ErrFormat) {
			t.Errorf("%s: built: %v", name, err)
		}
		payload, err := canon.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := delivery.Verify(sign(t, cose.KindDelivery, payload, prefix), prefix, public); !errors.Is(err, delivery.ErrFormat) {
			t.Errorf("%s: verified: %v", name, err)
		}
	}
}

func TestMatches(t *testing.T) {
	token := sha256.Sum256(honest().Attended)
	header := func() envelope.Header {
		return envelope.Header{Attended: token[:], Targets: []envelope.Target{{Device: identity.DeviceID{1}, Epoch: 7}, {Device: identity.DeviceID{2}, Epoch: 8}}}
	}
	if err := honest().Matches(header()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(d *delivery.Delivery, h *envelope.Header){
		"key missing":        func(d *delivery.Delivery, _ *envelope.Header) { d.Keys = d.Keys[:1] },
		"target missing":     func(_ *delivery.Delivery, h *envelope.Header) { h.Targets = h.Targets[:1] },
		"other device":       func(d *delivery.Delivery, _ *envelope.Header) { d.Keys[1].Device[0]++ },
		"other epoch":        func(d *delivery.Delivery, _ *envelope.Header) { d.Keys[1].Epoch++ },
		"other order":        func(d *delivery.Delivery, _ *envelope.Header) { slices.Reverse(d.Keys) },
		"token without hash": func(_ *delivery.Delivery, h *envelope.Header) { h.Attended = nil },
		"hash without token": func(d *delivery.Delivery, _ *envelope.Header) { d.Attended = nil },
		"other token":        func(d *delivery.Delivery, _ *envelope.Header) { d.Attended[0]++ },
		"hash of no token": func(d *delivery.Delivery, h *envelope.Header) {
			sum := sha256.Sum256(nil)
			d.Attended, h.Attended = nil, sum[:]
		},
	} {
		d, h := honest(), header()
		change(&d, &h)
		if err := d.Matches(h); !errors.Is(err, delivery.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCounted(t *testing.T) {
	for kind, want := range map[delivery.Kind]bool{delivery.KindMessage: true, delivery.KindCopy: true, delivery.KindRecord: true, delivery.KindStatement: false, delivery.KindTest: false} {
		if kind.Counted() != want {
			t.Errorf("kind %d: counted %v", kind, !want)
		}
	}
}

// FuzzVerify signs whatever the fuzzer makes of a payload, so that the strict
// parser behind the signature is what is fuzzed.
func FuzzVerify(f *testing.F) {
	payload, err := honest().Payload()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := delivery.Verify(sign(t, cose.KindDelivery, payload, prefix), prefix, public)
		if err != nil {
			if !errors.Is(err, delivery.ErrFormat) {
				t.Fatalf("untyped: %v", err)
			}
			return
		}
		if again, err := d.Payload(); err != nil || !bytes.Equal(again, payload) {
			t.Fatalf("comes back as %x, %v", again, err)
		}
	})
}
