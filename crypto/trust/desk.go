package trust

import (
	"fmt"
	"strings"

	"schakel/crypto/identity"
)

// Desk is a functional mailbox (bureau) of an organisation. Its role and region
// are the root's to give: the organisation alone can change its name and its
// telephone number (attacks H11 and C17).
type Desk struct {
	ID     identity.DeskID
	Name   string // plain ASCII; 1 to 80 characters
	Role   identity.Role
	Region string // 1 to 24 of letters, digits and hyphens
	Phone  string // E.164, such as +31600000020: whom to call when messages cannot say it
}

// Kind is KindDesk.
func (Desk) Kind() Kind { return KindDesk }

// Subject is "desk/" and the id.
func (b Desk) Subject() Subject { return Subject("desk/" + b.ID) }

func (Desk) signers() []string { return []string{asRoot, asOrg} }

// Sign makes the entry; the organisation must sign, and k of the root where role
// or region are new.
func (b Desk) Sign(at Place, org Signer, holders ...Signer) ([]byte, error) {
	return signEntry(b, at, append(byRoots(holders), ByOrg(org))...)
}

func (b Desk) write(w *writer) {
	w.text("name", b.Name)
	w.text("role", string(b.Role))
	w.text("region", b.Region)
	w.text("phone", b.Phone)
}

func readDesk(s Subject, r *reader) Desk {
	return Desk{
		ID:     subjectID(r, s, KindDesk, identity.ParseDeskID),
		Name:   r.text("name", maxName),
		Role:   take(r, "role", 32, identity.ParseRole),
		Region: r.text("region", 24),
		Phone:  r.text("phone", 16),
	}
}

func (b Desk) check() error {
	if _, err := identity.ParseDeskID(string(b.ID)); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if _, err := identity.ParseRole(string(b.Role)); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	number, plus := strings.CutPrefix(b.Phone, "+")
	switch {
	case !printable(b.Name, maxName):
		return fmt.Errorf("%w: name %q: use 1 to %d characters of plain ASCII", ErrFormat, clip(b.Name), maxName)
	case !validRegion(b.Region):
		return fmt.Errorf("%w: region %q: use 1 to 24 letters, digits and hyphens", ErrFormat, clip(b.Region))
	case !plus || len(number) < 8 || len(number) > 15 || !digits(number):
		return fmt.Errorf("%w: telephone %q: write it as +31600000020", ErrFormat, clip(b.Phone))
	}
	return nil
}

func validRegion(s string) bool {
	return len(s) > 0 && len(s) <= 24 && strings.IndexFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-'
	}) < 0
}
