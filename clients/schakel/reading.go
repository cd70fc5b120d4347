package schakel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// Reader is a person who may read a restricted case: whom to call.
type Reader struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Telephone string `json:"telephone,omitempty"`
}

// access is what somebody who was proved may do with a case: for an open case nothing
// more than anybody, for a restricted one the keys that open it.
type access struct {
	kase       message.CaseRef
	person     identity.PersonID
	signs      *seal.PersonKey // of that person; nil for nobody
	restricted bool
	shut       bool // something may be closed to a list that lost, and to none of keys
	keys       []*seal.ReadKey
}

// accessTo proves who looks at the case that ref names, and finds the keys that this person
// may open it with. It refuses with ErrRestricted, naming whom to call. With By.Glass it
// breaks the glass, which stands in the log of every device before anything is shown.
func (n *Node) accessTo(ctx context.Context, ref string, by By) (a access, err error) {
	key, err := n.unlock(ctx, by.Person, by.PIN)
	if err != nil {
		return a, err
	}
	a.person, a.signs = personOf(key), key
	err = n.store.View(ctx, func(tx *store.Tx) error {
		if a.kase, err = caseRef(tx, ref); err != nil {
			return err
		}
		return n.admit(tx, &a, key)
	})
	if by.Glass != "" && (errors.Is(err, ErrRestricted) || err == nil && a.shut) {
		return a, n.breakGlass(ctx, &a, by)
	}
	return a, err
}

// admit gives a person the keys of a case, or refuses with ErrRestricted.
func (n *Node) admit(tx *store.Tx, a *access, key *seal.PersonKey) error {
	l, err := n.listOf(tx, a.kase)
	if err != nil || l.current == nil {
		return err
	}
	a.restricted = true
	if key == nil || !slices.Contains(l.current.Names, key.ID) {
		return n.restrictedTo(tx, l)
	}
	read, err := key.ReadKey()
	if err != nil {
		return err
	}
	a.keys = l.keys(func(s *sharesOf) *seal.ReadKey { return s.openAs(key.ID, read) })
	if !opens(a.keys, l.current.lock) {
		return fmt.Errorf("%w: the key of this case is not on this device yet, or does not open", ErrRestricted)
	}
	a.shut = slices.ContainsFunc(l.shares, func(s sharesOf) bool { return !opens(a.keys, s.of.lock) })
	return nil
}

// openFor lets the rest of a transaction read a case with what a person may open; it
// refuses with ErrRestricted.
func (n *Node) openFor(tx *store.Tx, kase message.CaseRef, key *seal.PersonKey) error {
	a := access{kase: kase}
	err := n.admit(tx, &a, key)
	for _, k := range a.keys {
		tx.OpenWith(k)
	}
	return err
}

func opens(keys []*seal.ReadKey, l seal.ReadLock) bool {
	return slices.ContainsFunc(keys, func(k *seal.ReadKey) bool { return k.Lock().ID() == l.ID() })
}

func (n *Node) restrictedTo(tx *store.Tx, l lists) error {
	var who []string
	for _, r := range n.readers(tx, l) {
		who = append(who, strings.TrimSpace(r.Name+" "+r.Telephone))
	}
	return fmt.Errorf("%w: call %s", ErrRestricted, strings.Join(who, ", or "))
}

// readers are the persons who may read a case; nil where it is open to the desk.
func (n *Node) readers(tx *store.Tx, l lists) (out []Reader) {
	if l.current == nil {
		return nil
	}
	for _, id := range l.current.Names {
		r := Reader{ID: id.String(), Name: n.nameOf(tx, id)}
		if p, err := tx.Person(id); err == nil {
			r.Telephone = p.Telephone
		}
		out = append(out, r)
	}
	return out
}

// inside runs f in a transaction that may read what a was admitted to. Before f sees a
// restricted case, the rules are asked about what came while nobody could read it. f
// runs in a transaction that writes when write is set, or the case is restricted.
func (n *Node) inside(ctx context.Context, a access, write bool, f func(*store.Tx) error) error {
	if !a.restricted {
		if write {
			return n.update(ctx, f)
		}
		return n.store.View(ctx, f)
	}
	in := &intake{n: n, now: n.now()}
	open := func(tx *store.Tx) error {
		for _, k := range a.keys {
			tx.OpenWith(k)
		}
		return f(tx)
	}
	err := n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events, in.state = tx, nil, map[identity.DeskID]bool{}
		for _, k := range a.keys {
			tx.OpenWith(k)
		}
		if a.kase != (message.CaseRef{}) { // not of all cases at once, of which others may read some
			if err := errors.Join(in.judgeWaiting(a.kase), n.keepOwed(tx, a.kase)); err != nil {
				return err
			}
		}
		return f(tx)
	})
	if errors.Is(err, store.ErrReadOnly) && !write {
		return n.store.View(ctx, open) // a store opened to save what can be read
	}
	if err == nil {
		n.events.publish(in.events...)
		for desk := range in.state {
			n.stateSoon(desk)
		}
	}
	return err
}

// What the access log says of the glass.
const (
	actionGlass        = "glass-broken"  // subject: the case
	actionGlassRefused = "glass-refused" // subject: the case; the passphrase was wrong
)

