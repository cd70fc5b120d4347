package web_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

const manyMessages = 10_000

// fill puts ten thousand messages into the store of the office, in a thousand cases, a
// tenth of them unread.
func fill(b *testing.B, o *webtest.Office, raw []byte) {
	b.Helper()
	for done := 0; done < manyMessages; done += 1000 {
		err := o.Member.Store().Update(b.Context(), func(tx *store.Tx) error {
			for i := range 1000 {
				m := store.Message{Case: message.CaseRef{byte(i >> 8), byte(i), 1}, Direction: store.In, Class: "signaal", Urgency: message.Routine,
					Peer: "arts/praktijk", Created: time.Now(), Received: time.Now(), Raw: bytes.Clone(raw)}
				_, _ = rand.Read(m.Hash[:])
				id, err := identity.NewUUIDv7(time.Now(), rand.Reader)
				if err != nil {
					return err
				}
				m.ID = id
				if _, err := tx.SaveMessage(m); err != nil {
					return err
				}
				if i%10 == 0 {
					continue
				}
				if err := tx.SetOpened(m.Hash, time.Now(), identity.PersonID{}); err != nil {
					return err
				}
				if err := tx.SetAcknowledged(m.Hash, store.Acknowledgement{Desk: o.Member.Desk, At: time.Now(), Person: "P. Iket"}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInbox is the inbox among ten thousand messages: the whole page over HTTP, and
// beside it the bare lists of the node that it shows.
func BenchmarkInbox(b *testing.B) {
	o := webtest.Open(b, webtest.Options{})
	fill(b, o, make([]byte, 2000))
	user := o.User("P. Iket", desk.RoleCaseWorker)
	for _, path := range []string{"/inbox", "/inbox?part=all&from=5000"} {
		b.Run(fmt.Sprintf("page %s", path), func(b *testing.B) {
			for b.Loop() {
				if a := user.Get(path); a.Status != http.StatusOK {
					b.Fatal(a.Status)
				}
			}
		})
	}
	for name, f := range map[string]schakel.Filter{"waits for us": {ToAck: true}, "unread": {Unread: true}, "sent": {Box: "sent"}, "all": {}} {
		b.Run("bare list, "+name, func(b *testing.B) {
			f.Limit = 51
			for b.Loop() {
				if _, err := o.Member.Node.List(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSearch is a search among ten thousand messages: the whole page over HTTP, the
// node's answer, and beside them the bare query that lists as many of the same rows.
func BenchmarkSearch(b *testing.B) {
	o := webtest.Open(b, webtest.Options{})
	hash, raw := o.Report(nil), []byte(nil)
	err := o.Member.Store().View(b.Context(), func(tx *store.Tx) error {
		m, err := tx.FindMessage(hash)
		raw = m.Raw
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	fill(b, o, raw)
	user := o.User("P. Iket", desk.RoleCaseWorker)
	began := time.Now()
	user.Get(lookFor("fietslampje")) // makes the index
	b.Logf("first search: %s", time.Since(began))
	for _, words := range []string{"fietslampje", "leerling mentor", "niemand"} {
		b.Run("page "+words, func(b *testing.B) {
			for b.Loop() {
				if a := user.Get(lookFor(words)); a.Status != http.StatusOK {
					b.Fatal(a.Status)
				}
			}
		})
		b.Run("node "+words, func(b *testing.B) {
			for b.Loop() {
				if _, err := o.Member.Node.Search(b.Context(), schakel.Search{Words: words, Limit: 50}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("bare query", func(b *testing.B) {
		for b.Loop() {
			err := o.Member.Store().View(b.Context(), func(tx *store.Tx) error {
				_, err := tx.Messages(store.Query{Limit: 50})
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
