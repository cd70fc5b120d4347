package schakel_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// restoring is a desk that writes and one that is restored.
type restoring struct {
	*schakeltest.Chain
	doctor, desk *schakeltest.Member
	iket         schakel.Person

	mu      sync.Mutex
	refused map[identity.DeviceID][]wire.Refused // what the relay took from nobody
}

func newRestoring(t *testing.T) *restoring {
	t.Helper()
	o := &restoring{Chain: schakeltest.Prepare(t), refused: map[identity.DeviceID][]wire.Refused{}}
	o.Tap = func(of identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
		if r, is := f.(wire.Refused); is && from == wire.SideRelay {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.refused[of] = append(o.refused[of], r)
		}
		return []wire.Frame{f}
	}
	o.StartRelay()
	o.doctor, o.desk = o.Join("arts/praktijk", identity.RoleSignaleerder), o.Join("vt20/crisis", identity.RoleVeiligThuis)
	o.doctor.Start()
	o.desk.Start()
	o.iket = o.desk.AddPerson("P. Iket")
	o.reachable(t, 1)
	return o
}

// reachable waits until the doctor knows that many devices of the desk.
func (o *restoring) reachable(t *testing.T, devices int) {
	t.Helper()
	eventually(t, "the desk can be written to", func() bool {
		all, err := o.doctor.Node.Directory(testContext(t))
		return err == nil && len(all) == 1 && all[0].Reachable && all[0].Devices == devices
	})
}

func (o *restoring) report(t *testing.T) string {
	t.Helper()
	sent, err := o.doctor.Node.Send(testContext(t), schakel.Draft{Class: "signaal", Urgency: message.Urgent, To: []identity.DeskID{o.desk.Desk}, Body: example(t, "signaal")})
	if err != nil {
		t.Fatal(err)
	}
	return sent.Hash
}

func (o *restoring) told(t *testing.T, hash string, state schakel.State) {
	t.Helper()
	if s, err := o.doctor.Node.Wait(testContext(t), hash, state); err != nil {
		t.Fatalf("the sender never hears %s: %v, %+v", state, err, s)
	}
}

