package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"schakel/clients/store/index"
	"schakel/crypto/delivery"
	"schakel/crypto/message"
)

// The index of words is in memory only, beside the data key that opens all it was made
// of: on disk it would be a second place for what was said, that every destruction had to
// reach, and that tells by its sizes and its pages how often a word is used. It is made at
// the first search, and holds what whoever may open the store may read: no message, note
// or draft that is closed to named persons, and nothing that was destroyed.

// searchStep bounds what one transaction reads to bring the index up to date, so that
// what arrives meanwhile waits for milliseconds only.
const searchStep = 250

// Content is a message, or a note or draft of this desk, as it is given to be indexed.
type Content struct {
	Hash   message.Hash
	Record delivery.RecordKind // 0: a message
	Raw    []byte              // overwritten when its texts were taken
}

// Texts gives what of a content can be searched; nothing where it is not to be found.
type Texts func(Content) []string

// Search asks for what has all of some words.
type Search struct {
	Words       []string            // folded: see index.Words
	Without     delivery.RecordKind // not records of this kind; 0: all
	Skip, Limit int
	Texts       Texts // the same function each time
}

// Found is what a search found.
type Found struct {
	Hashes     []message.Hash // the newest first
	Total      int
	Unreadable int // rows that do not open, and were not searched: see Verify
}

// search is the index and how far it is. It belongs to whoever has the turn.
type search struct {
	*index.Index
	messages, records uint64 // Seq of the newest row that was looked at
	unreadable        int
}

// Search brings the index up to date and looks in it, then calls f in the same
// transaction with what was found: all of it is still there.
func (s *Store) Search(ctx context.Context, q Search, f func(*Tx, Found) error) error {
	for behind := true; behind; {
		err := s.View(ctx, func(tx *Tx) (err error) {
			if s.found == nil {
				s.found = &search{Index: index.New()}
			}
			if behind, err = tx.keepUp(q.Texts); err != nil || behind {
				return err
			}
			out := Found{Unreadable: s.found.unreadable}
			keys, total := s.found.Find(index.Query{Words: q.Words, Without: uint8(q.Without), Skip: q.Skip, Limit: q.Limit})
			for _, k := range keys {
				out.Hashes = append(out.Hashes, message.Hash(k))
			}
			out.Total = total
			return f(tx, out)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unfind takes out of the index, once this transaction has come about, what may not be
// found any more.
func (tx *Tx) unfind(h message.Hash) { tx.unfound = append(tx.unfound, h) }

func (s *Store) forgetFound(hs []message.Hash) {
	if s.found == nil {
		return
	}
	for _, h := range hs {
		s.found.Drop(index.Key(h))
	}
}

// keepUp looks at the next rows that were stored since, and reports whether there may be
// more. What was stored is never changed, only taken away, which unfind sees to.
func (tx *Tx) keepUp(texts Texts) (behind bool, err error) {
	found := tx.s.found
	rows, err := tx.Messages(Query{After: found.messages, Order: Oldest, Live: true, Limit: searchStep})
	if err != nil {
		return false, err
	}
	for _, m := range rows {
		if m.Lock == ([32]byte{}) {
			if err := tx.takeIn(texts, Content{Hash: m.Hash}, m.Received, tx.openMessage(&m), &m.Raw); err != nil {
				return false, err
			}
		}
		found.messages = m.Seq
	}
	behind = len(rows) == searchStep
	records, err := tx.unindexed(found.records)
	for _, r := range records {
		if err := tx.takeIn(texts, Content{Hash: r.Hash, Record: r.Kind}, time.Time{}, tx.openRecord(&r.Record, r.box), &r.Raw); err != nil {
			return false, err
		}
		found.records = r.Seq
	}
	return behind || len(records) == searchStep, err
}

// takeIn puts a content that was opened, or was not, into the index.
func (tx *Tx) takeIn(texts Texts, c Content, at time.Time, opened error, raw *[]byte) error {
	found := tx.s.found
	if errors.Is(opened, ErrTampered) || errors.Is(opened, ErrDestroyed) {
		found.unreadable++ // the rest can be found all the same; Verify and reading it say what is wrong
		return nil
	}
	if opened != nil {
		return fmt.Errorf("failed to read what is searched: %w", opened)
	}
	c.Raw = *raw
	order := millis(at)
	if at.IsZero() {
		order = recordMoment(c.Raw)
	}
	found.Add(index.Text{Key: index.Key(c.Hash), Order: order, Kind: uint8(c.Record)}, texts(c)...)
	clear(c.Raw)
	return nil
}

// recordMoment is when its author wrote a record.
func recordMoment(raw []byte) int64 {
	s, err := delivery.ParseRecord(raw)
	if err != nil {
		return 0
	}
	return int64(min(s.Record.Created, maxCounter)) * 1000
}

// unindexedRecord is a record that is not open yet.
type unindexedRecord struct {
	Record
	box []byte
}

// unindexed returns the notes and drafts after seq that no later version follows.
func (tx *Tx) unindexed(seq uint64) (rs []unindexedRecord, err error) {
	err = tx.each(selectRecord+` WHERE seq>? AND kind IN (?,?) AND lock IS NULL AND hash NOT IN (SELECT hash FROM followed) ORDER BY seq LIMIT ?`,
		args{seq, uint64(delivery.RecordNote), uint64(delivery.RecordDraft), searchStep}, func(r row1) error {
			rs = append(rs, unindexedRecord{Record: readRecord(r), box: r.blob(5)})
			return nil
		})
	return rs, err
}
