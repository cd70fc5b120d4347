// Package schakeltest starts a whole chain for tests of programs that use the SDK:
// a real relay on a port of its own, with TLS, login and a store on disk, and desks
// that joined it the way partners do.
//
//	chain := schakeltest.New(t)
//	doctor := chain.Join("arts/praktijk", identity.RoleSignaleerder)
//	police := chain.Join("politie-mn/meldkamer", identity.RolePolitie)
//	doctor.Start(); police.Start()
//	sent, err := doctor.Node.Send(ctx, draft)
//
// Everything ends with the test.
package schakeltest

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/crypto/custody"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay"
	"schakel/relay/blob"
	"schakel/relay/blob/folder"
	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
	"schakel/relay/register"
	"schakel/relay/wire"
)

// Chain is a register with one root holder, a relay, and the desks that joined.
type Chain struct {
	// Tap, set before StartRelay, sees every frame and may replace it: the
	// dishonest operator of the tests.
	Tap relay.Tap
	// Blobs, set before StartRelay, stands between the relay and where it keeps attachments:
	// what a dishonest operator does to those.
	Blobs func(blob.Store) blob.Store
	// Store, where set, opens the mailboxes in place of a file of the chain's own.
	Store func() (queue.Store, error)
	// Listen and Network, where set, are what connects devices with the relay, in place of
	// this machine's network: one in memory.
	Listen  func() (net.Listener, error)
	Network wire.Network
	// Log receives what relay and nodes log; nil discards.
	Log *slog.Logger
	// Expire is how often the relay looks for what expired; 0 is 100 ms.
	Expire time.Duration
	// Stores, where set, is the folder for the store of a device that joins, such as on a disk that is
	// small, in place of one of the test's own.
	Stores string
	// Leave is how much room files leave on the disk of a store; 0: none.
	Leave int64
	// Every is how often devices look at their timers; 0 is 50 ms.
	Every time.Duration

	t       testing.TB
	agreed  *protocol.Catalogue // the partners' own agreement; nil: the protocol as it is
	dir     string
	root    signer
	log     signer
	receipt signer
	cert    tls.Certificate
	genesis [][]byte
	address string

	mu    sync.Mutex
	moved time.Duration // how far the clock of everybody was moved

	register *register.Log // while the relay runs
	stop     func()
	frozen   bool // the witnesses sign nothing: guarded by mu
}

// signer is a key in memory.
type signer struct{ ed25519.PrivateKey }

func newSigner(t testing.TB) signer {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	ok(t, err)
	return signer{k}
}

func (s signer) Public() (k identity.Key) {
	copy(k[:], s.PrivateKey.Public().(ed25519.PublicKey))
	return k
}

func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.PrivateKey, msg), nil }

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// New makes a chain and starts its relay.
func New(t testing.TB) *Chain {
	t.Helper()
	c := Prepare(t)
	c.StartRelay()
	return c
}

// Prepare makes a chain without starting its relay.
func Prepare(t testing.TB) *Chain {
	t.Helper()
	return PrepareAt(t, time.Now())
}

// PrepareAt is Prepare with another time on everybody's clock.
func PrepareAt(t testing.TB, now time.Time) *Chain {
	t.Helper()
	return PrepareUnder(t, now, nil)
}

// PrepareUnder is PrepareAt for partners who agreed on something beside the protocol.
func PrepareUnder(t testing.TB, now time.Time, agreed *protocol.Catalogue) *Chain {
	t.Helper()
	c := &Chain{t: t, agreed: agreed, dir: t.TempDir(), root: newSigner(t), log: newSigner(t), receipt: newSigner(t), moved: time.Until(now)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	c.address = l.Addr().String()
	ok(t, l.Close())
	c.cert = certificate(t)
	c.found()
	t.Cleanup(c.StopRelay)
	return c
}

// Now is the clock of the relay and of every desk.
func (c *Chain) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.moved)
}