func (o *restoring) acknowledge(t *testing.T, m *schakeltest.Member, hash string) {
	t.Helper()
	if _, err := m.Node.Acknowledge(testContext(t), hash, schakel.Acknowledgement{Person: o.iket.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
}

// waits are the messages that a device says nobody acknowledged.
func waits(t *testing.T, m *schakeltest.Member) (out []string) {
	t.Helper()
	list, err := m.Node.List(testContext(t), schakel.Filter{ToAck: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		out = append(out, s.Hash)
	}
	slices.Sort(out)
	return out
}

func sorted(all ...string) []string {
	slices.Sort(all)
	return all
}

// A backup that is older than the latest. What came after it comes again from its senders,
// what the relay held comes as always; what was acknowledged after it asks for a person
// once more, says so to nobody else, and is done with that.
func TestRestoreOfAnOlderBackup(t *testing.T) {
	o := newRestoring(t)
	before, ackedLater := o.report(t), o.report(t)
	o.told(t, ackedLater, schakel.StateDelivered)
	o.acknowledge(t, o.desk, before)
	o.told(t, before, schakel.StateAcknowledged)
	older := o.desk.Backup()
	after, unread := o.report(t), o.report(t)
	o.told(t, unread, schakel.StateDelivered)
	for _, hash := range []string{ackedLater, after} {
		o.acknowledge(t, o.desk, hash)
		o.told(t, hash, schakel.StateAcknowledged)
	}
	o.desk.Backup() // the latest, which is lost with the machine
	o.desk.Stop()
	atRelay := o.report(t)
	o.told(t, atRelay, schakel.StateAtRelay)

	again := o.desk.Restored(older)
	if _, err := again.Rejoin(testContext(t)); err != nil {
		t.Fatal(err)
	}
	again.Start()
	eventually(t, "all that was sent is there", func() bool { return len(listOf(t, again)) == 5 })
	if got, want := waits(t, again), sorted(ackedLater, after, unread, atRelay); !slices.Equal(got, want) {
		t.Errorf("waiting are %.8q, want %.8q", got, want)
	}
	o.told(t, atRelay, schakel.StateDelivered)
	for _, hash := range []string{ackedLater, after, unread, atRelay} {
		o.acknowledge(t, again, hash)
	}
	if got := waits(t, again); len(got) != 0 {
		t.Errorf("still waiting: %.8q", got)
	}
	for _, hash := range []string{before, ackedLater, after, unread, atRelay} {
		o.told(t, hash, schakel.StateAcknowledged)
	}
	o.nothingRefused(t, again)
	for _, m := range []*schakeltest.Member{o.doctor, again} {
		alarms, err := m.Node.Alarms(testContext(t))
		if err != nil || len(alarms) != 0 {
			t.Errorf("%s alarms: %+v, %v", m.Desk, alarms, err)
		}
	}
}

// nothingRefused demands that the relay took all that a device offered.
func (o *restoring) nothingRefused(t *testing.T, m *schakeltest.Member) {
	t.Helper()
	st, err := m.Node.Status(testContext(t))
	o.mu.Lock()
	defer o.mu.Unlock()
	if got := o.refused[st.Device]; err != nil || len(got) != 0 {
		t.Errorf("the relay refused %+v, %v", got, err)
	}
}

func listOf(t *testing.T, m *schakeltest.Member) []schakel.Summary {
	t.Helper()
	list, err := m.Node.List(testContext(t), schakel.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A device without the organisation's key: it is not in before a device with that key
// vouched for it and ended the old one, however often it is tried. What reached the desk's
// other device meanwhile comes; what a colleague acknowledged there asks for a person here
// once more, and is done with that.
func TestRestoreWithoutTheOrganisationKey(t *testing.T) {
	o, ctx := newRestoring(t), testContext(t)
	second := o.desk.Sibling()
	second.Start()
	o.reachable(t, 2)
	taken := o.report(t)
	eventually(t, "both have it", func() bool { return len(listOf(t, o.desk)) == 1 && len(listOf(t, second)) == 1 })
	backup := second.Backup()
	second.Stop()
	o.acknowledge(t, o.desk, taken)
	later := o.report(t)
	o.told(t, later, schakel.StateDelivered)

	again := second.Restored(backup)
	request, err := schakel.BeginAgain(ctx, again.Store(), o.Now())
	if err != nil || request == nil {
		t.Fatalf("no request: %v", err)
	}
	tooEarly := func(when string) {
		t.Helper()
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if _, err := again.Rejoin(short); !errors.Is(err, schakel.ErrRestoring) {
			t.Errorf("%s: %v", when, err)
		}
	}
	tooEarly("nobody vouched")
	old := idOf(t, o.desk, 2)
	if err := o.desk.Node.Vouch(ctx, request); err != nil {
		t.Fatal(err)
	}
	tooEarly("the old one is still in the register")
	for _, id := range old {
		if err := o.desk.Node.Revoke(ctx, trust.Device{ID: id}.Subject(), trust.ReasonLost); err != nil {
			t.Fatal(err)
		}
	}
	same, err := again.Rejoin(ctx)
	if err != nil || !slices.Equal(same, request) {
		t.Fatalf("rejoining: another request %t, %v", !slices.Equal(same, request), err)
	}
	again.Start()
	o.reachable(t, 2)
	var passed time.Time
	eventually(t, "all is there", func() bool {
		if time.Since(passed) > 5*time.Second { // not all the time: a login on a clock that runs is too late
			o.Pass(time.Minute) // it states what it has every minute
			passed = time.Now()
		}
		return len(listOf(t, again)) == 2
	})
	if got, want := waits(t, again), sorted(taken, later); !slices.Equal(got, want) {
		t.Errorf("waiting are %.8q, want %.8q", got, want)
	}
	for _, hash := range []string{taken, later} {
		o.acknowledge(t, again, hash)
	}
	eventually(t, "both devices are done", func() bool { return len(waits(t, o.desk)) == 0 && len(waits(t, again)) == 0 })
	o.told(t, later, schakel.StateAcknowledged)
	eventually(t, "nothing is amiss at either end", func() bool {
		for _, m := range []*schakeltest.Member{o.doctor, o.desk, again} {
			if alarms, err := m.Node.Alarms(ctx); err != nil || len(alarms) != 0 {
				return false
			}
		}
		return true
	})
}

// idOf are the devices of a member's desk but the member itself; there must be so many in all.
func idOf(t *testing.T, m *schakeltest.Member, all int) (out []identity.DeviceID) {
	t.Helper()
	devices, err := m.Node.Devices(testContext(t))
	if err != nil || len(devices) != all {
		t.Fatalf("%d devices, %v", len(devices), err)
	}
	for _, d := range devices {
		if !d.Here {
			out = append(out, d.ID)
		}
	}
	return out
}

// Somebody has a backup and its passphrase. Where the organisation's key is elsewhere he
// has what it says, and gets in nowhere. Where it was in the backup he can become a device
// of the desk; he must be another one than the true one, which is told so: it is ended, or
// sees him in its list.
func TestStolenBackup(t *testing.T) {
	o, ctx := newRestoring(t), testContext(t)
	second := o.desk.Sibling()
	second.Start()
	o.reachable(t, 2)
	read := o.report(t)
	eventually(t, "both have it", func() bool { return len(listOf(t, o.desk)) == 1 && len(listOf(t, second)) == 1 })
	ofSecond, ofFirst := second.Backup(), o.desk.Backup()

	without := second.Restored(ofSecond)
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := without.Rejoin(short); !errors.Is(err, schakel.ErrRestoring) {
		t.Errorf("without the organisation's key: %v", err)
	}
	if got := idOf(t, o.desk, 2); len(got) != 1 {
		t.Errorf("devices: %v", got)
	}

	thief := o.desk.Restored(ofFirst)
	if _, err := thief.Rejoin(ctx); err != nil {
		t.Fatal(err)
	}
	thief.Start()
	if _, err := thief.Node.Acknowledge(ctx, read, schakel.Acknowledgement{Person: o.iket.Name, PIN: "000000"}); !errors.Is(err, schakel.ErrPIN) {
		t.Errorf("he signs as an officer without the PIN: %v", err)
	}
	var is, was schakel.Status
	eventually(t, "the true device is let in no more, and says so", func() (yes bool) {
		was, _ = o.desk.Node.Status(ctx)
		return !was.Connected && strings.Contains(was.LastError, "relay closed the connection")
	})
	is, err := thief.Node.Status(ctx)
	if err != nil || is.Device == was.Device {
		t.Errorf("he is the true device: %s, %v", is.Device, err)
	}
	eventually(t, "the other device of the desk sees him in its place", func() bool {
		devices, err := second.Node.Devices(ctx)
		has := func(id identity.DeviceID) bool {
			return slices.ContainsFunc(devices, func(d schakel.Device) bool { return d.ID == id })
		}
		return err == nil && has(is.Device) && !has(was.Device)
	})
}
