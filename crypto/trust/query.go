package trust

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/crypto/identity"
)

// ErrNoEpoch is wrapped when no published epoch key covers the asked time: nothing
// can be sealed to that device; say which desk and whom to call.
var ErrNoEpoch = errors.New("no epoch key published for that time")

// Standing is where a subject stands in the register at one size. Indexes are
// those of entries in the log; 0 is the genesis.
type Standing struct {
	Since     uint64 // index of its first entry
	Index     uint64 // index of the entry in force
	Revoked   uint64 // index of the revocation of it, its desk or its organisation; 0: none
	Suspended bool   // its organisation is suspended for now
}

// Active reports that it is neither revoked nor suspended. Validity in time is
// another question: ValidAt.
func (s Standing) Active() bool { return s.Revoked == 0 && !s.Suspended }

// below takes over what holds for the desk or the organisation above.
func (s Standing) below(above Standing) Standing {
	if above.Revoked != 0 && (s.Revoked == 0 || above.Revoked < s.Revoked) {
		s.Revoked = above.Revoked
	}
	s.Suspended = s.Suspended || above.Suspended
	return s
}

// RelayState is a relay entry in force and its standing.
type RelayState struct {
	Relay
	Standing
}

// OrgState is an organisation's entry in force and its standing.
type OrgState struct {
	Org
	Standing
}

// DeskState is a desk's entry in force and its standing.
type DeskState struct {
	Desk
	Standing
}

// DeviceState is a device's entry in force and its standing.
type DeviceState struct {
	Device
	Standing
}

// UsableAt reports that the device is active, and valid at t.
func (d DeviceState) UsableAt(t time.Time) bool { return d.Active() && d.ValidAt(t) }

// PersonState is a person's entry in force and its standing.
type PersonState struct {
	Person
	Standing
}

// UsableAt reports that the person is active, and valid at t.
func (p PersonState) UsableAt(t time.Time) bool { return p.Active() && p.ValidAt(t) }

// current is the version in force now.
func (rec *record[T]) current() T { return rec.versions[len(rec.versions)-1].body }

// at returns the version in force when the register had size entries.
func (rec *record[T]) at(size uint64) (body T, st Standing, ok bool) {
	if rec == nil || len(rec.versions) == 0 || rec.since >= size {
		return body, st, false
	}
	i := len(rec.versions) - 1
	for rec.versions[i].index >= size {
		i--
	}
	st = Standing{Since: rec.since, Index: rec.versions[i].index}
	if rec.revoked != 0 && rec.revoked < size {
		st.Revoked = rec.revoked
	}
	return rec.versions[i].body, st, true
}

// Authority is the root in force.
func (r *Register) Authority() Root { return r.root.current() }

// AuthorityAt is the root in force when the register had size entries.
func (r *Register) AuthorityAt(size uint64) (Root, bool) {
	b, _, ok := r.root.at(size)
	return b, ok
}

// Relay is the relay that was entered last, unless it is revoked.
func (r *Register) Relay() (RelayState, bool) {
	b, st, ok := r.relays[r.relay].at(r.Size())
	return RelayState{b, st}, ok && st.Revoked == 0
}

// Relays returns every version of every relay that was entered, oldest first: whoever
// verifies a custody receipt needs the key that was in force when it was given.
func (r *Register) Relays() (all []RelayState) {
	for _, rec := range r.relays {
		for _, v := range rec.versions {
			all = append(all, RelayState{v.body, Standing{Since: rec.since, Index: v.index, Revoked: rec.revoked}})
		}
	}
	slices.SortFunc(all, func(a, b RelayState) int { return cmp.Compare(a.Index, b.Index) })
	return all
}

// Org returns an organisation as it stands now.
func (r *Register) Org(id identity.OrgID) (OrgState, bool) { return r.OrgAt(id, r.Size()) }

// OrgAt returns an organisation as it stood when the register had size entries.
func (r *Register) OrgAt(id identity.OrgID, size uint64) (OrgState, bool) {
	b, st, ok := r.orgs[id].at(size)
	st.Suspended = b.Status == OrgSuspended
	return OrgState{b, st}, ok
}

// Desk returns a desk as it stands now.
func (r *Register) Desk(id identity.DeskID) (DeskState, bool) { return r.DeskAt(id, r.Size()) }

// DeskAt returns a desk as it stood when the register had size entries.
func (r *Register) DeskAt(id identity.DeskID, size uint64) (DeskState, bool) {
	b, st, ok := r.desks[id].at(size)
	if !ok {
		return DeskState{}, false
	}
	org, _ := r.OrgAt(id.Org(), size)
	return DeskState{b, st.below(org.Standing)}, true
}

// Device returns a device as it stands now.
func (r *Register) Device(id identity.DeviceID) (DeviceState, bool) {
	return r.DeviceAt(id, r.Size())
}

// DeviceAt returns a device as it stood when the register had size entries.
func (r *Register) DeviceAt(id identity.DeviceID, size uint64) (DeviceState, bool) {
	b, st, ok := r.devices[id].at(size)
	if !ok {
		return DeviceState{}, false
	}
	desk, _ := r.DeskAt(b.Desk, size)
	return DeviceState{b, st.below(desk.Standing)}, true
}

