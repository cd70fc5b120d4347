package web_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/api"
	"schakel/clients/desk/once"
	"schakel/clients/desk/rights"
	"schakel/clients/desk/token"
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

// way is one way to the same rows.
type way struct {
	name string
	does func() error
}

// beside goes all ways in turn, so that whatever else this machine does hits each alike, and
// says the median of each and how many times that of the first, the bare query, it is.
func beside(b *testing.B, ways ...way) {
	b.Helper()
	took := make([][]time.Duration, len(ways))
	for b.Loop() {
		for i, w := range ways {
			began := time.Now()
			if err := w.does(); err != nil {
				b.Fatalf("%s: %v", w.name, err)
			}
			took[i] = append(took[i], time.Since(began))
		}
	}
	var bare float64
	for i, w := range ways {
		slices.Sort(took[i])
		median := float64(took[i][len(took[i])/2]) / float64(time.Millisecond)
		if i == 0 {
			bare = median
		}
		b.Logf("%-32s median %8.2f ms %6.1f times the bare query", w.name, median, median/bare)
	}
	b.ReportMetric(0, "ns/op") // of all ways together: of no use
}

// places are the web desk and the API of one office, each on a port.
type places struct {
	*webtest.Office
	user    *webtest.Browser
	program string // what a program says to be let in
	api     string
}

func open(b *testing.B) places {
	b.Helper()
	o := webtest.Open(b, webtest.Options{})
	tokens := token.New(token.Config{Store: o.Member.Store(), People: o.Member.Node, Now: o.Chain.Now})
	added, err := tokens.AddToken(b.Context(), desk.TokenRequest{Name: "meten", Roles: desk.Roles(), Scopes: rights.Scopes(), Expires: o.Chain.Now().Add(24 * time.Hour)})
	fine(b, err)
	site, err := api.New(api.Config{Node: o.Member.Node, Tokens: tokens, Answers: once.New(o.Member.Store(), o.Chain.Now), Now: o.Chain.Now})
	fine(b, err)
	server := httptest.NewServer(site)
	b.Cleanup(server.Close)
	return places{Office: o, user: o.User("P. Iket", desk.RoleCaseWorker), program: "Bearer " + added.Secret, api: server.URL}
}

func fine(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// page is a whole page of the web desk over HTTP.
func (p places) page(path string) way {
	return way{"page " + path, func() error {
		if a := p.user.Get(path); a.Status != http.StatusOK {
			return fmt.Errorf("status %d", a.Status)
		}
		return nil
	}}
}

// asks is a request of a program.
func (p places) asks(method, path, body string) way {
	return way{"API " + path, func() error {
		r, err := http.NewRequest(method, p.api+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", p.program)
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d, %w", resp.StatusCode, err)
		}
		return nil
	}}
}

// bare is nothing but the queries of the store for those rows.
func (p places) bare(b *testing.B, queries ...store.Query) way {
	return way{"bare query", func() error {
		return p.Member.Store().View(b.Context(), func(tx *store.Tx) error {
			for _, q := range queries {
				if _, err := tx.Messages(q); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

func (p places) lists(b *testing.B, filters ...schakel.Filter) way {
	return way{"node", func() error {
		for _, f := range filters {
			if _, err := p.Member.Node.List(b.Context(), f); err != nil {
				return err
			}
		}
		return nil
	}}
}

// BenchmarkInbox is the inbox among ten thousand messages, a tenth of them unread: the front
// page with its four lists, the whole page far down in the list of all, and a page of the API.
func BenchmarkInbox(b *testing.B) {
	p := open(b)
	fill(b, p.Office, make([]byte, 2000))
	b.Cleanup(http.DefaultClient.CloseIdleConnections)
	in := store.Query{Direction: store.In, Order: store.Urgent, Live: true, Limit: 51}
	due, unread, sent, deep := in, in, in, in
	due.Unacknowledged, unread.Unread, sent.Direction, sent.Limit, deep.Offset = true, true, store.Out, 1000, 5000
	b.Run("front", func(b *testing.B) {
		beside(b, p.bare(b, due, unread, sent, in), p.lists(b, schakel.Filter{ToAck: true, Limit: 51}, schakel.Filter{Unread: true, Limit: 51}, schakel.Filter{Box: "sent", Limit: 1000}, schakel.Filter{Limit: 51}), p.page("/inbox"))
	})
	b.Run("from 5000", func(b *testing.B) {
		beside(b, p.bare(b, deep), p.lists(b, schakel.Filter{Limit: 51, Offset: 5000}), p.page("/inbox?part=all&from=5000"))
	})
	b.Run("API", func(b *testing.B) {
		beside(b, p.bare(b, in), p.lists(b, schakel.Filter{Limit: 51}), p.asks("GET", "/v1/messages?limit=50", ""))
	})
}

// BenchmarkSearch is a search among ten thousand messages of a full form: words that stand in
// all of them, one that stands in none, and beside them the bare query that lists as many rows.
func BenchmarkSearch(b *testing.B) {
	p := open(b)
	hash, raw := p.Report(nil), []byte(nil)
	fine(b, p.Member.Store().View(b.Context(), func(tx *store.Tx) error {
		m, err := tx.FindMessage(hash)
		raw = m.Raw
		return err
	}))
	fill(b, p.Office, raw)
	b.Cleanup(http.DefaultClient.CloseIdleConnections)
	began := time.Now()
	p.user.Get(lookFor("fietslampje")) // makes the index
	b.Logf("first search, which makes the index: %s", time.Since(began).Round(time.Millisecond))
	for _, words := range []string{"fietslampje", "leerling mentor", "niemand"} {
		b.Run(words, func(b *testing.B) {
			beside(b, p.bare(b, store.Query{Limit: 50}), way{"node", func() error {
				_, err := p.Member.Node.Search(b.Context(), schakel.Search{Words: words, Limit: 50})
				return err
			}}, p.page(lookFor(words)), p.asks("POST", "/v1/searches", `{"words":"`+words+`","limit":50}`))
		})
	}
}
