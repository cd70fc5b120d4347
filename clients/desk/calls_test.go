package desk_test

import (
	"bytes"
	"context"
	"reflect"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/protocol"
	"schakel/clients/protocol/playbook"
	"schakel/clients/schakel"
	"schakel/configs"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// situation is one of the playbook that the program brings.
func situation() playbook.Situation {
	book, err := playbook.Parse(configs.Playbook, protocol.V1())
	if err != nil {
		panic(err)
	}
	return book.Situations[0]
}

// calls makes every call of a Node that returns, with telling arguments.
func calls(ctx context.Context, n desk.Node) map[string]func() (any, error) {
	all := caseCalls(ctx, n)
	for _, some := range []map[string]func() (any, error){deskCalls(ctx, n), onCallCalls(ctx, n)} {
		for name, call := range some {
			all[name] = call
		}
	}
	return all
}

func caller() schakel.By { return schakel.By{Person: "p", PIN: "1", Glass: "g"} }

// caseCalls are those about messages, cases and drafts.
func caseCalls(ctx context.Context, n desk.Node) map[string]func() (any, error) {
	draft := schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{"c/d"}, Body: body(), Person: "p", PIN: "1", RestsOn: []string{"r"}}
	by := caller()
	ack := schakel.Acknowledgement{Person: "p", PIN: "1", Status: "s", AnswerBy: at()}
	return map[string]func() (any, error){
		"send":        func() (any, error) { return n.Send(ctx, draft) },
		"send test":   func() (any, error) { return nil, n.SendTest(ctx, "c/d") },
		"acknowledge": func() (any, error) { return n.Acknowledge(ctx, "ab", ack) },
		"list": func() (any, error) {
			return n.List(ctx, schakel.Filter{Box: "sent", Case: "z&=", ToAck: true, Limit: 7})
		},
		"list all":    func() (any, error) { return n.List(ctx, schakel.Filter{}) },
		"read":        func() (any, error) { return n.Read(ctx, "a/../b?c#d e") },
		"read as":     func() (any, error) { return n.ReadAs(ctx, "a/../b?c#d e", by) },
		"assign":      func() (any, error) { return n.Assign(ctx, "a/b", "x", by) },
		"note":        func() (any, error) { return n.AddNote(ctx, "a/b", "t", by) },
		"worksheet":   func() (any, error) { return n.Worksheet(ctx, "a/b", by) },
		"drafts":      func() (any, error) { return n.Drafts(ctx, "z&=", by) },
		"save draft":  func() (any, error) { return n.SaveDraft(ctx, "i", "v", draft, by) },
		"drop draft":  func() (any, error) { return nil, n.DropDraft(ctx, "i/j", "v", by) },
		"restrict":    func() (any, error) { return n.Restrict(ctx, "a/b", []string{"x", "y"}, by) },
		"restricted":  func() (any, error) { return n.Restriction(ctx, "a/b") },
		"log":         func() (any, error) { return n.Log(ctx, "z&=") },
		"couriers":    func() (any, error) { return n.CourierDesks(ctx) },
		"ask history": func() (any, error) { return n.AskHistory(ctx, []identity.DeskID{"c/d"}) },
		"histories":   func() (any, error) { return n.Histories(ctx) },
		"give":        func() (any, error) { return n.GiveHistory(ctx, "c/d", "+31600000001", by) },
		"away":        func() (any, error) { return n.Away(ctx, at()) },
		"absent":      func() (any, error) { return n.Absent(ctx) },
		"carry":       func() (any, error) { return n.ExportEnvelopes(ctx, "c/d") },
		"bring":       func() (any, error) { return n.ImportEnvelopes(ctx, body()) },
		"missing":     func() (any, error) { return n.MissingAttachments(ctx) },
		"carry file": func() (any, error) {
			var file bytes.Buffer
			err := n.CarryAttachment(ctx, "a/../b?c#d e", &file)
			return file.Bytes(), err
		},
		"bring file": func() (any, error) { return nil, n.BringAttachment(ctx, "a/../b?c#d e", bytes.NewReader(body())) },
		"export":     func() (any, error) { return n.Export(ctx, "ab", "c/d") },
		"forward":    func() (any, error) { return n.Forward(ctx, "ab", schakel.Forwarding{To: "c/d", Person: "p", PIN: "1"}) },
		"prepare":    func() (any, error) { return n.Prepare(ctx, draft) },
		"cases":      func() (any, error) { return n.Cases(ctx, schakel.Paging{Limit: 7, Offset: 2}) },
		"overview":   func() (any, error) { return n.Overview(ctx, "a/../b?c#d e", by) },
		"progress":   func() (any, error) { return n.Progress(ctx, "ab", situation(), by) },
		"trace":      func() (any, error) { return n.Trace(ctx, "ab") },
		"wait":       func() (any, error) { return n.Wait(ctx, "ab", schakel.StateAtRelay) },
		"export case": func() (any, error) {
			var file bytes.Buffer
			err := n.ExportCase(ctx, "a/../b?c#d e", schakel.By{Person: "p", PIN: "1", Glass: "g"}, &file)
			return file.Bytes(), err
		},
		"attach":      func() (any, error) { return n.Attach(ctx, "a &=.pdf", "application/pdf", bytes.NewReader(body())) },
		"attached":    func() (any, error) { return n.AttachedFiles(ctx) },
		"drop file":   func() (any, error) { return nil, n.DropAttached(ctx, "a/b") },
		"attachments": func() (any, error) { return n.Attachments(ctx, "a/../b?c#d e", by) },
		"move":        func() (any, error) { return nil, n.MoveAttachment(ctx, "a/b", 2, schakel.MovePause) },
		"save": func() (any, error) {
			var file bytes.Buffer
			a, err := n.SaveAttachment(ctx, "a/../b?c#d e", 3, schakel.Saving{By: by, Anyway: true}, &file)
			return []any{a, file.Bytes()}, err
		},
		"deletions": func() (any, error) { return n.Deletions(ctx) },
		"search": func() (any, error) {
			return n.Search(ctx, schakel.Search{Words: "x &=", Skip: 2, Limit: 7, WithoutDrafts: true})
		},
	}
}

