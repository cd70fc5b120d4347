package schakel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

const (
	// life of an envelope: the longest there is. What waits longer is made again.
	life = envelope.MaxLife * time.Second
	// deliverBatch bounds what one transaction makes.
	deliverBatch = 64
	// deliverLook bounds how many that wait are looked at.
	deliverLook = 4096
	// A delivery that was made maxAgain times rests between restFirst and restMost
	// before it is made again: at most 60 times within the longest life.
	restFirst = time.Minute
	restMost  = 12 * time.Hour
	// settingSent begins the name under which a copy says what another device of
	// this desk sent.
	settingSent = "sent/"
)

// makeDeliveries makes every delivery that is due: of messages just signed, and
// again of those whose envelope expired, was refused, or was sealed for devices
// and epochs that are gone. It reports whether more is due.
func (n *Node) makeDeliveries(ctx context.Context) (more bool, err error) {
	made := 0
	in := &intake{n: n, now: n.now()}
	err = n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		due, err := tx.Undelivered(n.now(), deliverLook)
		if err != nil {
			return err
		}
		closed := map[identity.DeskID]bool{} // desks that nothing can be sealed to now
		for _, r := range due {
			if made == deliverBatch {
				more = true
				return nil
			}
			if closed[r.Desk] || n.asideNow(r) {
				continue
			}
			ok, err := n.deliver(tx, r)
			if notNow(err) {
				closed[r.Desk] = true // upkeep tries again, and alarms when it takes too long
				if errors.Is(err, ErrCoolingOff) && r.Desk != n.dev.Desk {
					if err := in.raise(AlarmNewDevice, string(r.Desk), string(r.Desk)); err != nil {
						return err
					}
				}
				continue
			}
			if err != nil {
				n.setAside(r)
				return fmt.Errorf("failed to make a delivery to %s: %w", r.Desk, err)
			}
			if ok {
				made++
			}
		}
		repeated, err := n.repeatAgain(tx)
		made += repeated
		return err
	})
	if err == nil {
		n.events.publish(in.events...)
	}
	if s := n.live(); s != nil && made > 0 {
		s.nudge()
	}
	return more, err
}

// notNow reports whether an error says that nothing can be sealed to a desk at the moment.
func notNow(err error) bool {
	return errors.Is(err, ErrNoKeys) || errors.Is(err, ErrNoEpoch) || errors.Is(err, ErrNoDevice) || errors.Is(err, ErrUnknownDesk) ||
		errors.Is(err, ErrKeyChanged) || errors.Is(err, ErrCoolingOff) || errors.Is(err, ErrKeyRefused) || errors.Is(err, ErrOtherView) || errors.Is(err, ErrForked)
}

// asideFor is how long a delivery that could not be made is left alone, so that
// the others can be.
const asideFor = time.Minute

// setAside leaves a delivery alone for a while. The transaction it failed in is
// rolled back whole, since a counter given out and not sent would be a gap.
func (n *Node) setAside(r store.Recipient) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.aside[subject(r.Message, r.Desk)] = n.now().Add(asideFor)
}

func (n *Node) asideNow(r store.Recipient) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	until, ok := n.aside[subject(r.Message, r.Desk)]
	if ok && !n.now().Before(until) {
		delete(n.aside, subject(r.Message, r.Desk))
		return false
	}
	return ok
}

// deliver makes one delivery, if it is this device's to make and the keys are
// here. A message past its life is given up, which its sender hears.
func (n *Node) deliver(tx *store.Tx, r store.Recipient) (made bool, err error) {
	row, err := tx.Message(r.Message)
	if errors.Is(err, store.ErrDestroyed) {
		return false, tx.SetRecipient(r.Message, r.Desk, store.Failed, n.now(), "destroyed")
	}
	if errors.Is(err, store.ErrNotFound) {
		return n.deliverRecord(tx, r)
	}
	if errors.Is(err, store.ErrRestricted) {
		row.Raw, err = tx.Unsent(row.Hash)
	}
	if err != nil {
		return false, err
	}
	signed, err := message.Parse(row.Raw)
	if err != nil {
		return false, err
	}
	if !n.now().Before(time.Unix(int64(signed.Message.Heading.Expires), 0)) {
		n.publish(EventStatus, r.Message.String(), string(r.Desk))
		return false, tx.SetRecipient(r.Message, r.Desk, store.Failed, n.now(), "expired")
	}
	if !n.mine(signed.Message) {
		return false, nil
	}
	if resting, err := n.resting(tx, r); err != nil || resting || !n.mayGo(delivery.KindMessage, signed.Message) {
		return false, err
	}
	if r.Desk == n.dev.Desk && !slices.Contains(signed.Message.Addressed, r.Desk) {
		return n.deliverCopy(tx, signed)
	}
	heads, err := tx.Heads(r.Desk, row.Case)
	if err != nil {
		return false, err
	}
	follows, err := n.headsWithShared(tx, r.Desk, row)
	if err != nil {
		return false, err
	}
	d := delivery.Delivery{Kind: delivery.KindMessage, Content: signed.Raw, Heads: follows}
	tier := protocol.TierOf(signed.Message.Heading.Urgency, signed.Message.Heading.Class)
	first, err := n.firstTime(tx, r)
	if err != nil {
		return false, err
	}
	if made, err = n.put(tx, row.Hash, r.Desk, tier, d); err != nil || !made || !first {
		return made, err
	}
	return true, tx.SetHead(r.Desk, row.Case, row.Hash, heads...)
}

