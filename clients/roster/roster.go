// Package roster is the rota of one desk as its own people keep it: who they are, how
// they are reached, who is on call when, and how a page climbs.
//
// The devices of a desk pass it on among themselves. What leaves them is the plan of
// [Roster.Plan], without names: two weeks, for the relay. Who is on call is computed by
// relay/rota alone; this package holds, checks and changes what it is computed from:
//
//	r, err = r.TakeOver(decision, who, level, until) // an edit gives another roster, checked
//	plan, warnings, err := r.Plan(desk, serial, now)
package roster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"schakel/crypto/canon"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/ladder"
	"schakel/relay/rota"
)

// The decisions that a caller can take.
var (
	ErrFormat  = errors.New("roster cannot be used")
	ErrUnknown = errors.New("nobody of this name in the roster")
	ErrTelling = errors.New("contact would tell the relay who it is")
	ErrNoShift = errors.New("no shift to give away")
)

// Bounds of a roster. One always fits a record.
const (
	MaxBytes  = 160 << 10
	MaxPeople = 100
	MaxPoints = 8 // of one contact
	maxName   = 80
	maxPhone  = 30
	version   = 1
)

// Roster is the rota of a desk. The zero roster is none; [Roster.Check] says what is
// wrong with another.
type Roster struct {
	Version  uint64         `cbor:"1,keyasint" json:"version" toml:"version"`
	Fallback []rota.Contact `cbor:"2,keyasint" json:"fallback" toml:"fallback"` // called when nobody is on call
	People   []Person       `cbor:"3,keyasint" json:"people" toml:"person"`
	Layers   []rota.Layer   `cbor:"4,keyasint" json:"layers" toml:"layer"` // who is called first, then the backup, and so on
	Ladders  []Ladder       `cbor:"5,keyasint" json:"ladders" toml:"ladder"`
	Changes  []rota.Change  `cbor:"6,keyasint" json:"changes" toml:"change"`
}

// Person is who or what can be reached: somebody of the desk, or a function of it, such
// as the telephone that goes round.
type Person struct {
	Contact rota.Contact `cbor:"1,keyasint" json:"contact" toml:"contact"` // opaque: the relay sees it
	Person  string       `cbor:"2,keyasint" json:"person" toml:"person"`   // identifier, see `schakel person list`; empty: a function
	Name    string       `cbor:"3,keyasint" json:"name" toml:"name"`       // stays within the desk
	Phone   string       `cbor:"4,keyasint" json:"phone" toml:"phone"`     // stays within the desk
	Points  []Point      `cbor:"5,keyasint" json:"points" toml:"point"`
}

// Point is a way to reach somebody. One that is marked Relay is told to the relay, which
// then pages also when no device of the desk is on; a Personal one there is somebody's
// own telephone or address, and is warned about.
type Point struct {
	Channel  string `cbor:"1,keyasint" json:"channel" toml:"channel"` // ntfy, smtp, webhook, shoutrrr
	Target   string `cbor:"2,keyasint" json:"target" toml:"target"`
	Relay    bool   `cbor:"3,keyasint" json:"relay" toml:"relay"`
	Personal bool   `cbor:"4,keyasint" json:"personal" toml:"personal"`
}

