package schakel_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// age waits until a member shows a state of its register.
func registerAge(t *testing.T, m *schakeltest.Member, want schakel.Freshness) schakel.RegisterAge {
	t.Helper()
	var got schakel.Status
	eventually(t, "register "+string(want), func() bool {
		var err error
		got, err = m.Node.Status(t.Context())
		return err == nil && got.RegisterAge.State == want
	})
	return got.RegisterAge
}

// hasAlarm waits until an alarm of a kind about a subject stands, or does not.
func alarmStands(t *testing.T, m *schakeltest.Member, kind schakel.AlarmKind, subject string, want bool) {
	t.Helper()
	eventually(t, string(kind)+" "+subject, func() bool {
		return want == slices.ContainsFunc(alarms(t, m, kind), func(a schakel.Alarm) bool { return a.Subject == subject && a.Remedy != "" })
	})
}

// caller is a doctor who may write to Veilig Thuis and the police, each with one device.
type caller struct {
	*schakeltest.Chain
	doctor, safe, police *schakeltest.Member
	person               schakel.Person // at the doctor's; nobody can be added while the register stands still
	routine, acute       schakel.Draft
}

func newCaller(t *testing.T) *caller {
	t.Helper()
	c := &caller{Chain: schakeltest.New(t)}
	c.doctor = c.Join("arts/praktijk", identity.RoleSignaleerder)
	c.safe = c.Join("vt20/crisis", identity.RoleVeiligThuis)
	c.police = c.Join("politie-mn/meldkamer", identity.RolePolitie)
	c.person = c.doctor.AddPerson("D. Okter")
	c.safe.AddPerson("P. Iket")
	for _, m := range []*schakeltest.Member{c.doctor, c.safe, c.police} {
		m.Start()
	}
	sealsTo(t, c.doctor, c.safe.Desk, 1)
	sealsTo(t, c.doctor, c.police.Desk, 1)
	c.routine = schakel.Draft{Class: "signaal", Urgency: message.Routine, To: []identity.DeskID{c.safe.Desk}, Body: example(t, "signaal")}
	c.acute = schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{c.safe.Desk, c.police.Desk}, Body: example(t, "melding")}
	return c
}

// read waits for a message at Veilig Thuis and opens it.
func (c *caller) read(t *testing.T, sent schakel.Sent) (l schakel.Letter) {
	t.Helper()
	eventually(t, "the message is there", func() (there bool) {
		var err error
		l, err = c.safe.Node.ReadAs(t.Context(), sent.Hash, schakel.By{})
		return err == nil
	})
	return l
}

func marked(l schakel.Letter) bool {
	return slices.ContainsFunc(l.Flags, func(f protocol.Flag) bool { return f.Rule == "register" && f.Remedy.NL != "" && f.Remedy.EN != "" })
}

// TestC05C16G04Freshness walks C05 and C16: a relay that withholds what is new. Fine for a day, a
// warning for two more, then nothing is sent, except what is acute on the word of a named
// person who telephoned, and that says so at the other end. The control is the witness that
// comes back. Then G04: a clock that is set back a year makes nothing fresh, and seals
// nothing to a key of last year.
func TestC05C16G04Freshness(t *testing.T) {
	c := newCaller(t)
	ctx, doctor := t.Context(), c.doctor
	if a := registerAge(t, doctor, schakel.Unwitnessed); !a.Vouched.IsZero() {
		t.Errorf("nobody vouched, and it says %s", a.Vouched)
	}
	c.Witnessed()
	registerAge(t, doctor, schakel.Fresh)
	registerAge(t, c.safe, schakel.Fresh)
	sent, err := doctor.Node.Send(ctx, c.with(c.acute, &schakel.Override{Called: "+31600000007"}))
	if err != nil || marked(c.read(t, sent)) {
		t.Fatalf("control: marked though the register is current: %v", err)
	}

	c.Freeze(true)
	c.Pass(3 * time.Hour)
	alarmStands(t, doctor, schakel.AlarmWitnesses, "late", true)
	if a := registerAge(t, doctor, schakel.Fresh); a.Witnesses != schakel.WitnessesLate {
		t.Errorf("witnesses that signed nothing for hours: %+v", a)
	}
	c.Pass(27 * time.Hour)
	registerAge(t, doctor, schakel.Ageing)
	alarmStands(t, doctor, schakel.AlarmFreshness, "ageing", true)
	if _, err := doctor.Node.Send(ctx, c.routine); err != nil {
		t.Errorf("after a day sending goes on: %v", err)
	}
	c.Pass(50 * time.Hour)
	registerAge(t, doctor, schakel.Stale)
	alarmStands(t, doctor, schakel.AlarmFreshness, "stale", true)
	alarmStands(t, doctor, schakel.AlarmFreshness, "ageing", false)
	c.stopped(t)

	c.Freeze(false)
	registerAge(t, doctor, schakel.Fresh)
	alarmStands(t, doctor, schakel.AlarmFreshness, "stale", false)
	alarmStands(t, doctor, schakel.AlarmWitnesses, "late", false)
	sent, err = doctor.Node.Send(ctx, c.routine)
	if err != nil || marked(c.read(t, sent)) {
		t.Errorf("control: the witness is back: %v", err)
	}
	c.setBack(t)
}

