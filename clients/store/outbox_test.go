package store_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

var (
	epochA = [16]byte{0xa}
	epochB = [16]byte{0xb}
)

func envelopesOf(ds []store.Delivery) (s string) {
	for _, d := range ds {
		s += fmt.Sprint(" ", d.Envelope[15])
	}
	return s
}

// outbox returns a store that has sent messages 1 to n.
func outbox(t *testing.T, n uint64) *store.Store {
	t.Helper()
	s := newStore(t)
	update(t, s, func(tx *store.Tx) error {
		return tx.SetDevice(store.Device{ID: self, Desk: "knooppunt/piket", Sign: privateKey(1), Login: privateKey(2)})
	})
	fill(t, s, 1, n)
	return s
}

// A relay that took a delivery is not offered it again; a relay with another
// store epoch, restored or empty, is offered all of them.
func TestOffers(t *testing.T) {
	s := outbox(t, 5)
	update(t, s, func(tx *store.Tx) error {
		for _, n := range []uint64{1, 3} {
			if _, err := tx.Accepted(envelopeID(n), epochA, []byte("receipt"), now); err != nil {
				return err
			}
		}
		for _, c := range []struct {
			epoch [16]byte
			at    time.Time
			after uint64
			limit int
			want  string
		}{
			{epochA, now, 0, 10, " 2 4 5"},
			{epochA, now, 0, 2, " 2 4"},
			{epochA, now, 4, 2, " 5"},
			{epochB, now, 0, 10, " 1 2 3 4 5"},
			{epochB, now.Add(8 * 24 * time.Hour), 0, 10, ""},
		} {
			ds, err := tx.Offers(c.epoch, c.at, c.after, c.limit)
			if err != nil || envelopesOf(ds) != c.want {
				t.Errorf("offers%s, %v; want%s", envelopesOf(ds), err, c.want)
			}
			for _, d := range ds {
				if string(d.Raw) != string(crashBody(uint64(d.Envelope[15]))) {
					t.Errorf("envelope %d with other bytes", d.Envelope[15])
				}
			}
		}
		return nil
	})
	view(t, s, func(tx *store.Tx) error {
		wantState(t, tx, 1, store.AtRelay)
		wantState(t, tx, 2, store.Pending)
		d, err := tx.Delivery(envelopeID(3))
		if string(d.Receipt) != "receipt" || d.AcceptedEpoch != epochA {
			t.Errorf("custody receipt not kept: %v", d)
		}
		return err
	})
}

func wantState(t *testing.T, tx *store.Tx, n uint64, want store.RecipientState) {
	t.Helper()
	rs, err := tx.Recipients(storedMessage(n, store.Out).Hash)
	if err != nil || len(rs) != 1 || rs[0].State != want {
		t.Errorf("message %d: %+v, %v; want state %d", n, rs, err, want)
	}
}

func TestPutDeliveryRefuses(t *testing.T) {
	s := outbox(t, 1)
	update(t, s, func(tx *store.Tx) error {
		sameCounter := storedDelivery(7, 1, message.Hash{}, []byte("x"))
		sameID := storedDelivery(1, 7, message.Hash{}, []byte("x"))
		for _, d := range []store.Delivery{sameCounter, sameID} {
			if err := tx.PutDelivery(d); !errors.Is(err, store.ErrConflict) {
				t.Errorf("%+v: %v", d, err)
			}
		}
		if err := tx.PutDelivery(storedDelivery(8, 8, message.Hash{}, make([]byte, 2<<20))); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("2 MiB: %v", err)
		}
		return nil
	})
	if err := s.Verify(t.Context()); err != nil {
		t.Errorf("a refused delivery left something: %v", err)
	}
}

