package schakel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// Who has an organisation's key, stolen or as an insider, can enter a device at its desks
// that reads from then on all that is sent there (attack C15). So a new device gets nothing
// for a day: time for whoever watches that key to see it and end it. A person here who
// telephoned can make it shorter. It is shown as new for two weeks.

const (
	coolingOff  = 24 * time.Hour
	newDevice   = 14 * 24 * time.Hour
	maxKnown    = 256
	maxNewShown = 16

	// settingKnown holds what is known here of new devices beyond what the register says.
	settingKnown = "new-devices"
	// actionConfirmed is what the access log says when somebody confirmed a new device.
	actionConfirmed = "device-confirmed"
)

// Refusals of new devices.
var (
	ErrCoolingOff = errors.New("the desk has only devices that are too new to be written to: telephone it and confirm one, or wait")
	ErrNotNew     = errors.New("this desk has no such device that waits to be confirmed")
	ErrNotCalled  = errors.New("the number that was called is missing or is none")
)

// NewDevice is a device that came to a desk within the last two weeks.
type NewDevice struct {
	ID          identity.DeviceID `json:"id"`
	Fingerprint string            `json:"fingerprint"`             // of its keys, to compare by telephone
	Since       time.Time         `json:"since"`                   // when this device first saw it
	Waits       time.Time         `json:"waits,omitzero"`          // until when it gets nothing; absent: it gets what others get
	Confirmed   time.Time         `json:"confirmed,omitzero"`      // when somebody here confirmed it
	By          string            `json:"confirmedBy,omitempty"`   // who; empty: this desk itself entered it
	Called      string            `json:"confirmedCall,omitempty"` // the number that was called
}

// knownDevice is a new device that need not wait: a person of this desk telephoned and
// confirmed it, this device vouched for it, or a colleague's that is no new one seals to it.
type knownDevice struct {
	_      struct{} `cbor:",toarray"`
	Device identity.DeviceID
	At     uint64
	By     string // name, as it was then; empty: nobody telephoned
	Called string
}

func (n *Node) loadKnown(tx *store.Tx) error {
	var rows []knownDevice
	if err := kept(tx, settingKnown, &rows); err != nil {
		return err
	}
	for _, k := range rows {
		n.known[k.Device] = k
	}
	return nil
}

// keepKnown notes that a device need not wait. What is older than two weeks makes no
// difference any more.
func (n *Node) keepKnown(tx *store.Tx, k knownDevice) error {
	var rows []knownDevice
	if err := kept(tx, settingKnown, &rows); err != nil {
		return err
	}
	past := unix(n.now().Add(-newDevice))
	rows = slices.DeleteFunc(rows, func(r knownDevice) bool { return r.At < past || r.Device == k.Device })
	rows = append(rows, k)
	if err := keep(tx, settingKnown, rows[max(0, len(rows)-maxKnown):]); err != nil {
		return err
	}
	return nil
}

func (n *Node) setKnown(k knownDevice) {
	n.mu.Lock()
	n.known[k.Device] = k
	n.mu.Unlock()
	n.poke()
}

func (n *Node) isKnown(id identity.DeviceID) (knownDevice, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k, ok := n.known[id]
	return k, ok
}

// met is when this device first saw another in the register. Of what was there when it
// looked for the first time only the entry itself says when it was made, which is the word
// of who made it: whoever joins later than a ghost cannot know better.
func (d directory) met(dev trust.DeviceState) time.Time {
	if len(d.seen) == 0 || dev.Since < d.seen[0].Size {
		first, _ := d.DeviceAt(dev.ID, dev.Since+1)
		return first.From.UTC()
	}
	for _, s := range d.seen {
		if s.Size > dev.Since {
			return time.Unix(int64(s.At), 0).UTC()
		}
	}
	return time.Time{}
}

// waits is until when a device gets nothing; zero where it need not wait. A desk's very
// first device does not: the root holders let the desk in, and there is no other.
func (n *Node) waits(dir directory, dev trust.DeviceState, now time.Time) time.Time {
	until := dir.met(dev).Add(n.coolingOff)
	if n.coolingOff <= 0 || !now.Before(until) {
		return time.Time{}
	}
	if _, ok := n.isKnown(dev.ID); ok {
		return time.Time{}
	}
	if first, ok := dir.FirstDevice(dev.Desk); ok && first == dev.ID {
		return time.Time{}
	}
	return until
}

