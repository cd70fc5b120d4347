package vault

import (
	"crypto/rand"
	"strings"
)

// Letters of a made passphrase: none that sounds or looks like another one, so that it can
// be dictated, written on paper and read back.
const (
	consonants = "bdfghklmnprstvwz"
	vowels     = "aeiou"
	phraseSize = 6 // words
)

// NewPhrase makes a recovery passphrase of six words of five letters, such as "bakol dimef
// ...", each of 102 400: 99 bits, which nobody guesses at a second a guess, nor at a
// millionth of one.
func NewPhrase() string {
	var words [phraseSize]string
	for i := range words {
		words[i] = pick(consonants) + pick(vowels) + pick(consonants) + pick(vowels) + pick(consonants)
	}
	return strings.Join(words[:], " ")
}

// pick takes a letter; every one is as likely, since what does not fit is drawn again.
func pick(letters string) string {
	for {
		var b [1]byte
		rand.Read(b[:])
		if n := int(b[0] & 15); n < len(letters) {
			return letters[n : n+1]
		}
	}
}
