package token

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"schakel/clients/desk"
	"schakel/clients/store"
	"schakel/crypto/identity"
)

// action begins what the access log says of programs; the operation and the token follow.
// These lines are part of the one log of the device, which its other devices keep as well:
// what a program read is shown with what people read, and cannot be cut out by itself.
const action = "api:"

// maxSubject bounds what a program wrote of what it wants to see.
const maxSubject = 100

// Used notes that a program uses its token for something of a case.
func (k *Keeper) Used(ctx context.Context, t desk.Token, operation, subject string) error {
	if len(subject) > maxSubject {
		subject = subject[:maxSubject]
	}
	return k.store.Update(ctx, func(tx *store.Tx) error {
		return tx.Audit(action+operation+":"+t.ID, subject, identity.PersonID{}, k.now())
	})
}

// TokenLog implements desk.Tokens. It checks the whole access log.
func (k *Keeper) TokenLog(ctx context.Context, who string) ([]desk.TokenUse, error) {
	only := ""
	if who != "" {
		switch t, err := k.named(ctx, who); {
		case errors.Is(err, desk.ErrUnknownToken) && len(who) == 2*idSize:
			only = who // of one that was revoked
		case err != nil:
			return nil, err
		default:
			only = t.ID
		}
	}
	out := []desk.TokenUse{}
	err := k.store.View(ctx, func(tx *store.Tx) error {
		return tx.AuditLog(func(e store.AuditEntry) error {
			rest, ok := strings.CutPrefix(e.Action, action)
			operation, id, _ := strings.Cut(rest, ":")
			if ok && (only == "" || id == only) {
				out = append(out, desk.TokenUse{At: e.At.UTC(), Token: id, Operation: operation, Subject: e.Subject})
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("failed to read the access log: %w", err)
	}
	return out, nil
}
