package schakel

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// settingNextOrgKey is the key that is to take the place of the organisation's, once the
// root holders have entered it.
const settingNextOrgKey = "org-key-next"

// What the audit log says of a renewal.
const (
	actionOrgKeyAsked   = "org-key-asked"
	actionOrgKeyRenewed = "org-key-renewed"
)

// RenewOrganisationKey makes another key for the organisation and returns the request
// with which the root holders enter it: the way back when the present one may be in other
// hands. Until they have, the present one counts. Called again it returns the same
// request. The present key must be on this device.
func (n *Node) RenewOrganisationKey(ctx context.Context) (request []byte, err error) {
	if err := n.mayGovern(); err != nil {
		return nil, err
	}
	var next ed25519.PrivateKey
	err = n.update(ctx, func(tx *store.Tx) (err error) {
		if next, err = nextOrgKey(tx); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if _, next, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return err
		}
		return errors.Join(tx.SetSetting(settingNextOrgKey, next.Seed()), tx.Audit(actionOrgKeyAsked, string(n.dev.Desk.Org()), identity.PersonID{}, n.now()))
	})
	if err != nil {
		return nil, err
	}
	return n.renewal(next)
}

// renewal is the admission of this desk with another key of its organisation, which
// proves that who asks has it.
func (n *Node) renewal(next ed25519.PrivateKey) ([]byte, error) {
	dir := n.directory()
	org, known := dir.Org(n.dev.Desk.Org())
	desk, here := dir.Desk(n.dev.Desk)
	if !known || !here {
		return nil, fmt.Errorf("%w: the register does not hold %s", ErrRegister, n.dev.Desk)
	}
	org.Org.Key, org.Org.Status = edKey(next).Public(), trust.OrgActive
	return trust.AdmissionRequest{Org: org.Org, Desk: desk.Desk}.Sign(edKey(next))
}

func nextOrgKey(tx *store.Tx) (ed25519.PrivateKey, error) {
	seed, err := tx.Setting(settingNextOrgKey)
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%w: next key of the organisation", store.ErrTampered)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// takeOrgKey puts the next key in the place of the organisation's where a register names
// it, and returns it; nil where nothing changes.
func (n *Node) takeOrgKey(tx *store.Tx, dir directory) (ed25519.PrivateKey, error) {
	next, err := nextOrgKey(tx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if org, ok := dir.Org(n.dev.Desk.Org()); !ok || org.Key != edKey(next).Public() {
		return nil, nil
	}
	dev, err := tx.Device()
	if err != nil {
		return nil, err
	}
	dev.Org = next
	return next, errors.Join(tx.SetDevice(dev), tx.DeleteSetting(settingNextOrgKey),
		tx.Audit(actionOrgKeyRenewed, string(n.dev.Desk.Org()), identity.PersonID{}, n.now()))
}

// orgKey is the organisation's key, empty where it is on another device. The register
// may bring another one at any time.
func (n *Node) orgKey() ed25519.PrivateKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dev.Org
}
