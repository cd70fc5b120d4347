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
// of them or withheld, so that a new one is closed to programs until somebody decided
// where it belongs.
func scopes() []scope {
	return []scope{
		{"messages:read", []Operation{"List", "Read", "ReadAs", "Trace", "Wait"}},
		{"messages:send", []Operation{"Send", "Forward", "Prepare", "Acknowledge"}},
		{"cases:read", []Operation{"Cases", "Overview", "Progress", "Worksheet", "Restriction", "Search"}},
		{"cases:write", []Operation{"Assign", "AddNote", "Restrict"}},
		{"cases:export", []Operation{"ExportCase", "Export"}},
		{"drafts", []Operation{"Drafts", "SaveDraft", "DropDraft"}},
		{"on-call:read", []Operation{"OnCall", "Rota", "Calendar", "Readiness", "PageLog", "RelayPages", "Drills"}},
		{"on-call:write", []Operation{"ChangeRota", "SetRota", "ImportCalendar", "TestPages", "StartDrill"}},
		{"desk:read", []Operation{"Status", "Safety", "Alarms", "Subscribe", "Directory", "Persons", "Devices", "RegisterEntries"}},
		{"desk:write", []Operation{"ClearAlarm", "VerifyDesk", "RefuseDesk", "SendTest", "AddPerson", "Vouch", "Revoke"}},
		{"audit:read", []Operation{"Log", "Deletions"}},
	}
}

// Withheld are the operations that are in no scope: whatever its roles, no program may do
// them. A backup is the whole store, and who sets the recovery passphrase can open one: a
// token that leaks would take every case of the desk with it.
func Withheld() []Operation {
	return []Operation{"Backup", "NoteBackup", "TryRecovery", "SetRecovery"}
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
