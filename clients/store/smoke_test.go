package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/message"
)

func TestSmoke(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	kf := vault.KeyFile{Path: filepath.Join(t.TempDir(), "key")}
	ways := []vault.Way{vault.Passphrase{Phrase: "zes willekeurige woorden", WorkFactor: 10}, kf}
	s, err := store.Create(t.Context(), dir, store.CreateOptions{Keys: ways})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_790_000_000, 0)
	err = s.Update(t.Context(), func(tx *store.Tx) error {
		fresh, err := tx.SaveMessage(store.Message{Hash: message.Hash{1}, ID: message.ID{2}, Case: message.CaseRef{3}, Direction: store.In,
			Class: "melding", Urgency: message.Acute, Peer: "vt20/crisis", Created: now, Received: now, Raw: []byte("hello")})
		if !fresh {
			t.Error("not fresh")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), dir, store.Unlock{Keys: ways}); err == nil {
		t.Fatal("opened twice")
	} else {
		t.Log(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = store.Open(t.Context(), dir, store.Unlock{Keys: ways[1:]})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.View(t.Context(), func(tx *store.Tx) error {
		m, err := tx.FindMessage("0100")
		t.Log(string(m.Raw), m.Urgency)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
