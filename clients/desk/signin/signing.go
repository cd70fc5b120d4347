package signin

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"schakel/clients/desk"
	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
)

// A passkey can sign where its authenticator derives a secret for this desk (PRF, WebAuthn
// Level 3, 10.1.4): the person's signing key is then locked a second time, under that
// secret, beside the lock under the PIN. The secret is never stored. It comes along with
// the answer of the passkey, in a form, as a PIN does, and is gone after the request.

// saltOf is what a passkey derives the secret from. It is no secret itself: it keeps a
// passkey that other programs of this name may use apart from them.
func saltOf(user, credential []byte) []byte {
	h := sha256.New()
	h.Write([]byte("schakel/passkey-sign/v1\x00"))
	h.Write(user)
	h.Write(credential)
	return h.Sum(nil)
}

// useOf binds a locked key to its person and its passkey.
func useOf(person identity.PersonID, credential []byte) string {
	return "passkey/" + person.String() + "/" + base64.RawURLEncoding.EncodeToString(credential)
}

// CanSign reports whether a user has a passkey that signs.
func (d *Door) CanSign(ctx context.Context, user desk.User) bool {
	h, err := d.holderOf(ctx, user)
	return err == nil && d.keys != nil && slices.ContainsFunc(h.Passkeys, func(raw []byte) bool {
		k, err := keptOf(raw)
		return err == nil && len(k.Signs) > 0
	})
}

// holderOf is a user with passkeys. One whose person may sign no more has none: what was
// asked before the revocation is answered after it.
func (d *Door) holderOf(ctx context.Context, user desk.User) (holder, error) {
	id, err := identity.ParseUUID(user.ID)
	if err != nil {
		return holder{}, ErrPasskey
	}
	if _, err := d.user(ctx, id); err != nil {
		return holder{}, err
	}
	return d.holder(ctx, id)
}

// BeginSigning returns what a browser needs to ask for a passkey of a user and the secret
// that it derives, as JSON.
func (d *Door) BeginSigning(ctx context.Context, user desk.User) ([]byte, error) {
	h, err := d.holderOf(ctx, user)
	if err != nil || d.keys == nil || len(h.Passkeys) == 0 {
		return nil, errors.Join(ErrPasskey, err)
	}
	salts := map[string]protocol.PRFValues{}
	for _, c := range h.WebAuthnCredentials() {
		salts[base64.RawURLEncoding.EncodeToString(c.ID)] = protocol.PRFValues{First: saltOf(h.ID[:], c.ID)}
	}
	options, session, err := d.keys.BeginLogin(h, webauthn.WithUserVerification(protocol.VerificationRequired),
		webauthn.WithAssertionExtensions(webauthn.WithExtensionPRFByCredential(salts, nil)))
	if err != nil {
		return nil, fmt.Errorf("failed to ask for a passkey: %w", err)
	}
	d.await(*session, toSign)
	return json.Marshal(options)
}

// shown is a passkey that somebody showed to sign, with the secret that it derived.
type shown struct {
	holder
	id     []byte
	secret []byte
}

// shown checks an answer to BeginSigning. A passkey without the extension has no secret.
func (d *Door) shown(ctx context.Context, user desk.User, answer []byte) (shown, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return shown{}, fmt.Errorf("%w: %w", ErrPasskey, err)
	}
	session, ok := d.awaited(parsed.Response.CollectedClientData.Challenge, toSign)
	h, err := d.holderOf(ctx, user)
	if !ok || err != nil || d.keys == nil || !slices.Equal(session.UserID, h.ID[:]) {
		return shown{}, errors.Join(ErrPasskey, err)
	}
	c, err := d.keys.ValidateLogin(h, session, parsed)
	if err != nil {
		return shown{}, fmt.Errorf("%w: %w", ErrPasskey, err)
	}
	if err := d.counted(ctx, h.ID, c); err != nil {
		return shown{}, err
	}
	out := shown{holder: h, id: c.ID}
	if prf := parsed.ClientExtensionResults.PRF; prf != nil && prf.Results != nil {
		out.secret = prf.Results.First
	}
	if len(out.secret) != sha256.Size {
		return shown{}, ErrNoSecret
	}
	return out, nil
}

// LetSign lets the passkey of an answer sign as the person of a user, who proves to be it
// with the PIN. It refuses with ErrPIN, ErrPasskey and ErrNoSecret.
func (d *Door) LetSign(ctx context.Context, user desk.User, pin string, answer []byte) error {
	s, err := d.shown(ctx, user, answer)
	if err != nil {
		return err
	}
	key, err := d.signingKey(ctx, s.Person, pin)
	if err != nil {
		return err
	}
	locked, err := vault.LockUnder(s.secret, useOf(s.Person, s.id), key.Seed())
	if err != nil {
		return err
	}
	return d.change(ctx, s.ID, "web-passkey-signs", func(u *store.User) {
		for i, raw := range u.Passkeys {
			if k, err := keptOf(raw); err == nil && slices.Equal(k.Credential.ID, s.id) {
				k.Signs = locked
				if again, err := json.Marshal(k); err == nil {
					u.Passkeys[i] = again
				}
			}
		}
	})
}

func (d *Door) signingKey(ctx context.Context, person identity.PersonID, pin string) (ed25519.PrivateKey, error) {
	var row store.Person
	if err := d.store.View(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.Person(person)
		return err
	}); err != nil {
		return nil, err
	}
	key, err := row.Unlock(pin)
	if errors.Is(err, vault.ErrPassphrase) {
		err = ErrPIN
	}
	return key, err
}

// Confirm opens the signing key of a user's person with a passkey that may sign. What it
// returns goes where the PIN would, until end is called. Which message is signed then is
// the form's affair, as with a PIN.
func (d *Door) Confirm(ctx context.Context, user desk.User, answer []byte) (pin string, end func(), err error) {
	s, err := d.shown(ctx, user, answer)
	if err != nil {
		return "", nil, err
	}
	for _, raw := range s.Passkeys {
		k, err := keptOf(raw)
		if err != nil || !slices.Equal(k.Credential.ID, s.id) || len(k.Signs) == 0 {
			continue
		}
		seed, err := vault.UnlockUnder(s.secret, useOf(s.Person, s.id), k.Signs)
		if err != nil || len(seed) != ed25519.SeedSize {
			return "", nil, ErrPasskey
		}
		pin, end = d.people.LetSign(s.Person, ed25519.NewKeyFromSeed(seed))
		return pin, end, d.note(ctx, "web-passkey-signed", s.ID, s.Person)
	}
	return "", nil, ErrPasskey
}
