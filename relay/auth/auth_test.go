package auth_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/auth"
	"schakel/relay/wire"
)

const relayID = "relay-1"

// world is a register of one device, and a relay that waits for its token.
type world struct {
	now      time.Time
	id       identity.DeviceID
	key      ed25519.PrivateKey
	nonce    [32]byte
	binding  []byte
	inactive bool
	until    time.Time
	verifier *auth.Verifier
}

var errNotActive = errors.New("not an active device")

func (w *world) LoginDevice(id identity.DeviceID, at time.Time) (auth.Device, error) {
	if id != w.id || w.inactive || !at.Before(w.until) {
		return auth.Device{}, errNotActive
	}
	key, err := identity.ParseKey(w.key.Public().(ed25519.PublicKey))
	return auth.Device{Desk: "vt20/crisis", Key: key, Until: w.until}, err
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		now:     time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		id:      identity.DeviceID{1, 2, 3},
		key:     ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)),
		nonce:   [32]byte{9, 9},
		binding: bytes.Repeat([]byte{5}, 32),
	}
	w.until = w.now.Add(365 * 24 * time.Hour)
	w.verifier = auth.New(auth.Config{Relay: relayID, Devices: w, Now: func() time.Time { return w.now }})
	return w
}

func (w *world) verify(token string) (auth.Session, error) {
	return w.verifier.Verify([]byte(token), w.nonce, w.binding)
}

// draft is a token before it is put together; each row of the table spoils one thing.
type draft struct {
	header map[string]any
	claims map[string]any
	sign   func(signed []byte) []byte
	// raw, where set, replaces the JSON of a part.
	rawHeader, rawClaims string
	// finish changes the assembled token.
	finish func(string) string
}

func (w *world) draft() *draft {
	text := base64.RawURLEncoding.EncodeToString
	return &draft{
		header: map[string]any{"alg": "Ed25519", "typ": "schakel-auth+jwt", "kid": w.id.String()},
		claims: map[string]any{
			"iss": w.id.String(), "sub": w.id.String(), "aud": []string{relayID},
			"iat": w.now.Unix() - 5, "exp": w.now.Unix() + 50, "jti": "one",
			"nonce": text(w.nonce[:]), "cb": text(w.binding),
		},
		sign:   func(b []byte) []byte { return ed25519.Sign(w.key, b) },
		finish: func(s string) string { return s },
	}
}

func (d *draft) token(t *testing.T) string {
	t.Helper()
	part := func(raw string, m map[string]any) string {
		if raw == "" {
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			raw = string(b)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(raw))
	}
	signed := part(d.rawHeader, d.header) + "." + part(d.rawClaims, d.claims)
	return d.finish(signed + "." + base64.RawURLEncoding.EncodeToString(d.sign([]byte(signed))))
}

func TestControlTokenIsAccepted(t *testing.T) {
	w := newWorld(t)
	s, err := w.verify(w.draft().token(t))
	if err != nil {
		t.Fatal(err)
	}
	if s.Device != w.id || s.Desk != "vt20/crisis" || !s.Ends.Equal(w.now.Add(auth.SessionLife)) {
		t.Errorf("session %+v", s)
	}
}

func TestAudienceAsPlainStringIsAccepted(t *testing.T) {
	w := newWorld(t)
	d := w.draft()
	d.claims["aud"] = relayID
	if _, err := w.verify(d.token(t)); err != nil {
		t.Fatal(err)
	}
}

