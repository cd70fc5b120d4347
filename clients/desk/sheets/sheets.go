// Package sheets keeps what users of the web desk are writing, on this device, as it is typed.
//
// A sheet is not a draft of the desk: nobody signed it, and no colleague sees it. It is there
// so that a locked screen, a browser that crashed, a session that ended or a daemon that
// started again costs nobody a word:
//
//	sheet, err := desk.Keep(ctx, user, sheets.Sheet{ID: id, Class: "melding", Text: typed})
//	mine, err := desk.List(ctx, user)
//
// It lies sealed in the store, in one row per user. What belongs to a restricted case is for
// named persons only, and this device's keys open its store: such a sheet is kept aside, in
// memory, for no longer than somebody's watch.
package sheets

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"schakel/clients/store"
	"schakel/crypto/identity"
)

// What keeping is refused with.
var (
	ErrFull   = errors.New("too many unfinished messages of this user")
	ErrLarge  = errors.New("too large to keep")
	ErrNone   = errors.New("no such unfinished message")
	ErrTicket = errors.New("this form is not from here")
)

// Bounds. All sheets of a user fit in one row of the store.
const (
	MaxText   = 256 << 10
	maxAll    = 900 << 10
	maxSheets = 20
	// Life is how long a sheet stays that nobody touches: a case that ended must not live on
	// in what was half written about it.
	Life = 30 * 24 * time.Hour
	// LifeAside is how long a sheet stays that is kept aside: as long as a session.
	LifeAside = 12 * time.Hour
)

// Sheet is one message that a user is writing.
type Sheet struct {
	ID    string    `json:"id"`
	At    time.Time `json:"at"` // when it was last kept
	Class string    `json:"class"`
	Text  []byte    `json:"text"`           // the writer's own form of it
	Sent  string    `json:"sent,omitempty"` // hash of the message that it became
	Aside bool      `json:"-"`              // of a restricted case: in memory, and never on disk
}

// Desk keeps the sheets of all users. Its methods may be called from any goroutine.
type Desk struct {
	store *store.Store
	now   func() time.Time

	mu    sync.Mutex // guards what follows
	held  map[string]*hold
	aside map[string][]Sheet // by user
}

// hold is one sheet that somebody does something with that must happen once.
type hold struct {
	sync.Mutex
	waiting int
}

// New returns a Desk. It starts nothing.
func New(st *store.Store, now func() time.Time) *Desk {
	return &Desk{store: st, now: now, held: map[string]*hold{}, aside: map[string][]Sheet{}}
}

const (
	settingSheets = "web-sheets/"
	settingTicket = "web-ticket-key"
)

// Forget forgets the sheets of a user who leaves.
func Forget(tx *store.Tx, user string) error { return tx.DeleteSetting(settingSheets + user) }

// Keep keeps a sheet of a user, in the place of what was under its identifier: a form cannot
// take the place of another one, whatever it says. It never makes room by forgetting another
// one: it refuses with ErrFull.
func (d *Desk) Keep(ctx context.Context, user string, s Sheet) error {
	if len(s.Text) > MaxText {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrLarge, len(s.Text), MaxText)
	}
	if _, err := identity.ParseUUID(s.ID); err != nil {
		return fmt.Errorf("%w: %.80q", ErrNone, s.ID)
	}
	s.At = d.now().UTC()
	old, err := d.Get(ctx, user, s.ID)
	switch {
	case err == nil && old.Class != s.Class:
		return fmt.Errorf("%w: that is of another form", ErrNone)
	case err != nil && !errors.Is(err, ErrNone):
		return err
	case s.Aside && err == nil && !old.Aside: // its case was restricted meanwhile
		if err := d.Drop(ctx, user, s.ID); err != nil {
			return err
		}
	case !s.Aside && err == nil && old.Aside:
		d.dropAside(user, s.ID)
	}
	if s.Aside {
		return d.keepAside(user, s)
	}
	return d.change(ctx, user, func(all []Sheet) ([]Sheet, error) { return put(all, s) })
}

// put puts a sheet in the place of what was under its identifier.
func put(all []Sheet, s Sheet) ([]Sheet, error) {
	i := slices.IndexFunc(all, func(x Sheet) bool { return x.ID == s.ID })
	if i >= 0 && all[i].Sent != "" {
		return all, nil // a page that was left open must not bring back what was sent
	}
	if i >= 0 {
		all = slices.Delete(all, i, i+1)
	}
	all = makeRoom(all)
	if len(all) >= maxSheets {
		return nil, fmt.Errorf("%w: %d", ErrFull, len(all))
	}
	return append(all, s), nil
}

