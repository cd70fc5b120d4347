package queuetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// model is the contract as simply as it can be written: lists, maps and no
// persistence. It takes positions from the store and checks that they rise.
type model struct {
	boxes    map[identity.DeskID]*box
	known    map[queue.Ref]*entry // until expiry
	now      uint64
	expected []notice // what the latest op must have written
}

type box struct {
	entries []*entry
	cursors map[identity.DeviceID]queue.Position
	dropped map[identity.DeviceID]bool
	last    queue.Position
}

// entry is an envelope or, when put is nil, a notice.
type entry struct {
	put      *queue.Put
	notice   notice
	position queue.Position
	attended bool
}

type notice struct {
	desk    identity.DeskID
	device  identity.DeviceID
	kind    queue.NoticeKind
	id      envelope.ID
	expires uint64
}

func newModel() *model {
	return &model{boxes: make(map[identity.DeskID]*box), known: make(map[queue.Ref]*entry)}
}

func (m *model) box(desk identity.DeskID) *box {
	b := m.boxes[desk]
	if b == nil {
		b = &box{cursors: make(map[identity.DeviceID]queue.Position), dropped: make(map[identity.DeviceID]bool)}
		m.boxes[desk] = b
	}
	return b
}

// apply changes the model as op changes a store, and reports how the store's
// result differs from what the contract says.
func (m *model) apply(op queue.Op, r queue.Result) error {
	switch op := op.(type) {
	case *queue.Put:
		return m.put(op, r)
	case *queue.Ack:
		return m.ack(op, r)
	case *queue.DropDevice:
		m.box(op.Desk).dropped[op.Device] = true
		return r.Err
	case *queue.Attend:
		return m.attend(op, r)
	case *queue.Expire:
		return m.expire(op, r)
	case *queue.Notice:
		n := notice{op.Desk, op.Device, op.Kind, op.ID, op.Created + queue.NoticeLife}
		if m.box(op.Desk).dropped[op.Device] {
			return wantResult(r, r.Err == nil && r.Position == 0)
		}
		return m.box(op.Desk).add(&entry{notice: n, position: r.Position})
	}
	return fmt.Errorf("the model does not know %T", op)
}

func wantResult(r queue.Result, ok bool) error {
	if !ok {
		return fmt.Errorf("unexpected result %+v", r)
	}
	return nil
}

func (b *box) add(e *entry) error {
	if e.position <= b.last {
		return fmt.Errorf("position %d after %d", e.position, b.last)
	}
	b.last = e.position
	b.entries = append(b.entries, e)
	return nil
}

func (m *model) put(op *queue.Put, r queue.Result) error {
	ref := queue.Ref{Desk: op.Desk, ID: op.ID}
	first := m.known[ref]
	switch {
	case first != nil && first.put.Digest != op.Digest:
		return wantResult(r, errors.Is(r.Err, queue.ErrConflict))
	case first != nil:
		return wantResult(r, r.Err == nil && r.Duplicate && r.Position == first.position && r.Salt == first.put.Salt)
	case op.Expires <= m.now:
		return wantResult(r, errors.Is(r.Err, queue.ErrExpired))
	case r.Err != nil || r.Duplicate || r.Salt != op.Salt:
		return wantResult(r, false)
	}
	e := &entry{put: op, position: r.Position}
	m.known[ref] = e
	m.box(op.SealerDesk)
	return m.box(op.Desk).add(e)
}

func (m *model) ack(op *queue.Ack, r queue.Result) error {
	b := m.box(op.Desk)
	switch {
	case op.Position > b.last && errors.Is(r.Err, queue.ErrAhead):
		return nil // a store may know of greater positions than it gave
	case b.dropped[op.Device]:
		return wantResult(r, errors.Is(r.Err, queue.ErrDropped))
	case r.Err == nil:
		b.cursors[op.Device] = max(b.cursors[op.Device], op.Position)
	}
	return r.Err
}

