package webhook

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/crypto/canon"
)

// parcel is an event on its way. The time at which it is due stands beside it.
type parcel struct {
	_       struct{} `cbor:",toarray"`
	Name    string   // the webhook-id: the same in every try
	Kind    string
	Message string
	Desk    string
	At      int64 // milliseconds since 1970
	Tries   int
}

func newParcel(e schakel.Event) parcel {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return parcel{Name: "msg_" + hex.EncodeToString(b[:]), Kind: string(e.Kind), Message: e.Message, Desk: e.Desk, At: e.At.UnixMilli()}
}

// hookOf is the webhook that a parcel is for: its identifier begins the parcel's.
func hookOf(id []byte) string { return string(id[:min(len(id), idSize)]) }

// parcels are those of one webhook that are due; all of them at the zero time.
func parcels(tx *store.Tx, id []byte, until time.Time) ([]store.Kept, error) {
	all, err := tx.KeptUntil(store.ShelfParcels, until, maxParcels)
	return slices.DeleteFunc(all, func(k store.Kept) bool { return hookOf(k.ID) != string(id) }), err
}

func keep(tx *store.Tx, id []byte, p parcel, due time.Time) error {
	content, err := canon.Marshal(p)
	if err != nil {
		return fmt.Errorf("failed to write a parcel: %w", err)
	}
	return tx.Keep(store.ShelfParcels, store.Kept{ID: id, At: due, Content: content})
}

// put puts an event on its way to a webhook. Where there is no room, the webhook is owed a
// gap.
func (o *Office) put(tx *store.Tx, id []byte, e schakel.Event) error {
	n, err := tx.CountKept(store.ShelfParcels)
	if err != nil {
		return err
	}
	if n >= maxParcels { // also for a gap: those that are told of a crowd would be one
		return update(tx, id, func(h *hook) { h.Missed = true })
	}
	p := newParcel(e)
	return keep(tx, append(slices.Clone(id), p.Name[4:]...), p, o.Now())
}

// owed puts a gap on its way to a webhook that missed something.
func (o *Office) owed(tx *store.Tx, id []byte) error {
	h, err := read(tx, id)
	if err != nil || !h.Missed {
		return err
	}
	h.Missed = false
	return errors.Join(write(tx, id, h), o.put(tx, id, schakel.Event{Kind: schakel.EventGap, At: o.Now()}))
}

// again makes a parcel due now, as if it had never been tried.
func (o *Office) again(tx *store.Tx, k store.Kept) error {
	var p parcel
	if err := parse(k.Content, &p); err != nil {
		return err
	}
	p.Tries = 0
	return keep(tx, k.ID, p, o.Now())
}

