// Package token keeps what programs of the organisation may do: a token has roles and
// scopes, and perhaps a person whom it may have sign.
//
//	keeper := token.New(token.Config{Store: st, People: node})
//	added, err := keeper.AddToken(ctx, desk.TokenRequest{...})   // the owner of the device asks; shows added.Secret once
//	holder, err := keeper.Holder(ctx, bearer)                    // every request of a program
//	err = keeper.Used(ctx, holder, "openMessage", ref)           // before anything of a case is shown
//
// Trusted: the store, and whoever may ask over the unix socket. Not trusted: every program.
// The store has a hash of each secret and no secret: who copies it cannot work as a
// program. Who has a secret can do what the token may until it is revoked or expires, and
// sign nothing: that takes the PIN of a person each time.
package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/rights"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/identity"
)

// ErrToken is all that a program is told whose token is not good: which of malformed,
// unknown, expired or revoked it is helps only who guesses.
var ErrToken = errors.New("no token, or not a good one")

// Bounds. A token that nobody renews ends: programs are forgotten sooner than people.
const (
	maxTokens = 200
	maxName   = 80
	maxLife   = 2 * 366 * 24 * time.Hour
	maxRow    = 16 << 10
)

// People says who may sign.
type People interface {
	Persons(ctx context.Context) ([]schakel.Person, error)
}

// Config is what a Keeper needs. Store and People are required.
type Config struct {
	Store  *store.Store
	People People
	Now    func() time.Time // default time.Now
}

// Keeper keeps the tokens of a device. Its methods may be called from any goroutine.
type Keeper struct {
	store  *store.Store
	people People
	now    func() time.Time
}

var _ desk.Tokens = (*Keeper)(nil)

// New returns a Keeper.
func New(cfg Config) *Keeper {
	k := &Keeper{store: cfg.Store, people: cfg.People, now: cfg.Now}
	if k.now == nil {
		k.now = time.Now
	}
	return k
}

// idSize is that of an identifier. It is in every secret, so that a row is found without
// comparing secrets.
const idSize = 8

// row is a token as the store has it.
type row struct {
	_       struct{} `cbor:",toarray"`
	Name    string
	Roles   []string
	Scopes  []string
	Person  identity.PersonID
	Hash    [sha256.Size]byte // of the secret
	Created int64             // seconds since 1970
	Expires int64
}

// Secret is prefix | identifier in hexadecimal | "_" | 32 random bytes in base64url. The
// prefix lets programs that look for secrets in files find it.
const (
	prefix    = "schakel_"
	secretLen = len(prefix) + 2*idSize + 1 + 43
)