// breakGlass opens a restricted case with the passphrase for emergencies; for who is named
// for it, what is closed to a list that lost, with the passphrase of that. It gives that
// person nothing to keep: the next time takes the passphrase again.
func (n *Node) breakGlass(ctx context.Context, a *access, by By) error {
	if a.signs == nil {
		return fmt.Errorf("%w: who breaks the glass is told to those who may read the case", ErrPersonNeeded)
	}
	var l lists
	if err := n.store.View(ctx, func(tx *store.Tx) (err error) { l, err = n.listOf(tx, a.kase); return err }); err != nil {
		return err
	}
	found := l.keys(func(s *sharesOf) *seal.ReadKey { return s.openGlass(by.Glass) })
	a.keys = append(a.keys, found...)
	if l.current == nil || len(found) == 0 || !opens(a.keys, l.current.lock) {
		return errors.Join(fmt.Errorf("%w: case %s", ErrGlass, a.kase), n.note(ctx, actionGlassRefused, a.kase.String(), a.person))
	}
	in := &intake{n: n, now: n.now()}
	err := n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		s, err := n.write(tx, delivery.Record{Kind: delivery.RecordGlass, Case: a.kase}, a.signs)
		if err != nil {
			return err
		}
		if err := in.glassBroken(s.Record); err != nil {
			return err
		}
		return tx.Audit(actionGlass, a.kase.String(), a.person, in.now)
	})
	n.written(in.events, err)
	return err
}

// glassBroken tells whoever sits at this device, those who may read the case before all.
func (in *intake) glassBroken(r delivery.Record) error {
	return in.raise(AlarmGlass, message.CaseRef(r.Case).String(), identity.PersonID(r.Person).String())
}

// openAs opens the share of one person.
func (s *sharesOf) openAs(id identity.PersonID, read *seal.ReadKey) *seal.ReadKey {
	for _, p := range s.Persons {
		if p.ID != id {
			continue
		}
		secret, err := read.Open(shareOf(s.of), p.Closed)
		if err != nil {
			return nil
		}
		return s.made(secret)
	}
	return nil
}

// openGlass opens the share for emergencies. It takes about a second.
func (s *sharesOf) openGlass(passphrase string) *seal.ReadKey {
	secret, err := vault.Unlock(s.Glass, passphrase)
	if err != nil {
		return nil
	}
	return s.made(secret)
}

// made is the key of a secret, if it is the one that the list names.
func (s *sharesOf) made(secret []byte) *seal.ReadKey {
	k, err := seal.ParseReadKey(secret)
	if err != nil || k.Lock().ID() != s.of.lock.ID() {
		return nil
	}
	return k
}

// keys are those that open gives, with the earlier ones that they open.
func (l lists) keys(open func(*sharesOf) *seal.ReadKey) (out []*seal.ReadKey) {
	for i := range l.shares {
		s := &l.shares[i]
		k := open(s)
		if k == nil {
			continue
		}
		out = append(out, k)
		for _, e := range s.Earlier {
			secret, err := k.Open(earlierIn(s.of), e.Closed)
			if err != nil {
				continue
			}
			if old, err := seal.ParseReadKey(secret); err == nil && old.Lock().ID() == e.Lock {
				out = append(out, old)
			}
		}
	}
	return out
}

// maxLock bounds what a person's public reading key takes: it has 1216 bytes.
const maxLock = 2 << 10

// keepReading tells the desk, once, what restricted cases are closed to for a person. The
// private half comes from the person's signing key, so this is done when the PIN is given.
func (n *Node) keepReading(ctx context.Context, key *seal.PersonKey) error {
	known := false
	err := n.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.RecordHeads(delivery.RecordReading, message.CaseRef{}, key.ID)
		known = len(rows) > 0
		return err
	})
	if err != nil || known {
		return err
	}
	read, err := key.ReadKey()
	if err != nil {
		return err
	}
	content, err := canon.Marshal(read.Lock().Bytes())
	if err != nil {
		return err
	}
	err = n.update(ctx, func(tx *store.Tx) error {
		_, err := n.write(tx, delivery.Record{Kind: delivery.RecordReading, Thread: key.ID, Content: content}, key)
		return err
	})
	if errors.Is(err, store.ErrReadOnly) {
		return nil // a store opened to save what can be read
	}
	n.written(nil, err)
	return err
}

// readingLock is what a case is closed to for a person: told by that person, and checked
// against the register here, whatever stands in the store.
func (n *Node) readingLock(tx *store.Tx, id identity.PersonID) (seal.ReadLock, error) {
	rows, err := tx.RecordHeads(delivery.RecordReading, message.CaseRef{}, id)
	if err != nil {
		return seal.ReadLock{}, err
	}
	for _, row := range rows {
		s, err := delivery.ParseRecord(row.Raw)
		if err != nil || string(s.Record.Person) != string(id[:]) {
			continue
		}
		key, ok := author(s.Record, n.directory())
		if !ok || s.Verify(key) != nil {
			continue
		}
		var b []byte
		if canon.Unmarshal(s.Record.Content, maxLock, &b) != nil {
			continue
		}
		if l, err := seal.ParseReadLock(b); err == nil {
			return l, nil
		}
	}
	return seal.ReadLock{}, fmt.Errorf("%w: %s", ErrNoReadingKey, n.nameOf(tx, id))
}
