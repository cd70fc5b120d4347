// Package relay takes sealed envelopes from one device, keeps them durably, and
// hands them to the devices they are for. It cannot read them.
//
//	r, err := relay.New(relay.Config{ID: "relay-1", Listener: l, TLS: t, Store: store, Register: log, Receipts: key})
//	err = r.Run(ctx)   // serves until ctx ends, then drains
//
// One envelope takes one path: a session's reader checks it ([accept.go]), the
// committer writes it with whatever else waits, one signature promises the whole
// batch to its senders ([receipts.go]), and the hub wakes the sessions of the desk,
// each of which reads its mailbox within the credit its device gave
// ([deliver.go]). A session is exactly two goroutines. The store is the only
// buffer: what a device does not take stays there.
//
// The relay is not trusted by anybody: clients believe signatures of each other
// and count what is missing. What it is trusted with is availability, and who
// writes to whom, when, how much and how urgently.
package relay

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"schakel/crypto/custody"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/auth"
	"schakel/relay/blob"
	"schakel/relay/queue"
	"schakel/relay/register"
	"schakel/relay/wire"
)

// Config is what a Relay needs; the zero value of optional fields is a sound
// default.
type Config struct {
	ID       string        // of the register's relay entry; the audience of login tokens
	Listener net.Listener  // TCP; Run closes it
	TLS      *tls.Config   // nil serves without TLS: tests, or a proxy on the same machine
	Store    queue.Store   // the caller closes it after Run
	Register *register.Log // the caller closes it after Run
	Receipts custody.Signer

	// Blobs, where set, keeps sealed attachments; nil: there are none.
	Blobs *blob.Keeper

	// Paging, where set, has people called for what nobody attends; nil calls nobody.
	Paging *Paging

	Admin  net.Listener     // optional: health and metrics, on loopback; Run closes it
	Limits Limits           // zero fields take the defaults
	Log    *slog.Logger     // nil discards
	Now    func() time.Time // nil: time.Now
	Random io.Reader        // nil: crypto/rand

	// Suspended, where set, reports organisations that the operator does not serve.
	// It is asked often and must be quick.
	Suspended func(identity.OrgID) bool

	// Tap, where set, sees every frame of every session and may replace it. It is
	// how tests and the demonstration play the dishonest operator; nothing else
	// sets it.
	Tap Tap
}

// Tap returns what takes the place of frame: itself, others, or nothing. device is
// zero before login.
type Tap func(device identity.DeviceID, from wire.Side, frame wire.Frame) []wire.Frame

// ErrStore ends Run when the store failed: what was being written may or may not
// be there. Start again; senders offer again and nothing is lost.
var ErrStore = errors.New("the queue's store failed")

// Relay serves devices. Make it with New and call Run once.
type Relay struct {
	config    Config
	log       *slog.Logger
	metrics   *metrics
	registry  *prometheus.Registry
	verifier  *auth.Verifier
	committer *queue.Committer
	pager     *pager // nil: calls nobody
	state     queue.State
	hub       *hub
	cosigned  chan struct{} // capacity 1: a witness has signed
	gate      *gate
	blobs     *blobs
	ready     atomic.Bool
	fatal     chan error // capacity 1: the first reason to end
}

