package schakel_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/page"
)

// office is a desk with two or three devices that page, in time that stands still until
// everybody waits. Their stores and pagers are real; what they tell each other comes after
// a moment, or once they can reach each other again.
type office struct {
	*rand.Rand // of what the world does, in its order; the luck of a page is its own
	seed       uint64
	began      time.Time // of the simulation
	base       time.Time // what the clocks said then
	devices    []*deskDevice
	back       bool // nothing happens but that all clocks are set back, and later all devices are started again
	mute       bool // control: they tell each other nothing
	deaf       bool // control: nobody pages
	lying      bool // control: what fails says that it did not
	fail       int  // one page in so many fails; 0: in ten

	mu      sync.Mutex // guards what follows
	rang    []deskRing
	letters []*deskLetter
	story   []string // the faults, for who looks for the reason of one
}

type deskRing struct {
	at        time.Time
	target    string
	reference string
	waiting   int
	taken     bool
}

type deskLetter struct {
	hash  message.Hash
	raw   store.Message
	at    time.Time // when it came to the relay
	acked time.Time // zero: never
}

// parcel is what comes to a device: a message, that a colleague acknowledged, or what another
// device paged.
type parcel struct {
	due    time.Time
	letter *deskLetter
	acked  *deskLetter
	paged  *delivery.Record
}

type deskDevice struct {
	o    *office
	dir  string
	key  []byte
	node *schakel.Node // nil: off
	st   *store.Store
	stop func()
	cut  bool // from the relay
	skew time.Duration
	mail []parcel
}

func (d *deskDevice) now() time.Time {
	d.o.mu.Lock()
	defer d.o.mu.Unlock()
	return d.o.base.Add(time.Since(d.o.began) + d.skew)
}

// HasHook implements schakel.Channels.
func (d *deskDevice) HasHook() bool { return false }

// For implements schakel.Channels.
func (d *deskDevice) For(p page.Point) (page.Notifier, error) { return deskPhone{d.o, p.Target}, nil }

type deskPhone struct {
	o      *office
	target string
}

// Notify takes a while, and fails now and then.
func (p deskPhone) Notify(_ context.Context, pg page.Page) error {
	p.o.mu.Lock()
	luck := rand.New(rand.NewPCG(p.o.seed, uint64(crc32.ChecksumIEEE([]byte(p.target+pg.Reference)))+uint64(time.Since(p.o.began)/time.Second)))
	fails := luck.IntN(cmp.Or(p.o.fail, 10)) == 0 || p.o.deaf
	if !p.o.deaf {
		p.o.rang = append(p.o.rang, deskRing{time.Now(), p.target, pg.Reference, pg.Waiting, !fails})
	}
	p.o.mu.Unlock()
	<-time.After(100*time.Millisecond + time.Duration(luck.Int64N(int64(300*time.Millisecond))))
	if fails && !p.o.deaf && !p.o.lying {
		return page.ErrBusy
	}
	return nil
}

