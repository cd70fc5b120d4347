package schakeltest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// secondWitness is the name of a witness that signs whatever a branch is.
const secondWitness = "schakel.example/witness-second"

// Divided is a register of two branches that both go on growing, each cosigned by one
// witness of a root whose quorum is too small: the relay shows the one that is in its own
// log to everybody, and the other to those that were chosen.
type Divided struct {
	chain  *Chain
	second signer

	mu      sync.Mutex
	reg     *trust.Register              // the other branch
	entries [][]byte                     // all of it
	from    map[identity.DeviceID]uint64 // what each of the chosen asked for last
	grown   [2]int
}

// Divide has the root name two witnesses of whom one is enough, runs the first over the
// relay's log, and shows the chosen devices a branch of its own from here on. The relay must
// run.
func (c *Chain) Divide(op *Operator, chosen ...identity.DeviceID) *Divided {
	c.t.Helper()
	d := &Divided{chain: c, second: newSigner(c.t), from: map[identity.DeviceID]uint64{}}
	key, err := trust.WitnessKey(secondWitness, d.second.Public())
	ok(c.t, err)
	c.witnessedWith(key)
	c.waitCosigned()
	d.reg = c.register.Register().Clone()
	d.entries, err = c.register.Entries(0, d.reg.Size())
	ok(c.t, err)
	op.Do(func(p Passing) []wire.Frame {
		if !slices.Contains(chosen, p.Device) {
			return p.On()
		}
		return d.show(p)
	})
	return d
}

// show answers a chosen device from the other branch.
func (d *Divided) show(p Passing) []wire.Frame {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch f := p.Frame.(type) {
	case wire.Fetch:
		d.from[p.Device] = f.From
	case wire.Register:
		from, asked := d.from[p.Device]
		if !asked { // before the log was divided
			from = f.From
		}
		return []wire.Frame{d.answer(from)}
	case wire.Advanced:
		return []wire.Frame{wire.Advanced{RegisterSize: d.reg.Size()}}
	}
	return p.On()
}

func (d *Divided) answer(from uint64) wire.Register {
	r := wire.Register{From: from}
	c, err := trust.ParseCheckpoint(d.chain.Checkpoint(d.reg.Size(), d.reg.Root()))
	ok(d.chain.t, err)
	line, err := c.Cosign(secondWitness, d.second, d.chain.Now())
	ok(d.chain.t, err)
	r.Checkpoint = c.With(line)
	if from < d.reg.Size() {
		r.Entries = d.entries[from:]
	}
	if from > 0 && from < d.reg.Size() {
		r.Proof, err = d.reg.Proof(from, d.reg.Size())
		ok(d.chain.t, err)
	}
	return r
}

// Grow adds n entries to the relay's log.
func (d *Divided) Grow(n int) {
	d.chain.t.Helper()
	for range n {
		d.chain.append(d.entry(0, d.chain.register.Register()))
	}
}

// GrowOther adds n entries to the other branch. The chosen hear of it when the relay's log
// grows.
func (d *Divided) GrowOther(n int) {
	d.chain.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for range n {
		e := d.entry(1, d.reg)
		ok(d.chain.t, d.reg.Apply(e))
		d.entries = append(d.entries, e)
	}
}

// Sizes are those of the relay's log and of the other branch.
func (d *Divided) Sizes() (log, other uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.chain.register.Size(), d.reg.Size()
}

// entry is an organisation that does nothing, of one branch alone.
func (d *Divided) entry(branch int, reg *trust.Register) []byte {
	d.grown[branch]++
	org := trust.Org{ID: identity.OrgID(fmt.Sprintf("branch-%d-%d", branch, d.grown[branch])), Name: "Test", OIN: "00000099000000000000",
		Key: newSigner(d.chain.t).Public(), Status: trust.OrgActive}
	entry, err := org.Sign(reg.Next(org.Subject()), d.chain.root)
	ok(d.chain.t, err)
	return entry
}

// waitCosigned waits until the relay's log is cosigned as it is.
func (c *Chain) waitCosigned() {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if p, err := c.register.Checkpoint(); err == nil && p.Size == c.register.Size() {
			return
		}
		if time.Now().After(end) {
			c.t.Fatal("the witness did not sign")
		}
	}
}
