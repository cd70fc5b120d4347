package store_test

import (
	"errors"
	"testing"
	"time"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/message"
)

// Attack B05: an older statement, replayed, is refused, for each device by itself.
func TestB05OlderStatement(t *testing.T) {
	s := newStore(t)
	update(t, s, func(tx *store.Tx) error {
		for _, c := range []struct {
			device byte
			number uint64
			want   error
		}{{1, 4, nil}, {1, 4, store.ErrOlder}, {1, 3, store.ErrOlder}, {2, 1, nil}, {1, 5, nil}, {1, 1 << 62, store.ErrOlder}} {
			err := tx.SaveStatement(device(c.device), delivery.Statement{From: peer, Number: c.number, Next: uint64(now.Unix() + 3600)}, now)
			if !errors.Is(err, c.want) {
				t.Errorf("device %d, statement %d: %v, want %v", c.device, c.number, err, c.want)
			}
		}
		ps, err := tx.OpenPeers()
		if len(ps) != 1 || !ps[0].StatementIn.Equal(now) || !ps[0].NextDue.Equal(now.Add(time.Hour)) {
			t.Errorf("peers %+v", ps)
		}
		return err
	})
}

func pending(t *testing.T, tx *store.Tx) []delivery.Status {
	t.Helper()
	ss, err := tx.PendingStatuses(peer, 10)
	if err != nil {
		t.Fatal(err)
	}
	return ss
}

// A status is repeated until the peer has seen a statement that carried it as it
// is now, and its times never move.
func TestPendingStatuses(t *testing.T) {
	s := outbox(t, 0)
	status := func(h byte, opened uint64) delivery.Status {
		return delivery.Status{Message: message.Hash{h}, Received: 100, Opened: opened}
	}
	seen := func(number uint64, want int) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			_, _, err := tx.Confirmed(peer, []delivery.Received{{Device: self, Stated: number}}, now)
			if got := len(pending(t, tx)); got != want {
				t.Errorf("statement %d seen: %d pending, want %d", number, got, want)
			}
			return err
		})
	}
	state := func(number uint64) {
		update(t, s, func(tx *store.Tx) error { return tx.StatementSent(peer, number, pending(t, tx), now) })
	}
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.SetStatus(peer, status(2, 0)), tx.SetStatus(peer, status(1, 0)))
	})
	seen(9, 2) // of statements that carried nothing yet
	state(10)
	update(t, s, func(tx *store.Tx) error { return tx.SetStatus(peer, status(2, 200)) })
	seen(9, 2)
	seen(10, 1) // the one that changed since stays
	state(11)
	update(t, s, func(tx *store.Tx) error {
		later := status(2, 999)
		later.Received, later.Rejected, later.Rule = 999, 300, "R09"
		return tx.SetStatus(peer, later)
	})
	view(t, s, func(tx *store.Tx) error {
		if got := pending(t, tx); len(got) != 1 || got[0] != (delivery.Status{Message: message.Hash{2}, Received: 100, Opened: 200, Rejected: 300, Rule: "R09"}) {
			t.Errorf("pending %+v", got)
		}
		return nil
	})
	seen(11, 1)
	state(12)
	seen(15, 0)
}

func TestPendingStatusesOrder(t *testing.T) {
	s := newStore(t)
	for _, h := range []byte{9, 5, 7} {
		update(t, s, func(tx *store.Tx) error {
			return tx.SetStatus(peer, delivery.Status{Message: message.Hash{h}, Received: 1})
		})
	}
	view(t, s, func(tx *store.Tx) error {
		ss, err := tx.PendingStatuses(peer, 2)
		if len(ss) != 2 || ss[0].Message[0] != 5 || ss[1].Message[0] != 9 {
			t.Errorf("%v: want the two longest waiting, sorted by message", ss)
		}
		return err
	})
}

func TestPeers(t *testing.T) {
	s := outbox(t, 1)
	update(t, s, func(tx *store.Tx) error {
		arrive(t, tx, fromStart(1), store.Fresh)
		if err := tx.StatementSent(peer, 1, nil, now.Add(time.Minute)); err != nil {
			return err
		}
		if err := tx.StatementSent(peer, 2, nil, now); err != nil { // an older time moves nothing back
			return err
		}
		ps, err := tx.OpenPeers()
		if err != nil || len(ps) != 1 || !ps[0].StatementOut.Equal(now.Add(time.Minute)) || !ps[0].LastOut.Equal(now) || !ps[0].LastIn.Equal(now.Add(time.Second)) {
			t.Errorf("peers %+v, %v", ps, err)
		}
		ds, err := tx.PeerDevices(peer)
		if err != nil || len(ds) != 1 || ds[0] != device(9) {
			t.Errorf("devices %v, %v", ds, err)
		}
		if err := tx.ClosePeer(peer); err != nil {
			return err
		}
		ps, err = tx.OpenPeers()
		if len(ps) != 0 {
			t.Errorf("closed: %+v", ps)
		}
		return err
	})
}
