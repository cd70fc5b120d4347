package main_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"schakel/crypto/custody"
	"schakel/crypto/envelope"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// join starts one more relay on the Redis of the others, with their keys.
func (c *cluster) join() *relaytest.World {
	c.t.Helper()
	p := &process{t: c.t, program: c.nodes[0].program, data: filepath.Join(c.t.TempDir(), "data"), listen: free(c.t), admin: free(c.t)}
	c.configure(p, c.redis)
	for _, name := range []string{"relay.json", "tls.key", "tls.crt", "receipt.key", "log.key"} {
		b, err := os.ReadFile(filepath.Join(c.nodes[0].data, name))
		if err == nil {
			err = os.MkdirAll(p.data, 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(p.data, name), b, 0o600)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	p.start()
	c.t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	w := relaytest.At(c.t, c.chain)
	w.URL = "wss://" + p.listen
	return w
}

// offerAt logs in at one relay and offers an envelope there. A newer session of the same
// device at another relay may end this one first.
func offerAt(ctx context.Context, w *relaytest.World, from *relaytest.Device, raw []byte, id envelope.ID) (leaf custody.Leaf, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, relaytest.Patience)
	defer cancel()
	conn, err := enter(ctx, w, from.Device)
	if err != nil {
		return leaf, false
	}
	defer conn.CloseNow()
	if conn.Write(ctx, wire.Put{Envelope: raw}) != nil {
		return leaf, false
	}
	for {
		frames, err := conn.ReadFrames(ctx)
		if err != nil {
			return leaf, false
		}
		for _, f := range frames {
			if s, is := f.(wire.Stored); is && len(s.Leaves) == 1 && s.Leaves[0].ID == id {
				return s.Leaves[0], true
			}
		}
	}
}

// Fault 72: one device offers the same envelope at three relays at once, each time in a new
// session that ends those at the other relays, until it has been promised a hundred times. It
// is stored once: all receipts are over one salted leaf, and the recipient gets it once.
func TestHundredTimesAtThreeRelays(t *testing.T) {
	c, from, to := newCluster(t)
	relays := []*relaytest.World{c.direct[0], c.direct[1], c.join()}
	epochs(t, c.direct[0].Device(to.Device), c.direct[0])
	raw, id := c.direct[0].Device(from.Device).Envelope(to)
	var mu sync.Mutex // guards what follows
	leaves, promised, tries := map[[16]byte]int{}, map[int]int{}, 0
	var offering sync.WaitGroup
	for i, w := range relays {
		offering.Go(func() {
			for more := true; more; {
				leaf, ok := offerAt(t.Context(), w, from, raw, id)
				mu.Lock()
				tries++
				if ok {
					leaves[leaf.Salt]++
					promised[i]++
				}
				more = tries < 3000 && (promised[0]+promised[1]+promised[2] < 100 || promised[i] == 0)
				mu.Unlock()
			}
		})
	}
	offering.Wait()
	t.Logf("%d tries; promised at each relay: %v", tries, promised)
	if len(leaves) != 1 || len(promised) != len(relays) {
		t.Errorf("promised over %d different leaves at %d relays", len(leaves), len(promised))
	}
	// What comes next is another envelope: the first was stored once.
	last, lastID := c.direct[0].Device(from.Device).Envelope(to)
	if _, ok := offerAt(t.Context(), relays[2], from, last, lastID); !ok {
		t.Fatal("the last envelope is not promised")
	}
	there := c.direct[1].Device(to.Device).Login()
	there.Send(wire.Credit{Messages: 1 << 20, Bytes: 1 << 30})
	for _, want := range [][]byte{raw, last} {
		if got := relaytest.Expect[wire.Deliver](there); string(got.Envelope) != string(want) {
			t.Error("the first envelope comes again, or another came before it")
		}
	}
}
