package schakel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// By is the person of this desk who does something, and the PIN that proves it.
type By struct {
	Person string `json:"person"` // identifier, or the person's name
	PIN    string `json:"pin"`
	// Glass is the passphrase for emergencies of a restricted case: see Restrict.
	Glass string `json:"glass,omitempty"`
}

// Assignment says who of this desk has a case.
type Assignment struct {
	Case   string    `json:"case"`
	Person string    `json:"person,omitempty"` // identifier; empty: nobody
	Name   string    `json:"name,omitempty"`
	By     string    `json:"by,omitempty"` // name of who decided that
	At     time.Time `json:"at,omitzero"`
	// Contested: others took it at the same time, named in Also. All devices show the
	// same Person; people still have to talk.
	Contested bool     `json:"contested,omitempty"`
	Also      []string `json:"also,omitempty"`
}

// Note is an internal note on a case. It never leaves the desk.
type Note struct {
	Hash string    `json:"hash"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// Worksheet is what this desk keeps to itself about a case.
type Worksheet struct {
	Assignment Assignment   `json:"assignment"`
	Notes      []Note       `json:"notes"` // oldest first
	Drafts     []SavedDraft `json:"drafts"`
}

// MaxNote bounds a note.
const MaxNote = 32 << 10

// Take gives a case, named by itself or by a message of it, to the person who asks.
func (n *Node) Take(ctx context.Context, ref string, by By) (Assignment, error) {
	return n.Assign(ctx, ref, by.Person, by)
}

// Assign gives a case to a person of this desk; to "" to nobody. When two do so without
// seeing each other, all devices settle on the same one and raise AlarmContested.
func (n *Node) Assign(ctx context.Context, ref, to string, by By) (out Assignment, err error) {
	key, err := n.mustUnlock(ctx, by)
	if err != nil {
		return out, err
	}
	var who []byte
	if to != "" {
		p, err := n.person(ctx, to)
		if err != nil {
			return out, err
		}
		who = p.ID[:]
	}
	in := &intake{n: n, now: n.now()}
	err = n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		kase, err := n.knownCase(tx, ref)
		if err != nil {
			return err
		}
		heads, err := tx.RecordHeads(delivery.RecordAssign, kase, [16]byte{})
		if err != nil {
			return err
		}
		if _, err := n.write(tx, delivery.Record{Kind: delivery.RecordAssign, Case: kase, Follows: follow(heads), Content: who}, key); err != nil {
			return err
		}
		if err := in.contested(kase); err != nil {
			return err
		}
		out, err = n.assignment(tx, kase)
		return err
	})
	n.written(in.events, err)
	return out, err
}

// written tells whoever listens, and upkeep, that there is something to deliver.
func (n *Node) written(events []Event, err error) {
	if err == nil {
		n.events.publish(events...)
		n.poke()
	}
}

// mustUnlock proves who acts.
func (n *Node) mustUnlock(ctx context.Context, by By) (*seal.PersonKey, error) {
	if by.Person == "" {
		return nil, ErrPersonNeeded
	}
	return n.unlock(ctx, by.Person, by.PIN)
}

// knownCase is the case that a reference means; one without any message is ErrNotFound.
func (n *Node) knownCase(tx *store.Tx, ref string) (message.CaseRef, error) {
	kase, err := caseRef(tx, ref)
	if err != nil {
		return kase, err
	}
	some, err := tx.CountMessages(store.Query{Case: kase})
	if err == nil && some == 0 {
		err = fmt.Errorf("%w: no message of case %s", ErrNotFound, kase)
	}
	return kase, err
}

// assignment settles who has a case: of the decisions that nobody took another in
// sight of, the latest; of two in one second, the one with the higher hash.
func (n *Node) assignment(tx *store.Tx, kase message.CaseRef) (Assignment, error) {
	out := Assignment{Case: kase.String()}
	rows, err := tx.RecordHeads(delivery.RecordAssign, kase, [16]byte{})
	if err != nil {
		return out, err
	}
	heads, err := recordsOf(rows)
	if err != nil || len(heads) == 0 {
		return out, err
	}
	last := heads[0]
	for _, h := range heads[1:] { // sorted by hash: of equal times the later one wins
		if h.Record.Created >= last.Record.Created {
			last = h
		}
	}
	if len(last.Record.Content) == len(identity.PersonID{}) {
		id := identity.PersonID(last.Record.Content)
		out.Person, out.Name = id.String(), n.nameOf(tx, id)
	}
	out.By, out.At = n.nameOf(tx, identity.PersonID(last.Record.Person)), time.Unix(int64(last.Record.Created), 0).UTC()
	for _, h := range heads {
		if string(h.Record.Content) != string(last.Record.Content) && len(h.Record.Content) == len(identity.PersonID{}) {
			out.Contested, out.Also = true, append(out.Also, n.nameOf(tx, identity.PersonID(h.Record.Content)))
		}
	}
	return out, nil
}

// nameOfText is the name of a person given by identifier.
func (n *Node) nameOfText(tx *store.Tx, id string) string {
	u, err := identity.ParseUUID(id)
	if err != nil {
		return id
	}
	return n.nameOf(tx, identity.PersonID(u))
}

// nameOf is the name of a person as a colleague reads it.
func (n *Node) nameOf(tx *store.Tx, id identity.PersonID) string {
	if p, err := tx.Person(id); err == nil && strings.TrimSpace(p.Name) != "" {
		return p.Name
	}
	return id.String()
}

// contested raises or ends the alarm about a case that two took at the same time. It is
// raised on every device, so both persons are told.
func (in *intake) contested(kase message.CaseRef) error {
	a, err := in.n.assignment(in.tx, kase)
	if err != nil {
		return err
	}
	if a.Contested {
		return in.raise(AlarmContested, kase.String(), "")
	}
	if err := in.tx.ClearAlarm(string(AlarmContested), kase.String()); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}

// AddNote writes an internal note on a case. Notes are never changed or taken back: who
// was wrong writes another one.
func (n *Node) AddNote(ctx context.Context, ref, text string, by By) (out Note, err error) {
	if strings.TrimSpace(text) == "" || len(text) > MaxNote {
		return out, fmt.Errorf("%w: a note has 1 to %d bytes", ErrTooLarge, MaxNote)
	}
	key, err := n.mustUnlock(ctx, by)
	if err != nil {
		return out, err
	}
	err = n.update(ctx, func(tx *store.Tx) error {
		kase, err := n.knownCase(tx, ref)
		if err != nil {
			return err
		}
		s, err := n.write(tx, delivery.Record{Kind: delivery.RecordNote, Case: kase, Content: []byte(text)}, key)
		out = n.noteOf(tx, s)
		return err
	})
	n.written(nil, err)
	return out, err
}

func (n *Node) noteOf(tx *store.Tx, s delivery.SignedRecord) Note {
	return Note{Hash: s.Hash().String(), By: n.nameOf(tx, identity.PersonID(s.Record.Person)),
		At: time.Unix(int64(s.Record.Created), 0).UTC(), Text: string(s.Record.Content)}
}

// notes are those of a case, by the time that their author's device gave them.
func (n *Node) notes(tx *store.Tx, kase message.CaseRef) ([]Note, error) {
	rows, err := tx.Records(delivery.RecordNote, kase)
	if err != nil {
		return nil, err
	}
	signed, err := n.openRecords(rows)
	out := make([]Note, 0, len(signed))
	for _, s := range signed {
		out = append(out, n.noteOf(tx, s))
	}
	sortNotes(out)
	return out, err
}