// Parse reads the content of a record. There is one encoding of each roster.
func Parse(b []byte) (Roster, error) {
	var r Roster
	if err := canon.Unmarshal(b, MaxBytes, &r); err != nil {
		return Roster{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return r, r.Check()
}

// Encode returns the one encoding that [Parse] accepts.
func (r Roster) Encode() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	b, err := canon.Marshal(r)
	if err == nil && len(b) > MaxBytes {
		err = fmt.Errorf("%w: %d bytes, at most %d", ErrFormat, len(b), MaxBytes)
	}
	return b, err
}

// IsZero reports whether the desk has no roster yet.
func (r Roster) IsZero() bool { return r.Version == 0 }

// Rota is what is computed with.
func (r Roster) Rota() rota.Rota {
	return rota.Rota{Layers: r.Layers, Changes: r.Changes, Fallback: r.Fallback}
}

// OnCall returns whom to call at t, level by level: the fallback on a gap.
func (r Roster) OnCall(t time.Time) (levels [][]rota.Contact) {
	a := r.Rota().At(t)
	for level := range a.Levels {
		levels = append(levels, a.Contacts(level))
	}
	return levels
}

// Everyone returns all contacts of the roster that have not left at t.
func (r Roster) Everyone(t time.Time) (out []rota.Contact) {
	for _, p := range r.People {
		if !r.left(p.Contact, t) {
			out = append(out, p.Contact)
		}
	}
	return out
}

func (r Roster) left(c rota.Contact, t time.Time) bool {
	return slices.ContainsFunc(r.Changes, func(ch rota.Change) bool {
		return ch.Kind == rota.Leave && ch.Contact == c && !t.Before(ch.From.Time())
	})
}

// Person returns who a contact is.
func (r Roster) Person(c rota.Contact) (Person, bool) {
	i := slices.IndexFunc(r.People, func(p Person) bool { return p.Contact == c })
	if i < 0 {
		return Person{}, false
	}
	return r.People[i], true
}

// Name is the name of a contact as colleagues know it.
func (r Roster) Name(c rota.Contact) string {
	p, _ := r.Person(c)
	return cmp.Or(p.Name, string(c))
}

// Points returns every way to reach a contact, those that the relay is not told too.
func (r Roster) Points(c rota.Contact) (out []rota.Point) {
	p, _ := r.Person(c)
	for _, pt := range p.Points {
		out = append(out, rota.Point{Contact: c, Channel: pt.Channel, Target: pt.Target})
	}
	return out
}

// Find returns the contact that a person means: by contact, identifier or name.
func (r Roster) Find(who string) (rota.Contact, error) {
	for _, p := range r.People {
		if who != "" && (string(p.Contact) == who || p.Person == who || strings.EqualFold(p.Name, who)) {
			return p.Contact, nil
		}
	}
	return "", fmt.Errorf("%w: %.80q", ErrUnknown, who)
}

// Ladder returns how a tier is climbed: the floor, made tighter as this desk asks.
func (r Roster) Ladder(t envelope.Tier) ladder.Ladder {
	floor := ladder.Floor(t)
	for _, l := range r.Ladders {
		if tier, err := l.tier(); err == nil && tier == t {
			if own, err := floor.Tightened(l.own()); err == nil {
				return own
			}
		}
	}
	return floor
}

// Check refuses a roster that cannot be computed with, names a stranger, or would tell
// the relay more than it must.
func (r Roster) Check() error {
	if r.Version != version {
		return fmt.Errorf("%w: version %d, this program reads %d", ErrFormat, r.Version, version)
	}
	if err := r.Rota().Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	for _, check := range []func() error{r.checkPeople, r.checkStrangers, r.checkLadders} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (r Roster) checkPeople() error {
	if len(r.People) > MaxPeople {
		return fmt.Errorf("%w: %d people, at most %d", ErrFormat, len(r.People), MaxPeople)
	}
	for i, p := range r.People {
		if err := p.check(); err != nil {
			return err
		}
		for _, q := range r.People[:i] {
			if p.Contact == q.Contact || strings.EqualFold(p.Name, q.Name) || p.Person != "" && p.Person == q.Person {
				return fmt.Errorf("%w: %s stands there twice", ErrFormat, p.Contact)
			}
		}
	}
	return nil
}

func (p Person) check() error {
	if err := p.Contact.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if strings.TrimSpace(p.Name) != p.Name || p.Name == "" || !printable(p.Name, maxName) || !printable(p.Phone, maxPhone) {
		return fmt.Errorf("%w: contact %s: give it a name of at most %d bytes, and a telephone number of at most %d", ErrFormat, p.Contact, maxName, maxPhone)
	}
	if len(p.Points) > MaxPoints {
		return fmt.Errorf("%w: contact %s can be reached in %d ways, at most %d", ErrFormat, p.Contact, len(p.Points), MaxPoints)
	}
	for i, pt := range p.Points {
		if err := (rota.Point{Contact: p.Contact, Channel: pt.Channel, Target: pt.Target}).Check(); err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
		if slices.ContainsFunc(p.Points[:i], func(q Point) bool { return q.Channel == pt.Channel && q.Target == pt.Target }) {
			return fmt.Errorf("%w: contact %s can be reached twice in the same way", ErrFormat, p.Contact)
		}
	}
	if p.Person == "" {
		return nil
	}
	if _, err := identity.ParsePersonID(p.Person); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return p.telling()
}

// telling refuses a contact that holds part of somebody's name: everything else about a
// contact is there to keep the relay from knowing whose it is.
func (p Person) telling() error {
	words := strings.FieldsFunc(strings.ToLower(p.Name), func(r rune) bool { return !unicode.IsLetter(r) })
	for _, w := range words {
		if len(w) >= 3 && strings.Contains(string(p.Contact), w) {
			return fmt.Errorf("%w: %s is that of %s; take something that says nothing, such as p-7k2", ErrTelling, p.Contact, p.Name)
		}
	}
	return nil
}

func printable(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (r Roster) checkStrangers() error {
	for _, c := range r.named() {
		if _, ok := r.Person(c); !ok {
			return fmt.Errorf("%w: the rota names %s, who is not among its people", ErrFormat, c)
		}
	}
	return nil
}

// named is every contact that the rota speaks of.
func (r Roster) named() []rota.Contact {
	out := slices.Clone(r.Fallback)
	rules := func(rs []rota.Rule) {
		for _, rule := range rs {
			out = append(out, rule.Contacts...)
		}
	}
	for _, l := range r.Layers {
		rules(l.Rules)
		for _, t := range l.Temporary {
			rules(t.Rules)
		}
	}
	for _, c := range r.Changes {
		out = append(out, c.Contact)
		if c.Other != "" {
			out = append(out, c.Other)
		}
	}
	return out
}
