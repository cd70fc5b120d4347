// Package signin decides who is at the web desk: users, one-time links, passkeys, the
// organisation's own sign-in, and the sessions that come of them.
//
//	door := signin.New(signin.Config{Store: st, People: node, Base: "http://localhost:8477"})
//	link, err := door.Link(ctx, desk.LinkRequest{Person: "P. Iket"})   // the owner of the device asks
//	token, err := door.Redeem(ctx, secret)                             // a browser comes with it, once
//	visitor, err := door.Visitor(ctx, token)                           // every request after that
//
// Trusted: the store, and whoever may ask over the unix socket. Not trusted: every
// browser. It holds a random token and nothing else; what the token means is kept here, in
// memory, under the hash of the token. A daemon that starts again has no sessions.
//
// Whoever can read a browser's memory or profile can act as its user until the session
// locks, but not sign: that takes the PIN of a person each time, or a passkey of theirs
// that they let sign.
package signin

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// What a browser is refused with.
var (
	ErrNoSession = errors.New("not signed in")
	ErrLocked    = errors.New("locked")
	ErrLink      = errors.New("this link was used, or is too old")
	ErrPIN       = errors.New("wrong PIN")
	ErrTries     = errors.New("too many wrong PINs of this user today")
)

// Bounds. A link is short-lived because it lies in a terminal's memory; who guesses PINs
// at a locked session has five tries.
const (
	linkLife    = 10 * time.Minute
	sessionLife = 12 * time.Hour // a shift
	maxLinks    = 32
	maxSessions = 200
	maxWrong    = 5

	// DefaultIdle is after how long without a sign of life a session locks.
	DefaultIdle = 10 * time.Minute
)

// People says who may sign, lets them, and ends that for who leaves.
type People interface {
	Persons(ctx context.Context) ([]schakel.Person, error)
	Revoke(ctx context.Context, subject trust.Subject, reason trust.Reason) error
	// LetSign lets a person sign without the PIN, with what it returns, until end.
	LetSign(person identity.PersonID, key ed25519.PrivateKey) (pin string, end func())
}

// Config is what a Door needs. Store and People are required.
type Config struct {
	Store  *store.Store
	People People
	Base   string           // begin of the links, such as http://localhost:8477
	Signs  *Provider        // sign-in of the organisation; nil: there is none
	Idle   time.Duration    // default DefaultIdle
	Now    func() time.Time // default time.Now
	Log    *slog.Logger     // default discards
}

// Door lets people in. Its methods may be called from any goroutine.
type Door struct {
	store  *store.Store
	people People
	base   string
	idle   time.Duration
	now    func() time.Time
	log    *slog.Logger
	keys   *webauthn.WebAuthn // nil where this desk can have no passkeys

	provider *provider // nil where the organisation has no sign-in

	mu       sync.Mutex // guards what follows
	links    map[hash]link
	sessions map[hash]*session
	wrong    map[[16]byte][]time.Time // PINs of a day, by user

	ceremonies map[string]ceremony // by challenge
	attempts   map[hash]attempt    // by state
}

var _ desk.Entrance = (*Door)(nil)

// hash of a secret that a browser holds: what lies in memory here opens nothing.
type hash [sha256.Size]byte

type link struct {
	user   [16]byte
	until  time.Time
	locked bool // it leads to a locked screen: see desk.LinkRequest
}

type session struct {
	user   [16]byte
	began  time.Time
	seen   time.Time
	locked bool
	proved bool          // the right PIN has opened it
	wrong  int           // PINs at the lock
	slips  int           // PINs at forms
	turn   chan struct{} // held by the form whose PIN is being looked at
	over   chan struct{} // closed when it locks or ends
}

func newSession(user [16]byte, began, seen time.Time) *session {
	return &session{user: user, began: began, seen: seen, turn: make(chan struct{}, 1), over: make(chan struct{})}
}

// New returns a Door. It starts nothing.
func New(cfg Config) *Door {
	d := &Door{store: cfg.Store, people: cfg.People, base: cfg.Base, idle: cfg.Idle, now: cfg.Now, log: cfg.Log,
		links: map[hash]link{}, sessions: map[hash]*session{}, wrong: map[[16]byte][]time.Time{}, ceremonies: map[string]ceremony{}, attempts: map[hash]attempt{}, keys: passkeysAt(cfg.Base)}
	if d.idle <= 0 {
		d.idle = DefaultIdle
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Signs != nil {
		d.provider = newProvider(*cfg.Signs, cfg.Base)
	}
	return d
}

// Idle is after how long without a sign of life a session locks.
func (d *Door) Idle() time.Duration { return d.idle }

// secret is 256 random bits as a browser and a URL carry them.
func secret() (string, hash) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	s := base64.RawURLEncoding.EncodeToString(b[:])
	return s, sha256.Sum256([]byte(s))
}

func hashOf(secret string) hash { return sha256.Sum256([]byte(secret)) }

// user reads a user as the desk knows one. One whose person may sign no more is nobody.
func (d *Door) user(ctx context.Context, id [16]byte) (desk.User, error) {
	var row store.User
	err := d.store.View(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.User(id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return desk.User{}, ErrNoSession
	}
	if err != nil {
		return desk.User{}, err
	}
	if !row.Person.IsZero() {
		_, err := d.person(ctx, row.Person.String())
		if errors.Is(err, schakel.ErrUnknownPerson) {
			return desk.User{}, fmt.Errorf("%w: the person of this user may sign no more", ErrNoSession)
		}
		if err != nil { // such as a browser that went away: that ends no session
			return desk.User{}, err
		}
	}
	return userOf(row), nil
}

func userOf(row store.User) desk.User {
	u := desk.User{ID: identity.FormatUUID(row.ID), Name: row.Name, Account: row.Subject}
	if !row.Person.IsZero() {
		u.Person = row.Person.String()
	}
	for _, r := range row.Roles {
		u.Roles = append(u.Roles, desk.Role(r))
	}
	return u
}

func (d *Door) note(ctx context.Context, action string, user [16]byte, person identity.PersonID) error {
	return d.store.Update(ctx, func(tx *store.Tx) error {
		return tx.Audit(action, identity.FormatUUID(user), person, d.now())
	})
}
