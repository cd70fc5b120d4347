package trust

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"schakel/crypto/identity"
)

// ErrGenesis is wrapped when the first entry is not the genesis that was told:
// refuse to start, and ask the root holders by telephone.
var ErrGenesis = errors.New("not the genesis of this register")

// Register is the replayed state of a log of entries: who belongs to the chain,
// and with which keys, now and at every earlier size. Reading is safe for any
// number of goroutines; [Register.Apply] is not: see [Register.Clone].
type Register struct {
	tree    tree
	skipped []Skipped

	root     record[Root]
	relays   map[Subject]*record[Relay]
	orgs     map[identity.OrgID]*record[Org]
	desks    map[identity.DeskID]*record[Desk]
	devices  map[identity.DeviceID]*record[Device]
	persons  map[identity.PersonID]*record[Person]
	epochs   map[identity.DeviceID]*record[Epochs]
	anchors  map[identity.DeviceID]*record[Anchor]
	releases map[string]*record[Release] // by version

	byDesk map[identity.DeskID][]identity.DeviceID // sorted
	keys   map[identity.Key]keyUse                 // every key ever accepted, and what for
	relay  Subject                                 // the relay entry that was logged last
}

// record is the chain of one subject. A record is never changed once it stands in
// a map: clones share it.
type record[T Body] struct {
	next       Place // of the subject's next entry
	since      uint64
	versions   []version[T] // ascending by index
	revoked    uint64       // index of the revocation; 0: none, the genesis has that index
	revocation Revoke
}

type version[T Body] struct {
	index uint64
	body  T
}

// keyUse is the one thing that a key may stand for.
type keyUse struct {
	subject Subject
	role    string
}

// Skipped is an entry that everybody ignores, and why. It should alarm: either
// the relay let it in against the rules, or a newer program knows its kind.
type Skipped struct {
	Index  uint64
	Reason error // wraps ErrSkipped
}

// New begins a register with its genesis, if that has the fingerprint that was
// told by telephone or stands on the invitation's covering letter (attack C23).
func New(genesis []byte, fingerprint string) (*Register, error) {
	if !identity.SameFingerprint(GenesisFingerprint(genesis), fingerprint) {
		return nil, fmt.Errorf("%w: its fingerprint is %s, told was %q", ErrGenesis, GenesisFingerprint(genesis), clip(fingerprint))
	}
	e, err := ParseEntry(genesis)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	root, ok := e.Body.(Root)
	if !ok || e.Place != First() || root.Version != 1 {
		return nil, fmt.Errorf("%w: not a first root entry", ErrGenesis)
	}
	signed, err := e.note.signedBy(signers{asRoot: root.Keys})
	if err != nil || !root.met(signed[asRoot]) {
		return nil, fmt.Errorf("%w: fewer signatures than its own threshold of %d", ErrGenesis, root.Threshold)
	}
	r := &Register{
		relays:   make(map[Subject]*record[Relay]),
		orgs:     make(map[identity.OrgID]*record[Org]),
		desks:    make(map[identity.DeskID]*record[Desk]),
		devices:  make(map[identity.DeviceID]*record[Device]),
		persons:  make(map[identity.PersonID]*record[Person]),
		epochs:   make(map[identity.DeviceID]*record[Epochs]),
		anchors:  make(map[identity.DeviceID]*record[Anchor]),
		releases: make(map[string]*record[Release]),
		byDesk:   make(map[identity.DeskID][]identity.DeviceID),
		keys:     make(map[identity.Key]keyUse),
	}
	r.accept(e)
	r.tree.add(genesis)
	return r, nil
}

// Replay begins a register and applies stored entries in order; entries[0] is the
// genesis. An entry that the rules refuse is skipped and listed, never an error.
func Replay(entries [][]byte, fingerprint string) (*Register, error) {
	if len(entries) == 0 {
		return nil, fmt.Errorf("%w: no entries at all", ErrGenesis)
	}
	r, err := New(entries[0], fingerprint)
	if err != nil {
		return nil, err
	}
	return r, r.applyAll(entries[1:])
}

// Clone returns an independent copy, cheap enough for one per growth: records and
// hashes are shared until they change. Apply to the clone, then publish it.
func (r *Register) Clone() *Register {
	c := *r
	c.tree = r.tree.clone()
	c.skipped = slices.Clip(r.skipped)
	c.relays, c.orgs, c.desks = maps.Clone(r.relays), maps.Clone(r.orgs), maps.Clone(r.desks)
	c.devices, c.persons, c.epochs = maps.Clone(r.devices), maps.Clone(r.persons), maps.Clone(r.epochs)
	c.anchors, c.releases = maps.Clone(r.anchors), maps.Clone(r.releases)
	c.byDesk, c.keys = maps.Clone(r.byDesk), maps.Clone(r.keys)
	return &c
}

// Apply adds the next entry of the log. It returns nil when the entry counts, and
// the reason, which wraps ErrSkipped, when everybody ignores it: the log grows all
// the same, or the relay could stop every client with one bad entry. Only a full
// register (ErrTooLarge) does not grow.
func (r *Register) Apply(raw []byte) error {
	e, err := ParseEntry(raw)
	return r.apply(raw, e, err)
}

// apply adds raw, which was parsed to e or refused with refusal.
func (r *Register) apply(raw []byte, e Entry, refusal error) error {
	if r.Size() >= MaxEntries {
		return fmt.Errorf("%w: %d entries", ErrTooLarge, r.Size())
	}
	if refusal == nil {
		refusal = r.judge(e)
	}
	if refusal == nil {
		r.accept(e)
	} else {
		r.skipped = append(r.skipped, Skipped{Index: r.Size(), Reason: refusal})
	}
	r.tree.add(raw)
	return refusal
}

