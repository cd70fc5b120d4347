package protocol

import (
	"slices"
	"sort"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// index finds the messages of a case by what they name and by who said them, as
// positions in their order. With it the state costs about as much as its messages are
// long; without it each message looked at all others, and a case of thousands, which
// anybody who may write can make, took seconds at every arrival.
type index struct {
	order   []Known
	naming  map[message.Hash][]int // that answer it or rest on it
	said    map[speaker][]int
	weighed map[identity.OrgID][]int
}

// speaker is a desk and a class of what it says.
type speaker struct {
	desk  identity.DeskID
	class string
}

func indexOf(messages []Known) index {
	x := index{order: messages, naming: map[message.Hash][]int{}, said: map[speaker][]int{}, weighed: map[identity.OrgID][]int{}}
	for i, m := range messages {
		for _, ref := range m.refs() {
			if at := x.naming[ref.Hash]; len(at) == 0 || at[len(at)-1] != i {
				x.naming[ref.Hash] = append(at, i)
			}
		}
		by := speaker{m.From.Desk, m.Class}
		x.said[by] = append(x.said[by], i)
		if m.Class == ClassWeighing {
			x.weighed[m.From.Desk.Org()] = append(x.weighed[m.From.Desk.Org()], i)
		}
	}
	return x
}

// meeting is where the messages stand that can meet an obligation: what is asked of
// nobody in particular by name is looked for among what the desk said of that class.
func (x index) meeting(o Obligation, since Known, forwards string) [][]int {
	switch o.Duty {
	case DutyForward:
		return [][]int{x.said[speaker{o.Owes, forwards}]}
	case DutyWeigh:
		return [][]int{x.weighed[o.Owes.Org()]}
	case DutyFeedback1, DutyFeedback2:
		return [][]int{x.said[speaker{o.Owes, ClassFeedback}]}
	case DutyPolice:
		return [][]int{x.said[speaker{o.Owes, ClassReport}], x.said[speaker{o.Owes, ClassAction}], x.naming[since.Hash]}
	}
	return [][]int{x.naming[since.Hash]}
}

// first returns the first message after a position, among those, that does it.
func (x index) first(after int, among [][]int, does func(Known) bool) (Known, bool) {
	found := len(x.order)
	for _, at := range among {
		for _, i := range at[sort.SearchInts(at, after+1):] {
			if i >= found {
				break
			}
			if does(x.order[i]) {
				found = i
				break
			}
		}
	}
	if found == len(x.order) {
		return Known{}, false
	}
	return x.order[found], true
}

// of returns the messages of some class that name one, in order.
func (x index) of(named message.Hash, classes ...string) (out []*Known) {
	for _, i := range x.naming[named] {
		if slices.Contains(classes, x.order[i].Class) {
			out = append(out, &x.order[i])
		}
	}
	return out
}
