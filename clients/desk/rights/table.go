package rights

import (
	"slices"

	"schakel/clients/desk"
)

// Operation is one method of desk.Node, by its name.
type Operation string

// right says which roles may do an operation.
type right struct {
	operation Operation
	roles     []desk.Role
}

// table is all rights. Who looks after an installation, or watches over it, reads no
// case: what they may see holds identifiers, never content.
func table() []right {
	everybody := desk.Roles()
	cases := []desk.Role{desk.RoleCaseWorker, desk.RoleOnCall}
	worker := []desk.Role{desk.RoleCaseWorker}
	keeper := []desk.Role{desk.RoleKeeper}
	watch := []desk.Role{desk.RoleKeeper, desk.RoleOfficer}
	planned := []desk.Role{desk.RoleCaseWorker, desk.RoleOnCall, desk.RoleKeeper}
	paged := []desk.Role{desk.RoleOnCall, desk.RoleKeeper, desk.RoleOfficer}
	return []right{
		{"List", cases}, {"Search", cases}, {"Read", cases}, {"ReadAs", cases}, {"Trace", cases}, {"Wait", cases},
		{"Cases", cases}, {"Overview", cases}, {"Progress", cases},
		{"Acknowledge", cases}, {"Assign", cases}, {"AddNote", cases}, {"Worksheet", cases},
		{"Send", worker}, {"Forward", worker}, {"Prepare", worker}, {"Export", worker}, {"ExportCase", worker},
		{"Drafts", worker}, {"SaveDraft", worker}, {"DropDraft", worker},
		{"CourierDesks", cases}, {"ExportEnvelopes", cases}, {"ImportEnvelopes", cases},
		{"CarryAttachment", cases}, {"MissingAttachments", cases}, {"BringAttachment", cases},
		{"Attach", worker}, {"AttachedFiles", worker}, {"DropAttached", worker}, {"Attachments", cases}, {"SaveAttachment", cases}, {"MoveAttachment", cases},
		{"Restrict", worker}, {"Restriction", cases},
		{"AskHistory", cases}, {"Histories", cases}, {"GiveHistory", worker},

		{"OnCall", everybody}, {"Readiness", everybody}, {"Rota", planned}, {"Calendar", planned}, {"ChangeRota", planned},
		{"SetRota", keeper}, {"ImportCalendar", keeper}, {"StartDrill", keeper}, {"TestPages", []desk.Role{desk.RoleOnCall, desk.RoleKeeper}},
		{"PageLog", paged}, {"RelayPages", paged}, {"Drills", paged},

		{"Status", everybody}, {"Alarms", everybody}, {"Subscribe", everybody}, {"Directory", everybody}, {"Persons", everybody},
		{"Away", planned}, {"Absent", everybody}, {"ClearAlarm", planned}, {"VerifyDesk", planned}, {"RefuseDesk", planned}, {"ConfirmDevice", planned},

		{"Log", []desk.Role{desk.RoleOfficer}}, {"Deletions", []desk.Role{desk.RoleCaseWorker, desk.RoleOfficer}},
		{"Devices", watch}, {"RegisterEntries", watch}, {"Evidence", watch}, {"EvidenceFile", worker},
		{"Backup", keeper}, {"NoteBackup", keeper}, {"Safety", watch}, {"TryRecovery", keeper}, {"SetRecovery", keeper},
		{"SendTest", keeper}, {"AddPerson", keeper}, {"Vouch", keeper}, {"Revoke", keeper}, {"RenewOrganisationKey", keeper},
	}
}

// Operations are all of them, in the order of the table.
func Operations() (out []Operation) {
	for _, r := range table() {
		out = append(out, r.operation)
	}
	return out
}

// May reports whether a user may do an operation. What the table does not name nobody
// may; a program's token is narrowed by its scopes as well.
func May(user desk.User, op Operation) bool {
	return inScope(user, op) && slices.ContainsFunc(table(), func(r right) bool {
		return r.operation == op && slices.ContainsFunc(user.Roles, func(role desk.Role) bool { return slices.Contains(r.roles, role) })
	})
}