// headsFor is what a delivery says its message follows: at most what a delivery
// can say, however many messages a partner left unlinked.
func headsFor(h message.Hash, heads []message.Hash) []message.Hash {
	heads = slices.DeleteFunc(slices.Clone(heads), func(x message.Hash) bool { return x == h })
	return heads[:min(len(heads), delivery.MaxHeads)]
}

func (n *Node) firstTime(tx *store.Tx, r store.Recipient) (bool, error) {
	made, err := tx.DeliveriesOf(r.Message, r.Desk)
	return len(made) == 0, err
}

// resting reports whether a delivery that was made often already waits longer
// before it is made again. Whoever refuses or withholds everything (a hostile
// relay, a broken desk) thereby gets neither a busy loop nor a growing outbox.
func (n *Node) resting(tx *store.Tx, r store.Recipient) (bool, error) {
	made, err := tx.DeliveriesOf(r.Message, r.Desk)
	if err != nil || len(made) < maxAgain {
		return false, err
	}
	rest := min(restFirst<<min(len(made)-maxAgain, 10), restMost)
	return n.now().Sub(made[len(made)-1].Created) < rest, nil
}

// mine reports whether this device makes the deliveries of a message: its own, and
// those of a device of this desk that is gone, or that let an envelope's whole life
// pass without a word from the recipient.
func (n *Node) mine(m message.Message) bool {
	if m.Sender.Device == n.dev.ID {
		return true
	}
	d, ok := n.directory().Device(m.Sender.Device)
	return !ok || !d.UsableAt(n.now()) || n.now().Sub(time.Unix(int64(m.Created), 0)) > life
}

// put seals a delivery to a desk and puts it into the outbox, with a counter of its
// own and in the place of all earlier ones of the same message.
func (n *Node) put(tx *store.Tx, h message.Hash, desk identity.DeskID, tier envelope.Tier, d delivery.Delivery) (bool, error) {
	if err := n.mayWrite(desk); err != nil {
		return false, err // what waits goes to no key that people did not compare
	}
	targets, err := n.targets(desk)
	if err != nil {
		return false, err
	}
	if d.Supersedes, err = n.superseded(tx, h, desk); err != nil {
		return false, err
	}
	if d.Counter, err = tx.NextCounter(desk); err != nil {
		return false, err
	}
	if tier > envelope.TierNone {
		d.Attended = make([]byte, 32)
		rand.Read(d.Attended)
	}
	p, raw, err := n.seal(desk, targets, tier, d)
	if err != nil {
		return false, err
	}
	if err := tx.UploadAgain(h, n.now()); err != nil {
		return false, err
	}
	return true, tx.PutDelivery(store.Delivery{
		Envelope: p.ID, Kind: d.Kind, Message: h, Desk: desk, Counter: d.Counter, Sealer: n.dev.ID,
		Created: n.now(), Expires: time.Unix(int64(p.Expires), 0), Tier: tier, Raw: raw,
	})
}

// uncounted seals what takes no counter of its own, so that it leaves no gap at devices that it
// is not for. It goes once, on the connection that there is: nobody keeps it.
func (n *Node) uncounted(ctx context.Context, desk identity.DeskID, targets []seal.Target, kind delivery.Kind, content []byte) ([]byte, error) {
	d := delivery.Delivery{Kind: kind, Content: content}
	err := n.store.View(ctx, func(tx *store.Tx) (err error) {
		d.Counter, err = tx.LastCounter(desk)
		return err
	})
	if err != nil {
		return nil, err
	}
	_, raw, err := n.seal(desk, targets, envelope.TierNone, d)
	return raw, err
}

