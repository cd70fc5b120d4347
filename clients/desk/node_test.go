package desk_test

import (
	"context"
	"io"
	"sync"
	"time"

	"schakel/clients/desk"
	"schakel/clients/protocol"
	"schakel/clients/protocol/playbook"
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/relay/page"
	"schakel/relay/rota"
)

// node notes what it was asked and answers with filled values, or with err.
type node struct {
	desk.Node
	err    error
	mu     sync.Mutex
	asked  []any
	events chan schakel.Event
}

func (n *node) note(asked ...any) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = asked
	return n.err
}

func at() time.Time { return time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC) }

func summary() schakel.Summary {
	return schakel.Summary{Hash: "ab", ID: "id", Case: "zaak", Class: "melding", Urgency: message.Acute, From: "a/b", Created: at(),
		Recipients: []schakel.Recipient{{Desk: "c/d", State: schakel.StateDelivered, At: at()}}}
}

// body has every byte, so that any change on the way shows.
func body() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func (n *node) Send(_ context.Context, d schakel.Draft) (schakel.Sent, error) {
	return schakel.Sent{Hash: "h", ID: "i", Case: "c"}, n.note(d)
}
func (n *node) Attach(_ context.Context, name, mediaType string, content io.Reader) (schakel.Attached, error) {
	b, err := io.ReadAll(content)
	if err != nil {
		return schakel.Attached{}, err
	}
	return schakel.Attached{ID: "f", AttachedFile: protocol.AttachedFile{Name: name, Bytes: 256}}, n.note(name, mediaType, b)
}
func (n *node) AttachedFiles(context.Context) ([]schakel.Attached, error) {
	return []schakel.Attached{{ID: "f", AttachedFile: protocol.AttachedFile{Name: "een.pdf", Bytes: 256}}}, n.note()
}
func (n *node) DropAttached(_ context.Context, id string) error { return n.note(id) }
func (n *node) Attachments(_ context.Context, ref string, by ...schakel.By) ([]schakel.Attachment, error) {
	return []schakel.Attachment{attachment()}, n.note(ref, by)
}
func attachment() schakel.Attachment {
	return schakel.Attachment{Message: "ab", Place: 1, Name: "een.pdf", Bytes: 256, State: schakel.AttachmentMoving, Done: 7, Length: 9, Left: time.Second, Since: at()}
}
func (n *node) SaveAttachment(_ context.Context, ref string, place int, how schakel.Saving, w io.Writer) (schakel.Attachment, error) {
	if err := n.note(ref, place, how); err != nil {
		return schakel.Attachment{}, err
	}
	_, err := w.Write(body())
	return attachment(), err
}
func (n *node) CarryAttachment(_ context.Context, id string, w io.Writer) error {
	if err := n.note(id); err != nil {
		return err
	}
	_, err := w.Write(body())
	return err
}
func (n *node) MissingAttachments(context.Context) ([]schakel.SealedFile, error) {
	return []schakel.SealedFile{{ID: "ab", Length: 9}}, n.note()
}
func (n *node) BringAttachment(_ context.Context, id string, sealed io.Reader) error {
	b, err := io.ReadAll(sealed)
	if err != nil {
		return err
	}
	return n.note(id, b)
}
func (n *node) MoveAttachment(_ context.Context, ref string, place int, act schakel.MoveAct) error {
	return n.note(ref, place, act)
}
func (n *node) SendTest(_ context.Context, to identity.DeskID) error { return n.note(to) }
func (n *node) Acknowledge(_ context.Context, ref string, a schakel.Acknowledgement) (schakel.Sent, error) {
	return schakel.Sent{Hash: "h"}, n.note(ref, a)
}
func (n *node) Forward(_ context.Context, ref string, f schakel.Forwarding) (schakel.Sent, error) {
	return schakel.Sent{Hash: "f"}, n.note(ref, f)
}
func (n *node) Prepare(_ context.Context, d schakel.Draft) (schakel.Prepared, error) {
	return schakel.Prepared{Case: "c", To: d.To, Added: []identity.DeskID{"e/f"}, RestsOn: []schakel.Named{{Ref: ref(1), Class: "afweging", Created: at()}},
		Refusal: &protocol.Refusal{Rule: "R02"}}, n.note(d)
}
func (n *node) Cases(_ context.Context, p schakel.Paging) ([]schakel.CaseSummary, error) {
	return []schakel.CaseSummary{{Case: "zaak", Messages: 3, Last: at(), Lead: &protocol.LeadTerm{Number: 1, Holder: "a/b", Begins: ref(1), Since: at()}}}, n.note(p)
}
func (n *node) Overview(_ context.Context, r string, by ...schakel.By) (schakel.Overview, error) {
	o := schakel.Overview{Exercise: true, Messages: []schakel.Moment{{Ref: ref(2), Class: "melding", Created: at(), To: []protocol.Party{{Desk: "c/d"}}}}}
	o.Ref, o.KnownAt, o.Missing = message.CaseRef{5}, ref(2), []protocol.Missing{{Message: ref(3), NamedBy: []message.Ref{ref(2)}}}
	o.Obligations = []protocol.Obligation{{Rule: "R05", Owes: "c/d", Since: ref(2), Due: at(), By: []string{"ontvangstbevestiging"}}}
	o.Closing = &protocol.Closing{Message: ref(4), At: at(), RetainUntil: at(), DestroyOn: at()}
	o.Safe = []schakel.SafeContact{{Message: ref(2), From: "a/b", Says: []byte(`{"nietInformeren":["ouders"]}`)}}
	return o, n.note(r, by)
}
func (n *node) Progress(_ context.Context, ref string, s playbook.Situation, by ...schakel.By) ([]playbook.Taken, error) {
	return []playbook.Taken{{Step: s.Steps[0], State: playbook.StateDone, By: message.Ref{ID: message.ID{1}}}}, n.note(ref, s, by)
}
func ref(b byte) message.Ref { return message.Ref{ID: message.ID{b}, Hash: message.Hash{b}} }
func (n *node) List(_ context.Context, f schakel.Filter) ([]schakel.Summary, error) {
	return []schakel.Summary{summary()}, n.note(f)
}
func (n *node) ReadAs(_ context.Context, ref string, by schakel.By) (schakel.Letter, error) {
	return schakel.Letter{Summary: summary(), To: []identity.DeskID{"c/d"}, Body: body(), Late: true}, n.note(ref, by)
}
func (n *node) Assign(_ context.Context, ref, to string, by schakel.By) (schakel.Assignment, error) {
	return schakel.Assignment{Case: "zaak", Name: to, At: at(), Also: []string{"y"}}, n.note(ref, to, by)
}
func (n *node) AddNote(_ context.Context, ref, text string, by schakel.By) (schakel.Note, error) {
	return schakel.Note{Hash: "h", At: at(), Text: text}, n.note(ref, text, by)
}
func (n *node) Worksheet(_ context.Context, ref string, by ...schakel.By) (schakel.Worksheet, error) {
	return schakel.Worksheet{Notes: []schakel.Note{{Text: "t", At: at()}}}, n.note(ref, by)
}
func (n *node) Drafts(_ context.Context, ref string, by ...schakel.By) ([]schakel.SavedDraft, error) {
	return []schakel.SavedDraft{{ID: "i", At: at(), Draft: schakel.Draft{Body: body()}}}, n.note(ref, by)
}
func (n *node) SaveDraft(_ context.Context, id, version string, d schakel.Draft, by schakel.By) (schakel.SavedDraft, error) {
	return schakel.SavedDraft{ID: id, At: at(), Draft: d}, n.note(id, version, d, by)
}
func (n *node) DropDraft(_ context.Context, id, version string, by schakel.By) error {
	return n.note(id, version, by)
}
func (n *node) Restrict(_ context.Context, ref string, to []string, by schakel.By) (schakel.Restriction, error) {
	return schakel.Restriction{Case: "zaak", At: at(), Readers: []schakel.Reader{{ID: "x", Name: "X", Telephone: "+31600000001"}}, Contested: true}, n.note(ref, to, by)
}
func (n *node) Restriction(_ context.Context, ref string) (schakel.Restriction, error) {
	return schakel.Restriction{Case: "zaak"}, n.note(ref)
}
func (n *node) Log(_ context.Context, ref string) (schakel.AccessLog, error) {
	return schakel.AccessLog{Lines: []schakel.LogLine{{Number: 1, At: at()}}, Devices: []schakel.LogState{{Fault: "f"}}}, n.note(ref)
}
func (n *node) TestPages(_ context.Context, t schakel.TestPage) ([]schakel.Tested, error) {
	return []schakel.Tested{{By: "device", Contact: "p-1", Channel: "ntfy", Outcome: page.Sent}}, n.note(t)
}
func (n *node) PageLog(_ context.Context, limit int) ([]schakel.Page, error) {
	return []schakel.Page{{At: at(), Rung: 1, Outcome: page.Late}}, n.note(limit)
}
func (n *node) RelayPages(context.Context) ([]schakel.Page, error) {
	return []schakel.Page{{At: at(), Why: "relay"}}, n.note()
}
func (n *node) StartDrill(_ context.Context, to identity.DeskID, by schakel.By) (schakel.Sent, error) {
	return schakel.Sent{Hash: "h", Exercise: true}, n.note(to, by)
}
func (n *node) Drills(context.Context) ([]schakel.Drill, error) {
	return []schakel.Drill{{Message: "m", Sent: at(), ToPaged: time.Second}}, n.note()
}
func (n *node) Readiness(context.Context) ([]schakel.Readiness, error) {
	return []schakel.Readiness{{Name: "rota", Evidence: "e", Remedy: "r"}}, n.note()
}
func (n *node) OnCall(_ context.Context, t time.Time) (schakel.OnCall, error) {
	return schakel.OnCall{At: at(), Levels: []schakel.Duty{{Contact: "p-1", Name: "x", Until: at()}}, Fallback: []schakel.Duty{{Level: 1}}}, n.note(t)
}
func shownRota() schakel.Rota {
	return schakel.Rota{Revision: "r", At: at(), Roster: sheet().Roster, Gaps: []schakel.RotaGap{{Level: 1, From: at(), To: at()}}, Contested: true,
		Also: []string{"y"}, Warnings: []roster.Warning{{Kind: roster.WarnPersonal, Contact: "p-1"}}}
}
func sheet() roster.Sheet {
	return roster.Sheet{Revision: "r", Roster: roster.Roster{Version: 1, Fallback: []rota.Contact{"f-1"}, People: []roster.Person{{Contact: "f-1", Name: "x"}},
		Layers:  []rota.Layer{{Rules: []rota.Rule{{From: "2026-11-30T08:00", To: "2026-12-07T08:00", Contacts: []rota.Contact{"f-1"}}}}},
		Ladders: []roster.Ladder{{Urgency: message.Acute, Alarm: 600}}, Changes: []rota.Change{{ID: "i", Kind: rota.Override, From: 1780000000, To: 1780000060, Contact: "f-1"}}}}
}
func (n *node) Rota(context.Context) (schakel.Rota, error) { return shownRota(), n.note() }
func (n *node) SetRota(_ context.Context, s roster.Sheet, by schakel.By) (schakel.Rota, error) {
	return shownRota(), n.note(s, by)
}
func (n *node) ChangeRota(_ context.Context, c schakel.RotaChange, by schakel.By) (schakel.Rota, error) {
	return shownRota(), n.note(c, by)
}
func (n *node) ImportCalendar(_ context.Context, file []byte, by schakel.By) (schakel.Rota, roster.Import, error) {
	return shownRota(), roster.Import{Shifts: 3, Skipped: []roster.Skipped{{Event: "e", Reason: "r"}}}, n.note(file, by)
}
func (n *node) Calendar(_ context.Context, w schakel.CalendarWish) ([]byte, error) {
	return body(), n.note(w)
}
func (n *node) Read(_ context.Context, ref string) (schakel.Letter, error) {
	return schakel.Letter{Summary: summary(), To: []identity.DeskID{"c/d"}, Body: body(), Late: true}, n.note(ref, schakel.By{})
}
func (n *node) Export(_ context.Context, ref string, to identity.DeskID) ([]byte, error) {
	return body(), n.note(ref, to)
}
func (n *node) Trace(_ context.Context, ref string) (schakel.Summary, error) {
	return summary(), n.note(ref)
}
func (n *node) Wait(ctx context.Context, ref string, s schakel.State) (schakel.Summary, error) {
	if s == schakel.StateAcknowledged {
		<-ctx.Done()
		return schakel.Summary{}, ctx.Err()
	}
	return summary(), n.note(ref, s)
}
func (n *node) Subscribe() (<-chan schakel.Event, func()) { return n.events, func() {} }
func (n *node) Status(context.Context) (schakel.Status, error) {
	return schakel.Status{Desk: "a/b", Device: identity.DeviceID{1}, KeysUntil: at(), Outbox: 3}, n.note()
}
func (n *node) Alarms(context.Context) ([]schakel.Alarm, error) {
	return []schakel.Alarm{{Kind: schakel.AlarmGap, Since: at(), Text: "t"}}, n.note()
}
func (n *node) Directory(context.Context) ([]schakel.Desk, error) {
	return []schakel.Desk{{ID: "c/d", Role: identity.RoleOM, Devices: 2}}, n.note()
}
func (n *node) Persons(context.Context) ([]schakel.Person, error) {
	return []schakel.Person{{ID: identity.PersonID{1}, Name: "x"}}, n.note()
}
func (n *node) AddPerson(_ context.Context, p schakel.Person, pin string) (schakel.Person, error) {
	return p, n.note(p, pin)
}

