package identity_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/edwards25519"

	"schakel/crypto/canon"
	"schakel/crypto/identity"
)

// goodKey is the public key of RFC 8032, 7.1, test 1.
const goodKey = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

func decode(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lowOrder are all encodings of the eight points of small order that Go's decoder
// takes: the canonical ones, and those with y not reduced or the sign of zero set.
var lowOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

// TestC18F15LowOrderKeys is C18 and F15. The control shows what is at stake: for one of
// these keys, Go's verifier accepts one signature for any message.
func TestC18F15LowOrderKeys(t *testing.T) {
	for _, s := range lowOrder {
		if _, err := identity.ParseKey(decode(t, s)); !errors.Is(err, identity.ErrKey) {
			t.Errorf("%s: %v", s, err)
		}
	}
	neutral := decode(t, lowOrder[2])
	constant := append(bytes.Clone(neutral), make([]byte, 32)...)
	for _, msg := range []string{"ik zeg ja", "ik zeg nee"} {
		if !ed25519.Verify(neutral, []byte(msg), constant) {
			t.Error("Go refuses the low-order key too: the test shows nothing")
		}
	}
}

func TestParseKey(t *testing.T) {
	k, err := identity.ParseKey(decode(t, goodKey))
	if err != nil || hex.EncodeToString(k[:]) != goodKey {
		t.Fatalf("honest key: %x, %v", k, err)
	}
	mixed := new(edwards25519.Point).Add(point(t, goodKey), point(t, lowOrder[4])).Bytes()
	if _, err := identity.ParseKey(mixed); err != nil {
		t.Errorf("a key with a small-order part verifies one message only, and is a key: %v", err)
	}
	for name, b := range map[string][]byte{
		"31 bytes": make([]byte, 31), "33 bytes": append(decode(t, goodKey), 0), "none": nil,
		"not on the curve": decode(t, "0200000000000000000000000000000000000000000000000000000000000000"),
		"y not reduced":    decode(t, "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		"all ones":         bytes.Repeat([]byte{255}, 32),
	} {
		if _, err := identity.ParseKey(b); !errors.Is(err, identity.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func point(t testing.TB, s string) *edwards25519.Point {
	t.Helper()
	p, err := new(edwards25519.Point).SetBytes(decode(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestKeyDecoders: no way into a Key goes around ParseKey.
func TestKeyDecoders(t *testing.T) {
	good, err := identity.ParseKey(decode(t, goodKey))
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		Key identity.Key `cbor:"1,keyasint"`
	}
	low := identity.Key(decode(t, lowOrder[0]))
	for _, k := range []identity.Key{good, low} {
		var a, b holder
		asCBOR, err := canon.Marshal(holder{k})
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := json.Marshal(holder{k})
		if err != nil {
			t.Fatal(err)
		}
		errC, errJ := canon.Unmarshal(asCBOR, 100, &a), json.Unmarshal(asJSON, &b)
		if k == good && (errC != nil || errJ != nil || a.Key != good || b.Key != good) {
			t.Errorf("good key: %v, %v", errC, errJ)
		}
		if k == low && (errC == nil || errJ == nil) {
			t.Errorf("low-order key decoded: %v, %v", errC, errJ)
		}
	}
}

func TestVerify(t *testing.T) {
	private := ed25519.NewKeyFromSeed(make([]byte, 32))
	k, err := identity.ParseKey(private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	msg := []byte("bericht")
	sig := ed25519.Sign(private, msg)
	if err := k.Verify(msg, sig); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"other message": k.Verify([]byte("berichT"), sig), "short": k.Verify(msg, sig[:63]), "none": k.Verify(msg, nil),
		"long": k.Verify(msg, append(bytes.Clone(sig), 0)), "zero key": identity.Key{}.Verify(msg, sig),
	} {
		if !errors.Is(err, identity.ErrBadSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUUIDv7(t *testing.T) {
	now := time.UnixMilli(0x0123456789ab)
	u, err := identity.NewUUIDv7(now, bytes.NewReader(bytes.Repeat([]byte{0xff}, 10)))
	if err != nil || identity.FormatUUID(u) != "01234567-89ab-7fff-bfff-ffffffffffff" {
		t.Errorf("got %s, %v", identity.FormatUUID(u), err)
	}
	if _, err := identity.NewUUIDv7(now, bytes.NewReader(nil)); err == nil {
		t.Error("made an identifier without random")
	}
}

func TestFingerprint(t *testing.T) {
	f := identity.Fingerprint("genesis", []byte("x"))
	if len(f) != 47 || strings.Count(f, " ") != 7 {
		t.Errorf("got %q", f)
	}
	typed := strings.ReplaceAll(f, " ", "-\n")
	other := identity.Fingerprint("device", []byte("x"))
	if !identity.SameFingerprint(f, typed) || identity.SameFingerprint(f, other) || identity.SameFingerprint(f, f[:46]) || identity.SameFingerprint("", "") {
		t.Error("fingerprints compared wrongly")
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 31)
	for _, s := range []string{"knooppunt/piket", "a/b", "politie-mn/spoed-1", long + "/" + long} {
		if d, err := identity.ParseDeskID(s); err != nil || string(d) != s || string(d.Org())+"/" != s[:strings.Index(s, "/")+1] {
			t.Errorf("%q: %q, %v", s, d, err)
		}
	}
	for _, s := range []string{
		"", "/", "a", "a/", "/b", "a/b/c", "A/b", "a b/c", "-a/b", "a-/b", "a/b\n", "ο/m", "om/sp\u202eoed", "om\u0300/x", long + "a/b", strings.Repeat("x", 1000),
	} {
		_, err := identity.ParseDeskID(s)
		if !errors.Is(err, identity.ErrInvalid) || len(err.Error()) > 400 {
			t.Errorf("C17 %.40q: %v", s, err)
		}
	}
	for _, r := range identity.Roles() {
		if got, err := identity.ParseRole(string(r)); err != nil || got != r {
			t.Errorf("%s: %v", r, err)
		}
	}
	for _, s := range []string{"", "OM", "om ", "chef"} {
		if _, err := identity.ParseRole(s); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("role %q: %v", s, err)
		}
	}
}

// FuzzText parses every text form of this package: what is accepted comes back as
// the same text.
func FuzzText(f *testing.F) {
	for _, s := range []string{
		"01234567-89ab-7fff-bfff-ffffffffffff", "knooppunt/piket", "veilig-thuis", "", "-/-",
		"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := identity.ParseUUID(s); err == nil && identity.FormatUUID(u) != s {
			t.Errorf("UUID %q comes back as %q", s, identity.FormatUUID(u))
		}
		if o, err := identity.ParseOrgID(s); err == nil && string(o) != s {
			t.Errorf("organisation %q comes back as %q", s, o)
		}
		if d, err := identity.ParseDeskID(s); err == nil && (string(d) != s || strings.Count(s, "/") != 1) {
			t.Errorf("desk %q comes back as %q", s, d)
		}
		if k, err := identity.ParseKeyText(s); err == nil && k.String() != s {
			t.Errorf("key %q comes back as %q", s, k)
		}
	})
}

// FuzzParseKey: what is accepted is a point, encoded the one way, of large order.
func FuzzParseKey(f *testing.F) {
	f.Add(decode(f, goodKey))
	for _, s := range lowOrder {
		f.Add(decode(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := identity.ParseKey(b)
		if err != nil {
			if k != (identity.Key{}) || !errors.Is(err, identity.ErrKey) {
				t.Fatalf("refused with %v, and yet gave %x", err, k)
			}
			return
		}
		p, err := new(edwards25519.Point).SetBytes(b)
		if err != nil || !bytes.Equal(p.Bytes(), b) || new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
			t.Fatalf("accepted %x", b)
		}
	})
}
