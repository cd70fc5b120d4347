package boltqueue_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"math"
	"slices"
	"sync"
	"testing"

	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
	"schakel/relay/queue/queuetest"
)

// TestSuiteNotices runs checks against stores that are broken on purpose: a suite
// that cannot fail is blind.
func TestSuiteNotices(t *testing.T) {
	for name, control := range controls() {
		t.Run(name, func(t *testing.T) {
			backend := queuetest.Backend{Open: func(dir string, quota queue.Quota) (queue.Store, error) {
				if control.quota != nil {
					quota = *control.quota
				}
				store, err := open(dir, quota)
				if err != nil || control.wrap == nil {
					return store, err
				}
				return control.wrap(store), nil
			}}
			for _, check := range queuetest.Checks() {
				if !slices.Contains(control.noticed, check.Name) {
					continue
				}
				if err := check.Run(backend, t.TempDir()); err == nil {
					t.Errorf("the check of %s noticed nothing", check.Name)
				} else {
					t.Log(err)
				}
			}
		})
	}
}

type control struct {
	noticed []string // by these checks
	wrap    func(queue.Store) queue.Store
	quota   *queue.Quota
}

func controls() map[string]control {
	commit := func(change func(queue.Op) queue.Op) func(queue.Store) queue.Store {
		return func(s queue.Store) queue.Store { return &changedOps{s, change} }
	}
	read := func(change func(identity.DeskID, *queue.Limit) identity.DeskID, after func(*queue.Page)) func(queue.Store) queue.Store {
		return func(s queue.Store) queue.Store { return &changedReads{s, change, after} }
	}
	same := func(desk identity.DeskID, _ *queue.Limit) identity.DeskID { return desk }
	return map[string]control{
		"deduplication off":      {noticed: []string{"idempotence", "idempotence after delivery", "conflict", "concurrency", "linearizability"}, wrap: commit(freshID)},
		"digest not compared":    {noticed: []string{"conflict"}, wrap: commit(oneDigest)},
		"every token fits":       {noticed: []string{"attend"}, wrap: commit(oneToken)},
		"cursors of one device":  {noticed: []string{"deletion by all devices", "cursors"}, wrap: commit(oneDevice)},
		"expiry does nothing":    {noticed: []string{"expiry", "expiry and the clock", "waiting"}, wrap: commit(neverExpires)},
		"devices never drop":     {noticed: []string{"dropped devices", "notices"}, wrap: commit(neverDrops)},
		"no quota":               {noticed: []string{"quota of a desk", "quota of an organisation"}, quota: &queue.Quota{DeskRecords: math.MaxInt}},
		"notices are lost":       {noticed: []string{"expiry", "notices", "expiry in slices"}, wrap: read(same, dropNotices)},
		"the newest is dropped":  {noticed: []string{"linearizability", "pages"}, wrap: read(same, dropNewest)},
		"reads lag behind":       {noticed: []string{"linearizability"}, wrap: func(s queue.Store) queue.Store { return &lagging{Store: s} }},
		"newest first":           {noticed: []string{"order", "pages", "linearizability"}, wrap: read(same, func(p *queue.Page) { slices.Reverse(p.Records) })},
		"one mailbox for all":    {noticed: []string{"isolation"}, wrap: read(func(identity.DeskID, *queue.Limit) identity.DeskID { return "vt20/crisis" }, nil)},
		"reads without bound":    {noticed: []string{"pages"}, wrap: read(unlimited, nil)},
		"a new epoch each time":  {noticed: []string{"epoch"}, wrap: func(s queue.Store) queue.Store { return freshEpoch{s} }},
		"answers before writing": {noticed: []string{"idempotence", "order"}, wrap: func(s queue.Store) queue.Store { return &early{Store: s} }},
	}
}

// changedOps changes every op on its way into the store.
type changedOps struct {
	queue.Store
	change func(queue.Op) queue.Op
}

func (s *changedOps) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	changed := make([]queue.Op, len(ops))
	for i, op := range ops {
		changed[i] = s.change(op)
	}
	return s.Store.Commit(ctx, changed)
}

func freshID(op queue.Op) queue.Op {
	if put, ok := op.(*queue.Put); ok {
		fresh := *put
		rand.Read(fresh.ID[8:])
		return &fresh
	}
	return op
}