func TestConfirmed(t *testing.T) {
	s := outbox(t, 6)
	confirm := func(desk identity.DeskID, v delivery.Received, want string, wantAhead bool) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			gone, ahead, err := tx.Confirmed(desk, []delivery.Received{v}, now.Add(time.Minute))
			if envelopesOf(gone) != want || ahead != wantAhead {
				t.Errorf("%+v confirms%s, ahead %v; want%s, %v", v, envelopesOf(gone), ahead, want, wantAhead)
			}
			return err
		})
	}
	confirm("vt20/other", delivery.Received{Device: self, Contiguous: 6}, "", true)
	confirm(peer, delivery.Received{Device: device(3), Contiguous: 6}, "", false)
	confirm(peer, delivery.Received{Device: self, Contiguous: 2, Beyond: []uint64{5}}, " 1 2 5", false)
	confirm(peer, delivery.Received{Device: self, Contiguous: 1}, "", false)
	view(t, s, func(tx *store.Tx) error {
		wantState(t, tx, 2, store.Delivered)
		wantState(t, tx, 3, store.Pending)
		return nil
	})
	// What was never sent cannot have arrived: a liar, or this is an old copy.
	confirm(peer, delivery.Received{Device: self, Contiguous: 7}, " 3 4 6", true)
	confirm(peer, delivery.Received{Device: self, Beyond: []uint64{99}}, "", true)
	confirm(peer, delivery.Received{Device: self, Contiguous: 1<<64 - 1}, "", true)
}

// A late acceptance of what is confirmed already harms nothing.
func TestAcceptedAfterConfirmed(t *testing.T) {
	s := outbox(t, 1)
	update(t, s, func(tx *store.Tx) error {
		if _, _, err := tx.Confirmed(peer, []delivery.Received{{Device: self, Contiguous: 1}}, now); err != nil {
			return err
		}
		if _, err := tx.Accepted(envelopeID(1), epochA, nil, now); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("accepted: %v", err)
		}
		wantState(t, tx, 1, store.Delivered)
		return nil
	})
}

