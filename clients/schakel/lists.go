package schakel

import (
	"bytes"
	"cmp"
	"slices"

	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// Who may read a case is a list, signed by a person; each names the list that it takes the
// place of. Lists stay, so that every device can see that whoever changed one was on it.
// The key of the case travels apart, in shares, which are destroyed as soon as another
// list counts: who is taken off finds nothing to open later.

// Bounds of a list. Two, so that one person's absence or flight does not lose a case.
const (
	minReaders = 2
	maxReaders = 32
	maxEarlier = 64
)

// listContent is what a record of a list carries.
type listContent struct {
	_     struct{}            `cbor:",toarray"`
	After message.Hash        // the list that it takes the place of; zeros: the first
	Lock  []byte              // public key that the case is closed to from now on
	Names []identity.PersonID // sorted, unique
}

// list is one list, as it was signed.
type list struct {
	listContent
	hash    message.Hash
	author  identity.PersonID
	created uint64
	lock    seal.ReadLock
}

// sharesContent is the private half of a list's lock, for each who may have it.
type sharesContent struct {
	_       struct{} `cbor:",toarray"`
	List    message.Hash
	Persons []share
	Glass   []byte // an age file under the passphrase for emergencies
	Earlier []earlierKey
}

type share struct {
	_      struct{} `cbor:",toarray"`
	ID     identity.PersonID
	Closed []byte // to the person's reading key
}

// earlierKey is the key of an earlier lock, closed to the one of this list.
type earlierKey struct {
	_      struct{} `cbor:",toarray"`
	Lock   [32]byte
	Closed []byte
}

type sharesOf struct {
	sharesContent
	record message.Hash
	of     *list
}

// What shares are bound to.
func shareOf(l *list) []byte   { return append([]byte("share\x00"), l.lock.Bytes()...) }
func earlierIn(l *list) []byte { return append([]byte("earlier\x00"), l.lock.Bytes()...) }

// lists are all lists of a case, and the one that counts.
type lists struct {
	current   *list // nil: the case is open to the whole desk
	contested bool  // two were made out of sight of each other
	heads     []store.Record
	shares    []sharesOf
	stray     []message.Hash // shares that belong to no list that is known here
	all       map[message.Hash]*list
}

// listOf finds which list of a case counts. Of lists that take the place of the same one,
// or of none, the earlier counts, of one second the lower hash; so all devices that have
// the same records agree, in whatever order they came. A list counts once its shares are
// here: nothing is closed to a key that nobody has.
func (n *Node) listOf(tx *store.Tx, kase message.CaseRef) (l lists, err error) {
	if kase == (message.CaseRef{}) {
		return l, nil // of what was destroyed
	}
	rows, err := tx.Records(delivery.RecordRestrict, kase)
	if err != nil || len(rows) == 0 {
		return l, err
	}
	l.all = map[message.Hash]*list{}
	for _, row := range rows {
		if x, ok := readList(row); ok {
			l.all[x.hash] = x
		}
	}
	if rows, err = tx.Records(delivery.RecordShares, kase); err != nil {
		return l, err
	}
	for _, row := range rows {
		l.addShares(row)
	}
	if l.heads, err = tx.RecordHeads(delivery.RecordRestrict, kase, [16]byte{}); err != nil {
		return l, err
	}
	l.contested = len(l.heads) > 1
	l.current = l.after(message.Hash{}, nil)
	return l, nil
}

func readList(row store.Record) (*list, bool) {
	s, err := delivery.ParseRecord(row.Raw)
	if err != nil || len(s.Record.Person) != len(identity.PersonID{}) {
		return nil, false
	}
	x := &list{hash: row.Hash, author: identity.PersonID(s.Record.Person), created: s.Record.Created}
	if canon.Unmarshal(s.Record.Content, delivery.MaxRecordContent, &x.listContent) != nil {
		return nil, false
	}
	order := func(a, b identity.PersonID) int { return bytes.Compare(a[:], b[:]) }
	if len(x.Names) < minReaders || len(x.Names) > maxReaders || !slices.IsSortedFunc(x.Names, order) || len(slices.Compact(slices.Clone(x.Names))) != len(x.Names) {
		return nil, false
	}
	x.lock, err = seal.ParseReadLock(x.Lock)
	return x, err == nil
}

func (l *lists) addShares(row store.Record) {
	s, err := delivery.ParseRecord(row.Raw)
	if err != nil {
		return
	}
	got := sharesOf{record: row.Hash}
	if canon.Unmarshal(s.Record.Content, delivery.MaxRecordContent, &got.sharesContent) != nil {
		return
	}
	x, ok := l.all[got.List]
	if !ok || string(s.Record.Person) != string(x.author[:]) {
		l.stray = append(l.stray, row.Hash)
		return
	}
	got.of = x
	l.shares = append(l.shares, got)
}

// after is the list that counts among those that follow one, or nil where none does.
func (l *lists) after(parent message.Hash, before *list) *list {
	var next []*list
	for _, x := range l.all {
		allowed := before == nil || slices.Contains(before.Names, x.author) // only who is on it changes it
		if x.After == parent && x.hash != parent && allowed {
			next = append(next, x)
		}
	}
	slices.SortFunc(next, func(a, b *list) int {
		return cmp.Or(cmp.Compare(a.created, b.created), bytes.Compare(a.hash[:], b.hash[:]))
	})
	for _, x := range next {
		if last := l.after(x.hash, x); last != nil {
			return last
		}
		if l.ready(x) {
			return x
		}
	}
	return nil
}

func (l *lists) ready(x *list) bool {
	return slices.ContainsFunc(l.shares, func(s sharesOf) bool { return s.of == x })
}

// settle makes the list that counts true on this device: the case is closed to its lock,
// and the shares of all others are destroyed, except of one that something on a device of
// this desk may still be closed to alone.
func (in *intake) settle(kase message.CaseRef) error {
	l, err := in.n.listOf(in.tx, kase)
	if err != nil || l.current == nil {
		return err
	}
	lock, err := in.tx.CaseLock(kase)
	if err != nil {
		return err
	}
	if !bytes.Equal(lock, l.current.Lock) {
		if lock == nil {
			if err := in.n.beforeClosing(in.tx, kase); err != nil {
				return err
			}
		}
		if err := in.tx.RestrictCase(kase, l.current.lock); err != nil {
			return err
		}
	}
	if err := in.dropShares(kase, l); err != nil {
		return err
	}
	if l.contested {
		return in.raise(AlarmLists, kase.String(), "")
	}
	return in.clear(AlarmLists, kase.String())
}

// last reports whether no list followed one yet: of several, all but the one that counts
// wait until somebody gives the list again.
func (l *lists) last(x *list) bool {
	return slices.ContainsFunc(l.heads, func(row store.Record) bool { return row.Hash == x.hash })
}

func (in *intake) dropShares(kase message.CaseRef, l lists) error {
	held, err := in.tx.LocksOf(kase)
	if err != nil {
		return err
	}
	reached := [][32]byte{l.current.lock.ID()}
	for _, s := range l.shares {
		if s.of == l.current {
			for _, e := range s.Earlier {
				reached = append(reached, e.Lock)
			}
		}
	}
	for _, s := range l.shares {
		id := s.of.lock.ID()
		needed := slices.Contains(held, id) || l.last(s.of)
		if s.of == l.current || needed && !slices.Contains(reached, id) {
			continue
		}
		if err := in.tx.DeleteRecord(s.record); err != nil {
			return err
		}
	}
	return nil
}
