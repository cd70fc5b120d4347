package schakel_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// collusion is a partner with a modified client together with the relay: what it seals need
// not pass the relay's checks, it is slipped in.
type collusion struct {
	*evil
	op *schakeltest.Operator
}

func newCollusion(t *testing.T) *collusion {
	t.Helper()
	chain := schakeltest.Prepare(t)
	op := schakeltest.Deceive(chain)
	chain.StartRelay()
	return &collusion{evil: evilOn(t, chain), op: op}
}

// slip hands the knooppunt an envelope past the relay's own checks, with the next honest
// message, which is the control.
func (c *collusion) slip(t *testing.T, raw []byte) {
	t.Helper()
	c.op.Slip(c.knooppunt.Node.Device(), wire.Deliver{Position: 1, Envelope: raw})
	c.honest(t)
	eventually(t, "it was handed over", c.op.Slipped)
}

func (c *collusion) seal(t *testing.T, f schakel.Forgery, d delivery.Delivery) (raw []byte) {
	t.Helper()
	eventually(t, "it can be sealed", func() (done bool) {
		var err error
		raw, err = c.vt.Node.SealForTest(c.knooppunt.Desk, envelope.TierUrgent, d, f)
		return err == nil
	})
	return raw
}

// A partner seals as nobody honest would, and the relay lets it pass.
func TestEvilSeal(t *testing.T) {
	c := newCollusion(t)
	second := c.knooppunt.Sibling()
	second.Start()
	sealsTo(t, c.vt, c.knooppunt.Desk, 2)
	t.Run("F04 F23 in the name of another", func(t *testing.T) {
		s := c.signed(t, c.draft(t, c.knooppunt.Desk), nil)
		c.slip(t, c.seal(t, schakel.Forgery{As: c.police.Node.Device()}, delivery.Delivery{Kind: delivery.KindMessage, Content: s.Raw, Counter: 90}))
		eventually(t, "the alarm", func() bool { return c.alarmed(t, schakel.AlarmTampered) })
		if c.shown(t, s) {
			t.Error("it was shown")
		}
	})
	t.Run("F01 F23 what was said to somebody else", func(t *testing.T) {
		s := c.signed(t, schakel.Draft{Class: "melding", Urgency: message.Urgent, To: []identity.DeskID{c.police.Desk}, Body: example(t, "melding")}, nil)
		c.slip(t, c.seal(t, schakel.Forgery{}, delivery.Delivery{Kind: delivery.KindMessage, Content: s.Raw, Counter: 91}))
		eventually(t, "the alarm", func() bool { return c.alarmed(t, schakel.AlarmNotAddressed) })
		if c.shown(t, s) {
			t.Error("it was shown")
		}
	})
	t.Run("F10 F23 so that one device of two cannot read it", func(t *testing.T) {
		s := c.signed(t, c.draft(t, c.knooppunt.Desk), nil)
		d := delivery.Delivery{Kind: delivery.KindMessage, Content: s.Raw, Counter: 92}
		raw := c.seal(t, schakel.Forgery{Exclude: second.Node.Device()}, d)
		c.op.Slip(second.Node.Device(), wire.Deliver{Position: 1, Envelope: raw})
		before := statusOf(t, second).Rejected + statusOf(t, second).Quarantined
		c.slip(t, raw)
		eventually(t, "the other one reads it", func() bool { return c.shown(t, s) })
		eventually(t, "the one that cannot says so", func() bool {
			st := statusOf(t, second)
			return st.Rejected+st.Quarantined > before && hasAlarm(t, second, schakel.AlarmTampered)
		})
		eventually(t, "and states it to the sender, signed", func() bool {
			return slices.ContainsFunc(c.op.Seen(), func(p schakeltest.Passing) bool {
				_, put := p.Frame.(wire.Put)
				return put && p.Device == second.Node.Device() && p.Header.Desk == c.vt.Desk && p.Header.Tier == envelope.TierNone
			})
		})
	})
}

