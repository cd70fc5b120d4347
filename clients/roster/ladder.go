package roster

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/message"
	"schakel/relay/ladder"
)

// Ladder is what this desk asks of a page beyond the floor. What it leaves out is as in
// the floor; what would be later than the floor is refused.
type Ladder struct {
	Urgency       message.Urgency `cbor:"1,keyasint" json:"urgency" toml:"urgency"`
	Steps         []Step          `cbor:"2,keyasint" json:"steps" toml:"step"`
	Repeat        Wait            `cbor:"3,keyasint" json:"repeat" toml:"repeat"`
	Alarm         Wait            `cbor:"4,keyasint" json:"alarm" toml:"alarm"`
	Acknowledgers int             `cbor:"5,keyasint" json:"acknowledgers" toml:"acknowledgers"`
}

// Step pages a level some time after the message came; level -1 is everyone.
type Step struct {
	After Wait `cbor:"1,keyasint" json:"after" toml:"after"`
	Level int  `cbor:"2,keyasint" json:"level" toml:"level"`
}

// Wait is a length of time in whole seconds, written as 90s, 5m or 4h; none is empty.
type Wait uint64

// Duration is the length.
func (w Wait) Duration() time.Duration { return time.Duration(w) * time.Second }

// MarshalText writes it in its largest whole unit.
func (w Wait) MarshalText() ([]byte, error) {
	switch {
	case w == 0:
		return []byte{}, nil
	case w%3600 == 0:
		return fmt.Appendf(nil, "%dh", w/3600), nil
	case w%60 == 0:
		return fmt.Appendf(nil, "%dm", w/60), nil
	}
	return fmt.Appendf(nil, "%ds", w), nil
}

// UnmarshalText reads a number with its unit.
func (w *Wait) UnmarshalText(b []byte) error {
	s := string(b)
	if s == "" || s == "0" {
		*w = 0
		return nil
	}
	unit := map[byte]uint64{'s': 1, 'm': 60, 'h': 3600}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 24)
	if err != nil || unit == 0 || strings.HasPrefix(s, "+") {
		return fmt.Errorf("%w: wait %.20q: write 90s, 5m or 4h", ErrFormat, s)
	}
	*w = Wait(n * unit)
	return nil
}

// tier is the attention that the relay sees of an urgency.
func (l Ladder) tier() (envelope.Tier, error) {
	switch l.Urgency {
	case message.Acute:
		return envelope.TierAcute, nil
	case message.Urgent:
		return envelope.TierUrgent, nil
	case message.Routine:
		return envelope.TierRoutine, nil
	}
	return 0, fmt.Errorf("%w: a ladder for urgency %.20q: write acuut, spoed or regulier", ErrFormat, l.Urgency)
}

func (l Ladder) own() ladder.Ladder {
	own := ladder.Ladder{Repeat: l.Repeat.Duration(), Alarm: l.Alarm.Duration(), Acknowledgers: l.Acknowledgers}
	for _, s := range l.Steps {
		own.Steps = append(own.Steps, ladder.Step{After: s.After.Duration(), Level: s.Level})
	}
	return own
}

// checkLadders refuses one that is looser than the floor: the relay would refuse the
// plan, and the desk would find out at night.
func (r Roster) checkLadders() error {
	var last envelope.Tier
	for _, l := range r.Ladders {
		tier, err := l.tier()
		if err != nil {
			return err
		}
		if tier <= last {
			return fmt.Errorf("%w: write the ladders as regulier, spoed, acuut, each once", ErrFormat)
		}
		last = tier
		if l.Repeat > Wait(ladder.MaxAfter/time.Second) || l.Alarm > Wait(ladder.MaxAfter/time.Second) {
			return fmt.Errorf("%w: a wait of more than 30 days", ErrFormat)
		}
		for _, s := range l.Steps {
			if s.After > Wait(ladder.MaxAfter/time.Second) || s.Level >= len(r.Layers) {
				return fmt.Errorf("%w: a step at level %d after %s; there are %d levels, counted from 0", ErrFormat, s.Level, s.After.Duration(), len(r.Layers))
			}
		}
		if _, err := ladder.Floor(tier).Tightened(l.own()); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrFormat, l.Urgency, err)
		}
	}
	return nil
}