func (n *Node) seal(desk identity.DeskID, targets []seal.Target, tier envelope.Tier, d delivery.Delivery) (seal.Parcel, []byte, error) {
	id, err := identity.NewUUIDv7(n.now(), rand.Reader)
	if err != nil {
		return seal.Parcel{}, nil, err
	}
	if dir := n.directory(); d.Register == (delivery.RegisterView{}) { // tests state another
		d.Register = delivery.RegisterView{Size: dir.pinned.Size, Root: dir.pinned.Root}
	}
	p := seal.Parcel{ID: envelope.ID(id), Desk: desk, Targets: targets, Created: unix(n.now()), Expires: unix(n.now().Add(life)), Tier: tier, Delivery: d}
	raw, err := seal.Seal(p, n.keys)
	return p, raw, err
}

// superseded lists what a new delivery takes the place of: the newest of them, as
// many as it can name. A relay or a peer that has one delivery made again and again
// would otherwise make it impossible, and with it all that is due in its batch.
func (n *Node) superseded(tx *store.Tx, h message.Hash, desk identity.DeskID) ([]delivery.Superseded, error) {
	all, err := n.allSuperseded(tx, h, desk)
	return all[max(0, len(all)-delivery.MaxSuperseded):], err
}

func (n *Node) allSuperseded(tx *store.Tx, h message.Hash, desk identity.DeskID) ([]delivery.Superseded, error) {
	earlier, err := tx.DeliveriesOf(h, desk)
	if err != nil {
		return nil, err
	}
	var out []delivery.Superseded
	for _, d := range earlier {
		out = append(out, delivery.Superseded{Envelope: d.Envelope, Sealer: d.Sealer, Counter: d.Counter})
	}
	if last, err := tx.LastTold(h, desk); err != nil {
		return nil, err
	} else if len(earlier) == 0 && last.Counter > 0 { // it was confirmed, and is told once more
		out = append(out, delivery.Superseded{Envelope: last.Envelope, Sealer: n.dev.ID, Counter: last.Counter})
	}
	c, err := copyOf(tx, h)
	for _, s := range c.Sent {
		if s.Desk == desk {
			out = append(out, delivery.Superseded{Envelope: s.Envelope, Sealer: c.Sealer, Counter: s.Counter})
		}
	}
	return out, err
}

// deliverCopy tells the other devices of this desk what was sent, once every
// addressed desk has its delivery.
func (n *Node) deliverCopy(tx *store.Tx, signed message.Signed) (bool, error) {
	hash := signed.Hash()
	c := delivery.Copy{Version: delivery.Version, Message: signed.Raw, Sent: []delivery.Sent{}}
	for _, desk := range signed.Message.Addressed {
		ds, err := tx.DeliveriesOf(hash, desk)
		if err != nil {
			return false, err
		}
		if len(ds) > 0 {
			last := ds[len(ds)-1]
			c.Sent = append(c.Sent, delivery.Sent{Desk: desk, Envelope: last.Envelope, Counter: last.Counter})
		}
	}
	content, err := delivery.Encode(c)
	if err != nil {
		return false, err
	}
	return n.put(tx, hash, n.dev.Desk, envelope.TierNone, delivery.Delivery{Kind: delivery.KindCopy, Content: content})
}

// retire ends an envelope before its time, so that the delivery is made again.
func (n *Node) retire(tx *store.Tx, id envelope.ID) error { return tx.Retire(id, n.now()) }

// targets returns the devices of a desk to seal to now, with their keys: every one
// that is active, has a key for now and need not wait, but not this device itself.
func (n *Node) targets(desk identity.DeskID) ([]seal.Target, error) {
	refs, err := n.sealable(desk, n.now())
	if err != nil {
		return nil, err
	}
	return n.withKeys(desk, refs)
}

func (n *Node) withKeys(desk identity.DeskID, refs []sealableDevice) ([]seal.Target, error) {
	var out []seal.Target
	for _, r := range refs {
		key := n.parsed.Get(r.epoch.Hash)
		if key == nil {
			return nil, fmt.Errorf("%w: desk %s", ErrNoKeys, desk)
		}
		out = append(out, seal.Target{Device: r.device, Epoch: r.epoch.Number, Recipient: key})
	}
	return out, nil
}

