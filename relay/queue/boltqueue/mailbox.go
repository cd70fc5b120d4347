package boltqueue

import (
	"slices"
	"sort"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// mailbox is the order of one desk's records: 48 bytes of memory for each.
type mailbox struct {
	entries []entry // by rising position; the first is never dead
	dead    int     // entries that are deleted and still stand here
}

// entry is where a record stands, and enough to count and delete it.
type entry struct {
	position   queue.Position
	sequence   uint64
	size       uint32 // of the envelope
	sealerDesk deskNumber
	kind       queue.Kind
	dead       bool
	targets    *[]identity.DeviceID // nil when not in memory: the record says
}

// find returns the index of the first entry at or after p.
func (m *mailbox) find(p queue.Position) int {
	return sort.Search(len(m.entries), func(i int) bool { return m.entries[i].position >= p })
}

// at returns the entry at p, or nil. It is valid until the mailbox changes.
func (m *mailbox) at(p queue.Position) *entry {
	i := m.find(p)
	if i == len(m.entries) || m.entries[i].position != p || m.entries[i].dead {
		return nil
	}
	return &m.entries[i]
}

// add enters e, which is nearly always the last.
func (m *mailbox) add(e entry) {
	i := len(m.entries)
	if i > 0 && m.entries[i-1].position > e.position {
		i = m.find(e.position)
	}
	m.entries = slices.Insert(m.entries, i, e)
}

// remove deletes the entry at p. Devices read in order, so that it is nearly
// always the first.
func (m *mailbox) remove(p queue.Position) {
	e := m.at(p)
	if e == nil {
		return
	}
	e.dead, e.targets = true, nil
	m.dead++
	first := 0
	for first < len(m.entries) && m.entries[first].dead {
		first++
	}
	m.entries, m.dead = m.entries[first:], m.dead-first
	if m.dead > 32 && m.dead > len(m.entries)/2 {
		m.entries = slices.DeleteFunc(m.entries, func(e entry) bool { return e.dead })
		m.dead = 0
	}
	if len(m.entries) == 0 {
		m.entries = nil
	}
}

// after returns copies of at most limit entries after p that are not newer than
// sequence, and whether there are more.
func (m *mailbox) after(p queue.Position, sequence uint64, limit int) (list []entry, more bool) {
	for _, e := range m.entries[m.find(p+1):] {
		switch {
		case e.dead || e.sequence > sequence:
			continue
		case len(list) == limit:
			return list, true
		}
		list = append(list, e)
	}
	return list, false
}
