// Package relaytest runs a real relay on a port of its own for tests, with a
// register whose root, organisations, desks and devices the test can speak for.
//
//	w := relaytest.New(t, relaytest.Config{})
//	a := w.Enrol("vt20/crisis", identity.RoleVeiligThuis)
//	b := w.Enrol("pol-mn/zeden", identity.RolePolitie)
//	sa, sb := a.Login(), b.Login()
//	raw, id := a.Envelope(b)
//	sa.Send(wire.Put{Envelope: raw})
//	stored := relaytest.Expect[wire.Stored](sa)
//
// The world is TLS, bbolt and sockets as in production; only the sealed part of
// its envelopes is random bytes, because a relay cannot tell the difference. A
// test that plays the dishonest relay sets Config.Tap. Import it from tests only:
// it must not reach the relay's binary.
package relaytest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"schakel/crypto/custody"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay"
	"schakel/relay/blob"
	"schakel/relay/blob/folder"
	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
	"schakel/relay/register"
	"schakel/relay/wire"
)

// Patience is how long anything here waits before the test fails: long enough for a machine
// that does much else.
const Patience = time.Minute

// Config varies the relay. The zero value is a relay as in production.
type Config struct {
	Limits relay.Limits
	Quota  queue.Quota
	Tap    relay.Tap
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger
	NoTLS  bool
	// Suspended is relay.Config.Suspended.
	Suspended func(identity.OrgID) bool
	// Open, where set, opens the store in place of a file in the world's folder.
	Open func() (queue.Store, error)
	// Paging, where set, has the relay call people; its journal is closed by the test.
	Paging func(store queue.Store) *relay.Paging
	// Blobs varies how attachments are kept; its store is a folder of the world unless it is set.
	Blobs blob.Config
	// Store, where set, wraps the store: a test lets it fail.
	Store func(queue.Store) queue.Store
}

// World is a running relay and everybody's keys.
type World struct {
	*trusttest.Chain
	URL      string // for wire.Dial
	AdminURL string
	Dir      string
	Register *register.Log
	Store    queue.Store

	t      testing.TB
	config Config
	cert   tls.Certificate
	listen string
	admin  string

	growing sync.Mutex // one Append, Enrol or Revoke at a time

	mu     sync.Mutex // guards what follows
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of Run, once ended is closed

	running *relay.Relay
}

// New starts a relay and stops it when the test ends, failing the test if the
// relay ended with an error that the test did not collect by Stop or Wait.
func New(t testing.TB, c Config) *World {
	t.Helper()
	if c.Now == nil {
		c.Now = time.Now
	}
	w := &World{Chain: trusttest.New(c.Now()), Dir: t.TempDir(), t: t, config: c, listen: "127.0.0.1:0", admin: "127.0.0.1:0"}
	w.cert = certificate(t)
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Errorf("relay ended: %v", err)
		}
	})
	w.Start()
	return w
}

// At is a world whose relay runs elsewhere, such as in a process of its own, at the
// address in the chain's relay entry. Start, Stop, Enrol and Revoke are not for it.
func At(t testing.TB, c *trusttest.Chain) *World {
	return &World{Chain: c, URL: c.Relay.URL, t: t, config: Config{Now: time.Now}}
}

// Device speaks for a device that is in the chain already.
func (w *World) Device(d trusttest.Device) *Device { return &Device{Device: d, world: w} }

// Start starts the relay again after Stop or Wait, on the same address.
func (w *World) Start() {
	w.t.Helper()
	listener, admin := w.listener(&w.listen), w.listener(&w.admin)
	w.URL, w.AdminURL = "wss://"+w.listen, "http://"+w.admin
	if w.config.NoTLS {
		w.URL = "ws://" + w.listen
	}
	store := w.open()
	w.Store = store
	if w.config.Store != nil {
		w.Store = w.config.Store(store)
	}
	w.openRegister()
	conf := &tls.Config{Certificates: []tls.Certificate{w.cert}, MinVersion: tls.VersionTLS13}
	if w.config.NoTLS {
		conf = nil
	}
	var paging *relay.Paging
	if w.config.Paging != nil {
		paging = w.config.Paging(w.Store)
	}
	r, err := relay.New(relay.Config{
		ID: trusttest.RelayID, Listener: listener, Admin: admin, Paging: paging, TLS: conf, Store: w.Store, Register: w.Register,
		Receipts: custody.PrivateKey(w.Receipt.Private), Limits: w.config.Limits, Tap: w.config.Tap,
		Now: w.config.Now, Log: w.config.Log, Suspended: w.config.Suspended, Blobs: w.keeper(w.Dir),
	})
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	w.mu.Lock()
	w.cancel, w.ended, w.err, w.running = cancel, ended, nil, r
	w.mu.Unlock()
	go func() {
		err := r.Run(ctx)
		err = errors.Join(err, store.Close(), w.Register.Close())
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
		close(ended)
	}()
}

// Running is the relay that runs, or ran last.
func (w *World) Running() *relay.Relay {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running
}

