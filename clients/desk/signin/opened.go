package signin

import (
	"context"

	"schakel/clients/desk"
	"schakel/clients/store"
)

// Opened notes that a user looked at something. It is a line of its own kind: the person
// stands there because that person's session was open, not because of a PIN.
func (d *Door) Opened(ctx context.Context, user desk.User, subject string) error {
	return d.store.Update(ctx, func(tx *store.Tx) error { return tx.Audit("web-opened", subject, personOf(user), d.now()) })
}
