// Package once lets a request be repeated without what it asks happening twice: the answer
// is kept under the key that the caller made for it.
//
//	answer, err := keeper.Begin(ctx, key, print)   // nil: do it; else the answer that was given before
//	...
//	err = keeper.Done(ctx, key, print, answer)     // or Undo, when nothing happened
//
// That a request was begun is on disk before it is done. Whoever repeats it after a crash
// in between is told that nobody knows, with ErrUnknown: a message that may have gone must
// not go again by itself, and one that may not have gone must not be taken for sent.
package once

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"schakel/clients/store"
	"schakel/crypto/canon"
)

// Why a request is not done.
var (
	ErrOther   = errors.New("the key was used for another request")
	ErrRunning = errors.New("the request with this key is being answered")
	ErrUnknown = errors.New("the request with this key was begun, and nobody knows how it ended")
)

// Bounds.
const (
	keepFor    = 24 * time.Hour
	maxKept    = 20_000
	maxAnswer  = 240 << 10
	tidyAtOnce = 50
)

// ErrFull is returned where too many answers of the last day are kept.
var ErrFull = errors.New("too many keys in one day")

// Key names one intention of one caller; Print is what was asked.
type (
	Key   [sha256.Size]byte
	Print [sha256.Size]byte
)

// KeyOf is the key of a caller: what two callers make alike are two keys.
func KeyOf(caller, key string) Key {
	of := sha256.Sum256([]byte(caller))
	return sha256.Sum256(append(of[:], key...))
}

// Answer is what was answered.
type Answer struct {
	Status int
	Header map[string]string
	Body   []byte
}

type row struct {
	_      struct{} `cbor:",toarray"`
	Print  Print
	Status int // 0: begun
	Header map[string]string
	Body   []byte
}

// Keeper keeps answers. Its methods may be called from any goroutine.
type Keeper struct {
	store *store.Store
	now   func() time.Time
	room  int

	mu      sync.Mutex
	running map[Key]bool // begun in this process, and not ended
}

// New returns a Keeper.
func New(st *store.Store, now func() time.Time) *Keeper {
	return &Keeper{store: st, now: now, room: maxKept, running: map[Key]bool{}}
}

// Begin says that a request is being done, or returns the answer that it got before. After
// (nil, nil) the caller must end with Done, Undo or Lost.
func (k *Keeper) Begin(ctx context.Context, key Key, print Print) (*Answer, error) {
	if !k.enter(key) {
		return nil, ErrRunning
	}
	answer, err := k.begin(ctx, key, print)
	if err != nil || answer != nil {
		k.leave(key)
	}
	return answer, err
}

func (k *Keeper) begin(ctx context.Context, key Key, print Print) (answer *Answer, err error) {
	err = k.store.Update(ctx, func(tx *store.Tx) error {
		if err := k.tidy(tx); err != nil {
			return err
		}
		kept, err := tx.Kept(store.ShelfAnswers, key[:])
		switch {
		case errors.Is(err, store.ErrNotFound):
			// Only what is new needs room: who repeats a request gets its answer.
			if n, err := tx.CountKept(store.ShelfAnswers); err != nil || n >= k.room {
				return errors.Join(err, ErrFull)
			}
			return k.keep(tx, key, row{Print: print})
		case err != nil:
			return err
		}
		r, err := read(kept.Content)
		switch {
		case err != nil:
			return err
		case r.Print != print:
			return ErrOther
		case r.Status == 0:
			return ErrUnknown
		}
		answer = &Answer{Status: r.Status, Header: r.Header, Body: r.Body}
		return nil
	})
	return answer, err
}

// tidy forgets what is old.
func (k *Keeper) tidy(tx *store.Tx) error {
	old, err := tx.KeptUntil(store.ShelfAnswers, k.now().Add(-keepFor), tidyAtOnce)
	for _, o := range old {
		if err := tx.Forget(store.ShelfAnswers, o.ID); err != nil {
			return err
		}
	}
	return err
}

func (k *Keeper) keep(tx *store.Tx, key Key, r row) error {
	content, err := canon.Marshal(r)
	if err == nil && len(content) > maxAnswer {
		err = store.ErrTooLarge
	}
	if err != nil {
		return fmt.Errorf("failed to keep an answer: %w", err)
	}
	return tx.Keep(store.ShelfAnswers, store.Kept{ID: key[:], At: k.now(), Content: content})
}

// Done keeps the answer to a request that was done.
func (k *Keeper) Done(ctx context.Context, key Key, print Print, a Answer) error {
	defer k.leave(key)
	return k.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		return k.keep(tx, key, row{Print: print, Status: a.Status, Header: a.Header, Body: a.Body})
	})
}

// Undo forgets a request of which nothing happened: it may be repeated, also otherwise.
func (k *Keeper) Undo(ctx context.Context, key Key) error {
	defer k.leave(key)
	return k.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.Forget(store.ShelfAnswers, key[:]) })
}

// Lost ends a request of which nobody knows what happened: repeated, it is ErrUnknown.
func (k *Keeper) Lost(key Key) { k.leave(key) }

func (k *Keeper) enter(key Key) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running[key] {
		return false
	}
	k.running[key] = true
	return true
}

func (k *Keeper) leave(key Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.running, key)
}

func read(content []byte) (r row, err error) {
	if err := canon.Unmarshal(content, maxAnswer, &r); err != nil {
		return r, fmt.Errorf("%w: answer: %w", store.ErrTampered, err)
	}
	return r, nil
}
