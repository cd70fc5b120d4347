package schakel_test

import (
	"slices"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/crypto/trust"
)

// Somebody has the organisation's key and enters a device with it, and ends a person: the
// device where that key belongs tells of both at the next look at the register (C15). What
// the organisation itself does is no alarm.
func TestStolenOrganisationKey(t *testing.T) {
	e := newEvil(t)
	e.vt.Sibling()
	mine := e.vt.AddPerson("Noor")
	own := func() (out []string) {
		alarms, err := e.vt.Node.Alarms(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range alarms {
			if a.Kind == schakel.AlarmOwn {
				out = append(out, a.Subject)
			}
		}
		return out
	}
	eventually(t, "the register has what the organisation did", func() bool {
		_, ok := e.vt.Node.RegisterForTest().Person(mine.ID)
		return ok && len(e.vt.Node.RegisterForTest().DevicesOf(e.vt.Desk)) == 2
	})
	if got := own(); len(got) > 0 {
		t.Fatalf("its own doing alarms: %q", got)
	}
	var stolen impostor
	if err := e.vt.Store().View(testContext(t), func(tx *store.Tx) error {
		d, err := tx.Device()
		stolen.PrivateKey = d.Org
		return err
	}); err != nil {
		t.Fatal(err)
	}
	ghost, id := ghostDevice(t, e.vt.Desk, stolen)
	e.Append(ghost)
	person := trust.Person{ID: mine.ID}.Subject()
	revoke, err := trust.Revoke{Of: person, Reason: trust.ReasonRetired, Effective: time.Now()}.Sign(e.vt.Node.RegisterForTest().Next(person), trust.ByOrg(stolen))
	if err != nil {
		t.Fatal(err)
	}
	e.Append(revoke)
	eventually(t, "both are told of", func() bool {
		got := own()
		return slices.Contains(got, string(trust.Device{ID: id}.Subject())) && slices.Contains(got, string(person))
	})
	if e.alarmed(t, schakel.AlarmOwn) {
		t.Error("another organisation is alarmed")
	}
}
