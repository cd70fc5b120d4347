package ladder_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/crypto/envelope"
	"schakel/relay/ladder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	acute = ladder.Floor(envelope.TierAcute)
	begin = time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)
)

// minutes counts from when the envelope began to wait.
func minutes(n float64) time.Time { return begin.Add(time.Duration(n * float64(time.Minute))) }

// climb does what is due as soon as it is, up to until, and says what that was.
func climb(l ladder.Ladder, s ladder.State, until time.Time) (done []ladder.Action, at []time.Time) {
	for {
		a, due, ok := l.Next(s)
		if !ok || due.After(until) {
			return done, at
		}
		done, at = append(done, a), append(at, due)
		if a.Kind == ladder.Alarm {
			s.Alarmed = true
			continue
		}
		s.Rungs, s.Last = s.Rungs+1, due
	}
}

// TestAcuteFloor is the floor as the partners agreed on it.
func TestAcuteFloor(t *testing.T) {
	done, at := climb(acute, ladder.State{Since: begin}, minutes(35))
	want := []struct {
		ladder.Action
		minute float64
	}{
		{ladder.Action{Kind: ladder.Call}, 0},
		{ladder.Action{Kind: ladder.Call, Rung: 1, Level: 1}, 5},
		{ladder.Action{Kind: ladder.Alarm}, 15},
		{ladder.Action{Kind: ladder.Call, Rung: 2, Level: ladder.Everyone}, 20},
		{ladder.Action{Kind: ladder.Call, Rung: 3, Level: ladder.Everyone}, 35},
	}
	if len(done) != len(want) {
		t.Fatalf("did %v at %v", done, at)
	}
	for i, w := range want {
		if done[i] != w.Action || !at[i].Equal(minutes(w.minute)) {
			t.Errorf("%d: %+v at %v, want %+v at minute %v", i, done[i], at[i], w.Action, w.minute)
		}
	}
}

func TestFloors(t *testing.T) {
	for tier, want := range map[envelope.Tier]struct{ first, backup, alarm time.Duration }{
		envelope.TierAcute:   {0, 5 * time.Minute, 15 * time.Minute},
		envelope.TierUrgent:  {4 * time.Hour, 5 * time.Hour, 6 * time.Hour},
		envelope.TierRoutine: {96 * time.Hour, 120 * time.Hour, 120 * time.Hour},
	} {
		f := ladder.Floor(tier)
		if err := f.Check(); err != nil || f.Steps[0].After != want.first || f.Steps[1].After != want.backup || f.Alarm != want.alarm {
			t.Errorf("tier %d: %+v, %v", tier, f, err)
		}
		if same, err := f.Tightened(f); err != nil || len(same.Steps) != len(f.Steps) {
			t.Errorf("tier %d does not tighten itself: %v", tier, err)
		}
	}
	if _, _, ok := ladder.Floor(envelope.TierNone).Next(ladder.State{Since: begin}); ok {
		t.Error("what has no tier calls somebody")
	}
}

// TestCatchUp: a pager that was away for a day finds each step once, and of the
// repeats one.
func TestCatchUp(t *testing.T) {
	late := begin.Add(24 * time.Hour)
	s, calls := ladder.State{Since: begin}, 0
	for {
		a, due, ok := acute.Next(s)
		if !ok || due.After(late) {
			break
		}
		if a.Kind == ladder.Alarm {
			s.Alarmed = true
			continue
		}
		s.Rungs, s.Last, calls = s.Rungs+1, late, calls+1
	}
	if calls != 2 || !s.Alarmed {
		t.Errorf("%d calls, alarmed %v", calls, s.Alarmed)
	}
}

func TestUnreached(t *testing.T) {
	s := ladder.State{Since: begin, Rungs: 1, Last: minutes(0.5), Unreached: true}
	if a, due, _ := acute.Next(s); a.Level != 1 || !due.Equal(s.Last) {
		t.Errorf("nobody on call: %+v at %v", a, due)
	}
	s.Rungs = 2
	if a, due, _ := acute.Next(s); a.Level != ladder.Everyone || !due.Equal(s.Last.Add(ladder.Retry)) {
		t.Errorf("no backup either: %+v at %v", a, due)
	}
}

func TestAcknowledgers(t *testing.T) {
	two, err := acute.Tightened(ladder.Ladder{Acknowledgers: 2})
	if err != nil {
		t.Fatal(err)
	}
	for n, goesOn := range []bool{true, true, false, false} {
		if _, _, ok := two.Next(ladder.State{Since: begin, Acknowledged: n}); ok != goesOn {
			t.Errorf("%d of 2 acknowledged: goes on %v", n, ok)
		}
	}
	if _, _, ok := acute.Next(ladder.State{Since: begin, Acknowledged: 1}); ok {
		t.Error("goes on after the acknowledgement")
	}
}

