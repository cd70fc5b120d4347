package signin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"schakel/clients/desk"
	"schakel/clients/store"
	"schakel/crypto/identity"
)

// What the organisation's sign-in is refused with.
var (
	ErrProvider = errors.New("the organisation's sign-in does not answer")
	ErrAnswer   = errors.New("this answer of the organisation's sign-in does not open this desk")
)

// StrangerError is an account of the organisation that is no user here. Its subject is
// what ties it to one: see Tie.
type StrangerError struct{ Subject string }

func (e *StrangerError) Error() string { return "this account is no user of this desk" }

const (
	attemptLife = 10 * time.Minute
	maxAttempts = 200
	maxSubject  = 255              // OpenID Connect Core 1.0, section 2
	clockSkew   = 30 * time.Second // between this machine and the provider's
)

// attempt is a sign-in that a browser was sent to the provider for.
type attempt struct {
	browser  hash   // only that one may come back with it
	nonce    string // in the token, so that it is of this attempt (OpenID Connect Core, 3.1.2.1)
	verifier string // of PKCE: a code is worth nothing without it (RFC 7636)
	began    time.Time
	over     hash // the session that ends when this one begins
}

// HasProvider reports whether this desk goes by a sign-in of the organisation.
func (d *Door) HasProvider() bool { return d.provider != nil }

// Base is how addresses of this desk begin.
func (d *Door) Base() string { return d.base }

// BeginAtProvider returns where a browser must go to sign in, and a secret that it must
// keep until it comes back. token is of the session that stands there, locked perhaps.
func (d *Door) BeginAtProvider(ctx context.Context, token string) (address, keep string, err error) {
	if d.provider == nil {
		return "", "", ErrProvider
	}
	p, err := d.provider.describe(ctx, d.now)
	if err != nil {
		return "", "", err
	}
	keep, browser := secret()
	state, h := secret()
	nonce, _ := secret()
	a := attempt{browser: browser, nonce: nonce, verifier: oauth2.GenerateVerifier(), began: d.now(), over: hashOf(token)}
	d.attempt(h, a)
	// Who stands at a locked screen may have a session at the provider still open: it must
	// ask anew who that is, and say when it did.
	return p.oauth.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(a.verifier),
		oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0")), keep, nil
}

// attempt remembers an attempt, and forgets the oldest where there are too many.
func (d *Door) attempt(state hash, a attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var oldest hash
	began := d.now()
	for k, old := range d.attempts {
		if d.now().Sub(old.began) >= attemptLife {
			delete(d.attempts, k)
		} else if old.began.Before(began) {
			oldest, began = k, old.began
		}
	}
	if len(d.attempts) >= maxAttempts {
		delete(d.attempts, oldest)
	}
	d.attempts[state] = a
}

// ReturnFromProvider begins a session for who the provider says it is, and returns its
// token. keep is what the browser kept; answer what the provider had it carry back.
func (d *Door) ReturnFromProvider(ctx context.Context, keep string, answer url.Values) (string, error) {
	a, err := d.attempted(keep, answer)
	if err != nil {
		return "", err
	}
	p, err := d.provider.remembered()
	if err != nil {
		return "", err
	}
	// Which provider answered (RFC 9207, 2.4): a code of another one must not go to this.
	if iss := answer.Get("iss"); (p.names || iss != "") && iss != d.provider.Issuer {
		return "", fmt.Errorf("%w: another provider's", ErrAnswer)
	}
	subject, err := d.subject(ctx, p, a, answer.Get("code"))
	if err != nil {
		return "", err
	}
	rows, err := d.rows(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(rows, func(u store.User) bool { return u.Subject == d.account(subject) })
	if i < 0 {
		return "", &StrangerError{subject}
	}
	token, err := d.begin(ctx, rows[i].ID)
	if err == nil {
		d.endHash(ctx, a.over)
	}
	return token, err
}

// attempted takes the attempt that an answer belongs to: once, and for its browser alone.
func (d *Door) attempted(keep string, answer url.Values) (attempt, error) {
	if d.provider == nil {
		return attempt{}, ErrProvider
	}
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(answer[name]) > 1 {
			return attempt{}, fmt.Errorf("%w: %s twice", ErrAnswer, name)
		}
	}
	browser, h := hashOf(keep), hashOf(answer.Get("state"))
	d.mu.Lock()
	a, ok := d.attempts[h]
	if ok && a.browser == browser {
		delete(d.attempts, h)
	}
	d.mu.Unlock()
	switch {
	case !ok || a.browser != browser || d.now().Sub(a.began) >= attemptLife:
		return a, fmt.Errorf("%w: not begun in this browser, used, or too old", ErrAnswer)
	case answer.Get("error") != "" || answer.Get("code") == "":
		return a, fmt.Errorf("%w: it says no", ErrAnswer)
	}
	return a, nil
}

