// Package webhook tells programs of the organisation that something changed, by posting
// to an address that they gave: after Standard Webhooks, with identifiers and no content.
//
//	office, err := webhook.New(webhook.Config{Store: st, Events: node, Allow: prefixes})
//	added, err := office.AddWebhook(ctx, desk.WebhookRequest{URL: "http://127.0.0.1:9000/schakel"})
//	err = office.Run(ctx)
//
// A parcel is one event on its way to one webhook. It is on disk until the other side
// answered with success, and is tried after the times of [Schedule]; after the last one the
// webhook is disabled, with an alarm, and keeps what waits for it. What happened while the
// daemon was away, or did not fit, is one parcel of type schakel.gap: look at the lists.
//
// Not trusted: the address, what its name resolves to, and what answers there. Parcels go
// to this machine, and over https to networks that the owner listed; each address is
// checked when it is dialled, after its name was resolved, and no redirect is followed.
package webhook

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/identity"
	"schakel/relay/page"
)

// Bounds.
const (
	maxWebhooks = 20
	maxURL      = 500
	maxRow      = 16 << 10
	maxParcels  = 5000 // of all webhooks together
	idSize      = 8
	secretSize  = 32
)

// Schedule is after how long a parcel is tried again, time after time. Nobody who mends
// another program on Monday misses what happened on Friday.
func Schedule() []time.Duration {
	return []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
}

// Events tells what changed.
type Events interface {
	Subscribe() (events <-chan schakel.Event, cancel func())
}

// Config is what an Office needs. Store and Events are required.
type Config struct {
	Store  *store.Store
	Events Events
	Allow  []netip.Prefix   // that parcels may go to, beside this machine
	Roots  *x509.CertPool   // default those of the system
	Now    func() time.Time // default time.Now
	Log    *slog.Logger     // default discards
}

// Office sends parcels. Its methods may be called from any goroutine.
type Office struct {
	Config
	plain, secure *http.Client
	poke          chan struct{} // something may be due

	mu      sync.Mutex // guards what follows
	running map[string]bool
}

var _ desk.Webhooks = (*Office)(nil)

// New returns an Office. It starts nothing.
func New(cfg Config) *Office {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Office{Config: cfg, plain: page.Client(allowed(nil), nil, postTime), secure: page.Client(allowed(cfg.Allow), cfg.Roots, postTime), poke: make(chan struct{}, 1), running: map[string]bool{}}
}

// hook is a webhook as the store has it.
type hook struct {
	_        struct{} `cbor:",toarray"`
	URL      string
	Kinds    []string
	Secrets  [][]byte // the newest first
	Created  int64    // seconds since 1970, like all times here
	Failing  int64
	Failure  string
	Disabled bool
	LastGood int64
	Missed   bool // something was not kept for it: it is owed a gap
}

// update changes a webhook that is still there.
func update(tx *store.Tx, id []byte, change func(*hook)) error {
	h, err := read(tx, id)
	if err != nil {
		return err
	}
	change(&h)
	return write(tx, id, h)
}

func read(tx *store.Tx, id []byte) (h hook, err error) {
	k, err := tx.Kept(store.ShelfWebhooks, id)
	if err != nil {
		return h, err
	}
	return h, parse(k.Content, &h)
}

func parse(content []byte, v any) error {
	if err := canon.Unmarshal(content, maxRow, v); err != nil {
		return fmt.Errorf("%w: webhook: %w", store.ErrTampered, err)
	}
	return nil
}

func write(tx *store.Tx, id []byte, h hook) error {
	content, err := canon.Marshal(h)
	if err != nil {
		return fmt.Errorf("failed to write a webhook: %w", err)
	}
	return tx.Keep(store.ShelfWebhooks, store.Kept{ID: id, At: time.Unix(h.Created, 0), Content: content})
}

func newKey() []byte {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

func secretText(key []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(key) }

// AddWebhook implements desk.Webhooks.
func (o *Office) AddWebhook(ctx context.Context, r desk.WebhookRequest) (desk.NewWebhook, error) {
	if err := o.check(r); err != nil {
		return desk.NewWebhook{}, err
	}
	id := make([]byte, idSize)
	_, _ = rand.Read(id) // never fails (crypto/rand)
	h := hook{URL: r.URL, Kinds: slices.Compact(slices.Sorted(slices.Values(r.Kinds))), Secrets: [][]byte{newKey()}, Created: o.Now().Unix()}
	err := o.Store.Update(ctx, func(tx *store.Tx) error {
		if n, err := tx.CountKept(store.ShelfWebhooks); err != nil || n >= maxWebhooks {
			return errors.Join(err, fmt.Errorf("%w: at most %d webhooks", desk.ErrRequest, maxWebhooks))
		}
		return errors.Join(write(tx, id, h), tx.Audit("webhook-added", hex.EncodeToString(id), identity.PersonID{}, o.Now()))
	})
	return desk.NewWebhook{Webhook: shown(id, h, nil), Secret: secretText(h.Secrets[0])}, err
}

// kinds are those of events that a webhook can ask for; a gap it gets in any case.
func kinds() []string {
	var out []string
	for _, k := range []schakel.EventKind{schakel.EventReceived, schakel.EventStatus, schakel.EventAcknowledged, schakel.EventAlarm, schakel.EventConnection, schakel.EventRegister, schakel.EventRejected, schakel.EventDesk} {
		out = append(out, string(k))
	}
	return out
}

// check refuses an address that no parcel would ever get to.
func (o *Office) check(r desk.WebhookRequest) error {
	for _, k := range r.Kinds {
		if !slices.Contains(kinds(), k) {
			return fmt.Errorf("%w: no event is %.40q; there are %s", desk.ErrRequest, k, strings.Join(kinds(), ", "))
		}
	}
	u, err := url.Parse(r.URL)
	if err != nil || len(r.URL) > maxURL || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%w: a webhook is an address such as http://127.0.0.1:9000/schakel, without a name or password in it", desk.ErrTarget)
	}
	allow := o.Allow
	ip, literal := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" {
		allow = nil
		if literal != nil && u.Hostname() != "localhost" {
			return fmt.Errorf("%w: another machine is told over https only", desk.ErrTarget)
		}
	}
	if literal == nil && !allowed(allow)(ip.WithZone("").Unmap()) {
		return fmt.Errorf("%w: %s is not this machine, and not in `webhook-targets`", desk.ErrTarget, ip)
	}
	return nil
}