func newSecret() (id []byte, secret string) {
	var b [idSize + 32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return b[:idSize], Format(b[:idSize], b[idSize:])
}

// Format writes a secret.
func Format(id, random []byte) string {
	return prefix + hex.EncodeToString(id) + "_" + base64.RawURLEncoding.EncodeToString(random)
}

// Parse takes a secret apart. It accepts one spelling only.
func Parse(secret string) (id, random []byte, err error) {
	if len(secret) != secretLen || !strings.HasPrefix(secret, prefix) || secret[len(prefix)+2*idSize] != '_' {
		return nil, nil, ErrToken
	}
	rest := secret[len(prefix):]
	id, err = hex.DecodeString(rest[:2*idSize])
	if err != nil {
		return nil, nil, ErrToken
	}
	random, err = base64.RawURLEncoding.Strict().DecodeString(rest[2*idSize+1:])
	if err != nil || Format(id, random) != secret {
		return nil, nil, ErrToken
	}
	return id, random, nil
}

// AddToken implements desk.Tokens.
func (k *Keeper) AddToken(ctx context.Context, r desk.TokenRequest) (desk.NewToken, error) {
	kept, err := k.check(ctx, r)
	if err != nil {
		return desk.NewToken{}, err
	}
	all, err := k.Tokens(ctx)
	if err != nil {
		return desk.NewToken{}, err
	}
	if slices.ContainsFunc(all, func(t desk.Token) bool { return strings.EqualFold(t.Name, r.Name) }) {
		return desk.NewToken{}, fmt.Errorf("%w: %.80q", desk.ErrSameName, r.Name)
	}
	if len(all) >= maxTokens {
		return desk.NewToken{}, fmt.Errorf("%w: at most %d tokens", desk.ErrRequest, maxTokens)
	}
	id, secret := newSecret()
	kept.Hash = sha256.Sum256([]byte(secret))
	content, err := canon.Marshal(kept)
	if err != nil {
		return desk.NewToken{}, fmt.Errorf("failed to write a token: %w", err)
	}
	err = k.store.Update(ctx, func(tx *store.Tx) error {
		return errors.Join(tx.Keep(store.ShelfTokens, store.Kept{ID: id, At: time.Unix(kept.Created, 0), Content: content}),
			tx.Audit("token-added", hex.EncodeToString(id), kept.Person, k.now()))
	})
	return desk.NewToken{Token: shown(id, kept), Secret: secret}, err
}

// check reads a request.
func (k *Keeper) check(ctx context.Context, r desk.TokenRequest) (kept row, err error) {
	now := k.now()
	if r.Name == "" || len(r.Name) > maxName {
		return kept, fmt.Errorf("%w: a token has a name of at most %d bytes", desk.ErrRequest, maxName)
	}
	if len(r.Roles) == 0 || len(r.Scopes) == 0 {
		return kept, fmt.Errorf("%w: a token has a role and a scope at least", desk.ErrRequest)
	}
	if !r.Expires.After(now) || r.Expires.After(now.Add(maxLife)) {
		return kept, fmt.Errorf("%w: a token expires within two years", desk.ErrRequest)
	}
	kept = row{Name: r.Name, Created: now.Unix(), Expires: r.Expires.Unix()}
	for _, role := range r.Roles {
		if !slices.Contains(desk.Roles(), role) {
			return kept, fmt.Errorf("%w: %.40q", desk.ErrRole, role)
		}
		kept.Roles = append(kept.Roles, string(role))
	}
	for _, scope := range r.Scopes {
		if !slices.Contains(rights.Scopes(), scope) {
			return kept, fmt.Errorf("%w: %.40q; there are %s", desk.ErrScope, scope, strings.Join(rights.Scopes(), ", "))
		}
		kept.Scopes = append(kept.Scopes, scope)
	}
	slices.Sort(kept.Roles)
	slices.Sort(kept.Scopes)
	kept.Roles, kept.Scopes = slices.Compact(kept.Roles), slices.Compact(kept.Scopes)
	if r.Person != "" {
		kept.Person, err = k.person(ctx, r.Person)
	}
	return kept, err
}

func (k *Keeper) person(ctx context.Context, who string) (identity.PersonID, error) {
	all, err := k.people.Persons(ctx)
	for _, p := range all {
		if p.ID.String() == who || strings.EqualFold(p.Name, who) {
			return p.ID, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: %.80q", schakel.ErrUnknownPerson, who)
	}
	return identity.PersonID{}, err
}

// Tokens implements desk.Tokens.
func (k *Keeper) Tokens(ctx context.Context) ([]desk.Token, error) {
	out := []desk.Token{}
	err := k.store.View(ctx, func(tx *store.Tx) error {
		kept, err := tx.KeptUntil(store.ShelfTokens, time.Time{}, 2*maxTokens)
		for _, x := range kept {
			r, err := read(x.Content)
			if err != nil {
				return err
			}
			out = append(out, shown(x.ID, r))
		}
		return err
	})
	return out, err
}

// RevokeToken implements desk.Tokens. A request that is already being answered is
// answered; the next one is refused.
func (k *Keeper) RevokeToken(ctx context.Context, who string) error {
	t, err := k.named(ctx, who)
	if err != nil {
		return err
	}
	id, err := hex.DecodeString(t.ID)
	if err != nil {
		return err
	}
	return k.store.Update(ctx, func(tx *store.Tx) error {
		return errors.Join(tx.Forget(store.ShelfTokens, id), tx.Audit("token-revoked", t.ID, identity.PersonID{}, k.now()))
	})
}

func (k *Keeper) named(ctx context.Context, who string) (desk.Token, error) {
	all, err := k.Tokens(ctx)
	for _, t := range all {
		if t.ID == who || strings.EqualFold(t.Name, who) {
			return t, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: %.80q", desk.ErrUnknownToken, who)
	}
	return desk.Token{}, err
}

// Holder returns the token that a program came with, or ErrToken. A token whose person
// may sign no more is no good either: whoever left takes the programs along.
func (k *Keeper) Holder(ctx context.Context, secret string) (desk.Token, error) {
	id, _, err := Parse(secret)
	if err != nil {
		return desk.Token{}, err
	}
	var x store.Kept
	err = k.store.View(ctx, func(tx *store.Tx) (err error) {
		x, err = tx.Kept(store.ShelfTokens, id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return desk.Token{}, ErrToken
	}
	if err != nil {
		return desk.Token{}, err
	}
	r, err := read(x.Content)
	if err != nil {
		return desk.Token{}, err
	}
	hash := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(hash[:], r.Hash[:]) != 1 || !k.now().Before(time.Unix(r.Expires, 0)) {
		return desk.Token{}, ErrToken
	}
	if !r.Person.IsZero() {
		if _, err := k.person(ctx, r.Person.String()); errors.Is(err, schakel.ErrUnknownPerson) {
			return desk.Token{}, ErrToken
		} else if err != nil {
			return desk.Token{}, err
		}
	}
	return shown(id, r), nil
}

func shown(id []byte, r row) desk.Token {
	t := desk.Token{ID: hex.EncodeToString(id), Name: r.Name, Scopes: r.Scopes, Created: time.Unix(r.Created, 0).UTC(), Expires: time.Unix(r.Expires, 0).UTC()}
	for _, role := range r.Roles {
		t.Roles = append(t.Roles, desk.Role(role))
	}
	if !r.Person.IsZero() {
		t.Person = r.Person.String()
	}
	return t
}

func read(content []byte) (r row, err error) {
	if err := canon.Unmarshal(content, maxRow, &r); err != nil {
		return r, fmt.Errorf("%w: token: %w", store.ErrTampered, err)
	}
	return r, nil
}