// stopped is what goes, and what does not, by a register that is too old.
func (c *caller) stopped(t *testing.T) {
	called := &schakel.Override{Called: "+31600000007"}
	alone := c.acute
	alone.Override = called
	for what, d := range map[string]schakel.Draft{
		"routine":                      c.routine,
		"routine with an override":     c.with(c.routine, called),
		"acute":                        c.acute,
		"acute without a person":       alone,
		"acute, and nobody was called": c.with(c.acute, &schakel.Override{}),
	} {
		if _, err := c.doctor.Node.Send(t.Context(), d); !errors.Is(err, schakel.ErrStale) {
			t.Errorf("%s by an old register: %v", what, err)
		}
	}
	if err := c.doctor.Node.SendTest(t.Context(), c.safe.Desk); !errors.Is(err, schakel.ErrStale) {
		t.Errorf("a test by an old register: %v", err)
	}
	sent, err := c.doctor.Node.Send(t.Context(), c.with(c.acute, called))
	if err != nil {
		t.Fatalf("nothing acute goes on a person's word: %v", err)
	}
	eventually(t, "it is there", func() bool { _, err := c.safe.Node.Restriction(t.Context(), sent.Hash); return err == nil })
	wears(t, c.safe, sent.Hash, schakel.MarkRegister)
	wears(t, c.doctor, sent.Hash, schakel.MarkRegister)
	l := c.read(t, sent)
	if !marked(l) || l.Person != c.person.ID.String() {
		t.Errorf("the other end is not warned, or no person answers for it: %q %+v", l.Person, l.Flags)
	}
	// Receiving goes on, and so does the confirmation of what was received.
	if _, err := c.safe.Node.Acknowledge(t.Context(), sent.Hash, schakel.Acknowledgement{Person: "P. Iket", PIN: schakeltest.PIN}); err != nil {
		t.Fatalf("a confirmation is stopped: %v", err)
	}
	eventually(t, "the doctor hears that somebody has it", func() bool {
		s, err := c.doctor.Node.Trace(t.Context(), sent.Hash)
		return err == nil && slices.ContainsFunc(s.Recipients, func(r schakel.Recipient) bool { return r.State == schakel.StateAcknowledged })
	})
}

func (c *caller) setBack(t *testing.T) {
	const year = 365 * 24 * time.Hour
	vouched := registerAge(t, c.doctor, schakel.Fresh).Vouched
	c.doctor.MoveClock(-year)
	alarmStands(t, c.doctor, schakel.AlarmClock, "achter", true)
	st, err := c.doctor.Node.Status(t.Context())
	if err != nil || st.ClockBehind < year-time.Hour || st.RegisterAge.Vouched.Before(vouched) {
		t.Errorf("behind by %s, vouched %s: %v", st.ClockBehind, st.RegisterAge.Vouched, err)
	}
	sent, err := c.doctor.Node.Send(t.Context(), c.routine)
	if err != nil {
		t.Fatal(err)
	}
	if l := c.read(t, sent); l.Created.Before(vouched.Truncate(time.Second)) {
		t.Errorf("dated %s, and the witnesses signed %s", l.Created, vouched)
	}
	c.doctor.MoveClock(0)
	alarmStands(t, c.doctor, schakel.AlarmClock, "achter", false)
}

