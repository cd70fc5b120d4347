package lossy

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"slices"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// mail is what operations make of mailboxes. It is a function of them alone: no clock, no
// chance.
type mail struct {
	quota  queue.Quota
	boxes  map[identity.DeskID]*box
	known  map[queue.Ref]*entry // envelopes until they expire, read or not
	sealed map[identity.OrgID]*share
	now    uint64 // the latest Expire
}

type box struct {
	last    queue.Position
	entries []*entry
	waits   share // envelopes among them
	cursors map[identity.DeviceID]queue.Position
	dropped map[identity.DeviceID]bool
}

type share struct {
	records int
	bytes   int64
}

func (s *share) add(n, bytes int) { s.records, s.bytes = s.records+n, s.bytes+int64(bytes) }

func newMail(q queue.Quota) *mail {
	return &mail{
		quota: q, boxes: make(map[identity.DeskID]*box), known: make(map[queue.Ref]*entry),
		sealed: make(map[identity.OrgID]*share),
	}
}

func (m *mail) box(desk identity.DeskID) *box {
	b := m.boxes[desk]
	if b == nil {
		b = &box{cursors: make(map[identity.DeviceID]queue.Position), dropped: make(map[identity.DeviceID]bool)}
		m.boxes[desk] = b
	}
	return b
}

func (m *mail) shareOf(desk identity.DeskID) *share {
	s := m.sealed[desk.Org()]
	if s == nil {
		s = new(share)
		m.sealed[desk.Org()] = s
	}
	return s
}

// apply does what op says, or refuses it.
func (m *mail) apply(op queue.Op) queue.Result {
	if checked, ok := op.(interface{ Check() error }); ok {
		if err := checked.Check(); err != nil {
			return queue.Result{Err: err}
		}
	}
	switch op := op.(type) {
	case *queue.Put:
		return m.put(op)
	case *queue.Ack:
		return m.ack(op)
	case *queue.Attend:
		return m.attend(op)
	case *queue.DropDevice:
		m.box(op.Desk).dropped[op.Device] = true
		m.tidy(m.box(op.Desk))
		return queue.Result{}
	case *queue.Notice:
		return queue.Result{Position: m.tell(op)}
	case *queue.Expire:
		return queue.Result{Expired: m.expire(op)}
	case *queue.Quarantine: // nothing here is ever damaged
		for _, e := range m.box(op.Desk).entries {
			if e.position == op.Position {
				return queue.Result{Err: queue.ErrSound}
			}
		}
	}
	return queue.Result{}
}

// repeated answers a put whose ID is known.
func (m *mail) repeated(op *queue.Put) (queue.Result, bool) {
	first := m.known[queue.Ref{Desk: op.Desk, ID: op.ID}]
	switch {
	case first == nil:
		return queue.Result{}, false
	case first.put.Digest != op.Digest:
		return queue.Result{Err: queue.ErrConflict}, true
	}
	return queue.Result{Duplicate: true, Position: first.position, Salt: first.put.Salt}, true
}

func (m *mail) put(op *queue.Put) queue.Result {
	if answer, ok := m.repeated(op); ok {
		return answer
	}
	to, from, size := m.box(op.Desk), m.shareOf(op.SealerDesk), len(op.Envelope)
	switch q := m.quota; {
	case op.Expires <= m.now:
		return queue.Result{Err: queue.ErrExpired}
	case to.waits.records >= q.DeskRecords || to.waits.bytes+int64(size) > q.DeskBytes:
		return queue.Result{Err: queue.ErrFullDesk}
	case from.records >= q.SealerRecords || from.bytes+int64(size) > q.SealerBytes:
		return queue.Result{Err: queue.ErrFullSealer}
	}
	e := &entry{put: op}
	to.add(e)
	to.waits.add(1, size)
	from.add(1, size)
	m.known[queue.Ref{Desk: op.Desk, ID: op.ID}] = e
	return queue.Result{Position: e.position, Salt: op.Salt}
}

func (b *box) add(e *entry) {
	b.last++
	e.position = b.last
	b.entries = append(b.entries, e)
}

func (m *mail) ack(op *queue.Ack) queue.Result {
	b := m.box(op.Desk)
	switch {
	case b.dropped[op.Device]:
		return queue.Result{Err: queue.ErrDropped}
	case op.Position > b.last:
		return queue.Result{Err: queue.ErrAhead}
	}
	b.cursors[op.Device] = max(b.cursors[op.Device], op.Position)
	m.tidy(b)
	return queue.Result{}
}

// tidy takes out what all devices that it is for have passed.
func (m *mail) tidy(b *box) {
	b.entries = slices.DeleteFunc(b.entries, func(e *entry) bool {
		if !b.finished(e) {
			return false
		}
		m.free(b, e)
		return true
	})
}

