package schakel

import (
	"errors"
	"slices"
	"time"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// That all files of a message came is stated as that it was received: signed, to its sender,
// again until that one has shown that it knows. By which way they came makes no difference.
// The statement's delivery names the message among its heads, which mean nothing else in a
// statement: a program from before passes over them.

// settingWhole begins the name under which stands which desks have all files of a message.
const settingWhole = "whole/"

// wholeAt is a desk that stated it, and when.
type wholeAt struct {
	_    struct{} `cbor:",toarray"`
	Desk identity.DeskID
	At   uint64
}

// filesCame makes the sender of a message due to hear that all its files are here, where
// they are. It returns that desk; empty: nothing is to be said.
func filesCame(tx *store.Tx, h message.Hash) (sender identity.DeskID, err error) {
	m, err := tx.Message(h)
	if err != nil && !errors.Is(err, store.ErrRestricted) {
		return "", err
	}
	if whole, err := isWhole(tx, h); err != nil || !whole || m.Direction != store.In {
		return "", err
	}
	return m.Peer, tx.StateAgain(m.Peer, h)
}

// isWhole reports whether a message has files, and all of them are here.
func isWhole(tx *store.Tx, h message.Hash) (bool, error) {
	rows, err := tx.Attachments(h)
	return len(rows) > 0 && !slices.ContainsFunc(rows, func(a store.Attachment) bool { return a.Copy != store.CopyHere }), err
}

// wholeIn are the messages that a statement speaks of and whose files are all here. What one
// delivery cannot name is left out of the statement, for the next one.
func wholeIn(tx *store.Tx, st *delivery.Statement) (out []message.Hash, err error) {
	for i, s := range st.Statuses {
		whole, err := isWhole(tx, s.Message)
		if err != nil {
			return nil, err
		}
		if whole && len(out) == delivery.MaxHeads {
			st.Statuses = st.Statuses[:i]
			break
		}
		if whole {
			out = append(out, s.Message)
		}
	}
	return out, nil
}

// filesThere notes what a desk stated of the files of messages that went to it, and keeps the
// statement as its word for that.
func (in *intake) filesThere(a *arrival, at time.Time) error {
	for _, h := range a.delivery.Heads {
		rs, err := in.tx.Recipients(h)
		if err != nil {
			return err
		}
		has, err := toldWhole(in.tx, h)
		if err != nil {
			return err
		}
		known := slices.ContainsFunc(has, func(w wholeAt) bool { return w.Desk == a.from })
		if known || !slices.ContainsFunc(rs, func(r store.Recipient) bool { return r.Desk == a.from }) {
			continue // stated before, or of a message that never went there
		}
		if err := errors.Join(keep(in.tx, settingWhole+h.String(), append(has, wholeAt{Desk: a.from, At: unix(at)})), in.prove(a, h, store.Whole)); err != nil {
			return err
		}
		in.event(EventStatus, h, a.from)
	}
	return nil
}

func toldWhole(tx *store.Tx, h message.Hash) (out []wholeAt, err error) {
	err = kept(tx, settingWhole+h.String(), &out)
	return out, err
}

// haveFiles says of the recipients of a message since when they have all its files.
func haveFiles(tx *store.Tx, h message.Hash, rs []Recipient) error {
	if len(rs) == 0 {
		return nil
	}
	has, err := toldWhole(tx, h)
	for _, w := range has {
		if i := slices.IndexFunc(rs, func(r Recipient) bool { return r.Desk == w.Desk }); i >= 0 {
			rs[i].Files = moment(w.At)
		}
	}
	return err
}