func (m *model) attend(op *queue.Attend, r queue.Result) error {
	e := m.known[queue.Ref{Desk: op.Desk, ID: op.ID}]
	sum := sha256.Sum256(op.Token[:])
	if e == nil || e.put.Expires <= m.now || !slices.Equal(e.put.AttendedHash, sum[:]) {
		return wantResult(r, errors.Is(r.Err, queue.ErrToken))
	}
	e.attended = true
	return r.Err
}

func (m *model) expire(op *queue.Expire, r queue.Result) error {
	m.now = max(m.now, op.Now)
	for _, gone := range r.Expired {
		e := m.known[gone.Ref]
		if e == nil || e.position != gone.Position {
			continue // a notice
		}
		if e.put.Expires > op.Now || gone.Delivered != m.box(gone.Desk).delivered(e) {
			return fmt.Errorf("unexpected expiry %+v", gone)
		}
		if !gone.Delivered {
			m.expected = append(m.expected, notice{e.put.SealerDesk, e.put.Sealer, queue.NoticeExpired, gone.ID, op.Now + queue.NoticeLife})
		}
		delete(m.known, gone.Ref)
	}
	for ref, e := range m.known {
		if e.put.Expires <= op.Now {
			return fmt.Errorf("%s did not expire", ref.ID)
		}
	}
	for _, b := range m.boxes {
		b.entries = slices.DeleteFunc(b.entries, func(e *entry) bool { return e.expires() <= op.Now })
	}
	return r.Err
}

func (e *entry) expires() uint64 {
	if e.put != nil {
		return e.put.Expires
	}
	return e.notice.expires
}

func (b *box) delivered(e *entry) bool {
	return slices.ContainsFunc(e.put.Targets, func(d identity.DeviceID) bool { return b.cursors[d] >= e.position })
}

// finished reports whether an entry must be gone after a commit.
func (b *box) finished(e *entry) bool {
	targets := []identity.DeviceID{e.notice.device}
	if e.put != nil {
		targets = e.put.Targets
	}
	passed := func(d identity.DeviceID) bool { return b.dropped[d] || b.cursors[d] >= e.position }
	return !slices.ContainsFunc(targets, func(d identity.DeviceID) bool { return !passed(d) }) &&
		(e.put == nil || b.delivered(e))
}

// compare takes the notices that the latest commit promised out of records, and
// reports how the rest differs from the model's mailbox.
func (m *model) compare(desk identity.DeskID, records []queue.Record) error {
	b := m.box(desk)
	b.entries = slices.DeleteFunc(b.entries, b.finished)
	for i := len(b.entries); i < len(records); i++ {
		if err := m.promised(desk, &records[i]); err != nil {
			return err
		}
	}
	if len(records) != len(b.entries) {
		return fmt.Errorf("%d records in %s, want %d", len(records), desk, len(b.entries))
	}
	for i, e := range b.entries {
		if err := e.same(&records[i]); err != nil {
			return fmt.Errorf("record %d of %s: %w", i, desk, err)
		}
	}
	return nil
}

func (m *model) promised(desk identity.DeskID, r *queue.Record) error {
	for i, n := range m.expected {
		if n.desk == desk && n.id == r.ID && r.Kind == queue.KindNotice {
			m.expected = slices.Delete(m.expected, i, i+1)
			return m.box(desk).add(&entry{notice: n, position: r.Position})
		}
	}
	return fmt.Errorf("unexpected record %d of %s", r.Position, desk)
}

func (e *entry) same(r *queue.Record) error {
	if r.Position != e.position {
		return fmt.Errorf("position %d, want %d", r.Position, e.position)
	}
	if e.put != nil {
		return same(r, e.put)
	}
	got := notice{e.notice.desk, r.Targets[0], r.Notice, r.ID, r.Expires}
	if r.Kind != queue.KindNotice || len(r.Targets) != 1 || got != e.notice {
		return fmt.Errorf("notice %+v, want %+v", got, e.notice)
	}
	return nil
}

// waiting returns what must wait for a person.
func (m *model) waiting() map[queue.Ref]bool {
	waits := make(map[queue.Ref]bool)
	for ref, e := range m.known {
		if e.put.Tier != envelope.TierNone && !e.attended {
			waits[ref] = true
		}
	}
	return waits
}
