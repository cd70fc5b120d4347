//go:build linux

package system_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// perCase is how many messages go into one case: a list shows at most a thousand.
const perCase = 500

// sender is an application beside a sending daemon.
type sender struct {
	*device
	*history
	path  string
	n     int
	cases []string

	accepted atomic.Int64
}

func (c *chain) newSender(id identity.DeskID) *sender {
	path := c.kept("sent-" + string(id.Org()) + ".jsonl")
	return &sender{device: c.desks[id], history: newHistory(c.t, path), path: path}
}

// send tries to send the next message. A failure leaves open whether it was sent.
func (s *sender) send(ctx context.Context) error {
	if s.n%perCase == 0 {
		u, err := identity.NewUUIDv7(time.Now(), rand.Reader)
		if err != nil {
			return err
		}
		s.cases = append(s.cases, message.CaseRef(u).String())
	}
	s.n++
	body, err := numbered(s.desk, s.n)
	if err != nil {
		return err
	}
	s.add(record{Do: doAttempt, From: s.desk, N: s.n})
	sent, err := s.client.Send(ctx, schakel.Draft{
		Class: "adviesvraag", Urgency: message.Routine, To: []identity.DeskID{piket}, Body: body, Case: s.cases[len(s.cases)-1],
	})
	if err == nil {
		s.accepted.Add(1)
		s.add(record{Do: doAccept, From: s.desk, N: s.n, Hash: sent.Hash})
	}
	return err
}

// keepSending sends every pause, through every failure of its daemon, until ctx ends.
func (s *sender) keepSending(ctx context.Context, pause time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = s.send(context.WithoutCancel(ctx)) // what is begun is finished
		}
	}
}

// numbered is the example of an adviesvraag with the sender and number in it.
func numbered(from identity.DeskID, n int) ([]byte, error) {
	e, err := protocol.V1().Example("adviesvraag")
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return nil, err
	}
	body["vraag"] = fmt.Sprintf("%s %d", from, n)
	return json.Marshal(body)
}

func numberOf(body []byte) (n int) {
	var b struct {
		Vraag string `json:"vraag"`
	}
	var from string
	if json.Unmarshal(body, &b) != nil {
		return 0
	}
	_, _ = fmt.Sscan(b.Vraag, &from, &n)
	return n
}

// recipient is the application beside the recipient's daemon.
type recipient struct {
	*device
	*history
	path string
	stop func()

	repeated atomic.Int64 // messages that it was told of again
}

// listen has the application note what its daemon tells it of.
func (c *chain) listen(id identity.DeskID) *recipient {
	path := c.kept("got-" + string(id.Org()) + ".jsonl")
	r := &recipient{device: c.desks[id], history: newHistory(c.t, path), path: path}
	events, cancel := r.client.Subscribe()
	var ended sync.WaitGroup
	ended.Go(func() {
		told := map[string]bool{}
		for e := range events {
			if e.Kind == schakel.EventReceived {
				if told[e.Message] {
					r.repeated.Add(1)
				}
				told[e.Message] = true
				r.add(record{Do: doReceive, From: identity.DeskID(e.Desk), Hash: e.Message})
			}
		}
	})
	r.stop = sync.OnceFunc(func() { cancel(); ended.Wait() })
	c.t.Cleanup(r.stop)
	return r
}

// list writes the whole inbox into the history, in order of arrival.
func (r *recipient) list(t testing.TB, known map[string]bool, cases []string) {
	t.Helper()
	for _, id := range cases {
		page := must[[]schakel.Summary](t)(r.client.List(t.Context(), schakel.Filter{Case: id, Limit: 1000}))
		slices.Reverse(page) // newest first, all of one urgency
		for _, s := range page {
			entry := record{Do: doList, From: s.From, Hash: s.Hash}
			if !known[s.Hash] { // sent by an attempt whose answer was lost
				letter := must[schakel.Letter](t)(r.client.Read(t.Context(), s.Hash))
				entry.N = numberOf(letter.Body)
			}
			r.add(entry)
		}
	}
}