// Person returns a person as it stands now.
func (r *Register) Person(id identity.PersonID) (PersonState, bool) {
	return r.PersonAt(id, r.Size())
}

// PersonAt returns a person as it stood when the register had size entries.
func (r *Register) PersonAt(id identity.PersonID, size uint64) (PersonState, bool) {
	b, st, ok := r.persons[id].at(size)
	if !ok {
		return PersonState{}, false
	}
	desk, _ := r.DeskAt(b.Desk, size)
	return PersonState{b, st.below(desk.Standing)}, true
}

// FirstOf reports whether a device is the first that its desk ever had, of those that were
// revoked since as well.
func (r *Register) FirstOf(d DeviceState) bool {
	for _, id := range r.byDesk[d.Desk] {
		if other, ok := r.Device(id); ok && other.Since < d.Since {
			return false
		}
	}
	return true
}

// DevicesOf returns the devices of a desk that are not revoked, in the order of
// their ids. Some may be outside their validity: UsableAt.
func (r *Register) DevicesOf(desk identity.DeskID) []DeviceState {
	ids := r.byDesk[desk]
	list := make([]DeviceState, 0, len(ids))
	for _, id := range ids {
		if d, ok := r.Device(id); ok && d.Revoked == 0 {
			list = append(list, d)
		}
	}
	return list
}

// FirstDevice is the device that was entered at a desk before all others, revoked or not.
func (r *Register) FirstDevice(desk identity.DeskID) (first identity.DeviceID, ok bool) {
	var since uint64
	for _, id := range r.byDesk[desk] {
		if rec := r.devices[id]; !ok || rec.since < since {
			first, since, ok = id, rec.since, true
		}
	}
	return first, ok
}

// Desks returns the ids of all desks ever entered, sorted.
func (r *Register) Desks() []identity.DeskID {
	ids := make([]identity.DeskID, 0, len(r.desks))
	for id := range r.desks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// EpochFor returns the epoch of a device that covers t; where several do, the one
// that was logged last. It says nothing of the device's own standing.
func (r *Register) EpochFor(device identity.DeviceID, t time.Time) (EpochRef, error) {
	if rec := r.epochs[device]; rec != nil {
		for _, v := range slices.Backward(rec.versions) {
			if ref, ok := v.body.at(t); ok {
				return ref, nil
			}
		}
	}
	return EpochRef{}, fmt.Errorf("%w: device %s at %s", ErrNoEpoch, device, t.UTC().Format(timeForm))
}

// Epoch returns a published epoch of a device by its number.
func (r *Register) Epoch(device identity.DeviceID, number uint64) (EpochRef, bool) {
	rec := r.epochs[device]
	if rec == nil {
		return EpochRef{}, false
	}
	i, exact := slices.BinarySearchFunc(rec.versions, number, func(v version[Epochs], n uint64) int {
		return int(int64(v.body.First) - int64(n))
	})
	if !exact {
		i--
	}
	if i < 0 || number > rec.versions[i].body.last() {
		return EpochRef{}, false
	}
	b := rec.versions[i].body
	return b.ref(int(number - b.First)), true
}

// EpochHash returns the hash of the recipient string of a published epoch.
func (r *Register) EpochHash(device identity.DeviceID, number uint64) (Hash, bool) {
	ref, ok := r.Epoch(device, number)
	return ref.Hash, ok
}

// LastEpoch returns the epoch of a device with the highest number: what to publish
// next begins after it.
func (r *Register) LastEpoch(device identity.DeviceID) (EpochRef, bool) {
	rec := r.epochs[device]
	if rec == nil {
		return EpochRef{}, false
	}
	b := rec.current()
	return b.ref(len(b.Hashes) - 1), true
}

// find returns the standing of anything that can be revoked, and the organisation
// that it belongs to ("" for a relay or a release).
func (r *Register) find(s Subject) (org identity.OrgID, st Standing, ok bool) {
	kind, id := s.split()
	switch kind {
	case KindRelay:
		_, st, ok = r.relays[s].at(r.Size())
	case KindRelease:
		_, st, ok = r.releases[id].at(r.Size())
	case KindOrg:
		o, found := r.Org(identity.OrgID(id))
		return o.ID, o.Standing, found
	case KindDesk:
		d, found := r.Desk(identity.DeskID(id))
		return d.ID.Org(), d.Standing, found
	case KindDevice, KindEpoch, KindAnchor:
		if u, err := identity.ParseDeviceID(id); err == nil {
			d, found := r.Device(u)
			return d.Desk.Org(), d.Standing, found
		}
	case KindPerson:
		if u, err := identity.ParsePersonID(id); err == nil {
			p, found := r.Person(u)
			return p.Desk.Org(), p.Standing, found
		}
	}
	return "", st, ok
}

// OrgOf returns the organisation that a subject belongs to. A desk, device or
// person need not be in the register; an epoch's device must be.
func (e Entry) OrgOf(r *Register) identity.OrgID {
	switch b := e.Body.(type) {
	case Org:
		return b.ID
	case Desk:
		return b.ID.Org()
	case Device:
		return b.Desk.Org()
	case Person:
		return b.Desk.Org()
	}
	org, _, _ := r.find(e.Body.Subject())
	return org
}
