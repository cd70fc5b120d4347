package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// arrives follows a message to one desk: into its inbox, or to the relay while the
// desk is away, or to its refusal and a second delivery when the relay tampers.
func (p *Player) arrives(ctx context.Context, from desk.Node, m told, to identity.DeskID, before int) error {
	switch {
	case p.away[to]:
		if err := p.reaches(ctx, from, m, to, schakel.StateAtRelay); err != nil {
			return err
		}
		p.fact(Fact{Kind: FactWaiting, Class: m.step.Class, Desk: to, State: string(schakel.StateAtRelay), Text: "away: the relay keeps it, sealed"})
		return nil
	case m.step.Tampered == to:
		if err := p.refuses(ctx, to, before); err != nil {
			return err
		}
		if err := p.delivered(ctx, from, m, to, FactRepaired); err != nil {
			return fmt.Errorf("after the refusal: %w", err)
		}
		return nil
	}
	return p.delivered(ctx, from, m, to, FactArrived)
}

// delivered demands that the recipient's own device says it has the message, and
// that what it shows is what was sent.
func (p *Player) delivered(ctx context.Context, from desk.Node, m told, to identity.DeskID, kind FactKind) error {
	if err := p.reaches(ctx, from, m, to, schakel.StateDelivered); err != nil {
		return err
	}
	return p.inspect(ctx, m, to, kind)
}

// inspect reads a message at its recipient and compares it with what was sent.
func (p *Player) inspect(ctx context.Context, m told, at identity.DeskID, kind FactKind) error {
	node, err := p.World.Node(at)
	if err != nil {
		return err
	}
	l, err := node.Read(ctx, m.Hash)
	if err != nil {
		return err
	}
	switch {
	case !bytes.Equal(l.Body, m.body):
		return fmt.Errorf("%w: the body differs from what was sent", ErrStory)
	case l.From != m.step.From || l.Class != m.step.Class || l.Case != m.Case:
		return fmt.Errorf("%w: %s from %s in case %s", ErrStory, l.Class, l.From, l.Case)
	case l.Exercise != m.Exercise || m.step.Exercise && !l.Exercise:
		return fmt.Errorf("%w: shown as an exercise: %v", ErrStory, l.Exercise)
	case !slices.Contains(l.To, at):
		return fmt.Errorf("%w: not addressed to this desk", ErrStory)
	case (m.step.Person != "") != (l.Person != ""):
		return fmt.Errorf("%w: signed by person %q, want %q", ErrStory, l.Person, m.step.Person)
	}
	p.fact(Fact{Kind: kind, Class: l.Class, Desk: at, State: string(schakel.StateDelivered), Bytes: len(l.Body),
		Text: marked("opened and verified, byte for byte as signed", l.Exercise)})
	return nil
}

// reaches waits until a desk is at least at a state, by the sender's account.
func (p *Player) reaches(ctx context.Context, from desk.Node, m told, to identity.DeskID, want schakel.State) error {
	var last schakel.Recipient
	return p.until(ctx, func() (bool, error) {
		s, err := from.Trace(ctx, m.Hash)
		for _, r := range s.Recipients {
			if r.Desk == to {
				last = r
			}
		}
		if last.State == schakel.StateRejected || last.State == schakel.StateFailed {
			return false, fmt.Errorf("%w: %s under %s", ErrStory, last.State, last.Rule)
		}
		return far(last.State) >= far(want), err
	}, func() string { return fmt.Sprintf("is %q, want %q", last.State, want) })
}

// far is how far a state is on the way.
func far(s schakel.State) int {
	return slices.Index([]schakel.State{schakel.StatePrepared, schakel.StateAtRelay, schakel.StateDelivered,
		schakel.StateOpened, schakel.StateAcknowledged}, s)
}

// refusals is how many arrivals a desk has refused so far.
func (p *Player) refusals(ctx context.Context, at identity.DeskID) (int, error) {
	if at == "" {
		return 0, nil
	}
	node, err := p.World.Node(at)
	if err != nil {
		return 0, err
	}
	s, err := node.Status(ctx)
	return s.Rejected + s.Quarantined, err
}

// refuses waits until a desk has refused one arrival more, with an alarm.
func (p *Player) refuses(ctx context.Context, at identity.DeskID, before int) error {
	node, err := p.World.Node(at)
	if err != nil {
		return err
	}
	var alarm schakel.Alarm
	err = p.until(ctx, func() (bool, error) {
		now, err := p.refusals(ctx, at)
		if err != nil || now <= before {
			return false, err
		}
		alarms, err := node.Alarms(ctx)
		i := slices.IndexFunc(alarms, func(a schakel.Alarm) bool { return a.Kind == schakel.AlarmTampered })
		if i >= 0 {
			alarm = alarms[i]
		}
		return i >= 0, err
	}, func() string { return "the changed copy was not refused" })
	if err != nil {
		return err
	}
	p.fact(Fact{Kind: FactRefused, Desk: at, State: string(alarm.Kind), Text: "the changed copy does not open; refused, with an alarm"})
	return nil
}

// until asks again and again until yes, an error, or the end of patience.
func (p *Player) until(ctx context.Context, yes func() (bool, error), why func() string) error {
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	again := time.NewTicker(25 * time.Millisecond)
	defer again.Stop()
	for {
		ok, err := yes()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("%w: after %s it %s", ErrStory, p.Patience, why())
		case <-again.C:
		}
	}
}
