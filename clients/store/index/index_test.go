package index_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"schakel/clients/store/index"
)

func key(n int) (k index.Key) {
	k[0], k[1] = byte(n>>8), byte(n)
	return k
}

func found(ix *index.Index, query string) []index.Key {
	keys, _ := ix.Find(index.Query{Words: index.Words(query), Limit: 1000})
	return keys
}

// TestFolded finds words however they were typed, and nothing that is another word.
func TestFolded(t *testing.T) {
	for _, c := range []struct{ text, finds, not string }{
		{"Mevrouw Çelik belde", "celik", "elik"},
		{"Mevrouw Celik belde", "ÇELİK", "celiks"},
		{"vanuit het café", "cafe", "afé"},
		{"vanuit het cafe\u0301", "Café", "cafee"},
		{"Ĳsselstein, aan de ĳs", "ijsselstein ijs", "ysselstein"},
		{"IJsselstein", "Ĳsselstein", "sselstein"},
		{"Şükran Yıldız", "sukran yildiz", "ukran"},
		{"Straße in Øresund, Łódź", "strasse oresund lodz", "rasse"},
		{"foto's van 's-Hertogenbosch", "foto hertogenbosch", "fotos"},
		{"bel +31600000003 of 06-12345678", "31600000003 12345678", "600000003"},
		{"zwangere\u00adschap", "zwangereschap", "schap"},
		{"ｆｕｌｌｗｉｄｔｈ ﬁets", "fullwidth fiets", "width"},
		{"علي و كريم", "علی کریم", "لی"},
		{"مُحَمَّد", "محمد", "حمد"},
		{"{\"a\":1}<b>vet</b>", "vet 1", "2"},
	} {
		ix := index.New()
		ix.Add(index.Text{Key: key(1), Order: 1}, c.text)
		if len(found(ix, c.finds)) != 1 {
			t.Errorf("%q does not find %q: words %q of %q", c.finds, c.text, index.Words(c.finds), index.Words(c.text))
		}
		if len(found(ix, c.not)) != 0 {
			t.Errorf("control: %q finds %q", c.not, c.text)
		}
		if len(found(ix, c.finds+" "+c.not)) != 0 {
			t.Errorf("%q was found without the word %q", c.text, c.not)
		}
	}
}

func TestPrefixOrderAndPages(t *testing.T) {
	ix := index.New()
	for n := range 120 {
		ix.Add(index.Text{Key: key(n), Order: int64(n)}, fmt.Sprintf("achterlating nummer%d", n))
	}
	keys, total := ix.Find(index.Query{Words: index.Words("achterl num"), Skip: 50, Limit: 50})
	if total != 120 || len(keys) != 50 || keys[0] != key(69) || keys[49] != key(20) {
		t.Errorf("%d of %d, from %x to %x", len(keys), total, keys[0][:2], keys[len(keys)-1][:2])
	}
	if keys, total := ix.Find(index.Query{Words: index.Words("achterl"), Skip: 200, Limit: 50}); len(keys) != 0 || total != 120 {
		t.Errorf("beyond the end: %d of %d", len(keys), total)
	}
	for _, query := range []string{"", " ", "?!", "\u0301"} {
		if keys, total := ix.Find(index.Query{Words: index.Words(query), Limit: 10}); len(keys) != 0 || total != 0 {
			t.Errorf("%q finds %d", query, total)
		}
	}
}

// TestWithout: what somebody may not read is not counted either.
func TestWithout(t *testing.T) {
	ix := index.New()
	ix.Add(index.Text{Key: key(1), Kind: 3}, "woord")
	ix.Add(index.Text{Key: key(2), Kind: 4}, "woord")
	if keys, total := ix.Find(index.Query{Words: []string{"woord"}, Limit: 9, Without: 4}); total != 1 || keys[0] != key(1) {
		t.Errorf("%d found", total)
	}
	if _, total := ix.Find(index.Query{Words: []string{"woord"}, Limit: 9}); total != 2 {
		t.Errorf("control: %d found", total)
	}
}