// deskCalls are those about this device, its desk, the others, and backups.
func deskCalls(ctx context.Context, n desk.Node) map[string]func() (any, error) {
	return map[string]func() (any, error){
		"status":     func() (any, error) { return n.Status(ctx) },
		"alarms":     func() (any, error) { return n.Alarms(ctx) },
		"directory":  func() (any, error) { return n.Directory(ctx) },
		"persons":    func() (any, error) { return n.Persons(ctx) },
		"devices":    func() (any, error) { return n.Devices(ctx) },
		"revoke":     func() (any, error) { return nil, n.Revoke(ctx, "device/x", trust.ReasonLost) },
		"register":   func() (any, error) { return n.RegisterEntries(ctx) },
		"evidence":   func() (any, error) { return n.Evidence(ctx) },
		"one of it":  func() (any, error) { return n.EvidenceFile(ctx, "a/../b?c#d e") },
		"vouch":      func() (any, error) { return nil, n.Vouch(ctx, body()) },
		"renew key":  func() (any, error) { return n.RenewOrganisationKey(ctx) },
		"clear":      func() (any, error) { return nil, n.ClearAlarm(ctx, schakel.AlarmGap, "a b/c") },
		"add person": func() (any, error) { return n.AddPerson(ctx, schakel.Person{Name: "x"}, "2") },
		"verify":     func() (any, error) { return nil, n.VerifyDesk(ctx, "c/d", "0 1", caller()) },
		"refuse":     func() (any, error) { return nil, n.RefuseDesk(ctx, "c/d", caller()) },
		"confirm":    func() (any, error) { return nil, n.ConfirmDevice(ctx, "c/d", identity.DeviceID{3}, "+3160", caller()) },
		"backup": func() (any, error) {
			var file bytes.Buffer
			b, err := n.Backup(ctx, &file)
			return []any{b, file.Bytes()}, err
		},
		"note backup":  func() (any, error) { return nil, n.NoteBackup(ctx, kept()) },
		"safety":       func() (any, error) { return n.Safety(ctx) },
		"try recovery": func() (any, error) { return nil, n.TryRecovery(ctx, "a b") },
		"set recovery": func() (any, error) { return nil, n.SetRecovery(ctx, "a b") },
	}
}

// onCallCalls are those about the rota, pages and drills.
func onCallCalls(ctx context.Context, n desk.Node) map[string]func() (any, error) {
	by := caller()
	return map[string]func() (any, error){
		"test pages":  func() (any, error) { return n.TestPages(ctx, schakel.TestPage{Who: "p", Relay: true}) },
		"page log":    func() (any, error) { return n.PageLog(ctx, 7) },
		"relay pages": func() (any, error) { return n.RelayPages(ctx) },
		"drill":       func() (any, error) { return n.StartDrill(ctx, "c/d", by) },
		"drills":      func() (any, error) { return n.Drills(ctx) },
		"readiness":   func() (any, error) { return n.Readiness(ctx) },
		"on call":     func() (any, error) { return n.OnCall(ctx, at()) },
		"on call now": func() (any, error) { return n.OnCall(ctx, time.Time{}) },
		"rota":        func() (any, error) { return n.Rota(ctx) },
		"set rota":    func() (any, error) { return n.SetRota(ctx, sheet(), by) },
		"change rota": func() (any, error) {
			return n.ChangeRota(ctx, schakel.RotaChange{Kind: schakel.RotaSwap, Who: "x", Other: "y", Level: 1, From: at(), To: at(), Back: at()}, by)
		},
		"import calendar": func() (any, error) {
			r, report, err := n.ImportCalendar(ctx, body(), by)
			return []any{r, report}, err
		},
		"calendar": func() (any, error) { return n.Calendar(ctx, schakel.CalendarWish{Who: "z&=", Names: true}) },
	}
}

// TestCallsAreAll: each method of a Node is tried through the socket, but for the stream.
func TestCallsAreAll(t *testing.T) {
	tried := len(calls(t.Context(), &node{})) - len([]string{"list all", "on call now"}) // tried twice
	if all := reflect.TypeFor[desk.Node]().NumMethod() - len([]string{"Subscribe"}); tried != all {
		t.Errorf("%d calls, and a Node has %d methods", tried, all)
	}
}
