package schakel

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// settingPersonEntry begins the name under which a person's register entry waits
// until the register has it.
const settingPersonEntry = "person-entry/"

// ErrNoOrgKey says that another device of the organisation must do this.
var ErrNoOrgKey = errors.New("the organisation's key is not on this device")

// AddPerson makes a person's key, certifies it by the organisation and publishes
// it, at once or as soon as there is a connection. The organisation's key must be
// on this device. The key is locked under the PIN, which takes about a second.
func (n *Node) AddPerson(ctx context.Context, p Person, pin string) (Person, error) {
	if err := n.mayGovern(); err != nil {
		return Person{}, err
	}
	if err := n.checkPerson(p); err != nil {
		return Person{}, err
	}
	id, err := identity.NewUUIDv7(n.now(), rand.Reader)
	if err != nil {
		return Person{}, err
	}
	p.ID = identity.PersonID(id)
	key, err := seal.NewPersonKey(p.ID, rand.Reader)
	if err != nil {
		return Person{}, err
	}
	locked, err := store.LockPerson(key.Key, pin, n.pinWork)
	if err != nil {
		return Person{}, fmt.Errorf("%w: %w", ErrPIN, err)
	}
	now := n.now().UTC().Truncate(time.Second)
	body := trust.Person{ID: p.ID, Desk: n.dev.Desk, Key: key.Public(), From: now.Add(-backdate), Until: now.Add(deviceLife)}
	entry, err := body.Sign(trust.First(), edKey(n.orgKey()), edKey(key.Key))
	if err != nil {
		return Person{}, err
	}
	err = n.update(ctx, func(tx *store.Tx) error {
		if err := tx.SetPerson(store.Person{ID: p.ID, Name: p.Name, Function: p.Function, Telephone: p.Telephone, Locked: locked}); err != nil {
			return err
		}
		return tx.SetSetting(settingPersonEntry+p.ID.String(), entry)
	})
	if err != nil {
		return Person{}, err
	}
	if err := n.keepReading(ctx, key); err != nil {
		return Person{}, err
	}
	if err := n.post(ctx, entry); err != nil {
		n.log.Info("person not in the register yet", "err", err)
	}
	return p, nil
}

// checkPerson refuses particulars that no ontvangstbevestiging could carry: better
// now than at night, when this person acknowledges for the first time.
func (n *Node) checkPerson(p Person) error {
	some, err := identity.NewUUIDv7(n.now(), rand.Reader)
	if err != nil {
		return err
	}
	_, err = n.catalogue.AcknowledgementBody(protocol.Acknowledgement{
		Confirms: message.ID(some), Name: p.Name, Function: p.Function, Telephone: p.Telephone, Status: protocol.StatusTaken,
	})
	return err
}

// gone reports whether a person may sign no more. One that the register does not
// have yet is not gone.
func (n *Node) gone(id identity.PersonID) bool {
	p, ok := n.directory().Person(id)
	return ok && !p.UsableAt(n.now())
}

// keepPersons offers the entries of persons that the register does not have yet, and
// tells the desk's other devices of those that it has.
func (n *Node) keepPersons(ctx context.Context) error {
	s := n.live()
	if s == nil || !s.online.Load() {
		return nil
	}
	all, err := n.Persons(ctx)
	if err != nil {
		return err
	}
	for _, p := range all {
		if _, ok := n.directory().Person(p.ID); ok {
			if err := n.tellPerson(ctx, p.ID); err != nil {
				return err
			}
			continue
		}
		var entry []byte
		err := n.store.View(ctx, func(tx *store.Tx) (err error) {
			entry, err = tx.Setting(settingPersonEntry + p.ID.String())
			return err
		})
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if entry, err = n.recertified(ctx, p.ID, entry); err != nil {
			return err
		}
		if err := s.say(ctx, wire.Append{Entry: entry}); err != nil {
			return err
		}
	}
	return nil
}

// recertified is the entry of a person that waits, under the organisation's present key: the
// one that signed it may have been replaced meanwhile, and nobody takes it any more then.
func (n *Node) recertified(ctx context.Context, id identity.PersonID, entry []byte) ([]byte, error) {
	key := n.orgKey()
	if len(key) == 0 {
		return entry, nil
	}
	again, err := trust.Recertify(entry, edKey(key))
	if err != nil || bytes.Equal(again, entry) {
		return again, err
	}
	if err := n.made(ctx, again); err != nil {
		return nil, err
	}
	return again, n.update(ctx, func(tx *store.Tx) error {
		return tx.SetSetting(settingPersonEntry+id.String(), again)
	})
}

// Persons returns the persons whose keys are on this device and who may sign:
// not those who were revoked.
func (n *Node) Persons(ctx context.Context) (out []Person, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		ps, err := tx.Persons()
		for _, p := range ps {
			if n.gone(p.ID) {
				continue
			}
			out = append(out, Person{ID: p.ID, Name: p.Name, Function: p.Function, Telephone: p.Telephone})
		}
		return err
	})
	return out, err
}
