package relaytest

import (
	"context"
	"crypto/tls"
	"testing"

	"schakel/crypto/custody"
	"schakel/crypto/trust/trusttest"
	"schakel/relay"
	"schakel/relay/queue"
)

// Beside starts another node of the same relay, on a port and a store of its own:
// same keys, same register. It ends before the world does.
func (w *World) Beside(t testing.TB, store queue.Store, limits relay.Limits) *World {
	t.Helper()
	node := &World{Chain: w.Chain, Dir: w.Dir, Register: w.Register, Store: store, t: t, config: w.config, cert: w.cert, listen: "127.0.0.1:0"}
	listener := node.listener(&node.listen)
	node.URL = "wss://" + node.listen
	r, err := relay.New(relay.Config{
		ID: trusttest.RelayID, Listener: listener, Store: store, Register: w.Register, Now: w.config.Now, Log: w.config.Log,
		TLS:      &tls.Config{Certificates: []tls.Certificate{w.cert}, MinVersion: tls.VersionTLS13},
		Receipts: custody.PrivateKey(w.Receipt.Private), Limits: limits,
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
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return node
}

// At is the same device, connecting to another node.
func (d *Device) At(node *World) *Device { return &Device{Device: d.Device, world: node} }
