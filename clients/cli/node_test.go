package cli_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/protocol/playbook"
	"schakel/clients/schakel"
	"schakel/clients/store/index"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/crypto/trust"
)

// scripted is a node that answers what the test says.
type scripted struct {
	entries                     [][]byte // of its register
	sendErr, waitErr, personErr error
	rotaErr                     error
	setErr                      error // of SetRota alone
	fileErr                     error // of attachments
	recipients                  []schakel.Recipient
	body                        []byte
	alarms                      []schakel.Alarm
	drafts                      []schakel.Draft
	acks                        []schakel.Acknowledgement
	cleared, did                []string
	status                      func(*schakel.Status)
	listed                      []schakel.Summary // what List gives instead of one message
	exercise                    bool              // of what is read and traced
	persons                     []schakel.Person  // what Persons gives instead of one
	desks                       []schakel.Desk    // what Directory gives instead of two
	prepared                    *schakel.Prepared // what Prepare adds
	overview                    schakel.Overview
	restricted                  bool // the case is
	looked                      []schakel.By
	taken                       []playbook.Taken
	forwarded                   []schakel.Forwarding
	flags                       []protocol.Flag // of what is read
	safety                      schakel.Safety
	carried                     schakel.Carried   // what ExportEnvelopes makes
	brought                     schakel.Brought   // what ImportEnvelopes finds
	sealed                      map[string][]byte // what CarryAttachment gives, and what BringAttachment waits for
}

const (
	hash1 = "4f1c09aa00000000000000000000000000000000000000000000000000000001"
	id1   = "019ab2c0-6004-7b00-8a00-000000000004"
	case1 = "019ab2c0-5f10-7a31-9c42-1d0e5a7b3c01"
)

func inbound() schakel.Summary {
	return schakel.Summary{Hash: hash1, ID: id1, Case: case1, Inbound: true, Class: "melding", Urgency: message.Acute,
		From: "arts/praktijk", Created: now().Add(-time.Minute), Received: now(), AckDue: now().Add(14 * time.Minute)}
}

func (n *scripted) outbound() schakel.Summary {
	s := inbound()
	s.Inbound, s.From, s.AckDue, s.Received = false, "vt20/crisis", time.Time{}, time.Time{}
	s.Recipients, s.Exercise = n.recipients, n.exercise
	return s
}

func (n *scripted) Send(_ context.Context, d schakel.Draft) (schakel.Sent, error) {
	n.drafts = append(n.drafts, d)
	return schakel.Sent{Hash: hash1, ID: id1, Case: case1, Exercise: n.exercise}, n.sendErr
}

func (n *scripted) Prepare(_ context.Context, d schakel.Draft) (schakel.Prepared, error) {
	p := schakel.Prepared{Case: case1, Opens: d.Case == "", To: d.To, Telephone: d.Urgency == message.Acute, AckDue: now().Add(15 * time.Minute)}
	if n.prepared != nil {
		p = *n.prepared
		p.To = append(slices.Clone(d.To), p.Added...)
	}
	return p, nil
}

func (n *scripted) Forward(_ context.Context, ref string, f schakel.Forwarding) (schakel.Sent, error) {
	n.forwarded = append(n.forwarded, f)
	return schakel.Sent{Hash: hash1, ID: id1, Case: case1}, n.sendErr
}

func (n *scripted) Cases(context.Context, schakel.Paging) ([]schakel.CaseSummary, error) {
	return []schakel.CaseSummary{{Case: case1, Messages: 3, Unread: 1, Last: now(), Owed: 1, Due: now().Add(14 * time.Minute), Awaited: 1, Missing: 1,
		Exercise: n.overview.Exercise, Lead: &protocol.LeadTerm{Number: 1, Holder: "vt20/crisis", Role: identity.RoleVeiligThuis, Since: now()}}}, nil
}

func (n *scripted) Overview(_ context.Context, ref string, by ...schakel.By) (schakel.Overview, error) {
	n.looked = append(n.looked, by...)
	if n.restricted && (len(by) == 0 || by[0].Person == "") {
		return schakel.Overview{}, fmt.Errorf("%w: call A. Nnie +31600000007", schakel.ErrRestricted)
	}
	if n.overview.Desk == "" {
		return n.overview, fmt.Errorf("%w: %q", schakel.ErrNotFound, ref)
	}
	return n.overview, nil
}

func (n *scripted) Progress(_ context.Context, _ string, s playbook.Situation, _ ...schakel.By) ([]playbook.Taken, error) {
	if n.taken != nil {
		return n.taken, nil
	}
	return playbook.Progress(s, nil), nil
}

func (n *scripted) SendTest(context.Context, identity.DeskID) error { return nil }

