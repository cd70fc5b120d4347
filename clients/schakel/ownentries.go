package schakel

import (
	"context"
	"errors"
	"slices"

	"schakel/clients/store"
	"schakel/crypto/trust"
)

// Who steals the organisation's key can enter a device at a desk, and then reads all that is
// sent there. The device with that key knows every entry that was made with it: it notes each
// before it hands it over, and tells people of any other about this organisation as soon as
// it sees the register. The desk's other devices do not know what it made, and are silent.

// made notes an entry that is about to be handed to the relay.
func (n *Node) made(ctx context.Context, entry []byte) error {
	hash := trust.EntryHash(entry)
	return n.update(ctx, func(tx *store.Tx) error {
		return tx.Keep(store.ShelfMade, store.Kept{ID: hash[:], At: n.now()})
	})
}

// watchOwnEntries tells of new entries about this organisation that were not made here (C15). What
// the register had before this device is history: others made it. Epochs and anchors are
// no matter of the organisation's key; what does not count, of nobody's.
func (in *intake) watchOwnEntries(dir directory, from uint64, entries [][]byte, renewed bool) error {
	me, here := dir.Device(in.n.dev.ID)
	if len(in.n.orgKey()) == 0 || !here {
		return nil
	}
	skipped := dir.Skipped(from)
	mine, _ := dir.Org(in.n.dev.Desk.Org())
	for i, raw := range entries {
		index := from + uint64(i)
		if index <= me.Since || slices.ContainsFunc(skipped, func(s trust.Skipped) bool { return s.Index == index }) {
			continue
		}
		e, err := trust.ParseEntry(raw)
		if err != nil || e.OrgOf(dir.Register) != in.n.dev.Desk.Org() || e.Body.Kind() == trust.KindEpoch || e.Body.Kind() == trust.KindAnchor {
			continue
		}
		if org, ok := e.Body.(trust.Org); ok && renewed && org.Key == mine.Key {
			continue // this device asked for it: see RenewOrganisationKey
		}
		hash := e.Hash()
		if _, err = in.tx.Kept(store.ShelfMade, hash[:]); err == nil {
			continue
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := in.raise(AlarmOwn, string(e.Body.Subject()), string(e.Body.Kind())); err != nil {
			return err
		}
	}
	return nil
}

// explainOwn says what was entered, and how it is undone.
func explainOwn(a store.Alarm) (text, remedy string) {
	text = "Het register heeft een nieuwe regel over uw organisatie die hier niet is gemaakt: " + a.Subject + "."
	if a.Code == string(trust.KindRevoke) {
		text = "Iemand trok " + a.Subject + " van uw organisatie in. Dat is niet hier gedaan."
	}
	return text, "Vroeg u er zelf om, leg het alarm dan weg. Zo niet: bel nu de houders van het register, want iemand anders heeft de sleutel van uw organisatie. " +
		"Een apparaat trekt u in met `schakel device revoke`, een persoon met `schakel person revoke`."
}
