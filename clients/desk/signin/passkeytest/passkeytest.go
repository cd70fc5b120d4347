// Package passkeytest is an authenticator of passkeys in software, for attacks that a browser
// would not make.
//
//	key := passkeytest.New(t, o.Base)
//	answer := key.Create(options)   // what door.BeginPasskey returned
//	answer = key.Show(options)      // what door.BeginSigning or BeginPasskeySignIn returned
package passkeytest

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

// Authenticator is a passkey in software (WebAuthn Level 3, 6). A copy of the struct is a copy
// of the passkey that counts along, unless it gets a Count of its own.
type Authenticator struct {
	Still  bool   // it counts nothing
	Secret []byte // of PRF; nil: it has none
	Count  *uint32

	t      testing.TB
	origin string
	key    *ecdsa.PrivateKey
	id     []byte
	user   []byte
}

var enc = base64.RawURLEncoding.EncodeToString

// New makes an authenticator in a browser that is at an origin of localhost.
func New(t testing.TB, origin string) *Authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Authenticator{t: t, origin: origin, key: key, id: []byte(rand.Text()), Secret: []byte(rand.Text()), Count: new(uint32)}
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

func (a *Authenticator) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *Authenticator) read(options []byte) (r asks) {
	a.t.Helper()
	a.must(json.Unmarshal(options, &r))
	return r
}

func (a *Authenticator) client(kind, challenge string) []byte {
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	a.must(err)
	return b
}

func (a *Authenticator) state(flags byte) []byte {
	if !a.Still {
		*a.Count++
	}
	rp := sha256.Sum256([]byte("localhost"))
	return binary.BigEndian.AppendUint32(append(rp[:], flags), *a.Count)
}

// Create answers a request for a new passkey.
func (a *Authenticator) Create(options []byte) []byte {
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

// Show answers a request to show the passkey, with what it derives.
func (a *Authenticator) Show(options []byte) []byte {
	a.t.Helper()
	r := a.read(options)
	client, state := a.client("webauthn.get", r.PublicKey.Challenge), a.state(0x05)
	sum := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte{}, state...), sum[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	a.must(err)
	results := map[string]any{}
	if asked, ok := r.PublicKey.Extensions.PRF.ByCredential[enc(a.id)]; ok && a.Secret != nil {
		salt, err := base64.RawURLEncoding.DecodeString(asked.First)
		a.must(err)
		h := hmac.New(sha256.New, a.Secret)
		h.Write(salt)
		results["prf"] = map[string]any{"results": map[string]any{"first": enc(h.Sum(nil))}}
	}
	out, err := json.Marshal(map[string]any{"id": enc(a.id), "rawId": enc(a.id), "type": "public-key", "clientExtensionResults": results,
		"response": map[string]any{"clientDataJSON": enc(client), "authenticatorData": enc(state), "signature": enc(signature), "userHandle": enc(a.user)}})
	a.must(err)
	return out
}
