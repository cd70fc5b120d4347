package schakel

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// owedDuty is something that a case asks of this desk, without what was said in it.
type owedDuty struct {
	Duty  protocol.Duty `json:"duty"`
	Since message.Hash  `json:"since"` // the message that asks it
	Due   time.Time     `json:"due"`
}

// openDuties is what a case asks of this desk besides acknowledging: that waits as a
// message does.
func (n *Node) openDuties(known protocol.Case) (out []owedDuty) {
	if known.Closing != nil {
		return nil
	}
	for _, o := range known.Owes(n.dev.Desk) {
		if o.Duty != protocol.DutyAcknowledge {
			out = append(out, owedDuty{o.Duty, o.Since.Hash, o.Due.UTC()})
		}
	}
	return out
}

// settingOwed begins the name under which it is kept what a restricted case asks of this
// desk, as of when somebody who may read it was last there: who is on call must hear of it
// at any hour.
const settingOwed = "owed/"

// keepOwed keeps what a case asks of this desk, where this transaction can read it.
func (n *Node) keepOwed(tx *store.Tx, ref message.CaseRef) error {
	known, err := n.caseOf(tx, ref)
	if errors.Is(err, ErrRestricted) {
		return nil // something of it is closed to a list that lost
	}
	if err != nil {
		return err
	}
	now, err := json.Marshal(n.openDuties(known))
	if err != nil {
		return err
	}
	before, err := tx.Setting(settingOwed + ref.String())
	if err != nil && !errors.Is(err, store.ErrNotFound) || bytes.Equal(now, before) {
		return err
	}
	return tx.SetSetting(settingOwed+ref.String(), now)
}

// keptOwed is what keepOwed kept.
func (n *Node) keptOwed(tx *store.Tx, ref message.CaseRef) (out []owedDuty, err error) {
	b, err := tx.Setting(settingOwed + ref.String())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return out, json.Unmarshal(b, &out)
}

// keepOwedAs keeps it after a person of this desk said something in a restricted case. Who
// acknowledges unread changes nothing that can be known.
func (n *Node) keepOwedAs(tx *store.Tx, ref message.CaseRef, person *seal.PersonKey) error {
	lock, err := tx.CaseLock(ref)
	if err != nil || lock == nil {
		return err
	}
	if err := n.openFor(tx, ref, person); err != nil {
		if errors.Is(err, ErrRestricted) {
			return nil
		}
		return err
	}
	return n.keepOwed(tx, ref)
}