// Check says whether raw would count as the next entry, without adding it. The
// error wraps ErrSkipped and one of the reasons.
func (r *Register) Check(raw []byte) (Entry, error) {
	e, err := ParseEntry(raw)
	if err != nil {
		return Entry{}, err
	}
	return e, r.judge(e)
}

// judge goes by what the register is now: place first, signatures last.
func (r *Register) judge(e Entry) error {
	s := e.Body.Subject()
	if want := r.Next(s); e.Place != want {
		return fmt.Errorf("%w: %s is at seq %d, this says %d", ErrSequence, s, want.Seq, e.Seq)
	}
	if err := r.allowed(e); err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	return nil
}

// Next is the place that the next entry of a subject must have.
func (r *Register) Next(s Subject) Place {
	p := First()
	kind, id := s.split()
	switch kind {
	case KindRoot:
		return r.root.next
	case KindRelay:
		p = nextOf(r.relays, s)
	case KindOrg:
		p = nextOf(r.orgs, identity.OrgID(id))
	case KindDesk:
		p = nextOf(r.desks, identity.DeskID(id))
	case KindDevice:
		p = nextIn(r.devices, id, identity.ParseDeviceID)
	case KindPerson:
		p = nextIn(r.persons, id, identity.ParsePersonID)
	case KindEpoch:
		p = nextIn(r.epochs, id, identity.ParseDeviceID)
	case KindAnchor:
		p = nextIn(r.anchors, id, identity.ParseDeviceID)
	case KindRelease:
		p = nextOf(r.releases, id)
	}
	return p
}

func nextOf[K comparable, T Body](m map[K]*record[T], k K) Place {
	if rec := m[k]; rec != nil {
		return rec.next
	}
	return First()
}

func nextIn[K comparable, T Body](m map[K]*record[T], id string, parse func(string) (K, error)) Place {
	k, err := parse(id)
	if err != nil {
		return First()
	}
	return nextOf(m, k)
}

// Skipped lists the entries that everybody ignores, from index from on.
func (r *Register) Skipped(from uint64) []Skipped {
	i, _ := slices.BinarySearchFunc(r.skipped, from, func(s Skipped, want uint64) int {
		return int(int64(s.Index) - int64(want))
	})
	return slices.Clone(r.skipped[i:])
}

// accept enters an entry that Check allowed.
func (r *Register) accept(e Entry) {
	index, s := r.Size(), e.Body.Subject()
	switch b := e.Body.(type) {
	case Root:
		rec := &r.root
		r.root = *rec.extended(index, e, b)
	case Relay:
		r.relays[s] = r.relays[s].extended(index, e, b)
		r.relay = s
	case Org:
		r.orgs[b.ID] = r.orgs[b.ID].extended(index, e, b)
	case Desk:
		r.desks[b.ID] = r.desks[b.ID].extended(index, e, b)
	case Device:
		r.devices[b.ID] = r.devices[b.ID].extended(index, e, b)
		r.enrol(b)
	case Person:
		r.persons[b.ID] = r.persons[b.ID].extended(index, e, b)
	case Epochs:
		r.epochs[b.Device] = r.epochs[b.Device].extended(index, e, b)
	case Anchor:
		r.anchors[b.Device] = r.anchors[b.Device].extended(index, e, b)
	case Release:
		r.releases[b.Version] = r.releases[b.Version].extended(index, e, b)
	case Revoke:
		r.end(index, e, b)
	}
	for _, k := range keysOf(e.Body) {
		r.keys[k.key] = k.use
	}
}

// enrol lists a new device with its desk.
func (r *Register) enrol(b Device) {
	list := r.byDesk[b.Desk]
	i, found := slices.BinarySearchFunc(list, b.ID, compareDevices)
	if !found {
		r.byDesk[b.Desk] = slices.Insert(slices.Clip(list), i, b.ID)
	}
}

func compareDevices(a, b identity.DeviceID) int { return bytes.Compare(a[:], b[:]) }

// extended returns the record with one version more; rec may be nil.
func (rec *record[T]) extended(index uint64, e Entry, body T) *record[T] {
	var next record[T]
	if rec != nil {
		next = *rec
	}
	if len(next.versions) == 0 {
		next.since = index
	}
	next.versions = append(slices.Clip(next.versions), version[T]{index, body})
	next.next = Place{Seq: e.Seq + 1, Prev: e.Hash()}
	return &next
}

// ended returns the record with its revocation.
func (rec *record[T]) ended(index uint64, e Entry, b Revoke) *record[T] {
	next := *rec
	next.revoked, next.revocation = index, b
	next.next = Place{Seq: e.Seq + 1, Prev: e.Hash()}
	return &next
}

func (r *Register) end(index uint64, e Entry, b Revoke) {
	kind, id := b.Of.split()
	switch kind {
	case KindRelay:
		r.relays[b.Of] = r.relays[b.Of].ended(index, e, b)
	case KindOrg:
		r.orgs[identity.OrgID(id)] = r.orgs[identity.OrgID(id)].ended(index, e, b)
	case KindDesk:
		r.desks[identity.DeskID(id)] = r.desks[identity.DeskID(id)].ended(index, e, b)
	case KindDevice:
		if d, err := identity.ParseDeviceID(id); err == nil {
			r.devices[d] = r.devices[d].ended(index, e, b)
		}
	case KindPerson:
		if p, err := identity.ParsePersonID(id); err == nil {
			r.persons[p] = r.persons[p].ended(index, e, b)
		}
	case KindRelease:
		r.releases[id] = r.releases[id].ended(index, e, b)
	}
}
