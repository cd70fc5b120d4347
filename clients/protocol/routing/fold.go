package routing

import (
	"strings"
	"unicode"
)

// maxName is the longest name that is worth a comparison, folded. The longest in the
// table has 26 letters.
const maxName = 64

// plainLetters are the letters with diacritics that Dutch, Frisian and the keyboards of
// the chain's countries put into Dutch names, and what people type instead.
var plainLetters = strings.NewReplacer(
	"á", "a", "à", "a", "â", "a", "ä", "a", "ã", "a", "å", "a", "ç", "c",
	"é", "e", "è", "e", "ê", "e", "ë", "e", "í", "i", "ì", "i", "î", "i", "ï", "i",
	"ñ", "n", "ó", "o", "ò", "o", "ô", "o", "ö", "o", "õ", "o", "ø", "o",
	"ú", "u", "ù", "u", "û", "u", "ü", "u", "ý", "y", "ÿ", "y", "ĳ", "ij")

// Fold reduces a name to what its spellings have in common: small letters without
// diacritics and digits, nothing between them.
func Fold(name string) string {
	var b strings.Builder
	for _, c := range plainLetters.Replace(strings.ToLower(name)) {
		// A combining mark falls away too: decomposed spellings look the same.
		if c < 0x80 && (unicode.IsLetter(c) || unicode.IsDigit(c)) {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// keysOf are the folded names under which a municipality is found: the whole name, the
// name without what tells it from its namesake, 's-Gravenhage also as Gravenhage, and
// Sint-Michielsgestel also as St. Michielsgestel.
func keysOf(name string) []string {
	keys := []string{Fold(name)}
	if plain, _, cut := strings.Cut(name, " ("); cut {
		keys = append(keys, Fold(plain))
	}
	if rest, ok := strings.CutPrefix(name, "'s-"); ok {
		keys = append(keys, Fold(rest))
	}
	if rest, ok := strings.CutPrefix(name, "Sint-"); ok {
		keys = append(keys, "st"+Fold(rest))
	}
	return keys
}

// distance is how many letters must be added, taken away or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := above
			if a[i] != b[j] {
				cost = 1 + min(above, row[j], row[j+1])
			}
			above, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
