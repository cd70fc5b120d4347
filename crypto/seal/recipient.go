package seal

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"

	"filippo.io/age"
)

// maxRecipient bounds a recipient string before it is decoded: a hybrid one has
// 1959 characters.
const maxRecipient = 2048

// Recipient is the public key of one device for one epoch, parsed. Hybrid
// post-quantum keys (ML-KEM-768 and X25519) only.
type Recipient struct {
	key  *age.HybridRecipient
	text string
	hash [32]byte
}

// ParseRecipient reads the one spelling of a hybrid recipient, and tries the key:
// one that nothing can be sealed to is refused when it comes in, not when an
// acute message must go out.
func ParseRecipient(s string) (*Recipient, error) {
	if len(s) > maxRecipient {
		return nil, fmt.Errorf("%w: recipient of %d characters", ErrKey, len(s))
	}
	key, err := age.ParseHybridRecipient(s)
	if err != nil || key.String() != s {
		return nil, fmt.Errorf("%w: not a hybrid post-quantum age recipient", ErrKey)
	}
	if _, err := key.Wrap(make([]byte, fileKeySize)); err != nil {
		return nil, fmt.Errorf("%w: recipient cannot be sealed to: %w", ErrKey, err)
	}
	return &Recipient{key: key, text: s, hash: sha256.Sum256([]byte(s))}, nil
}

// String is the recipient string.
func (r *Recipient) String() string { return r.text }

// Hash is the SHA-256 of the recipient string: what the register logs, and what a
// delivery states.
func (r *Recipient) Hash() [32]byte { return r.hash }

// Recipients remembers parsed recipients by hash, the most recently used of them.
// It is safe for concurrent use.
type Recipients struct {
	max int

	mu     sync.Mutex // guards what follows
	order  *list.List // of *Recipient, most recently used first
	byHash map[[32]byte]*list.Element
}

// NewRecipients returns an empty cache for at most max recipients (about 4 KiB each).
func NewRecipients(max int) *Recipients {
	return &Recipients{max: max, order: list.New(), byHash: make(map[[32]byte]*list.Element)}
}

// Get returns the recipient with that hash, or nil.
func (c *Recipients) Get(hash [32]byte) *Recipient {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byHash[hash]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*Recipient)
}

// Add parses a recipient string that came from the relay, after checking it
// against the hash in the register: a key that is not the logged one is refused
// with ErrKeyHash before it is looked at (attack C01).
func (c *Recipients) Add(s string, logged [32]byte) (*Recipient, error) {
	if sha256.Sum256([]byte(s)) != logged {
		return nil, fmt.Errorf("%w: recipient is not the one in the register", ErrKeyHash)
	}
	if r := c.Get(logged); r != nil {
		return r, nil
	}
	r, err := ParseRecipient(s)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byHash[logged]; ok { // another goroutine was first
		return e.Value.(*Recipient), nil
	}
	c.byHash[logged] = c.order.PushFront(r)
	for c.order.Len() > max(c.max, 1) {
		oldest := c.order.Remove(c.order.Back()).(*Recipient)
		delete(c.byHash, oldest.hash)
	}
	return r, nil
}

// everyone wraps one file key to all devices of a desk at once, on as many
// processors as there are. age sees a single recipient; the file it writes is an
// ordinary one with a stanza per device, in the order of the header's targets.
type everyone []Target

var _ age.RecipientWithLabels = everyone(nil)

// Wrap is never called by age, which prefers WrapWithLabels.
func (e everyone) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	s, _, err := e.WrapWithLabels(fileKey)
	return s, err
}

func (e everyone) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	stanzas, errs := make([]*age.Stanza, len(e)), make([]error, len(e))
	workers := min(runtime.GOMAXPROCS(0), len(e))
	var wait sync.WaitGroup
	for w := 1; w < workers; w++ {
		wait.Go(func() { e.wrapShare(fileKey, w, workers, stanzas, errs) })
	}
	e.wrapShare(fileKey, 0, workers, stanzas, errs)
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, nil, fmt.Errorf("failed to wrap for device %s: %w", e[i].Device, err)
		}
	}
	return stanzas, []string{"postquantum"}, nil
}

// wrapShare wraps to every workers'th device from start on. Each index of stanzas
// and errs is written by one worker only.
func (e everyone) wrapShare(fileKey []byte, start, workers int, stanzas []*age.Stanza, errs []error) {
	for i := start; i < len(e); i += workers {
		s, err := e[i].Recipient.key.Wrap(fileKey)
		if err == nil && len(s) != 1 {
			err = fmt.Errorf("%d stanzas", len(s))
		}
		if err != nil {
			errs[i] = err
			continue
		}
		stanzas[i] = s[0]
	}
}