func TestExpiredAndMadeAgain(t *testing.T) {
	s := outbox(t, 3)
	later := now.Add(7 * 24 * time.Hour)
	update(t, s, func(tx *store.Tx) error {
		if ds, err := tx.Expired(later.Add(-time.Second), 10); len(ds) != 0 {
			t.Errorf("expired early:%s, %v", envelopesOf(ds), err)
		}
		ds, err := tx.Expired(later, 2)
		if err != nil || envelopesOf(ds) != " 1 2" {
			t.Errorf("expired%s, %v", envelopesOf(ds), err)
		}
		h := storedMessage(2, store.Out).Hash
		again := storedDelivery(12, 4, h, []byte("again"))
		if err := tx.PutDelivery(again); err != nil {
			return err
		}
		both, err := tx.DeliveriesOf(h, peer)
		if err != nil || envelopesOf(both) != " 2 12" {
			t.Errorf("deliveries of the message%s, %v", envelopesOf(both), err)
		}
		return tx.DeleteDelivery(envelopeID(2))
	})
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// 20 000 waiting deliveries stream through pages of a hundred, holding
// one page at a time.
func TestOffersBoundedMemory(t *testing.T) {
	const rows, size = 20_000, 512
	if testing.Short() {
		t.Skip("writes 20 MB")
	}
	s := newStore(t)
	body := make([]byte, size)
	for from := 0; from < rows; from += 500 {
		update(t, s, func(tx *store.Tx) error {
			for n := from; n < from+500; n++ {
				if err := tx.PutDelivery(storedDelivery(uint64(n+1), uint64(n+1), message.Hash{}, body)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	before, peak, seen := heapInUse(), uint64(0), 0
	for after := uint64(0); ; {
		var page []store.Delivery
		view(t, s, func(tx *store.Tx) (err error) {
			page, err = tx.Offers(epochA, now, after, 100)
			return err
		})
		if len(page) == 0 {
			break
		}
		seen, after = seen+len(page), page[len(page)-1].Seq
		if seen%2000 == 0 {
			peak = max(peak, heapInUse())
		}
	}
	if seen != rows {
		t.Errorf("saw %d of %d", seen, rows)
	}
	if peak > before+4<<20 {
		t.Errorf("heap grew from %d to %d KiB", before>>10, peak>>10)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestRecipientsNeverGoBack(t *testing.T) {
	s := outbox(t, 2)
	h, rejected := storedMessage(1, store.Out).Hash, storedMessage(2, store.Out).Hash
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	update(t, s, func(tx *store.Tx) error {
		for i, st := range []store.RecipientState{store.Opened, store.Delivered, store.AtRelay, store.Opened} {
			if err := tx.SetRecipient(h, peer, st, at(i+1), ""); err != nil {
				return err
			}
		}
		if err := tx.SetRecipient(rejected, peer, store.Rejected, at(1), "R09"); err != nil {
			return err
		}
		if err := tx.SetRecipient(rejected, peer, store.Opened, at(2), ""); err != nil {
			return err
		}
		if err := tx.SetRecipient(rejected, peer, store.Failed, at(3), "expired"); err != nil {
			return err
		}
		if err := tx.SetRecipient(h, "vt20/nobody", store.Opened, at(1), ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("desk it did not go to: %v", err)
		}
		return tx.SetAcknowledged(h, store.Acknowledgement{Desk: peer, At: at(9), Person: "Noor de Vries", Message: message.Hash{7}})
	})
	view(t, s, func(tx *store.Tx) error {
		in, err := tx.RejectedIn(storedMessage(2, store.Out).Case)
		if err != nil || len(in) != 1 || in[0].Message != rejected || in[0].Desk != peer || in[0].Rule != "R09" {
			t.Errorf("rejected in the case: %+v, %v", in, err)
		}
		if in, err = tx.RejectedIn(message.CaseRef{255}); err != nil || len(in) != 0 {
			t.Errorf("rejected in another case: %+v, %v", in, err)
		}
		rs, err := tx.Recipients(h)
		if r := rs[0]; r.State != store.Acknowledged || !r.Opened.Equal(at(1)) || !r.Delivered.Equal(at(2)) || r.AcknowledgedBy != "Noor de Vries" || r.AckMessage != (message.Hash{7}) {
			t.Errorf("recipient %+v", r)
		}
		if err != nil {
			return err
		}
		rs, err = tx.Recipients(rejected)
		if r := rs[0]; r.State != store.Rejected || r.Rule != "R09" || !r.Opened.Equal(at(2)) {
			t.Errorf("a late positive changed a recorded negative: %+v", r)
		}
		return err
	})
}

func TestUnconfirmed(t *testing.T) {
	s := outbox(t, 4) // deadlines in an hour
	update(t, s, func(tx *store.Tx) error {
		if err := tx.SetAcknowledged(storedMessage(1, store.Out).Hash, store.Acknowledgement{Desk: peer, At: now}); err != nil {
			return err
		}
		return tx.SetRecipient(storedMessage(2, store.Out).Hash, peer, store.Rejected, now, "R01")
	})
	view(t, s, func(tx *store.Tx) error {
		early, err := tx.Unconfirmed(now.Add(59 * time.Minute))
		if err != nil || len(early) != 0 {
			t.Errorf("overdue early: %v, %v", early, err)
		}
		late, err := tx.Unconfirmed(now.Add(time.Hour))
		if err != nil || len(late) != 2 || late[0].Message != storedMessage(3, store.Out).Hash {
			t.Errorf("overdue: %v, %v", late, err)
		}
		return nil
	})
}

// Counters follow each other without a hole: one that was taken in a transaction
// that was undone, and so never sent, is given out again.
func TestCounters(t *testing.T) {
	p := newPlace(t)
	s := p.create(t)
	next := func(fail error) (n uint64) {
		err := s.Update(t.Context(), func(tx *store.Tx) (err error) {
			if n, err = tx.NextCounter(peer); err != nil {
				return err
			}
			return fail
		})
		if !errors.Is(err, fail) {
			t.Fatal(err)
		}
		return n
	}
	undo := errors.New("undo")
	got := []uint64{next(nil), next(undo), next(nil)}
	s.Close()
	s = p.open(t)
	got = append(got, next(nil))
	if fmt.Sprint(got) != "[1 2 2 3]" {
		t.Errorf("counters %v", got)
	}
	update(t, s, func(tx *store.Tx) error {
		n, err := tx.NextStatementNumber(peer)
		m, err2 := tx.NextCounter("vt20/other")
		if n != 1 || m != 1 {
			t.Errorf("statement number %d, counter of another desk %d", n, m)
		}
		return errors.Join(err, err2)
	})
}
