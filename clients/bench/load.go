package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// envelopes makes n envelopes from one device to another before the clock starts.
// Their sealed part is random: the relay cannot tell, and must not. Their ids tell the
// time as if each were made when it is sent: a store keeps what comes in that order
// together, and a crowd of ids of one millisecond would be a load that no device makes.
func envelopes(from, to *device, n, size int) ([][]byte, error) {
	body := make([]byte, size)
	rand.Read(body)
	out := make([][]byte, n)
	now := time.Now()
	for i := range out {
		id, err := identity.NewUUIDv7(now.Add(time.Duration(i)*perEnvelope), rand.Reader)
		if err != nil {
			return nil, err
		}
		prefix, err := envelope.Header{
			Version: 1, ID: envelope.ID(id), Sealer: from.keys.ID, Desk: to.desk,
			Targets: []envelope.Target{{Device: to.keys.ID, Epoch: 1}},
			Created: uint64(now.Unix()), Expires: uint64(now.Add(24 * time.Hour).Unix()), AgeLength: uint64(size), Tier: envelope.TierRoutine,
			Attended: body[:32],
		}.Prefix()
		if err != nil {
			return nil, err
		}
		out[i] = append(prefix, body...)
	}
	return out, nil
}

// perEnvelope is how far apart the envelopes of one device are made.
const perEnvelope = 500 * time.Microsecond

// send puts envelopes and keeps at most inFlight of them unanswered. stored is told
// of every answer.
func (d *device) send(ctx context.Context, raws [][]byte, inFlight int, stored func(envelope.ID)) error {
	free := make(chan struct{}, inFlight)
	for range inFlight {
		free <- struct{}{}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.answers(ctx, len(raws), free, stored) })
	g.Go(func() error {
		for i := 0; i < len(raws); {
			batch := []wire.Frame{}
			select {
			case <-free:
			case <-ctx.Done():
				return ctx.Err()
			}
			batch = append(batch, wire.Put{Envelope: raws[i]})
			i++
			for more := true; more && i < len(raws); {
				select {
				case <-free:
					batch = append(batch, wire.Put{Envelope: raws[i]})
					i++
				default:
					more = false
				}
			}
			if err := d.conn.Write(ctx, batch...); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

func (d *device) answers(ctx context.Context, want int, free chan<- struct{}, stored func(envelope.ID)) error {
	for want > 0 {
		frames, err := d.conn.ReadFrames(ctx)
		if err != nil {
			return err
		}
		for _, f := range frames {
			switch f := f.(type) {
			case wire.Stored:
				for _, leaf := range f.Leaves {
					stored(leaf.ID)
					want--
					free <- struct{}{}
				}
			case wire.Refused:
				return fmt.Errorf("relay refused an envelope: %s", f.Code)
			}
		}
	}
	return nil
}

// receive takes want envelopes and acknowledges them as they come.
func (d *device) receive(ctx context.Context, want int, arrived func(raw []byte)) error {
	if err := d.conn.Write(ctx, wire.Credit{Messages: 4096, Bytes: 64 << 20}); err != nil {
		return err
	}
	for want > 0 {
		frames, err := d.conn.ReadFrames(ctx)
		if err != nil {
			return err
		}
		var last uint64
		var n, size uint32
		for _, f := range frames {
			if f, ok := f.(wire.Deliver); ok {
				arrived(f.Envelope)
				last, n, size = f.Position, n+1, size+uint32(len(f.Envelope))
			}
		}
		if n == 0 {
			continue
		}
		want -= int(n)
		if err := d.conn.Write(ctx, wire.Ack{Position: last}, wire.Credit{Messages: n, Bytes: size}); err != nil {
			return err
		}
	}
	return nil
}

// connectAll connects senders, receivers or both.
func (ch *chain) connectAll(ctx context.Context, groups ...[]*device) error {
	for _, g := range groups {
		for _, d := range g {
			d.hangUp()
			if err := ch.connect(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (ch *chain) load(n int) ([][][]byte, error) {
	loads := make([][][]byte, len(ch.senders))
	var err error
	for i := range loads {
		var e error
		loads[i], e = envelopes(ch.senders[i], ch.receivers[i], n, ch.Size)
		err = errors.Join(err, e)
	}
	return loads, err
}

func ignore(envelope.ID) {}

func (ch *chain) throughput(ctx context.Context) (t Throughput, err error) {
	each := ch.Messages / len(ch.senders)
	loads, err := ch.load(each)
	if err != nil {
		return t, err
	}
	if err := ch.connectAll(ctx, ch.senders, ch.receivers); err != nil {
		return t, err
	}
	before, storeBefore := processOf(ch.relay.PID()), ch.usageOfRedis()
	began := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	for i := range ch.senders {
		g.Go(func() error { return ch.senders[i].send(gctx, loads[i], ch.InFlight, ignore) })
		g.Go(func() error { return ch.receivers[i].receive(gctx, each, func([]byte) {}) })
	}
	if err := g.Wait(); err != nil {
		return t, err
	}
	took := time.Since(began)
	after, storeAfter := processOf(ch.relay.PID()), ch.usageOfRedis()
	n := each * len(ch.senders)
	return Throughput{
		Messages: n, PerSecond: float64(n) / took.Seconds(), RelayRSS: after.resident,
		RelayCPU: float64((after.cpu - before.cpu).Microseconds()) / float64(n),
		RedisCPU: float64((storeAfter.cpu - storeBefore.cpu).Microseconds()) / float64(n),
	}, nil
}

// usageOfRedis is zero where mailboxes are in a file.
func (ch *chain) usageOfRedis() (u usage) {
	if ch.redis != nil {
		u = processOf(ch.redis.PID())
	}
	return u
}

func (ch *chain) backlog(ctx context.Context) (b Backlog, err error) {
	each := ch.Messages / len(ch.senders)
	loads, err := ch.load(each)
	if err != nil {
		return b, err
	}
	for _, d := range ch.receivers {
		d.hangUp()
	}
	if err := ch.connectAll(ctx, ch.senders); err != nil {
		return b, err
	}
	b.Messages = each * len(ch.senders)
	b.InPerSecond, err = ch.together(ctx, b.Messages, func(ctx context.Context, i int) error {
		return ch.senders[i].send(ctx, loads[i], ch.InFlight, ignore)
	})
	if err != nil {
		return b, err
	}
	if err := ch.connectAll(ctx, ch.receivers); err != nil {
		return b, err
	}
	b.OutPerSecond, err = ch.together(ctx, b.Messages, func(ctx context.Context, i int) error {
		return ch.receivers[i].receive(ctx, each, func([]byte) {})
	})
	return b, err
}

func (ch *chain) together(ctx context.Context, n int, one func(context.Context, int) error) (perSecond float64, err error) {
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for i := range ch.senders {
		g.Go(func() error { return one(ctx, i) })
	}
	err = g.Wait()
	return float64(n) / time.Since(began).Seconds(), err
}

// stopwatch notes when each envelope was due, stored and delivered.
type stopwatch struct {
	mu        sync.Mutex
	due       map[envelope.ID]time.Time
	stored    []time.Duration
	delivered []time.Duration
}

func (w *stopwatch) note(id envelope.ID, into *[]time.Duration) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	*into = append(*into, now.Sub(w.due[id]))
}
