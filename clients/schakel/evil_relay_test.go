package schakel_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/relay/wire"
)

// dishonest is a pair of desks whose relay does what it is told by the test.
type dishonest struct {
	pair
	op *schakeltest.Operator
}

func newDishonest(t testing.TB) *dishonest {
	t.Helper()
	chain := schakeltest.Prepare(t)
	d := &dishonest{op: schakeltest.Deceive(chain)}
	chain.StartRelay()
	d.pair = pair{Chain: chain, from: chain.Join("vt20/crisis", identity.RoleVeiligThuis), to: chain.Join("knooppunt/piket", identity.RoleKnooppunt)}
	d.from.Start()
	d.to.Start()
	d.reachable(t)
	return d
}

// honest is the control of every row: once the relay behaves, a message arrives by the same
// means, and what it answers comes back.
func (d *dishonest) honest(t *testing.T) {
	t.Helper()
	d.op.Do(nil)
	d.delivered(t, d.send(t))
}

// mail has the operator treat what it hands to a device in one way, and the rest honestly.
func (d *dishonest) mail(to *schakeltest.Member, deed func(schakeltest.Passing) []wire.Frame) {
	id := to.Node.Device()
	d.op.Do(func(p schakeltest.Passing) []wire.Frame {
		if p.Mail() && p.Device == id {
			return deed(p)
		}
		return p.On()
	})
}

func drop(schakeltest.Passing) []wire.Frame { return nil }

func twice(p schakeltest.Passing) []wire.Frame { return append(p.On(), p.Frame) }