func oneDigest(op queue.Op) queue.Op {
	if put, ok := op.(*queue.Put); ok {
		same := *put
		same.Digest = [32]byte{}
		return &same
	}
	return op
}

func oneToken(op queue.Op) queue.Op {
	switch op := op.(type) {
	case *queue.Put:
		easy := *op
		sum := sha256.Sum256(make([]byte, 32))
		easy.AttendedHash = sum[:]
		return &easy
	case *queue.Attend:
		return &queue.Attend{Desk: op.Desk, ID: op.ID}
	}
	return op
}

func oneDevice(op queue.Op) queue.Op {
	switch op := op.(type) {
	case *queue.Put:
		one := *op
		one.Targets = []identity.DeviceID{{1}}
		return &one
	case *queue.Ack:
		return &queue.Ack{Desk: op.Desk, Device: identity.DeviceID{1}, Position: op.Position}
	}
	return op
}

func neverExpires(op queue.Op) queue.Op {
	if expire, ok := op.(*queue.Expire); ok {
		return &queue.Expire{Now: 1, Max: expire.Max}
	}
	return op
}

func neverDrops(op queue.Op) queue.Op {
	if drop, ok := op.(*queue.DropDevice); ok {
		return &queue.Ack{Desk: drop.Desk, Device: drop.Device}
	}
	return op
}

// changedReads changes what is asked and what is answered.
type changedReads struct {
	queue.Store
	ask    func(identity.DeskID, *queue.Limit) identity.DeskID
	answer func(*queue.Page)
}

func (s *changedReads) Read(ctx context.Context, desk identity.DeskID, after queue.Position, limit queue.Limit) (queue.Page, error) {
	desk = s.ask(desk, &limit)
	page, err := s.Store.Read(ctx, desk, after, limit)
	if s.answer != nil {
		s.answer(&page)
	}
	return page, err
}

func dropNotices(p *queue.Page) {
	p.Records = slices.DeleteFunc(p.Records, func(r queue.Record) bool { return r.Kind == queue.KindNotice })
}

func dropNewest(p *queue.Page) {
	p.Records = p.Records[:max(0, len(p.Records)-1)]
}

// lagging answers each read with what the one before found.
type lagging struct {
	queue.Store
	before sync.Map // of pages, by desk
}

func (s *lagging) Read(ctx context.Context, desk identity.DeskID, after queue.Position, limit queue.Limit) (queue.Page, error) {
	page, err := s.Store.Read(ctx, desk, after, limit)
	if before, ok := s.before.Swap(desk, page); ok {
		page = before.(queue.Page)
	}
	return page, err
}

func unlimited(desk identity.DeskID, limit *queue.Limit) identity.DeskID {
	*limit = queue.Limit{Records: 1 << 20, Bytes: 1 << 30}
	return desk
}

type freshEpoch struct{ queue.Store }

func (s freshEpoch) State(ctx context.Context) (queue.State, error) {
	state, err := s.Store.State(ctx)
	rand.Read(state.Epoch[:])
	return state, err
}

// early answers a batch before it is committed: with the next one.
type early struct {
	queue.Store
	held []queue.Op
}

func (s *early) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	if _, err := s.Store.Commit(ctx, s.held); err != nil {
		return nil, err
	}
	s.held = slices.Clone(ops) // the committer uses ops again
	return make([]queue.Result, len(ops)), nil
}

func TestCrashNoticesEarlyAnswers(t *testing.T) {
	err := queuetest.Crash(queuetest.Backend{Open: open, Process: process("early")}, t.TempDir(), 5)
	if err == nil {
		t.Fatal("a store that answers before it writes lost nothing by being killed")
	}
	t.Log(err)
}

func TestDamageNoticesMissingChecksums(t *testing.T) {
	backend := queuetest.Backend{Damage: hurt, Open: func(dir string, quota queue.Quota) (queue.Store, error) {
		store, err := boltqueue.Open(config(dir, quota))
		if err != nil {
			return nil, err
		}
		return boltqueue.Unchecked{Store: store}, nil
	}}
	found, err := queuetest.Damage(backend, t.TempDir(), 300, *seed)
	if err == nil {
		t.Fatalf("a store without checksums gave only sound records: %+v", found)
	}
	t.Log(err)
}
