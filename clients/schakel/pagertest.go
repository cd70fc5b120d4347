package schakel

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/relay/page"
	"schakel/relay/rota"
	"schakel/relay/wire"
)

// TestPage asks for a page that says it is a test.
type TestPage struct {
	Who   string `json:"who"`             // contact, identifier or name of the roster
	Relay bool   `json:"relay,omitempty"` // by the relay, too: as at night when no device here is on
}

// Tested is what became of a test page through one channel.
type Tested struct {
	By      string       `json:"by"` // "device" or "relay"
	Contact string       `json:"contact"`
	Channel string       `json:"channel,omitempty"` // empty: none could be told apart
	Outcome page.Outcome `json:"outcome"`
}

// ErrNoChannels says that this device pages nobody.
var ErrNoChannels = fmt.Errorf("this device has no pager: see pager in its settings")

// TestPages pages one person of the roster through every channel that this device has
// for them, and asks the relay to do the same.
func (n *Node) TestPages(ctx context.Context, t TestPage) ([]Tested, error) {
	r, err := n.Roster(ctx)
	if err != nil {
		return nil, err
	}
	who, err := r.Find(t.Who)
	if err != nil {
		return nil, err
	}
	out, err := n.testHere(ctx, r.Points(who), who)
	if err != nil || !t.Relay {
		return out, err
	}
	there, err := n.testThere(ctx, who)
	return append(out, there...), err
}

func (n *Node) testHere(ctx context.Context, points []rota.Point, who rota.Contact) (out []Tested, err error) {
	if n.channels == nil {
		return nil, ErrNoChannels
	}
	now := n.now()
	r := round{now: now}
	if err := n.store.View(ctx, func(tx *store.Tx) (err error) { r.key, err = n.pageKey(tx); return err }); err != nil {
		return nil, err
	}
	if r.fresh = r.key == nil; r.fresh {
		r.key = make([]byte, 32)
		rand.Read(r.key)
	}
	subject := now.UTC().Format(time.RFC3339)
	pg := page.Page{Test: true, Reference: page.Reference(r.key, []byte(subject))}
	for _, pt := range n.points(points, who) {
		r.errands = append(r.errands, errand{contact: who, point: pt, page: pg, row: store.Paged{
			Kind: string(callTest), Subject: subject, Reference: pg.Reference, Contact: string(who), Channel: pt.Channel, At: now}})
	}
	if err := n.update(ctx, func(tx *store.Tx) error { return r.begin(tx, n.dev.ID) }); err != nil {
		return nil, err
	}
	r.call(ctx, n.channels)
	in := &intake{n: n, now: now}
	err = n.update(context.WithoutCancel(ctx), func(tx *store.Tx) error { in.tx = tx; return r.finish(in) })
	for _, e := range r.errands {
		out = append(out, Tested{By: "device", Contact: string(who), Channel: e.point.Channel, Outcome: e.outcome})
	}
	return out, err
}

// relayPatience is how long the relay gets to try its channels.
const relayPatience = 30 * time.Second

func (n *Node) testThere(ctx context.Context, who rota.Contact) ([]Tested, error) {
	f, err := ask[wire.TestPageIs](ctx, n, func(tag uint64) wire.Frame { return wire.TestPage{Tag: tag, Contact: string(who)} })
	if err != nil {
		return nil, err
	}
	outcome := page.Sent
	if f.Code != wire.CodeOK {
		outcome = page.Refused
		n.log.Warn("relay did not page for a test", "code", f.Code)
	}
	return []Tested{{By: "relay", Contact: string(who), Outcome: outcome}}, nil
}

// RelayPages returns the pages that the relay says it sent for this desk, the newest
// first. It is the relay's word, and its log is not longer than it likes.
func (n *Node) RelayPages(ctx context.Context) (out []Page, err error) {
	r, err := n.rosterOrNone(ctx)
	if err != nil {
		return nil, err
	}
	for since := uint64(0); len(out) < maxList; {
		f, err := ask[wire.PagesAre](ctx, n, func(tag uint64) wire.Frame { return wire.WantPages{Tag: tag, Since: since} })
		if err != nil {
			return nil, err
		}
		for _, p := range f.Pages {
			since = max(since, p.Number)
			out = append(out, Page{At: time.Unix(int64(min(p.At, envelope.MaxTime)), 0).UTC(), Why: "relay", Subject: p.ID.String(), Waiting: int(min(p.Waiting, 1<<16)),
				Tier: tierNames[min(p.Tier, envelope.TierAcute)], Rung: int(min(p.Step, 1<<16)) + 1, Contact: p.Contact, Name: nameIn(r, p.Contact),
				Channel: p.Channel, Reference: p.Reference, Outcome: page.Outcome(p.Outcome)})
		}
		if !f.More || len(f.Pages) == 0 {
			break
		}
	}
	slices.Reverse(out)
	return out, nil
}

// ask says a frame with a tag of its own, and waits for the frame that answers it.
func ask[F wire.Frame](ctx context.Context, n *Node, question func(tag uint64) wire.Frame) (answer F, err error) {
	s := n.live()
	if s == nil {
		return answer, ErrUnreachable
	}
	var b [8]byte
	rand.Read(b[:])
	tag := binary.BigEndian.Uint64(b[:]) >> 1
	heard := make(chan wire.Frame, 1)
	n.mu.Lock()
	n.asked[tag] = heard
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.asked, tag)
		n.mu.Unlock()
	}()
	if err := s.say(ctx, question(tag)); err != nil {
		return answer, err
	}
	patience := time.NewTimer(relayPatience)
	defer patience.Stop()
	select {
	case f := <-heard:
		if a, ok := f.(F); ok {
			return a, nil
		}
		return answer, fmt.Errorf("%w: another answer", wire.ErrFrame)
	case <-s.gone:
		return answer, ErrUnreachable
	case <-patience.C:
		return answer, fmt.Errorf("%w: no answer about pages", ErrUnreachable)
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

// heard hands an answer to who asked. One that nobody asked for is dropped.
func (n *Node) heard(tag uint64, f wire.Frame) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ch, ok := n.asked[tag]; ok {
		select {
		case ch <- f:
		default:
		}
	}
}
