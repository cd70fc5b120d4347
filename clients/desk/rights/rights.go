// Package rights is what each role of a desk may do: one table of roles and operations,
// and a desk.Node that keeps to it.
//
//	node := rights.As(node, user)
//	_, err := node.List(ctx, schakel.Filter{})   // desk.ErrRight for who may not
//
// Everything that works for a user goes through [As]: the pages, and what programs ask
// on somebody's behalf. Only the unix socket does not, because whoever can open that
// owns the device. Nobody signs as another: the person that a user names must be that
// user's own, even with the right PIN.
package rights

import (
	"context"
	"fmt"
	"time"

	"schakel/clients/desk"
	"schakel/clients/protocol/playbook"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// guarded names every method by hand, on purpose: a new operation of desk.Node does not
// compile here until somebody has decided who may do it.
type guarded struct {
	node desk.Node
	user desk.User
	met  func(error) // hears of each error of the node; nil: nobody does
}

var _ desk.Node = guarded{}

// As returns node as that user may use it.
func As(node desk.Node, user desk.User) desk.Node { return guarded{node: node, user: user} }

// Watched is As, and tells met of each error of the node before who asked hears of it: that a
// PIN was wrong is counted in one place, whatever a page makes of it.
func Watched(node desk.Node, user desk.User, met func(error)) desk.Node {
	return guarded{node, user, met}
}

// allowed does an operation that the user has the right to.
func allowed[T any](g guarded, op Operation, do func() (T, error)) (T, error) {
	if !May(g.user, op) {
		var none T
		return none, fmt.Errorf("%w: %s", desk.ErrRight, op)
	}
	v, err := do()
	if err != nil && g.met != nil {
		g.met(err)
	}
	return v, err
}

// signed is allowed for what a person signs.
func signed[T any](g guarded, op Operation, person string, do func() (T, error)) (T, error) {
	return allowed(g, op, func() (T, error) {
		if person != "" && person != g.user.Person {
			var none T
			return none, desk.ErrOwnPerson
		}
		return do()
	})
}

// looked is signed for what the persons in by look at.
func looked[T any](g guarded, op Operation, by []schakel.By, do func() (T, error)) (T, error) {
	for _, b := range by {
		if _, err := signed(g, op, b.Person, func() (struct{}, error) { return struct{}{}, nil }); err != nil {
			var none T
			return none, err
		}
	}
	return allowed(g, op, do)
}

func nothing(err error) (struct{}, error) { return struct{}{}, err }

func (g guarded) Send(ctx context.Context, d schakel.Draft) (schakel.Sent, error) {
	return signed(g, "Send", d.Person, func() (schakel.Sent, error) { return g.node.Send(ctx, d) })
}

func (g guarded) SendTest(ctx context.Context, to identity.DeskID) error {
	_, err := allowed(g, "SendTest", func() (struct{}, error) { return nothing(g.node.SendTest(ctx, to)) })
	return err
}

func (g guarded) Acknowledge(ctx context.Context, ref string, a schakel.Acknowledgement) (schakel.Sent, error) {
	return signed(g, "Acknowledge", a.Person, func() (schakel.Sent, error) { return g.node.Acknowledge(ctx, ref, a) })
}

func (g guarded) Forward(ctx context.Context, ref string, f schakel.Forwarding) (schakel.Sent, error) {
	return signed(g, "Forward", f.Person, func() (schakel.Sent, error) { return g.node.Forward(ctx, ref, f) })
}

func (g guarded) Prepare(ctx context.Context, d schakel.Draft) (schakel.Prepared, error) {
	return signed(g, "Prepare", d.Person, func() (schakel.Prepared, error) { return g.node.Prepare(ctx, d) })
}

func (g guarded) List(ctx context.Context, f schakel.Filter) ([]schakel.Summary, error) {
	return allowed(g, "List", func() ([]schakel.Summary, error) { return g.node.List(ctx, f) })
}

// Search finds no drafts for who may not see them.
func (g guarded) Search(ctx context.Context, q schakel.Search) (schakel.Hits, error) {
	q.WithoutDrafts = q.WithoutDrafts || !May(g.user, "Drafts")
	return allowed(g, "Search", func() (schakel.Hits, error) { return g.node.Search(ctx, q) })
}

func (g guarded) Read(ctx context.Context, ref string) (schakel.Letter, error) {
	return allowed(g, "Read", func() (schakel.Letter, error) { return g.node.Read(ctx, ref) })
}

func (g guarded) ReadAs(ctx context.Context, ref string, by schakel.By) (schakel.Letter, error) {
	return signed(g, "ReadAs", by.Person, func() (schakel.Letter, error) { return g.node.ReadAs(ctx, ref, by) })
}

func (g guarded) Export(ctx context.Context, ref string, to identity.DeskID) ([]byte, error) {
	return allowed(g, "Export", func() ([]byte, error) { return g.node.Export(ctx, ref, to) })
}

func (g guarded) AskHistory(ctx context.Context, desks []identity.DeskID) ([]identity.DeskID, error) {
	return allowed(g, "AskHistory", func() ([]identity.DeskID, error) { return g.node.AskHistory(ctx, desks) })
}

func (g guarded) Histories(ctx context.Context) ([]schakel.History, error) {
	return allowed(g, "Histories", func() ([]schakel.History, error) { return g.node.Histories(ctx) })
}

func (g guarded) GiveHistory(ctx context.Context, desk identity.DeskID, called string, by schakel.By) (schakel.Given, error) {
	return signed(g, "GiveHistory", by.Person, func() (schakel.Given, error) { return g.node.GiveHistory(ctx, desk, called, by) })
}

func (g guarded) Away(ctx context.Context, until time.Time) (schakel.Absence, error) {
	return allowed(g, "Away", func() (schakel.Absence, error) { return g.node.Away(ctx, until) })
}

func (g guarded) Absent(ctx context.Context) (schakel.Absence, error) {
	return allowed(g, "Absent", func() (schakel.Absence, error) { return g.node.Absent(ctx) })
}

func (g guarded) CourierDesks(ctx context.Context) ([]schakel.CourierDesk, error) {
	return allowed(g, "CourierDesks", func() ([]schakel.CourierDesk, error) { return g.node.CourierDesks(ctx) })
}

func (g guarded) ExportEnvelopes(ctx context.Context, to identity.DeskID) (schakel.Carried, error) {
	return allowed(g, "ExportEnvelopes", func() (schakel.Carried, error) { return g.node.ExportEnvelopes(ctx, to) })
}

func (g guarded) ImportEnvelopes(ctx context.Context, file []byte) (schakel.Brought, error) {
	return allowed(g, "ImportEnvelopes", func() (schakel.Brought, error) { return g.node.ImportEnvelopes(ctx, file) })
}

func (g guarded) MissingAttachments(ctx context.Context) ([]schakel.SealedFile, error) {
	return allowed(g, "MissingAttachments", func() ([]schakel.SealedFile, error) { return g.node.MissingAttachments(ctx) })
}

func (g guarded) Cases(ctx context.Context, p schakel.Paging) ([]schakel.CaseSummary, error) {
	return allowed(g, "Cases", func() ([]schakel.CaseSummary, error) { return g.node.Cases(ctx, p) })
}

func (g guarded) Overview(ctx context.Context, ref string, by ...schakel.By) (schakel.Overview, error) {
	return looked(g, "Overview", by, func() (schakel.Overview, error) { return g.node.Overview(ctx, ref, by...) })
}

func (g guarded) Progress(ctx context.Context, ref string, s playbook.Situation, by ...schakel.By) ([]playbook.Taken, error) {
	return looked(g, "Progress", by, func() ([]playbook.Taken, error) { return g.node.Progress(ctx, ref, s, by...) })
}

func (g guarded) Trace(ctx context.Context, ref string) (schakel.Summary, error) {
	return allowed(g, "Trace", func() (schakel.Summary, error) { return g.node.Trace(ctx, ref) })
}

func (g guarded) Wait(ctx context.Context, ref string, state schakel.State) (schakel.Summary, error) {
	return allowed(g, "Wait", func() (schakel.Summary, error) { return g.node.Wait(ctx, ref, state) })
}

// Subscribe has no error to refuse with: who may not gets a stream that is over.
func (g guarded) Subscribe() (<-chan schakel.Event, func()) {
	if !May(g.user, "Subscribe") {
		over := make(chan schakel.Event)
		close(over)
		return over, func() {}
	}
	return g.node.Subscribe()
}

func (g guarded) Status(ctx context.Context) (schakel.Status, error) {
	return allowed(g, "Status", func() (schakel.Status, error) { return g.node.Status(ctx) })
}

func (g guarded) Alarms(ctx context.Context) ([]schakel.Alarm, error) {
	return allowed(g, "Alarms", func() ([]schakel.Alarm, error) { return g.node.Alarms(ctx) })
}

func (g guarded) ClearAlarm(ctx context.Context, kind schakel.AlarmKind, subject string) error {
	_, err := allowed(g, "ClearAlarm", func() (struct{}, error) { return nothing(g.node.ClearAlarm(ctx, kind, subject)) })
	return err
}
