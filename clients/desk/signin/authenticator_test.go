package signin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// authenticator is a passkey in software (WebAuthn Level 3, 6), for attacks that a browser
// would not make.
type authenticator struct {
	t      *testing.T
	key    *ecdsa.PrivateKey
	id     []byte
	user   []byte
	still  bool   // it counts nothing
	secret []byte // of PRF; nil: it has none
	count  *uint32
}

var enc = base64.RawURLEncoding.EncodeToString

func newAuthenticator(t *testing.T) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &authenticator{t: t, key: key, id: []byte(rand.Text()), secret: []byte(rand.Text()), count: new(uint32)}
}

// asks is what a door asks a browser for.
type asks struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		User      struct {
			ID string `json:"id"`
		} `json:"user"`
		Extensions struct {
			PRF struct {
				ByCredential map[string]struct {
					First string `json:"first"`
				} `json:"evalByCredential"`
			} `json:"prf"`
		} `json:"extensions"`
	} `json:"publicKey"`
}

func (a *authenticator) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *authenticator) read(options []byte) (r asks) {
	a.t.Helper()
	a.must(json.Unmarshal(options, &r))
	return r
}

func (a *authenticator) client(kind, challenge string) []byte {
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": "http://localhost:1", "crossOrigin": false})
	a.must(err)
	return b
}

func (a *authenticator) state(flags byte) []byte {
	if !a.still {
		*a.count++
	}
	rp := sha256.Sum256([]byte("localhost"))
	return binary.BigEndian.AppendUint32(append(rp[:], flags), *a.count)
}

// make answers a request for a new passkey.
func (a *authenticator) make(options []byte) []byte {
	a.t.Helper()
	r := a.read(options)
	user, err := base64.RawURLEncoding.DecodeString(r.PublicKey.User.ID)
	a.must(err)
	a.user = user
	point, err := a.key.PublicKey.Bytes()
	a.must(err)
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	a.must(err)
	state := append(a.state(0x45), make([]byte, 16)...) // present, verified, with a key
	state = append(binary.BigEndian.AppendUint16(state, uint16(len(a.id))), a.id...)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": append(state, cose...)})
	a.must(err)
	out, err := json.Marshal(map[string]any{"id": enc(a.id), "rawId": enc(a.id), "type": "public-key", "response": map[string]any{
		"clientDataJSON": enc(a.client("webauthn.create", r.PublicKey.Challenge)), "attestationObject": enc(object)}})
	a.must(err)
	return out
}

// show answers a request to show the passkey, with what it derives.
func (a *authenticator) show(options []byte) []byte {
	a.t.Helper()
	r := a.read(options)
	client, state := a.client("webauthn.get", r.PublicKey.Challenge), a.state(0x05)
	sum := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte{}, state...), sum[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	a.must(err)
	results := map[string]any{}
	if asked, ok := r.PublicKey.Extensions.PRF.ByCredential[enc(a.id)]; ok && a.secret != nil {
		salt, err := base64.RawURLEncoding.DecodeString(asked.First)
		a.must(err)
		h := hmac.New(sha256.New, a.secret)
		h.Write(salt)
		results["prf"] = map[string]any{"results": map[string]any{"first": enc(h.Sum(nil))}}
	}
	out, err := json.Marshal(map[string]any{"id": enc(a.id), "rawId": enc(a.id), "type": "public-key", "clientExtensionResults": results,
		"response": map[string]any{"clientDataJSON": enc(client), "authenticatorData": enc(state), "signature": enc(signature), "userHandle": enc(a.user)}})
	a.must(err)
	return out
}
