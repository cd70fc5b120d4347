package rights

import (
	"slices"

	"schakel/clients/desk"
)

// scope says which operations a program's token may be for. A scope gives nothing by
// itself: the roles of the token must have the right as well.
type scope struct {
	name       string
	operations []Operation
}

// scopes cut the table of rights into what one program needs. Every operation is in one
// of them or in Closed, so that a new one is closed to programs until somebody decided
// where it belongs.
func scopes() []scope {
	return []scope{
		{"messages:read", []Operation{"List", "Read", "ReadAs", "Trace", "Wait", "Attachments", "SaveAttachment", "MoveAttachment"}},
		{"messages:send", []Operation{"Send", "Forward", "Prepare", "Acknowledge", "Attach", "AttachedFiles", "DropAttached"}},
		{"cases:read", []Operation{"Cases", "Overview", "Progress", "Worksheet", "Restriction", "Search"}},
		{"cases:write", []Operation{"Assign", "AddNote", "Restrict"}},
		{"cases:export", []Operation{"ExportCase", "Export"}},
		{"drafts", []Operation{"Drafts", "SaveDraft", "DropDraft"}},
		{"on-call:read", []Operation{"OnCall", "Rota", "Calendar", "Readiness", "PageLog", "RelayPages", "Drills"}},
		{"on-call:write", []Operation{"ChangeRota", "SetRota", "ImportCalendar", "TestPages", "StartDrill"}},
		{"desk:read", []Operation{"Status", "Alarms", "Subscribe", "Directory", "Persons", "Devices", "RegisterEntries", "Safety"}},
		{"desk:write", []Operation{"ClearAlarm", "SendTest", "AddPerson", "Vouch", "Revoke", "VerifyDesk", "RefuseDesk", "ConfirmDevice"}},
		{"audit:read", []Operation{"Log", "Deletions"}},
	}
}

// Closed are the operations that no program may: a backup takes everything out at once, the
// recovery passphrase, the key of the organisation and a file for a courier are for people,
// evidence is for who investigates, history is handed over by who telephoned, and who goes home
// says so.
func Closed() []Operation {
	return []Operation{"CourierDesks", "ExportEnvelopes", "ImportEnvelopes", "CarryAttachment", "MissingAttachments", "BringAttachment", "Backup", "NoteBackup", "TryRecovery", "SetRecovery", "RenewOrganisationKey",
		"Evidence", "EvidenceFile", "AskHistory", "Histories", "GiveHistory", "Away", "Absent"}
}

// Scopes are the names of all scopes.
func Scopes() (out []string) {
	for _, s := range scopes() {
		out = append(out, s.name)
	}
	return out
}

// ScopeOf is the scope of an operation; "" for one that is in none.
func ScopeOf(op Operation) string {
	for _, s := range scopes() {
		if slices.Contains(s.operations, op) {
			return s.name
		}
	}
	return ""
}

// inScope reports whether a user's scopes cover an operation. Who has none at all is a
// person, and not narrowed by any.
func inScope(user desk.User, op Operation) bool {
	return user.Scopes == nil || ScopeOf(op) != "" && slices.Contains(user.Scopes, ScopeOf(op))
}
