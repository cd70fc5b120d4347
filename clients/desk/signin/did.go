package signin

import (
	"context"
	"fmt"
	"slices"

	"schakel/clients/desk"
	"schakel/clients/store"
	"schakel/crypto/identity"
)

// Act is what a user did without a PIN, and that the access log must know of.
type Act string

// The acts. What they were about is the subject of the line.
const (
	ActCleared Act = "web-alarm-cleared"
	ActInvited Act = "web-invited"
	ActRoles   Act = "web-roles"
	ActRemoved Act = "web-removed"
	ActAdded   Act = "web-person-added"
	ActVouched Act = "web-vouched"
	ActRevoked Act = "web-revoked"
	ActSaved   Act = "web-attachment-saved"
)

// Did notes that a user does something. Who asks notes it first: done and not noted must
// not happen.
func (d *Door) Did(ctx context.Context, user desk.User, act Act, subject string) error {
	return d.store.Update(ctx, func(tx *store.Tx) error {
		return tx.Audit(string(act), user.ID+" "+subject, personOf(user), d.now())
	})
}

// SetRoles says what a user is here for from now on, also in sessions that are open.
func (d *Door) SetRoles(ctx context.Context, who string, roles []desk.Role) (desk.User, error) {
	rows, err := d.rows(ctx)
	if err != nil {
		return desk.User{}, err
	}
	i := slices.IndexFunc(rows, func(u store.User) bool { return identity.FormatUUID(u.ID) == who })
	if i < 0 {
		return desk.User{}, fmt.Errorf("%w: %.80q", desk.ErrUnknownUser, who)
	}
	if len(roles) == 0 {
		return desk.User{}, fmt.Errorf("%w: none", desk.ErrRole)
	}
	row, err := d.keep(ctx, rows[i], roles)
	return userOf(row), err
}
