package oncall

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/ladder"
	"schakel/relay/page"
	"schakel/relay/rota"
	"schakel/relay/wire"
)

// What the desks' own devices may be answered.
var (
	// ErrDesk is a plan of another desk.
	ErrDesk = errors.New("a plan of another desk")
	// ErrAhead is a plan whose serial no device of the desk could pass for long.
	ErrAhead = errors.New("a plan numbered too far in the future")
	// ErrContact is a contact that the desk's plan does not have.
	ErrContact = errors.New("no such contact in the plan")
	// ErrUnreached is a test page that no channel took.
	ErrUnreached = errors.New("no channel took the page")
)

// mostAhead is how far a serial may be ahead of the relay's clock. Its upper half is when
// the rota was decided, in seconds (decision 0133), which devices hold each other to.
const mostAhead = 24 * time.Hour

// Publish takes the plan of a desk, and returns the serial of the one that counts.
// Refusals: rota's, ladder.ErrLooser, ErrDesk, ErrAhead, ErrSerial.
func (l *Loop) Publish(ctx context.Context, desk identity.DeskID, raw []byte) (uint64, error) {
	plan, err := rota.ParsePlan(raw)
	if err == nil && plan.Desk != desk {
		err = ErrDesk
	}
	if err == nil && plan.Serial>>32 > uint64(max(0, l.config.Now().Add(mostAhead).Unix())) {
		err = ErrAhead
	}
	if err == nil {
		_, err = Ladders(plan)
	}
	if err == nil {
		err = l.config.Journal.Publish(ctx, desk, plan.Serial, raw)
	}
	if err != nil {
		return l.serial(ctx, desk), err
	}
	l.leave(func(i *inbox) { i.republished = append(i.republished, desk) })
	return plan.Serial, nil
}

// Remove takes away the plan of a desk, and reports whether there was one. Until the desk
// publishes another the operator is called for what waits for it, and senders are told.
func (l *Loop) Remove(ctx context.Context, desk identity.DeskID) (had bool, err error) {
	had, err = l.config.Journal.Remove(ctx, desk)
	if err != nil {
		return had, fmt.Errorf("failed to take a plan away: %w", err)
	}
	l.leave(func(i *inbox) { i.republished = append(i.republished, desk) })
	if had {
		l.log.Warn("the plan of a desk was taken away", "desk", string(desk))
	}
	return had, nil
}

// serial is that of the plan that counts, 0 where there is none.
func (l *Loop) serial(ctx context.Context, desk identity.DeskID) uint64 {
	raw, err := l.config.Journal.Plan(ctx, desk)
	if err != nil || len(raw) == 0 {
		return 0
	}
	plan, _ := rota.ParsePlan(raw)
	return plan.Serial
}

// Test pages a contact of a desk's plan on all its channels, whichever node keeps the
// timers, and writes it into the log of pages.
func (l *Loop) Test(ctx context.Context, desk identity.DeskID, c rota.Contact) error {
	raw, err := l.config.Journal.Plan(ctx, desk)
	if err != nil {
		return fmt.Errorf("failed to read the plan: %w", err)
	}
	plan, _ := rota.ParsePlan(raw)
	points := pointsOf(plan, c)
	if len(points) == 0 && !slices.Contains(plan.OnCall(l.config.Now(), ladder.Everyone), c) {
		return ErrContact
	}
	p := page.Page{Tier: envelope.TierNone, Test: true, Reference: page.Reference([]byte(l.node), []byte(c))}
	results := notify(ctx, l.within(desk), l.config.Patience, p, points)
	var rows []wire.Paged
	for _, s := range results {
		rows = append(rows, wire.Paged{
			Reference: p.Reference, Contact: string(c), Channel: s.channel, Outcome: string(s.outcome), At: uint64(max(0, l.config.Now().Unix())),
		})
		l.config.Metrics.paged(rows[len(rows)-1])
	}
	if err := l.config.Journal.Log(ctx, desk, rows); err != nil {
		l.log.Warn("a test page is not in the log of pages", "error", err.Error())
	}
	if !taken(results) {
		return ErrUnreached
	}
	return nil
}

// Pages returns the desk's log of pages beyond a number, oldest first, and whether
// there is more.
func (l *Loop) Pages(ctx context.Context, desk identity.DeskID, since uint64) (pages []wire.Paged, more bool, err error) {
	pages, err = l.config.Journal.Logged(ctx, desk, since, wire.MaxPages+1)
	if len(pages) > wire.MaxPages {
		return pages[:wire.MaxPages], true, err
	}
	return pages, false, err
}