// New checks the configuration and returns a relay that is ready for Run.
func New(c Config) (*Relay, error) {
	switch {
	case c.ID == "" || len(c.ID) > wire.MaxRelayID:
		return nil, fmt.Errorf("failed to make a relay: id %q: want 1 to %d characters", c.ID, wire.MaxRelayID)
	case c.Listener == nil, c.Store == nil, c.Register == nil, c.Receipts == nil:
		return nil, errors.New("failed to make a relay: listener, store, register or receipt key missing")
	}
	if _, err := c.Register.Checkpoint(); err != nil && !errors.Is(err, register.ErrNoQuorum) {
		return nil, fmt.Errorf("failed to make a relay: %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	c.Limits = c.Limits.withDefaults()
	state, err := c.Store.State(context.Background())
	if err != nil {
		return nil, fmt.Errorf("failed to make a relay: %w", err)
	}
	r := &Relay{config: c, log: c.Log, state: state, fatal: make(chan error, 1), cosigned: make(chan struct{}, 1)}
	r.registry = prometheus.NewRegistry()
	r.metrics = newMetrics(r.registry)
	measureStore(r.registry, c.Store, state)
	r.hub = newHub(r)
	r.blobs = newBlobs(r)
	r.gate = newGate(c.Listener, c.Limits, r.metrics)
	if r.pager, err = newPager(r); err != nil {
		return nil, err
	}
	r.verifier = auth.New(auth.Config{Relay: c.ID, Devices: (*loginDevices)(r), Now: c.Now})
	r.committer = queue.NewCommitter(c.Store, queue.CommitterConfig{
		Committed: r.committed, Ring: r.hub.ring,
		BatchOps: c.Limits.BatchOps, QueueOps: c.Limits.QueueOps, QueueBytes: c.Limits.QueueBytes,
	})
	return r, nil
}

// Run serves until ctx ends, then drains: it stops accepting, sends devices away
// with a hint when to come back, answers for everything it has taken, and returns
// nil. It returns an error, without delay, when the store has failed.
func (r *Relay) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	commits, stopCommits := context.WithCancel(work)
	defer stopCommits()

	var tasks sync.WaitGroup
	committed := make(chan struct{})
	tasks.Go(func() {
		defer close(committed)
		if err := r.committer.Run(commits); err != nil {
			r.fail(fmt.Errorf("%w: %w", ErrStore, err))
		}
	})
	server := r.server()
	tasks.Go(func() { r.serve(server, r.secured(), "devices") })
	admin := r.adminServer()
	if r.config.Admin != nil {
		tasks.Go(func() { r.serve(admin, r.config.Admin, "admin") })
	}
	tasks.Go(func() { r.sweep(work) })
	tasks.Go(func() { r.expire(work) })
	tasks.Go(func() { r.listen(work) })
	tasks.Go(func() { r.follow(work) })
	tasks.Go(func() { r.watch(work) })
	tasks.Go(func() { r.cosign(work) })
	tasks.Go(func() { r.blobs.sweep(work) })
	paging, stopPaging := context.WithCancel(ctx) // another node takes over while this one drains
	defer stopPaging()
	tasks.Go(func() { r.page(paging) })
	r.ready.Store(true)
	r.log.Info("relay serves", "relay", r.config.ID, "address", r.config.Listener.Addr().String(), "register_size", r.config.Register.Size())

	err := r.wait(ctx)
	r.ready.Store(false)
	r.gate.shut()
	_ = server.Close() // connections still in HTTP; sessions are the hub's
	r.blobs.end()
	if err == nil {
		r.drain(stopCommits, committed)
	}
	r.hub.endAll(wire.CloseInternal)
	stopPaging()
	stop()
	_ = admin.Close()
	tasks.Wait()
	r.hub.wait()
	r.log.Info("relay has ended", "relay", r.config.ID)
	return err
}

func (r *Relay) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-r.fatal:
		r.log.Error("relay cannot go on", "error", err.Error())
		return err
	}
}

// fail ends Run with the first error given.
func (r *Relay) fail(err error) {
	select {
	case r.fatal <- err:
	default:
	}
}

func (r *Relay) serve(s *http.Server, l net.Listener, name string) {
	if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		r.fail(fmt.Errorf("failed to serve %s: %w", name, err))
	}
}

// seconds is the relay's clock as envelopes and receipts count it.
func (r *Relay) seconds() uint64 { return uint64(max(0, r.config.Now().Unix())) }

// loginDevices answers the verifier from the register.
type loginDevices Relay

var _ auth.Devices = (*loginDevices)(nil)

var errNotActive = errors.New("device is not active in the register")

// LoginDevice implements auth.Devices.
func (l *loginDevices) LoginDevice(id identity.DeviceID, at time.Time) (auth.Device, error) {
	d, ok := (*Relay)(l).device(id, at)
	if !ok {
		return auth.Device{}, errNotActive
	}
	return auth.Device{Desk: d.Desk, Key: d.LoginKey, Until: d.Until}, nil
}

// device finds a device that may have a session at that time.
func (r *Relay) device(id identity.DeviceID, at time.Time) (trust.DeviceState, bool) {
	d, ok := r.config.Register.Register().Device(id)
	if !ok || !d.UsableAt(at) || r.config.Suspended != nil && r.config.Suspended(d.Desk.Org()) {
		return d, false
	}
	return d, true
}
