package index

// WordForTest returns the index's own bytes of a folded word, or nil.
func (ix *Index) WordForTest(word string) []byte {
	for _, m := range ix.terms {
		if string(m.word) == word {
			return m.word
		}
	}
	return nil
}

// SizesForTest returns how many words and texts there are, and how many places in all.
func (ix *Index) SizesForTest() (terms, texts, places int) {
	for _, m := range ix.terms {
		places += len(m.in)
	}
	return len(ix.terms) - len(ix.free), len(ix.keys), places
}
