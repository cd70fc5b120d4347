package schakel_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/page"
)

var (
	deskDeadlines = flag.Int("deadlines", 40, "simulated deadlines of the pagers of desks")
	deskSeed      = flag.Uint64("seed", 0, "of that simulation; 0: another each time")
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
	back       bool // nothing happens but that all clocks are set back
	mute       bool // control: they tell each other nothing
	deaf       bool // control: nobody pages

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

// Notify takes a while, and fails once in fifty.
func (p deskPhone) Notify(_ context.Context, pg page.Page) error {
	p.o.mu.Lock()
	luck := rand.New(rand.NewPCG(p.o.seed, uint64(crc32.ChecksumIEEE([]byte(p.target+pg.Reference)))+uint64(time.Since(p.o.began)/time.Second)))
	fails := luck.IntN(50) == 0 || p.o.deaf
	if !p.o.deaf {
		p.o.rang = append(p.o.rang, deskRing{time.Now(), p.target, pg.Reference, pg.Waiting, !fails})
	}
	p.o.mu.Unlock()
	<-time.After(100*time.Millisecond + time.Duration(luck.Int64N(int64(300*time.Millisecond))))
	if fails && !p.o.deaf {
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
	n, err := schakel.New(schakel.Config{Store: d.st, Now: d.now, Every: 2 * time.Second, PINWork: 4, Channels: d})
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
			o.setBack()
			fault = now.Add(24 * time.Hour)
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

// deskVerdict is what the oracle found.
type deskVerdict struct {
	deadlines, pages, twice int
	missed                  []string
}

// soon is how late a page may be: three devices that wait for each other, one after the
// other, a page that fails, and a round.
const soon = 100 * time.Second

// judge asks of each letter whether each of its rungs rang, and of the journals of all
// devices how often.
func (o *office) judge(t *testing.T) (v deskVerdict) {
	t.Helper()
	for _, l := range o.letters {
		reference := page.Reference(o.devices[0].key, []byte("waiting "+l.hash.String()))
		for target, after := range map[string]time.Duration{firstMail: 0, backupMail: 5 * time.Minute, allMail: 20 * time.Minute} {
			due := l.at.Add(after + soon)
			if !l.acked.IsZero() && l.acked.Before(due) {
				continue
			}
			if v.deadlines++; !o.heard(target, reference, l.at.Add(-10*time.Second), due) {
				v.missed = append(v.missed, fmt.Sprintf("%s about %s of %v: nobody by %v", target, reference, l.at.Sub(o.began), due.Sub(o.began)))
			}
		}
	}
	type rung struct {
		subject, contact, channel string
		rung                      int
	}
	times := map[rung]int{}
	for _, d := range o.devices {
		err := d.st.View(context.Background(), func(tx *store.Tx) error {
			rows, err := tx.Pages(store.PagedQuery{Limit: 1 << 20})
			for _, r := range rows {
				if r.Device == d.node.Device() && r.Kind == "waiting" && (r.Outcome == string(page.Sent) || r.Outcome == "interrupted") {
					times[rung{r.Subject, r.Contact, r.Channel, r.Rung}]++
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(v.missed) > 0 {
		t.Logf("faults: %q", o.story)
	}
	if len(v.missed) > 0 {
		t.Logf("faults: %q", o.story)
	}
	for _, n := range times {
		v.pages += n
		v.twice += n - 1
	}
	return v
}

// heard reports whether a telephone was called about something, alone or with others, and
// somebody took it: that one, or, where its own channels all failed, the next.
func (o *office) heard(target, reference string, from, to time.Time) bool {
	rang := func(ok func(deskRing) bool) bool {
		return slices.ContainsFunc(o.rang, func(r deskRing) bool {
			return !r.at.Before(from) && !r.at.After(to) && (r.reference == reference || r.waiting > 1) && ok(r)
		})
	}
	return rang(func(r deskRing) bool { return r.target == target }) && rang(func(r deskRing) bool { return r.taken })
}

// newOffices makes desks of two and three devices that know each other and have a rota.
func newOffices(t *testing.T, desks int) (all [][]string, base func() time.Time) {
	t.Helper()
	chain := schakeltest.New(t)
	var members []*schakeltest.Member
	for i := range desks {
		first := chain.Join(identity.DeskID(fmt.Sprintf("politie-%d/meldkamer", i)), identity.RolePolitie)
		of := []*schakeltest.Member{first}
		first.Start()
		for range 1 + i%2 {
			m := first.Sibling()
			m.Start()
			of = append(of, m)
		}
		giveRota(t, first)
		var dirs []string
		for _, m := range of {
			eventually(t, "the devices know each other, and the rota", func() bool {
				_, err := m.Node.Roster(testContext(t))
				return err == nil && m.Node.SiblingsForTest() == len(of)-1
			})
			dirs = append(dirs, m.Files())
		}
		members, all = append(members, of...), append(all, dirs)
	}
	for _, m := range members {
		m.Stop()
		if err := m.Store().Close(); err != nil {
			t.Fatal(err)
		}
	}
	chain.StopRelay()
	return all, chain.Now
}

// simulate runs one desk for so many letters.
func simulate(t *testing.T, dirs []string, base time.Time, seed uint64, letters int, wrong func(*office)) (v deskVerdict) {
	t.Helper()
	body := example(t, "melding")
	synctest.Test(t, func(t *testing.T) {
		o := &office{seed: seed, Rand: rand.New(rand.NewPCG(seed, uint64(len(dirs)))), began: time.Now(), base: base}
		for _, dir := range dirs {
			o.devices = append(o.devices, &deskDevice{o: o, dir: dir, key: []byte("one key for all, so that the oracle can tell")})
		}
		wrong(o)
		o.run(t, letters, body)
		for _, d := range o.devices {
			if d.node == nil {
				t.Fatal("a device stayed off")
			}
		}
		v = o.judge(t)
		for _, d := range o.devices {
			d.stop()
		}
	})
	return v
}

// TestDeskSimulation has the devices of desks page through restarts, deaths, cut networks
// and set clocks: no deadline is missed, and one in a hundred pages at most goes out twice.
func TestDeskSimulation(t *testing.T) {
	t.Parallel()
	seed := *deskSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	desks, now := newOffices(t, max(2, min(16, *deskDeadlines/300)))
	t.Logf("replay with: go test ./clients/schakel -run TestDeskSimulation -args -seed=%d -deadlines=%d", seed, *deskDeadlines)
	var all deskVerdict
	base := now()
	for i, dirs := range desks {
		v := simulate(t, dirs, base, seed+uint64(i), 1+*deskDeadlines*2/3/len(desks), func(*office) {})
		all.deadlines, all.pages, all.twice, all.missed = all.deadlines+v.deadlines, all.pages+v.pages, all.twice+v.twice, append(all.missed, v.missed...)
	}
	t.Logf("%d desks, %d deadlines, %d pages, %d sent twice, %d missed", len(desks), all.deadlines, all.pages, all.twice, len(all.missed))
	for _, m := range all.missed[:min(10, len(all.missed))] {
		t.Error(m)
	}
	if all.twice > all.pages/100+8 { // in a short one a single fault can make some
		t.Errorf("%d of %d pages were sent twice", all.twice, all.pages)
	}
	if all.deadlines < *deskDeadlines/2 || all.pages < all.deadlines {
		t.Errorf("only %d deadlines and %d pages", all.deadlines, all.pages)
	}
}

// Two devices whose clocks are both set back do not take each other's pages for old ones.
func TestDeskClocksSetBack(t *testing.T) {
	t.Parallel()
	desks, now := newOffices(t, 1)
	v := simulate(t, desks[0], now(), 11, 5, func(o *office) { o.back = true })
	if v.twice > 0 || len(v.missed) > 0 || v.pages == 0 || v.pages > 5*40 {
		t.Errorf("%d pages, %d sent twice, missed %q", v.pages, v.twice, v.missed)
	}
}

// TestDeskSimulationNotices: the oracle sees devices that do not tell each other, and
// telephones that do not ring.
func TestDeskSimulationNotices(t *testing.T) {
	t.Parallel()
	desks, now := newOffices(t, 2)
	mute := simulate(t, desks[0], now(), 7, 6, func(o *office) { o.mute = true })
	deaf := simulate(t, desks[1], now(), 7, 2, func(o *office) { o.deaf = true })
	if mute.twice*10 < mute.pages || mute.pages == 0 {
		t.Errorf("devices that tell each other nothing: %d of %d twice", mute.twice, mute.pages)
	}
	if len(deaf.missed) == 0 {
		t.Error("telephones that do not ring: nothing missed")
	}
}
