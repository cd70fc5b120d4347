package schakel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// Restriction says who of this desk may read a case.
type Restriction struct {
	Case    string    `json:"case"`
	Readers []Reader  `json:"readers"` // empty: the whole desk
	By      string    `json:"by,omitempty"`
	At      time.Time `json:"at,omitzero"`
	// Contested: another list was made at the same time. All devices go by this one.
	Contested bool `json:"contested,omitempty"`
}

const actionRestricted = "restricted" // subject: the case

// minGlass is how long the passphrase for emergencies is at least: only its length resists
// guessing.
const minGlass = 12

// Restriction returns who may read the case that ref names.
func (n *Node) Restriction(ctx context.Context, ref string) (out Restriction, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		kase, err := n.knownCase(tx, ref)
		if err != nil {
			return err
		}
		l, err := n.listOf(tx, kase)
		out = n.restriction(tx, kase, l)
		return err
	})
	return out, err
}

func (n *Node) restriction(tx *store.Tx, kase message.CaseRef, l lists) Restriction {
	out := Restriction{Case: kase.String(), Readers: full(n.readers(tx, l)), Contested: l.contested}
	if l.current != nil {
		out.By, out.At = n.nameOf(tx, l.current.author), time.Unix(int64(l.current.created), 0).UTC()
	}
	return out
}

// Restrict closes a case to named persons of this desk, and from then on changes who they
// are: only one of them can. Who is added reads all that was said; who is taken off reads
// nothing that comes later, and what was is destroyed for them on every device that hears
// of it. by.Glass becomes the passphrase that opens the case in an emergency; it is needed
// for the first list, and whenever somebody is taken off.
func (n *Node) Restrict(ctx context.Context, ref string, to []string, by By) (out Restriction, err error) {
	if err := n.notLight(); err != nil {
		return out, err
	}
	key, err := n.mustUnlock(ctx, by)
	if err != nil {
		return out, err
	}
	r := restricting{n: n, key: key}
	if err := r.name(ctx, to); err != nil {
		return out, err
	}
	if by.Glass != "" {
		if err := r.freshKey(by.Glass); err != nil {
			return out, err
		}
		if r.lost, err = n.lostTo(ctx, ref, by.Glass); err != nil {
			return out, err
		}
	}
	in := &intake{n: n, now: n.now()}
	err = n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		kase, err := n.knownCase(tx, ref)
		if err != nil {
			return err
		}
		if err := r.write(tx, kase); err != nil {
			return err
		}
		if err := in.settle(kase); err != nil {
			return err
		}
		l, err := n.listOf(tx, kase)
		if err != nil {
			return err
		}
		out = n.restriction(tx, kase, l)
		return tx.Audit(actionRestricted, kase.String(), key.ID, in.now)
	})
	n.written(in.events, err)
	return out, err
}

// restricting is one change of who may read a case.
type restricting struct {
	n     *Node
	key   *seal.PersonKey
	names []identity.PersonID
	fresh *seal.ReadKey   // for a first list, and where somebody is taken off
	glass []byte          // that key, under the passphrase for emergencies
	lost  []*seal.ReadKey // of lists that lost, where the same passphrase opens them
}