// Pass lets time go by for everybody.
func (c *Chain) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved += d
}

// found makes the genesis and the relay's entry.
func (c *Chain) found() {
	now := c.Now().UTC().Truncate(time.Second)
	root := trust.Root{
		Version: 1, Threshold: 1, Keys: []identity.Key{c.root.Public()},
		Agreement: cmp.Or(c.agreed, protocol.V1()).Digest(), Issued: now, Expires: now.AddDate(1, 0, 0),
	}
	genesis, err := root.Sign(trust.First(), c.root)
	ok(c.t, err)
	vkey, err := trust.LogKey("schakel.example/relay-test", c.log.Public())
	ok(c.t, err)
	entry, err := trust.Relay{
		ID: "relay-test", URL: "wss://" + c.address, TLS: wire.Pin(c.cert.Leaf), Receipt: c.receipt.Public(), Log: vkey,
	}.Sign(trust.First(), c.root)
	ok(c.t, err)
	c.genesis = [][]byte{genesis, entry}
}

func certificate(t testing.TB) tls.Certificate {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	ok(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay-test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ok(t, err)
	leaf, err := x509.ParseCertificate(der)
	ok(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// StartRelay starts the relay on its folder and address; it may have run before.
func (c *Chain) StartRelay() {
	c.t.Helper()
	log, err := register.Open(register.Config{Path: c.file("register.db"), LogName: "schakel.example/relay-test", LogKey: c.log})
	ok(c.t, err)
	_, err = log.Import(context.Background(), c.genesis, c.Now())
	ok(c.t, err)
	c.register = log
	store, err := c.store()
	ok(c.t, err)
	files, err := folder.Open(c.file("blobs"))
	ok(c.t, err)
	var kept blob.Store = files
	if c.Blobs != nil {
		kept = c.Blobs(files)
	}
	l, err := c.listener()
	ok(c.t, err)
	r, err := relay.New(relay.Config{
		ID: "relay-test", Listener: l, TLS: &tls.Config{Certificates: []tls.Certificate{c.cert}},
		Store: store, Register: log, Receipts: custody.PrivateKey(c.receipt.PrivateKey),
		Now: c.Now, Log: c.Log, Tap: c.Tap, Blobs: blob.New(blob.Config{Store: kept, Now: c.Now, Log: c.Log, MinFree: 1}),
		Limits: relay.Limits{Drain: 2 * time.Second, Return: 100 * time.Millisecond, Expire: cmp.Or(c.Expire, 100*time.Millisecond)},
	})
	ok(c.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	c.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			c.t.Errorf("relay: %v", err)
		}
		ok(c.t, files.Close())
		ok(c.t, store.Close())
		ok(c.t, log.Close())
	}
}

func (c *Chain) store() (queue.Store, error) {
	if c.Store != nil {
		return c.Store()
	}
	return boltqueue.Open(boltqueue.Config{Path: c.file("queue.db")})
}

func (c *Chain) listener() (net.Listener, error) {
	if c.Listen != nil {
		return c.Listen()
	}
	return net.Listen("tcp", c.address)
}

// StopRelay drains and stops the relay, if it runs.
func (c *Chain) StopRelay() {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
}

// LoseStore deletes the relay's whole queue. The relay must be stopped.
func (c *Chain) LoseStore() {
	c.t.Helper()
	ok(c.t, os.Remove(c.file("queue.db")))
}

// LoseBlobs deletes every attachment of the relay. The relay must be stopped.
func (c *Chain) LoseBlobs() {
	c.t.Helper()
	ok(c.t, os.RemoveAll(c.file("blobs")))
}

// Files is the folder of the relay's data.
func (c *Chain) Files() string { return c.dir }

func (c *Chain) file(name string) string { return filepath.Join(c.dir, name) }

// Fingerprint is that of the register, as the root holders tell it by telephone.
func (c *Chain) Fingerprint() string { return trust.GenesisFingerprint(c.genesis[0]) }