func (n *scripted) Acknowledge(_ context.Context, ref string, a schakel.Acknowledgement) (schakel.Sent, error) {
	n.acks = append(n.acks, a)
	return schakel.Sent{Hash: hash1, ID: id1, Case: case1}, n.personErr
}

func (n *scripted) List(_ context.Context, f schakel.Filter) ([]schakel.Summary, error) {
	if n.listed != nil {
		return n.listed, nil
	}
	if f.Box == "sent" {
		return []schakel.Summary{n.outbound()}, nil
	}
	return []schakel.Summary{inbound()}, nil
}

func (n *scripted) Search(_ context.Context, q schakel.Search) (schakel.Hits, error) {
	if len(index.Words(q.Words)) == 0 {
		return schakel.Hits{}, schakel.ErrNoWords
	}
	if n.body == nil {
		return schakel.Hits{}, nil
	}
	m := inbound()
	return schakel.Hits{Total: 70, Unreadable: 1, Hits: []schakel.Hit{
		{Kind: schakel.HitMessage, Hash: m.Hash, Case: case1, At: m.Received, Message: &m},
		{Kind: schakel.HitNote, Hash: hash1, Case: case1, At: now(), By: "P. Iket"},
		{Kind: schakel.HitDraft, Hash: hash1, At: now(), By: "P. Iket", Draft: id1, Class: "melding"},
	}}, nil
}

func (n *scripted) Backup(_ context.Context, w io.Writer) (schakel.Backup, error) {
	_, err := io.WriteString(w, "a backup")
	return schakel.Backup{Format: "schakel-backup/1", Desk: "vt20/crisis", At: now(), Messages: 12, Cases: 3, Records: 4, Register: 42}, err
}

func (n *scripted) NoteBackup(context.Context, schakel.Backup) error {
	n.did = append(n.did, "noted a backup")
	return nil
}

func (n *scripted) Safety(context.Context) (schakel.Safety, error) { return n.safety, nil }

func (n *scripted) TryRecovery(_ context.Context, phrase string) error {
	if phrase != "zes woorden op papier" {
		return vault.ErrPassphrase
	}
	return nil
}

func (n *scripted) SetRecovery(_ context.Context, phrase string) error {
	n.did = append(n.did, "recovery "+phrase)
	return nil
}

func (n *scripted) Read(_ context.Context, ref string) (schakel.Letter, error) {
	if ref != hash1[:len(ref)] {
		return schakel.Letter{}, fmt.Errorf("%w: %q", schakel.ErrNotFound, ref)
	}
	s := inbound()
	s.Exercise = n.exercise
	return schakel.Letter{Summary: s, Flags: n.flags, To: []identity.DeskID{"politie-re03/oc", "vt20/crisis"}, Device: "019ab2c0-0000-7000-8000-000000000001", Body: n.body}, nil
}

func (n *scripted) Export(context.Context, string, identity.DeskID) ([]byte, error) {
	return []byte("age"), nil
}

func (n *scripted) Trace(context.Context, string) (schakel.Summary, error) { return n.outbound(), nil }

func (n *scripted) Wait(ctx context.Context, _ string, _ schakel.State) (schakel.Summary, error) {
	if n.waitErr == context.DeadlineExceeded {
		<-ctx.Done()
		return schakel.Summary{}, ctx.Err()
	}
	return n.outbound(), n.waitErr
}

func (n *scripted) Subscribe() (<-chan schakel.Event, func()) {
	events := make(chan schakel.Event)
	return events, func() {}
}

func (n *scripted) Status(context.Context) (schakel.Status, error) {
	st := schakel.Status{Desk: "vt20/crisis", Role: identity.RoleVeiligThuis, Device: identity.DeviceID{1}, Relay: "relay-1", Connected: true, ConnectedSince: now(),
		RegisterSize: 42, Witnesses: "no dishonest witness tolerated", RegisterAge: schakel.RegisterAge{State: schakel.Fresh, Vouched: now(), RootExpires: now().AddDate(0, 6, 0)}, Unread: 1, ToAcknowledge: 1, Alarms: len(n.alarms),
		KeysUntil: now().Add(16 * 24 * time.Hour)}
	if n.status != nil {
		n.status(&st)
	}
	return st, nil
}

func (n *scripted) Alarms(context.Context) ([]schakel.Alarm, error) { return n.alarms, nil }

func (n *scripted) Directory(context.Context) ([]schakel.Desk, error) {
	if n.desks != nil {
		return n.desks, nil
	}
	return []schakel.Desk{{ID: "knooppunt/piket", Org: "Landelijk Knooppunt", Role: identity.RoleKnooppunt, Region: "NL",
		Telephone: "+31600000006", Devices: 2, Reachable: true, NewDevices: []schakel.NewDevice{
			{ID: identity.DeviceID{9}, Fingerprint: "00000 11111 22222 33333 44444 55555 66666 77777", Since: now(), Waits: now().Add(24 * time.Hour)}}}, {ID: "politie-re03/oc", Org: "Politie", Role: identity.RolePolitie}}, nil
}