// A device that was revoked, or whoever has its key, goes on sealing.
func TestRevokedSealer(t *testing.T) {
	c := newCollusion(t)
	officer := c.signed(t, c.draft(t, c.knooppunt.Desk), nil)
	before := c.seal(t, schakel.Forgery{}, delivery.Delivery{Kind: delivery.KindMessage, Content: officer.Raw, Counter: 90})
	control := c.signed(t, c.draft(t, c.knooppunt.Desk), nil)
	c.slip(t, c.seal(t, schakel.Forgery{}, delivery.Delivery{Kind: delivery.KindMessage, Content: control.Raw, Counter: 91}))
	eventually(t, "control: not revoked, it is shown", func() bool { return c.shown(t, control) })
	c.Revoke(c.vt.Desk)
	eventually(t, "the knooppunt hears of it", func() bool {
		desks, err := c.knooppunt.Node.Directory(testContext(t))
		return err == nil && !slices.ContainsFunc(desks, func(d schakel.Desk) bool { return d.ID == c.vt.Desk && d.Reachable })
	})
	quarantined := func() int { return statusOf(t, c.knooppunt).Quarantined }
	t.Run("F11 dated before the revocation", func(t *testing.T) {
		was := quarantined()
		c.op.Slip(c.knooppunt.Node.Device(), wire.Deliver{Position: 1, Envelope: before})
		c.nudged(t)
		eventually(t, "it is kept apart", func() bool { return quarantined() == was+1 })
		if c.shown(t, officer) {
			t.Error("it is shown")
		}
	})
	t.Run("F12 after the revocation", func(t *testing.T) {
		size := statusOf(t, c.knooppunt).RegisterSize + 1
		c.Grow(1) // of the register as it was at the revocation, it could still be from before
		eventually(t, "it grows", func() bool { return statusOf(t, c.knooppunt).RegisterSize == size })
		raw, err := c.vt.Node.SealForTest(c.knooppunt.Desk, envelope.TierUrgent, delivery.Delivery{Kind: delivery.KindMessage, Content: officer.Raw, Counter: 93}, schakel.Forgery{Seen: size})
		if err != nil {
			t.Fatal(err)
		}
		was := statusOf(t, c.knooppunt).Rejected
		c.op.Slip(c.knooppunt.Node.Device(), wire.Deliver{Position: 1, Envelope: raw})
		c.nudged(t)
		eventually(t, "it is refused", func() bool { return statusOf(t, c.knooppunt).Rejected > was })
		if c.shown(t, officer) {
			t.Error("it is shown")
		}
	})
}

// nudged has the relay say something to the knooppunt, so that what was slipped in goes along.
func (c *collusion) nudged(t *testing.T) {
	t.Helper()
	c.knooppunt.Reopen()
	c.knooppunt.Start()
	eventually(t, "what was slipped in goes along", c.op.Slipped)
}

// G02: who took all that passed, and then the disk, reads nothing of what was sealed to keys
// that are destroyed. Control: before they were, the same disk opened it.
func TestG02StolenDisk(t *testing.T) {
	d := newDishonest(t)
	d.delivered(t, d.send(t))
	opens := func() (n int) {
		var keys []store.EpochKey
		view(t, d.to, func(tx *store.Tx) (err error) { keys, err = tx.EpochKeys(); return err })
		for _, p := range d.op.Seen() {
			mail, is := p.Frame.(wire.Deliver)
			if !is || p.Device != d.to.Node.Device() || p.Header.AgeLength == 0 {
				continue
			}
			for _, k := range keys {
				id, err := age.ParseHybridIdentity(k.Secret)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := age.Decrypt(bytes.NewReader(mail.Envelope[len(mail.Envelope)-int(p.Header.AgeLength):]), id); err == nil {
					n++
				}
			}
		}
		return n
	}
	if opens() == 0 {
		t.Fatal("control: the disk of today opens nothing")
	}
	for range 9 {
		d.Pass(24 * time.Hour)
	}
	eventually(t, "the keys are destroyed, and nothing opens", func() bool { return opens() == 0 })
	view(t, d.to, func(tx *store.Tx) error {
		keys, err := tx.EpochKeys()
		if len(keys) == 0 {
			t.Error("control: no key is left at all")
		}
		return err
	})
	d.honest(t)
}

// G03: killed before it is stored, between storing and acknowledging, and after that: each
// message is there once, in the end, and the counters fit.
func TestG03KilledInBetween(t *testing.T) {
	d := newDishonest(t)
	for range 3 {
		to := d.to.Node.Device()
		d.op.Do(func(p schakeltest.Passing) []wire.Frame { // killed before the relay heard of it
			if _, ack := p.Frame.(wire.Ack); ack && p.Device == to {
				return nil
			}
			return p.On()
		})
		sent := d.send(t)
		eventually(t, "it is stored", func() bool { return holds(t, d.to, sent) == 1 })
		under := d.send(t) // perhaps on its way in
		d.to.Crash()
		d.op.Do(nil)
		d.to.Start()
		d.delivered(t, under)
		d.delivered(t, sent)
		if a, b := holds(t, d.to, sent), holds(t, d.to, under); a != 1 || b != 1 {
			t.Errorf("there %d and %d times", a, b)
		}
	}
	if n := gapsOf(t, d.to, d.from); n != 0 {
		t.Errorf("%d gaps", n)
	}
	if s := statusOf(t, d.to); s.Alarms != 0 || s.Quarantined != 0 {
		t.Errorf("%+v", s)
	}
}