// TestC12RootExpires is C12: a warning 60 days before, and a stop after, until it is renewed.
// Before that, the control of G04: with no witness there is no floor, and a year ago there
// was no device to seal to.
func TestC12RootExpires(t *testing.T) {
	const day = 24 * time.Hour
	c := newCaller(t)
	c.doctor.MoveClock(-365 * day)
	if _, err := c.doctor.Node.Send(t.Context(), c.routine); !errors.Is(err, schakel.ErrNoDevice) {
		t.Errorf("sealed a year ago: %v", err)
	}
	c.doctor.MoveClock(0)
	c.NextRoot(func(r *trust.Root) { r.Expires = c.Now().Add(trust.RootWarning + 2*day) })
	eventually(t, "the new root", func() bool {
		st, err := c.doctor.Node.Status(t.Context())
		return err == nil && st.RegisterAge.RootExpires.Sub(c.Now()) < trust.RootWarning+3*day
	})
	alarmStands(t, c.doctor, schakel.AlarmRoot, "expiring", false)
	c.Pass(3 * day)
	alarmStands(t, c.doctor, schakel.AlarmRoot, "expiring", true)
	if _, err := c.doctor.Node.Send(t.Context(), c.routine); err != nil {
		t.Errorf("before it expires sending goes on: %v", err)
	}
	c.Pass(trust.RootWarning)
	alarmStands(t, c.doctor, schakel.AlarmRoot, "expired", true)
	alarmStands(t, c.doctor, schakel.AlarmRoot, "expiring", false)
	eventually(t, "nothing is sent under an expired root", func() bool { // once the desk has published keys for now
		_, err := c.doctor.Node.Send(t.Context(), c.routine)
		return errors.Is(err, schakel.ErrOutlived)
	})
	sealsTo(t, c.doctor, c.safe.Desk, 1)
	sealsTo(t, c.doctor, c.police.Desk, 1)
	sent, err := c.doctor.Node.Send(t.Context(), c.with(c.acute, &schakel.Override{Called: "+31600000007"}))
	if err != nil || !marked(c.read(t, sent)) {
		t.Errorf("nothing acute goes on a person's word, though no witness ever vouched: %v", err)
	}
	c.NextRoot(func(r *trust.Root) { r.Issued, r.Expires = c.Now(), c.Now().Add(300*day) })
	alarmStands(t, c.doctor, schakel.AlarmRoot, "expired", false)
	eventually(t, "control: sent under the renewed root", func() bool {
		_, err := c.doctor.Node.Send(t.Context(), c.routine)
		return err == nil
	})
}

func (c *caller) with(d schakel.Draft, o *schakel.Override) schakel.Draft {
	d.Override, d.Person, d.PIN = o, c.person.ID.String(), schakeltest.PIN
	return d
}

// What is newest in the register waits for its witnesses: somebody is told within minutes,
// with whom to call, and no more once they signed. What is known goes on counting.
func TestQuorumMissing(t *testing.T) {
	t.Parallel()
	chain := schakeltest.New(t)
	m := chain.Join("vt20/crisis", identity.RoleVeiligThuis)
	m.Start()
	chain.Witnessed()
	registerAge(t, m, schakel.Fresh)
	fault := func() schakel.WitnessFault {
		st, err := m.Node.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st.RegisterAge.Witnesses
	}
	again := func() {
		m.Stop()
		began := chain.Now()
		m.Start()
		eventually(t, "connected", func() bool {
			st, err := m.Node.Status(t.Context())
			return err == nil && st.Connected && st.ConnectedSince.After(began)
		})
		chain.Pass(11 * time.Minute)
	}
	again()
	if f := fault(); f != "" {
		t.Fatalf("control: the witness signs, and it says %q", f)
	}
	chain.Freeze(true)
	chain.Grow(1)
	again()
	alarmStands(t, m, schakel.AlarmWitnesses, "missing", true)
	if f := fault(); f != schakel.WitnessesMissing {
		t.Errorf("status says %q", f)
	}
	chain.Freeze(false)
	alarmStands(t, m, schakel.AlarmWitnesses, "missing", false)
	if f := fault(); f != "" {
		t.Errorf("status says %q after they signed", f)
	}
}
