package store_test

import (
	"encoding/binary"
	"fmt"
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

// BenchmarkOpen opens stores with more and more rows: opening counts every seal.
func BenchmarkOpen(b *testing.B) {
	for _, rows := range []int{100, 10_000, 50_000} {
		b.Run(fmt.Sprint(rows, " rows"), func(b *testing.B) {
			p := newPlace(b)
			s := p.create(b)
			for n := 0; n < rows; n += 500 {
				update(b, s, func(tx *store.Tx) error {
					for i := range uint64(min(500, rows)) {
						if _, err := tx.SaveMessage(storedMessage(uint64(n)+i+1, store.In)); err != nil {
							return err
						}
					}
					return nil
				})
			}
			s.Close()
			for b.Loop() {
				p.open(b).Close()
			}
		})
	}
}

func BenchmarkOffersOf100(b *testing.B) {
	s := newStore(b)
	update(b, s, func(tx *store.Tx) error {
		for n := range uint64(10_000) {
			if err := sendOne(tx, n+1, make([]byte, 6<<10)); err != nil {
				return err
			}
		}
		return nil
	})
	var after uint64
	for b.Loop() {
		view(b, s, func(tx *store.Tx) error {
			page, err := tx.Offers([16]byte{1}, now, after, 100)
			if len(page) > 0 {
				after = page[len(page)-1].Seq
			} else {
				after = 0
			}
			return err
		})
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}

func BenchmarkNothingUndelivered(b *testing.B) {
	s := newStore(b)
	update(b, s, func(tx *store.Tx) error {
		for n := range uint64(10_000) {
			if err := sendOne(tx, n+1, []byte("x")); err != nil {
				return err
			}
		}
		return nil
	})
	for b.Loop() {
		view(b, s, func(tx *store.Tx) error {
			_, err := tx.Undelivered(now, 256)
			return err
		})
	}
}
