package trust

import (
	"fmt"

	"schakel/crypto/identity"
)

// allowed applies the rules of the entry's kind. Its place was checked before.
func (r *Register) allowed(e Entry) error {
	if err := r.freshKeys(e.Body); err != nil {
		return err
	}
	switch b := e.Body.(type) {
	case Root:
		return r.allowRoot(e, b)
	case Relay:
		if rec := r.relays[b.Subject()]; rec != nil && rec.revoked != 0 {
			return ErrRevoked
		}
		return r.byRootAlone(e)
	case Org:
		if rec := r.orgs[b.ID]; rec != nil && rec.revoked != 0 {
			return ErrRevoked
		}
		return r.byRootAlone(e)
	case Desk:
		return r.allowDesk(e, b)
	case Device:
		return r.allowDevice(e, b)
	case Person:
		return r.allowPerson(e, b)
	case Epochs:
		return r.allowEpochs(e, b)
	case Revoke:
		return r.allowRevoke(e, b)
	case Anchor:
		return r.allowAnchor(e, b)
	case Release:
		return r.allowRelease(e, b)
	}
	return ErrUnknownKind
}

// allowRoot: k of the old and k of the new, version exactly one more (attack C11).
func (r *Register) allowRoot(e Entry, b Root) error {
	t, err := r.rotation(e, b)
	if err != nil {
		return err
	}
	if !t.Complete() {
		return fmt.Errorf("%w: want %d holders of the old root and %d of the new", ErrUnauthorised, t.Old.Threshold, t.New.Threshold)
	}
	return nil
}

func (r *Register) byRootAlone(e Entry) error {
	got, err := e.note.signedBy(signers{asRoot: r.Authority().Keys})
	if err != nil {
		return err
	}
	return r.rootMet(got)
}

func (r *Register) rootMet(got signers) error {
	if root := r.Authority(); !root.met(got[asRoot]) {
		return fmt.Errorf("%w: want %d holders of the root", ErrUnauthorised, root.Threshold)
	}
	return nil
}

// allowDesk: the organisation for its desk, and the root where role or region are
// new. An organisation cannot make itself look like another (attacks H11, C17).
func (r *Register) allowDesk(e Entry, b Desk) error {
	org, err := r.speakingOrg(b.ID.Org())
	if err != nil {
		return err
	}
	got, err := e.note.signedBy(signers{asOrg: {org.Key}, asRoot: r.Authority().Keys})
	if err != nil {
		return err
	}
	if !got.has(asOrg, org.Key) {
		return fmt.Errorf("%w: want the organisation", ErrUnauthorised)
	}
	rec := r.desks[b.ID]
	if rec == nil {
		return r.rootMet(got)
	}
	if rec.revoked != 0 {
		return ErrRevoked
	}
	if was := rec.current(); was.Role != b.Role || was.Region != b.Region {
		return r.rootMet(got)
	}
	return nil
}

// allowDevice: the organisation vouches, both keys prove possession (attacks C13
// and C14).
func (r *Register) allowDevice(e Entry, b Device) error {
	org, err := r.speakingDesk(b.Desk)
	if err != nil {
		return err
	}
	if rec := r.devices[b.ID]; rec != nil {
		if rec.revoked != 0 {
			return ErrRevoked
		}
		if was := rec.current(); was.Desk != b.Desk || was.Type != b.Type || was.SignKey != b.SignKey {
			return fmt.Errorf("%w: desk, type and signing key of a device never change; enrol a new device", ErrRule)
		}
	}
	return e.signedByAll(mustSign{asOrg, org.Key}, mustSign{asDevice, b.SignKey}, mustSign{asLogin, b.LoginKey})
}

func (r *Register) allowPerson(e Entry, b Person) error {
	org, err := r.speakingDesk(b.Desk)
	if err != nil {
		return err
	}
	if rec := r.persons[b.ID]; rec != nil {
		if rec.revoked != 0 {
			return ErrRevoked
		}
		if rec.current().Desk != b.Desk {
			return fmt.Errorf("%w: the desk of a person never changes; register the person anew", ErrRule)
		}
	}
	return e.signedByAll(mustSign{asOrg, org.Key}, mustSign{asPerson, b.Key})
}

