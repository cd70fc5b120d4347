package roster

import (
	"slices"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/rota"
)

// Warning is something about a plan that the desk should know before it is published.
type Warning struct {
	Kind    WarningKind  `json:"kind"`
	Contact rota.Contact `json:"contact"`
}

// WarningKind says what is to be known.
type WarningKind string

// The kinds of warning.
const (
	// WarnPersonal: somebody's own address or number lies at the relay.
	WarnPersonal WarningKind = "personal-at-relay"
	// WarnUnreachable: the relay has no way to reach a contact that it may have to page.
	WarnUnreachable WarningKind = "not-reachable-by-relay"
)

// Plan makes what the relay may know: the shifts of 14 days by opaque contact, the
// fallback, the ladders, and how those contacts are reached that are on call in that
// time. Points that are not marked for the relay stay here.
func (r Roster) Plan(desk identity.DeskID, serial uint64, now time.Time) (rota.Plan, []Warning, error) {
	if err := r.Check(); err != nil {
		return rota.Plan{}, nil, err
	}
	from := now.UTC().Truncate(time.Minute)
	p := rota.Plan{Desk: desk, Serial: serial, From: from, Until: from.Add(ahead), Fallback: slices.Clone(r.Fallback)}
	needed := slices.Clone(r.Fallback)
	for _, s := range r.Rota().Shifts(p.From, p.Until) {
		if n := len(p.Shifts); n > 0 && p.Shifts[n-1].Level == s.Level && p.Shifts[n-1].Contact == s.Contact && p.Shifts[n-1].To.Equal(s.From) {
			p.Shifts[n-1].To = s.To // the relay need not know that the rules make two of it
			continue
		}
		p.Shifts, needed = append(p.Shifts, s), append(needed, s.Contact)
	}
	for _, l := range r.Ladders {
		tier, err := l.tier()
		if err != nil {
			return rota.Plan{}, nil, err
		}
		asked := l.own()
		asked.Acknowledgers = 0 // ours to count: the relay knows no persons
		p.Ladders = append(p.Ladders, rota.Tightening{Tier: tier, Ladder: asked})
	}
	slices.Sort(needed)
	var warnings []Warning
	for _, c := range slices.Compact(needed) {
		points, personal := r.atRelay(c)
		if len(points) == 0 {
			warnings = append(warnings, Warning{WarnUnreachable, c})
		}
		if personal {
			warnings = append(warnings, Warning{WarnPersonal, c})
		}
		p.Points = append(p.Points, points...)
	}
	slices.SortFunc(p.Points, rota.ComparePoints)
	return p, warnings, p.Check()
}

func (r Roster) atRelay(c rota.Contact) (points []rota.Point, personal bool) {
	who, _ := r.Person(c)
	for _, pt := range who.Points {
		if pt.Relay {
			points, personal = append(points, rota.Point{Contact: c, Channel: pt.Channel, Target: pt.Target}), personal || pt.Personal
		}
	}
	return points, personal
}