// waitsHere is the same of a device of this organisation; this very one waits for nobody.
func (n *Node) waitsHere(dir directory, dev trust.DeviceState, now time.Time) time.Time {
	if dev.ID == n.dev.ID {
		return time.Time{}
	}
	return n.waits(dir, dev, now)
}

// newDevices are those of a desk that came within two weeks, as now known.
func (n *Node) newDevices(dir directory, desk identity.DeskID, now time.Time) (out []NewDevice) {
	first, _ := dir.FirstDevice(desk)
	for _, d := range dir.DevicesOf(desk) {
		since := dir.met(d)
		if d.ID == n.dev.ID || d.ID == first || now.Sub(since) >= newDevice || len(out) == maxNewShown {
			continue
		}
		x := NewDevice{ID: d.ID, Fingerprint: deviceFingerprint(d.Device), Since: since, Waits: n.waits(dir, d, now)}
		if k, ok := n.isKnown(d.ID); ok {
			x.Confirmed, x.By, x.Called = time.Unix(int64(k.At), 0).UTC(), k.By, k.Called
		}
		out = append(out, x)
	}
	return out
}

// waiting counts the devices that get nothing yet, at the desks that this one writes to and
// at its own.
func (n *Node) waiting(dir directory, now time.Time) (count int) {
	for _, desk := range dir.Desks() {
		if desk != n.dev.Desk && !dir.lane(n.dev.Desk, desk) {
			continue
		}
		for _, d := range n.newDevices(dir, desk, now) {
			if !d.Waits.IsZero() {
				count++
			}
		}
	}
	return count
}

// ConfirmDevice notes that a person of this desk telephoned a desk, on a number that was
// known before, and heard that a new device is theirs. What waits for it goes at once. It
// counts on this device; a colleague's of this desk learn of one of their own desk.
func (n *Node) ConfirmDevice(ctx context.Context, desk identity.DeskID, id identity.DeviceID, called string, by By) error {
	dir, now := n.directory(), n.now()
	d, ok := dir.Device(id)
	if !ok || d.Desk != desk || !d.Active() || n.waits(dir, d, now).IsZero() {
		return fmt.Errorf("%w: %s", ErrNotNew, desk)
	}
	if !telephone.MatchString(called) {
		return ErrNotCalled
	}
	key, err := n.mustUnlock(ctx, by)
	if err != nil {
		return err
	}
	k := knownDevice{Device: id, At: unix(now), Called: called}
	err = n.update(ctx, func(tx *store.Tx) error {
		k.By = n.nameOf(tx, key.ID)
		if err := n.keepKnown(tx, k); err != nil {
			return err
		}
		if err := tx.ClearAlarm(string(AlarmNewDevice), id.String()); err != nil && !isNotFound(err) {
			return err
		}
		return tx.Audit(actionConfirmed, id.String()+" "+called, key.ID, now)
	})
	if err != nil {
		return err
	}
	n.setKnown(k)
	n.publish(EventDesk, "", string(desk))
	return nil
}

// vouchedHere notes that this very device lets another in. It is noted before the register
// has it: an entry that came to nothing lets nobody in.
func (n *Node) vouchedHere(ctx context.Context, id identity.DeviceID) error {
	k := knownDevice{Device: id, At: unix(n.now())}
	if err := n.update(ctx, func(tx *store.Tx) error { return n.keepKnown(tx, k) }); err != nil {
		return err
	}
	n.setKnown(k)
	return nil
}

// trustedByColleague learns of new devices of this desk from what its other devices seal:
// one that vouched, or where somebody confirmed, lists them. A new one itself is no witness,
// or two ghosts could let each other in.
func (in *intake) trustedByColleague(a *arrival) error {
	if a.from != in.n.dev.Desk {
		return nil
	}
	dir := in.n.directory()
	sealer, ok := dir.Device(a.header.Sealer)
	if !ok || !in.n.waits(dir, sealer, in.now).IsZero() {
		return nil
	}
	for _, t := range a.header.Targets {
		d, ok := dir.Device(t.Device)
		if !ok || d.ID == in.n.dev.ID || in.n.waits(dir, d, in.now).IsZero() {
			continue
		}
		k := knownDevice{Device: d.ID, At: unix(in.now)}
		if err := in.n.keepKnown(in.tx, k); err != nil {
			return err
		}
		in.known = append(in.known, k)
	}
	return nil
}