func TestSignLoginMakesWhatVerifyAccepts(t *testing.T) {
	w := newWorld(t)
	login, err := wire.SignLogin(w.key, w.id, wire.Challenge{Nonce: w.nonce, Relay: relayID, Version: wire.Version}, w.binding, w.now, bytes.NewReader(make([]byte, 16)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.verify(string(login.Token)); err != nil {
		t.Fatal(err)
	}
	message, err := wire.AppendFrame(nil, login)
	if err != nil || len(message) > wire.MaxLoginMessage {
		t.Errorf("login message of %d bytes: %v", len(message), err)
	}
}

// Without TLS at the relay a token must not claim a binding, and the reverse.
func TestBindingWhereTLSEndsBefore(t *testing.T) {
	w := newWorld(t)
	w.binding = nil
	if _, err := w.verify(w.draft().token(t)); err != nil {
		t.Fatal("control:", err)
	}
	d := w.draft()
	d.claims["jti"], d.claims["cb"] = "two", base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{5}, 32))
	wantReason(t, w, d.token(t), auth.ReasonBinding)
}

func TestSessionEndsWithTheDevice(t *testing.T) {
	w := newWorld(t)
	w.until = w.now.Add(time.Hour)
	s, err := w.verify(w.draft().token(t))
	if err != nil || !s.Ends.Equal(w.until) {
		t.Errorf("ends %v, %v", s.Ends, err)
	}
}

func wantReason(t *testing.T, w *world, token string, want auth.Reason) {
	t.Helper()
	_, err := w.verify(token)
	var r *auth.Refusal
	if !errors.As(err, &r) || !errors.Is(err, auth.ErrToken) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if r.Reason != want {
		t.Errorf("refused for %q (%v), want %q", r.Reason, err, want)
	}
}

