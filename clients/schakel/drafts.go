package schakel

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// SavedDraft is one version of a message that is still being written. A draft has more
// than one where two people changed it without seeing each other: both are kept.
type SavedDraft struct {
	ID      string    `json:"id"`
	Version string    `json:"version"` // hash of this version
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Draft   Draft     `json:"draft"`
}

// SavedVersion names one version of a draft.
type SavedVersion struct {
	ID      string `json:"id"`
	Version string `json:"version"`
}

// draftContent is what a record of a draft carries. The signature of the message is the
// sender's affair: person and PIN are never kept.
type draftContent struct {
	Draft   Draft `json:"draft"`
	Dropped bool  `json:"dropped,omitempty"`
}

// SaveDraft keeps a draft among the devices of this desk. Without an ID it is a new
// one. version names what was edited; it may be empty where there is one version only,
// and is refused with ErrDraftVersions where there are more. What somebody else saved
// meanwhile stays beside it.
func (n *Node) SaveDraft(ctx context.Context, id, version string, d Draft, by By) (SavedDraft, error) {
	d.Person, d.PIN, d.Saved = "", "", nil
	return n.writeDraft(ctx, id, version, draftContent{Draft: d}, by)
}

// DropDraft takes a version of a draft off the lists, such as one that was sent. A
// version that somebody else saved meanwhile stays.
func (n *Node) DropDraft(ctx context.Context, id, version string, by By) error {
	_, err := n.writeDraft(ctx, id, version, draftContent{Dropped: true}, by)
	return err
}

// dropSent takes the version off the lists that a message was made of. It runs in the
// transaction that puts the message on disk: no draft is lost with a message that was
// refused, and none stays of one that goes.
func (n *Node) dropSent(d Draft, by *seal.PersonKey) func(*store.Tx, message.Signed) error {
	if d.Saved == nil {
		return nil
	}
	return func(tx *store.Tx, signed message.Signed) error {
		if by == nil {
			return ErrPersonNeeded // colleagues must see who sent it
		}
		c := draftContent{Dropped: true}
		if err := n.openFor(tx, signed.Message.Case, by); err != nil {
			return err
		}
		r, err := n.draftRecord(tx, d.Saved.ID, d.Saved.Version, &c)
		if err != nil {
			return err
		}
		if r.Content, err = json.Marshal(c); err != nil {
			return err
		}
		_, err = n.write(tx, r, by)
		return err
	}
}

func (n *Node) writeDraft(ctx context.Context, id, version string, c draftContent, by By) (out SavedDraft, err error) {
	key, err := n.mustUnlock(ctx, by)
	if err != nil {
		return out, err
	}
	a, err := n.enterDraft(ctx, id, c.Draft, key)
	if err != nil {
		return out, err
	}
	err = n.inside(ctx, a, true, func(tx *store.Tx) error {
		r, err := n.draftRecord(tx, id, version, &c)
		if err != nil {
			return err
		}
		if r.Content, err = json.Marshal(c); err != nil {
			return err
		}
		s, err := n.write(tx, r, key)
		if err != nil {
			return err
		}
		out, _, err = n.draftOf(tx, s)
		return err
	})
	n.written(nil, err)
	return out, err
}

// enterDraft gives access to the case of a draft.
func (n *Node) enterDraft(ctx context.Context, id string, d Draft, key *seal.PersonKey) (a access, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		if u, bad := identity.ParseUUID(id); bad == nil {
			if a.kase, err = tx.CaseOfThread(delivery.RecordDraft, u); errors.Is(err, store.ErrNotFound) {
				err = fmt.Errorf("%w: draft %.80q", ErrNotFound, id)
			}
		} else {
			a.kase, err = draftCase(tx, d)
		}
		if err != nil || a.kase == (message.CaseRef{}) {
			return err
		}
		return n.admit(tx, &a, key)
	})
	return a, err
}

