package index

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxWord bounds a word in bytes: what is longer is cut, in texts and in queries alike.
const maxWord = 64

// maxWords bounds a query.
const maxWords = 12

// alone are letters that stay themselves when accents are taken off (Unicode has no
// decomposition for them), as people type them who do not have them on the keyboard.
var alone = map[rune]string{
	'ß': "ss", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'æ': "ae", 'œ': "oe", 'ı': "i", 'ħ': "h", 'ŧ': "t", 'ə': "e",
	'ي': "ی", 'ى': "ی", 'ك': "ک", 'ة': "ه", // one letter, typed on an Arabic or on a Persian, Dari, Urdu or Pashto keyboard
}

// each calls f with every word of a text, folded. f must not keep the bytes, which are
// overwritten when it is done.
func each(s string, f func(word []byte)) {
	var room [maxWord + 8]byte
	word := room[:0]
	end := func() {
		if len(word) > 0 {
			f(word)
		}
		clear(room[:])
		word = room[:0]
	}
	take := func(r rune) {
		switch {
		case unicode.Is(unicode.Mn, r), r == '\u00ad', r == '\u200c', r == '\u0640': // accents, and what only shapes a word
		case unicode.IsLetter(r), unicode.IsNumber(r):
			word = fold(word, r)
		default:
			end()
		}
	}
	for len(s) > 0 {
		if s[0] < utf8.RuneSelf { // nearly all there is, and nothing to take apart
			if c := rune(s[0]); 'a' <= c && c <= 'z' && len(word) < maxWord {
				word = append(word, s[0])
			} else {
				take(c)
			}
			s = s[1:]
			continue
		}
		n := strings.IndexFunc(s, func(r rune) bool { return r < utf8.RuneSelf })
		if n < 0 {
			n = len(s)
		}
		var parts norm.Iter
		for parts.InitString(norm.NFKD, s[:n]); !parts.Done(); {
			for b := parts.Next(); len(b) > 0; {
				r, size := utf8.DecodeRune(b)
				take(r)
				b = b[size:]
			}
		}
		s = s[n:]
	}
	end()
}

// fold adds a letter to a word, until it is long enough.
func fold(word []byte, r rune) []byte {
	if len(word) >= maxWord {
		return word
	}
	r = unicode.ToLower(r)
	if as, ok := alone[r]; ok {
		return append(word, as...)
	}
	return utf8.AppendRune(word, r)
}

// Words are the words of a query, folded, at most twelve.
func Words(query string) (words []string) {
	each(query, func(w []byte) {
		if len(words) < maxWords {
			words = append(words, string(w))
		}
	})
	return words
}
