package seal_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"testing"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/seal"
)

const (
	senderDesk    identity.DeskID = "vt20/crisis"
	recipientDesk identity.DeskID = "knooppunt/piket"
	otherDesk     identity.DeskID = "politie-mn/spoed"

	created = 1_795_000_000
	epoch   = 20_775
)

var errUnknown = errors.New("not in the test's register")

// world is one sending device and a desk of receiving devices that know it.
type world struct {
	sender  *seal.DeviceKeys
	devices []member
}

// member is one device of the receiving desk, sorted by identifier.
type member struct {
	id  identity.DeviceID
	key *seal.EpochKey
}

func newWorld(t testing.TB, devices int) *world {
	t.Helper()
	w := &world{sender: newDevice(t)}
	for range devices {
		w.devices = append(w.devices, newMember(t))
	}
	slices.SortFunc(w.devices, func(a, b member) int { return bytes.Compare(a.id[:], b.id[:]) })
	return w
}

func newDevice(t testing.TB) *seal.DeviceKeys {
	t.Helper()
	k, err := seal.NewDeviceKeys(identity.DeviceID(newID(t)), rand.Reader)
	must(t, err)
	return k
}

func newMember(t testing.TB) member {
	t.Helper()
	key, err := seal.NewEpochKey(epoch)
	must(t, err)
	return member{identity.DeviceID(newID(t)), key}
}

func (w *world) targets(t testing.TB) []seal.Target {
	t.Helper()
	var out []seal.Target
	for _, m := range w.devices {
		r, err := seal.ParseRecipient(m.key.Recipient())
		must(t, err)
		out = append(out, seal.Target{Device: m.id, Epoch: epoch, Recipient: r})
	}
	return out
}

// parcel carries content as a test delivery.
func (w *world) parcel(t testing.TB, content []byte) seal.Parcel {
	t.Helper()
	return seal.Parcel{
		ID: envelope.ID(newID(t)), Desk: recipientDesk, Targets: w.targets(t),
		Created: created, Expires: created + envelope.MaxLife, Tier: envelope.TierNone,
		Delivery: delivery.Delivery{Kind: delivery.KindTest, Content: content, Counter: 1},
	}
}

func (w *world) seal(t testing.TB, p seal.Parcel) []byte {
	t.Helper()
	raw, err := seal.Seal(p, w.sender)
	must(t, err)
	return raw
}

// lock is what the i'th device of the receiving desk opens with.
func (w *world) lock(i int) seal.Lock {
	return seal.Lock{
		Desk: recipientDesk, Device: w.devices[i].id,
		Epoch: func(n uint64) (*seal.EpochKey, error) {
			if n != epoch {
				return nil, errUnknown
			}
			return w.devices[i].key, nil
		},
		Sealer: func(d identity.DeviceID) (identity.Key, error) {
			if d != w.sender.ID {
				return identity.Key{}, errUnknown
			}
			return w.sender.SignPublic(), nil
		},
	}
}

func newID(t testing.TB) (id [16]byte) {
	t.Helper()
	if _, err := rand.Read(id[:]); err != nil {
		t.Fatal(err)
	}
	return id
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
