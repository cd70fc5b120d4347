package rota

import (
	"fmt"
	"slices"
	"time"

	"schakel/crypto/canon"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/ladder"
)

// Bounds of a plan. The relay keeps one of each desk and reads it at every page.
const (
	MaxPlan     = 64 << 10
	MaxShifts   = 512
	MaxLevels   = 4
	MaxFallback = 8
	MaxPoints   = 64
	MaxTarget   = 512
	MaxReach    = 15 * 24 * time.Hour // of a plan; desks publish 14 days
	planVersion = 1
	maxChannel  = 20
)

// Point is a way to reach a contact: a channel of the relay and what it needs.
type Point struct {
	Contact Contact
	Channel string // ntfy, smtp, webhook, shoutrrr
	Target  string
}

// Tightening is what a desk asks beyond the floor of a tier.
type Tightening struct {
	Tier envelope.Tier
	// Ladder is as in the floor where it leaves something out. It names no number of
	// acknowledgers: a relay knows no persons, and the desk shows the attended token when
	// enough of them have signed (decision 0155).
	Ladder ladder.Ladder
}

// Plan is what a desk publishes to the relay. Of two the one with the higher Serial
// counts; [ParsePlan] refuses one without a fallback.
type Plan struct {
	Desk        identity.DeskID
	Serial      uint64
	From, Until time.Time
	Shifts      []Shift // by level, then time; those of one level do not overlap
	Fallback    []Contact
	Ladders     []Tightening // by tier
	Points      []Point      // sorted
}

// OnCall returns whom to call at a level. Where the plan names nobody, and outside of
// its two weeks, that is the fallback; ladder.Everyone is all that the plan names then.
func (p Plan) OnCall(t time.Time, level int) []Contact {
	if level == ladder.Everyone {
		return p.everyone(t)
	}
	if !t.Before(p.From) && t.Before(p.Until) {
		for _, s := range p.Shifts {
			if s.Level == level && !t.Before(s.From) && t.Before(s.To) {
				return []Contact{s.Contact}
			}
		}
	}
	return slices.Clone(p.Fallback)
}

