package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func TestMessageRoundTrip(t *testing.T) {
	p := newPlace(t)
	s := p.create(t)
	want := storedMessage(1, store.In)
	want.Answers, want.Exercise, want.Envelope, want.Attended = message.Hash{5}, true, envelopeID(1), bytes.Repeat([]byte{4}, 32)
	update(t, s, func(tx *store.Tx) error {
		if fresh, err := tx.SaveMessage(want); !fresh || err != nil {
			t.Errorf("first: %v, %v", fresh, err)
		}
		again := want
		again.Raw, again.Class = []byte("another body under the same hash"), "other"
		if fresh, err := tx.SaveMessage(again); fresh || err != nil {
			t.Errorf("again: %v, %v", fresh, err)
		}
		for _, raw := range [][]byte{nil, make([]byte, message.MaxSize+1)} {
			if _, err := tx.SaveMessage(store.Message{Raw: raw}); !errors.Is(err, store.ErrTooLarge) {
				t.Errorf("%d bytes: %v", len(raw), err)
			}
		}
		return errors.Join(
			tx.SetOpened(want.Hash, now.Add(time.Minute), identity.PersonID{8}),
			tx.SetOpened(want.Hash, now.Add(time.Hour), identity.PersonID{9}),
			tx.SetAcknowledged(want.Hash, store.Acknowledgement{At: now.Add(2 * time.Minute), Person: "Noor", Message: message.Hash{6}}),
			tx.SetAcknowledged(want.Hash, store.Acknowledgement{At: now.Add(time.Hour), Person: "Bas"}))
	})
	s.Close()
	want.Seq, want.Opened, want.OpenedBy = 1, now.Add(time.Minute), identity.PersonID{8}
	want.Acknowledged, want.AcknowledgedBy, want.AckMessage = now.Add(2*time.Minute), "Noor", message.Hash{6}
	view(t, p.open(t), func(tx *store.Tx) error {
		got, err := tx.Message(want.Hash)
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		return err
	})
}

func TestMarksOfUnknownMessage(t *testing.T) {
	update(t, newStore(t), func(tx *store.Tx) error {
		for _, err := range []error{
			tx.SetOpened(message.Hash{1}, now, identity.PersonID{}),
			tx.SetAcknowledged(message.Hash{1}, store.Acknowledgement{At: now}),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
		}
		return nil
	})
}

func TestFindMessage(t *testing.T) {
	s := newStore(t)
	a, b := storedMessage(1, store.In), storedMessage(2, store.In)
	a.Hash, a.ID = message.Hash{0xab, 0xcd, 0xe1}, message.ID{0x01, 0x93, 0x11}
	b.Hash, b.ID = message.Hash{0xab, 0xcd, 0xe2}, message.ID{0x01, 0x93, 0x22, 0x33, 0x44}
	update(t, s, func(tx *store.Tx) error {
		_, err := tx.SaveMessage(a)
		_, err2 := tx.SaveMessage(b)
		return errors.Join(err, err2)
	})
	view(t, s, func(tx *store.Tx) error {
		for prefix, want := range map[string]error{
			"abcde1": nil, "ABCDE": store.ErrAmbiguous, "abcd": store.ErrAmbiguous, "abc": store.ErrNotFound, "": store.ErrNotFound,
			"0193": store.ErrAmbiguous, "019322": nil, "01932233-44": nil, "01932": nil, "ffff": store.ErrNotFound,
			"' OR 1=1": store.ErrNotFound, a.Hash.String(): nil, b.ID.String(): nil, a.Hash.String() + "0": store.ErrNotFound,
		} {
			if _, err := tx.FindMessage(prefix); !errors.Is(err, want) {
				t.Errorf("%q: %v, want %v", prefix, err, want)
			}
		}
		h, err := tx.HashOf(b.ID)
		if h != b.Hash {
			t.Errorf("hash of identifier: %s", h)
		}
		return err
	})
}

