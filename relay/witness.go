package relay

import (
	"context"
	"errors"
	"slices"
	"time"

	"schakel/crypto/trust"
	"schakel/relay/register"
	"schakel/relay/wire"
)

// witness is a session whose device announced a witness. A question is open until it
// is answered or its time is over: an honest witness signs one size after the other.
type witness struct {
	name   string    // in the root; empty: this session announced none
	signed uint64    // the size that it signed last, as it says
	asked  uint64    // the size asked for last
	open   time.Time // until when the answer to that is waited for; zero: it is answered
	again  time.Time // when to ask again though nothing grew
}

// answerTime is how long a witness may think before it is asked again.
const answerTime = time.Minute

// cosigned takes a witness's word. What it signed is verified; what it says about
// itself decides only which proof it is shown. A line that nobody asked for is
// dropped, or a witness could keep the disk busy.
func (s *session) cosigned(f wire.Cosigned) error {
	now := s.relay.config.Now()
	if !s.meter.asks.AllowN(now, 1) {
		return errAsks
	}
	s.mu.Lock()
	w := &s.shared.witness
	asked := !w.open.IsZero() && len(f.Line) > 0 && f.Size == w.asked && f.Witness == w.name
	if w.name != f.Witness || w.signed != f.Size && len(f.Line) == 0 {
		w.asked = 0 // another proof may convince it
	}
	w.name, w.signed, w.open = f.Witness, f.Size, time.Time{}
	s.shared.cosign = true
	s.mu.Unlock()
	signal(s.wake)
	switch {
	case asked:
		s.takeCosignature(f, now)
	case len(f.Line) == 0:
		s.log.Info("witness", "signed", f.Size)
	}
	return nil
}

func (s *session) takeCosignature(f wire.Cosigned, now time.Time) {
	result := "ok"
	if err := s.relay.config.Register.Cosign(f.Size, f.Line, now); err != nil {
		result = "refused"
		s.log.Warn("a witness's cosignature does not count", "size", f.Size, "error", err.Error())
		if errors.Is(err, register.ErrFailed) {
			s.relay.fail(err)
		}
	}
	signal(s.relay.cosigned)
	s.relay.metrics.cosignatures.WithLabelValues(result).Inc()
}

// askWitness adds the question to a session's witness that is due, if one is.
func (s *session) askWitness(frames []wire.Frame) []wire.Frame {
	log, now := s.relay.config.Register, s.relay.config.Now()
	p, wanted := log.ToCosign()
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &s.shared.witness
	if !wanted || w.name == "" || now.Before(w.open) || w.asked == p.Size && now.Before(w.again) {
		return frames
	}
	named, _ := log.Witnesses()
	if !slices.ContainsFunc(named, func(v trust.VKey) bool { return v.Name == w.name }) {
		return frames
	}
	ask := wire.Cosign{Checkpoint: p.Note, From: w.signed}
	if w.signed > p.Size {
		s.log.Error("a witness has signed a larger register than this relay has: was an old backup restored?", "signed", w.signed, "size", p.Size)
		w.asked, w.again = p.Size, now.Add(s.relay.config.Limits.Cosign)
		return frames
	}
	if w.signed >= 1 && w.signed < p.Size {
		proof, err := log.Proof(w.signed, p.Size)
		if err != nil {
			s.log.Error("no proof for a witness", "error", err.Error())
			return frames
		}
		ask.Proof = proof
	}
	w.asked, w.open, w.again = p.Size, now.Add(answerTime), now.Add(s.relay.config.Limits.Cosign)
	return append(frames, ask)
}

// cosign asks witnesses whenever the register grew, and now and then because their
// word ages, and tells the devices when the register they may use has become larger
// or much fresher.
func (r *Relay) cosign(ctx context.Context) {
	var told time.Time
	known := uint64(0)
	tick := time.NewTicker(max(r.config.Limits.Cosign/10, time.Second))
	defer tick.Stop()
	for {
		grown := r.config.Register.Grown()
		if _, quorum := r.config.Register.Witnesses(); quorum > 0 {
			r.shareCosignatures(ctx)
			r.hub.each((*session).lookAtWitness)
			size, at, ok := r.config.Register.Freshness(r.config.Now())
			if ok && (size > known || at.Sub(told) >= r.config.Limits.Cosign/2) {
				r.hub.each(func(s *session) { s.registerGrew(size) })
				known, told = size, at
			}
			r.metrics.cosignedSize.Set(float64(size))
			r.metrics.cosignedTime.Set(float64(max(0, at.Unix())))
		}
		select {
		case <-grown:
		case <-r.cosigned:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// shareCosignatures tells the other relays of the store what witnesses signed here, and
// hears from them: the quorum is seldom connected to one relay.
func (r *Relay) shareCosignatures(ctx context.Context) {
	err := r.config.Register.Share(ctx, r.config.Now())
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, register.ErrClosed):
	case errors.Is(err, register.ErrFailed):
		r.fail(err)
	default:
		r.log.Warn("cosignatures are not shared with other relays", "error", err.Error())
	}
}

func (s *session) lookAtWitness() {
	s.mu.Lock()
	is := s.shared.witness.name != ""
	s.shared.cosign = is
	s.mu.Unlock()
	if is {
		signal(s.wake)
	}
}
