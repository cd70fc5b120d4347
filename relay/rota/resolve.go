package rota

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Rota is who is called, when. It is checked with [Rota.Check] before it is asked.
type Rota struct {
	Layers   []Layer
	Changes  []Change // in the order in which they were decided
	Fallback []Contact
}

// Layer is one level: rules, and temporary schedules that stand in for all of them.
// Where two rules name somebody the later line counts, and so with schedules.
type Layer struct {
	Rules     []Rule     `cbor:"1,keyasint" json:"rules" toml:"rule"`
	Temporary []Schedule `cbor:"2,keyasint" json:"temporary" toml:"temporary"`
}

// Schedule replaces the rules of its layer for a while. Where it names nobody there is a
// gap, also where the rules would name somebody: they may be on holiday by it.
type Schedule struct {
	From  Local  `cbor:"1,keyasint" json:"from" toml:"from"`
	Until Local  `cbor:"2,keyasint" json:"until" toml:"until"`
	Rules []Rule `cbor:"3,keyasint" json:"rules" toml:"rule"`
}

// ChangeKind says what somebody decided.
type ChangeKind string

// The kinds of change.
const (
	Override ChangeKind = "override" // Contact is on call, whoever was
	Swap     ChangeKind = "swap"     // Contact and Other take each other's shifts
	Leave    ChangeKind = "leave"    // Contact is on call no more; To is zero
)

// AllLevels stands in a change for every level.
const AllLevels = -1

// Change is what somebody decided about a stretch of time. Of those that overlap the one
// decided last counts; it acts on what the ones before it made.
type Change struct {
	ID      string     `cbor:"1,keyasint" json:"id" toml:"id"` // opaque; of equal times the higher counts
	Decided Moment     `cbor:"2,keyasint" json:"decided" toml:"decided"`
	By      string     `cbor:"3,keyasint" json:"by" toml:"by"` // who; for people to read
	Kind    ChangeKind `cbor:"4,keyasint" json:"kind" toml:"kind"`
	Level   int        `cbor:"5,keyasint" json:"level" toml:"level"` // or AllLevels
	From    Moment     `cbor:"6,keyasint" json:"from" toml:"from"`
	To      Moment     `cbor:"7,keyasint" json:"to" toml:"to"`
	Contact Contact    `cbor:"8,keyasint" json:"contact" toml:"contact"`
	Other   Contact    `cbor:"9,keyasint" json:"other" toml:"other"` // in a swap
}

// Compare is the order in which changes count.
func (c Change) Compare(d Change) int {
	return cmp.Or(cmp.Compare(c.Decided, d.Decided), cmp.Compare(c.ID, d.ID))
}

// Answer is who has each level at one moment.
type Answer struct {
	// Levels holds a shift for every layer. One of no contact is a gap. It says until
	// when that is so, as far as two weeks ahead.
	Levels   []Shift
	Fallback []Contact
}

// Contacts returns whom to call at a level: the fallback on a gap, and at levels that
// the rota does not have.
func (a Answer) Contacts(level int) []Contact {
	if level >= 0 && level < len(a.Levels) && a.Levels[level].Contact != "" {
		return []Contact{a.Levels[level].Contact}
	}
	return slices.Clone(a.Fallback)
}

// horizon is how far ahead an answer looks for its end.
const horizon = 14 * 24 * time.Hour

// At says who is on call at t.
func (r Rota) At(t time.Time) Answer {
	a := Answer{Fallback: slices.Clone(r.Fallback)}
	for level := range r.Layers {
		a.Levels = append(a.Levels, r.resolve(level, t, t.Add(horizon))[0])
	}
	return a
}

// Shifts returns who is on call in [from, to), by level and time. A shift that sticks
// out is cut; two of one contact that touch stay two, as the rules made them.
func (r Rota) Shifts(from, to time.Time) (out []Shift) {
	for level := range r.Layers {
		for _, s := range r.resolve(level, from, to) {
			if s.Contact != "" {
				out = append(out, s)
			}
		}
	}
	return out
}

// Gaps returns where nobody is on call in [from, to), by level and time.
func (r Rota) Gaps(from, to time.Time) (out []Gap) {
	for level := range r.Layers {
		for _, s := range r.resolve(level, from, to) {
			if s.Contact == "" {
				out = append(out, Gap{From: s.From, To: s.To, Level: s.Level})
			}
		}
	}
	return out
}

// resolve is the one place that decides: shifts and gaps that cover [from, to) exactly.
// It paints, on a strip of nobody, rules, then temporary schedules, then changes, each
// over what was there.
func (r Rota) resolve(level int, from, to time.Time) strip {
	if !from.Before(to) {
		return nil
	}
	s := strip{{From: from.UTC(), To: to.UTC(), Level: level}}
	layer := r.Layers[level]
	for _, rule := range layer.Rules {
		rule.shifts(from, to, func(sh Shift) { s = s.put(sh.From, sh.To, sh.Contact) })
	}
	for _, t := range layer.Temporary {
		begin, _ := t.From.Instant()
		end, _ := t.Until.Instant()
		s = s.put(begin, end, "")
		for _, rule := range t.Rules {
			rule.shifts(later(from, begin), earlier(to, end), func(sh Shift) { s = s.put(later(sh.From, begin), earlier(sh.To, end), sh.Contact) })
		}
	}
	for _, c := range r.Changes {
		if c.Level == level || c.Level == AllLevels {
			s = c.paint(s)
		}
	}
	return s.joined()
}

