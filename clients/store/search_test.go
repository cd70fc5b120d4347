package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"schakel/clients/store"
	"schakel/clients/store/index"
	"schakel/crypto/delivery"
	"schakel/crypto/message"
)

func texts(c store.Content) []string {
	if c.Record == 0 {
		return []string{string(c.Raw)}
	}
	s, _ := delivery.ParseRecord(c.Raw)
	return []string{string(s.Record.Content)}
}

func search(t testing.TB, s *store.Store, query string) (out store.Found) {
	t.Helper()
	err := s.Search(t.Context(), store.Search{Words: index.Words(query), Limit: 50, Texts: texts}, func(_ *store.Tx, f store.Found) error {
		out = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func said(n uint64, words string) store.Message {
	m := storedMessage(n, store.In)
	m.Raw, m.Received = []byte(words), now.Add(time.Duration(n)*time.Second)
	return m
}

func save(t testing.TB, s *store.Store, ms ...store.Message) {
	t.Helper()
	update(t, s, func(tx *store.Tx) error {
		for _, m := range ms {
			if _, err := tx.SaveMessage(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// What was stored is found at the next search, the newest first; what failed is not.
func TestSearchKeepsUp(t *testing.T) {
	s := newStore(t)
	save(t, s, said(1, "Mevrouw Çelik belt"), said(2, "niemand"))
	if f := search(t, s, "celik"); f.Total != 1 || f.Hashes[0] != said(1, "").Hash {
		t.Fatalf("%+v", f)
	}
	save(t, s, said(3, "weer mevrouw Celik"))
	failed := errors.New("no")
	if err := s.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.SaveMessage(said(4, "Celik in een transactie die niet doorging"))
		return errors.Join(err, failed)
	}); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error {
		_, err := tx.SaveRecord(storedRecord(t, delivery.RecordNote, "notitie over çelik"), true)
		return err
	})
	f := search(t, s, "çel")
	if f.Total != 3 || f.Hashes[0] != said(3, "").Hash || f.Hashes[1] != said(1, "").Hash && f.Hashes[2] != said(1, "").Hash {
		t.Fatalf("%+v", f)
	}
}

// A transaction that destroys and then fails takes nothing out of the index, and one that
// comes about takes it out without another search.
func TestDestroyedIsNotFound(t *testing.T) {
	s := newStore(t)
	save(t, s, said(1, "kanarie een"), said(2, "kanarie twee"))
	update(t, s, func(tx *store.Tx) error {
		_, err := tx.SaveRecord(storedRecord(t, delivery.RecordNote, "kanarie in een notitie"), true) // of case 1
		return err
	})
	if f := search(t, s, "kanarie"); f.Total != 3 {
		t.Fatalf("control: %+v", f)
	}
	failed := errors.New("no")
	if err := s.Update(t.Context(), func(tx *store.Tx) error { return errors.Join(tx.DestroyCase(caseOf(1), now), failed) }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if f := search(t, s, "kanarie"); f.Total != 3 {
		t.Fatalf("after a destruction that did not come about: %+v", f)
	}
	update(t, s, func(tx *store.Tx) error { return tx.DestroyCase(caseOf(1), now) })
	if held := s.WordsForTest("een", "notitie", "in"); held != 0 {
		t.Errorf("the index still holds %d words of a destroyed case", held)
	}
	if held := s.WordsForTest("kanarie", "twee"); held != 2 {
		t.Errorf("control: of the other case it holds %d words", held)
	}
	if f := search(t, s, "kanarie"); f.Total != 1 || f.Hashes[0] != said(2, "").Hash {
		t.Errorf("%+v", f)
	}
}

// What is closed to named persons is not found: not what was there, nor what came later.
func TestRestrictedIsNotFound(t *testing.T) {
	s, key := newStore(t), readKey(t)
	update(t, s, func(tx *store.Tx) error { return fillCase(tx, t, 1) })
	save(t, s, said(2, "canary of another case"))
	if f := search(t, s, "canary"); f.Total != 5 {
		t.Fatalf("control: %+v", f)
	}
	update(t, s, func(tx *store.Tx) error { return tx.RestrictCase(caseOf(1), key.Lock()) })
	if held := s.WordsForTest("inbound", "outbound", "note", "draft"); held != 0 {
		t.Errorf("the index holds %d words of a restricted case", held)
	}
	update(t, s, func(tx *store.Tx) error { return fillCase(tx, t, 2) })
	for range 2 {
		if f := search(t, s, "canary"); f.Total != 1 || f.Unreadable != 0 {
			t.Errorf("%+v", f)
		}
	}
}

// A version of a draft that another took the place of is not found, nor a record that was
// deleted.
func TestOnlyTheLatestVersionIsFound(t *testing.T) {
	s := newStore(t)
	first := storedRecord(t, delivery.RecordDraft, "eerste versie")
	second := storedRecord(t, delivery.RecordDraft, "tweede versie", first.Hash())
	for i, r := range []delivery.SignedRecord{first, second} {
		update(t, s, func(tx *store.Tx) error { _, err := tx.SaveRecord(r, true); return err })
		if f := search(t, s, "versie"); f.Total != 1 || f.Hashes[0] != r.Hash() {
			t.Errorf("after version %d: %+v", i+1, f)
		}
	}
	update(t, s, func(tx *store.Tx) error { return tx.DeleteRecord(second.Hash()) })
	if f := search(t, s, "versie"); f.Total != 0 {
		t.Errorf("deleted: %+v", f)
	}
}

// No word of any message gets onto the disk for the sake of searching: the files are the
// same before and after, but for what opening and closing writes, and with the keys of the
// store there is one place where the word stands.
func TestIndexIsNowhereOnDisk(t *testing.T) {
	p := newPlace(t)
	s := p.create(t)
	save(t, s, said(1, "kanariegeel"), said(2, "iets anders"))
	places := func() (n int) {
		if err := s.Readable(t.Context(), func(b []byte) {
			if bytes.Contains(b, []byte("kanariegeel")) {
				n++
			}
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before, generation := places(), s.GenerationForTest()
	if f := search(t, s, "kanarie"); f.Total != 1 || before != 1 {
		t.Fatalf("control: %+v, in %d places", f, before)
	}
	if n := places(); n != before || s.GenerationForTest() != generation {
		t.Errorf("after searching it stands in %d places, and %d transactions wrote", n, s.GenerationForTest()-generation)
	}
	update(t, s, func(tx *store.Tx) error { return tx.DestroyCase(caseOf(1), now) })
	if n := places(); n != 0 {
		t.Errorf("destroyed, it stands in %d places", n)
	}
}

// A row that does not open is said, and does not keep the others from being found.
func TestSearchBesideTamperedRows(t *testing.T) {
	s := newStore(t)
	save(t, s, said(1, "vindbaar een"), said(2, "vindbaar twee"))
	if _, err := s.Meddle(`UPDATE message SET box=zeroblob(100) WHERE seq=1`); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if f := search(t, s, "vindbaar"); f.Total != 1 || f.Unreadable != 1 {
			t.Errorf("%+v", f)
		}
	}
}

// More than one step of catching up, with what arrives in between.
func TestSearchCatchesUpInSteps(t *testing.T) {
	s := newStore(t)
	const count = 700
	update(t, s, func(tx *store.Tx) error {
		for n := range uint64(count) {
			if _, err := tx.SaveMessage(said(n+1, fmt.Sprintf("woord nummer%d", n))); err != nil {
				return err
			}
		}
		return nil
	})
	steps := 0
	arriving := func(c store.Content) []string { steps++; return texts(c) }
	err := s.Search(t.Context(), store.Search{Words: []string{"woord"}, Skip: 690, Limit: 50, Texts: arriving}, func(tx *store.Tx, f store.Found) error {
		if f.Total != count || len(f.Hashes) != 10 || steps != count {
			t.Errorf("%d of %d after %d", len(f.Hashes), f.Total, steps)
		}
		for _, h := range f.Hashes {
			if has, err := tx.HasMessage(h); err != nil || !has {
				t.Errorf("%s is not there: %v", h, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := s.Search(t.Context(), store.Search{Texts: texts}, nil); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// words makes a body of a hundred words, some of which are common and most of which are not.
func words(n uint64) string {
	var b bytes.Buffer
	for i := range uint64(100) {
		fmt.Fprintf(&b, "woord%d ", (n*2654435761+i*i*40503)%(1+i*300))
	}
	return b.String()
}

const many = 10_000

func storeOfMany(b *testing.B) (*store.Store, place) {
	p := newPlace(b)
	s := p.create(b)
	for n := uint64(0); n < many; n += 500 {
		update(b, s, func(tx *store.Tx) error {
			for i := range uint64(500) {
				m := said(n+i+1, words(n+i))
				m.Case = message.CaseRef{1, byte((n + i) >> 8), byte(n + i)}
				if _, err := tx.SaveMessage(m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return s, p
}

// BenchmarkSearch is a search among ten thousand messages of a hundred words, the first
// search after opening, which makes the index, and beside them bare queries of the same
// rows: one that lists fifty, and one that opens all and looks through them.
func BenchmarkSearch(b *testing.B) {
	s, p := storeOfMany(b)
	search(b, s, "woord1")
	for _, query := range []string{"woord29", "woord2 woord7", "w"} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				search(b, s, query)
			}
		})
	}
	b.Run("bare list of 50", func(b *testing.B) {
		for b.Loop() {
			view(b, s, func(tx *store.Tx) error { _, err := tx.Messages(store.Query{Limit: 50}); return err })
		}
	})
	b.Run("bare query that opens all", func(b *testing.B) {
		for b.Loop() {
			lookThroughAll(b, s)
		}
	})
	s.Close()
	b.Run("first search", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			s := p.open(b)
			b.StartTimer()
			search(b, s, "woord29")
			b.StopTimer()
			b.ReportMetric(float64(s.IndexSizeForTest())/(1<<20), "MiB-index")
			s.Close()
			b.StartTimer()
		}
	})
}

func lookThroughAll(b *testing.B, s *store.Store) {
	for after := uint64(0); ; {
		n := 0
		view(b, s, func(tx *store.Tx) error {
			ms, err := tx.Messages(store.Query{Order: store.Oldest, After: after, Limit: 1000, Content: true})
			for _, m := range ms {
				n, after = n+1, m.Seq
				_ = bytes.Contains(m.Raw, []byte("woord29"))
			}
			return err
		})
		if n == 0 {
			return
		}
	}
}
