package schakel

import (
	"encoding/json"
	"errors"
	"slices"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// settingSpoken begins the name under which the versions stand that a device of a
// partner stated.
const settingSpoken = "spoken/"

// stated is the versions that this device announces with its statements: nothing, where
// it speaks only that of the agreement, as everybody does.
func (n *Node) stated() (out []uint64) {
	spoken := n.spoken.Spoken()
	if len(spoken) == 1 && spoken[0] == n.catalogue.Number() {
		return nil
	}
	for _, v := range spoken {
		out = append(out, uint64(v))
	}
	return out
}

// hears keeps which versions a device of a partner stated, its newest word.
func (in *intake) hears(device identity.DeviceID, spoken []uint64) error {
	name := settingSpoken + device.String()
	raw, err := json.Marshal(spoken)
	if err != nil {
		return err
	}
	if had, err := in.tx.Setting(name); err == nil && string(had) == string(raw) || errors.Is(err, store.ErrNotFound) && len(spoken) == 0 {
		return nil
	} else if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return in.tx.SetSetting(name, raw)
}

// spokenBy is the versions that all devices of a desk speak. One that said nothing speaks
// that of the agreement: the register names it for everybody, so that a first message, an
// acute one, never goes in a version that the other end may not read.
func (n *Node) spokenBy(tx *store.Tx, desk identity.DeskID) (out []int, err error) {
	for i, device := range n.directory().DevicesOf(desk) {
		spoken := []int{n.catalogue.Number()}
		raw, err := tx.Setting(settingSpoken + device.ID.String())
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err == nil && string(raw) != "null" {
			if err := json.Unmarshal(raw, &spoken); err != nil {
				return nil, err
			}
		}
		if i == 0 {
			out = spoken
		}
		out = slices.DeleteFunc(out, func(v int) bool { return !slices.Contains(spoken, v) })
	}
	return out, nil
}

// shared is the versions in which a message to those desks can be written, the newest
// first; a *protocol.Refusal where there is none.
func (n *Node) shared(tx *store.Tx, desks []identity.DeskID) ([]*protocol.Catalogue, error) {
	spoken := make([][]int, len(desks))
	for i, desk := range desks {
		var err error
		if spoken[i], err = n.spokenBy(tx, desk); err != nil {
			return nil, err
		}
	}
	return n.spoken.Shared(spoken...)
}

// judgedBy returns the catalogue of the version that a message names. A version that
// this program does not speak did not come past judgeMessage.
func (n *Node) judgedBy(m message.Message) *protocol.Catalogue {
	if c, ok := n.spoken.For(m.Heading.Protocol); ok {
		return c
	}
	return n.catalogue
}

// unspoken alarms when what nobody here can read was acute: somebody must telephone.
func (in *intake) unspoken(a *arrival) error {
	if a.fault.reason != reasonVersion || a.signed.Message.Heading.Urgency != message.Acute {
		return nil
	}
	return in.raise(AlarmRefused, subject(a.signed.Hash(), a.from), string(a.from))
}
