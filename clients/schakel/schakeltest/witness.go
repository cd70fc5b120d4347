package schakeltest

import (
	"context"
	"time"

	"schakel/crypto/trust"
)

const witnessName = "schakel.example/witness-test"

// Witnessed has the root name one witness that must cosign, and runs that witness until the
// test ends: it signs what the log asks for, and again when the clock of everybody moved.
// The relay must run.
func (c *Chain) Witnessed() {
	c.t.Helper()
	c.witnessedWith()
}

// witnessedWith names further witnesses, who need not sign.
func (c *Chain) witnessedWith(others ...trust.VKey) {
	c.t.Helper()
	witness := newSigner(c.t)
	key, err := trust.WitnessKey(witnessName, witness.Public())
	ok(c.t, err)
	c.NextRoot(func(r *trust.Root) { r.Witnesses, r.Quorum = append([]trust.VKey{key}, others...), 1 })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.witness(ctx, witness)
	}()
	c.t.Cleanup(func() { cancel(); <-ended })
}

// Freeze stops the witness, or lets it go on: what the relay can bring about by showing it
// nothing.
func (c *Chain) Freeze(frozen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = frozen
}

// NextRoot passes the root on, changed. The relay must run.
func (c *Chain) NextRoot(change func(*trust.Root)) {
	c.t.Helper()
	reg := c.register.Register()
	root := reg.Authority()
	root.Version++
	change(&root)
	entry, err := root.Sign(reg.Next(root.Subject()), c.root)
	ok(c.t, err)
	c.append(entry)
}

func (c *Chain) witness(ctx context.Context, by signer) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var size uint64
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		frozen := c.frozen
		c.mu.Unlock()
		asked, demanded := c.register.ToCosign()
		now := c.Now()
		if frozen || !demanded || asked.Size == size && now.Sub(last) < time.Minute {
			continue
		}
		checkpoint, err := trust.ParseCheckpoint(asked.Note)
		if err != nil {
			c.t.Errorf("the log asks for a checkpoint that is none: %v", err)
			return
		}
		signed, err := checkpoint.Cosign(witnessName, by, now)
		if err == nil && c.register.Cosign(asked.Size, signed.Line(), now) == nil { // else it asks for another size by now
			size, last = asked.Size, now
		}
	}
}