// refused is the list "Tokens to refuse" of the design, each with the reason, so that no
// row passes because something else was wrong. docs/attacks.md numbers them D01 to D35;
// those without a number came later.
var refused = []struct {
	name   string
	reason auth.Reason
	spoil  func(w *world, d *draft)
}{
	{"D01 alg none", auth.ReasonHeader, func(_ *world, d *draft) {
		d.header["alg"] = "none"
		d.sign = func([]byte) []byte { return nil }
	}},
	{"D01 alg missing", auth.ReasonHeader, func(_ *world, d *draft) { delete(d.header, "alg") }},
	{"D02 HS256 with the public key", auth.ReasonHeader, func(w *world, d *draft) {
		d.header["alg"] = "HS256"
		d.sign = func(b []byte) []byte {
			m := hmac.New(sha256.New, w.key.Public().(ed25519.PublicKey))
			m.Write(b)
			return m.Sum(nil)
		}
	}},
	{"D03 alg EdDSA", auth.ReasonHeader, header("alg", "EdDSA")},
	{"D03 alg RS256", auth.ReasonHeader, header("alg", "RS256")},
	{"D03 alg ES256", auth.ReasonHeader, header("alg", "ES256")},
	{"D03 alg Ed448", auth.ReasonHeader, header("alg", "Ed448")},
	{"D04 alg in other case", auth.ReasonHeader, header("alg", "ed25519")},
	{"D04 alg with a space", auth.ReasonHeader, header("alg", "Ed25519 ")},
	{"D04 alg as a list", auth.ReasonHeader, header("alg", []string{"Ed25519"})},
	{"D05 typ JWT", auth.ReasonHeader, header("typ", "JWT")},
	{"D05 typ in other case", auth.ReasonHeader, header("typ", "Schakel-Auth+JWT")},
	{"D05 typ missing", auth.ReasonHeader, func(_ *world, d *draft) { delete(d.header, "typ") }},
	{"D06 jwk", auth.ReasonHeader, header("jwk", map[string]string{"kty": "OKP"})},
	{"D06 jku", auth.ReasonHeader, header("jku", "https://evil.example/keys")},
	{"D07 x5u", auth.ReasonHeader, header("x5u", "https://evil.example/cert")},
	{"D07 x5c", auth.ReasonHeader, header("x5c", []string{"MIIB"})},
	{"D08 crit", auth.ReasonHeader, header("crit", []string{"exp"})},
	{"D09 b64", auth.ReasonHeader, header("b64", false)},
	{"D09 zip", auth.ReasonHeader, header("zip", "DEF")},
	{"D10 kid unknown", auth.ReasonDevice, func(_ *world, d *draft) { d.name(identity.DeviceID{8}.String()) }},
	{"D11 kid traversal", auth.ReasonHeader, func(_ *world, d *draft) { d.name("../../etc/passwd") }},
	{"D12 kid oversized", auth.ReasonHeader, func(_ *world, d *draft) { d.header["kid"] = strings.Repeat("0", 120) }},
	{"kid in upper case", auth.ReasonHeader, func(w *world, d *draft) {
		w.id = identity.DeviceID{0xab}
		d.name(strings.ToUpper(w.id.String()))
	}},
	{"kid missing", auth.ReasonHeader, func(_ *world, d *draft) { delete(d.header, "kid") }},
	{"signed by another key", auth.ReasonSignature, func(_ *world, d *draft) {
		other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32))
		d.sign = func(b []byte) []byte { return ed25519.Sign(other, b) }
	}},
	{"signature empty", auth.ReasonSignature, func(_ *world, d *draft) { d.sign = func([]byte) []byte { return nil } }},
	{"D13 aud wrong", auth.ReasonAudience, claim("aud", []string{"relay-2"})},
	{"D14 aud missing", auth.ReasonClaims, without("aud")},
	{"aud empty", auth.ReasonClaims, claim("aud", []string{})},
	{"D15 aud extra", auth.ReasonAudience, claim("aud", []string{relayID, "relay-2"})},
	{"aud a number", auth.ReasonClaims, claim("aud", 7)},
	{"D16 exp missing", auth.ReasonClaims, without("exp")},
	{"D16 exp null", auth.ReasonClaims, claim("exp", nil)},
	{"D17 exp string", auth.ReasonClaims, func(w *world, d *draft) { d.claims["exp"] = fmt.Sprint(w.now.Unix() + 50) }},
	{"D18 exp huge", auth.ReasonClaims, claim("exp", json.Number("99999999999999999999"))},
	{"D18 exp with exponent", auth.ReasonClaims, claim("exp", json.Number("1e300"))},
	{"exp negative", auth.ReasonClaims, claim("exp", -1)},
	{"D18 exp far", auth.ReasonTime, func(w *world, d *draft) { d.claims["exp"] = w.now.Unix() + 1<<30 }},
	{"D19 exp past", auth.ReasonTime, func(w *world, d *draft) { d.claims["exp"] = w.now.Unix() - 1 }},
	{"D19 exp now", auth.ReasonTime, func(w *world, d *draft) { d.claims["exp"] = w.now.Unix() }},
	{"D20 nbf future", auth.ReasonTime, func(w *world, d *draft) { d.claims["nbf"] = w.now.Unix() + 10 }},
	{"D21 iat missing", auth.ReasonClaims, without("iat")},
	{"D21 iat future", auth.ReasonTime, func(w *world, d *draft) { d.claims["iat"] = w.now.Unix() + 10 }},
	{"D22 life over 60 s", auth.ReasonTime, func(w *world, d *draft) { d.claims["iat"] = w.now.Unix() - 11 }},
	{"D23 sub not kid", auth.ReasonClaims, claim("sub", identity.DeviceID{8}.String())},
	{"D23 sub missing", auth.ReasonClaims, without("sub")},
	{"D23 iss not kid", auth.ReasonClaims, claim("iss", identity.DeviceID{8}.String())},
	{"D23 iss missing", auth.ReasonClaims, without("iss")},
	{"D24 nonce missing", auth.ReasonClaims, without("nonce")},
	{"D24 nonce empty", auth.ReasonNonce, claim("nonce", "")},
	{"D25 nonce other", auth.ReasonNonce, claim("nonce", base64.RawURLEncoding.EncodeToString(make([]byte, 32)))},
	{"D27 jti missing", auth.ReasonClaims, without("jti")},
	{"D27 jti empty", auth.ReasonReplay, claim("jti", "")},
	{"D29 cb wrong", auth.ReasonBinding, claim("cb", base64.RawURLEncoding.EncodeToString(make([]byte, 32)))},
	{"D29 cb missing", auth.ReasonClaims, without("cb")},
	{"D29 cb empty", auth.ReasonBinding, claim("cb", "")},
	{"claim unknown", auth.ReasonClaims, claim("admin", true)},
	{"claim in other case", auth.ReasonClaims, func(w *world, d *draft) {
		delete(d.claims, "exp")
		d.claims["EXP"] = w.now.Unix() + 50
	}},
	{"D30 trailing newline", auth.ReasonForm, finish(func(s string) string { return s + "\n" })},
	{"D31 leading space", auth.ReasonForm, finish(func(s string) string { return " " + s })},
	{"D31 space inside", auth.ReasonForm, finish(func(s string) string { return strings.Replace(s, ".", ". ", 1) })},
	{"D31 tab at the end", auth.ReasonForm, finish(func(s string) string { return s + "\t" })},
	{"D31 padding", auth.ReasonForm, finish(func(s string) string { return s + "==" })},
	{"D31 padding in the header", auth.ReasonForm, finish(func(s string) string { return strings.Replace(s, ".", "=.", 1) })},
	{"D31 standard alphabet", auth.ReasonForm, finish(func(s string) string { return s[:len(s)-4] + "+/+/" })},
	{"D31 loose last bits", auth.ReasonForm, finish(looseBits)},
	{"D32 extra dot", auth.ReasonForm, finish(func(s string) string { return s + "." })},
	{"D32 many dots", auth.ReasonForm, finish(func(s string) string { return s + strings.Repeat(".", 100) })},
	{"two parts", auth.ReasonForm, finish(func(s string) string { return s[:strings.LastIndexByte(s, '.')] })},
	{"empty", auth.ReasonForm, finish(func(string) string { return "" })},
	{"D33 1 MB", auth.ReasonForm, finish(func(s string) string { return strings.Repeat("A", 1<<20) })},
	{"D34 duplicate nonce", auth.ReasonClaims, func(_ *world, d *draft) {
		b, _ := json.Marshal(d.claims)
		d.rawClaims = `{"nonce":"AAAA",` + string(b[1:])
	}},
	{"D34 duplicate kid", auth.ReasonHeader, func(_ *world, d *draft) {
		b, _ := json.Marshal(d.header)
		d.rawHeader = `{"kid":"AAAA",` + string(b[1:])
	}},
	{"claims an array", auth.ReasonClaims, func(_ *world, d *draft) { d.rawClaims = `["exp"]` }},
	{"bytes behind the claims", auth.ReasonClaims, func(_ *world, d *draft) {
		b, _ := json.Marshal(d.claims)
		d.rawClaims = string(b) + `{}`
	}},
	{"D35 revoked device", auth.ReasonDevice, func(w *world, _ *draft) { w.inactive = true }},
	{"device past its validity", auth.ReasonDevice, func(w *world, _ *draft) { w.until = w.now }},
}

