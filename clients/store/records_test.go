package store_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/message"
)

func storedRecord(t *testing.T, k delivery.RecordKind, content string, follows ...message.Hash) delivery.SignedRecord {
	t.Helper()
	slices.SortFunc(follows, func(a, b message.Hash) int { return slices.Compare(a[:], b[:]) })
	r := delivery.Record{Version: 1, Kind: k, Desk: peer, Device: self, Person: make([]byte, 16), Case: caseOf(1),
		Follows: follows, Created: 1790000000, Content: []byte(content)}
	payload, tbs, err := r.ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	s, err := delivery.AssembleRecord(payload, ed25519.Sign(privateKey(1), tbs))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func headsAfter(t *testing.T, all []delivery.SignedRecord) (heads []message.Hash) {
	t.Helper()
	s := newStore(t)
	update(t, s, func(tx *store.Tx) error {
		for _, r := range all {
			if _, err := tx.SaveRecord(r, false); err != nil {
				return err
			}
		}
		rows, err := tx.RecordHeads(delivery.RecordAssign, caseOf(1), [16]byte{})
		for _, row := range rows {
			heads = append(heads, row.Hash)
		}
		return err
	})
	return heads
}

// Whatever the order in which the same records arrive, and however often, the heads are
// the same; and they are those of the history that was written.
func TestHeadsInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 5 {
		var all []delivery.SignedRecord
		followed := map[message.Hash]bool{}
		for i := range 12 { // each writer saw some of what was there
			var saw []message.Hash
			for _, r := range all {
				if random.IntN(3) == 0 {
					saw = append(saw, r.Hash())
					followed[r.Hash()] = true
				}
			}
			all = append(all, storedRecord(t, delivery.RecordAssign, fmt.Sprint(round, i), saw...))
		}
		var want []message.Hash
		for _, r := range all {
			if !followed[r.Hash()] {
				want = append(want, r.Hash())
			}
		}
		slices.SortFunc(want, func(a, b message.Hash) int { return slices.Compare(a[:], b[:]) })
		shuffled := append(slices.Clone(all), all[:4]...)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := headsAfter(t, shuffled); !slices.Equal(got, want) {
			t.Fatalf("round %d: heads %v, want %v", round, got, want)
		}
		if round > 0 {
			continue
		}
		if got := headsAfter(t, all[:len(all)-1]); slices.Equal(got, want) {
			t.Fatalf("control: without the last record the heads are the same")
		}
	}
}

// What was noted about a case goes with its key; the notes of another case stay.
func TestDestroyCaseTakesItsNotes(t *testing.T) {
	s := newStore(t)
	note := storedRecord(t, delivery.RecordNote, "notitie")
	update(t, s, func(tx *store.Tx) error {
		_, err := tx.SaveRecord(note, true)
		return errors.Join(err, tx.AddRecipient(note.Hash(), peer, now, now))
	})
	if err := s.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error { return tx.DestroyCase(caseOf(1), now) })
	view(t, s, func(tx *store.Tx) error {
		if _, err := tx.Record(note.Hash()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the note is still there: %v", err)
		}
		return nil
	})
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who can write pages cannot change, take away or put in another place what was noted.
func TestRecordsAreSealed(t *testing.T) {
	for name, sql := range map[string]string{
		"edit":   `UPDATE record SET box=zeroblob(length(box)) WHERE seq=1`,
		"delete": `DELETE FROM record WHERE seq=1`,
		"swap":   `UPDATE record SET box=(SELECT box FROM record WHERE seq=2) WHERE seq=1`,
	} {
		s := newStore(t)
		update(t, s, func(tx *store.Tx) error {
			_, err := tx.SaveRecord(storedRecord(t, delivery.RecordNote, "een"), true)
			_, err2 := tx.SaveRecord(storedRecord(t, delivery.RecordNote, "twee"), true)
			return errors.Join(err, err2)
		})
		if _, err := s.Meddle(sql); err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(t.Context()); !errors.Is(err, store.ErrTampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A device that is new gets every record, also one that was just under way to the others:
// their word that they have it says nothing of the new one.
func TestTellAgainOutdoesWhatIsUnderWay(t *testing.T) {
	for name, newcomer := range map[string]bool{"nobody is new": false, "a device is new": true} {
		t.Run(name, func(t *testing.T) {
			s, note := newStore(t), storedRecord(t, delivery.RecordNote, "notitie")
			update(t, s, func(tx *store.Tx) error {
				_, err := tx.SaveRecord(note, true)
				return errors.Join(err, tx.AddRecipient(note.Hash(), peer, now, now), tx.PutDelivery(storedDelivery(1, 1, note.Hash(), []byte("een"))))
			})
			if newcomer {
				update(t, s, func(tx *store.Tx) error { return tx.TellAgain(peer, now) })
			}
			due := func() (n int) {
				view(t, s, func(tx *store.Tx) error {
					rs, err := tx.Undelivered(now, 10)
					n = len(rs)
					return err
				})
				return n
			}
			if got := due(); (got == 1) != newcomer {
				t.Errorf("%d deliveries are due", got)
			}
			update(t, s, func(tx *store.Tx) error {
				_, _, err := tx.Confirmed(peer, []delivery.Received{{Device: self, Contiguous: 1}}, now)
				return err
			})
			if got := due(); (got == 1) != newcomer {
				t.Errorf("%d deliveries are due when the others have it", got)
			}
		})
	}
}
