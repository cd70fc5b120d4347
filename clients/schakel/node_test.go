package schakel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// testContext ends what hangs. How long what a test does takes is a matter of the machine.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			t.Fatalf("never happened: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// sealsTo waits until a node seals to so many devices of a desk. That the register names
// a device is not enough: before its first keys are there, what is sent passes it by.
func sealsTo(t testing.TB, from *schakeltest.Member, desk identity.DeskID, devices int) {
	t.Helper()
	eventually(t, fmt.Sprintf("the sender seals to %d devices of %s", devices, desk), func() bool {
		return from.Node.TargetsForTest(desk) == devices
	})
}

func example(t testing.TB, class string) []byte {
	t.Helper()
	e, err := protocol.V1().Example(class)
	if err != nil {
		t.Fatal(err)
	}
	return e.Body
}

// An acute report travels from a doctor to Veilig Thuis and the police, is read and
// acknowledged by a named person, and the doctor sees that.
func TestAcuteReportIsAcknowledgedByAPerson(t *testing.T) {
	ctx := testContext(t)
	chain := schakeltest.New(t)
	doctor := chain.Join("arts/praktijk", identity.RoleSignaleerder)
	safe := chain.Join("vt20/crisis", identity.RoleVeiligThuis)
	police := chain.Join("politie-mn/meldkamer", identity.RolePolitie)
	officer := safe.AddPerson("P. Iket")
	for _, m := range []*schakeltest.Member{doctor, safe, police} {
		m.Start()
	}
	body := example(t, "melding")
	eventually(t, "the doctor knows both desks", func() bool {
		desks, err := doctor.Node.Directory(ctx)
		return err == nil && len(desks) == 2 && desks[0].Reachable && desks[1].Reachable
	})
	sent, err := doctor.Node.Send(ctx, schakel.Draft{
		Class: "melding", Urgency: message.Acute, To: []identity.DeskID{safe.Desk, police.Desk}, Body: body,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := doctor.Node.Wait(ctx, sent.Hash, schakel.StateDelivered); err != nil {
		t.Fatal(err)
	}
	letter, err := safe.Node.Read(ctx, sent.Hash)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(letter.Body, body) {
		t.Error("body is not byte-identical")
	}
	eventually(t, "the doctor sees that it was read", func() bool {
		s, err := doctor.Node.Trace(ctx, sent.Hash)
		return err == nil && stateAt(s, safe.Desk) == schakel.StateOpened
	})
	if _, err := safe.Node.Acknowledge(ctx, sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the doctor sees who took it", func() bool {
		s, err := doctor.Node.Trace(ctx, sent.Hash)
		if err != nil {
			return false
		}
		for _, r := range s.Recipients {
			if r.Desk == safe.Desk {
				return r.State == schakel.StateAcknowledged && r.By == officer.Name
			}
		}
		return false
	})
}

func stateAt(s schakel.Summary, desk identity.DeskID) schakel.State {
	for _, r := range s.Recipients {
		if r.Desk == desk {
			return r.State
		}
	}
	return ""
}

// A person who was revoked signs nothing any more, here already.
func TestRevokedPersonSignsNothing(t *testing.T) {
	p := newPair(t, nil)
	officer := p.to.AddPerson("K. Nooppunt")
	sent := p.send(t)
	p.delivered(t, sent)
	if err := p.to.Node.Revoke(testContext(t), trust.Person{ID: officer.ID}.Subject(), trust.ReasonRetired); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the desk hears of the revocation", func() bool {
		left, err := p.to.Node.Persons(testContext(t))
		return err == nil && len(left) == 0
	})
	_, err := p.to.Node.Acknowledge(testContext(t), sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN})
	if !errors.Is(err, schakel.ErrUnknownPerson) {
		t.Errorf("acknowledged by a revoked person: %v", err)
	}
}

// Whose number nobody could call is not made a person: an acknowledgement would be
// refused for it at the worst moment.
func TestPersonWhoCouldNotAcknowledge(t *testing.T) {
	p := newPair(t, nil)
	_, err := p.to.Node.AddPerson(testContext(t), schakel.Person{Name: "P. Iket", Telephone: "0612"}, schakeltest.PIN)
	if !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

// A desk that lets an acute message lie is alarmed itself, and no more once a
// person took it.
func TestOverdueHere(t *testing.T) {
	p := newPair(t, nil)
	officer := p.to.AddPerson("K. Nooppunt")
	sent := p.send(t)
	p.delivered(t, sent)
	overdue := func() bool {
		alarms, err := p.to.Node.Alarms(testContext(t))
		return err == nil && slices.ContainsFunc(alarms, func(a schakel.Alarm) bool { return a.Kind == schakel.AlarmOverdue })
	}
	if overdue() {
		t.Error("alarmed before it was due")
	}
	p.Pass(5 * time.Hour)
	eventually(t, "the desk is alarmed", overdue)
	if _, err := p.to.Node.Acknowledge(testContext(t), sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	if overdue() {
		t.Error("still alarmed")
	}
}