func (d *draft) name(id string) { d.header["kid"], d.claims["iss"], d.claims["sub"] = id, id, id }

func header(name string, value any) func(*world, *draft) {
	return func(_ *world, d *draft) { d.header[name] = value }
}
func claim(name string, value any) func(*world, *draft) {
	return func(_ *world, d *draft) { d.claims[name] = value }
}
func without(name string) func(*world, *draft) {
	return func(_ *world, d *draft) { delete(d.claims, name) }
}
func finish(f func(string) string) func(*world, *draft) {
	return func(_ *world, d *draft) { d.finish = f }
}

// looseBits changes the last character of the signature so that it decodes to the
// same bytes in a lenient decoder: 64 bytes leave 4 bits unused.
func looseBits(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[i|1])
}

func TestTokensRefused(t *testing.T) {
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			d := w.draft()
			c.spoil(w, d)
			wantReason(t, w, d.token(t), c.reason)
		})
	}
}

func TestD28ReplayIsRefused(t *testing.T) {
	w := newWorld(t)
	token := w.draft().token(t)
	if _, err := w.verify(token); err != nil {
		t.Fatal("control:", err)
	}
	wantReason(t, w, token, auth.ReasonReplay)
	d := w.draft() // another token with the same jti
	d.claims["iat"] = w.now.Unix() - 4
	wantReason(t, w, d.token(t), auth.ReasonReplay)
}

