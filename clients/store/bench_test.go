package store_test

import (
	"encoding/binary"
	"testing"
	"time"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/message"
)

func BenchmarkSaveMessageAndPutDelivery(b *testing.B) {
	for name, size := range map[string]int{"1KiB": 1 << 10, "6KiB": 6 << 10, "64KiB": 64 << 10} {
		b.Run(name, func(b *testing.B) { benchmarkSend(b, size, 1) })
		b.Run(name+"/32 per transaction", func(b *testing.B) { benchmarkSend(b, size, 32) })
	}
}

// benchmarkSend does what sending one message to one desk does in the store.
func benchmarkSend(b *testing.B, size, perTx int) {
	s := newStore(b)
	body := make([]byte, size)
	var n uint64
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		err := s.Update(b.Context(), func(tx *store.Tx) error {
			for range perTx {
				n++
				if err := sendOne(tx, n, body); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
}

func sendOne(tx *store.Tx, n uint64, body []byte) error {
	m := storedMessage(n, store.Out)
	m.Raw = body
	if _, err := tx.SaveMessage(m); err != nil {
		return err
	}
	if err := tx.AddRecipient(m.Hash, peer, now, now.Add(time.Hour)); err != nil {
		return err
	}
	counter, err := tx.NextCounter(peer)
	if err != nil {
		return err
	}
	return tx.PutDelivery(storedDelivery(n, counter, m.Hash, body))
}

func BenchmarkArrivedAndSaved(b *testing.B) {
	s := newStore(b)
	var n uint64
	b.ReportAllocs()
	for b.Loop() {
		n++
		err := s.Update(b.Context(), func(tx *store.Tx) error {
			m := storedMessage(n, store.In)
			if _, err := tx.Arrived(store.Arrival{Device: device(1), Desk: peer, Counter: n, Envelope: envelopeID(n), Digest: [32]byte(m.Hash), At: now}); err != nil {
				return err
			}
			_, err := tx.SaveMessage(m)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func storedMessage(n uint64, d store.Direction) store.Message {
	var h message.Hash
	binary.BigEndian.PutUint64(h[:], n)
	h[31] = 1
	id := message.ID{15: 7}
	binary.BigEndian.PutUint64(id[:], n)
	return store.Message{Hash: h, ID: id, Case: caseOf(n % 8), Direction: d, Class: "melding", Urgency: message.Routine, Peer: peer,
		Created: now, Received: now, Raw: []byte("body of a message")}
}

func storedDelivery(n, counter uint64, h message.Hash, raw []byte) store.Delivery {
	return store.Delivery{Envelope: envelopeID(n), Kind: delivery.KindMessage, Message: h, Desk: peer, Counter: counter, Sealer: self,
		Created: now, Expires: now.Add(7 * 24 * time.Hour), Tier: 1, Raw: raw}
}