// draftRecord is the record of a version: of a new draft, or following the version that
// was edited.
func (n *Node) draftRecord(tx *store.Tx, id, version string, c *draftContent) (delivery.Record, error) {
	r := delivery.Record{Kind: delivery.RecordDraft}
	if id == "" && !c.Dropped {
		u, err := identity.NewUUIDv7(n.now(), rand.Reader)
		r.Thread = u
		if err == nil {
			r.Case, err = draftCase(tx, c.Draft)
		}
		return r, err
	}
	versions, err := n.versions(tx, id)
	if err != nil {
		return r, err
	}
	if version == "" && len(versions) > 1 {
		return r, fmt.Errorf("%w: %d of draft %.8s", ErrDraftVersions, len(versions), id)
	}
	i := slices.IndexFunc(versions, func(s delivery.SignedRecord) bool { return version == "" || s.Hash().String() == version })
	if i < 0 {
		return r, fmt.Errorf("%w: version %.80q of draft %.8s", ErrNotFound, version, id)
	}
	edited := versions[i]
	r.Thread, r.Case, r.Follows = edited.Record.Thread, edited.Record.Case, []message.Hash{edited.Hash()}
	if c.Draft.Case == "" && r.Case != (message.CaseRef{}) {
		c.Draft.Case = r.Case.String()
	}
	if !c.Dropped && c.Draft.Case != "" && c.Draft.Case != r.Case.String() {
		return r, fmt.Errorf("%w: %s", ErrDraftCase, r.Case)
	}
	if r.Case != (message.CaseRef{}) {
		return r, nil
	}
	speaksOf, err := draftCase(tx, c.Draft)
	if err != nil {
		return r, err
	}
	if lock, err := tx.CaseLock(speaksOf); err != nil || lock != nil {
		return r, cmp.Or(err, fmt.Errorf("%w: begin a new draft for the restricted case %s", ErrDraftCase, speaksOf))
	}
	return r, nil
}

// draftCase is the case that a draft belongs to, and with which it is closed: the one that
// it names, else that of the message it answers, else the restricted one of a message that
// it rests on. The zero case is that of what opens one.
func draftCase(tx *store.Tx, d Draft) (message.CaseRef, error) {
	if d.Case != "" {
		return caseRef(tx, d.Case)
	}
	for _, ref := range append([]string{d.Answers}, d.RestsOn...) {
		row, err := find(tx, ref)
		if isNotFound(err) || errors.Is(err, store.ErrDestroyed) {
			continue // a draft need not be right yet
		}
		if err != nil {
			return message.CaseRef{}, err
		}
		lock, err := tx.CaseLock(row.Case)
		if err != nil || lock != nil || ref == d.Answers {
			return row.Case, err
		}
	}
	return message.CaseRef{}, nil
}

// versions are the newest versions of a draft, dropped ones left out.
func (n *Node) versions(tx *store.Tx, id string) ([]delivery.SignedRecord, error) {
	u, err := identity.ParseUUID(id)
	if err != nil {
		return nil, fmt.Errorf("%w: draft %.80q", ErrNotFound, id)
	}
	all, err := n.newest(tx, message.CaseRef{})
	all = slices.DeleteFunc(all, func(s delivery.SignedRecord) bool { return s.Record.Thread != [16]byte(u) })
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w: draft %.80q", ErrNotFound, id)
	}
	return all, err
}

// newest are the versions of all drafts of a case, or of all cases, that nobody wrote
// another one in sight of, dropped ones left out.
func (n *Node) newest(tx *store.Tx, kase message.CaseRef) (out []delivery.SignedRecord, err error) {
	rows, err := tx.Records(delivery.RecordDraft, kase)
	if err != nil {
		return nil, err
	}
	signed, err := n.openRecords(rows)
	followed := map[message.Hash]bool{}
	for _, s := range signed {
		for _, f := range s.Record.Follows {
			followed[f] = true
		}
	}
	for _, s := range signed {
		var c draftContent
		if !followed[s.Hash()] && json.Unmarshal(s.Record.Content, &c) == nil && !c.Dropped {
			out = append(out, s)
		}
	}
	return out, err
}

