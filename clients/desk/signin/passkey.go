package signin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"schakel/clients/desk"
	"schakel/clients/store"
	"schakel/crypto/identity"
)

// Refusals of passkeys: one answer to all that do not open the door, and one to those that
// do and cannot sign.
var (
	ErrPasskey  = errors.New("this passkey does not open this desk")
	ErrNoSecret = errors.New("this passkey can open the desk, and cannot sign")
)

const (
	maxPasskeys   = 10
	ceremonyLife  = 5 * time.Minute
	maxCeremonies = 200
)

// ceremony is one that was begun: its challenge is good once, for a while, and for what
// it was begun for.
type ceremony struct {
	webauthn.SessionData
	aim   aim
	until time.Time
}

// aim is what a passkey is asked for.
type aim int

const (
	toMake  aim = iota // a new one
	toEnter            // the session of whoever has it
	toSign             // the key of the person, see signing.go
)

// kept is a passkey as the store has it.
type kept struct {
	Credential webauthn.Credential `json:"credential"`
	Signs      []byte              `json:"signs,omitempty"` // the person's signing key, locked under what it derives
}

// keptOf reads a passkey. The first ones were a credential and nothing else.
func keptOf(raw []byte) (k kept, err error) {
	if err = json.Unmarshal(raw, &k); err == nil && len(k.Credential.ID) == 0 {
		err = json.Unmarshal(raw, &k.Credential)
	}
	if err == nil && len(k.Credential.ID) == 0 {
		err = ErrPasskey
	}
	return k, err
}

// holder is a user as the library knows one.
type holder struct{ store.User }

func (h holder) WebAuthnID() []byte          { return h.ID[:] }
func (h holder) WebAuthnName() string        { return h.Name }
func (h holder) WebAuthnDisplayName() string { return h.Name }

// WebAuthnCredentials are the keys of the user. One that cannot be read opens nothing.
func (h holder) WebAuthnCredentials() (all []webauthn.Credential) {
	for _, raw := range h.Passkeys {
		if k, err := keptOf(raw); err == nil {
			all = append(all, k.Credential)
		}
	}
	return all
}

// passkeysAt returns what checks passkeys for a desk at an address, or nil where there can
// be none: a passkey is bound to a name, and a number is none (WebAuthn, 5.1.2).
func passkeysAt(base string) *webauthn.WebAuthn {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" || net.ParseIP(u.Hostname()) != nil {
		return nil
	}
	w, err := webauthn.New(&webauthn.Config{RPID: u.Hostname(), RPDisplayName: "Schakel", RPOrigins: []string{base},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired,
			UserVerification: protocol.VerificationRequired}})
	if err != nil {
		return nil
	}
	return w
}

// HasPasskeys reports whether this desk is at an address that can have them.
func (d *Door) HasPasskeys() bool { return d.keys != nil }

func (d *Door) holder(ctx context.Context, id [16]byte) (h holder, err error) {
	err = d.store.View(ctx, func(tx *store.Tx) error {
		h.User, err = tx.User(id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = ErrPasskey
	}
	return h, err
}

// Passkeys is how many a user has.
func (d *Door) Passkeys(ctx context.Context, user desk.User) (int, error) {
	id, err := identity.ParseUUID(user.ID)
	if err != nil {
		return 0, err
	}
	h, err := d.holder(ctx, id)
	return len(h.Passkeys), err
}

// BeginPasskey returns what a browser needs to make a passkey for a user, as JSON.
func (d *Door) BeginPasskey(ctx context.Context, user desk.User) ([]byte, error) {
	if d.keys == nil {
		return nil, ErrPasskey
	}
	id, err := identity.ParseUUID(user.ID)
	if err != nil {
		return nil, err
	}
	h, err := d.holder(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(h.Passkeys) >= maxPasskeys {
		return nil, fmt.Errorf("%w: at most %d passkeys", desk.ErrRequest, maxPasskeys)
	}
	options, session, err := d.keys.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.WebAuthnCredentials()).CredentialDescriptors()),
		webauthn.WithExtensions(webauthn.WithExtensionPRFSupport())) // so that it can derive a key, where it is able to
	if err != nil {
		return nil, fmt.Errorf("failed to begin a passkey: %w", err)
	}
	d.await(*session, toMake)
	return json.Marshal(options)
}

// AddPasskey keeps the passkey that a browser made for a user.
func (d *Door) AddPasskey(ctx context.Context, user desk.User, answer []byte) error {
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPasskey, err)
	}
	session, ok := d.awaited(parsed.Response.CollectedClientData.Challenge, toMake)
	id, err := identity.ParseUUID(user.ID)
	if !ok || err != nil || d.keys == nil || !bytes.Equal(session.UserID, id[:]) {
		return ErrPasskey
	}
	h, err := d.holder(ctx, id)
	if err != nil {
		return err
	}
	c, err := d.keys.CreateCredential(h, session, parsed)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPasskey, err)
	}
	raw, err := json.Marshal(kept{Credential: *c})
	if err != nil {
		return fmt.Errorf("failed to keep a passkey: %w", err)
	}
	return d.change(ctx, id, "web-passkey", func(u *store.User) { u.Passkeys = append(u.Passkeys, raw) })
}

