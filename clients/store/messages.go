package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Direction of a message, as this desk sees it.
type Direction uint8

// Directions.
const (
	In  Direction = 1
	Out Direction = 2 // sent by this device or another of this desk
)

// Message is one stored message. Raw is its permanent bytes; lists leave it nil.
type Message struct {
	Seq       uint64 // order of storing; given by the store
	Hash      message.Hash
	ID        message.ID
	Case      message.CaseRef
	Direction Direction
	Class     string
	Urgency   message.Urgency
	Peer      identity.DeskID // the other desk: the sender, or the first addressed
	Created   time.Time       // as the message says
	Received  time.Time       // when it was stored here
	Answers   message.Hash    // zero: none
	Exercise  bool
	Raw       []byte

	Envelope envelope.ID // that brought it; zero when sent
	Attended []byte      // 32 bytes to show the relay when a person takes it, or nil

	Opened         time.Time // zero: unread
	OpenedBy       identity.PersonID
	Acknowledged   time.Time
	AcknowledgedBy string       // the person's name
	AckMessage     message.Hash // the ontvangstbevestiging
	Destroyed      bool         // only Seq, Hash and times are left

	Lock      [32]byte          // of the restricted case that it is closed to; zero: open
	Addressed []identity.DeskID // of a closed message; otherwise Raw says it
	Verdict   string            // empty: the rules were kept; Unjudged; or the rule that was broken
}

// Unjudged is the verdict on a message of a restricted case that came while nobody who
// may read the case was there: the rules need its other messages.
const Unjudged = "?"

func rank(u message.Urgency) int {
	switch u {
	case message.Acute:
		return 3
	case message.Urgent:
		return 2
	case message.Routine:
		return 1
	}
	return 0
}

// SaveMessage stores a message once: fresh is false when its hash is known
// already, and then nothing changes. A case without a key gets one.
func (tx *Tx) SaveMessage(m Message) (fresh bool, err error) {
	if len(m.Raw) == 0 || len(m.Raw) > message.MaxSize {
		return false, fmt.Errorf("%w: message of %d bytes", ErrTooLarge, len(m.Raw))
	}
	if err := tx.exec(`INSERT INTO message(hash,id,kase,direction,class,urgency,rank,peer,created,received,answers,exercise,envelope,attended,verdict)
		VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(hash) DO NOTHING`,
		m.Hash[:], m.ID[:], m.Case[:], int(m.Direction), m.Class, string(m.Urgency), rank(m.Urgency), m.Peer, m.Created, m.Received,
		orNil32(m.Answers), m.Exercise, orNil16(m.Envelope), m.Attended, m.Verdict); err != nil {
		return false, err
	}
	if tx.changes() == 0 {
		return false, nil
	}
	c, err := tx.caseKey(m.Case, true)
	if err != nil {
		return false, err
	}
	if c.lock != nil && m.Direction == Out {
		if err := tx.keepUnsent(m.Hash, m.Raw); err != nil {
			return false, err
		}
	}
	return true, tx.putMessage(c, m)
}

// putMessage seals the content of a message, closed where its case is restricted.
func (tx *Tx) putMessage(c caseSeal, m Message) error {
	plain, lock, err := c.close(kindMessage, m.Hash, m.Raw)
	if err != nil {
		return err
	}
	box, err := tx.put(c.key, kindMessage, m.Hash[:], plain)
	if err != nil {
		return err
	}
	addressed := ""
	if lock != nil {
		tx.unfind(m.Hash)
		addressed = addressedIn(m.Raw)
	}
	return tx.exec(`UPDATE message SET box=?, lock=?, addressed=? WHERE hash=?`, box, lock, addressed, m.Hash[:])
}

const selectMessage = `SELECT seq,hash,id,kase,direction,class,urgency,peer,created,received,answers,exercise,envelope,attended,
	opened,opened_by,acked,acked_by,ack,destroyed,lock,verdict,addressed FROM message`

func readMessage(r row1) Message {
	return Message{Seq: r.num(0), Hash: r.b32(1), ID: r.b16(2), Case: r.b16(3), Direction: Direction(r.int(4)), Class: r.text(5),
		Urgency: message.Urgency(r.text(6)), Peer: r.desk(7), Created: r.time(8), Received: r.time(9), Answers: r.b32(10),
		Exercise: r.bool(11), Envelope: r.b16(12), Attended: r.blob(13), Opened: r.time(14), OpenedBy: r.b16(15),
		Acknowledged: r.time(16), AcknowledgedBy: r.text(17), AckMessage: r.b32(18), Destroyed: r.bool(19),
		Lock: r.b32(20), Verdict: r.text(21), Addressed: desksIn(r.text(22))}
}

