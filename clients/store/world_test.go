package store_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

const peer = identity.DeskID("vt20/crisis")

var (
	now  = time.Unix(1_790_000_000, 0).UTC()
	self = device(0)
)

func device(n byte) identity.DeviceID { return identity.DeviceID{0: 0xd0, 15: n} }
func caseOf(n uint64) message.CaseRef { return message.CaseRef{0: 0xca, 15: byte(n)} }

func envelopeID(n uint64) (id envelope.ID) {
	id[0] = 0xee
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// place is where a test keeps a store: its folder and its keys, which a cheap
// scrypt guards.
type place struct {
	dir  string
	ways []vault.Way
}

const recoveryPhrase = "zes willekeurige woorden op papier"

func newPlace(t testing.TB) place {
	t.Helper()
	return place{
		dir: filepath.Join(t.TempDir(), "store"),
		ways: []vault.Way{vault.KeyFile{Path: filepath.Join(t.TempDir(), "key")},
			vault.Passphrase{Phrase: recoveryPhrase, WorkFactor: 4}},
	}
}

func (p place) create(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Create(t.Context(), p.dir, store.CreateOptions{Keys: p.ways})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (p place) open(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), p.dir, store.Unlock{Keys: p.ways})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newStore(t testing.TB) *store.Store { t.Helper(); return newPlace(t).create(t) }

func update(t testing.TB, s *store.Store, f func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, s *store.Store, f func(*store.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func privateKey(b byte) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte{b})
	return ed25519.NewKeyFromSeed(seed[:])
}
