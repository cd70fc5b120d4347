package schakel_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Two devices of one desk both receive; one acknowledges, and the other knows.
func TestDevicesOfOneDeskShareTheWork(t *testing.T) {
	p := newPair(t, nil)
	officer := p.to.AddPerson("K. Nooppunt")
	second := p.to.Sibling()
	second.Start()
	sealsTo(t, p.from, p.to.Desk, 2)
	sent := p.send(t)
	p.delivered(t, sent)
	eventually(t, "the second device has it too", func() bool {
		letter, err := second.Node.Read(testContext(t), sent.Hash)
		return err == nil && bytes.Equal(letter.Body, example(t, "adviesvraag"))
	})
	if _, err := p.to.Node.Acknowledge(testContext(t), sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second device sees who took it", func() bool {
		list, err := second.Node.List(testContext(t), schakel.Filter{})
		return err == nil && len(list) == 1 && list[0].AckBy == officer.Name
	})
}

// The device that sealed a message is gone for good while the recipient is away.
// Another device of the desk makes the delivery again, and the recipient sees the
// message once and no gap.
func TestAnotherDeviceMakesTheDeliveryAgain(t *testing.T) {
	p := newPair(t, nil)
	second := p.from.Sibling()
	second.Start()
	p.to.Stop()
	eventually(t, "the sender knows its own second device", func() bool {
		st, err := p.from.Node.Status(testContext(t))
		other, err2 := second.Node.Status(testContext(t))
		return err == nil && err2 == nil && st.RegisterSize == other.RegisterSize && other.Connected
	})
	sent := p.sendAs(t, message.Routine)
	eventually(t, "the second device has a copy", func() bool {
		_, err := second.Node.Trace(testContext(t), sent.Hash)
		return err == nil
	})
	p.from.Stop()
	for range 9 {
		p.Pass(24 * time.Hour) // the first envelope expires unread
	}
	p.to.Reopen()
	p.to.Start()
	s, err := second.Node.Wait(testContext(t), sent.Hash, schakel.StateDelivered)
	if err != nil {
		t.Fatalf("%v: %+v", err, s)
	}
	if list := p.inbox(t); len(list) != 1 {
		t.Errorf("recipient has %d messages, want 1", len(list))
	}
	alarms, err := p.to.Node.Alarms(testContext(t))
	if err != nil || slices.ContainsFunc(alarms, func(a schakel.Alarm) bool { return a.Kind == schakel.AlarmGap }) {
		t.Errorf("recipient's alarms: %+v, %v", alarms, err)
	}
}

// Nobody vouches for a device of another organisation.
func TestVouchForAnotherOrganisation(t *testing.T) {
	chain := schakeltest.New(t)
	m := chain.Join("vt20/crisis", identity.RoleVeiligThuis)
	other := chain.Join("om/parket", identity.RoleOM)
	request, err := schakel.RequestDevice(testContext(t), other.Store(), "om/parket", chain.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Node.Vouch(testContext(t), request); err == nil {
		t.Error("vouched for a device of another organisation")
	}
}