// Message returns a message with its content. A destroyed one comes with
// ErrDestroyed, a changed one with ErrTampered, one of a restricted case whose key this
// transaction was not given with ErrRestricted.
func (tx *Tx) Message(h message.Hash) (m Message, err error) {
	err = tx.one(selectMessage+` WHERE hash=?`, args{h[:]}, func(r row1) error {
		m = readMessage(r)
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return m, tx.notRemoved(kindMessage, h[:])
	}
	if err != nil {
		return m, err
	}
	return m, tx.openMessage(&m)
}

func (tx *Tx) openMessage(m *Message) error {
	if m.Destroyed {
		return ErrDestroyed
	}
	c, err := tx.caseKey(m.Case, false)
	if err != nil {
		return err
	}
	return tx.one(`SELECT box FROM message WHERE hash=?`, args{m.Hash[:]}, func(r row1) (err error) {
		plain, err := tx.get(c.key, kindMessage, m.Hash[:], r.blob(0))
		if err == nil {
			plain, err = tx.unclose(m.Lock, kindMessage, m.Hash, plain)
		}
		if err != nil {
			return fmt.Errorf("failed to open message %s: %w", m.Hash, err)
		}
		m.Raw = plain
		return nil
	})
}

// HasMessage reports whether a message is known, destroyed ones included.
func (tx *Tx) HasMessage(h message.Hash) (has bool, err error) {
	err = tx.each(`SELECT 1 FROM message WHERE hash=?`, args{h[:]}, func(row1) error {
		has = true
		return nil
	})
	return has, err
}

// Behind reports whether a message of the same desk and case that was signed after this one
// was here before it: the relay exchanged them, or this one was lost and made again. Order is
// that of signing, so only this says how they came (attack B06).
func (tx *Tx) Behind(m Message) (behind bool, err error) {
	err = tx.each(`SELECT 1 FROM message WHERE kase=? AND direction=1 AND peer=? AND received<? AND (created>? OR created=? AND id>?) LIMIT 1`,
		args{m.Case[:], m.Peer, m.Received, m.Created, m.Created, m.ID[:]}, func(row1) error {
			behind = true
			return nil
		})
	return behind, err
}

// FindMessage returns the one message whose hash (hex) or identifier (UUID)
// begins with prefix, of at least four characters. It refuses with ErrNotFound
// and ErrAmbiguous, and otherwise as Message does.
func (tx *Tx) FindMessage(prefix string) (Message, error) {
	p := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(prefix), "-", ""))
	if len(p) < 4 || len(p) > 64 || strings.Trim(p, "0123456789abcdef") != "" {
		return Message{}, fmt.Errorf("%w: give at least 4 characters of the hash or identifier", ErrNotFound)
	}
	found := map[message.Hash]bool{}
	for column, width := range map[string]int{"hash": 64, "id": 32} {
		if len(p) > width {
			continue
		}
		low, high := bounds(p, width)
		err := tx.each(`SELECT hash FROM message WHERE `+column+` BETWEEN ? AND ? LIMIT 2`, args{low, high}, func(r row1) error {
			found[r.b32(0)] = true
			return nil
		})
		if err != nil {
			return Message{}, err
		}
	}
	for h := range found {
		if len(found) > 1 {
			return Message{}, ErrAmbiguous
		}
		return tx.Message(h)
	}
	return Message{}, ErrNotFound
}

// SetOpened notes that a person opened an inbound message; the first time counts.
func (tx *Tx) SetOpened(h message.Hash, at time.Time, person identity.PersonID) error {
	return tx.mark(h, tx.exec(`UPDATE message SET opened=?, opened_by=? WHERE hash=? AND opened=0`, at, orNil16(person), h[:]))
}

// Acknowledgement is an ontvangstbevestiging: a named person took the message.
type Acknowledgement struct {
	Desk    identity.DeskID // of that person
	At      time.Time
	Person  string       // the name
	Message message.Hash // the person-signed ontvangstbevestiging
}

// SetAcknowledged notes the first acknowledgement: on an inbound message that of
// this desk, on an outbound one that of the recipient desk a.Desk.
func (tx *Tx) SetAcknowledged(h message.Hash, a Acknowledgement) error {
	var direction Direction
	if err := tx.one(`SELECT direction FROM message WHERE hash=?`, args{h[:]}, func(r row1) error {
		direction = Direction(r.int(0))
		return nil
	}); err != nil {
		return err
	}
	if direction == Out {
		return tx.acknowledgedBy(h, a)
	}
	return tx.mark(h, tx.exec(`UPDATE message SET acked=?, acked_by=?, ack=? WHERE hash=? AND acked=0`, a.At, a.Person, orNil32(a.Message), h[:]))
}

// mark tells a mark that was there already from one on a message that is not.
func (tx *Tx) mark(h message.Hash, err error) error {
	if err != nil || tx.changes() > 0 {
		return err
	}
	if has, err := tx.HasMessage(h); err != nil || has {
		return err
	}
	return ErrNotFound
}
