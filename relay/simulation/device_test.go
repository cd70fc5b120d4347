package simulation_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"schakel/crypto/custody"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/wire"
)

// letter is an envelope and what its sender knows of it.
type letter struct {
	id       envelope.ID
	raw      []byte
	from     *device
	desk     identity.DeskID
	targets  []identity.DeviceID
	tier     envelope.Tier
	token    [32]byte
	made     time.Time
	expires  time.Time
	attended bool // somebody means to, once it is there

	first   time.Time // when it was offered
	offered time.Time // the latest time
	flying  int       // in this session
	again   time.Time // not before, after a refusal
	stored  time.Time // when its receipt came; zero: none did
	salt    [16]byte
	refused wire.Code // for good
	late    bool      // its sender was told that nobody read it
	alarmed bool      // its sender was told that nobody attends
}

// arrival is what a device knows of an envelope for it.
type arrival struct {
	position uint64
	times    int
	shows    time.Time // when the person shows the token; zero: not, or shown
	shown    time.Time // first
}

// device is one device with a disk of its own, which never forgets.
type device struct {
	trusttest.Device
	w        *world
	number   int
	luck     *mathrand.Rand
	dials    int
	sessions int

	mu      sync.Mutex // guards what follows, and what letters say of their ways
	outbox  []*letter
	arrived map[envelope.ID]*arrival
	acked   uint64    // everything up to here is on the disk
	ackAt   time.Time // when that is so, and can be said; zero: it was said
	credit  uint32    // to give with it
}

// newDevice draws what a device sends, and when, for as long as there is trouble.
func newDevice(w *world, number int) *device {
	d := &device{Device: cast().devices[number], w: w, number: number, luck: w.luck(10 + number), arrived: make(map[envelope.ID]*arrival)}
	luck := w.luck(100 + number)
	for at := time.Duration(0); ; {
		at += time.Duration(luck.ExpFloat64() * float64(9*time.Second))
		if luck.IntN(3) > 0 && len(d.outbox) > 0 { // most come in groups
			at = d.outbox[len(d.outbox)-1].made.Sub(w.began) + time.Duration(luck.Int64N(int64(1500*time.Millisecond)))
		}
		if at >= troubled {
			return d
		}
		l := d.write(luck, w.began.Add(at))
		d.outbox = append(d.outbox, l)
		w.byID[l.id] = l
	}
}

// write makes a letter. Its sealed part is random: a relay cannot tell.
func (d *device) write(luck *mathrand.Rand, made time.Time) *letter {
	l := &letter{from: d, made: made, expires: made.Add(6 * 24 * time.Hour), attended: luck.IntN(2) == 0}
	for l.desk == "" || l.desk == d.Desk {
		l.desk = cast().desks[luck.IntN(len(cast().desks))]
	}
	if luck.IntN(10) == 0 {
		l.expires = made.Add(time.Duration(5+luck.IntN(60)) * time.Second)
	}
	var source [32]byte
	for i := range source {
		source[i] = byte(luck.Uint32())
	}
	stream := mathrand.NewChaCha8(source)
	id, err := identity.NewUUIDv7(made, stream)
	if err != nil {
		panic(err)
	}
	l.id = envelope.ID(id)
	h := envelope.Header{
		Version: 1, ID: l.id, Sealer: d.ID, Desk: l.desk, Created: uint64(made.Unix()), Expires: uint64(l.expires.Unix()),
		AgeLength: envelope.MinAge + uint64(luck.IntN(300)),
	}
	if luck.IntN(5) == 0 {
		h.AgeLength += uint64(luck.IntN(20_000))
	}
	if luck.IntN(12) == 0 {
		l.tier, l.token = envelope.TierAcute, sha256.Sum256(l.id[:])
		sum := sha256.Sum256(l.token[:])
		h.Tier, h.Attended = l.tier, sum[:]
	}
	for _, to := range cast().devices {
		if to.Desk == l.desk {
			h.Targets = append(h.Targets, envelope.Target{Device: to.ID, Epoch: 1})
			l.targets = append(l.targets, to.ID)
		}
	}
	slices.SortFunc(h.Targets, func(a, b envelope.Target) int { return slices.Compare(a.Device[:], b.Device[:]) })
	if l.raw, err = h.Prefix(); err != nil {
		panic(err)
	}
	sealed := make([]byte, h.AgeLength)
	_, _ = stream.Read(sealed)
	l.raw = append(l.raw, sealed...)
	return l
}