func TestQueries(t *testing.T) {
	s := newStore(t)
	update(t, s, func(tx *store.Tx) error {
		for n, u := range []message.Urgency{message.Routine, message.Acute, message.Info, message.Urgent, message.Acute, message.Routine} {
			m := storedMessage(uint64(n+1), store.In)
			if n == 5 {
				m.Direction, m.Answers = store.Out, message.Hash{1}
			}
			m.Urgency = u
			if _, err := tx.SaveMessage(m); err != nil {
				return err
			}
		}
		return errors.Join(tx.SetOpened(storedMessage(2, store.In).Hash, now, identity.PersonID{}),
			tx.SetAcknowledged(storedMessage(3, store.In).Hash, store.Acknowledgement{At: now}))
	})
	view(t, s, func(tx *store.Tx) error {
		for _, c := range []struct {
			q     store.Query
			want  string
			count int
		}{
			{store.Query{}, "[6 5 4 3 2 1]", 6},
			{store.Query{Order: store.Oldest, After: 2, Limit: 2}, "[3 4]", 4},
			{store.Query{Before: 4, Limit: 2}, "[3 2]", 3},
			{store.Query{Order: store.Urgent}, "[5 2 4 6 1 3]", 6},
			{store.Query{Order: store.Urgent, Limit: 2, Offset: 1}, "[2 4]", 6},
			{store.Query{Direction: store.In, Unread: true}, "[5 4 3 1]", 4},
			{store.Query{Unacknowledged: true}, "[5 4 2 1]", 4},
			{store.Query{Direction: store.Out}, "[6]", 1},
			{store.Query{Case: caseOf(3)}, "[3]", 1},
			{store.Query{Answers: message.Hash{1}}, "[6]", 1},
			{store.Query{Class: "melding", Limit: 1}, "[6]", 6},
			{store.Query{Class: "other"}, "[]", 0},
		} {
			ms, err := tx.Messages(c.q)
			if err != nil {
				return err
			}
			seqs := []uint64{}
			for _, m := range ms {
				seqs = append(seqs, m.Seq)
				if m.Raw != nil {
					t.Error("a list without Content has content")
				}
			}
			n, err := tx.CountMessages(c.q)
			if fmt.Sprint(seqs) != c.want || n != c.count || err != nil {
				t.Errorf("%+v: %v of %d, %v; want %s of %d", c.q, seqs, n, err, c.want, c.count)
			}
		}
		ms, err := tx.Messages(store.Query{Content: true})
		if len(ms) != 6 || string(ms[0].Raw) != "body of a message" {
			t.Errorf("content: %+v", ms)
		}
		return err
	})
}

// Destroying the key of a case leaves nothing of its messages but their hashes;
// other cases are untouched, and a repeated delivery brings nothing back.
func TestDestroyCase(t *testing.T) {
	s := outbox(t, 9) // cases 1 to 7, 0 and 1
	gone, other := storedMessage(9, store.Out), storedMessage(2, store.Out)
	update(t, s, func(tx *store.Tx) error {
		if err := tx.SetHead(peer, caseOf(1), gone.Hash); err != nil {
			return err
		}
		if err := tx.DestroyCase(caseOf(1), now); err != nil {
			return err
		}
		if err := tx.DestroyCase(caseOf(1), now); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("destroyed twice: %v", err)
		}
		if fresh, err := tx.SaveMessage(gone); fresh || err != nil {
			t.Errorf("delivered again: fresh %v, %v", fresh, err)
		}
		return nil
	})
	view(t, s, func(tx *store.Tx) error {
		m, err := tx.Message(gone.Hash)
		if !errors.Is(err, store.ErrDestroyed) || m.Raw != nil || m.Class != "" || m.Peer != "" || m.Case != (message.CaseRef{}) {
			t.Errorf("left of the message: %+v, %v", m, err)
		}
		if _, err := tx.Delivery(gone9()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("its delivery: %v", err)
		}
		wantState(t, tx, 9, store.Failed)
		if due, err := tx.Undelivered(now.Add(30*24*time.Hour), 100); err != nil || len(due) != 7 {
			t.Errorf("%d to deliver again, %v; want those of the other cases", len(due), err)
		}
		if hs, err := tx.Heads(peer, caseOf(1)); err != nil || len(hs) != 0 {
			t.Errorf("heads %v, %v", hs, err)
		}
		_, err = tx.Message(other.Hash)
		return err
	})
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func gone9() [16]byte { return envelopeID(9) }

func TestHeads(t *testing.T) {
	update(t, newStore(t), func(tx *store.Tx) error {
		h := func(b byte) message.Hash { return message.Hash{b} }
		if err := errors.Join(tx.SetHead(peer, caseOf(1), h(2)), tx.SetHead(peer, caseOf(1), h(1)), tx.SetHead("vt20/other", caseOf(1), h(9)),
			tx.SetHead(peer, caseOf(1), h(3), h(2), h(7)), tx.SetHead(peer, caseOf(1), h(3))); err != nil {
			return err
		}
		got, err := tx.Heads(peer, caseOf(1))
		if fmt.Sprint(got) != fmt.Sprint([]message.Hash{h(1), h(3)}) {
			t.Errorf("heads %v", got)
		}
		return err
	})
}

func TestQuarantine(t *testing.T) {
	s := newStore(t)
	update(t, s, func(tx *store.Tx) error {
		for i := range 1003 {
			kept, err := tx.Quarantine(store.Quarantined{Reason: "unknown-sealer", At: now, Raw: []byte{byte(i)}})
			if err != nil || kept != (i < 1000) {
				t.Fatalf("envelope %d kept %v, %v", i, kept, err)
			}
		}
		return tx.CountRejected("lane")
	})
	view(t, s, func(tx *store.Tx) error {
		counts, err := tx.Rejected()
		if err != nil || counts["unknown-sealer"] != 1003 || counts["lane"] != 1 {
			t.Errorf("counts %v, %v", counts, err)
		}
		qs, err := tx.Quarantined(998, 10)
		if len(qs) != 2 || qs[0].Number != 999 || qs[0].Raw[0] != byte(998%256) {
			t.Errorf("quarantined %+v", qs)
		}
		return err
	})
	update(t, s, func(tx *store.Tx) error {
		if err := tx.Release(5000); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("released what is not there: %v", err)
		}
		return tx.Release(999)
	})
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}