// TestDroppedWordIsOverwritten: what only the dropped text had is nowhere in the index,
// and the bytes that it had there are zeros; what others have stays.
func TestDroppedWordIsOverwritten(t *testing.T) {
	ix := index.New()
	ix.Add(index.Text{Key: key(1), Order: 1}, "Kanarie en gewoon")
	ix.Add(index.Text{Key: key(2), Order: 2}, "gewoon")
	own := ix.WordForTest("kanarie")
	if string(own) != "kanarie" {
		t.Fatalf("control: %q", own)
	}
	ix.Drop(key(1))
	ix.Drop(key(1))
	if !bytes.Equal(own, make([]byte, len(own))) {
		t.Errorf("still there: %q", own)
	}
	if len(found(ix, "kanarie")) != 0 || len(found(ix, "gewoon")) != 1 {
		t.Error("found what was dropped, or not what was left")
	}
	ix.Drop(key(2))
	if terms, texts, places := ix.SizesForTest(); terms+texts+places != 0 {
		t.Errorf("%d words, %d texts, %d places are left of nothing", terms, texts, places)
	}
}

// TestAgainstSlowSearch compares with looking through everything.
func TestAgainstSlowSearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ix, texts := index.New(), map[int][]string{}
	word := func() string { return fmt.Sprintf("%c%c%d", 'a'+rng.IntN(4), 'a'+rng.IntN(4), rng.IntN(4)) }
	for step := range 3000 {
		n := rng.IntN(60)
		if rng.IntN(3) == 0 {
			ix.Drop(key(n))
			delete(texts, n)
		} else if texts[n] == nil {
			for range 1 + rng.IntN(6) {
				texts[n] = append(texts[n], word())
			}
			ix.Add(index.Text{Key: key(n), Order: int64(n % 7)}, strings.Join(texts[n], " "))
		}
		query := []string{word()[:1+rng.IntN(3)], word()[:1+rng.IntN(2)]}
		want := 0
		for _, words := range texts {
			if !slices.ContainsFunc(query, func(q string) bool {
				return !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, q) })
			}) {
				want++
			}
		}
		if keys, total := ix.Find(index.Query{Words: query, Limit: 1000}); total != want || len(keys) != want {
			t.Fatalf("step %d, %q: %d, want %d", step, query, total, want)
		}
	}
}

// FuzzWords: words are folded already, are found by themselves, and nothing is too much.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"Çelik", "Ĳs", "ﷺ", "\xff\xfe", strings.Repeat("é", 200), "a\u200bb", "ßßß", "İ", "ǅ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		words := index.Words(s)
		if len(words) > 12 {
			t.Fatalf("%d words", len(words))
		}
		for _, w := range words {
			if w == "" || len(w) > 72 {
				t.Fatalf("word %q", w)
			}
			if again := index.Words(w); utf8.ValidString(s) && len(w) < 64 && !slices.Equal(again, []string{w}) {
				t.Fatalf("%q of %q becomes %q", w, s, again)
			}
		}
		ix := index.New()
		ix.Add(index.Text{Key: key(1), Order: 0}, s)
		if len(words) > 0 && len(found(ix, s)) != 1 {
			t.Fatalf("%q does not find itself: %q", s, words)
		}
		ix.Drop(key(1))
		if terms, texts, places := ix.SizesForTest(); terms+texts+places != 0 {
			t.Fatalf("%q leaves %d words", s, terms)
		}
	})
}

// BenchmarkFind is a search among ten thousand texts of a hundred words.
func BenchmarkFind(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	ix := index.New()
	for n := range 10_000 {
		var words strings.Builder
		for range 100 {
			fmt.Fprintf(&words, "woord%d ", int(rng.ExpFloat64()*3000))
		}
		ix.Add(index.Text{Key: key(n), Order: int64(n)}, words.String())
	}
	for _, query := range []string{"woord12345", "woord99", "w", "woord1 woord2"} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				ix.Find(index.Query{Words: index.Words(query), Limit: 50})
			}
		})
	}
}
