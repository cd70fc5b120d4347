// Package index finds which texts hold given words, in memory and nowhere else.
//
//	ix := index.New()
//	ix.Add(index.Text{Key: key, Order: received}, "Çelik belde vanuit het café")
//	found, total := ix.Find(index.Query{Words: index.Words("celik caf"), Limit: 50})
//
// Words are folded: no capitals, no accents. A word of a query matches every word that
// begins with it, and a text must have all words of the query.
//
// An index holds the words of all texts in it, and so is as secret as those. It has no
// form on disk. What is dropped is gone at once: a word that no other text has is
// overwritten. An Index is for one goroutine at a time.
package index

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
)

// Key names a text.
type Key [32]byte

// Text is what an index knows of a text beside its words.
type Text struct {
	Key   Key
	Order int64 // of what is found the highest comes first
	Kind  uint8 // of the caller's: see Query.Without
}

// Query selects texts.
type Query struct {
	Words       []string // folded; without any, nothing is found
	Without     uint8    // not those of this kind; 0: all kinds
	Skip, Limit int
}

// Index holds the words of texts. Make one with New.
type Index struct {
	seed  maphash.Seed
	terms []term              // those without a word are free
	at    map[uint64][]uint32 // where the terms of a hash stand; two words of one hash stand together
	free  []uint32
	texts []text // those without terms are free, or of no words
	keys  map[Key]uint32
	holes []uint32
}

type text struct {
	Text
	terms []uint32
}

type term struct {
	word []byte   // our own copy, so that it can be overwritten
	in   []uint32 // texts
}

// New returns an empty Index.
func New() *Index {
	return &Index{seed: maphash.MakeSeed(), at: map[uint64][]uint32{}, keys: map[Key]uint32{}}
}

// Len returns the number of texts.
func (ix *Index) Len() int { return len(ix.keys) }

// place puts v where room was left, or at the end.
func place[T any](all *[]T, left *[]uint32, v T) (at uint32) {
	if n := len(*left); n > 0 {
		at = (*left)[n-1]
		*left = (*left)[:n-1]
		(*all)[at] = v
		return at
	}
	*all = append(*all, v)
	return uint32(len(*all) - 1)
}

// Add puts a text in, unless there is one under its key.
func (ix *Index) Add(t Text, parts ...string) {
	if _, had := ix.keys[t.Key]; had {
		return
	}
	var terms []uint32
	at := place(&ix.texts, &ix.holes, text{Text: t})
	for _, part := range parts {
		each(part, func(word []byte) {
			n := ix.term(word)
			if m := &ix.terms[n]; len(m.in) == 0 || m.in[len(m.in)-1] != at { // this text comes last
				m.in, terms = append(m.in, at), append(terms, n)
			}
		})
	}
	ix.texts[at].terms, ix.keys[t.Key] = slices.Clip(terms), at
}

func (ix *Index) term(word []byte) uint32 {
	h := maphash.Bytes(ix.seed, word)
	for _, n := range ix.at[h] {
		if bytes.Equal(ix.terms[n].word, word) {
			return n
		}
	}
	n := place(&ix.terms, &ix.free, term{word: bytes.Clone(word)})
	ix.at[h] = append(ix.at[h], n)
	return n
}

// Drop takes a text out, if it is there.
func (ix *Index) Drop(key Key) {
	at, had := ix.keys[key]
	if !had {
		return
	}
	delete(ix.keys, key)
	for _, n := range ix.texts[at].terms {
		m := &ix.terms[n]
		m.in = slices.DeleteFunc(m.in, func(o uint32) bool { return o == at })
		if len(m.in) == 0 {
			ix.forget(n)
		}
	}
	ix.texts[at] = text{}
	ix.holes = append(ix.holes, at)
}

func (ix *Index) forget(n uint32) {
	word := ix.terms[n].word
	h := maphash.Bytes(ix.seed, word)
	left := slices.DeleteFunc(ix.at[h], func(o uint32) bool { return o == n })
	if len(left) == 0 {
		delete(ix.at, h)
	} else {
		ix.at[h] = left
	}
	clear(word)
	ix.terms[n] = term{}
	ix.free = append(ix.free, n)
}

// Find returns the texts that have all words, at most q.Limit of them after the first
// q.Skip, and how many there are.
//
// It looks at every word that there is: of ten thousand messages that takes about a
// millisecond, and a sorted list would have to be kept sorted.
func (ix *Index) Find(q Query) (found []Key, total int) {
	if len(q.Words) == 0 {
		return nil, 0
	}
	has := make([]int, len(ix.texts)) // how many words of the query, counted from the first, a text has
	for i, w := range q.Words {
		for _, m := range ix.terms {
			if m.word == nil || !bytes.HasPrefix(m.word, []byte(w)) {
				continue
			}
			for _, t := range m.in {
				if has[t] == i {
					has[t] = i + 1
				}
			}
		}
	}
	var all []Text
	for t, n := range has {
		if n == len(q.Words) && (q.Without == 0 || ix.texts[t].Kind != q.Without) {
			all = append(all, ix.texts[t].Text)
		}
	}
	slices.SortFunc(all, func(a, b Text) int { return cmp.Or(cmp.Compare(b.Order, a.Order), bytes.Compare(a.Key[:], b.Key[:])) })
	from := min(max(q.Skip, 0), len(all))
	for _, t := range all[from:min(from+max(q.Limit, 0), len(all))] {
		found = append(found, t.Key)
	}
	return found, len(all)
}
