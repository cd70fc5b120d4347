package oncalltest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/oncall"
	"schakel/relay/queue"
	"schakel/relay/wire"
)

// Memory is a journal in memory that several nodes may share: the contract, and
// nothing else. Simulations use it; it passes the suite.
type Memory struct {
	// Wall is its own clock.
	Wall func() time.Time
	// Waits reports whether an envelope still waits for a person; nil: not known here.
	Waits func(queue.Ref) bool

	mu           sync.Mutex // guards what follows
	holder       string
	until        time.Time
	term         uint64
	steady, wall time.Time
	rows         map[queue.Ref][]byte
	plans        map[identity.DeskID][]byte
	serials      map[identity.DeskID]uint64
	logs         map[identity.DeskID][]wire.Paged
	arrived      []queue.Unattended
}

var _ oncall.Journal = (*Memory)(nil)

// NewMemory returns an empty journal.
func NewMemory(wall func() time.Time) *Memory {
	return &Memory{
		Wall: wall, rows: make(map[queue.Ref][]byte), plans: make(map[identity.DeskID][]byte),
		serials: make(map[identity.DeskID]uint64), logs: make(map[identity.DeskID][]wire.Paged),
	}
}

// Hold implements oncall.Journal.
func (m *Memory) Hold(_ context.Context, b oncall.Bid) (oncall.Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.Wall()
	passed := max(0, now.Sub(m.wall))
	if m.wall.IsZero() {
		m.steady, passed = now, 0
	}
	others := m.holder != "" && m.holder != b.Node
	if others && (b.Span <= 0 || m.until.After(now) && !m.until.After(now.Add(b.Span))) {
		return oncall.Lease{Term: m.term, Steady: m.steady.Add(min(passed, b.Span))}, nil
	}
	if m.holder != b.Node {
		m.term++
		m.holder = b.Node
		if b.Steady.IsZero() {
			b.Steady = m.steady.Add(passed)
		}
	}
	if b.Steady.After(m.steady) {
		m.steady = b.Steady
	}
	m.wall, m.until = now, now.Add(b.Span)
	if b.Span <= 0 {
		m.holder = ""
	}
	return oncall.Lease{Held: b.Span > 0, Term: m.term, Steady: m.steady, Key: [32]byte{7}}, nil
}

// Write implements oncall.Journal.
func (m *Memory) Write(_ context.Context, term uint64, changes []oncall.Change) ([]oncall.Outcome, error) {
	if len(changes) > oncall.MaxChanges {
		return nil, fmt.Errorf("%w: %d changes", queue.ErrInvalid, len(changes))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if term < m.term {
		return nil, oncall.ErrLost
	}
	outcomes := make([]oncall.Outcome, len(changes))
	for i, c := range changes {
		now := m.rows[c.Ref]
		switch {
		case m.Waits != nil && len(c.After) > 0 && !m.Waits(c.Ref):
			outcomes[i].Err = oncall.ErrGone
			delete(m.rows, c.Ref)
		case bytes.Equal(now, c.After):
		case !bytes.Equal(now, c.Before):
			outcomes[i] = oncall.Outcome{Err: oncall.ErrStale, Now: bytes.Clone(now)}
		case len(c.After) == 0:
			delete(m.rows, c.Ref)
		default:
			m.rows[c.Ref] = bytes.Clone(c.After)
		}
	}
	return outcomes, nil
}

// Rows implements oncall.Journal.
func (m *Memory) Rows(_ context.Context, each func(queue.Ref, []byte)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for ref, row := range m.rows {
		each(ref, row)
	}
	return nil
}

// Arrive is what another node put.
func (m *Memory) Arrive(u queue.Unattended) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.arrived = append(m.arrived, u)
}

// Arrived implements oncall.Journal.
func (m *Memory) Arrived(_ context.Context, term uint64) (list []queue.Unattended, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if term < m.term {
		return nil, oncall.ErrLost
	}
	for _, u := range m.arrived {
		if m.Waits == nil || m.Waits(u.Ref) {
			list = append(list, u)
		}
	}
	m.arrived = nil
	return list, nil
}

// Publish implements oncall.Journal.
func (m *Memory) Publish(_ context.Context, desk identity.DeskID, serial uint64, plan []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch now, ok := m.plans[desk]; {
	case bytes.Equal(now, plan):
		return nil
	case ok && serial <= m.serials[desk]:
		return oncall.ErrSerial
	}
	m.plans[desk], m.serials[desk] = bytes.Clone(plan), serial
	return nil
}

// Plan implements oncall.Journal.
func (m *Memory) Plan(_ context.Context, desk identity.DeskID) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.plans[desk], nil
}

// Remove implements oncall.Journal.
func (m *Memory) Remove(_ context.Context, desk identity.DeskID) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, had := m.plans[desk]
	delete(m.plans, desk)
	delete(m.serials, desk)
	return had, nil
}

// Log implements oncall.Journal.
func (m *Memory) Log(_ context.Context, desk identity.DeskID, pages []wire.Paged) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := uint64(0)
	if log := m.logs[desk]; len(log) > 0 {
		last = log[len(log)-1].Number
	}
	for _, p := range pages {
		last++
		p.Number = last
		m.logs[desk] = append(m.logs[desk], p)
	}
	m.logs[desk] = m.logs[desk][max(0, len(m.logs[desk])-oncall.LogRows):]
	return nil
}

// Logged implements oncall.Journal.
func (m *Memory) Logged(_ context.Context, desk identity.DeskID, since uint64, limit int) (list []wire.Paged, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.logs[desk] {
		if p.Number > since && len(list) < limit {
			list = append(list, p)
		}
	}
	return list, nil
}
