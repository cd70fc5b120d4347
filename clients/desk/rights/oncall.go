package rights

import (
	"context"
	"fmt"
	"slices"
	"time"

	"schakel/clients/desk"
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func (g guarded) OnCall(ctx context.Context, at time.Time) (schakel.OnCall, error) {
	return allowed(g, "OnCall", func() (schakel.OnCall, error) { return g.node.OnCall(ctx, at) })
}

func (g guarded) Rota(ctx context.Context) (schakel.Rota, error) {
	return allowed(g, "Rota", func() (schakel.Rota, error) { return g.node.Rota(ctx) })
}

func (g guarded) SetRota(ctx context.Context, sheet roster.Sheet, by schakel.By) (schakel.Rota, error) {
	return signed(g, "SetRota", by.Person, func() (schakel.Rota, error) { return g.node.SetRota(ctx, sheet, by) })
}

// ChangeRota lets who may not set the whole rota take over or swap for themselves only.
func (g guarded) ChangeRota(ctx context.Context, c schakel.RotaChange, by schakel.By) (schakel.Rota, error) {
	return signed(g, "ChangeRota", by.Person, func() (schakel.Rota, error) {
		own := slices.Contains([]schakel.RotaChangeKind{schakel.RotaTake, schakel.RotaSwap}, c.Kind) && (c.Who == "" || c.Who == g.user.Person)
		if !own && !May(g.user, "SetRota") {
			return schakel.Rota{}, fmt.Errorf("%w: ChangeRota other than to take over or swap yourself", desk.ErrRight)
		}
		return g.node.ChangeRota(ctx, c, by)
	})
}

func (g guarded) ImportCalendar(ctx context.Context, file []byte, by schakel.By) (out schakel.Rota, report roster.Import, err error) {
	out, err = signed(g, "ImportCalendar", by.Person, func() (r schakel.Rota, err error) {
		r, report, err = g.node.ImportCalendar(ctx, file, by)
		return r, err
	})
	return out, report, err
}

func (g guarded) Calendar(ctx context.Context, w schakel.CalendarWish) ([]byte, error) {
	return allowed(g, "Calendar", func() ([]byte, error) { return g.node.Calendar(ctx, w) })
}

func (g guarded) TestPages(ctx context.Context, t schakel.TestPage) ([]schakel.Tested, error) {
	return allowed(g, "TestPages", func() ([]schakel.Tested, error) { return g.node.TestPages(ctx, t) })
}

func (g guarded) PageLog(ctx context.Context, limit int) ([]schakel.Page, error) {
	return allowed(g, "PageLog", func() ([]schakel.Page, error) { return g.node.PageLog(ctx, limit) })
}

func (g guarded) RelayPages(ctx context.Context) ([]schakel.Page, error) {
	return allowed(g, "RelayPages", func() ([]schakel.Page, error) { return g.node.RelayPages(ctx) })
}

func (g guarded) StartDrill(ctx context.Context, to identity.DeskID, by schakel.By) (schakel.Sent, error) {
	return signed(g, "StartDrill", by.Person, func() (schakel.Sent, error) { return g.node.StartDrill(ctx, to, by) })
}

func (g guarded) Drills(ctx context.Context) ([]schakel.Drill, error) {
	return allowed(g, "Drills", func() ([]schakel.Drill, error) { return g.node.Drills(ctx) })
}

func (g guarded) Readiness(ctx context.Context) ([]schakel.Readiness, error) {
	return allowed(g, "Readiness", func() ([]schakel.Readiness, error) { return g.node.Readiness(ctx) })
}