// Drafts lists the drafts of a case, or with "" of this desk, newest first; of restricted
// cases those that by may read. The access log says so.
func (n *Node) Drafts(ctx context.Context, ref string, by ...By) (out []SavedDraft, err error) {
	subject, a := "all", access{}
	if ref == "" {
		a, err = n.enterAll(ctx, one(by))
	} else if a, err = n.accessTo(ctx, ref, one(by)); err == nil {
		subject = a.kase.String()
	}
	if err != nil {
		return nil, err
	}
	err = n.inside(ctx, a, false, func(tx *store.Tx) error {
		out, err = n.drafts(tx, a.kase)
		return err
	})
	if err == nil && len(out) > 0 {
		err = n.note(ctx, actionDrafts, subject, a.person)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// enterAll finds the keys of every restricted case that somebody may read.
func (n *Node) enterAll(ctx context.Context, by By) (a access, err error) {
	key, err := n.unlock(ctx, by.Person, by.PIN)
	if err != nil || key == nil {
		return a, err
	}
	a.person = key.ID
	err = n.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.Records(delivery.RecordRestrict, message.CaseRef{})
		seen := map[message.CaseRef]bool{}
		for _, row := range rows {
			if seen[row.Case] {
				continue
			}
			seen[row.Case] = true
			into := access{kase: row.Case}
			if err := n.admit(tx, &into, key); err != nil && !errors.Is(err, ErrRestricted) {
				return err
			}
			a.keys, a.restricted = append(a.keys, into.keys...), true
		}
		return err
	})
	return a, err
}

func (n *Node) drafts(tx *store.Tx, kase message.CaseRef) ([]SavedDraft, error) {
	signed, err := n.newest(tx, kase)
	out := make([]SavedDraft, 0, len(signed))
	for _, s := range signed {
		d, ok, err := n.draftOf(tx, s)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b SavedDraft) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Version, b.Version))
	})
	return out, err
}

func (n *Node) draftOf(tx *store.Tx, s delivery.SignedRecord) (SavedDraft, bool, error) {
	var c draftContent
	if err := json.Unmarshal(s.Record.Content, &c); err != nil {
		return SavedDraft{}, false, fmt.Errorf("%w: draft %s: %w", store.ErrTampered, s.Hash(), err)
	}
	return SavedDraft{ID: message.ID(s.Record.Thread).String(), Version: s.Hash().String(),
		By: n.nameOf(tx, identity.PersonID(s.Record.Person)), At: time.Unix(int64(s.Record.Created), 0).UTC(), Draft: c.Draft}, !c.Dropped, nil
}

func sortNotes(notes []Note) {
	slices.SortFunc(notes, func(a, b Note) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Hash, b.Hash)) })
}

// Worksheet returns what this desk keeps to itself about a case. Of a restricted case only
// who may read it sees notes and drafts.
func (n *Node) Worksheet(ctx context.Context, ref string, by ...By) (w Worksheet, err error) {
	a, err := n.accessTo(ctx, ref, one(by))
	if err != nil {
		return w, err
	}
	err = n.inside(ctx, a, false, func(tx *store.Tx) error {
		kase, err := n.knownCase(tx, ref)
		if err != nil {
			return err
		}
		if w.Assignment, err = n.assignment(tx, kase); err != nil {
			return err
		}
		if w.Notes, err = n.notes(tx, kase); err != nil {
			return err
		}
		w.Drafts, err = n.drafts(tx, kase)
		return err
	})
	if err == nil && len(w.Notes)+len(w.Drafts) > 0 {
		err = n.note(ctx, actionCase, w.Assignment.Case, a.person)
	}
	if err != nil {
		return Worksheet{}, err
	}
	return w, nil
}