// The same token on another connection: another nonce, whoever made it.
func TestD26TokenForAnotherConnection(t *testing.T) {
	w := newWorld(t)
	token := w.draft().token(t)
	w.nonce = [32]byte{1}
	wantReason(t, w, token, auth.ReasonNonce)
}

// D36, D37: whoever stands between has other TLS connections on both sides.
func TestD36D37TokenThroughAMiddle(t *testing.T) {
	w := newWorld(t)
	token := w.draft().token(t)
	w.binding = bytes.Repeat([]byte{6}, 32)
	wantReason(t, w, token, auth.ReasonBinding)
}

func TestRefusedTokenIsNotRemembered(t *testing.T) {
	w := newWorld(t)
	d := w.draft()
	d.claims["cb"] = ""
	wantReason(t, w, d.token(t), auth.ReasonBinding)
	if _, err := w.verify(w.draft().token(t)); err != nil {
		t.Error("somebody else's bad token used up the id:", err)
	}
}

func TestErrorsDoNotRepeatTheToken(t *testing.T) {
	for _, c := range refused {
		w := newWorld(t)
		d := w.draft()
		c.spoil(w, d)
		token := d.token(t)
		_, err := w.verify(token)
		if len(token) > 40 && strings.Contains(err.Error(), token[len(token)-20:]) {
			t.Errorf("%s: the error holds the token", c.name)
		}
	}
}

func FuzzVerify(f *testing.F) {
	t := &testing.T{}
	w := newWorld(t)
	good := w.draft().token(t)
	f.Add([]byte(good))
	for _, c := range refused {
		w2 := newWorld(t)
		d := w2.draft()
		c.spoil(w2, d)
		f.Add([]byte(d.token(t)))
	}
	f.Fuzz(func(t *testing.T, token []byte) {
		w := newWorld(t)
		if _, err := w.verify(string(token)); err == nil && string(token) != good {
			t.Errorf("accepted %q", token)
		}
	})
}

// A token for a blob is accepted as SignBlob makes it, for what it is for, and in no
// other spelling; a login's token is none.
func FuzzVerifyBlob(f *testing.F) {
	w := newWorld(&testing.T{})
	request := wire.BlobRequest{Relay: relayID, Method: "GET", Blob: wire.BlobID{7}, Binding: w.binding}
	good, err := wire.SignBlob(w.key, w.id, request, w.now, bytes.NewReader(make([]byte, 16)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(good))
	f.Add([]byte(w.draft().token(&testing.T{})))
	f.Add([]byte(good + "\n"))
	f.Fuzz(func(t *testing.T, token []byte) {
		w := newWorld(t)
		_, err := w.verifier.VerifyBlob(token, request)
		if (err == nil) != (string(token) == good) {
			t.Errorf("%q: %v", token, err)
		}
		if _, err := w.verifier.VerifyBlob(token, request); err == nil {
			t.Errorf("%q was taken twice", token)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	t := &testing.T{}
	w := newWorld(t)
	tokens := make([]string, 0, b.N)
	for i := range 1000 {
		d := w.draft()
		d.claims["jti"] = fmt.Sprint(i)
		tokens = append(tokens, d.token(t))
	}
	for i := 0; b.Loop(); i++ {
		if i%len(tokens) == 0 {
			w.verifier = auth.New(auth.Config{Relay: relayID, Devices: w, Now: func() time.Time { return w.now }})
		}
		if _, err := w.verify(tokens[i%len(tokens)]); err != nil {
			b.Fatal(err)
		}
	}
}
