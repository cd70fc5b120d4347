package roster

import (
	"cmp"
	"slices"

	"schakel/relay/rota"
)

// Settle makes one roster of those that people wrote without seeing each other's. last is
// the one decided last: its people, rules, ladders and fallback count. What the others
// decided about a stretch of time is kept, so that taking over at night is not undone by
// who tidies up the rules at the same moment; a change that names somebody or a level
// that last does not know is left out. Every device settles on the same.
func Settle(last Roster, others ...Roster) Roster {
	out := last
	out.Changes = slices.Clone(last.Changes)
	for _, o := range others {
		for _, c := range o.Changes {
			if last.takes(c) && !slices.ContainsFunc(out.Changes, func(d rota.Change) bool { return d.ID == c.ID }) {
				out.Changes = append(out.Changes, c)
			}
		}
	}
	slices.SortFunc(out.Changes, rota.Change.Compare)
	out.Changes = newest(out.Changes)
	if out.Check() != nil {
		return last // two changes of one device under one name; what counts is still sound
	}
	return out
}

func (r Roster) takes(c rota.Change) bool {
	_, known := r.Person(c.Contact)
	if known && c.Other != "" {
		_, known = r.Person(c.Other)
	}
	return known && c.Level < len(r.Layers)
}

// newest keeps as many changes as a roster may have. Who left stays left; of the others
// those go that end first.
func newest(changes []rota.Change) []rota.Change {
	for len(changes) > rota.MaxChanges {
		first := slices.MinFunc(changes, func(a, b rota.Change) int {
			return cmp.Or(cmp.Compare(a.To-1, b.To-1), a.Compare(b)) // of no end: the largest number
		})
		changes = slices.DeleteFunc(changes, func(c rota.Change) bool { return c == first })
	}
	return changes
}