// subject exchanges a code for whom it stands for.
func (d *Door) subject(ctx context.Context, p *described, a attempt, code string) (string, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, d.provider.client), 2*providerTimeout)
	defer cancel()
	tokens, err := p.oauth.Exchange(ctx, code, oauth2.VerifierOption(a.verifier))
	if err != nil {
		if e := new(oauth2.RetrieveError); errors.As(err, &e) && e.Response != nil && e.Response.StatusCode < 500 {
			return "", fmt.Errorf("%w: the code is refused", ErrAnswer)
		}
		return "", providerSilent(err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return "", fmt.Errorf("%w: without a token of who it is", ErrAnswer)
	}
	id, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return "", fmt.Errorf("%w: the token is refused", ErrAnswer)
	}
	return d.checked(id, a)
}

// checked is what the library leaves to who asks for a token (OpenID Connect Core, 3.1.3.7).
func (d *Door) checked(id *oidc.IDToken, a attempt) (string, error) {
	var says struct {
		For  string `json:"azp"`
		When int64  `json:"auth_time"`
	}
	if err := id.Claims(&says); err != nil {
		return "", fmt.Errorf("%w: the token is malformed", ErrAnswer)
	}
	when := time.Unix(says.When, 0)
	switch {
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.nonce)) != 1:
		return "", fmt.Errorf("%w: the token is of another attempt", ErrAnswer)
	case len(id.Audience) != 1 && says.For == "", says.For != "" && says.For != d.provider.Client:
		return "", fmt.Errorf("%w: the token is for another program", ErrAnswer)
	case when.Before(a.began.Add(-clockSkew)), when.After(d.now().Add(clockSkew)):
		return "", fmt.Errorf("%w: nobody was asked who it is just now", ErrAnswer)
	case id.Subject == "" || len(id.Subject) > maxSubject:
		return "", fmt.Errorf("%w: no subject", ErrAnswer)
	}
	return id.Subject, nil
}

// account is a subject as it stands in the store: a subject is unique within its issuer
// alone, and another provider must not inherit it.
func (d *Door) account(subject string) string { return d.provider.Issuer + " " + subject }

// Tie implements desk.Entrance. Whatever account the user had comes in no more, and its
// sessions end.
func (d *Door) Tie(ctx context.Context, who, subject string) error {
	if d.provider == nil && subject != "" {
		return desk.ErrNoProvider
	}
	if len(subject) > maxSubject || strings.TrimSpace(subject) != subject {
		return fmt.Errorf("%w: a subject has at most %d characters, and no spaces around", desk.ErrRequest, maxSubject)
	}
	row, rows, err := d.named(ctx, who)
	if err != nil {
		return err
	}
	account, action := "", "web-untied"
	if subject != "" {
		account, action = d.account(subject), "web-tied"
	}
	for _, u := range rows {
		if account != "" && u.Subject == account && u.ID != row.ID {
			return fmt.Errorf("%w: %s", desk.ErrTied, identity.FormatUUID(u.ID))
		}
	}
	if err := d.change(ctx, row.ID, action, func(u *store.User) { u.Subject = account }); err != nil {
		return err
	}
	d.endAll(row.ID)
	return nil
}