// DropPasskeys forgets all passkeys of a user.
func (d *Door) DropPasskeys(ctx context.Context, user desk.User) error {
	id, err := identity.ParseUUID(user.ID)
	if err != nil {
		return err
	}
	return d.change(ctx, id, "web-passkeys-dropped", func(u *store.User) { u.Passkeys = nil })
}

func (d *Door) change(ctx context.Context, id [16]byte, action string, change func(*store.User)) error {
	return d.store.Update(ctx, func(tx *store.Tx) error {
		u, err := tx.User(id)
		if err != nil {
			return err
		}
		change(&u)
		return errors.Join(tx.SetUser(u), tx.Audit(action, identity.FormatUUID(id), u.Person, d.now()))
	})
}

// BeginPasskeySignIn returns what a browser needs to ask for any passkey of this desk.
func (d *Door) BeginPasskeySignIn() ([]byte, error) {
	if d.keys == nil {
		return nil, ErrPasskey
	}
	options, session, err := d.keys.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, fmt.Errorf("failed to ask for a passkey: %w", err)
	}
	d.await(*session, toEnter)
	return json.Marshal(options)
}

// PasskeySignIn begins a session for whose passkey a browser shows, and returns its token.
func (d *Door) PasskeySignIn(ctx context.Context, answer []byte) (string, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPasskey, err)
	}
	session, ok := d.awaited(parsed.Response.CollectedClientData.Challenge, toEnter)
	if !ok || d.keys == nil {
		return "", ErrPasskey
	}
	var h holder
	find := func(_, handle []byte) (webauthn.User, error) {
		if len(handle) != len(h.ID) {
			return nil, ErrPasskey
		}
		h, err = d.holder(ctx, [16]byte(handle))
		return h, err
	}
	c, err := d.keys.ValidateDiscoverableLogin(find, session, parsed)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPasskey, err)
	}
	if err := d.counted(ctx, h.ID, c); err != nil {
		return "", err
	}
	return d.begin(ctx, h.ID)
}

// counted keeps the counter that a passkey showed, and refuses one that does not go up: two
// that count are a passkey and its copy. One that is kept in a cloud counts nothing (WebAuthn,
// 6.1.1).
func (d *Door) counted(ctx context.Context, user [16]byte, c *webauthn.Credential) error {
	count := c.Authenticator.SignCount
	if count == 0 && !c.Authenticator.CloneWarning {
		return nil
	}
	return d.store.Update(ctx, func(tx *store.Tx) error {
		u, err := tx.User(user)
		if err != nil {
			return err
		}
		for i, raw := range u.Passkeys {
			k, err := keptOf(raw)
			if err != nil || !bytes.Equal(k.Credential.ID, c.ID) {
				continue
			}
			if c.Authenticator.CloneWarning || count <= k.Credential.Authenticator.SignCount {
				return fmt.Errorf("%w: its counter went back, it may be a copy", ErrPasskey)
			}
			k.Credential.Authenticator.SignCount = count
			if u.Passkeys[i], err = json.Marshal(k); err != nil {
				return fmt.Errorf("failed to keep a passkey: %w", err)
			}
			return tx.SetUser(u)
		}
		return ErrPasskey
	})
}

// await keeps a ceremony under its challenge. There is room for so many of each aim, and the
// oldest makes way: whoever reaches the port can ask to come in, and must not push out the
// question that somebody who is in signs by.
func (d *Door) await(s webauthn.SessionData, what aim) {
	d.mu.Lock()
	defer d.mu.Unlock()
	oldest, n := "", 0
	for k, c := range d.ceremonies {
		switch {
		case !c.until.After(d.now()):
			delete(d.ceremonies, k)
		case c.aim == what:
			if n++; oldest == "" || c.until.Before(d.ceremonies[oldest].until) {
				oldest = k
			}
		}
	}
	if n >= maxCeremonies {
		delete(d.ceremonies, oldest)
	}
	d.ceremonies[s.Challenge] = ceremony{s, what, d.now().Add(ceremonyLife)}
}

// awaited takes a ceremony: its challenge is good once.
func (d *Door) awaited(challenge string, what aim) (webauthn.SessionData, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.ceremonies[challenge]
	delete(d.ceremonies, challenge)
	return c.SessionData, ok && c.aim == what && c.until.After(d.now())
}