func (n *node) RenewOrganisationKey(context.Context) ([]byte, error) {
	return []byte("request"), n.note("renew")
}

func (n *node) Vouch(_ context.Context, request []byte) error { return n.note(request) }
func (n *node) Devices(context.Context) ([]schakel.Device, error) {
	return []schakel.Device{{ID: identity.DeviceID{1}, Desk: "a/b", Active: true, Until: at(), Here: true}}, n.note()
}
func (n *node) Revoke(_ context.Context, s trust.Subject, r trust.Reason) error { return n.note(s, r) }
func (n *node) RegisterEntries(context.Context) ([][]byte, error) {
	return [][]byte{body(), {1}}, n.note()
}
func (n *node) Evidence(context.Context) ([]schakel.Evidence, error) {
	return []schakel.Evidence{{ID: "01ab", Kind: "fork", Raised: at(), About: "relay/x", Size: 3}}, n.note()
}
func (n *node) EvidenceFile(_ context.Context, id string) ([]byte, error) { return body(), n.note(id) }
func (n *node) AskHistory(_ context.Context, desks []identity.DeskID) ([]identity.DeskID, error) {
	return desks, n.note(desks)
}
func (n *node) Histories(context.Context) ([]schakel.History, error) {
	return []schakel.History{{Desk: "c/d", Asked: at(), Came: 2, Of: 3, AskedBy: at(), Answered: true}}, n.note()
}
func (n *node) GiveHistory(_ context.Context, desk identity.DeskID, called string, by schakel.By) (schakel.Given, error) {
	return schakel.Given{Desk: desk, Messages: 3, Cases: 2, Left: 1}, n.note(desk, called, by)
}
func (n *node) Away(_ context.Context, until time.Time) (schakel.Absence, error) {
	return schakel.Absence{Until: until, Untold: []identity.DeskID{"c/d"}, Late: at()}, n.note(until)
}
func (n *node) Absent(context.Context) (schakel.Absence, error) {
	return schakel.Absence{Until: at()}, n.note()
}
func (n *node) CourierDesks(context.Context) ([]schakel.CourierDesk, error) {
	return []schakel.CourierDesk{{Desk: "c/d", Deliveries: 2, Statement: true}}, n.note()
}
func (n *node) ExportEnvelopes(_ context.Context, to identity.DeskID) (schakel.Carried, error) {
	return schakel.Carried{Desk: to, File: body(), Envelopes: 3, Left: 1, Unsealed: 2, Until: at()}, n.note(to)
}
func (n *node) ImportEnvelopes(_ context.Context, file []byte) (schakel.Brought, error) {
	return schakel.Brought{Taken: 1, Known: 2, Other: 3, Waiting: 4, Refused: 5, Damaged: 6, Reasons: []string{"r"}, From: []identity.DeskID{"c/d"}}, n.note(file)
}
func (n *node) ExportCase(_ context.Context, ref string, by schakel.By, to io.Writer) error {
	if err := n.note(ref, by); err != nil {
		return err
	}
	_, err := to.Write(body())
	return err
}
func (n *node) Deletions(context.Context) ([]schakel.Deletion, error) {
	return []schakel.Deletion{{Case: "c", At: at(), Due: at(), Closing: "h", ClosedBy: "a/b", Messages: 3, Statement: body()}}, n.note()
}
func (n *node) ClearAlarm(_ context.Context, kind schakel.AlarmKind, subject string) error {
	return n.note(kind, subject)
}
func (n *node) Search(_ context.Context, q schakel.Search) (schakel.Hits, error) {
	return schakel.Hits{Hits: []schakel.Hit{{Kind: schakel.HitMessage, Hash: "ab", At: at()}}, Total: 3}, n.note(q)
}
func (n *node) VerifyDesk(_ context.Context, id identity.DeskID, heard string, by schakel.By) error {
	return n.note(id, heard, by)
}
func (n *node) RefuseDesk(_ context.Context, id identity.DeskID, by schakel.By) error {
	return n.note(id, by)
}
func (n *node) ConfirmDevice(_ context.Context, desk identity.DeskID, device identity.DeviceID, called string, by schakel.By) error {
	return n.note(desk, device, called, by)
}
func (n *node) Backup(_ context.Context, w io.Writer) (schakel.Backup, error) {
	if err := n.note("backup"); err != nil {
		return schakel.Backup{}, err
	}
	_, err := w.Write(body())
	return kept(), err
}
func kept() schakel.Backup {
	return schakel.Backup{Desk: "a/b", At: at(), SHA256: "x", Messages: 3}
}
func (n *node) NoteBackup(_ context.Context, b schakel.Backup) error { return n.note(b) }
func (n *node) Safety(context.Context) (schakel.Safety, error) {
	return schakel.Safety{Backup: at(), Messages: 3, BackupLate: true}, n.note()
}
func (n *node) TryRecovery(_ context.Context, phrase string) error { return n.note(phrase) }
func (n *node) SetRecovery(_ context.Context, phrase string) error { return n.note("set", phrase) }
