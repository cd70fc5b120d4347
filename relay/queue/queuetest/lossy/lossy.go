// Package lossy is a queue store in memory whose disk forgets at a power cut what was not
// synced: the store of simulations, which passes the suite of every store.
//
//	disk := lossy.NewDisk(epoch)
//	store := disk.Open(queue.Quota{})
//	disk.Cut(keep)                     // the power fails: store is dead, and the disk has what was
//	store = disk.Open(queue.Quota{})   // synced, and perhaps some of what was being written
//
// A disk is a list of operations, and a store is what they make when they are applied in
// their order. So a restart cannot remember what the disk does not have. Import it from
// tests only.
package lossy

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// Trouble is what a disk has at the moment; the zero value is none.
type Trouble struct {
	Away        bool // it cannot be asked: ErrUnavailable, nothing happens
	Full        bool // puts are refused, all else goes on
	Unconfirmed bool // nobody knows whether what is written stays
	Broken      bool // the next sync fails, and the store ends
}

// Disk outlives the stores that are opened on it, one after the other.
type Disk struct {
	// Sync takes as long as the disk needs; nil: no time. It is called without a lock.
	Sync func()
	// Late has it answer before the sync, which comes with each so many'th commit: the
	// mistake that a simulation must find. 0 is none.
	Late int
	// Arrived hears of what is new and has a tier, confirmed or not, as the timers of a
	// store that several relays share do; nil: nobody.
	Arrived func(queue.Unattended)
	// Fickle says whether an operation that is not confirmed happened; nil: each did.
	Fickle func() bool

	epoch [16]byte

	mu               sync.Mutex // guards what follows
	trouble          Trouble
	synced           []queue.Op
	written          []queue.Op // and not synced
	before, unsynced int        // of those, how many operations and commits were answered for
	store            *Store     // the open one
}

// NewDisk returns an empty disk of that epoch.
func NewDisk(epoch [16]byte) *Disk { return &Disk{epoch: epoch} }

// Open opens the store as the disk has it. The one before is dead from now on.
func (d *Disk) Open(quota queue.Quota) *Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.store != nil {
		d.store.dead = true
	}
	d.written, d.unsynced = nil, 0
	s := &Store{disk: d, mail: newMail(quota.WithDefaults()), committing: make(chan struct{}, 1)}
	for _, op := range d.synced {
		s.mail.apply(op)
	}
	d.store = s
	return s
}

// Cut is a power cut: the open store is dead, and of what was written and not synced the
// disk has the first keep operations, if there are so many.
func (d *Disk) Cut(keep int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.store != nil {
		d.store.dead = true
	}
	d.written = d.written[:min(keep, len(d.written))]
	d.sync()
}

// Unsynced is how many operations a cut would put at risk.
func (d *Disk) Unsynced() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.written)
}

// Suffer sets what is wrong with the disk from now on.
func (d *Disk) Suffer(t Trouble) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble = t
}

// Waits reports whether an envelope waits for a person, as the disk has it.
func (d *Disk) Waits(ref queue.Ref) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.store == nil {
		return false
	}
	e := d.store.mail.known[ref]
	return e != nil && e.waits()
}

// Store is an open store.
type Store struct {
	disk       *Disk
	committing chan struct{} // capacity 1: one Commit at a time

	// Guarded by disk.mu.
	mail   *mail
	dead   bool // by a power cut, a broken sync, or because it was opened again
	closed bool
}

var _ queue.Store = (*Store)(nil)

// usable says why the store cannot be asked; disk.mu is held.
func (s *Store) usable() error {
	switch {
	case s.closed:
		return queue.ErrClosed
	case s.dead:
		return fmt.Errorf("%w: the power was cut", queue.ErrIndeterminate)
	case s.disk.trouble.Away:
		return queue.ErrUnavailable
	}
	return nil
}

// Commit implements queue.Store.
func (s *Store) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	if err := queue.CheckBatch(ops); err != nil {
		return nil, err
	}
	select {
	case s.committing <- struct{}{}:
		defer func() { <-s.committing }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", queue.ErrUnavailable, ctx.Err())
	}
	trouble, err := s.write(ops)
	if err != nil || len(ops) == 0 {
		return nil, err
	}
	if s.disk.Sync != nil && s.disk.Late == 0 {
		s.disk.Sync()
	}
	results, arrived, err := s.settle(ops, trouble)
	for _, e := range arrived {
		s.disk.Arrived(e.unattended())
	}
	return results, err
}

// write puts ops where a sync finds them.
func (s *Store) write(ops []queue.Op) (Trouble, error) {
	d := s.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := s.usable(); err != nil {
		return Trouble{}, err
	}
	if d.unsynced >= d.Late {
		d.sync()
	}
	d.before = len(d.written)
	trouble := d.trouble
	for _, op := range ops {
		if _, put := op.(*queue.Put); put && trouble.Full {
			continue
		}
		d.written = append(d.written, copied(op))
	}
	return trouble, nil
}

