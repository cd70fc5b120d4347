// Package ladder says who is to be called, and when, for an envelope that nobody has
// attended.
//
// A [Ladder] is a few steps, each some time after the envelope began to wait and
// each for one layer of a rota. [Floor] is the ladder that the partners agreed on
// for each tier, and a desk may make it only tighter:
//
//	l, err := ladder.Floor(envelope.TierAcute).Tightened(own)   // ErrLooser says what is too late
//	action, due, ok := l.Next(state)                            // what is to be done next, and when
//
// The package is arithmetic: it has no clock, and the times it is given need only be
// of one clock that never steps. A relay, the recipient's daemon and the sender's
// daemon each keep their own timers with it.
package ladder

import (
	"errors"
	"fmt"
	"time"

	"schakel/crypto/envelope"
)

// Everyone is the level of all contacts of a desk, its fallback included.
const Everyone = -1

// Bounds of a ladder.
const (
	MaxSteps         = 16
	MaxLevel         = 7
	MaxAcknowledgers = 64
	MaxAfter         = 30 * 24 * time.Hour
	MinRepeat        = time.Minute
)

// Retry is how soon a ladder without further steps is climbed again when nobody
// could be called.
const Retry = 30 * time.Second

// Refusals of a ladder.
var (
	// ErrLadder is a ladder outside its bounds.
	ErrLadder = errors.New("not a ladder")
	// ErrLooser is a ladder that calls somebody later than the floor does.
	ErrLooser = errors.New("looser than the floor")
)

// Step calls one level of a rota. Level 0 is who is on call, 1 the backup.
type Step struct {
	After time.Duration // from the first moment that the envelope waits
	Level int           // 0 to MaxLevel, or Everyone
}

// Ladder is the steps in their order, what follows them, and when the sender hears.
type Ladder struct {
	Steps         []Step
	Repeat        time.Duration // after the last step everyone is called again and again
	Alarm         time.Duration // the sender is told that nobody attended
	Acknowledgers int           // persons who must sign before it stops; who pages without knowing them takes one
}

// Floor is the latest that the partners allow. An acute envelope calls who is on
// call at once, the backup after 5 minutes, and tells the sender after 15. Urgent and
// routine ones climb when the term of the protocol for an acknowledgement is over: 4
// hours; and a working day, which without a calendar is taken as the 4 days from a
// Friday over a weekend and a holiday. What has no tier calls nobody.
func Floor(t envelope.Tier) Ladder {
	switch t {
	case envelope.TierAcute:
		return Ladder{Steps: []Step{{0, 0}, {5 * time.Minute, 1}}, Repeat: 15 * time.Minute, Alarm: 15 * time.Minute, Acknowledgers: 1}
	case envelope.TierUrgent:
		return Ladder{Steps: []Step{{4 * time.Hour, 0}, {5 * time.Hour, 1}}, Repeat: 2 * time.Hour, Alarm: 6 * time.Hour, Acknowledgers: 1}
	case envelope.TierRoutine:
		const day = 24 * time.Hour
		return Ladder{Steps: []Step{{4 * day, 0}, {5 * day, 1}}, Repeat: day, Alarm: 5 * day, Acknowledgers: 1}
	}
	return Ladder{}
}

// Check refuses a ladder outside its bounds.
func (l Ladder) Check() error {
	switch {
	case len(l.Steps) > MaxSteps:
		return fmt.Errorf("%w: %d steps, at most %d", ErrLadder, len(l.Steps), MaxSteps)
	case l.Repeat != 0 && (l.Repeat < MinRepeat || l.Repeat > MaxAfter):
		return fmt.Errorf("%w: repeats after %v, want %v to %v", ErrLadder, l.Repeat, MinRepeat, MaxAfter)
	case l.Alarm < 0 || l.Alarm > MaxAfter:
		return fmt.Errorf("%w: alarm after %v, at most %v", ErrLadder, l.Alarm, MaxAfter)
	case l.Acknowledgers < 0 || l.Acknowledgers > MaxAcknowledgers:
		return fmt.Errorf("%w: %d acknowledgers, at most %d", ErrLadder, l.Acknowledgers, MaxAcknowledgers)
	}
	var last time.Duration
	for i, s := range l.Steps {
		switch {
		case s.After < last || s.After > MaxAfter:
			return fmt.Errorf("%w: step %d after %v, want %v to %v", ErrLadder, i+1, s.After, last, MaxAfter)
		case s.Level < Everyone || s.Level > MaxLevel:
			return fmt.Errorf("%w: step %d for level %d, want 0 to %d or everyone", ErrLadder, i+1, s.Level, MaxLevel)
		}
		last = s.After
	}
	return nil
}

