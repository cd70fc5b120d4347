package roster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"schakel/relay/rota"
)

// Decision is who decides something about a roster, when, and the identifier of that
// change, which its device makes at random.
type Decision struct {
	ID string
	By string // name of a person of the desk
	At time.Time
}

// keepFor is how long a change that is over is kept: long enough to see what happened
// in a night, and for colleagues to have it before it is forgotten.
const keepFor = 60 * 24 * time.Hour

func (r Roster) with(d Decision, changes ...rota.Change) (Roster, error) {
	out := r
	out.Changes = slices.Clone(r.Changes)
	for i, c := range changes {
		c.Decided, c.By = rota.MomentOf(d.At), clip(d.By)
		if c.ID = d.ID; len(changes) > 1 {
			c.ID = fmt.Sprintf("%s.%d", d.ID, i)
		}
		// A clock that runs behind must not make a decision count for less than those
		// that it was taken in sight of.
		if n := len(out.Changes); n > 0 && out.Changes[n-1].Compare(c) >= 0 {
			c.Decided = out.Changes[n-1].Decided + 1
		}
		out.Changes = append(out.Changes, c)
	}
	out = out.pruned(d.At)
	return out, out.Check()
}

// clip shortens a name to what a change may hold, and cuts no letter in two.
func clip(name string) string {
	const most = 80
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "")
}

// pruned forgets changes that are long over, and how to reach who has left.
func (r Roster) pruned(now time.Time) Roster {
	r.Changes = slices.DeleteFunc(slices.Clone(r.Changes), func(c rota.Change) bool {
		return c.To != 0 && now.Sub(c.To.Time()) > keepFor
	})
	r.People = slices.Clone(r.People)
	for i, p := range r.People {
		if r.left(p.Contact, now) {
			r.People[i].Points, r.People[i].Phone = []Point{}, ""
		}
	}
	return r
}

// Override puts somebody on call from one moment to another, whoever was.
func (r Roster) Override(d Decision, who rota.Contact, level int, from, to time.Time) (Roster, error) {
	return r.with(d, rota.Change{Kind: rota.Override, Level: level, Contact: who, From: rota.MomentOf(from), To: rota.MomentOf(to)})
}

// TakeOver puts somebody on call at once: until a moment, or as long as the shift lasts
// that is taken over, and at most a day.
func (r Roster) TakeOver(d Decision, who rota.Contact, level int, until time.Time) (Roster, error) {
	if level < 0 || level >= len(r.Layers) {
		return r, fmt.Errorf("%w: level %d; there are %d, counted from 0", ErrFormat, level, len(r.Layers))
	}
	if until.IsZero() {
		until = r.Rota().At(d.At).Levels[level].To
		if most := d.At.Add(24 * time.Hour); until.After(most) {
			until = most
		}
	}
	return r.Override(d, who, level, d.At, until)
}

// Swap gives a's shift at or after when to b, and b's shift at or after back to a. A
// shift goes whole, also where it runs over midnight. Of what the roster knows of the
// year to come the first shift of each counts.
func (r Roster) Swap(d Decision, a rota.Contact, when time.Time, b rota.Contact, back time.Time) (Roster, error) {
	first, err := r.nextShift(a, when)
	if err != nil {
		return r, err
	}
	second, err := r.nextShift(b, back)
	if err != nil {
		return r, err
	}
	put := func(s rota.Shift, c rota.Contact) rota.Change {
		return rota.Change{Kind: rota.Override, Level: s.Level, Contact: c, From: rota.MomentOf(s.From), To: rota.MomentOf(s.To)}
	}
	return r.with(d, put(first, b), put(second, a))
}

// Exchange lets two take each other's shifts at every level for a while.
func (r Roster) Exchange(d Decision, a, b rota.Contact, from, to time.Time) (Roster, error) {
	return r.with(d, rota.Change{Kind: rota.Swap, Level: rota.AllLevels, Contact: a, Other: b, From: rota.MomentOf(from), To: rota.MomentOf(to)})
}

func (r Roster) nextShift(c rota.Contact, when time.Time) (found rota.Shift, err error) {
	for _, s := range r.Rota().Shifts(when.Add(-maxLook), when.AddDate(1, 0, 0)) {
		if s.Contact == c && s.To.After(when) && (found.Contact == "" || s.From.Before(found.From)) {
			found = s
		}
	}
	if found.Contact == "" {
		err = fmt.Errorf("%w: %s has none in the year from %s", ErrNoShift, r.Name(c), when.In(rota.Zone()).Format("2006-01-02"))
	}
	return found, err
}

// maxLook is how far back a shift may have begun that is going on.
const maxLook = 36 * 24 * time.Hour

// PersonLeaves takes somebody off the rota from a moment on, and out of the fallback at
// once. Until then they are on call, and reached; how to reach them is forgotten by the
// first change that is decided after it. Who else takes turns keeps their weeks; what is
// left open is returned, as far as a quarter ahead.
func (r Roster) PersonLeaves(d Decision, who rota.Contact, from time.Time) (Roster, []rota.Gap, error) {
	if _, ok := r.Person(who); !ok {
		return r, nil, fmt.Errorf("%w: %s", ErrUnknown, who)
	}
	out := r
	out.Fallback = slices.DeleteFunc(slices.Clone(r.Fallback), func(c rota.Contact) bool { return c == who })
	out, err := out.with(d, rota.Change{Kind: rota.Leave, Level: rota.AllLevels, Contact: who, From: rota.MomentOf(from)})
	if err != nil {
		return r, nil, err
	}
	return out, r.opened(out, from, from.AddDate(0, 3, 0)), nil
}

// opened are the gaps that are in after and not in r.
func (r Roster) opened(after Roster, from, to time.Time) (out []rota.Gap) {
	before := r.Rota().Gaps(from, to)
	for _, g := range after.Rota().Gaps(from, to) {
		if !slices.Contains(before, g) {
			out = append(out, g)
		}
	}
	return out
}

// ahead is how far ahead gaps are looked for and a plan reaches.
const ahead = 14 * 24 * time.Hour

// GapsAhead returns where nobody is on call in the 14 days from now.
func (r Roster) GapsAhead(now time.Time) []rota.Gap {
	if r.IsZero() {
		return nil
	}
	return r.Rota().Gaps(now, now.Add(ahead))
}