// live connects again and again.
func (d *device) live(ctx context.Context) {
	for tries := 0; ctx.Err() == nil; tries++ {
		began := time.Now()
		if d.session(ctx); ctx.Err() == nil {
			d.w.note(d.number, ended, nil)
		}
		if time.Since(began) > 10*time.Second {
			tries = 0
		}
		window := min(250*time.Millisecond<<min(tries, 10), 4*time.Second)
		select {
		case <-time.After(time.Duration(d.luck.Int64N(int64(window)))):
		case <-ctx.Done():
		}
	}
}

// What a device notes that is asked for.
const (
	ready   = "ready"
	ended   = "ended"
	alarmed = "alarmed by a "
)

var errAway = errors.New("the relay sends devices away")

// session is one connection, from the dial to its end.
func (d *device) session(ctx context.Context) error {
	d.dials++
	host := address(fmt.Sprintf("10.0.0.%d:%d", d.number+1, 1000+d.dials))
	dialling, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	by := d.w.net.dial(d.number, host, d.w.luck(10_000+1000*d.number+d.dials))
	c, err := wire.DialBy(dialling, "ws://relay.example", nil, by)
	if err != nil {
		return err
	}
	defer c.CloseNow()
	if err := d.login(dialling, c); err != nil {
		return err
	}
	d.w.note(d.number, ready, nil)
	reading, stop := context.WithCancel(ctx)
	frames, failed := make(chan []wire.Frame), make(chan error, 1)
	go func() {
		for {
			list, err := c.ReadFrames(reading)
			if err != nil {
				failed <- err
				return
			}
			select {
			case frames <- list:
			case <-reading.Done():
				failed <- reading.Err()
				return
			}
		}
	}()
	err = d.talk(ctx, c, frames, failed)
	stop()
	_ = c.CloseNow()
	if err == nil {
		<-failed
	}
	return err
}

func (d *device) login(ctx context.Context, c *wire.Conn) error {
	list, err := c.ReadFrames(ctx)
	if err != nil {
		return err
	}
	challenge, ok := list[0].(wire.Challenge)
	if !ok {
		return errAway
	}
	token, err := wire.SignLogin(d.Login.Private, d.ID, challenge, c.Binding(), c.Date(), rand.Reader)
	if err != nil {
		return err
	}
	if err := c.Write(ctx, token); err != nil {
		return err
	}
	c.SetReadLimit(wire.MaxMessage)
	if list, err = c.ReadFrames(ctx); err != nil {
		return err
	}
	if _, ok := list[0].(wire.Ready); !ok {
		return errAway
	}
	const messages = 8
	d.mu.Lock()
	d.sessions++
	d.credit, d.ackAt = 0, time.Time{}
	d.mu.Unlock()
	return c.Write(ctx, wire.Credit{Messages: messages, Bytes: 1 << 20})
}