// G06: what a client logs, at the most talkative, names no person, key, PIN or word.
func TestG06LogsSayNothing(t *testing.T) {
	chain := schakeltest.Prepare(t)
	log := &lockedBuffer{}
	chain.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	op := schakeltest.Deceive(chain)
	chain.StartRelay()
	e := evilOn(t, chain)
	officer := e.knooppunt.AddPerson("K. Anarie")
	op.Do(func(p schakeltest.Passing) []wire.Frame {
		if mail, is := p.Frame.(wire.Deliver); is && p.Message() {
			bad := bytes.Clone(mail.Envelope)
			bad[len(bad)-50] ^= 1
			return []wire.Frame{wire.Deliver{Position: mail.Position, Envelope: bad}, p.Frame}
		}
		return p.On()
	})
	sent, err := e.vt.Node.Send(testContext(t), schakel.Draft{Class: "adviesvraag", Urgency: message.Urgent,
		To: []identity.DeskID{e.knooppunt.Desk}, Body: traced(t, "adviesvraag", "spoor-in-bericht")})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it arrives", func() bool { return inbox(t, e.knooppunt, sent.Hash) != nil })
	if _, err := e.knooppunt.Node.Acknowledge(testContext(t), sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the control: a refusal is logged, with the envelope", func() bool { return strings.Contains(log.String(), "delivery refused") })
	var secrets []string
	view(t, e.knooppunt, func(tx *store.Tx) error {
		keys, err := tx.EpochKeys()
		for _, k := range keys {
			secrets = append(secrets, k.Secret)
		}
		return err
	})
	for _, canary := range append(secrets, "spoor-in", "AGE-SECRET", "Anarie", schakeltest.PIN, "+316", "test passphrase", "00000099") {
		if strings.Contains(log.String(), canary) {
			t.Errorf("%.20q stands in the log", canary)
		}
	}
}

// B08: the relay keeps what goes to one of two desks. The states show which one, and that one
// is the alarm's.
func TestB08HeldBackFromOne(t *testing.T) {
	chain := schakeltest.Prepare(t)
	op := schakeltest.Deceive(chain)
	chain.StartRelay()
	doctor, safe, police := chain.Join("arts/praktijk", identity.RoleSignaleerder), chain.Join("vt20/crisis", identity.RoleVeiligThuis), chain.Join("politie-mn/meldkamer", identity.RolePolitie)
	for _, m := range []*schakeltest.Member{doctor, safe, police} {
		m.Start()
	}
	eventually(t, "the doctor knows both desks", func() bool {
		desks, err := doctor.Node.Directory(testContext(t))
		return err == nil && len(desks) == 2 && desks[0].Reachable && desks[1].Reachable
	})
	op.Do(func(p schakeltest.Passing) []wire.Frame {
		if p.Mail() && p.Device == police.Node.Device() {
			return nil
		}
		return p.On()
	})
	sent, err := doctor.Node.Send(testContext(t), schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{safe.Desk, police.Desk}, Body: example(t, "melding")})
	if err != nil {
		t.Fatal(err)
	}
	trace := func(desk identity.DeskID) schakel.State {
		s, err := doctor.Node.Trace(testContext(t), sent.Hash)
		if err != nil {
			t.Fatal(err)
		}
		return stateAt(s, desk)
	}
	eventually(t, "one of them has it", func() bool { return trace(safe.Desk) == schakel.StateDelivered })
	events, cancel := doctor.Node.Subscribe()
	defer cancel()
	chain.Pass(3 * time.Minute)
	a := alarmed(t, doctor, schakel.AlarmUndelivered)
	eventually(t, "whoever listens hears of the alarm", func() bool {
		select {
		case e := <-events:
			return e.Kind == schakel.EventAlarm && e.Message == a.Subject
		default:
			return false
		}
	})
	if n := statusOf(t, doctor).Alarms; n != 1 {
		t.Errorf("the status counts %d alarms", n)
	}
	if all := alarms(t, doctor, schakel.AlarmUndelivered); len(all) != 1 || a.Code != string(police.Desk) || !strings.Contains(a.Remedy, "+316") {
		t.Errorf("%+v", all)
	}
	if s := trace(police.Desk); s != schakel.StateAtRelay {
		t.Errorf("at the one who has nothing it is %s", s)
	}
	op.Do(nil)
	chain.Pass(3 * time.Minute)
	again, err := doctor.Node.Send(testContext(t), schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{police.Desk}, Body: example(t, "melding")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := doctor.Node.Wait(testContext(t), again.Hash, schakel.StateDelivered); err != nil {
		t.Fatal(err)
	}
	chain.Pass(3 * time.Minute)
	eventually(t, "control: the honest relay brings both", func() bool { return trace(police.Desk) == schakel.StateDelivered })
}