// sealableDevice is a device that can be sealed to, and its epoch.
type sealableDevice struct {
	device identity.DeviceID
	epoch  trust.EpochRef
}

// sealable returns the devices of a desk that what is sent at t is sealed to. It refuses
// with ErrNoDevice, ErrNoEpoch or ErrCoolingOff, naming the telephone number: whoever
// cannot be written to must be called.
func (n *Node) sealable(desk identity.DeskID, t time.Time) ([]sealableDevice, error) {
	all, err := n.keyed(desk, t)
	if err != nil {
		return nil, err
	}
	return n.settled(n.directory(), desk, all, t)
}

// keyed returns the devices of a desk that have a published key for t, those that must
// wait among them.
func (n *Node) keyed(desk identity.DeskID, t time.Time) ([]sealableDevice, error) {
	dir := n.directory()
	state, ok := dir.Desk(desk)
	if !ok || !state.Active() {
		return nil, fmt.Errorf("%w: %s", ErrUnknownDesk, desk)
	}
	active := 0
	var out []sealableDevice
	for _, d := range dir.DevicesOf(desk) {
		if d.ID == n.dev.ID || d.ID == n.ending || !d.UsableAt(t) {
			continue
		}
		active++
		if ref, err := dir.EpochFor(d.ID, t); err == nil {
			out = append(out, sealableDevice{device: d.ID, epoch: ref})
		}
	}
	switch {
	case active == 0:
		return nil, fmt.Errorf("%w: %s, %s", ErrNoDevice, desk, state.Phone)
	case len(out) == 0:
		return nil, fmt.Errorf("%w: %s, %s", ErrNoEpoch, desk, state.Phone)
	}
	return out, nil
}

// wantKeys asks for the public keys that are not in memory yet: of every desk this
// one may write to, for now and for the epochs after it.
func (s *session) wantKeys(ctx context.Context) error {
	var want []wire.KeyWanted
	for _, k := range s.n.missingKeys() {
		want = append(want, k)
		if len(want) == wire.MaxKeys {
			if err := s.askKeys(ctx, want); err != nil {
				return err
			}
			want = nil
		}
	}
	if len(want) == 0 {
		return nil
	}
	return s.askKeys(ctx, want)
}

func (s *session) askKeys(ctx context.Context, want []wire.KeyWanted) error {
	s.tag++
	s.asked[s.tag] = want
	return s.say(ctx, wire.WantKeys{Tag: s.tag, Keys: want})
}

func (n *Node) missingKeys() (want []wire.KeyWanted) {
	dir, now, needed := n.directory(), n.now(), 0
	for ahead := range keysAhead { // what is needed first comes first
		for _, desk := range dir.Desks() {
			if desk != n.dev.Desk && !dir.lane(n.dev.Desk, desk) || ahead > 1 && needed >= keysAtMost {
				continue
			}
			refs, err := n.keyed(desk, now.Add(time.Duration(ahead)*epochLength))
			if err != nil {
				continue
			}
			needed += len(refs)
			for _, r := range refs {
				k := wire.KeyWanted{Device: r.device, Epoch: r.epoch.Number}
				if n.parsed.Get(r.epoch.Hash) == nil && !slices.Contains(want, k) {
					want = append(want, k)
				}
			}
		}
	}
	return want
}

// keysAre takes public keys in, each against the hash in the register: a key that
// is not the logged one never gets as far as being used (attack C01).
func (s *session) keysAre(ctx context.Context, f wire.KeysAre) error {
	asked, ok := s.asked[f.Tag]
	if !ok || len(asked) != len(f.Recipients) {
		return fmt.Errorf("%w: keys that nobody asked for", wire.ErrFrame)
	}
	delete(s.asked, f.Tag)
	dir, came := s.n.directory(), []keptKey{}
	for i, recipient := range f.Recipients {
		hash, ok := dir.EpochHash(asked[i].Device, asked[i].Epoch)
		if !ok || strings.TrimSpace(recipient) == "" {
			continue
		}
		if _, err := s.n.parsed.Add(recipient, hash); err != nil {
			s.n.alarm(ctx, AlarmKeySwap, asked[i].Device.String(), "key-not-logged")
			continue
		}
		came = append(came, keptKey{Device: asked[i].Device, Epoch: asked[i].Epoch, Recipient: recipient})
		if d, ok := dir.Device(asked[i].Device); ok {
			s.n.stateNow(d.Desk)
		}
	}
	s.n.poke()
	return s.n.keepKeys(ctx, came)
}
