package trust

import (
	"fmt"
	"strings"

	"schakel/crypto/identity"
)

// OrgStatus says whether an organisation takes part.
type OrgStatus string

// A suspended organisation can be made active again; a revoked one cannot.
const (
	OrgActive    OrgStatus = "active"
	OrgSuspended OrgStatus = "suspended"
)

// Org is an organisation and the key by which it speaks for its desks, devices
// and persons.
type Org struct {
	ID     identity.OrgID
	Name   string // plain ASCII; 1 to 80 characters
	OIN    string // organisatie-identificatienummer: 20 digits
	Key    identity.Key
	Status OrgStatus
}

// Kind is KindOrg.
func (Org) Kind() Kind { return KindOrg }

// Subject is "org/" and the id.
func (b Org) Subject() Subject { return Subject("org/" + b.ID) }

func (Org) signers() []string { return []string{asRoot} }

// Sign makes the entry; k of the root must sign.
func (b Org) Sign(at Place, holders ...Signer) ([]byte, error) {
	return signEntry(b, at, byRoots(holders)...)
}

func (b Org) write(w *writer) {
	w.text("name", b.Name)
	w.text("oin", b.OIN)
	w.text("key", b.Key.String())
	w.text("status", string(b.Status))
}

func readOrg(s Subject, r *reader) Org {
	return Org{
		ID:     subjectID(r, s, KindOrg, identity.ParseOrgID),
		Name:   r.text("name", maxName),
		OIN:    r.text("oin", 20),
		Key:    r.key("key"),
		Status: OrgStatus(r.text("status", 16)),
	}
}

func (b Org) check() error {
	if _, err := identity.ParseOrgID(string(b.ID)); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	switch {
	case !printable(b.Name, maxName):
		return fmt.Errorf("%w: name %q: use 1 to %d characters of plain ASCII", ErrFormat, clip(b.Name), maxName)
	case len(b.OIN) != 20 || !digits(b.OIN):
		return fmt.Errorf("%w: OIN %q: write 20 digits", ErrFormat, clip(b.OIN))
	case b.Status != OrgActive && b.Status != OrgSuspended:
		return fmt.Errorf("%w: status %q: write %s or %s", ErrFormat, clip(string(b.Status)), OrgActive, OrgSuspended)
	}
	return distinct(b.Key)
}

const maxName = 80

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
