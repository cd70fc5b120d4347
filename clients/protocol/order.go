package protocol

import (
	"bytes"
	"cmp"
	"slices"

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

// inOrder drops duplicates, adds verified enclosed originals, and sorts.
func inOrder(messages []Known) ([]Known, map[message.Hash]Known) {
	known := map[message.Hash]Known{}
	for _, k := range messages {
		known[k.Hash] = k
		for _, e := range k.Enclosed {
			if _, ok := known[e.Hash]; !ok {
				known[e.Hash] = e
			}
		}
	}
	o := ordering{known, map[message.Hash]turn{}}
	out := make([]Known, 0, len(known))
	for _, k := range known {
		o.turn(k)
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Known) int { return o.turns[a.Hash].compare(o.turns[b.Hash]) })
	return out, known
}