func TestTightened(t *testing.T) {
	steps := func(s ...ladder.Step) ladder.Ladder { return ladder.Ladder{Steps: s} }
	for what, c := range map[string]struct {
		by   ladder.Ladder
		want error
	}{
		"nothing":               {ladder.Ladder{}, nil},
		"an earlier backup":     {steps(ladder.Step{0, 0}, ladder.Step{2 * time.Minute, 1}), nil},
		"everyone at once":      {steps(ladder.Step{0, ladder.Everyone}), nil},
		"a third level":         {steps(ladder.Step{0, 0}, ladder.Step{time.Minute, 1}, ladder.Step{2 * time.Minute, 2}), nil},
		"an earlier alarm":      {ladder.Ladder{Alarm: time.Minute, Repeat: time.Minute}, nil},
		"no backup":             {steps(ladder.Step{0, 0}), ladder.ErrLooser},
		"a later backup":        {steps(ladder.Step{0, 0}, ladder.Step{5*time.Minute + 1, 1}), ladder.ErrLooser},
		"not at once":           {steps(ladder.Step{1, 0}, ladder.Step{time.Minute, 1}), ladder.ErrLooser},
		"another level":         {steps(ladder.Step{0, 2}, ladder.Step{time.Minute, 1}), ladder.ErrLooser},
		"a later alarm":         {ladder.Ladder{Alarm: 16 * time.Minute}, ladder.ErrLooser},
		"rarer repeats":         {ladder.Ladder{Repeat: 16 * time.Minute}, ladder.ErrLooser},
		"repeats without pause": {ladder.Ladder{Repeat: time.Second}, ladder.ErrLadder},
		"negative":              {steps(ladder.Step{-1, 0}), ladder.ErrLadder},
		"backwards":             {steps(ladder.Step{time.Minute, 0}, ladder.Step{0, 0}), ladder.ErrLadder},
		"no such level":         {steps(ladder.Step{0, ladder.MaxLevel + 1}), ladder.ErrLadder},
		"too many steps":        {steps(make([]ladder.Step, ladder.MaxSteps+1)...), ladder.ErrLadder},
		"beyond all time":       {steps(ladder.Step{ladder.MaxAfter + 1, 0}), ladder.ErrLadder},
	} {
		got, err := acute.Tightened(c.by)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		if err != nil && len(got.Steps) != len(acute.Steps) {
			t.Errorf("%s: refused, and the floor is gone", what)
		}
	}
}

// TestNeverLooser: whatever a desk asks for, if it is taken, nobody whom the floor
// calls by some minute is called later, and the sender is told no later.
func TestNeverLooser(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	taken := 0
	for range 20000 {
		floor := ladder.Floor(envelope.Tier(1 + random.IntN(3)))
		var by ladder.Ladder
		after := time.Duration(0)
		for range random.IntN(5) {
			by.Steps = append(by.Steps, ladder.Step{After: after, Level: random.IntN(4) - 1})
			after += time.Duration(random.Int64N(int64(floor.Alarm)/2 + 1))
		}
		by.Alarm = time.Duration(random.Int64N(int64(floor.Alarm) * 5 / 4))
		by.Repeat = time.Duration(random.Int64N(2)) * (ladder.MinRepeat + time.Duration(random.Int64N(int64(floor.Repeat))))
		l, err := floor.Tightened(by)
		if err != nil {
			continue
		}
		taken++
		horizon := begin.Add(floor.Alarm + 3*floor.Repeat)
		for level := range 2 {
			if a, b := firstCall(l, level, horizon), firstCall(floor, level, horizon); a.After(b) {
				t.Fatalf("%+v calls level %d at %v, the floor at %v", l, level, a, b)
			}
		}
		if l.Alarm > floor.Alarm || l.Repeat > floor.Repeat {
			t.Fatalf("%+v is looser than %+v", l, floor)
		}
	}
	if taken < 1000 {
		t.Errorf("only %d ladders were taken", taken)
	}
}

func firstCall(l ladder.Ladder, level int, horizon time.Time) time.Time {
	done, at := climb(l, ladder.State{Since: begin}, horizon)
	for i, a := range done {
		if a.Kind == ladder.Call && (a.Level == level || a.Level == ladder.Everyone) {
			return at[i]
		}
	}
	return horizon.AddDate(1, 0, 0)
}