func (d *Desk) keepAside(user string, s Sheet) error {
	if user == "" {
		return ErrNone
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	all, err := put(d.besides(user), s)
	if err != nil {
		return err
	}
	size := 0
	for _, x := range all {
		size += len(x.Text)
	}
	if size > maxAll {
		return fmt.Errorf("%w: %d bytes of text", ErrFull, size)
	}
	d.aside[user] = all
	return nil
}

// besides are the sheets of a user that are kept aside; what is too old is forgotten, of
// everybody. The caller holds mu.
func (d *Desk) besides(user string) []Sheet {
	oldest := d.now().Add(-LifeAside)
	for who, all := range d.aside {
		all = slices.DeleteFunc(all, func(s Sheet) bool { return s.At.Before(oldest) })
		if d.aside[who] = all; len(all) == 0 {
			delete(d.aside, who)
		}
	}
	return slices.Clone(d.aside[user])
}

func (d *Desk) dropAside(user, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.aside[user] = slices.DeleteFunc(d.besides(user), func(x Sheet) bool { return x.ID == id })
}

// makeRoom forgets sheets that were sent, the oldest first: they are kept only so that a
// second click is not a second message.
func makeRoom(all []Sheet) []Sheet {
	for len(all) >= maxSheets {
		i := slices.IndexFunc(all, func(x Sheet) bool { return x.Sent != "" })
		if i < 0 {
			return all
		}
		all = slices.Delete(all, i, i+1)
	}
	return all
}

// MarkSent notes what a sheet became, and forgets what it said.
func (d *Desk) MarkSent(ctx context.Context, user, id, hash string) error {
	d.dropAside(user, id)
	return d.change(ctx, user, func(all []Sheet) ([]Sheet, error) {
		for i := range all {
			if all[i].ID == id {
				all[i].Text, all[i].Sent, all[i].At = nil, hash, d.now().UTC()
			}
		}
		return all, nil
	})
}

// Drop forgets a sheet, if there is one.
func (d *Desk) Drop(ctx context.Context, user, id string) error {
	d.dropAside(user, id)
	return d.change(ctx, user, func(all []Sheet) ([]Sheet, error) {
		return slices.DeleteFunc(all, func(x Sheet) bool { return x.ID == id }), nil
	})
}

// Get returns one sheet, or ErrNone; also one that was sent.
func (d *Desk) Get(ctx context.Context, user, id string) (Sheet, error) {
	all, err := d.all(ctx, user)
	if err != nil {
		return Sheet{}, err
	}
	for _, s := range all {
		if s.ID == id {
			return s, nil
		}
	}
	return Sheet{}, fmt.Errorf("%w: %.80q", ErrNone, id)
}

// List returns the sheets of a user that were not sent, the newest first.
func (d *Desk) List(ctx context.Context, user string) ([]Sheet, error) {
	all, err := d.all(ctx, user)
	all = slices.DeleteFunc(all, func(s Sheet) bool { return s.Sent != "" })
	slices.SortFunc(all, func(a, b Sheet) int { return b.At.Compare(a.At) })
	return all, err
}

func (d *Desk) all(ctx context.Context, user string) (all []Sheet, err error) {
	err = d.store.View(ctx, func(tx *store.Tx) error {
		all, err = d.read(tx, user)
		return err
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	return append(all, d.besides(user)...), err
}

func (d *Desk) read(tx *store.Tx, user string) (all []Sheet, err error) {
	raw, err := tx.Setting(settingSheets + user)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &all)
	}
	oldest := d.now().Add(-Life)
	return slices.DeleteFunc(all, func(s Sheet) bool { return s.At.Before(oldest) }), err
}

func (d *Desk) change(ctx context.Context, user string, f func([]Sheet) ([]Sheet, error)) error {
	if user == "" {
		return ErrNone
	}
	return d.store.Update(ctx, func(tx *store.Tx) error {
		all, err := d.read(tx, user)
		if err == nil {
			all, err = f(all)
		}
		if err != nil {
			return err
		}
		raw, err := json.Marshal(all)
		if err == nil && len(raw) > maxAll {
			err = fmt.Errorf("%w: %d bytes of text", ErrFull, len(raw))
		}
		if err != nil {
			return err
		}
		return tx.SetSetting(settingSheets+user, raw)
	})
}

// Hold waits until nobody else holds a sheet, and holds it until release: a button that is
// pressed twice is pressed once, and then once more on what came of it.
func (d *Desk) Hold(user, id string) (release func()) {
	key := user + "/" + id
	d.mu.Lock()
	h := d.held[key]
	if h == nil {
		h = &hold{}
		d.held[key] = h
	}
	h.waiting++
	d.mu.Unlock()
	h.Lock()
	return func() {
		h.Unlock()
		d.mu.Lock()
		defer d.mu.Unlock()
		if h.waiting--; h.waiting == 0 {
			delete(d.held, key)
		}
	}
}

// Ticket lets what is typed in a form be kept for its user even when the session is over by
// the time that it is sent: it names the user and the sheet, under a key that no browser has.
// It opens nothing.
func (d *Desk) Ticket(ctx context.Context, user, id string) (string, error) {
	key, err := d.key(ctx)
	if err != nil {
		return "", err
	}
	return user + "." + id + "." + mac(key, user, id), nil
}

// Holder is the user and the sheet that a ticket names, or ErrTicket.
func (d *Desk) Holder(ctx context.Context, ticket string) (user, id string, err error) {
	parts := strings.Split(ticket, ".")
	if len(parts) != 3 {
		return "", "", ErrTicket
	}
	key, err := d.key(ctx)
	if err != nil {
		return "", "", err
	}
	if !hmac.Equal([]byte(parts[2]), []byte(mac(key, parts[0], parts[1]))) {
		return "", "", ErrTicket
	}
	return parts[0], parts[1], nil
}

func mac(key []byte, user, id string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("schakel web sheet\x00" + user + "\x00" + id))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// key is the key of the tickets; the first time it makes one.
func (d *Desk) key(ctx context.Context) (key []byte, err error) {
	err = d.store.View(ctx, func(tx *store.Tx) error {
		key, err = tx.Setting(settingTicket)
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		return key, err
	}
	err = d.store.Update(ctx, func(tx *store.Tx) error {
		if key, err = tx.Setting(settingTicket); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails (crypto/rand)
		return tx.SetSetting(settingTicket, key)
	})
	return key, err
}