// settle answers once the sync is over.
func (s *Store) settle(ops []queue.Op, trouble Trouble) (results []queue.Result, arrived []*entry, err error) {
	d := s.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.closed || s.dead || d.trouble.Broken {
		s.dead = true
		return nil, nil, fmt.Errorf("%w: the disk did not answer", queue.ErrIndeterminate)
	}
	results = make([]queue.Result, len(ops))
	var kept []queue.Op
	for i, op := range ops {
		put, isPut := op.(*queue.Put)
		switch {
		case isPut && trouble.Full:
			results[i] = s.full(put)
			continue
		case trouble.Unconfirmed && d.Fickle != nil && !d.Fickle():
			results[i].Err = queue.ErrUnconfirmed
			continue
		}
		op = copied(op)
		kept = append(kept, op)
		results[i] = s.mail.apply(op)
		if r := results[i]; isPut && d.Arrived != nil && r.Err == nil && !r.Duplicate && put.Tier != envelope.TierNone {
			arrived = append(arrived, s.mail.known[queue.Ref{Desk: put.Desk, ID: put.ID}])
		}
		if trouble.Unconfirmed {
			results[i] = queue.Result{Err: queue.ErrUnconfirmed}
		}
	}
	d.written = append(d.written[:d.before], kept...)
	if d.unsynced++; d.Late == 0 {
		d.sync()
	}
	return results, arrived, nil
}

// sync moves what was written to where a power cut does not reach it; d.mu is held.
func (d *Disk) sync() { d.synced, d.written, d.unsynced = append(d.synced, d.written...), nil, 0 }

// full answers a put that there is no room for: what is known already needs none.
func (s *Store) full(p *queue.Put) queue.Result {
	if known, ok := s.mail.repeated(p); ok {
		return known
	}
	return queue.Result{Err: queue.ErrFullDisk}
}

// copied keeps nothing of the caller's that the caller may change.
func copied(op queue.Op) queue.Op {
	switch op := op.(type) {
	case *queue.Put:
		c := *op
		c.Targets, c.AttendedHash, c.Envelope = slices.Clone(op.Targets), slices.Clone(op.AttendedHash), slices.Clone(op.Envelope)
		return &c
	case *queue.Notice:
		c := *op
		return &c
	case *queue.Ack:
		c := *op
		return &c
	case *queue.Attend:
		c := *op
		return &c
	case *queue.DropDevice:
		c := *op
		return &c
	case *queue.Expire:
		c := *op
		return &c
	}
	return op
}

// State implements queue.Store.
func (s *Store) State(context.Context) (queue.State, error) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if s.closed {
		return queue.State{}, queue.ErrClosed
	}
	return queue.State{Epoch: s.disk.epoch, Guarantee: queue.GuaranteeDisk}, nil
}

// Read implements queue.Store.
func (s *Store) Read(_ context.Context, desk identity.DeskID, after queue.Position, limit queue.Limit) (queue.Page, error) {
	if limit.Records < 1 || limit.Bytes < 1 {
		return queue.Page{}, fmt.Errorf("%w: a read without a limit", queue.ErrUnavailable)
	}
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if err := s.usable(); err != nil {
		return queue.Page{}, err
	}
	page := queue.Page{Next: after}
	size := 0
	for _, e := range s.mail.box(desk).entries {
		if e.position <= after {
			continue
		}
		r := e.record()
		if size += len(r.Envelope); len(page.Records) >= min(limit.Records, queue.MaxBatchOps) || len(page.Records) > 0 && size > limit.Bytes {
			page.More = true
			return page, nil
		}
		page.Records, page.Next = append(page.Records, r), e.position
	}
	return page, nil
}

// Cursor implements queue.Store.
func (s *Store) Cursor(_ context.Context, desk identity.DeskID, device identity.DeviceID) (queue.Cursor, error) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if err := s.usable(); err != nil {
		return queue.Cursor{}, err
	}
	b := s.mail.box(desk)
	return queue.Cursor{Position: b.cursors[device], Last: b.last, Dropped: b.dropped[device]}, nil
}

// Waiting implements queue.Store.
func (s *Store) Waiting(_ context.Context, after queue.Ref, limit int) ([]queue.Unattended, error) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	var list []queue.Unattended
	for ref, e := range s.mail.known {
		if e.waits() && (after == queue.Ref{} || compareRefs(ref, after) > 0) {
			list = append(list, e.unattended())
		}
	}
	slices.SortFunc(list, func(a, b queue.Unattended) int { return compareRefs(a.Ref, b.Ref) })
	return list[:min(limit, len(list))], nil
}

func compareRefs(a, b queue.Ref) int {
	if a.Desk != b.Desk {
		return cmp.Compare(a.Desk, b.Desk)
	}
	return bytes.Compare(a.ID[:], b.ID[:])
}

// Close implements queue.Store.
func (s *Store) Close() error {
	s.committing <- struct{}{}
	defer func() { <-s.committing }()
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if !s.closed && !s.dead {
		s.disk.sync()
	}
	s.closed = true
	return nil
}