func (w *World) open() queue.Store {
	w.t.Helper()
	if w.config.Open != nil {
		store, err := w.config.Open()
		w.must(err)
		return store
	}
	store, err := boltqueue.Open(boltqueue.Config{Path: filepath.Join(w.Dir, "queue.db"), Quota: w.config.Quota, MinFree: 1, Log: w.config.Log})
	w.must(err)
	return store
}

// keeper keeps attachments in a folder that further nodes of the relay share.
func (w *World) keeper(dir string) *blob.Keeper {
	w.t.Helper()
	c := w.config.Blobs
	if c.Store == nil {
		store, err := folder.Open(filepath.Join(dir, "blobs"))
		w.must(err)
		w.t.Cleanup(func() { _ = store.Close() })
		c.Store = store
	}
	if c.MinFree == 0 {
		c.MinFree = 1
	}
	c.Now, c.Log = w.config.Now, w.config.Log
	return blob.New(c)
}

func (w *World) listener(addr *string) net.Listener {
	w.t.Helper()
	l, err := net.Listen("tcp", *addr)
	w.must(err)
	*addr = l.Addr().String()
	return l
}

// openRegister opens the register's file. The first time it enters where the relay
// listens and by which key it is known.
func (w *World) openRegister() {
	w.t.Helper()
	log := w.registerIn(w.Dir, w.Store)
	w.Register = log
	if log.Size() > 0 {
		return
	}
	leaf, err := x509.ParseCertificate(w.cert.Certificate[0])
	w.must(err)
	entry := w.Relay
	entry.URL, entry.TLS = w.URL, wire.Pin(leaf)
	signed, err := entry.Sign(w.Chain.Register().Next(entry.Subject()), w.Quorum()...)
	w.must(err)
	w.Add(signed)
	w.Relay = entry
	_, err = log.Import(context.Background(), w.Entries(), w.config.Now())
	w.must(err)
}

// registerIn opens a register file, with what other relays of the store appended.
func (w *World) registerIn(dir string, store queue.Store) *register.Log {
	w.t.Helper()
	order, _ := store.(register.Order)
	log, err := register.Open(register.Config{
		Path: filepath.Join(dir, "register.db"), LogName: trusttest.LogName, LogKey: w.Chain.Log, Order: order, Log: w.config.Log,
	})
	w.must(err)
	w.must(log.Follow(context.Background(), w.config.Now()))
	return log
}

// Stop ends the relay as SIGTERM does, and returns what Run returned. Stopping
// again does nothing.
func (w *World) Stop() error {
	w.mu.Lock()
	cancel := w.cancel
	w.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	return w.Wait()
}

// Wait waits for the relay to end by itself, and returns what Run returned.
func (w *World) Wait() error {
	w.mu.Lock()
	ended := w.ended
	w.mu.Unlock()
	select {
	case <-ended:
	case <-time.After(2 * Patience):
		w.t.Error("relay does not end")
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cancel()
	w.cancel = nil
	return w.err
}

// TLS is a client configuration that believes this relay only, or nil.
func (w *World) TLS() *tls.Config {
	if w.config.NoTLS {
		return nil
	}
	return wire.PinnedTLS(w.Relay.TLS)
}

// Append adds an entry to the running relay's register and to the Chain.
func (w *World) Append(entry []byte, recipients []string) {
	w.t.Helper()
	w.growing.Lock()
	defer w.growing.Unlock()
	w.append(entry, recipients)
}

func (w *World) append(entry []byte, recipients []string) {
	_, err := w.Register.Append(context.Background(), entry, recipients, w.config.Now())
	w.must(err)
	w.Add(entry)
}

// Enrol adds a device, with its desk and organisation where they are new, to the
// running relay's register.
func (w *World) Enrol(desk identity.DeskID, role identity.Role) *Device {
	w.t.Helper()
	w.growing.Lock()
	defer w.growing.Unlock()
	before := len(w.Entries())
	d := w.Chain.Enrol(desk, role)
	for _, e := range w.Entries()[before:] {
		_, err := w.Register.Append(context.Background(), e, w.RecipientsOf(e), w.config.Now())
		w.must(err)
	}
	return &Device{Device: d, world: w}
}

// Revoke revokes a device.
func (w *World) Revoke(d *Device) { w.End(d.Device.Device.Subject(), d.Desk.Org()) }

// End revokes a device, a desk or a whole organisation.
func (w *World) End(of trust.Subject, org identity.OrgID) {
	w.t.Helper()
	w.growing.Lock()
	defer w.growing.Unlock()
	by := []trust.By{trust.ByOrg(trusttest.OrgKey(org))}
	if of == (trust.Org{ID: org}).Subject() {
		by = nil // only the root ends an organisation
		for _, s := range w.Quorum() {
			by = append(by, trust.ByRoot(s))
		}
	}
	b := trust.Revoke{Of: of, Reason: trust.ReasonLost, Effective: w.config.Now()}
	entry, err := b.Sign(w.Chain.Register().Next(b.Of), by...)
	w.must(err)
	w.append(entry, nil)
}

func (w *World) must(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}

// certificate makes a self-signed Ed25519 certificate: only its key counts.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}