func (d *deskDevice) start() {
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	if d.st, err = store.Open(ctx, d.dir, store.Unlock{Keys: []vault.Way{vault.KeyFile{Path: d.dir + ".key"}}}); err != nil {
		panic(err)
	}
	n, err := schakel.New(schakel.Config{Store: d.st, Now: d.now, Every: 2 * time.Second, PINWork: 4, CoolingOff: -1, Channels: d})
	if err == nil {
		err = n.PageKeyForTest(ctx, d.key)
	}
	if err != nil {
		panic(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = n.PagesForTest(ctx) }()
	d.node = n
	d.stop = func() { cancel(); <-ended; _ = d.st.Close(); d.node = nil }
}

// kill ends a device between two transactions: what it was about to write down is lost.
func (d *deskDevice) kill() {
	_ = d.st.Close()
	d.stop()
}

// exchange is what the relay does for the devices: it brings what is due.
func (o *office) exchange() {
	for _, d := range o.devices {
		if d.node == nil || d.cut {
			continue
		}
		for _, r := range d.told() {
			for _, to := range o.devices {
				if to != d && !o.mute {
					to.mail = append(to.mail, parcel{due: time.Now().Add(o.moment()), paged: &r})
				}
			}
		}
		d.mail = slices.DeleteFunc(d.mail, func(p parcel) bool { return !p.due.After(time.Now()) && d.take(p) })
	}
}

func (o *office) moment() time.Duration {
	return 100*time.Millisecond + time.Duration(o.Int64N(int64(2*time.Second)))
}

// told takes what the pager of a device told the others.
func (d *deskDevice) told() (out []delivery.Record) {
	var rows []store.Record
	err := d.st.View(context.Background(), func(tx *store.Tx) (err error) {
		rows, err = tx.Records(delivery.RecordPaged, message.CaseRef{})
		return err
	})
	if err == nil && len(rows) > 0 {
		err = d.st.Update(context.Background(), func(tx *store.Tx) (err error) {
			for _, r := range rows {
				err = errors.Join(err, tx.DeleteRecord(r.Hash))
			}
			return err
		})
	}
	for _, r := range rows {
		s, broken := delivery.ParseRecord(r.Raw)
		err = errors.Join(err, broken)
		out = append(out, s.Record)
	}
	if err != nil {
		panic(err)
	}
	return out
}

func (d *deskDevice) take(p parcel) bool {
	var err error
	switch {
	case p.paged != nil:
		err = d.node.TakePagedForTest(context.Background(), *p.paged)
	case p.letter != nil:
		row := p.letter.raw
		row.Received = d.now()
		err = d.st.Update(context.Background(), func(tx *store.Tx) error { _, err := tx.SaveMessage(row); return err })
	default:
		err = d.st.Update(context.Background(), func(tx *store.Tx) error {
			return tx.SetAcknowledged(p.acked.hash, store.Acknowledgement{At: d.now(), Person: "P. Iket"})
		})
	}
	if err != nil {
		panic(err)
	}
	return true
}

// post has a message come: to each device that can hear of it, and to the others later.
func (o *office) post(t *testing.T, body []byte) {
	t.Helper()
	number := uint64(len(o.letters) + 1)
	m := message.Message{Version: message.Version, Created: uint64(o.base.Add(time.Since(o.began)).Unix()), Sender: message.Sender{Desk: "arts/praktijk", Device: identity.DeviceID{9}},
		Addressed: []identity.DeskID{"politie-mn/meldkamer"}, Body: body, Heading: message.Heading{Protocol: message.Protocol, Class: "melding", Urgency: message.Acute,
			Expires: uint64(o.base.Unix()) + 864000, Answers: []message.Ref{}, RestsOn: []message.Ref{}}, Attachments: []message.Attachment{}, Enclosed: [][]byte{}, Person: []byte{}}
	binary.BigEndian.PutUint64(m.ID[:], number)
	binary.BigEndian.PutUint64(m.Case[:], number)
	payload, _, err := m.ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	s, err := message.Assemble(payload, make([]byte, 64), nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &deskLetter{hash: s.Hash(), at: time.Now(), raw: store.Message{Hash: s.Hash(), ID: m.ID, Case: m.Case, Direction: store.In, Class: m.Heading.Class, Urgency: m.Heading.Urgency,
		Peer: m.Sender.Desk, Created: time.Unix(int64(m.Created), 0), Raw: s.Raw}}
	o.letters = append(o.letters, l)
	for _, d := range o.devices {
		d.mail = append(d.mail, parcel{due: time.Now().Add(o.moment()), letter: l})
	}
}

// acknowledge has somebody take some of what waits, at a device that is on.
func (o *office) acknowledge() {
	for _, l := range o.letters {
		if !l.acked.IsZero() || time.Since(l.at) < 20*time.Second || o.Float64() > 0.0012 && time.Since(l.at) < 30*time.Minute {
			continue
		}
		at := o.devices[o.IntN(len(o.devices))]
		if at.node == nil || slices.ContainsFunc(at.mail, func(p parcel) bool { return p.letter == l }) {
			continue
		}
		at.take(parcel{acked: l})
		l.acked = time.Now()
		for _, d := range o.devices {
			if d != at {
				d.mail = append(d.mail, parcel{due: time.Now().Add(3 * time.Second), acked: l}) // after the message itself
			}
		}
	}
}

// fault lets something go wrong that is over at a time, or at once.
func (o *office) fault() (over func(), after time.Duration) {
	d := o.devices[o.IntN(len(o.devices))]
	for d.node == nil {
		d = o.devices[o.IntN(len(o.devices))]
	}
	short := time.Second + time.Duration(o.Int64N(int64(3*time.Second)))
	long := time.Duration(o.Int64N(int64(10 * time.Minute)))
	kind := o.IntN(8)
	o.story = append(o.story, fmt.Sprintf("%v: fault %d of device %d, %v or %v", time.Since(o.began), kind, slices.Index(o.devices, d), short, long))
	switch kind {
	case 0, 1, 2: // the daemon is started again
		d.stop()
		return d.start, short
	case 3: // it is killed
		d.kill()
		return d.start, short
	case 4: // the machine is off for a while
		d.stop()
		return d.start, long
	case 5: // it has no network for a while
		d.cut = true
		return func() { d.cut = false }, long / 5
	default: // somebody sets its clock
		o.mu.Lock()
		step := time.Hour
		if d.skew > 0 || d.skew == 0 && o.IntN(2) == 0 {
			step = -step
		}
		d.skew += step
		o.mu.Unlock()
		return nil, 0
	}
}

func (o *office) setBack() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.devices {
		d.skew -= time.Hour
	}
}

// setBackOrRestart sets all clocks back, and a quarter of an hour later starts all devices
// again: what they noted by the clock that never goes back lies ahead of them then.
func (o *office) setBackOrRestart(now time.Time) (next time.Time) {
	if o.devices[0].skew == 0 {
		o.setBack()
		return now.Add(15 * time.Minute)
	}
	for _, d := range o.devices {
		d.stop()
		d.start()
	}
	return now.Add(24 * time.Hour)
}

// run simulates until so many deadlines have come, and what follows from them.
func (o *office) run(t *testing.T, letters int, body []byte) {
	for _, d := range o.devices {
		d.start()
	}
	next, fault, end := time.Now().Add(time.Minute), time.Now().Add(5*time.Minute), time.Time{}
	var over func()
	var until time.Time
	for tick := time.NewTicker(time.Second); ; <-tick.C {
		now := time.Now()
		o.exchange()
		if len(o.letters) < letters && now.After(next) {
			o.post(t, body)
			next = now.Add(time.Duration(o.Int64N(int64(4 * time.Minute))))
		}
		o.acknowledge()
		if over != nil && now.After(until) {
			over()
			over, fault = nil, now.Add(time.Minute+time.Duration(o.Int64N(int64(40*time.Minute))))
		}
		if o.back && now.After(fault) {
			fault = o.setBackOrRestart(now)
		}
		if over == nil && now.After(fault) && !o.back {
			after := time.Duration(0)
			over, after = o.fault()
			if until = now.Add(after); over == nil {
				fault = now.Add(20 * time.Minute)
			}
		}
		if len(o.letters) == letters && end.IsZero() {
			end = now.Add(23 * time.Minute) // the last rung, and what may be late of it
		}
		if !end.IsZero() && now.After(end) && over == nil {
			tick.Stop()
			break
		}
	}
}
