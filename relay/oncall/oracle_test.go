package oncall_test

import (
	"fmt"
	"slices"
	"time"

	"schakel/relay/ladder"
	"schakel/relay/oncall"
	"schakel/relay/page"
)

// What the promise allows.
const (
	within   = 5 * time.Second // of a deadline
	inFlight = 1500 * time.Millisecond
	twiceIn  = 90 * time.Second // shorter than anything that pages the same contact again
)

// journalKey is what the journal in memory makes references with.
var journalKey = [32]byte{7}

// verdict is what the oracle says of a simulation, from pages and letters alone: it
// knows nothing of rows, nodes or what the loop thinks.
type verdict struct {
	deadlines, pages, twice int
	wrong                   []string
}

func (s *sim) judge() (v verdict) {
	for _, l := range s.letters {
		v.deadlines += s.judgeSteps(l, &v)
		s.judgeAlarm(l, &v)
	}
	for _, d := range s.desks {
		last := make(map[[2]string]time.Time)
		for _, a := range s.attempts[d.id] {
			if !a.taken || a.contact == "operator" && d != s.desks[0] { // the operator's stand with every desk
				continue
			}
			v.pages++
			key := [2]string{a.contact, a.reference}
			if before, ok := last[key]; ok && a.at.Sub(before) < twiceIn {
				v.twice++
			}
			last[key] = a.at
		}
		s.judgeAttended(d, &v)
	}
	return v
}

// by is by when something must have happened that is due at a moment: within has to
// do, or begin when there is a node again. A page to the same contact for something
// else shortly before counts for this, so the gap adds to it.
func (s *sim) by(due time.Time, l *letter) time.Time {
	by := due.Add(within + oncall.Gap(l.Tier))
	for _, o := range s.outages {
		if by.After(o[0]) && due.Before(o[1]) {
			by = o[1].Add(within + oncall.Gap(l.Tier))
		}
	}
	return by
}

func (l *letter) waitsAt(t time.Time) bool { return l.attended.IsZero() || l.attended.After(t) }

// contactsOf is whom a step means, as the plans of the simulation say.
func (d *desk) contactsOf(level int) []string {
	switch {
	case !d.plan:
		return []string{"operator"}
	case level == 0:
		return []string{"first"}
	case level == 1 && d.gap:
		return []string{"fallback"}
	case level == 1:
		return []string{"second"}
	}
	return []string{"first", "second", "fallback"}
}

// judgeSteps: each step that came due was tried in time, and whatever failed was
// followed by another try soon.
func (s *sim) judgeSteps(l *letter, v *verdict) (steps int) {
	climbs := l.desk.ladders[l.Tier]
	var tries []attempt
	for _, a := range s.attempts[l.Desk] {
		if !a.at.Before(l.put) && l.waitsAt(a.at) {
			tries = append(tries, a)
		}
	}
	for i, step := range climbs.Steps {
		due := l.put.Add(step.After)
		by := s.by(due, l)
		if !l.waitsAt(by) || by.After(s.end()) {
			break
		}
		steps++
		for _, c := range l.desk.contactsOf(step.Level) {
			if !slices.ContainsFunc(tries, func(a attempt) bool { return a.contact == c && !a.at.After(by) }) {
				v.wrong = append(v.wrong, fmt.Sprintf("desk %s, put at %v: step %d not tried for %s by %v", l.Desk, s.since(l.put), i, c, s.since(by)))
			}
		}
	}
	return steps + s.judgeTries(l, tries, v) + s.judgeFailed(l, tries, v)
}

// judgeFailed: each call about a letter that reached nobody is followed by another, also
// where somebody was reached before and has not attended since.
func (s *sim) judgeFailed(l *letter, tries []attempt, v *verdict) (failed int) {
	reference := page.Reference(journalKey[:], l.ID[:])
	between := func(from, to time.Time, ok func(attempt) bool) bool {
		return slices.ContainsFunc(tries, func(a attempt) bool { return !a.at.Before(from) && !a.at.After(to) && ok(a) })
	}
	var last time.Time // of the call that is judged
	for _, a := range tries {
		by := s.by(a.at.Add(ladder.Retry), l)
		if a.taken || a.reference != reference || !a.at.After(last.Add(inFlight)) || !l.waitsAt(by) || by.After(s.end()) {
			continue
		}
		last = a.at
		if between(a.at.Add(-inFlight), a.at.Add(inFlight), func(b attempt) bool { return b.taken }) {
			continue
		}
		if failed++; !between(a.at.Add(time.Nanosecond), by, func(attempt) bool { return true }) {
			v.wrong = append(v.wrong, fmt.Sprintf("desk %s, put at %v: %s not reached at %v and nobody tried by %v", l.Desk, s.since(l.put), a.contact, s.since(a.at), s.since(by)))
		}
	}
	return failed
}

// judgeTries: while nobody was reached, somebody is tried again and again.
func (s *sim) judgeTries(l *letter, tries []attempt, v *verdict) int {
	first := l.put.Add(l.desk.ladders[l.Tier].Steps[0].After)
	if !l.waitsAt(s.by(first, l)) {
		return 0
	}
	last := first
	for _, a := range tries {
		if by := s.by(last.Add(ladder.Retry), l); a.at.After(by) {
			v.wrong = append(v.wrong, fmt.Sprintf("desk %s, put at %v: nobody reached and nobody tried from %v to %v", l.Desk, s.since(l.put), s.since(last), s.since(a.at)))
		}
		if a.taken {
			return 1
		}
		last = maxTime(last, a.at)
	}
	return 1
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// judgeAlarm: the sender heard in time, and of a desk without a plan at once.
func (s *sim) judgeAlarm(l *letter, v *verdict) {
	climbs := l.desk.ladders[l.Tier]
	after := climbs.Alarm
	if !l.desk.plan {
		after = climbs.Steps[0].After
	}
	by := s.by(l.put.Add(after), l)
	if !l.waitsAt(by) || by.After(s.end()) {
		return
	}
	v.deadlines++
	if l.told.IsZero() || l.told.After(by) {
		v.wrong = append(v.wrong, fmt.Sprintf("desk %s, put at %v: sender told at %v, not by %v", l.Desk, s.since(l.put), s.since(l.told), s.since(by)))
	}
}

// judgeAttended: no page names what was attended before it went out. While the store
// is silent whoever keeps the timers does not hear of a token that was shown to another
// node, and pages all the same.
func (s *sim) judgeAttended(d *desk, v *verdict) {
	attended := make(map[string]time.Time)
	for _, l := range s.letters {
		if !l.attended.IsZero() {
			attended[page.Reference(journalKey[:], l.ID[:])] = l.attended
		}
	}
	for _, a := range s.attempts[d.id] {
		silent := slices.ContainsFunc(s.silences, func(o [2]time.Time) bool { return a.at.After(o[0]) && a.at.Before(o[1].Add(time.Second)) })
		if t, ok := attended[a.reference]; ok && !silent && a.at.After(t.Add(inFlight)) {
			v.wrong = append(v.wrong, fmt.Sprintf("desk %s: paged at %v for what was attended at %v", d.id, s.since(a.at), s.since(t)))
		}
	}
}

func (s *sim) end() time.Time { return time.Now() }

func (s *sim) since(t time.Time) time.Duration { return t.Sub(s.began).Round(time.Second / 10) }
