package register_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
	"schakel/relay/register"
)

// Places in Redis that these tests damage.
const (
	sharedLog   = "schakel:{q00}:register"
	sharedKeys  = "schakel:{q00}:register-keys"
	sharedAside = "schakel:{q00}:register-aside"
	sharedMeta  = "schakel:{q00}:meta"
)

// nodes are relays' logs on one Redis.
type nodes struct {
	t      *testing.T
	server *redistest.Server
	chain  *trusttest.Chain
}

func newNodes(t *testing.T) *nodes {
	t.Helper()
	redistest.Need(t)
	server, err := redistest.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return &nodes{t, server, trusttest.New(now)}
}

// order is a relay's connection to Redis.
func (n *nodes) order() *redisqueue.Store {
	n.t.Helper()
	store, err := redisqueue.Open(n.t.Context(), n.server.Config())
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { store.Close() })
	return store
}

// log opens a file, which Close may close earlier.
func (n *nodes) log(path string, order register.Order) *register.Log {
	n.t.Helper()
	l, err := register.Open(register.Config{Path: path, LogName: trusttest.LogName, LogKey: n.chain.Log, Order: order})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { l.Close() })
	return l
}

func (n *nodes) node() *register.Log {
	n.t.Helper()
	return n.log(filepath.Join(n.t.TempDir(), "register.db"), n.order())
}

func (n *nodes) follow(logs ...*register.Log) {
	n.t.Helper()
	for _, l := range logs {
		if err := l.Follow(n.t.Context(), now); err != nil {
			n.t.Fatal(err)
		}
	}
}

// found imports the chain as it is now.
func (n *nodes) found(l *register.Log) {
	n.t.Helper()
	if _, err := l.Import(n.t.Context(), n.chain.Entries(), now); err != nil {
		n.t.Fatal(err)
	}
}

// enrol adds a device by entries at one node after the other.
func (n *nodes) enrol(desk identity.DeskID, at ...*register.Log) trusttest.Device {
	n.t.Helper()
	before := n.chain.Size()
	d := n.chain.Enrol(desk, identity.RolePolitie)
	for i, e := range n.chain.Entries()[before:] {
		if _, err := at[i%len(at)].Append(n.t.Context(), e, n.chain.RecipientsOf(e), now); err != nil {
			n.t.Fatal(err)
		}
	}
	return d
}

// redis does what only an accident or an administrator would.
func (n *nodes) redis(command ...any) any {
	n.t.Helper()
	client := n.server.Root()
	defer client.Close()
	answer, err := client.Do(context.Background(), command...).Result()
	if err != nil {
		n.t.Fatal(command, err)
	}
	return answer
}

// goOn ends the pause in which nothing new is taken.
func (n *nodes) goOn() { n.redis("hset", sharedMeta, "pause", "0") }

// same demands that logs are the chain, byte for byte.
func (n *nodes) same(logs ...*register.Log) {
	n.t.Helper()
	for i, l := range logs {
		var entries [][]byte
		for uint64(len(entries)) < l.Size() {
			more, err := l.Entries(uint64(len(entries)), 1000)
			if err != nil || len(more) == 0 {
				n.t.Fatal(err)
			}
			entries = append(entries, more...)
		}
		if !slices.EqualFunc(entries, n.chain.Entries(), slices.Equal) {
			n.t.Fatalf("node %d has %d entries, not the %d of the chain", i, len(entries), n.chain.Size())
		}
	}
}