// Run sends parcels until ctx ends, and then returns nil; what was not taken waits on
// disk. Events of the time before it began are a gap.
func (o *Office) Run(ctx context.Context) error {
	events, cancel := o.Events.Subscribe()
	defer cancel()
	if err := o.tell(ctx, schakel.Event{Kind: schakel.EventGap, At: o.Now()}); err != nil {
		return unlessEnded(ctx, err)
	}
	var senders sync.WaitGroup
	defer senders.Wait()
	for {
		next, err := o.start(ctx, &senders)
		if err != nil {
			return unlessEnded(ctx, err)
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-o.poke:
		case e, more := <-events:
			if !more {
				timer.Stop()
				return nil
			}
			err = o.tell(ctx, e)
		}
		timer.Stop()
		if err != nil {
			return unlessEnded(ctx, err)
		}
	}
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (o *Office) wake() {
	select {
	case o.poke <- struct{}{}:
	default:
	}
}

// tell puts an event on its way to everybody who wants to hear of it.
func (o *Office) tell(ctx context.Context, e schakel.Event) error {
	var all []store.Kept
	err := o.Store.View(ctx, func(tx *store.Tx) (err error) {
		all, err = tx.KeptUntil(store.ShelfWebhooks, time.Time{}, maxWebhooks)
		return err
	})
	if err != nil || len(all) == 0 {
		return err
	}
	return o.Store.Update(ctx, func(tx *store.Tx) error {
		for _, k := range all {
			h, err := read(tx, k.ID)
			if errors.Is(err, store.ErrNotFound) || err == nil && (h.Disabled || !wants(h, e)) {
				continue
			}
			if err == nil {
				err = o.put(tx, k.ID, e)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func wants(h hook, e schakel.Event) bool {
	return len(h.Kinds) == 0 || e.Kind == schakel.EventGap || slices.Contains(h.Kinds, string(e.Kind))
}

// lookEvery is how long nothing is looked at when nothing is due.
const lookEvery = time.Minute

// start starts a sender for each webhook for which something is due and none sends yet,
// and says when to look again.
func (o *Office) start(ctx context.Context, senders *sync.WaitGroup) (next time.Duration, err error) {
	var due, later []store.Kept
	err = o.Store.View(ctx, func(tx *store.Tx) (err error) {
		if due, err = tx.KeptUntil(store.ShelfParcels, o.Now(), maxParcels); err == nil && len(due) < maxParcels {
			later, err = tx.KeptUntil(store.ShelfParcels, o.Now().Add(lookEvery), len(due)+1)
		}
		return err
	})
	next = lookEvery
	if len(later) > len(due) {
		next = max(later[len(due)].At.Sub(o.Now()), 0)
	}
	for _, k := range due {
		if id := hookOf(k.ID); o.enter(id) {
			senders.Go(func() {
				err := o.send(ctx, []byte(id))
				o.leave(id)
				if unlessEnded(ctx, err) != nil {
					o.Log.Warn("webhook not served", "webhook", hex.EncodeToString([]byte(id)), "err", err)
					return // looked at again in a minute, not at once
				}
				o.wake()
			})
		}
	}
	return next, err
}

func (o *Office) enter(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running[id] {
		return false
	}
	o.running[id] = true
	return true
}

func (o *Office) leave(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.running, id)
}

// send tries what is due for one webhook, in order, until one is not taken.
func (o *Office) send(ctx context.Context, id []byte) error {
	for ctx.Err() == nil {
		var h hook
		var due []store.Kept
		err := o.Store.View(ctx, func(tx *store.Tx) (err error) {
			if h, err = read(tx, id); err == nil {
				due, err = parcels(tx, id, o.Now())
			}
			return err
		})
		if errors.Is(err, store.ErrNotFound) || err == nil && (h.Disabled || len(due) == 0) {
			return o.park(ctx, id, due)
		}
		if err != nil {
			return err
		}
		var p parcel
		if err := parse(due[0].Content, &p); err != nil {
			return err
		}
		failure := o.post(ctx, h, p)
		if ctx.Err() != nil {
			return nil // nobody knows whether it was taken: it is tried again, under the same name
		}
		if err := o.outcome(ctx, id, due[0], p, failure); err != nil || failure != "" {
			return err
		}
	}
	return nil
}

// farAway is when the parcels of a disabled webhook are due: at the next Redeliver.
const farAway = 100 * 365 * 24 * time.Hour

// park puts away what waits for a webhook that is disabled, so that nothing is due.
func (o *Office) park(ctx context.Context, id []byte, due []store.Kept) error {
	if len(due) == 0 {
		return nil
	}
	return o.Store.Update(ctx, func(tx *store.Tx) error {
		for _, k := range due {
			k.At = o.Now().Add(farAway)
			if err := tx.Keep(store.ShelfParcels, k); err != nil {
				return err
			}
		}
		return nil
	})
}

// outcome notes what a try met.
func (o *Office) outcome(ctx context.Context, id []byte, k store.Kept, p parcel, failure string) error {
	return o.Store.Update(ctx, func(tx *store.Tx) error {
		h, err := read(tx, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil // it was removed meanwhile, and the parcel with it
		}
		if err != nil {
			return err
		}
		if failure == "" {
			h.Failing, h.Failure, h.LastGood = 0, "", o.Now().Unix()
			return errors.Join(write(tx, id, h), tx.Forget(store.ShelfParcels, k.ID), o.owed(tx, id))
		}
		if h.Failing == 0 {
			h.Failing = o.Now().Unix()
		}
		h.Failure = failure
		if p.Tries++; p.Tries > len(Schedule()) || failure == failGone {
			h.Disabled = true
			return errors.Join(write(tx, id, h), keep(tx, k.ID, p, o.Now().Add(farAway)), alarm(tx, id, o.Now()))
		}
		return errors.Join(write(tx, id, h), keep(tx, k.ID, p, o.Now().Add(Schedule()[p.Tries-1])))
	})
}

// alarm tells the people of the desk that a program hears no more.
func alarm(tx *store.Tx, id []byte, now time.Time) error {
	_, err := tx.RaiseAlarm(string(schakel.AlarmWebhook), hex.EncodeToString(id), "", now)
	return err
}

func calm(tx *store.Tx, id []byte) error {
	if err := tx.ClearAlarm(string(schakel.AlarmWebhook), hex.EncodeToString(id)); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}
