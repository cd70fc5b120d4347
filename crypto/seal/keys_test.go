package seal_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"schakel/crypto/identity"
	"schakel/crypto/seal"
)

func TestEpochKeyRoundTrip(t *testing.T) {
	key, err := seal.NewEpochKey(epoch)
	must(t, err)
	again, err := seal.ParseEpochKey(epoch, key.Secret())
	must(t, err)
	if again.Recipient() != key.Recipient() || again.RecipientHash() != key.RecipientHash() || again.Number() != epoch {
		t.Error("another key after parsing")
	}
	if sha256.Sum256([]byte(key.Recipient())) != key.RecipientHash() {
		t.Error("the hash is not that of the recipient string")
	}
}

// TestOnlyHybrid gives every other kind of age key to both parsers.
func TestOnlyHybrid(t *testing.T) {
	key, err := seal.NewEpochKey(1)
	must(t, err)
	classic, err := age.GenerateX25519Identity()
	must(t, err)
	secret, recipient := key.Secret(), key.Recipient()
	for _, s := range []string{
		"", classic.String(), "AGE-PLUGIN-YUBIKEY-1QQPSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0JQGFZYVJZ",
		strings.ToLower(secret), secret + "\n", " " + secret, secret[:len(secret)-1], flip(secret), strings.Repeat(secret, 100),
	} {
		if _, err := seal.ParseEpochKey(1, s); !errors.Is(err, seal.ErrKey) {
			t.Errorf("epoch key %.30q: %v", s, err)
		} else if len(s) > 8 && strings.Contains(err.Error(), s[len(s)-8:]) {
			t.Errorf("the error quotes the secret: %v", err)
		}
	}
	for _, s := range []string{
		"", classic.Recipient().String(), "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		strings.ToUpper(recipient), recipient + "\n", recipient[:len(recipient)-1], flip(recipient), strings.Repeat(recipient, 2),
	} {
		if _, err := seal.ParseRecipient(s); !errors.Is(err, seal.ErrKey) {
			t.Errorf("recipient %.30q: %v", s, err)
		}
	}
	_, err = seal.ParseRecipient(recipient)
	must(t, err)
}

// flip changes the last character: the checksum no longer fits.
func flip(s string) string {
	if s[len(s)-1] == 'q' || s[len(s)-1] == 'Q' {
		return s[:len(s)-1] + "p"
	}
	return s[:len(s)-1] + "q"
}

// TestSecretsNeverPrinted prints and encodes keys in every usual way.
func TestSecretsNeverPrinted(t *testing.T) {
	device := newDevice(t)
	person, err := seal.NewPersonKey(identity.PersonID(newID(t)), rand.Reader)
	must(t, err)
	key, err := seal.NewEpochKey(1)
	must(t, err)
	held := struct {
		Device *seal.DeviceKeys
		Value  seal.DeviceKeys
		Person *seal.PersonKey
		Epoch  *seal.EpochKey
	}{device, *device, person, key}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %v %+v %#v", device, device, *device, person, *key, held, held)
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("keys", "device", device, "person", *person, "epoch", key, "held", held)
	}
	for _, v := range []any{device, *device, person, key, held} {
		if b, err := json.Marshal(v); err == nil {
			t.Errorf("encoded as %s", b)
		}
	}
	secrets := []string{key.Secret(), "AGE-SECRET-KEY", fmt.Sprintf("%x", device.Sign.Seed()), fmt.Sprint(device.Sign.Seed()), fmt.Sprint([]byte(person.Key)), "0x"}
	for _, s := range secrets {
		if strings.Contains(out.String(), strings.Trim(s, "[]")) {
			t.Errorf("%.20q... was printed", s)
		}
	}
}

func TestDeviceKeys(t *testing.T) {
	device := newDevice(t)
	if device.SignPublic() == device.LoginPublic() {
		t.Error("one key for two purposes")
	}
	for _, k := range []identity.Key{device.SignPublic(), device.LoginPublic()} {
		_, err := identity.ParseKey(k[:])
		must(t, err)
	}
	if _, err := seal.NewDeviceKeys(device.ID, bytes.NewReader(make([]byte, 40))); err == nil {
		t.Error("made keys of too little random")
	}
	if _, err := seal.NewDeviceKeys(device.ID, bytes.NewReader(make([]byte, 64))); !errors.Is(err, seal.ErrKey) {
		t.Errorf("random that repeats gave equal keys: %v", err)
	}
	if _, err := seal.NewDeviceKeys(identity.DeviceID{}, rand.Reader); !errors.Is(err, seal.ErrKey) {
		t.Errorf("no identifier: %v", err)
	}
}

func TestRecipients(t *testing.T) {
	cache := seal.NewRecipients(2)
	var keys []*seal.EpochKey
	for range 3 {
		k, err := seal.NewEpochKey(1)
		must(t, err)
		keys = append(keys, k)
	}
	if _, err := cache.Add(keys[0].Recipient(), keys[1].RecipientHash()); !errors.Is(err, seal.ErrKeyHash) {
		t.Errorf("C01: a key that is not the logged one: %v", err)
	}
	garbage := "age1pq1onzin"
	if _, err := cache.Add(garbage, sha256.Sum256([]byte(garbage))); !errors.Is(err, seal.ErrKey) {
		t.Errorf("a logged key that is none: %v", err)
	}
	for _, k := range keys[:2] {
		_, err := cache.Add(k.Recipient(), k.RecipientHash())
		must(t, err)
	}
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			if _, err := cache.Add(keys[i%2].Recipient(), keys[i%2].RecipientHash()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	first := cache.Get(keys[0].RecipientHash()) // now the most recently used
	if first == nil || first.String() != keys[0].Recipient() || first.Hash() != keys[0].RecipientHash() {
		t.Fatal("not the recipient that was added")
	}
	_, err := cache.Add(keys[2].Recipient(), keys[2].RecipientHash())
	must(t, err)
	if cache.Get(keys[0].RecipientHash()) != first || cache.Get(keys[1].RecipientHash()) != nil {
		t.Error("the least recently used one must go")
	}
}
