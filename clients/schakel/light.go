package schakel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// keepDefault is how long a light device keeps a case in which nothing waits.
const keepDefault = 7 * 24 * time.Hour

// checkLight refuses a device whose store and register entry say different things: a
// light device whose store opens without a person, a store that only a person opens of
// what the chain takes for a keeper, or the organisation's key on a machine that travels.
func (n *Node) checkLight() error {
	d, _ := n.dir.Device(n.dev.ID)
	n.light = d.Type == trust.DeviceLight
	switch {
	case n.light && !n.store.Attended():
		return fmt.Errorf("%w: the store of a light device opens with its officer's passphrase only; request the device anew with --light", ErrLight)
	case !n.light && n.store.Attended():
		return fmt.Errorf("%w: the register has this device as %q; request it anew", ErrLight, string(d.Type))
	case n.light && len(n.dev.Org) > 0:
		return fmt.Errorf("%w: the organisation's key is on it", ErrLight)
	}
	return nil
}

// notLight refuses on a light device what belongs in the office: to take a case out of
// the desk, and to decide who belongs to it or how it works. A thief who has the laptop
// open, and the PIN, can still do no more than the officer on call must be able to.
func (n *Node) notLight() error {
	if n.light {
		return ErrLight
	}
	return nil
}

// mayGovern is asked before anything that the organisation's key signs.
func (n *Node) mayGovern() error {
	if err := n.notLight(); err != nil {
		return err
	}
	if len(n.orgKey()) == 0 {
		return ErrNoOrgKey
	}
	return nil
}

// keeps reports whether the desk relies on this device to keep what is sent to it. It
// does on every device but a light one; and on that where no other can be written to.
func (n *Node) keeps() bool {
	if !n.light {
		return true
	}
	dir, now := n.directory(), n.now()
	for _, d := range dir.DevicesOf(n.dev.Desk) {
		last, ok := dir.LastEpoch(d.ID)
		if d.Type != trust.DeviceLight && d.UsableAt(now) && ok && last.Until.After(now) {
			return false
		}
	}
	return true
}

// silent reports whether this device leaves statements to a desk to the others of its
// own. "Delivered" means that the desk has the message for good: a laptop that may be
// lost tonight is no such place while the office has a device, and the sender goes on
// delivering until that one has it. Among the devices of one desk everybody states.
func (n *Node) silent(desk identity.DeskID) bool { return desk != n.dev.Desk && !n.keeps() }

// stale reports whether a record is about a case that this light device would let go of
// again: a desk tells a new device of everything it ever noted. Who may read a case is
// never old: what comes in it tomorrow would be open to everybody here.
func (in *intake) stale(r delivery.Record) bool {
	if r.Kind == delivery.RecordRestrict || r.Kind == delivery.RecordShares {
		return false
	}
	written := time.Unix(int64(r.Created), 0)
	return in.n.light && r.Case != message.CaseRef{} && in.now.Sub(written) > in.n.keepFor && !in.n.keeps()
}

// letGo forgets the cases in which nothing waits and nothing moved for a while. A light
// device is no archive: what a thief of it finds is a week, not a year. Nothing is
// stated of it, since the desk has them still; the access log, which the desk's other
// devices keep, says so. Where no other device keeps the desk's cases, nothing goes.
func (n *Node) letGo(ctx context.Context) error {
	if !n.light || n.keeps() {
		return nil
	}
	var over []message.CaseRef
	err := n.store.View(ctx, func(tx *store.Tx) error {
		refs, err := tx.CaseRefs()
		for _, ref := range refs {
			waits, waitsErr := (&intake{n: n, tx: tx, now: n.now()}).waits(ref)
			if err = errors.Join(err, waitsErr); !waits {
				over = append(over, ref)
			}
		}
		return err
	})
	for _, ref := range over {
		if err == nil {
			err = n.update(ctx, func(tx *store.Tx) error { return n.letGoOf(tx, ref) })
		}
	}
	return err
}

// letGoOf looks once more: a message may have come meanwhile.
func (n *Node) letGoOf(tx *store.Tx, ref message.CaseRef) error {
	in := &intake{n: n, tx: tx, now: n.now()}
	if waits, err := in.waits(ref); err != nil || waits {
		return err
	}
	return in.forgetCase(ref, "case-let-go")
}

