package schakel

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/relay/page"
)

// Figures is what this device counts, for who watches machines: numbers and times only. No
// person, case, desk, class of message or text is in it.
type Figures struct {
	Connected  bool
	Contact    time.Time // when the connection to the relay last stood; zero: not since the node began
	ClockAhead time.Duration
	KeysUntil  time.Time // of the published keys
	DeviceEnds time.Time // when the register's entry of this device does

	Leaving        Held                         // for others, and at no relay yet
	Unacknowledged [envelope.TierAcute + 1]Held // received, and waiting for a person of this desk to sign; by tier
	Unheard        [envelope.TierAcute + 1]int  // sent, and no person there signed in time; by tier
	Duties         int                          // what cases ask of this desk besides, in time
	Overdue        int                          // and what is late
	Alarms         map[AlarmKind]int            // every kind is there
	Pages          map[PageCount]uint64         // of this device, since the node began
	Pager          bool                         // it pages
	Beat           time.Time                    // when the pager last looked at what is due

	Rota        RotaStatus
	DrillAnswer time.Time // when a person here last acknowledged a drill; zero: in none of the latest hundred
	Backup      time.Time // zero: none was made
	Quarantined int
	Rejected    int
}

// Held is how much waits, and since when the oldest of it does.
type Held struct {
	Number int
	Since  time.Time // zero where nothing waits
}

func (h *Held) add(since time.Time) {
	if h.Number++; h.Since.IsZero() || since.Before(h.Since) {
		h.Since = since
	}
}

// PageCount is what pages are counted by.
type PageCount struct {
	Tier             envelope.Tier
	Channel, Outcome string // of fixed tables
}

// pageCounts is what became of the pages of this device.
type pageCounts struct {
	mu sync.Mutex
	of map[PageCount]uint64
}

func (p *pageCounts) count(e errand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[PageCount]uint64{}
	}
	p.of[PageCount{e.page.Tier, page.ChannelLabel(e.point.Channel), string(e.outcome)}]++
}

func (p *pageCounts) all() map[PageCount]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.of)
}

// Figures counts. What stands in Status too is the same number.
func (n *Node) Figures(ctx context.Context) (f Figures, err error) {
	st, err := n.Status(ctx)
	if err != nil {
		return f, err
	}
	f = Figures{Connected: st.Connected, ClockAhead: st.ClockAhead, KeysUntil: st.KeysUntil, Rota: st.Rota, Quarantined: st.Quarantined, Rejected: st.Rejected,
		Pager: n.channels != nil, Pages: n.paging.all(), Alarms: map[AlarmKind]int{}}
	if at := n.beat.Load(); at != 0 {
		f.Beat = time.Unix(at, 0)
	}
	if d, ok := n.directory().Device(n.dev.ID); ok {
		f.DeviceEnds = d.Until
	}
	var epoch [16]byte
	n.mu.Lock()
	f.Contact = n.conn.lost
	if n.conn.up {
		f.Contact = n.now()
	}
	if n.session != nil {
		epoch = n.session.ready.StoreEpoch
	}
	n.mu.Unlock()
	return f, n.store.View(ctx, func(tx *store.Tx) error {
		if f.Leaving.Number, _, f.Leaving.Since, err = n.leaving(tx, epoch); err != nil {
			return err
		}
		return errors.Join(n.countMessages(tx, &f), n.countDuties(tx, &f), n.countAlarms(tx, &f), n.countPrecautions(tx, &f))
	})
}

// leaving is what is on its way to others and at no relay yet: how much, how much of it
// has not even been sealed, because no key of the desk is here, and since when.
func (n *Node) leaving(tx *store.Tx, epoch [16]byte) (all, unsealed int, since time.Time, err error) {
	sealed, since, err := tx.NotAtRelay(epoch, n.now())
	if err != nil {
		return 0, 0, since, err
	}
	rest, err := tx.Undelivered(n.now(), maxList)
	h := Held{sealed, since}
	for _, r := range rest {
		h.add(r.Pending)
	}
	return h.Number, len(rest), h.Since, err
}

func (n *Node) countMessages(tx *store.Tx, f *Figures) error {
	rows, err := tx.Messages(store.Query{Direction: store.In, Unacknowledged: true, Order: store.Urgent, Limit: maxList})
	short, broken := n.shortHanded(tx)
	for _, s := range short {
		rows = append(rows, s.Message)
	}
	for _, row := range rows {
		if !n.ackDue(row).IsZero() {
			f.Unacknowledged[protocol.TierOf(row.Urgency, row.Class)].add(row.Received)
		}
	}
	late, failed := tx.Unconfirmed(n.now())
	for _, r := range late {
		if r.State == store.Rejected || r.State == store.Failed || r.Desk == n.dev.Desk {
			continue
		}
		row, err := tx.Message(r.Message)
		if err == nil || errors.Is(err, store.ErrRestricted) {
			f.Unheard[protocol.TierOf(row.Urgency, row.Class)]++
		}
	}
	return errors.Join(err, broken, failed)
}

func (n *Node) countDuties(tx *store.Tx, f *Figures) error {
	now := n.now()
	cases, err := n.duties.look(n, tx, now)
	for _, c := range cases {
		for _, due := range c.due {
			if due.After(now) {
				f.Duties++
			} else {
				f.Overdue++
			}
		}
	}
	return err
}

func (n *Node) countAlarms(tx *store.Tx, f *Figures) error {
	for _, k := range AlarmKinds() {
		f.Alarms[k] = 0
	}
	rows, err := tx.Alarms()
	for _, a := range rows {
		f.Alarms[AlarmKind(a.Kind)]++
	}
	return err
}

// countPrecautions is when a drill was last answered, and a backup made.
func (n *Node) countPrecautions(tx *store.Tx, f *Figures) error {
	rows, err := tx.Messages(store.Query{Direction: store.In, Exercise: true, Limit: maxLooked})
	for _, row := range rows {
		if row.Acknowledged.After(f.DrillAnswer) && !n.ackDeadline(headOf(row)).IsZero() {
			f.DrillAnswer = row.Acknowledged
		}
	}
	s, broken := safety(tx)
	f.Backup = s.Backup
	return errors.Join(err, broken)
}