// Tightened returns by, with what it leaves out taken from l, or ErrLooser where by
// would call anybody later than l does, more rarely, or stop earlier. A step for
// everyone stands for any level.
func (l Ladder) Tightened(by Ladder) (Ladder, error) {
	if err := by.Check(); err != nil {
		return l, err
	}
	if len(by.Steps) == 0 {
		by.Steps = l.Steps
	}
	for i, s := range l.Steps {
		if !by.reaches(s) {
			return l, fmt.Errorf("%w: nobody of level %d within %v, as step %d of the floor wants", ErrLooser, s.Level, s.After, i+1)
		}
	}
	for _, f := range []struct {
		what      string
		own       *time.Duration
		fromFloor time.Duration
	}{{"repeats", &by.Repeat, l.Repeat}, {"the sender is told", &by.Alarm, l.Alarm}} {
		switch {
		case *f.own == 0:
			*f.own = f.fromFloor
		case *f.own > f.fromFloor:
			return l, fmt.Errorf("%w: %s after %v, at most %v", ErrLooser, f.what, *f.own, f.fromFloor)
		}
	}
	by.Acknowledgers = max(by.Acknowledgers, l.Acknowledgers)
	return by, nil
}

func (l Ladder) reaches(want Step) bool {
	for _, s := range l.Steps {
		if s.After <= want.After && (s.Level == want.Level || s.Level == Everyone) {
			return true
		}
	}
	return false
}

// State is how far an envelope has climbed.
type State struct {
	Since        time.Time // the first moment that it waits
	Rungs        int       // begun so far, repeats included
	Last         time.Time // when the latest of them began
	Unreached    bool      // nobody could be called by the latest
	Alarmed      bool      // the sender was told
	Acknowledged int       // by so many persons
}

// Kind is what an action does.
type Kind uint8

// The actions.
const (
	Call  Kind = 1 // page the contacts of Action.Level
	Alarm Kind = 2 // tell the sender
)

// Action is one thing to do.
type Action struct {
	Kind  Kind
	Rung  int // of a call: 0 for the first, len(Steps) and up for repeats
	Level int // of a call
}

// Next returns what is to be done next and when it is due, which may be long ago. It
// returns false when there is nothing more: enough people acknowledged, or the ladder
// has no steps.
//
// The time of a step counts from State.Since, whatever happened to the steps before
// it, so a pager that was away finds each missed step once. Repeats count from the
// latest call, so those it missed are one. When nobody could be called the next step
// is due at once.
func (l Ladder) Next(s State) (Action, time.Time, bool) {
	if len(l.Steps) == 0 || s.Acknowledged >= max(1, l.Acknowledgers) {
		return Action{}, time.Time{}, false
	}
	call, due := l.nextCall(s)
	if alarm := s.Since.Add(l.Alarm); !s.Alarmed && alarm.Before(due) {
		return Action{Kind: Alarm}, alarm, true
	}
	return call, due, true
}

func (l Ladder) nextCall(s State) (Action, time.Time) {
	call := Action{Kind: Call, Rung: s.Rungs, Level: Everyone}
	if s.Rungs < len(l.Steps) {
		step := l.Steps[s.Rungs]
		call.Level = step.Level
		due := s.Since.Add(step.After)
		if s.Unreached && s.Last.Before(due) {
			due = s.Last
		}
		return call, due
	}
	if s.Unreached {
		return call, s.Last.Add(Retry)
	}
	return call, s.Last.Add(l.Repeat)
}
