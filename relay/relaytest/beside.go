package relaytest

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"schakel/crypto/custody"
	"schakel/crypto/trust/trusttest"
	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/register"
)

// Beside starts another node of the same relay, on a port and a store of its own,
// with the same keys. Its register file is its own where the store shares the
// register, and else the world's. It ends before the world does.
func (w *World) Beside(t testing.TB, store queue.Store, limits relay.Limits) *World {
	t.Helper()
	node := &World{
		Chain: w.Chain, Dir: t.TempDir(), Register: w.Register, Store: store, t: t, config: w.config, cert: w.cert,
		listen: "127.0.0.1:0", admin: "127.0.0.1:0",
	}
	if _, shares := store.(register.Order); shares {
		node.Register = node.registerIn(node.Dir, store)
	}
	listener, admin := node.listener(&node.listen), node.listener(&node.admin)
	node.URL, node.AdminURL = "wss://"+node.listen, "http://"+node.admin
	r, err := relay.New(relay.Config{
		ID: trusttest.RelayID, Listener: listener, Admin: admin, Store: store, Register: node.Register, Now: w.config.Now, Log: w.config.Log,
		TLS:      &tls.Config{Certificates: []tls.Certificate{w.cert}, MinVersion: tls.VersionTLS13},
		Receipts: custody.PrivateKey(w.Receipt.Private), Limits: limits, Blobs: w.keeper(w.Dir),
	})
	node.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the second node ended: %v", err)
		}
		if node.Register != w.Register {
			node.must(node.Register.Close())
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return node
}

// At is the same device, connecting to another node once that knows it.
func (d *Device) At(node *World) *Device {
	node.t.Helper()
	node.Knows(d.world)
	return &Device{Device: d.Device, world: node}
}

// Knows waits until a node has the register of another.
func (w *World) Knows(other *World) {
	w.t.Helper()
	for late := time.After(Patience); w.Register.Size() < other.Register.Size(); {
		select {
		case <-w.Register.Grown():
		case <-time.After(10 * time.Millisecond): // it may have grown before we asked
		case <-late:
			w.t.Fatalf("a node has %d entries of %d", w.Register.Size(), other.Register.Size())
		}
	}
}