func (n *scripted) Persons(context.Context) ([]schakel.Person, error) {
	if n.persons != nil {
		return n.persons, nil
	}
	return []schakel.Person{{ID: identity.PersonID{7}, Name: "P. Iket", Function: "piketdienst", Telephone: "+31600000007"}}, nil
}

func (n *scripted) AddPerson(_ context.Context, p schakel.Person, _ string) (schakel.Person, error) {
	p.ID = identity.PersonID{8}
	return p, n.personErr
}

func (n *scripted) VerifyDesk(_ context.Context, id identity.DeskID, heard string, by schakel.By) error {
	n.did = append(n.did, "verify "+string(id)+" "+heard+" "+by.Person+" "+by.PIN)
	return n.personErr
}

func (n *scripted) RefuseDesk(_ context.Context, id identity.DeskID, by schakel.By) error {
	n.did = append(n.did, "refuse "+string(id)+" "+by.Person+" "+by.PIN)
	return n.personErr
}

func (n *scripted) ConfirmDevice(_ context.Context, id identity.DeskID, device identity.DeviceID, called string, by schakel.By) error {
	n.did = append(n.did, "confirm "+string(id)+" "+device.String()+" "+called+" "+by.Person+" "+by.PIN)
	return n.personErr
}

func (n *scripted) Devices(context.Context) ([]schakel.Device, error) {
	return []schakel.Device{{ID: identity.DeviceID{1}, Desk: "vt20/crisis", Active: true, Until: now().AddDate(2, 0, 0), Here: true}}, nil
}

func (n *scripted) Revoke(_ context.Context, s trust.Subject, r trust.Reason) error {
	n.cleared = append(n.cleared, string(s)+" "+string(r))
	return n.personErr
}

func (n *scripted) RegisterEntries(context.Context) ([][]byte, error) {
	if n.entries != nil {
		return n.entries, nil
	}
	return [][]byte{{1}, {2}}, nil
}

func (n *scripted) RenewOrganisationKey(context.Context) ([]byte, error) { return nil, n.personErr }

func (n *scripted) Evidence(context.Context) ([]schakel.Evidence, error) {
	return []schakel.Evidence{{ID: "01" + hash1[:62], Kind: "fork", Raised: now(), About: "relay/relay-1", Size: 900}}, nil
}

func (n *scripted) EvidenceFile(context.Context, string) ([]byte, error) {
	return []byte("no evidence"), n.personErr
}

func (n *scripted) Vouch(context.Context, []byte) error { return n.personErr }

func (n *scripted) ClearAlarm(_ context.Context, kind schakel.AlarmKind, subject string) error {
	n.cleared = append(n.cleared, string(kind)+" "+subject)
	return nil
}

func (n *scripted) Attach(_ context.Context, name, mediaType string, content io.Reader) (schakel.Attached, error) {
	b, err := io.ReadAll(content)
	sum := sha256.Sum256(b)
	n.did = append(n.did, "attach "+name)
	return schakel.Attached{ID: "a" + strings.Repeat("0", 63), AttachedFile: protocol.AttachedFile{Name: name, MediaType: cmp.Or(mediaType, "application/pdf"),
		Bytes: uint64(len(b)), SHA256: "sha256:" + hex.EncodeToString(sum[:])}}, err
}

func (n *scripted) AttachedFiles(context.Context) ([]schakel.Attached, error) {
	return nil, n.personErr
}

func (n *scripted) DropAttached(_ context.Context, id string) error {
	n.did = append(n.did, "drop file "+id)
	return nil
}

func attachments() []schakel.Attachment {
	at := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	return []schakel.Attachment{
		{Message: hash1, Place: 1, Name: "foto.jpg", FileName: "foto.jpg", MediaType: "image/jpeg", Bytes: 11, SHA256: "sha256:" + strings.Repeat("ab", 32),
			State: schakel.AttachmentHere, Done: 6000, Length: 6000, Since: at},
		{Message: hash1, Place: 2, Name: `..\u202efdp.exe`, FileName: "_fdp.exe.pdf", MediaType: "application/pdf", Bytes: 5 << 20, SHA256: "sha256:" + strings.Repeat("cd", 32),
			State: schakel.AttachmentMoving, Done: 2 << 20, Length: 5<<20 + 3000, Rate: 1 << 20, Left: 3 * time.Second, Since: at},
	}
}

