package schakel

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"sync"

	"schakel/crypto/identity"
)

// openKeys are the signing keys that are open for the moment, by the hash of what stands in
// for the PIN meanwhile.
type openKeys struct {
	mu  sync.Mutex // guards what follows
	all map[[sha256.Size]byte]openKey
}

type openKey struct {
	person identity.PersonID
	key    ed25519.PrivateKey
}

// LetSign lets a person sign without the PIN until end is called: whoever asks opened the
// key in another way, such as a passkey. It returns what to give in place of the PIN.
func (n *Node) LetSign(person identity.PersonID, key ed25519.PrivateKey) (pin string, end func()) {
	pin = "passkey-" + rand.Text() + rand.Text() // 256 bits
	h := sha256.Sum256([]byte(pin))
	n.open.mu.Lock()
	defer n.open.mu.Unlock()
	if n.open.all == nil {
		n.open.all = map[[sha256.Size]byte]openKey{}
	}
	n.open.all[h] = openKey{person, key}
	return pin, func() {
		n.open.mu.Lock()
		defer n.open.mu.Unlock()
		delete(n.open.all, h)
	}
}

// of is the key of a person that pin stands for, or nil.
func (v *openKeys) of(person identity.PersonID, pin string) ed25519.PrivateKey {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k, ok := v.all[sha256.Sum256([]byte(pin))]; ok && k.person == person {
		return k.key
	}
	return nil
}