// lostTo finds the keys of lists that lost, where nobody may be on both: whoever gives the
// list again with the passphrase of the other brings together what was closed to either.
func (n *Node) lostTo(ctx context.Context, ref, passphrase string) (out []*seal.ReadKey, err error) {
	var l lists
	err = n.store.View(ctx, func(tx *store.Tx) error {
		kase, err := n.knownCase(tx, ref)
		if err == nil {
			l, err = n.listOf(tx, kase)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return l.keys(func(s *sharesOf) *seal.ReadKey {
		if s.of == l.current {
			return nil
		}
		return s.openGlass(passphrase)
	}), nil
}

func (r *restricting) name(ctx context.Context, to []string) error {
	for _, who := range to {
		p, err := r.n.person(ctx, who)
		if err != nil {
			return err
		}
		r.names = append(r.names, p.ID)
	}
	slices.SortFunc(r.names, func(a, b identity.PersonID) int { return bytes.Compare(a[:], b[:]) })
	r.names = slices.Compact(r.names)
	if len(r.names) < minReaders || len(r.names) > maxReaders {
		return fmt.Errorf("%w: %d named, want %d to %d", ErrReaders, len(r.names), minReaders, maxReaders)
	}
	return nil
}

// freshKey makes the next key of the case. It takes about a second, outside of any
// transaction.
func (r *restricting) freshKey(passphrase string) (err error) {
	if len(passphrase) < minGlass {
		return fmt.Errorf("%w: use at least %d characters", ErrGlass, minGlass)
	}
	if r.fresh, err = seal.NewReadKey(); err != nil {
		return err
	}
	r.glass, err = vault.Lock(r.fresh.Secret(), passphrase, r.n.pinWork)
	return err
}

// write signs the next list of a case, and its shares.
func (r *restricting) write(tx *store.Tx, kase message.CaseRef) error {
	l, err := r.n.listOf(tx, kase)
	if err != nil {
		return err
	}
	a := access{kase: kase}
	if err := r.n.admit(tx, &a, r.key); err != nil {
		return err
	}
	a.keys = append(a.keys, r.lost...)
	use, glass := r.fresh, r.glass
	if l.current != nil && !r.takesOff(l.current) {
		use, glass = r.current(l, a)
	}
	if use == nil {
		return fmt.Errorf("%w: a new key is made, and must be opened in an emergency too", ErrGlassNeeded)
	}
	c := listContent{Lock: use.Lock().Bytes(), Names: r.names}
	if l.current != nil {
		c.After = l.current.hash
	}
	content, err := canon.Marshal(c)
	if err != nil {
		return err
	}
	signed, err := r.n.write(tx, delivery.Record{Kind: delivery.RecordRestrict, Case: kase, Follows: follow(l.heads), Content: content}, r.key)
	if err != nil {
		return err
	}
	made := &list{listContent: c, hash: signed.Hash(), lock: use.Lock()}
	return r.share(tx, kase, made, use, glass, a.keys)
}

func (r *restricting) takesOff(l *list) bool {
	return slices.ContainsFunc(l.Names, func(id identity.PersonID) bool { return !slices.Contains(r.names, id) })
}

// current is the key that the case has, and how it is kept for emergencies.
func (r *restricting) current(l lists, a access) (*seal.ReadKey, []byte) {
	for _, s := range l.shares {
		if s.of != l.current {
			continue
		}
		for _, k := range a.keys {
			if k.Lock().ID() == l.current.lock.ID() {
				return k, s.Glass
			}
		}
	}
	return nil, nil
}

// share wraps the key of a list for everybody on it, and the earlier keys for the key.
func (r *restricting) share(tx *store.Tx, kase message.CaseRef, l *list, use *seal.ReadKey, glass []byte, earlier []*seal.ReadKey) error {
	c := sharesContent{List: l.hash, Glass: glass}
	for _, id := range l.Names {
		lock, err := r.n.readingLock(tx, id)
		if err != nil {
			return err
		}
		closed, err := lock.Close(shareOf(l), use.Secret())
		if err != nil {
			return err
		}
		c.Persons = append(c.Persons, share{ID: id, Closed: closed})
	}
	done := map[[32]byte]bool{l.lock.ID(): true}
	for _, k := range earlier {
		id := k.Lock().ID()
		if done[id] {
			continue
		}
		done[id] = true
		closed, err := l.lock.Close(earlierIn(l), k.Secret())
		if err != nil {
			return err
		}
		c.Earlier = append(c.Earlier, earlierKey{Lock: id, Closed: closed})
	}
	if len(c.Earlier) > maxEarlier {
		return fmt.Errorf("%w: somebody was taken off this case %d times", ErrReaders, maxEarlier)
	}
	content, err := canon.Marshal(c)
	if err != nil {
		return err
	}
	_, err = r.n.write(tx, delivery.Record{Kind: delivery.RecordShares, Case: kase, Thread: [16]byte(l.hash[:16]), Content: content}, r.key)
	return err
}

// settingClosing begins the name under which the end of a restricted case is kept: it must
// be destroyed on its date, also where nobody opens it any more.
const settingClosing = "closing/"

// beforeClosing keeps, while the case can still be read, what must be known of it without
// anybody there, and forgets what else this device keeps of its messages.
func (n *Node) beforeClosing(tx *store.Tx, kase message.CaseRef) error {
	known, err := n.caseOf(tx, kase)
	if err != nil {
		return err
	}
	if err := errors.Join(n.keepClosing(tx, known), n.keepOwed(tx, kase)); err != nil {
		return err
	}
	rows, err := rowsOf(tx, kase)
	for _, row := range rows {
		if err == nil {
			err = trimCopy(tx, row.Hash)
		}
	}
	return err
}

func (n *Node) keepClosing(tx *store.Tx, known protocol.Case) error {
	if known.Closing == nil {
		return nil
	}
	b, err := json.Marshal(known.Closing)
	if err != nil {
		return err
	}
	return tx.SetSetting(settingClosing+known.Ref.String(), b)
}

// closingOf is the case as far as its end goes: computed where it can be read, and
// otherwise what was known of its closing when somebody last read it.
func (n *Node) closingOf(tx *store.Tx, ref message.CaseRef) (protocol.Case, error) {
	known, err := n.caseOf(tx, ref)
	if !errors.Is(err, ErrRestricted) {
		return known, err
	}
	known = protocol.Case{Ref: ref, Desk: n.dev.Desk}
	b, err := tx.Setting(settingClosing + ref.String())
	if errors.Is(err, store.ErrNotFound) {
		return known, nil
	}
	if err != nil {
		return known, err
	}
	var c protocol.Closing
	if err := json.Unmarshal(b, &c); err != nil {
		return known, fmt.Errorf("%w: closing of a case: %w", store.ErrTampered, err)
	}
	known.Closing = &c
	return known, nil
}

// judgeWaiting asks the rules about the messages of a restricted case that came while
// nobody who may read it was there, now that somebody is. What would have been refused is
// set aside: it counts for nothing in the case, its sender hears the rule, and it stays
// here to be read. One that a person acknowledged by now is no longer refused. While
// something of the case is closed to a list that lost they all wait, and can be read.
func (in *intake) judgeWaiting(kase message.CaseRef) error {
	rows, err := in.tx.Messages(store.Query{Case: kase, Unjudged: true, Order: store.Oldest, Limit: maxList})
	if err != nil || len(rows) == 0 {
		return err
	}
	if _, err := in.n.caseOf(in.tx, kase); errors.Is(err, ErrRestricted) {
		return nil
	}
	for _, row := range rows {
		if err := in.judgeLate(row); err != nil {
			return err
		}
	}
	known, err := in.n.caseOf(in.tx, kase)
	if err != nil {
		return err
	}
	return in.n.keepClosing(in.tx, known)
}

func (in *intake) judgeLate(row store.Message) error {
	full, err := in.tx.Message(row.Hash)
	if errors.Is(err, store.ErrRestricted) {
		return nil // closed to a list that lost: it waits for somebody who can open it
	}
	if err != nil {
		return err
	}
	s, err := message.Parse(full.Raw)
	if err != nil {
		return err
	}
	draft := protocol.DraftOf(s.Message, archive{in.n.directory()})
	known, err := in.n.caseOf(in.tx, row.Case)
	if err == nil {
		known, err = in.n.beside(in.tx, draft, known)
	}
	if err != nil {
		return err
	}
	findings := in.n.judgedBy(s.Message).Check(draft, known)
	refusal := findings.Rejection()
	if refusal == nil {
		return errors.Join(in.flag(findings, row.Hash, row.Peer), markedToo(in.tx, row.Hash, findings.Flags()), in.tx.SetVerdict(row.Hash, ""))
	}
	if !row.Acknowledged.IsZero() {
		return errors.Join(in.raise(AlarmRule, subject(row.Hash, row.Peer), ruleOf(refusal)), in.tx.SetVerdict(row.Hash, ""))
	}
	alarm, code := AlarmRule, ruleOf(refusal)
	if row.Urgency == message.Acute {
		alarm, code = AlarmRefused, string(row.Peer)
	}
	if err := in.raise(alarm, subject(row.Hash, row.Peer), code); err != nil {
		return err
	}
	in.state[row.Peer] = true
	return errors.Join(in.tx.SetVerdict(row.Hash, ruleOf(refusal)),
		in.tx.SetStatus(row.Peer, delivery.Status{Message: row.Hash, Received: unix(row.Received), Rejected: unix(in.now), Rule: ruleOf(refusal)}))
}

// closedContent is a note or draft of a restricted case on its way between the devices of
// this desk, none of which needs to be able to read it.
type closedContent struct {
	_      struct{} `cbor:",toarray"`
	Kind   delivery.RecordKind
	Hash   message.Hash
	Lock   [32]byte
	Closed []byte
}

// closedRecord wraps a closed record of this device for the others.
func (n *Node) closedRecord(row store.Record) (delivery.SignedRecord, error) {
	content, err := canon.Marshal(closedContent{Kind: row.Kind, Hash: row.Hash, Lock: row.Lock, Closed: row.Closed})
	if err != nil {
		return delivery.SignedRecord{}, err
	}
	return n.sign(delivery.Record{Kind: delivery.RecordClosed, Case: row.Case, Thread: row.Thread, Content: content}, nil)
}

// closed takes in a note or draft that another device of this desk sent closed.
func (in *intake) closed(r delivery.Record) (bool, error) {
	var c closedContent
	if canon.Unmarshal(r.Content, delivery.MaxRecord, &c) != nil {
		return false, in.tx.CountRejected("closed-malformed")
	}
	fresh, err := in.tx.SaveClosed(store.Record{Hash: c.Hash, Kind: c.Kind, Case: r.Case, Thread: r.Thread, Lock: c.Lock, Closed: c.Closed}, nil)
	if errors.Is(err, store.ErrConflict) {
		return false, in.tx.CountRejected("closed-malformed")
	}
	return fresh, err
}
