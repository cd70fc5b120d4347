package store_test

import (
	"errors"
	"testing"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
)

// What a desk has and was sent once more, to a restored device or needlessly, in an envelope
// that was refused, is due again; not while one is under way, nor once it is confirmed, nor what
// was given up and told nobody again.
func TestLostAgain(t *testing.T) {
	s, m := newStore(t), storedMessage(1, store.Out)
	lost := func() (n int) {
		view(t, s, func(tx *store.Tx) error {
			rs, err := tx.LostAgain(now, 10)
			n = len(rs)
			return err
		})
		return n
	}
	demand := func(when string, want int) {
		t.Helper()
		if got := lost(); got != want {
			t.Errorf("%s: %d, want %d", when, got, want)
		}
	}
	put := func(n uint64) func(tx *store.Tx) error {
		return func(tx *store.Tx) error { return tx.PutDelivery(storedDelivery(n, n, m.Hash, []byte("raw"))) }
	}
	retire := func(n uint64) func(tx *store.Tx) error {
		return func(tx *store.Tx) error { return tx.Retire(envelopeID(n), now) }
	}
	update(t, s, func(tx *store.Tx) error {
		_, err := tx.SaveMessage(m)
		return errors.Join(err, tx.AddRecipient(m.Hash, peer, now, now), put(1)(tx), tx.SetRecipient(m.Hash, peer, store.Acknowledged, now, ""))
	})
	update(t, s, retire(1))
	demand("refused, and its number is missing", 1)
	update(t, s, put(2))
	update(t, s, func(tx *store.Tx) error { return tx.ToldAgain(m.Hash, peer, identity.DeviceID{7}) })
	demand("under way", 0)
	update(t, s, retire(2))
	demand("refused", 1)
	update(t, s, put(3))
	demand("made once more", 0)
	update(t, s, retire(3))
	update(t, s, func(tx *store.Tx) error {
		_, _, err := tx.Confirmed(peer, []delivery.Received{{Device: self, Contiguous: 3}}, now)
		return err
	})
	demand("confirmed", 0)

	given := storedMessage(2, store.Out)
	update(t, s, func(tx *store.Tx) error {
		_, err := tx.SaveMessage(given)
		return errors.Join(err, tx.AddRecipient(given.Hash, peer, now, now), tx.PutDelivery(storedDelivery(4, 4, given.Hash, []byte("raw"))),
			tx.SetRecipient(given.Hash, peer, store.Failed, now, "expired"), tx.Retire(envelopeID(4), now))
	})
	demand("control: given up", 0)
}
