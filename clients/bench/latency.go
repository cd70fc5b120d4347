package bench

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"schakel/crypto/envelope"
	"schakel/relay/wire"
)

// latency starts messages on a clock and measures from when each was due, not from
// when there was room to send it: otherwise a stall would hide itself.
func (ch *chain) latency(ctx context.Context) (l Latency, err error) {
	l.Rate = ch.Rate
	each := max(ch.Rate*ch.Seconds/len(ch.senders), 1)
	loads, err := ch.load(each)
	if err != nil {
		return l, err
	}
	if err := ch.connectAll(ctx, ch.senders, ch.receivers); err != nil {
		return l, err
	}
	w := &stopwatch{due: map[envelope.ID]time.Time{}}
	began := time.Now().Add(100 * time.Millisecond)
	gap := time.Duration(float64(time.Second) * float64(len(ch.senders)) / float64(ch.Rate))
	at := func(i, k int) time.Time {
		return began.Add(time.Duration(k)*gap + time.Duration(i)*gap/time.Duration(len(ch.senders)))
	}
	for i := range ch.senders {
		for k, raw := range loads[i] {
			e, err := envelope.Parse(raw)
			if err != nil {
				return l, err
			}
			w.due[e.Header.ID] = at(i, k)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for i := range ch.senders {
		g.Go(func() error { return ch.senders[i].onTime(ctx, loads[i], func(k int) time.Time { return at(i, k) }) })
		g.Go(func() error {
			return ch.senders[i].answers(ctx, each, make(chan struct{}, each), func(id envelope.ID) { w.note(id, &w.stored) })
		})
		g.Go(func() error {
			return ch.receivers[i].receive(ctx, each, func(raw []byte) {
				if e, err := envelope.Parse(raw); err == nil {
					w.note(e.Header.ID, &w.delivered)
				}
			})
		})
	}
	if err := g.Wait(); err != nil {
		return l, err
	}
	l.Stored50, l.Stored99 = percentile(w.stored, 50), percentile(w.stored, 99)
	l.Deliver50, l.Deliver99 = percentile(w.delivered, 50), percentile(w.delivered, 99)
	return l, nil
}

// onTime sends each envelope when it is due, together with those that are late.
func (d *device) onTime(ctx context.Context, raws [][]byte, at func(int) time.Time) error {
	for i := 0; i < len(raws); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(at(i))):
		}
		var batch []wire.Frame
		for now := time.Now(); i < len(raws) && !at(i).After(now); i++ {
			batch = append(batch, wire.Put{Envelope: raws[i]})
		}
		if err := d.conn.Write(ctx, batch...); err != nil {
			return err
		}
	}
	return nil
}

// percentile is in milliseconds.
func percentile(ds []time.Duration, p int) float64 {
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return float64(ds[(len(ds)-1)*p/100].Microseconds()) / 1000
}