func (n *scripted) Attachments(context.Context, string, ...schakel.By) ([]schakel.Attachment, error) {
	return attachments(), n.fileErr
}

func (n *scripted) SaveAttachment(_ context.Context, _ string, place int, how schakel.Saving, w io.Writer) (schakel.Attachment, error) {
	if n.fileErr != nil {
		_, _ = io.WriteString(w, "half")
		return schakel.Attachment{}, n.fileErr
	}
	_, err := io.WriteString(w, "de inhoud\n")
	n.did = append(n.did, fmt.Sprintf("save %d anyway %t", place, how.Anyway))
	return attachments()[place-1], err
}

func (n *scripted) CarryAttachment(_ context.Context, id string, w io.Writer) error {
	if n.fileErr != nil {
		_, _ = io.WriteString(w, "half")
		return n.fileErr
	}
	_, err := w.Write(n.sealed[id])
	return err
}

func (n *scripted) MissingAttachments(context.Context) (out []schakel.SealedFile, _ error) {
	for id, b := range n.sealed {
		out = append(out, schakel.SealedFile{ID: id, Length: uint64(len(b))})
	}
	return out, n.personErr
}

func (n *scripted) BringAttachment(_ context.Context, id string, sealed io.Reader) error {
	b, err := io.ReadAll(sealed)
	if err == nil && !bytes.Equal(b, n.sealed[id]) {
		err = seal.ErrDigest
	}
	n.did = append(n.did, "bring "+id)
	return errors.Join(err, n.fileErr)
}

func (n *scripted) MoveAttachment(_ context.Context, ref string, place int, act schakel.MoveAct) error {
	n.did = append(n.did, fmt.Sprintf("%s %.8s %d", act, ref, place))
	return n.fileErr
}

func (n *scripted) AskHistory(context.Context, []identity.DeskID) ([]identity.DeskID, error) {
	return []identity.DeskID{"knooppunt/piket", "politie-re03/oc"}, n.personErr
}

func (n *scripted) Histories(context.Context) ([]schakel.History, error) {
	return []schakel.History{{Desk: "knooppunt/piket", Asked: now(), Came: 2, Of: 3, Answered: true}, {Desk: "politie-re03/oc", Asked: now()},
		{Desk: "vt20/crisis", AskedBy: now()}}, nil
}

func (n *scripted) GiveHistory(_ context.Context, desk identity.DeskID, _ string, _ schakel.By) (schakel.Given, error) {
	return schakel.Given{Desk: desk, Messages: 3, Cases: 2, Left: 1}, n.personErr
}

func (n *scripted) Away(_ context.Context, until time.Time) (schakel.Absence, error) {
	if until.IsZero() {
		return schakel.Absence{}, n.personErr
	}
	return schakel.Absence{Until: until, Untold: []identity.DeskID{"politie-re03/oc"}, Late: until.Add(-time.Hour)}, n.personErr
}

func (n *scripted) Absent(context.Context) (schakel.Absence, error) { return schakel.Absence{}, nil }

func (n *scripted) CourierDesks(context.Context) ([]schakel.CourierDesk, error) {
	return []schakel.CourierDesk{{Desk: "knooppunt/piket", Deliveries: 2}, {Desk: "politie-re03/oc", Deliveries: 1, Statement: true}, {Desk: "vt20/crisis", Deliveries: 1}}, nil
}

func (n *scripted) ExportEnvelopes(_ context.Context, to identity.DeskID) (schakel.Carried, error) {
	c := n.carried
	c.Desk, c.File, c.Until = to, []byte("envelopes"), now().AddDate(0, 0, 6)
	return c, n.personErr
}

func (n *scripted) ImportEnvelopes(context.Context, []byte) (schakel.Brought, error) {
	return n.brought, n.personErr
}

func (n *scripted) ExportCase(_ context.Context, _ string, _ schakel.By, to io.Writer) error {
	if n.personErr != nil {
		return n.personErr
	}
	_, err := io.WriteString(to, "no case file")
	return err
}

func (n *scripted) Deletions(context.Context) ([]schakel.Deletion, error) {
	return []schakel.Deletion{{Case: case1, At: now(), Due: now(), Closing: hash1, ClosedBy: "vt20/crisis", Messages: 2, Statement: []byte("statement\n")}}, nil
}

// refusal is what the protocol answers to BuZa writing to somebody else than the
// knooppunt.
func refusal() error {
	return &protocol.Refusal{Rule: protocol.RuleAbroad, Reason: protocol.Text{NL: "nee", EN: "no"},
		Remedy: protocol.Text{NL: "anders", EN: "send it to the knooppunt"},
		Faults: []protocol.Fault{{At: "/veiligContact", Reason: protocol.Text{NL: "ontbreekt", EN: "is missing"}}}}
}