func (c Change) paint(s strip) strip {
	from, to := c.From.Time(), c.To.Time()
	switch c.Kind {
	case Override:
		return s.put(from, to, c.Contact)
	case Swap:
		other := map[Contact]Contact{c.Contact: c.Other, c.Other: c.Contact}
		return s.turn(from, to, func(was Contact) Contact {
			if now, ok := other[was]; ok {
				return now
			}
			return was
		})
	case Leave:
		return s.turn(from, s[len(s)-1].To, func(was Contact) Contact {
			if was == c.Contact {
				return ""
			}
			return was
		})
	}
	return s
}

// strip is a stretch of time cut into shifts that touch and do not overlap. Nobody's are
// gaps.
type strip []Shift

// cut makes t a seam.
func (s strip) cut(t time.Time) strip {
	for i, sh := range s {
		if sh.From.Before(t) && t.Before(sh.To) {
			left, right := sh, sh
			left.To, right.From = t.UTC(), t.UTC()
			return slices.Replace(s, i, i+1, left, right)
		}
	}
	return s
}

// put makes [from, to) one shift of c.
func (s strip) put(from, to time.Time, c Contact) strip {
	if !from.Before(to) {
		return s
	}
	s = s.cut(from).cut(to)
	begin := slices.IndexFunc(s, func(sh Shift) bool { return !sh.From.Before(from) && !sh.To.After(to) })
	if begin < 0 {
		return s
	}
	end := begin
	for end < len(s) && !s[end].To.After(to) {
		end++
	}
	whole := Shift{From: s[begin].From, To: s[end-1].To, Level: s[begin].Level, Contact: c}
	return slices.Replace(s, begin, end, whole)
}

// turn changes who has the shifts in [from, to), and cuts only those that it changes.
func (s strip) turn(from, to time.Time, now func(Contact) Contact) (out strip) {
	for _, sh := range s {
		begin, end, c := later(sh.From, from).UTC(), earlier(sh.To, to).UTC(), now(sh.Contact)
		if c == sh.Contact || !begin.Before(end) {
			out = append(out, sh)
			continue
		}
		for _, part := range []Shift{{From: sh.From, To: begin, Contact: sh.Contact}, {From: begin, To: end, Contact: c}, {From: end, To: sh.To, Contact: sh.Contact}} {
			if part.Level = sh.Level; part.From.Before(part.To) {
				out = append(out, part)
			}
		}
	}
	return out
}

// joined makes one gap of those that touch.
func (s strip) joined() (out strip) {
	for _, sh := range s {
		if n := len(out); n > 0 && sh.Contact == "" && out[n-1].Contact == "" {
			out[n-1].To = sh.To
			continue
		}
		out = append(out, sh)
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Check refuses a rota that cannot be resolved, or that could leave nobody to call.
func (r Rota) Check() error {
	if err := CheckFallback(r.Fallback); err != nil {
		return err
	}
	if len(r.Layers) == 0 || len(r.Layers) > MaxLevels {
		return fmt.Errorf("%w: %d layers: make 1 to %d", ErrFormat, len(r.Layers), MaxLevels)
	}
	rules := 0
	for _, l := range r.Layers {
		if err := l.check(); err != nil {
			return err
		}
		rules += l.count()
	}
	if rules > MaxRules {
		return fmt.Errorf("%w: %d rules, at most %d", ErrTooLarge, rules, MaxRules)
	}
	if len(r.Changes) > MaxChanges {
		return fmt.Errorf("%w: %d changes, at most %d", ErrTooLarge, len(r.Changes), MaxChanges)
	}
	for i, c := range r.Changes {
		if err := c.check(len(r.Layers)); err != nil {
			return err
		}
		if i > 0 && r.Changes[i-1].Compare(c) >= 0 {
			return fmt.Errorf("%w: changes are not in the order in which they were decided", ErrFormat)
		}
	}
	return nil
}

func (l Layer) check() error {
	if len(l.Temporary) > MaxSchedules {
		return fmt.Errorf("%w: %d temporary schedules in a layer, at most %d", ErrTooLarge, len(l.Temporary), MaxSchedules)
	}
	rules := slices.Clone(l.Rules)
	for _, t := range l.Temporary {
		from, err := t.From.wall()
		if err != nil {
			return err
		}
		until, err := t.Until.wall()
		if err != nil {
			return err
		}
		if !from.Before(until) {
			return fmt.Errorf("%w: a temporary schedule from %s until %s", ErrFormat, t.From, t.Until)
		}
		rules = append(rules, t.Rules...)
	}
	for _, rule := range rules {
		if err := rule.Check(); err != nil {
			return err
		}
	}
	return nil
}

func (l Layer) count() int {
	n := len(l.Rules)
	for _, t := range l.Temporary {
		n += len(t.Rules)
	}
	return n
}

// What may stand in a change.
const (
	maxChangeID = 36
	maxBy       = 80
)

func (c Change) check(layers int) error {
	if err := c.Contact.Check(); err != nil {
		return err
	}
	other := c.Other.Check() == nil && c.Other != c.Contact
	ends := c.From < c.To
	ok := map[ChangeKind]bool{
		Override: c.Other == "" && ends && c.Level >= 0 && c.Level < layers, // one contact at every level is no backup
		Swap:     other && ends,
		Leave:    c.Other == "" && c.To == 0 && c.Level == AllLevels,
	}[c.Kind]
	const latest = Moment(4102444800) // 2100
	if !ok || c.ID == "" || len(c.ID) > maxChangeID || len(c.By) > maxBy || c.Level < AllLevels || c.Level >= MaxLevels ||
		c.From == 0 || c.From > latest || c.To > latest || c.Decided > latest {
		return fmt.Errorf("%w: a change of kind %.20q at level %d, from %s to %s", ErrFormat, string(c.Kind), c.Level, c.From.Time(), c.To.Time())
	}
	return nil
}
