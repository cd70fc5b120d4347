package rights

import (
	"context"
	"io"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

func (g guarded) Directory(ctx context.Context) ([]schakel.Desk, error) {
	return allowed(g, "Directory", func() ([]schakel.Desk, error) { return g.node.Directory(ctx) })
}

func (g guarded) Persons(ctx context.Context) ([]schakel.Person, error) {
	return allowed(g, "Persons", func() ([]schakel.Person, error) { return g.node.Persons(ctx) })
}

func (g guarded) AddPerson(ctx context.Context, p schakel.Person, pin string) (schakel.Person, error) {
	return allowed(g, "AddPerson", func() (schakel.Person, error) { return g.node.AddPerson(ctx, p, pin) })
}

func (g guarded) VerifyDesk(ctx context.Context, id identity.DeskID, heard string, by schakel.By) error {
	_, err := signed(g, "VerifyDesk", by.Person, func() (struct{}, error) { return nothing(g.node.VerifyDesk(ctx, id, heard, by)) })
	return err
}

func (g guarded) RefuseDesk(ctx context.Context, id identity.DeskID, by schakel.By) error {
	_, err := signed(g, "RefuseDesk", by.Person, func() (struct{}, error) { return nothing(g.node.RefuseDesk(ctx, id, by)) })
	return err
}

func (g guarded) ConfirmDevice(ctx context.Context, desk identity.DeskID, device identity.DeviceID, called string, by schakel.By) error {
	_, err := signed(g, "ConfirmDevice", by.Person, func() (struct{}, error) { return nothing(g.node.ConfirmDevice(ctx, desk, device, called, by)) })
	return err
}

func (g guarded) Devices(ctx context.Context) ([]schakel.Device, error) {
	return allowed(g, "Devices", func() ([]schakel.Device, error) { return g.node.Devices(ctx) })
}

func (g guarded) RenewOrganisationKey(ctx context.Context) ([]byte, error) {
	return allowed(g, "RenewOrganisationKey", func() ([]byte, error) { return g.node.RenewOrganisationKey(ctx) })
}

func (g guarded) Vouch(ctx context.Context, request []byte) error {
	_, err := allowed(g, "Vouch", func() (struct{}, error) { return nothing(g.node.Vouch(ctx, request)) })
	return err
}

func (g guarded) Revoke(ctx context.Context, subject trust.Subject, reason trust.Reason) error {
	_, err := allowed(g, "Revoke", func() (struct{}, error) { return nothing(g.node.Revoke(ctx, subject, reason)) })
	return err
}

func (g guarded) RegisterEntries(ctx context.Context) ([][]byte, error) {
	return allowed(g, "RegisterEntries", func() ([][]byte, error) { return g.node.RegisterEntries(ctx) })
}

func (g guarded) Evidence(ctx context.Context) ([]schakel.Evidence, error) {
	return allowed(g, "Evidence", func() ([]schakel.Evidence, error) { return g.node.Evidence(ctx) })
}

func (g guarded) EvidenceFile(ctx context.Context, id string) ([]byte, error) {
	return allowed(g, "EvidenceFile", func() ([]byte, error) { return g.node.EvidenceFile(ctx, id) })
}

func (g guarded) ExportCase(ctx context.Context, ref string, by schakel.By, to io.Writer) error {
	_, err := signed(g, "ExportCase", by.Person, func() (struct{}, error) { return nothing(g.node.ExportCase(ctx, ref, by, to)) })
	return err
}

func (g guarded) Deletions(ctx context.Context) ([]schakel.Deletion, error) {
	return allowed(g, "Deletions", func() ([]schakel.Deletion, error) { return g.node.Deletions(ctx) })
}

func (g guarded) Backup(ctx context.Context, w io.Writer) (schakel.Backup, error) {
	return allowed(g, "Backup", func() (schakel.Backup, error) { return g.node.Backup(ctx, w) })
}

func (g guarded) NoteBackup(ctx context.Context, b schakel.Backup) error {
	_, err := allowed(g, "NoteBackup", func() (struct{}, error) { return nothing(g.node.NoteBackup(ctx, b)) })
	return err
}

func (g guarded) Safety(ctx context.Context) (schakel.Safety, error) {
	return allowed(g, "Safety", func() (schakel.Safety, error) { return g.node.Safety(ctx) })
}

func (g guarded) TryRecovery(ctx context.Context, phrase string) error {
	_, err := allowed(g, "TryRecovery", func() (struct{}, error) { return nothing(g.node.TryRecovery(ctx, phrase)) })
	return err
}

func (g guarded) SetRecovery(ctx context.Context, phrase string) error {
	_, err := allowed(g, "SetRecovery", func() (struct{}, error) { return nothing(g.node.SetRecovery(ctx, phrase)) })
	return err
}

func (g guarded) Assign(ctx context.Context, ref, to string, by schakel.By) (schakel.Assignment, error) {
	return signed(g, "Assign", by.Person, func() (schakel.Assignment, error) { return g.node.Assign(ctx, ref, to, by) })
}

func (g guarded) AddNote(ctx context.Context, ref, text string, by schakel.By) (schakel.Note, error) {
	return signed(g, "AddNote", by.Person, func() (schakel.Note, error) { return g.node.AddNote(ctx, ref, text, by) })
}

func (g guarded) Worksheet(ctx context.Context, ref string, by ...schakel.By) (schakel.Worksheet, error) {
	return looked(g, "Worksheet", by, func() (schakel.Worksheet, error) { return g.node.Worksheet(ctx, ref, by...) })
}

func (g guarded) Drafts(ctx context.Context, ref string, by ...schakel.By) ([]schakel.SavedDraft, error) {
	return looked(g, "Drafts", by, func() ([]schakel.SavedDraft, error) { return g.node.Drafts(ctx, ref, by...) })
}

func (g guarded) SaveDraft(ctx context.Context, id, version string, d schakel.Draft, by schakel.By) (schakel.SavedDraft, error) {
	return signed(g, "SaveDraft", by.Person, func() (schakel.SavedDraft, error) { return g.node.SaveDraft(ctx, id, version, d, by) })
}

func (g guarded) DropDraft(ctx context.Context, id, version string, by schakel.By) error {
	_, err := signed(g, "DropDraft", by.Person, func() (struct{}, error) { return nothing(g.node.DropDraft(ctx, id, version, by)) })
	return err
}

func (g guarded) Restrict(ctx context.Context, ref string, to []string, by schakel.By) (schakel.Restriction, error) {
	return signed(g, "Restrict", by.Person, func() (schakel.Restriction, error) { return g.node.Restrict(ctx, ref, to, by) })
}

func (g guarded) Restriction(ctx context.Context, ref string) (schakel.Restriction, error) {
	return allowed(g, "Restriction", func() (schakel.Restriction, error) { return g.node.Restriction(ctx, ref) })
}

func (g guarded) Log(ctx context.Context, ref string) (schakel.AccessLog, error) {
	return allowed(g, "Log", func() (schakel.AccessLog, error) { return g.node.Log(ctx, ref) })
}

func (g guarded) Attach(ctx context.Context, name, mediaType string, content io.Reader) (schakel.Attached, error) {
	return allowed(g, "Attach", func() (schakel.Attached, error) { return g.node.Attach(ctx, name, mediaType, content) })
}

func (g guarded) AttachedFiles(ctx context.Context) ([]schakel.Attached, error) {
	return allowed(g, "AttachedFiles", func() ([]schakel.Attached, error) { return g.node.AttachedFiles(ctx) })
}

func (g guarded) DropAttached(ctx context.Context, id string) error {
	_, err := allowed(g, "DropAttached", func() (struct{}, error) { return nothing(g.node.DropAttached(ctx, id)) })
	return err
}

func (g guarded) Attachments(ctx context.Context, ref string, by ...schakel.By) ([]schakel.Attachment, error) {
	return looked(g, "Attachments", by, func() ([]schakel.Attachment, error) { return g.node.Attachments(ctx, ref, by...) })
}

func (g guarded) SaveAttachment(ctx context.Context, ref string, place int, how schakel.Saving, w io.Writer) (schakel.Attachment, error) {
	return signed(g, "SaveAttachment", how.Person, func() (schakel.Attachment, error) {
		return g.node.SaveAttachment(ctx, ref, place, how, w)
	})
}

func (g guarded) MoveAttachment(ctx context.Context, ref string, place int, act schakel.MoveAct) error {
	_, err := allowed(g, "MoveAttachment", func() (struct{}, error) { return nothing(g.node.MoveAttachment(ctx, ref, place, act)) })
	return err
}

func (g guarded) CarryAttachment(ctx context.Context, id string, w io.Writer) error {
	_, err := allowed(g, "CarryAttachment", func() (struct{}, error) { return nothing(g.node.CarryAttachment(ctx, id, w)) })
	return err
}

func (g guarded) BringAttachment(ctx context.Context, id string, sealed io.Reader) error {
	_, err := allowed(g, "BringAttachment", func() (struct{}, error) { return nothing(g.node.BringAttachment(ctx, id, sealed)) })
	return err
}
