package relay

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"schakel/crypto/identity"
	"schakel/relay/auth"
	"schakel/relay/blob"
	"schakel/relay/wire"
)

// blobs serves sealed attachments beside the sessions. Each request proves by itself
// who asks, so nothing is remembered of a device but how fast it may ask.
type blobs struct {
	relay  *Relay
	group  sync.WaitGroup // requests under way
	ended  context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // guards what follows
	devices map[identity.DeviceID]*asking
	turns   map[turnKey]*turn
	active  int
	closed  bool
}

// asking is how much a device asks.
type asking struct {
	rate   *rate.Limiter
	active int
	last   time.Time
}

func newBlobs(r *Relay) *blobs {
	b := &blobs{relay: r, devices: make(map[identity.DeviceID]*asking), turns: make(map[turnKey]*turn)}
	b.ended, b.cancel = context.WithCancel(context.Background())
	return b
}

// errRequest is a request that no device of ours makes.
var errRequest = errors.New("not a request for a blob")

// serve answers one request. What the network hears before it has shown a good token
// is one answer for everything; the reason is in the log.
func (b *blobs) serve(w http.ResponseWriter, req *http.Request) {
	verb := verbOf(req.Method)
	rights, id, err := b.admit(req)
	if err != nil {
		reason := "request"
		var refusal *auth.Refusal
		if errors.As(err, &refusal) {
			reason = string(refusal.Reason)
		}
		b.relay.log.Info("request for a blob refused", "reason", reason)
		b.relay.log.Debug("request for a blob refused", "error", err.Error())
		w.Header().Set("Connection", "close")
		b.finish(w, verb, http.StatusUnauthorized)
		return
	}
	if entering, ok := req.Context().Value(enteringKey{}).(*entering); ok {
		entering.settle()
	}
	ticket := &ticket{blobs: b, by: blob.Owner{Device: rights.Device, Desk: rights.Desk}, id: id, verb: verb}
	if err := b.enter(rights.Device); err != nil {
		ticket.refuse(w, err)
		return
	}
	defer b.leave(rights.Device)
	w.Header().Set("Cache-Control", "no-store")
	if err := ticket.answer(w, req); err != nil {
		ticket.refuse(w, err)
	}
}

// verbOf is the label of a method: labels come from a fixed table.
func verbOf(method string) string {
	switch method {
	case http.MethodHead, http.MethodGet, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}

func (b *blobs) finish(w http.ResponseWriter, verb string, status int) {
	b.relay.metrics.blobRequests.WithLabelValues(verb, strconv.Itoa(status)).Inc()
	w.WriteHeader(status)
}

// admit checks the token of a request.
func (b *blobs) admit(req *http.Request) (auth.Session, wire.BlobID, error) {
	id, err := wire.ParseBlobID(req.PathValue("blob"))
	if err != nil {
		return auth.Session{}, id, err
	}
	if req.Header.Get("Origin") != "" || req.URL.RawQuery != "" {
		return auth.Session{}, id, errRequest
	}
	given := req.Header.Values("Authorization")
	if len(given) != 1 {
		return auth.Session{}, id, errRequest
	}
	token, ok := strings.CutPrefix(given[0], "Bearer ")
	if !ok {
		return auth.Session{}, id, errRequest
	}
	binding, err := wire.BindingOf(req)
	if err != nil {
		return auth.Session{}, id, err
	}
	rights, err := b.relay.verifier.VerifyBlob([]byte(token), wire.BlobRequest{
		Relay: b.relay.config.ID, Method: req.Method, Blob: id, Binding: binding,
	})
	return rights, id, err
}

// enter makes room for a request of a device.
func (b *blobs) enter(device identity.DeviceID) error {
	l, now := b.relay.config.Limits, time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.devices[device]
	if a == nil {
		a = &asking{rate: rate.NewLimiter(rate.Limit(l.BlobsPerSecond), 4*l.BlobsPerSecond)}
		b.devices[device] = a
	}
	a.last = now
	switch {
	case b.closed, !b.relay.ready.Load(), b.active >= l.BlobsAtOnce:
		return errBusy
	case a.active >= l.BlobsPerDevice, !a.rate.AllowN(now, 1):
		return ErrRate
	}
	a.active++
	b.active++
	b.group.Add(1)
	return nil
}

func (b *blobs) leave(device identity.DeviceID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.devices[device].active--
	b.active--
	b.group.Done()
}

// end takes no more requests, and waits for those under way: their connections are
// closed already.
func (b *blobs) end() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.group.Wait()
}

// sweep removes what is past its time and counts the rest, until ctx ends. Every relay
// of a shared store does so: twice is no harm.
func (b *blobs) sweep(ctx context.Context) {
	if b.relay.config.Blobs == nil {
		return
	}
	tick := time.NewTicker(b.relay.config.Limits.BlobSweep)
	defer tick.Stop()
	for {
		n, err := b.relay.config.Blobs.Expire(ctx)
		if err != nil && ctx.Err() == nil {
			b.relay.log.Warn("blobs cannot be looked through", "error", err.Error())
		}
		if err == nil {
			b.count(n)
		}
		b.forget(time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (b *blobs) count(n blob.Usage) {
	m := b.relay.metrics
	m.blobs.WithLabelValues("complete").Set(float64(n.Complete))
	m.blobs.WithLabelValues("unfinished").Set(float64(n.Unfinished))
	m.blobBytes.Set(float64(n.Bytes))
	m.blobLooks.Set(float64(b.relay.seconds()))
	if n.Free != blob.Unknown {
		m.blobFree.Set(float64(n.Free))
	}
	if n.Removed > 0 {
		b.relay.log.Info("blobs removed", "count", n.Removed)
	}
}

// forget drops the rates of devices that have asked nothing for a while.
func (b *blobs) forget(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, a := range b.devices {
		if a.active == 0 && now.Sub(a.last) > meterLife {
			delete(b.devices, id)
		}
	}
}

// turnKey is one upload.
type turnKey struct {
	device identity.DeviceID
	blob   wire.BlobID
}

// turn is who works at an upload now.
type turn struct {
	cut  func() // makes it stop reading from its device
	done chan struct{}
}

// take waits for the turn at an upload. The newest request wins, as the newest session
// does: the one before may hang on a connection that only this side believes in.
func (b *blobs) take(ctx context.Context, key turnKey, cut func()) (release func(), err error) {
	mine := &turn{cut: cut, done: make(chan struct{})}
	for {
		b.mu.Lock()
		before := b.turns[key]
		if before == nil {
			b.turns[key] = mine
		} else {
			before.cut() // under mu: once it is released its connection may serve another request
		}
		b.mu.Unlock()
		if before == nil {
			return func() {
				b.mu.Lock()
				delete(b.turns, key)
				b.mu.Unlock()
				close(mine.done)
			}, nil
		}
		select {
		case <-before.done:
		case <-ctx.Done():
			return nil, errBusy
		}
	}
}