func (r *Register) allowEpochs(e Entry, b Epochs) error {
	dev, ok := r.Device(b.Device)
	if !ok {
		return fmt.Errorf("%w: device %w", ErrRule, ErrUnknown)
	}
	if !dev.Active() {
		return ErrRevoked
	}
	if rec := r.epochs[b.Device]; rec != nil && b.First <= rec.current().last() {
		return fmt.Errorf("%w: epoch %d was published before", ErrRule, b.First)
	}
	return e.signedByAll(mustSign{asDevice, dev.SignKey})
}

// allowRevoke: the organisation for what is below it, the root for anything.
func (r *Register) allowRevoke(e Entry, b Revoke) error {
	org, st, ok := r.find(b.Of)
	if !ok {
		return fmt.Errorf("%w: %w", ErrRule, ErrUnknown)
	}
	if st.Revoked != 0 {
		return ErrRevoked
	}
	may := signers{asRoot: r.Authority().Keys}
	if o, ok := r.Org(org); ok {
		may[asOrg] = []identity.Key{o.Key}
	}
	got, err := e.note.signedBy(may)
	if err != nil {
		return err
	}
	if len(got[asOrg]) > 0 {
		return nil
	}
	return r.rootMet(got)
}

// mustSign is a key without whose signature an entry does not count.
type mustSign struct {
	as  string
	key identity.Key
}

func (e Entry) signedByAll(want ...mustSign) error {
	may := make(signers)
	for _, w := range want {
		may[w.as] = append(may[w.as], w.key)
	}
	got, err := e.note.signedBy(may)
	if err != nil {
		return err
	}
	for _, w := range want {
		if !got.has(w.as, w.key) {
			return fmt.Errorf("%w: signature as %s missing", ErrUnauthorised, w.as)
		}
	}
	return nil
}

// speakingOrg returns the organisation if it may speak: known, active, not revoked.
func (r *Register) speakingOrg(id identity.OrgID) (OrgState, error) {
	org, ok := r.Org(id)
	if !ok {
		return org, fmt.Errorf("%w: organisation %w", ErrRule, ErrUnknown)
	}
	if !org.Active() {
		return org, ErrRevoked
	}
	return org, nil
}

// speakingDesk returns the organisation that may speak for a desk in use.
func (r *Register) speakingDesk(id identity.DeskID) (OrgState, error) {
	if desk, ok := r.Desk(id); !ok {
		return OrgState{}, fmt.Errorf("%w: desk %w", ErrRule, ErrUnknown)
	} else if desk.Revoked != 0 {
		return OrgState{}, ErrRevoked
	}
	return r.speakingOrg(id.Org())
}

// keyIn is a key in an entry, and what it stands for there.
type keyIn struct {
	key identity.Key
	use keyUse
}

// keysOf lists the keys that an entry brings.
func keysOf(b Body) (keys []keyIn) {
	add := func(role string, k identity.Key) { keys = append(keys, keyIn{k, keyUse{b.Subject(), role}}) }
	switch b := b.(type) {
	case Root:
		for _, k := range b.Keys {
			add("holder", k)
		}
		for _, v := range b.Witnesses {
			add("witness", v.Key)
		}
	case Relay:
		add("receipt", b.Receipt)
		add("log", b.Log.Key)
	case Org:
		add("org", b.Key)
	case Device:
		add("sign", b.SignKey)
		add("login", b.LoginKey)
	case Person:
		add("person", b.Key)
	}
	return keys
}

// freshKeys refuses a key that was ever registered for anything else: one key, one
// purpose, one owner (attack C19). A further entry may keep the subject's own.
func (r *Register) freshKeys(b Body) error {
	for _, k := range keysOf(b) {
		if was, ok := r.keys[k.key]; ok && was != k.use {
			return fmt.Errorf("%w: it is the %s key of %s", ErrKeyReused, was.role, was.subject)
		}
	}
	return nil
}