// Webhooks implements desk.Webhooks.
func (o *Office) Webhooks(ctx context.Context) ([]desk.Webhook, error) {
	out := []desk.Webhook{}
	err := o.Store.View(ctx, func(tx *store.Tx) error {
		all, err := tx.KeptUntil(store.ShelfWebhooks, time.Time{}, maxWebhooks)
		if err != nil {
			return err
		}
		waiting, err := tx.KeptUntil(store.ShelfParcels, time.Time{}, maxParcels)
		for _, k := range all {
			var h hook
			if err := parse(k.Content, &h); err != nil {
				return err
			}
			out = append(out, shown(k.ID, h, waiting))
		}
		return err
	})
	return out, err
}

func shown(id []byte, h hook, waiting []store.Kept) desk.Webhook {
	w := desk.Webhook{ID: hex.EncodeToString(id), URL: h.URL, Kinds: h.Kinds, Created: at(h.Created), Failing: at(h.Failing), Failure: h.Failure,
		Disabled: h.Disabled, LastGood: at(h.LastGood), Secrets: len(h.Secrets)}
	for _, k := range waiting {
		if hookOf(k.ID) == string(id) {
			if w.Waiting++; w.Next.IsZero() && !h.Disabled {
				w.Next = k.At
			}
		}
	}
	return w
}

func at(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// named finds a webhook by a beginning of its identifier.
func (o *Office) named(tx *store.Tx, who string) (id []byte, h hook, err error) {
	all, err := tx.KeptUntil(store.ShelfWebhooks, time.Time{}, maxWebhooks)
	if err != nil {
		return nil, h, err
	}
	all = slices.DeleteFunc(all, func(k store.Kept) bool { return who == "" || !strings.HasPrefix(hex.EncodeToString(k.ID), who) })
	if len(all) != 1 {
		return nil, h, fmt.Errorf("%w: %.40q names %d", desk.ErrUnknownWebhook, who, len(all))
	}
	return all[0].ID, h, parse(all[0].Content, &h)
}

// RemoveWebhook implements desk.Webhooks. What waits for it goes too.
func (o *Office) RemoveWebhook(ctx context.Context, who string) error {
	return o.Store.Update(ctx, func(tx *store.Tx) error {
		id, _, err := o.named(tx, who)
		if err != nil {
			return err
		}
		waiting, err := parcels(tx, id, time.Time{})
		if err != nil {
			return err
		}
		for _, k := range waiting {
			if err := tx.Forget(store.ShelfParcels, k.ID); err != nil {
				return err
			}
		}
		return errors.Join(tx.Forget(store.ShelfWebhooks, id), calm(tx, id), tx.Audit("webhook-removed", hex.EncodeToString(id), identity.PersonID{}, o.Now()))
	})
}

// RotateWebhook implements desk.Webhooks.
func (o *Office) RotateWebhook(ctx context.Context, who string) (out desk.NewWebhook, err error) {
	key := newKey()
	err = o.Store.Update(ctx, func(tx *store.Tx) error {
		id, h, err := o.named(tx, who)
		if err != nil {
			return err
		}
		h.Secrets = append([][]byte{key}, h.Secrets[0])
		out = desk.NewWebhook{Webhook: shown(id, h, nil), Secret: secretText(key)}
		return errors.Join(write(tx, id, h), tx.Audit("webhook-rotated", hex.EncodeToString(id), identity.PersonID{}, o.Now()))
	})
	return out, err
}

// Redeliver implements desk.Webhooks.
func (o *Office) Redeliver(ctx context.Context, who string) (out desk.Webhook, err error) {
	err = o.Store.Update(ctx, func(tx *store.Tx) error {
		id, h, err := o.named(tx, who)
		if err != nil {
			return err
		}
		waiting, err := parcels(tx, id, time.Time{})
		if err != nil {
			return err
		}
		for _, k := range waiting {
			if err := o.again(tx, k); err != nil {
				return err
			}
		}
		h.Missed = h.Missed || h.Disabled // nothing was kept for it meanwhile
		h.Disabled, h.Failing, h.Failure = false, 0, ""
		out = shown(id, h, waiting)
		return errors.Join(write(tx, id, h), o.owed(tx, id), calm(tx, id))
	})
	o.wake()
	return out, err
}

// TestWebhook implements desk.Webhooks.
func (o *Office) TestWebhook(ctx context.Context, who string) error {
	var h hook
	err := o.Store.View(ctx, func(tx *store.Tx) (err error) {
		_, h, err = o.named(tx, who)
		return err
	})
	if err != nil {
		return err
	}
	if failure := o.post(ctx, h, newParcel(schakel.Event{Kind: "test", At: o.Now()})); failure != "" {
		return fmt.Errorf("%w: %s", desk.ErrNotTaken, failure)
	}
	return nil
}