// talk says what there is to say, and takes what is said. It returns nil where the session
// goes on until ctx ends.
func (d *device) talk(ctx context.Context, c *wire.Conn, frames <-chan []wire.Frame, failed chan error) error {
	for {
		say, next := d.due(time.Now())
		for _, f := range say {
			if err := c.Write(ctx, f); err != nil {
				return nil
			}
		}
		timer := time.NewTimer(next)
		select {
		case list := <-frames:
			timer.Stop()
			for _, f := range list {
				if err := d.hear(f); err != nil {
					return nil
				}
			}
		case err := <-failed:
			timer.Stop()
			return err
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// due is what can be said now, and how long until there is more.
func (d *device) due(now time.Time) (say []wire.Frame, next time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next = time.Hour
	at := func(t time.Time) bool {
		if t.After(now) {
			next = min(next, t.Sub(now))
			return false
		}
		return true
	}
	if !d.ackAt.IsZero() && at(d.ackAt) {
		say = append(say, wire.Ack{Position: d.acked}, wire.Credit{Messages: d.credit, Bytes: d.credit << 14})
		d.ackAt, d.credit = time.Time{}, 0
	}
	for _, l := range d.outbox {
		switch {
		case !l.stored.IsZero(), l.refused != wire.CodeOK, l.flying == d.sessions:
		case !at(l.made), !at(l.again):
		default:
			if l.first.IsZero() {
				l.first = now
			}
			l.offered, l.flying = now, d.sessions
			say = append(say, wire.Put{Envelope: l.raw})
		}
	}
	for _, l := range d.mail() {
		a := d.arrived[l.id]
		if a.shows.IsZero() || !at(a.shows) {
			continue
		}
		if a.shown.IsZero() {
			a.shown = now
		}
		a.shows = now.Add(5 * time.Second) // again, until there is an answer
		say = append(say, wire.Attended{ID: l.id, Token: l.token})
	}
	return say, next
}

// mail is what has arrived and asks for a person, in its order.
func (d *device) mail() (list []*letter) {
	for id, a := range d.arrived {
		if !a.shows.IsZero() {
			list = append(list, d.w.byID[id])
		}
	}
	slices.SortFunc(list, func(a, b *letter) int { return slices.Compare(a.id[:], b.id[:]) })
	return list
}

// hear takes a frame. An error ends the session.
func (d *device) hear(f wire.Frame) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch f := f.(type) {
	case wire.Stored:
		for _, leaf := range f.Leaves {
			d.promised(f.Batch, leaf)
		}
	case wire.Refused:
		d.refusedBy(f)
	case wire.Deliver:
		return d.take(f)
	case wire.Notice:
		d.noticed(f)
	case wire.AttendedIs:
		if a := d.arrived[f.ID]; a != nil && (f.Code == wire.CodeOK || f.Code.Final()) {
			a.shows = time.Time{}
		}
	case wire.GoAway:
		return errAway
	}
	return nil
}

// promised takes a receipt.
func (d *device) promised(b custody.Batch, leaf custody.Leaf) {
	l := d.w.byID[leaf.ID]
	if l == nil || l.from != d {
		d.w.accuse("promise: a receipt for what device %d never sent", d.number)
		return
	}
	if err := custody.Verify(b, leaf, sha256.Sum256(l.raw), cast().Receipt.Public()); err != nil {
		d.w.accuse("promise: %v", err)
		return
	}
	switch {
	case l.stored.IsZero():
		l.stored, l.salt = time.Now(), leaf.Salt
		d.w.note(d.number, "stored", &l.id)
	case l.salt != leaf.Salt:
		d.w.accuse("twice: another receipt for %s", l.id)
	}
}

func (d *device) refusedBy(f wire.Refused) {
	l := d.w.byID[f.ID]
	if l == nil || l.from != d {
		d.w.accuse("promise: a refusal of what device %d never sent", d.number)
		return
	}
	d.w.note(d.number, "refused "+f.Code.String(), &l.id)
	l.flying = 0
	l.again = time.Now().Add(200*time.Millisecond + time.Duration(d.luck.Int64N(int64(2*time.Second))))
	if f.Code.Final() {
		l.refused = f.Code
	}
}

// take stores what was delivered, and acknowledges it once it is on the disk.
func (d *device) take(f wire.Deliver) error {
	e, err := envelope.Parse(f.Envelope)
	if err != nil {
		d.w.accuse("damaged: %v", err)
		return err
	}
	l := d.w.byID[e.Header.ID]
	switch {
	case l == nil || !slices.Equal(l.raw, f.Envelope):
		d.w.accuse("damaged: device %d got what nobody sent", d.number)
		return nil
	case !slices.Contains(l.targets, d.ID):
		d.w.accuse("wrong desk: %s came to device %d of %s and is for %s", l.id, d.number, d.Desk, l.desk)
	}
	a := d.arrived[l.id]
	if a == nil {
		a = &arrival{position: f.Position}
		d.arrived[l.id] = a
		if l.attended && l.tier != envelope.TierNone {
			a.shows = time.Now().Add(time.Duration(d.luck.Int64N(int64(25 * time.Second))))
		}
		d.w.note(d.number, "got", &l.id)
	} else if a.position != f.Position {
		d.w.accuse("twice: %s stands at %d and at %d", l.id, a.position, f.Position)
	}
	a.times++
	return d.had(f.Position)
}

// had notes that everything up to a position is on the disk in a moment.
func (d *device) had(position uint64) error {
	d.acked = max(d.acked, position)
	d.credit++
	if d.ackAt.IsZero() {
		d.ackAt = time.Now().Add(time.Duration(d.luck.Int64N(int64(80 * time.Millisecond))))
	}
	return nil
}

func (d *device) noticed(f wire.Notice) {
	l := d.w.byID[f.ID]
	if l == nil || l.from != d {
		d.w.accuse("promise: a notice about what device %d never sent", d.number)
		return
	}
	switch f.Kind {
	case wire.NoticeExpired:
		l.late = true
	case wire.NoticeUnattended:
		l.alarmed = true
	case wire.NoticeDamaged:
		d.w.accuse("damaged: the store says that it damaged %s", l.id)
	}
	d.w.note(d.number, map[wire.NoticeKind]string{wire.NoticeUnattended: alarmed}[f.Kind]+"notice", &l.id)
	_ = d.had(f.Position)
}