func recipient(t *testing.T, l *register.Log, d trusttest.Device, epoch uint64) string {
	t.Helper()
	s, _, err := l.Recipient(d.ID, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNodesShareOneRegister: entries added at any node are everywhere, in one order,
// under one checkpoint of the same bytes, with their recipients.
func TestNodesShareOneRegister(t *testing.T) {
	n := newNodes(t)
	a, b := n.node(), n.node()
	n.found(a)
	d := n.enrol("politie-mn/zeden", b, a) // each entry stands on one that was added elsewhere
	e := n.enrol("politie-mn/oc", a, b)
	n.follow(a, b)
	n.same(a, b)
	ca, err := a.Checkpoint()
	cb, err2 := b.Checkpoint()
	if err != nil || err2 != nil || string(ca.Note) != string(cb.Note) {
		t.Errorf("checkpoints differ: %v, %v\n%s\n%s", err, err2, ca.Note, cb.Note)
	}
	for _, l := range []*register.Log{a, b} {
		for _, of := range []trusttest.Device{d, e} {
			if recipient(t, l, of, 1) != of.Recipient(1) {
				t.Error("a node has no recipient of an epoch that came in elsewhere")
			}
		}
	}
	c := n.node()
	n.follow(c)
	n.same(c)
	if recipient(t, c, d, 1) != d.Recipient(1) {
		t.Error("a node that came later has no recipients")
	}
}

// TestNodesAppendAtOnce has nodes append at the same time; nothing is lost or double.
func TestNodesAppendAtOnce(t *testing.T) {
	n := newNodes(t)
	logs := []*register.Log{n.node(), n.node(), n.node()}
	n.found(logs[0])
	before := n.chain.Size()
	desks := []identity.DeskID{"vt20/crisis", "politie-mn/oc", "om-mn/officier"}
	var all [3][][]byte // of desks that do not stand on each other
	for i, desk := range desks {
		from := n.chain.Size()
		d := n.chain.Enrol(desk, identity.RolePolitie)
		for first := uint64(17); first < 37; first += 2 {
			b := d.Epochs(first, 2, now.Add(time.Duration(first)*time.Hour))
			n.chain.Add(sign(t)(b.Sign(n.chain.Register().Next(b.Subject()), d.Sign)))
		}
		all[i] = n.chain.Entries()[from:]
	}
	var appending sync.WaitGroup
	for i, l := range logs {
		appending.Go(func() {
			for _, e := range all[i] {
				if _, err := l.Append(context.Background(), e, n.chain.RecipientsOf(e), now); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	appending.Wait()
	n.follow(logs...)
	for _, l := range logs {
		if l.Size() != n.chain.Size() || l.Register().Root() != logs[0].Register().Root() {
			t.Errorf("%d entries of %d, before %d", l.Size(), n.chain.Size(), before)
		}
	}
}

// losing is an order whose answers get lost after it has done what it was asked.
type losing struct{ register.Order }

var errLost = errors.New("lost")

func (o losing) Append(ctx context.Context, after register.Place, c register.Change) (bool, error) {
	_, _ = o.Order.Append(ctx, after, c)
	return false, errLost
}

// TestLostAnswerOfTheOrder: who does not know asks again and gets the same place.
func TestLostAnswerOfTheOrder(t *testing.T) {
	n := newNodes(t)
	path := filepath.Join(t.TempDir(), "register.db")
	a := n.log(path, n.order())
	n.found(a)
	a.Close()
	entry := n.chain.Size()
	n.chain.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	e := n.chain.Entries()[entry]

	deaf := n.log(path, losing{n.order()})
	if _, err := deaf.Append(t.Context(), e, nil, now); !errors.Is(err, register.ErrOrder) || deaf.Size() != entry {
		t.Fatalf("%v with %d entries", err, deaf.Size())
	}
	deaf.Close()
	again := n.log(path, n.order())
	if index, err := again.Append(t.Context(), e, nil, now); err != nil || index != entry || again.Size() != entry+1 {
		t.Errorf("%d of %d: %v", index, again.Size(), err)
	}
}

// emptied loses Redis under a relay that knows less than another, which starts
// first. paused: new entries wait, as they do unless the test says otherwise.
func emptied(t *testing.T, paused bool) (n *nodes, a, b *register.Log, d trusttest.Device) {
	n = newNodes(t)
	short, long := filepath.Join(t.TempDir(), "register.db"), filepath.Join(t.TempDir(), "register.db")
	a, b = n.log(short, n.order()), n.log(long, n.order())
	n.found(a)
	n.follow(b)
	a.Close()
	d = n.enrol("politie-mn/zeden", b)
	b.Close()
	n.redis("flushall")

	a = n.log(short, n.order())
	n.follow(a)
	if !paused {
		n.goOn()
	}
	return n, a, n.log(long, n.order()), d
}

// TestOrderLosesAll empties Redis. The files give back what they have, the longest
// wins, and meanwhile nothing new is taken that would contradict it.
func TestOrderLosesAll(t *testing.T) {
	n, a, b, d := emptied(t, true)
	if _, err := a.Append(t.Context(), elsewhere(t), nil, now); !errors.Is(err, register.ErrOrder) {
		t.Errorf("a relay that knows less took an entry at once: %v", err)
	}
	n.follow(b, a)
	n.same(a, b)
	if recipient(t, a, d, 1) != d.Recipient(1) {
		t.Error("recipients were not given back")
	}
	n.goOn()
	n.enrol("politie-mn/oc", a, b) // then it goes on
	n.follow(a, b)
	n.same(a, b)
}

// Control: without the pause there are two registers.
func TestOrderLosesAllWithoutThePause(t *testing.T) {
	n, a, b, _ := emptied(t, false)
	if _, err := a.Append(t.Context(), elsewhere(t), nil, now); err != nil {
		t.Fatal(err)
	}
	if err := b.Follow(n.t.Context(), now); !errors.Is(err, register.ErrFork) {
		t.Errorf("control: %v", err)
	}
}

// elsewhere is an entry that the long file does not have.
func elsewhere(t *testing.T) []byte {
	c := trusttest.New(now)
	size := c.Size()
	c.AddDesk("vt20/crisis", identity.RoleVeiligThuis)
	return c.Entries()[size]
}

// TestTwoRegistersAreAFork: files that differ refuse, and stay as they are.
func TestTwoRegistersAreAFork(t *testing.T) {
	n := newNodes(t)
	a := n.node()
	n.found(a)
	other := &nodes{t, n.server, n.chain.Clone()}
	path := filepath.Join(t.TempDir(), "register.db")
	alone := other.log(path, nil)
	other.found(alone)
	other.enrol("vt20/crisis", alone)
	size := alone.Size()
	alone.Close()
	n.enrol("politie-mn/zeden", a)

	b := other.log(path, n.order())
	if err := b.Follow(t.Context(), now); !errors.Is(err, register.ErrFork) {
		t.Fatalf("another register: %v", err)
	}
	if b.Size() != size {
		t.Error("its file was changed")
	}
	n.follow(a)
	n.same(a)

	// What docs/operations.md says is done about it: the right file first.
	b.Close()
	n.redis("del", sharedLog, sharedKeys)
	kept := other.log(path, n.order())
	n.follow(kept)
	if err := a.Follow(t.Context(), now); !errors.Is(err, register.ErrFork) {
		t.Errorf("the file that is not kept: %v", err)
	}
	c := n.node()
	n.follow(c)
	other.same(kept, c)
}

// TestBadRowIsSetAside: a row that does not count, by a bad relay or by an accident,
// is in no file, and stops nobody.
func TestBadRowIsSetAside(t *testing.T) {
	n := newNodes(t)
	a, b := n.node(), n.node()
	n.found(a)
	n.follow(b)
	bad := n.order()
	entry := sign(t)(trusttest.Org("vt20").Sign(trust.First(), trusttest.NewKey("nobody"), trusttest.NewKey("none")))
	for what, row := range map[string]register.Row{
		"unsigned":     {Root: trust.Hash{1}, Text: append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0}, entry...)},
		"rubbish":      {Root: trust.Hash{1}, Text: []byte("\x01rubbish and more")},
		"empty":        {Text: []byte{}},
		"old":          {Text: append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0}, entry...)},
		"another root": {Root: trust.Hash{2}, Text: append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0}, n.chain.Clone().Genesis()...)},
	} {
		at := register.Place{Size: a.Size(), Root: a.Register().Root()}
		if took, err := bad.Append(t.Context(), at, register.Change{Rows: []register.Row{row, row}}); err != nil || !took {
			t.Fatal(what, took, err)
		}
		n.follow(a, b)
		n.goOn()
		n.enrol("politie-mn/x"+identity.DeskID(rune('a'+n.chain.Size()%26)), b, a)
		n.follow(a, b)
		n.same(a, b)
	}
	if set := n.redis("llen", sharedAside); set.(int64) < 10 {
		t.Errorf("%v rows are kept for the operator", set)
	}
	// Control: what a newer relay wrote is not set aside; an older one waits for it.
	at := register.Place{Size: a.Size(), Root: a.Register().Root()}
	if _, err := bad.Append(t.Context(), at, register.Change{Rows: []register.Row{{Text: append([]byte{3}, entry...)}}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Follow(t.Context(), now); !errors.Is(err, register.ErrNewer) {
		t.Errorf("a row of a newer version: %v", err)
	}
}

// TestDamagedRowsAreGivenBack flips and removes rows in Redis. Who has the true ones
// gives them back, also to a relay that had not seen them.
func TestDamagedRowsAreGivenBack(t *testing.T) {
	for what, harm := range map[string]func(n *nodes, at uint64){
		"flipped": func(n *nodes, at uint64) {
			n.redis("hset", sharedLog, at, "0123456789abcdef0123456789abcdef0123456789")
		},
		"removed": func(n *nodes, at uint64) { n.redis("hdel", sharedLog, at) },
		"foreign": func(n *nodes, at uint64) { n.redis("hset", sharedLog, "x", "y") },
	} {
		t.Run(what, func(t *testing.T) {
			n := newNodes(t)
			a, late := n.node(), n.node()
			n.found(a)
			n.follow(late)
			at := a.Size() + 1
			n.enrol("politie-mn/zeden", a)
			harm(n, at)
			for range 4 { // as relays do now and then
				_ = late.Follow(t.Context(), now)
				_ = a.Follow(t.Context(), now)
			}
			n.follow(a, late)
			n.same(a, late)
			n.goOn()
			n.enrol("politie-mn/oc", late, a)
			n.follow(a, late)
			n.same(a, late)
		})
	}
}

// TestRecipientsComeLater: an operator imports entries without recipients, and their
// device gives them at another node.
func TestRecipientsComeLater(t *testing.T) {
	n := newNodes(t)
	d := n.chain.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	a, b := n.node(), n.node()
	n.found(a)
	n.follow(b)
	if recipient(t, a, d, 1) != "" || recipient(t, b, d, 1) != "" {
		t.Fatal("a recipient from nowhere")
	}
	for _, e := range n.chain.Entries() {
		if r := n.chain.RecipientsOf(e); r != nil {
			if _, err := b.Append(t.Context(), e, r, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	n.follow(a)
	if recipient(t, a, d, 1) != d.Recipient(1) {
		t.Error("a node does not learn of recipients that came later")
	}
	// Another string in Redis is not handed out.
	field := append(d.ID[:], 0, 0, 0, 0, 0, 0, 0, 1)
	n.redis("hset", sharedKeys, field, "01234567"+"not the recipient")
	c := n.node()
	n.follow(c)
	if s := recipient(t, c, d, 1); s != "" {
		t.Errorf("a recipient that was exchanged in Redis: %q", s)
	}
}

// TestQuotaIsOfAllNodes: what an organisation added elsewhere counts.
func TestQuotaIsOfAllNodes(t *testing.T) {
	n := newNodes(t)
	a, b := n.node(), n.limited(3)
	n.found(a)
	n.enrol("politie-mn/zeden", a)
	n.follow(b)
	d := n.chain.Clone()
	before := d.Size()
	d.Enrol("politie-mn/oc", identity.RolePolitie)
	var err error
	for _, e := range d.Entries()[before:] {
		if _, err = b.Append(t.Context(), e, d.RecipientsOf(e), now); err != nil {
			break
		}
	}
	if !errors.Is(err, register.ErrQuota) {
		t.Errorf("a second desk beyond the quota: %v", err)
	}
}

func (n *nodes) limited(perDay int) *register.Log {
	n.t.Helper()
	l, err := register.Open(register.Config{
		Path: filepath.Join(n.t.TempDir(), "register.db"), LogName: trusttest.LogName, LogKey: n.chain.Log, Order: n.order(), PerDay: perDay,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { l.Close() })
	return l
}

// FuzzRow: a row has one text, and what is read from it says the same again.
func FuzzRow(f *testing.F) {
	f.Add(register.RowText(now, true, trusttest.New(now).Genesis()))
	f.Add([]byte{1})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 'x'})
	f.Add(register.RowText(now, true, releaseOf(f, trusttest.New(now))))
	f.Fuzz(func(t *testing.T, text []byte) {
		again, err := register.ParseRowText(text)
		if err == nil && string(again) != string(text) {
			t.Errorf("%x became %x", text, again)
		}
	})
}
