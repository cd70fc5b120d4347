package protocol

import (
	"bytes"
	"cmp"
	"slices"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// turn is where a message stands in the order of its case. Clocks differ and
// deliveries overtake each other, so neither the order of arrival nor the stated
// time alone decides: what a message answers or rests on stands before it, whatever
// its clock said (at is lifted past that of what it names). Only where no such thread
// exists the stated moment decides, and where that is equal the hash. Every desk with
// the same messages computes the same order.
type turn struct {
	at   uint64 // milliseconds since 1970
	hash message.Hash
}

func (p turn) compare(q turn) int {
	return cmp.Or(cmp.Compare(p.at, q.at), bytes.Compare(p.hash[:], q.hash[:]))
}

// moment is when a message says that it was made, in milliseconds. The signed time
// counts seconds; the signed identifier is a version 7 UUID (RFC 9562) and holds the
// millisecond. It is believed within its own second only, so that an identifier moves
// nobody further than the time beside it, which every recipient checks. A device never
// gives one millisecond twice: what it says stands in the order in which it said it.
func (d Draft) moment() uint64 {
	seconds := min(d.Created, 1<<40)
	ms := uint64(0)
	for _, b := range d.ID[:6] {
		ms = ms<<8 | uint64(b)
	}
	if d.ID[6]>>4 == 7 && ms/1000 == seconds {
		return ms
	}
	return seconds * 1000
}

// ordering computes turns. A message cannot name one that names it: it would have
// to hold its own hash.
type ordering struct {
	known map[message.Hash]Known
	turns map[message.Hash]turn
}

func (o ordering) turn(k Known) turn {
	if p, ok := o.turns[k.Hash]; ok {
		return p
	}
	p := turn{at: k.moment(), hash: k.Hash}
	for _, ref := range k.refs() {
		if named, ok := o.known[ref.Hash]; ok {
			p.at = max(p.at, o.turn(named).at+1)
		}
	}
	o.turns[k.Hash] = p
	return p
}

// InOrder returns messages, each once, in the order of their case.
func InOrder(messages []Known) []Known {
	history, _ := inOrder("", messages)
	return history
}

// inOrder drops duplicates, adds verified enclosed originals, and sorts. Of unsaid
// messages it tells apart those that count and the whole history.
func inOrder(desk identity.DeskID, messages []Known) (history []Known, counted map[message.Hash]Known) {
	own := once(desk, messages)
	counted = map[message.Hash]Known{}
	for h, k := range own {
		if !k.unsaid() {
			counted[h] = k
		}
	}
	for _, k := range own {
		if k.unsaid() {
			continue
		}
		for _, e := range k.Enclosed {
			if _, ok := counted[e.Hash]; !ok {
				counted[e.Hash] = e // also one that was unsaid by itself: this one carried it
			}
		}
	}
	o := ordering{counted, make(map[message.Hash]turn, len(own))}
	history = make([]Known, 0, len(own))
	for _, k := range counted {
		o.turn(k)
		history = append(history, k)
	}
	for h, k := range own {
		if _, ok := counted[h]; !ok {
			o.turn(k)
			history = append(history, k)
		}
	}
	slices.SortFunc(history, func(a, b Known) int { return o.turns[a.Hash].compare(o.turns[b.Hash]) })
	return history, counted
}