// tellNewDevices raises an alarm of each device that came with these entries to a desk that
// this one has a case with, or to its own, and that must wait.
func (in *intake) tellNewDevices(dir directory, from uint64, entries [][]byte) error {
	var came []trust.DeviceState
	for i, raw := range entries {
		e, err := trust.ParseEntry(raw)
		if err != nil {
			continue
		}
		b, is := e.Body.(trust.Device)
		if d, ok := dir.Device(b.ID); is && ok && d.Since == from+uint64(i) && d.ID != in.n.dev.ID && !in.n.waits(dir, d, in.now).IsZero() {
			came = append(came, d)
		}
	}
	if len(came) == 0 {
		return nil
	}
	peers, err := in.tx.OpenPeers()
	if err != nil {
		return err
	}
	for _, d := range came {
		if d.Desk == in.n.dev.Desk || slices.ContainsFunc(peers, func(p store.Peer) bool { return p.Desk == d.Desk }) {
			if err := in.raise(AlarmNewDevice, d.ID.String(), string(d.Desk)); err != nil {
				return err
			}
		}
	}
	return nil
}

// watchNewDevices ends alarms of devices that need not wait any more, are gone, or are not
// waited for.
func (in *intake) watchNewDevices() error {
	alarms, err := in.tx.Alarms()
	if err != nil {
		return err
	}
	dir := in.n.directory()
	for _, a := range alarms {
		if AlarmKind(a.Kind) != AlarmNewDevice {
			continue
		}
		holds := false
		if id, err := identity.ParseDeviceID(a.Subject); err == nil {
			d, ok := dir.Device(id)
			holds = ok && d.Active() && !in.n.waits(dir, d, in.now).IsZero()
		} else {
			_, err := in.n.sealable(identity.DeskID(a.Subject), in.now)
			holds = errors.Is(err, ErrCoolingOff)
		}
		if holds {
			continue
		}
		if err := in.clear(AlarmNewDevice, a.Subject); err != nil {
			return err
		}
	}
	return nil
}

// settled are the devices of a desk that get what is sent there now. The error names the
// telephone number where all that could be sealed to must wait: nothing waits in silence.
func (n *Node) settled(dir directory, desk identity.DeskID, all []sealableDevice, now time.Time) ([]sealableDevice, error) {
	var out []sealableDevice
	for _, x := range all {
		if d, _ := dir.Device(x.device); n.waits(dir, d, now).IsZero() {
			out = append(out, x)
		}
	}
	if len(out) == 0 {
		state, _ := dir.Desk(desk)
		return nil, fmt.Errorf("%w: %s, %s", ErrCoolingOff, desk, state.Phone)
	}
	return out[:min(len(out), envelope.MaxTargets)], nil
}

// deviceFingerprint is what two people compare of a device's keys by telephone.
func deviceFingerprint(d trust.Device) string {
	return identity.Fingerprint("device", append(append([]byte{}, d.SignKey[:]...), d.LoginKey[:]...))
}

// explainNewDevice says what waits for whom, and how that ends.
func explainNewDevice(a store.Alarm, call string) (text, remedy string) {
	if a.Subject == a.Code {
		return a.Code + " heeft alleen nog nieuwe apparaten. Wat wij daar sturen, wacht.",
			call + " Gebruik een nummer dat u al had. Klopt het apparaat, leg dat dan vast: `schakel desks confirm`. Daarna gaat alles meteen."
	}
	return a.Code + " heeft een nieuw apparaat. Het krijgt een dag lang niets van ons.",
		call + " Gebruik een nummer dat u al had, en vraag of het klopt. Zo ja: `schakel desks confirm`. Zo nee: `schakel desks refuse`, en bel de houders van het register."
}