// waits reports whether something in a case still needs this device, or moved lately.
func (in *intake) waits(ref message.CaseRef) (bool, error) {
	limit := in.now.Add(-in.n.keepFor)
	rows, err := rowsOf(in.tx, ref)
	if err != nil {
		return true, err
	}
	for _, row := range rows {
		if row.Received.After(limit) || !row.Destroyed && row.Acknowledged.IsZero() && !in.n.ackDue(row).IsZero() {
			return true, nil
		}
		if row.Direction != store.Out {
			continue
		}
		if under, err := in.underWay(row.Hash); err != nil || under {
			return true, err
		}
	}
	return in.noted(ref, limit)
}

// underWay reports whether something of this device has not reached everybody.
func (in *intake) underWay(h message.Hash) (bool, error) {
	rs, err := in.tx.Recipients(h)
	return slices.ContainsFunc(rs, func(r store.Recipient) bool { return r.State < store.Delivered }), err
}

// noted reports whether a colleague wrote something about a case after t, or this device
// something that the desk's other devices do not have yet. When a note of a restricted
// case was written cannot be read here: its messages alone say how long that stays.
func (in *intake) noted(ref message.CaseRef, t time.Time) (bool, error) {
	for _, kind := range []delivery.RecordKind{delivery.RecordAssign, delivery.RecordNote, delivery.RecordDraft} {
		rows, err := in.tx.Records(kind, ref)
		if err != nil {
			return true, err
		}
		for _, row := range rows {
			if under, err := in.underWay(row.Hash); err != nil || under {
				return true, err
			}
		}
		signed, err := in.n.openRecords(rows)
		if err != nil {
			return true, err
		}
		if slices.ContainsFunc(signed, func(s delivery.SignedRecord) bool { return time.Unix(int64(s.Record.Created), 0).After(t) }) {
			return true, nil
		}
	}
	return false, nil
}

// forgetCase destroys the key of a case with what stands beside it, and notes that.
func (in *intake) forgetCase(ref message.CaseRef, action string) error {
	rows, err := rowsOf(in.tx, ref)
	if err != nil {
		return err
	}
	for _, row := range rows {
		for _, of := range []string{settingSent, settingSigners, settingMisfit, settingWhole, settingMarks} {
			if err := in.tx.DeleteSetting(of + row.Hash.String()); err != nil {
				return err
			}
		}
		if err := listShort(in.tx, row.Hash, false); err != nil {
			return err
		}
	}
	for _, beside := range []string{settingExported, settingClosing, settingOwed} {
		if err := in.tx.DeleteSetting(beside + ref.String()); err != nil {
			return err
		}
	}
	if err := in.tx.DestroyCase(ref, in.now); err != nil {
		return err
	}
	if err := in.unannounce(ref); err != nil {
		return err
	}
	return in.tx.Audit(action, ref.String(), identity.PersonID{}, in.now)
}

// settingRefused is there while the relay's last word is that this device is admitted
// no more.
const settingRefused = "refused-by-relay"

// readmitTimeout bounds how long opening a device waits for the relay to take it back.
const readmitTimeout = 15 * time.Second

// refusedByRelay notes on a light device that the relay ended its session for good, or
// lets it log in no more: it was revoked, its clock is wrong, or the relay lies. The entry that revokes it never comes here, since the
// session is over; so it is the relay's word, and all that follows from it is a lock.
func (n *Node) refusedByRelay(ctx context.Context) error {
	if !n.light {
		return nil
	}
	// also when this process is being ended just now: the next one must know
	err := n.update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.SetSetting(settingRefused, []byte{1}) })
	select {
	case n.refused <- struct{}{}:
	default:
	}
	return err
}

// Refused holds a token once the relay has said that this light device is admitted no
// more. Whoever runs the node then locks the device.
func (n *Node) Refused() <-chan struct{} { return n.refused }

// Readmit returns nil where the relay has nothing against this device. Where it had, it
// must take the device back first, or this is ErrRefused: a laptop that was reported
// lost does not open again for whoever found the passphrase beside it. It must not be
// called while the node runs.
func (n *Node) Readmit(ctx context.Context) error {
	err := n.store.View(ctx, func(tx *store.Tx) error { _, err := tx.Setting(settingRefused); return err })
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	patient, cancel := context.WithTimeout(ctx, readmitTimeout)
	defer cancel()
	online := func() bool { s := n.live(); return s != nil && s.online.Load() }
	if err := n.runUntil(patient, online); err != nil {
		return fmt.Errorf("%w: %s", ErrRefused, err) // not wrapped: whatever it was, the device stays shut
	}
	select {
	case <-n.refused: // a refusal before it was taken back
	default:
	}
	return n.update(ctx, func(tx *store.Tx) error { return tx.DeleteSetting(settingRefused) })
}
