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
// its clock said (at is lifted to that of what it names). Only where no such thread
// exists the stated time decides, and where that is equal the hash. Every desk with
// the same messages computes the same order.
type turn struct {
	at    uint64
	depth int
	hash  message.Hash
}

func (p turn) compare(q turn) int {
	return cmp.Or(cmp.Compare(p.at, q.at), cmp.Compare(p.depth, q.depth), bytes.Compare(p.hash[:], q.hash[:]))
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
	p := turn{at: k.Created, hash: k.Hash}
	for _, ref := range k.refs() {
		named, ok := o.known[ref.Hash]
		if !ok {
			continue
		}
		before := o.turn(named)
		p.at, p.depth = max(p.at, before.at), max(p.depth, before.depth+1)
	}
	o.turns[k.Hash] = p
	return p
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
	o := ordering{counted, map[message.Hash]turn{}}
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