func (p Plan) everyone(t time.Time) (out []Contact) {
	add := func(cs ...Contact) {
		for _, c := range cs {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	for level := range MaxLevels {
		add(p.OnCall(t, level)...)
	}
	add(p.Fallback...)
	for _, pt := range p.Points {
		add(pt.Contact)
	}
	return out
}

// PointsOf returns the ways to reach a contact.
func (p Plan) PointsOf(c Contact) (out []Point) {
	for _, pt := range p.Points {
		if pt.Contact == c {
			out = append(out, pt)
		}
	}
	return out
}

// Ladder returns how a tier is climbed: the floor, made tighter as the desk asks; and
// the floor with ladder.ErrLooser where it asks for less.
func (p Plan) Ladder(t envelope.Tier) (ladder.Ladder, error) {
	floor := ladder.Floor(t)
	for _, l := range p.Ladders {
		if l.Tier == t {
			return floor.Tightened(l.Ladder)
		}
	}
	return floor, nil
}

// The rows of a plan on the wire: times in seconds since 1970, lengths in seconds.
type (
	planRow struct {
		Version  uint64          `cbor:"1,keyasint"`
		Desk     identity.DeskID `cbor:"2,keyasint"`
		Serial   uint64          `cbor:"3,keyasint"`
		From     uint64          `cbor:"4,keyasint"`
		Until    uint64          `cbor:"5,keyasint"`
		Shifts   []shiftRow      `cbor:"6,keyasint"`
		Fallback []Contact       `cbor:"7,keyasint"`
		Ladders  []ladderRow     `cbor:"8,keyasint"`
		Points   []pointRow      `cbor:"9,keyasint"`
	}
	shiftRow struct {
		_        struct{} `cbor:",toarray"`
		From, To uint64
		Level    uint64
		Contact  Contact
	}
	ladderRow struct {
		_      struct{} `cbor:",toarray"`
		Tier   uint64
		Steps  []stepRow
		Repeat uint64
		Alarm  uint64
	}
	stepRow struct {
		_     struct{} `cbor:",toarray"`
		After uint64
		Level uint64 // less one, so that ladder.Everyone is 0
	}
	pointRow struct {
		_       struct{} `cbor:",toarray"`
		Contact Contact
		Channel string
		Target  string
	}
)

// Encode returns the one encoding of a plan that [ParsePlan] accepts.
func (p Plan) Encode() ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	row := planRow{Version: planVersion, Desk: p.Desk, Serial: p.Serial, From: uint64(p.From.Unix()), Until: uint64(p.Until.Unix()), Fallback: p.Fallback}
	for _, s := range p.Shifts {
		row.Shifts = append(row.Shifts, shiftRow{From: uint64(s.From.Unix()), To: uint64(s.To.Unix()), Level: uint64(s.Level), Contact: s.Contact})
	}
	for _, l := range p.Ladders {
		lr := ladderRow{Tier: uint64(l.Tier), Repeat: seconds(l.Ladder.Repeat), Alarm: seconds(l.Ladder.Alarm)}
		for _, s := range l.Ladder.Steps {
			lr.Steps = append(lr.Steps, stepRow{After: seconds(s.After), Level: uint64(s.Level + 1)})
		}
		row.Ladders = append(row.Ladders, lr)
	}
	for _, pt := range p.Points {
		row.Points = append(row.Points, pointRow{Contact: pt.Contact, Channel: pt.Channel, Target: pt.Target})
	}
	b, err := canon.Marshal(row)
	if err == nil && len(b) > MaxPlan {
		err = fmt.Errorf("%w: a plan of %d bytes, at most %d", ErrTooLarge, len(b), MaxPlan)
	}
	return b, err
}

func seconds(d time.Duration) uint64 { return uint64(d / time.Second) }

// ParsePlan reads what a desk published, of at most MaxPlan bytes.
func ParsePlan(b []byte) (Plan, error) {
	var row planRow
	if err := canon.Unmarshal(b, MaxPlan, &row); err != nil {
		return Plan{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if row.Version != planVersion {
		return Plan{}, fmt.Errorf("%w: plan of version %d; update this program", ErrFormat, row.Version)
	}
	r := reader{}
	p := Plan{Desk: row.Desk, Serial: row.Serial, From: r.time(row.From), Until: r.time(row.Until), Fallback: row.Fallback}
	for _, s := range row.Shifts {
		p.Shifts = append(p.Shifts, Shift{From: r.time(s.From), To: r.time(s.To), Level: r.number(s.Level, MaxLevels), Contact: s.Contact})
	}
	for _, l := range row.Ladders {
		own := ladder.Ladder{Repeat: r.length(l.Repeat), Alarm: r.length(l.Alarm)}
		for _, s := range l.Steps {
			own.Steps = append(own.Steps, ladder.Step{After: r.length(s.After), Level: r.number(s.Level, ladder.MaxLevel+1) - 1})
		}
		p.Ladders = append(p.Ladders, Tightening{envelope.Tier(r.number(l.Tier, uint64(envelope.TierAcute))), own})
	}
	for _, pt := range row.Points {
		p.Points = append(p.Points, Point{Contact: pt.Contact, Channel: pt.Channel, Target: pt.Target})
	}
	if r.out {
		return Plan{}, fmt.Errorf("%w: a number out of bounds", ErrFormat)
	}
	return p, p.Check()
}

// reader turns numbers of strangers into values, and notes one that is out of bounds.
type reader struct{ out bool }

func (r *reader) number(n, most uint64) int {
	if n > most {
		r.out = true
		return 0
	}
	return int(n)
}

func (r *reader) time(n uint64) time.Time {
	return time.Unix(int64(r.number(n, envelope.MaxTime)), 0).UTC()
}

func (r *reader) length(n uint64) time.Duration {
	return time.Duration(r.number(n, uint64(ladder.MaxAfter/time.Second))) * time.Second
}
