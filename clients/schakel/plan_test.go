package schakel_test

import (
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/relay/wire"
)

// TestSerials: who knows of a later decision has the higher number, also when the other
// publishes later; above a number that the relay names for its own decision a device goes
// on, and below one for a later decision it waits.
func TestSerials(t *testing.T) {
	chain := schakeltest.New(t)
	m := chain.Join("vt20/crisis", "veilig-thuis")
	const decided = 1790000000
	first, due := m.Node.SerialForTest("a", decided, 1)
	if !due || first>>32 != decided {
		t.Fatalf("serial %x, due %v", first, due)
	}
	if _, due := m.Node.SerialForTest("a", decided, 1); due {
		t.Error("published again though nothing changed")
	}
	later, due := m.Node.SerialForTest("b", decided+1, 1)
	if !due || later <= first {
		t.Errorf("a later decision has %x after %x", later, first)
	}
	m.MoveClock(23 * time.Hour)
	if _, due := m.Node.SerialForTest("b", decided+1, 1); due {
		t.Error("published again within a day")
	}
	m.MoveClock(25 * time.Hour)
	daily, due := m.Node.SerialForTest("b", decided+1, 1)
	if !due || daily <= later {
		t.Errorf("daily: %x after %x, due %v", daily, later, due)
	}
	if again, due := m.Node.SerialForTest("b", decided+1, 2); !due || again < daily {
		t.Errorf("in a new session: %x, due %v", again, due)
	}
	hear := func(serial uint64, code wire.Code) {
		t.Helper()
		if err := m.Node.PlanIsForTest(testContext(t), wire.PlanIs{Serial: serial, Code: code}); err != nil {
			t.Fatal(err)
		}
	}
	taken := daily + 1000
	hear(taken, wire.CodeConflict)
	if has(t, m, schakel.AlarmRota) {
		t.Error("an alarm at the first conflict")
	}
	if above, due := m.Node.SerialForTest("b", decided+1, 2); !due || above != taken+1 {
		t.Errorf("after a conflict %x, want %x", above, taken+1)
	}
	hear((decided+2)<<32, wire.CodeConflict)
	if _, due := m.Node.SerialForTest("b", decided+1, 2); due {
		t.Error("an old rota goes against a later decision of a colleague")
	}
	if s, due := m.Node.SerialForTest("c", decided+3, 2); !due || s>>32 != decided+3 {
		t.Errorf("the next decision: %x, due %v", s, due)
	}
	hear((decided+3)<<32, wire.CodeOK)
	if has(t, m, schakel.AlarmRota) {
		t.Error("an alarm though the relay has it")
	}
}

// TestRefusedPlans: what a relay refuses for good becomes an alarm after a few tries, and
// what it cannot do now is tried again without one.
func TestRefusedPlans(t *testing.T) {
	chain := schakeltest.New(t)
	m := chain.Join("vt20/crisis", "veilig-thuis")
	hear := func(code wire.Code) {
		t.Helper()
		if err := m.Node.PlanIsForTest(testContext(t), wire.PlanIs{Serial: 1, Code: code}); err != nil {
			t.Fatal(err)
		}
	}
	offers := 0
	for range 10 {
		if _, due := m.Node.SerialForTest("a", 1790000000, 1); due {
			offers++
			hear(wire.CodeLooser)
		}
	}
	if offers != 3 || !has(t, m, schakel.AlarmRota) {
		t.Errorf("offered %d times, alarm %v", offers, has(t, m, schakel.AlarmRota))
	}
	if _, due := m.Node.SerialForTest("b", 1790000001, 1); !due {
		t.Fatal("a changed rota is not offered")
	}
	hear(wire.CodeOK)
	if has(t, m, schakel.AlarmRota) {
		t.Error("the alarm stays")
	}
	for i := range 10 {
		if _, due := m.Node.SerialForTest("c", 1790000002, 1); !due {
			t.Fatalf("given up after %d", i)
		}
		hear(wire.CodeUnavailable)
	}
	if has(t, m, schakel.AlarmRota) {
		t.Error("an alarm about a relay that calls nobody")
	}
}

// TestSilentRelay: a relay that ends the session over a plan is left alone for an hour.
func TestSilentRelay(t *testing.T) {
	chain := schakeltest.New(t)
	m := chain.Join("vt20/crisis", "veilig-thuis")
	offers := 0
	for session := range 10 {
		if _, due := m.Node.SerialForTest("a", 1790000000, session+1); due {
			offers++
		}
	}
	if offers != 2 {
		t.Errorf("offered in %d sessions that ended over it", offers)
	}
	m.MoveClock(time.Hour + time.Minute)
	if _, due := m.Node.SerialForTest("a", 1790000000, 20); !due {
		t.Error("never offered again")
	}
}