func statusOf(t *testing.T, m *schakeltest.Member) schakel.Status {
	t.Helper()
	s, err := m.Node.Status(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func holds(t testing.TB, m *schakeltest.Member, sent schakel.Sent) int {
	t.Helper()
	list, err := m.Node.List(testContext(t), schakel.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range list {
		if s.Hash == sent.Hash {
			n++
		}
	}
	return n
}

// alarmed waits for an alarm, which must say what to do.
func alarmed(t *testing.T, m *schakeltest.Member, kind schakel.AlarmKind) schakel.Alarm {
	t.Helper()
	var found schakel.Alarm
	eventually(t, "the alarm "+string(kind), func() bool {
		all := alarms(t, m, kind)
		if len(all) > 0 {
			found = all[0]
		}
		return len(all) > 0
	})
	if found.Text == "" || found.Remedy == "" || found.Since.IsZero() {
		t.Errorf("an alarm that does not say what to do: %+v", found)
	}
	return found
}

func (d *dishonest) state(t *testing.T, sent schakel.Sent) schakel.State {
	t.Helper()
	s, err := d.from.Node.Trace(testContext(t), sent.Hash)
	if err != nil {
		t.Fatal(err)
	}
	return stateAt(s, d.to.Desk)
}

func (d *dishonest) atRelay(t *testing.T, sent schakel.Sent) {
	t.Helper()
	if _, err := d.from.Node.Wait(testContext(t), sent.Hash, schakel.StateAtRelay); err != nil {
		t.Fatal(err)
	}
}

// relayRows are what a relay does to what it carries; each has a chain of its own, because
// time passes in them.
var relayRows = map[string]func(t *testing.T, d *dishonest){
	"A01 hands over what was accepted once more": func(t *testing.T, d *dishonest) {
		d.mail(d.to, twice)
		sent := d.send(t)
		d.delivered(t, sent)
		eventually(t, "it is counted", func() bool { return statusOf(t, d.to).Rejected > 0 })
		if n := holds(t, d.to, sent); n != 1 {
			t.Errorf("it is there %d times", n)
		}
		if s := statusOf(t, d.to); s.Alarms != 0 || s.Quarantined != 0 {
			t.Errorf("a replay is nothing to look at: %+v", s)
		}
	},
	"A04 names another sender": func(t *testing.T, d *dishonest) {
		d.mail(d.to, func(p schakeltest.Passing) []wire.Frame {
			if !p.Message() {
				return p.On()
			}
			return reheaded(p, func(h *envelope.Header) { h.Sealer = d.to.Node.Device() })
		})
		sent := d.send(t)
		alarmed(t, d.to, schakel.AlarmTampered)
		if holds(t, d.to, sent) != 0 {
			t.Error("it is shown")
		}
		d.honest(t)
		d.Pass(3 * time.Minute)
		d.honest(t) // says what is missing, and the sender makes it again
		d.delivered(t, sent)
	},
	"A19 sends rubbish as fast as the line goes": func(t *testing.T, d *dishonest) {
		d.mail(d.to, func(p schakeltest.Passing) []wire.Frame {
			var out []wire.Frame
			mail := p.Frame.(wire.Deliver)
			for i := range 1500 {
				junk := bytes.Repeat([]byte{byte(i)}, 64+i%200)
				if i%10 == 0 { // a whole envelope that does not open
					junk = bytes.Clone(mail.Envelope)
					junk[len(junk)-1-i%300] ^= 1
				}
				out = append(out, wire.Deliver{Position: mail.Position, Envelope: junk})
			}
			return append(out, p.Frame)
		})
		sent := d.send(t)
		d.delivered(t, sent)
		if s := statusOf(t, d.to); s.Rejected < 1000 || s.Quarantined > 1000 || holds(t, d.to, sent) != 1 {
			t.Errorf("%+v", s)
		}
	},
	"A24 learns nothing from how variants are answered": answersAlike,
	"B01 drops one in the middle": func(t *testing.T, d *dishonest) {
		d.delivered(t, d.send(t))
		d.mail(d.to, func(p schakeltest.Passing) []wire.Frame {
			if p.Header.Tier == envelope.TierRoutine {
				return nil
			}
			return p.On()
		})
		lost := d.sendAs(t, message.Routine)
		d.atRelay(t, lost)
		d.delivered(t, d.send(t)) // shown, though one is missing
		eventually(t, "the gap is known", func() bool { return gapsOf(t, d.to, d.from) == 1 })
		d.Pass(time.Minute)
		d.delivered(t, d.send(t)) // its statement asks again
		eventually(t, "the sender makes it again", func() bool { return d.envelopes(envelope.TierRoutine) > 1 })
		if hasAlarm(t, d.to, schakel.AlarmGap) {
			t.Error("an alarm before its time")
		}
		d.Pass(31 * time.Minute)
		if a := alarmed(t, d.to, schakel.AlarmGap); !strings.Contains(a.Remedy, "+316") {
			t.Errorf("nobody to call: %+v", a)
		}
		d.op.Do(nil)
		d.Pass(15 * time.Minute)
		d.delivered(t, d.send(t))
		d.delivered(t, lost)
		eventually(t, "the alarm ends", func() bool { return !hasAlarm(t, d.to, schakel.AlarmGap) })
	},
	"B02 drops the last": func(t *testing.T, d *dishonest) {
		d.delivered(t, d.send(t))
		d.mail(d.to, func(p schakeltest.Passing) []wire.Frame {
			if p.Message() {
				return nil
			}
			return p.On()
		})
		lost := d.send(t)
		d.atRelay(t, lost)
		d.Pass(14 * time.Minute)
		since := d.Now()
		d.Pass(2 * time.Minute)
		a := alarmed(t, d.from, schakel.AlarmUndelivered)
		if a.Since.Before(since) {
			t.Errorf("the sender was alarmed before its time, at %v", a.Since)
		}
		if !strings.Contains(a.Remedy, "+316") || a.Code != string(d.to.Desk) {
			t.Errorf("nobody to call: %+v", a)
		}
		d.Pass(61 * time.Minute) // one heartbeat of the sender, at least
		eventually(t, "the recipient knows the gap", func() bool { return gapsOf(t, d.to, d.from) > 0 })
		d.Pass(31 * time.Minute)
		alarmed(t, d.to, schakel.AlarmGap)
	},
	"B03 drops all statements": func(t *testing.T, d *dishonest) {
		d.mail(d.from, drop)
		sent := d.send(t)
		eventually(t, "it arrives all the same", func() bool { return holds(t, d.to, sent) == 1 })
		d.Pass(16 * time.Minute)
		alarmed(t, d.from, schakel.AlarmUndelivered)
		if s := d.state(t, sent); s != schakel.StateAtRelay {
			t.Errorf("without a word of the recipient it is %s", s)
		}
		d.honest(t)
		d.delivered(t, sent)
		eventually(t, "the alarm ends", func() bool { return !hasAlarm(t, d.from, schakel.AlarmUndelivered) })
	},
	"B05 says an old statement again": func(t *testing.T, d *dishonest) {
		var old wire.Frame
		d.mail(d.from, func(p schakeltest.Passing) []wire.Frame {
			if old == nil {
				old = p.Frame
			}
			return p.On()
		})
		sent := d.send(t)
		d.delivered(t, sent)
		if _, err := d.to.Node.Read(testContext(t), sent.Hash); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is read", func() bool { return d.state(t, sent) == schakel.StateOpened })
		before := statusOf(t, d.from).Rejected
		d.op.Slip(d.from.Node.Device(), old)
		d.honest(t)
		eventually(t, "the old one is counted", func() bool { return statusOf(t, d.from).Rejected > before })
		if s := d.state(t, sent); s != schakel.StateOpened {
			t.Errorf("it went back to %s", s)
		}
	},
	"B06 exchanges two": func(t *testing.T, d *dishonest) {
		first := d.send(t)
		d.delivered(t, first)
		d.mail(d.to, func(p schakeltest.Passing) []wire.Frame {
			if p.Message() {
				return d.op.Hold(p)
			}
			return p.On()
		})
		early := d.inCase(t, first.Case)
		d.atRelay(t, early)
		eventually(t, "it is held", func() bool { return d.envelopes(envelope.TierUrgent) == 2 })
		d.op.Do(nil)
		d.Pass(2 * time.Second)
		late := d.inCase(t, first.Case)
		d.delivered(t, late)
		d.op.LetGo()
		d.honest(t)
		d.delivered(t, early)
		wears(t, d.to, early.Hash, schakel.MarkBehind)
		wears(t, d.to, late.Hash)
		for _, c := range []struct {
			sent schakel.Sent
			late bool
		}{{first, false}, {early, true}, {late, false}} {
			l, err := d.to.Node.Read(testContext(t), c.sent.Hash)
			if err != nil || l.Late != c.late {
				t.Errorf("marked late: %v, want %v, %v", l.Late, c.late, err)
			}
		}
		o, err := d.to.Node.Overview(testContext(t), first.Case)
		if err != nil || len(o.Messages) != 3 {
			t.Fatalf("the case has %d messages, %v", len(o.Messages), err)
		}
		for i, sent := range []schakel.Sent{first, early, late} {
			if o.Messages[i].Hash.String() != sent.Hash {
				t.Errorf("not in the order of signing at %d", i)
			}
		}
	},
	"B07 holds it back until it has expired": func(t *testing.T, d *dishonest) {
		d.mail(d.to, func(p schakeltest.Passing) []wire.Frame {
			if p.Message() {
				return d.op.Hold(p)
			}
			return p.On()
		})
		sent := d.send(t)
		d.atRelay(t, sent)
		d.Pass(16 * time.Minute)
		alarmed(t, d.from, schakel.AlarmUndelivered)
		d.Pass(8 * 24 * time.Hour)
		d.op.LetGo()
		d.delivered(t, d.send(t)) // with what was held before it
		if statusOf(t, d.to).Quarantined == 0 {
			t.Error("what expired is not kept apart")
		}
		if holds(t, d.to, sent) != 0 {
			t.Error("what expired is shown")
		}
	},
	"B09 delivers six hours late": func(t *testing.T, d *dishonest) {
		d.mail(d.to, func(p schakeltest.Passing) []wire.Frame {
			if p.Message() {
				return d.op.Hold(p)
			}
			return p.On()
		})
		slow := d.send(t)
		d.atRelay(t, slow)
		d.Pass(6 * time.Hour)
		d.op.LetGo()
		quick := d.send(t)
		d.delivered(t, quick)
		d.delivered(t, slow)
		wears(t, d.to, slow.Hash, schakel.MarkSlow)
		wears(t, d.to, quick.Hash)
		for _, c := range []struct {
			sent     schakel.Sent
			from, to time.Duration
		}{{slow, 6 * time.Hour, 7 * time.Hour}, {quick, 0, 0}} {
			l, err := d.to.Node.Read(testContext(t), c.sent.Hash)
			if took := l.UnderWay(); err != nil || took < c.from || took > c.to {
				t.Errorf("its reader hears of %v, want %v, %v", took, c.from, err)
			}
		}
	},
	"B11 keeps heartbeats back": func(t *testing.T, d *dishonest) {
		d.delivered(t, d.send(t))
		d.mail(d.to, drop)
		d.Pass(100 * time.Minute)
		since := d.Now()
		d.Pass(25 * time.Minute)
		a := alarmed(t, d.to, schakel.AlarmSilence)
		if a.Since.Before(since) {
			t.Error("an alarm after one that is missing")
		}
		if a.Subject != string(d.from.Desk) || !strings.Contains(a.Remedy, "+316") {
			t.Errorf("%+v", a)
		}
		d.honest(t)
		d.Pass(61 * time.Minute)
		eventually(t, "the next one ends it", func() bool { return !hasAlarm(t, d.to, schakel.AlarmSilence) })
	},
	"B12 delivers twice to two devices of a desk": func(t *testing.T, d *dishonest) {
		second := d.to.Sibling()
		second.Start()
		sealsTo(t, d.from, d.to.Desk, 2)
		d.op.Do(func(p schakeltest.Passing) []wire.Frame {
			if p.Message() {
				return twice(p)
			}
			return p.On()
		})
		sent := d.send(t)
		for _, m := range []*schakeltest.Member{d.to, second} {
			eventually(t, "both have it, and counted the other", func() bool { return holds(t, m, sent) == 1 && statusOf(t, m).Rejected > 0 })
			if n := statusOf(t, m).Alarms; n != 0 {
				t.Errorf("%d alarms", n)
			}
		}
	},
	"B13 says that the mailbox is empty": func(t *testing.T, d *dishonest) {
		d.delivered(t, d.send(t))
		d.op.Do(func(p schakeltest.Passing) []wire.Frame {
			if p.Mail() {
				return nil
			}
			return p.On()
		})
		sent := d.send(t)
		d.atRelay(t, sent)
		d.Pass(16 * time.Minute)
		alarmed(t, d.from, schakel.AlarmUndelivered)
		d.Pass(110 * time.Minute)
		alarmed(t, d.from, schakel.AlarmSilence)
		alarmed(t, d.to, schakel.AlarmSilence)
		if s := d.state(t, sent); s != schakel.StateAtRelay {
			t.Errorf("it is %s", s)
		}
	},
	"C01 gives another key for a device": func(t *testing.T, d *dishonest) {
		sender := d.from.Node.Device()
		other, err := seal.NewEpochKey(1)
		if err != nil {
			t.Fatal(err)
		}
		d.op.Do(func(p schakeltest.Passing) []wire.Frame {
			if keys, is := p.Frame.(wire.KeysAre); is && p.Device == sender {
				for i := range keys.Recipients {
					keys.Recipients[i] = other.Recipient()
				}
				return []wire.Frame{keys}
			}
			return p.On()
		})
		d.to = d.Join("knooppunt-2/piket", identity.RoleKnooppunt) // nobody keeps keys of it yet
		d.to.Start()
		alarmStands(t, d.from, schakel.AlarmKeySwap, d.to.Node.Device().String(), true)
		sent := d.send(t)
		d.Pass(16 * time.Minute)
		alarmed(t, d.from, schakel.AlarmUndelivered) // it was looked at
		if s := d.state(t, sent); s != schakel.StatePrepared {
			t.Errorf("it was sealed: %s", s)
		}
		d.op.Do(nil)
		d.from.Reopen()
		d.from.Start()
		d.delivered(t, sent)
	},
	"C04 shows the register of before": func(t *testing.T, d *dishonest) {
		var old *wire.Register
		for _, p := range d.op.Seen() {
			if r, is := p.Frame.(wire.Register); is && p.Device == d.from.Node.Device() && old == nil {
				old = &r
			}
		}
		before := statusOf(t, d.from).RegisterSize
		d.Grow(2)
		eventually(t, "the register grows", func() bool { return statusOf(t, d.from).RegisterSize > before })
		size := statusOf(t, d.from).RegisterSize
		d.op.Do(func(p schakeltest.Passing) []wire.Frame {
			if r, is := p.Frame.(wire.Register); is && p.Device == d.from.Node.Device() {
				return []wire.Frame{wire.Register{From: r.From, Checkpoint: old.Checkpoint, Proof: old.Proof}}
			}
			return p.On()
		})
		d.from.Reopen()
		d.from.Start()
		alarmed(t, d.from, schakel.AlarmRegister)
		sent := d.send(t)
		d.Pass(16 * time.Minute)
		alarmed(t, d.from, schakel.AlarmUndelivered) // it was looked at
		if s := d.state(t, sent); s != schakel.StatePrepared {
			t.Errorf("it was sent: %s", s)
		}
		if s := statusOf(t, d.from); s.RegisterSize < size {
			t.Errorf("the register fell from %d to %d", size, s.RegisterSize)
		}
		d.op.Do(nil)
		d.delivered(t, sent)
	},
	"D43 speaks another version only": func(t *testing.T, d *dishonest) {
		d.to.Stop()
		d.from.Stop()
		for range 2 { // the sessions are over
			d.StopRelay()
			d.StartRelay()
		}
		for _, version := range []uint64{wire.Version - 1, wire.Version + 1} {
			from := len(d.op.Seen())
			d.op.Do(func(p schakeltest.Passing) []wire.Frame {
				if c, is := p.Frame.(wire.Challenge); is {
					c.Version = version
					return []wire.Frame{c}
				}
				return p.On()
			})
			d.from.Reopen()
			d.from.Start()
			eventually(t, "it says why", func() bool { return strings.Contains(statusOf(t, d.from).LastError, "version") })
			for _, p := range d.op.Seen()[from:] {
				if _, is := p.Frame.(wire.Login); is {
					t.Error("a token was given away")
				}
			}
			d.from.Stop()
		}
		d.op.Do(nil)
		d.from.Reopen()
		d.from.Start()
		d.to.Reopen()
		d.to.Start()
		d.reachable(t)
	},
	"H07 says that somebody attends": func(t *testing.T, d *dishonest) {
		d.mail(d.to, drop)
		sent := d.send(t)
		d.atRelay(t, sent)
		for _, p := range d.op.Seen() {
			if put, is := p.Frame.(wire.Put); is && p.Header.Tier == envelope.TierUrgent {
				d.op.Slip(d.from.Node.Device(), wire.AttendedIs{ID: headerOf(put.Envelope).ID, Code: wire.CodeOK})
			}
		}
		d.Pass(16 * time.Minute)
		alarmed(t, d.from, schakel.AlarmUndelivered)
		d.Pass(4 * time.Hour)
		alarmed(t, d.from, schakel.AlarmUnacknowledged)
		eventually(t, "the lie is told", d.op.Slipped)
		if s := d.state(t, sent); s != schakel.StateAtRelay {
			t.Errorf("by the relay's word it is %s", s)
		}
	},
}

func TestEvilRelay(t *testing.T) {
	for row, run := range relayRows {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			d := newDishonest(t)
			run(t, d)
			d.honest(t)
		})
	}
}

// answersAlike tries variants of one envelope, each with a message of its own, and compares
// what the network shows of how the recipient takes them.
func answersAlike(t *testing.T, d *dishonest) {
	d.delivered(t, d.send(t))
	variants := map[string]func(raw []byte, h *envelope.Header) []byte{
		"a bit of the payload":                      func(raw []byte, _ *envelope.Header) []byte { raw[len(raw)-100] ^= 1; return raw },
		"the last bit":                              func(raw []byte, _ *envelope.Header) []byte { raw[len(raw)-1] ^= 1; return raw },
		"a bit of the stanza":                       func(raw []byte, _ *envelope.Header) []byte { raw[len(raw)-5500] ^= 1; return raw },
		"an earlier creation":                       func(raw []byte, h *envelope.Header) []byte { h.Created--; return raw },
		"another id, which opens and is not signed": func(raw []byte, h *envelope.Header) []byte { h.ID[15] ^= 1; return raw },
	}
	// A statement may happen to be due meanwhile: what tells variants apart would do so each time.
	first := d.answerTo(t, variants["the last bit"])
	for last := []string(nil); !slices.Equal(first, last); {
		last, first = first, d.answerTo(t, variants["the last bit"])
	}
	for name, change := range variants {
		shown := d.answerTo(t, change)
		for tries := 1; !slices.Equal(shown, first) && tries < 3; tries++ {
			shown = d.answerTo(t, change)
		}
		if !slices.Equal(shown, first) {
			t.Errorf("%s is answered by %q, another by %q", name, shown, first)
		}
	}
	if want := "wire.Ack wire.Credit put of "; !strings.HasPrefix(strings.Join(first, " "), want) {
		t.Errorf("the answer is %q", first)
	}
}

// answerTo is what the network shows when the recipient is handed a variant of a message. The
// control: the message is made again, and opens.
func (d *dishonest) answerTo(t *testing.T, change func(raw []byte, h *envelope.Header) []byte) (shown []string) {
	t.Helper()
	spoilt := false
	d.mail(d.to, func(p schakeltest.Passing) []wire.Frame {
		if !p.Message() || spoilt {
			return p.On()
		}
		spoilt = true
		mail, h := p.Frame.(wire.Deliver), p.Header
		raw := change(bytes.Clone(mail.Envelope), &h)
		return reheadedAs(mail, h, raw)
	})
	from := len(d.op.Seen())
	sent := d.send(t)
	eventually(t, "it is answered", func() bool {
		shown = d.answered(from)
		return len(shown) == 3
	})
	d.Pass(3 * time.Minute)
	d.delivered(t, d.send(t))
	d.delivered(t, sent)
	return shown
}

// answered are the acknowledgement of the first message that the recipient was handed since,
// and the two frames after it; what it asks of the register meanwhile is no answer.
func (d *dishonest) answered(since int) (out []string) {
	handed, to := false, d.to.Node.Device()
	for _, p := range d.op.Seen()[since:] {
		handed = handed || p.Message() && p.Device == to
		said := handed && p.Device == to && p.From == wire.SideDevice && len(out) < 3
		switch p.Frame.(type) {
		case wire.Ack:
		case wire.Credit, wire.Put:
			said = said && len(out) > 0
		default:
			said = false
		}
		if said {
			out = append(out, shape(p.Frame))
		}
	}
	return out
}