// free gives back the room of an entry that leaves its mailbox.
func (m *mail) free(b *box, e *entry) {
	if e.put != nil {
		b.waits.add(-1, -len(e.put.Envelope))
		m.shareOf(e.put.SealerDesk).add(-1, -len(e.put.Envelope))
		e.read = true
	}
}

func (b *box) finished(e *entry) bool {
	if e.notice != nil {
		return b.dropped[e.notice.Device] || b.cursors[e.notice.Device] >= e.position
	}
	for _, d := range e.put.Targets {
		if !b.dropped[d] && b.cursors[d] < e.position {
			return false
		}
	}
	return b.delivered(e)
}

func (b *box) delivered(e *entry) bool {
	return slices.ContainsFunc(e.put.Targets, func(d identity.DeviceID) bool { return b.cursors[d] >= e.position })
}

func (m *mail) attend(op *queue.Attend) queue.Result {
	e := m.known[queue.Ref{Desk: op.Desk, ID: op.ID}]
	sum := sha256.Sum256(op.Token[:])
	if e == nil || e.put.Expires <= m.now || subtle.ConstantTimeCompare(e.put.AttendedHash, sum[:]) != 1 {
		return queue.Result{Err: queue.ErrToken}
	}
	e.attended = true
	return queue.Result{}
}

// tell writes a notice, and returns 0 when its device was dropped.
func (m *mail) tell(n *queue.Notice) queue.Position {
	b := m.box(n.Desk)
	if b.dropped[n.Device] {
		return 0
	}
	e := &entry{notice: n}
	b.add(e)
	return e.position
}

// due is an entry whose time has come.
type due struct {
	desk identity.DeskID
	*entry
}

func (m *mail) expire(op *queue.Expire) (gone []queue.Expired) {
	m.now = max(m.now, op.Now)
	var list []due
	for desk, b := range m.boxes {
		for _, e := range b.entries {
			if e.expires() <= op.Now {
				list = append(list, due{desk, e})
			}
		}
	}
	for ref, e := range m.known {
		if e.read && e.expires() <= op.Now {
			list = append(list, due{ref.Desk, e})
		}
	}
	slices.SortFunc(list, func(a, b due) int {
		return cmp.Or(cmp.Compare(a.expires(), b.expires()), cmp.Compare(a.desk, b.desk), cmp.Compare(a.position, b.position))
	})
	for _, d := range list[:min(len(list), op.Max)] {
		gone = append(gone, m.end(d, op.Now))
	}
	return gone
}

// end is the end of one envelope or notice, and the word to its sender where nobody read it.
func (m *mail) end(d due, now uint64) queue.Expired {
	b := m.box(d.desk)
	x := queue.Expired{Ref: queue.Ref{Desk: d.desk}, Position: d.position, Delivered: true}
	if d.notice != nil {
		x.ID = d.notice.ID
		b.remove(d.entry)
		return x
	}
	p := d.put
	x.ID, x.Tier = p.ID, p.Tier
	delete(m.known, x.Ref)
	if d.read {
		return x
	}
	x.Delivered, x.Sealer, x.SealerDesk = b.delivered(d.entry), p.Sealer, p.SealerDesk
	b.remove(d.entry)
	m.free(b, d.entry)
	if !x.Delivered {
		m.tell(&queue.Notice{Desk: p.SealerDesk, Device: p.Sealer, Kind: queue.NoticeExpired, ID: p.ID, Created: now})
	}
	return x
}

func (b *box) remove(e *entry) {
	b.entries = slices.DeleteFunc(b.entries, func(x *entry) bool { return x == e })
}

// entry is an envelope or, when put is nil, a notice.
type entry struct {
	put      *queue.Put
	notice   *queue.Notice
	position queue.Position
	attended bool
	read     bool // all targets have passed: it is no longer in its mailbox
}

func (e *entry) waits() bool { return e.put.Tier != envelope.TierNone && !e.attended }

func (e *entry) unattended() queue.Unattended {
	p := e.put
	return queue.Unattended{
		Ref: queue.Ref{Desk: p.Desk, ID: p.ID}, Tier: p.Tier, Created: p.Created, Expires: p.Expires,
		Position: e.position, Sealer: p.Sealer, SealerDesk: p.SealerDesk,
	}
}

func (e *entry) record() queue.Record {
	if n := e.notice; n != nil {
		return queue.Record{
			Position: e.position, Kind: queue.KindNotice, Notice: n.Kind, ID: n.ID, Created: n.Created,
			Expires: e.expires(), Targets: []identity.DeviceID{n.Device},
		}
	}
	p := e.put
	return queue.Record{
		Position: e.position, Kind: queue.KindEnvelope, Tier: p.Tier, ID: p.ID, Created: p.Created, Expires: p.Expires,
		Sealer: p.Sealer, SealerDesk: p.SealerDesk, Targets: p.Targets, Envelope: p.Envelope,
	}
}

func (e *entry) expires() uint64 {
	if e.notice != nil {
		return e.notice.Created + queue.NoticeLife
	}
	return e.put.Expires
}
