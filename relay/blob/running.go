package blob

import (
	"errors"
	"io"
	"sync"

	"schakel/crypto/digest"
)

// running are the SHA-256s of uploads that come in through this relay, so that the last part
// need not wait until all before it were read back. What a restart loses, and what came
// through another relay, is read back: a hash speaks only of the very objects that it saw.
type running struct {
	mu  sync.Mutex // guards what follows
	all map[upload]*hashed
}

// hashed is an upload as far as this relay has seen it come in. Its length does not grow with
// the number of parts.
type hashed struct {
	bytes *digest.SHA256
	names digest.SHA256 // of the names of their objects, one behind the other
	next  int64
}

func (r *running) get(u upload) *hashed {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[u]
}

func (r *running) set(u upload, h *hashed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = make(map[upload]*hashed)
	}
	r.all[u] = h
}

func (r *running) drop(u upload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, u)
}

// keep drops those of uploads that are gone, or complete.
func (r *running) keep(uploads map[upload]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for u := range r.all {
		if whole, ok := uploads[u]; whole || !ok {
			delete(r.all, u)
		}
	}
}

// partHash hashes one part while the store takes it.
type partHash struct {
	io.Reader
	of *hashed
}

// watch returns the body of a part that was hashed as far as it is read; nil hashes nothing,
// because what comes before it did not pass here.
func (r *running) watch(u upload, offset int64, body io.Reader) (*partHash, error) {
	before := r.get(u)
	switch {
	case offset == 0:
		before = &hashed{bytes: &digest.SHA256{}}
	case before == nil || before.next != offset:
		return &partHash{Reader: body}, nil
	}
	// The part may break off: until it is in the store, what was before it stands.
	bytes, err := before.bytes.Clone()
	if err != nil {
		return nil, err
	}
	names, err := before.names.Clone()
	if err != nil {
		return nil, err
	}
	return &partHash{io.TeeReader(body, bytes), &hashed{bytes: bytes, names: *names, next: offset}}, nil
}

// stored notes that a part is in the store under a name.
func (r *running) stored(u upload, p piece, h *partHash) {
	if h.of == nil {
		r.drop(u)
		return
	}
	h.of.bytes.Rest()
	_, _ = h.of.names.Write([]byte(u.trim(p))) // never fails
	h.of.names.Rest()
	h.of.next += p.size
	if h.of.bytes.Len() != uint64(h.of.next) { // the store read more or less than it kept
		r.drop(u)
		return
	}
	r.set(u, h.of)
}

// errUnseen means that not all of an upload passed here as it lies in the store.
var errUnseen = errors.New("did not all come in here")

// sum is the SHA-256 of an upload, if it is these objects that passed here.
func (r *running) sum(u upload, chain []piece) (id [32]byte, err error) {
	h := r.get(u)
	if h == nil || h.next != u.length {
		return id, errUnseen
	}
	var names digest.SHA256
	for _, p := range chain {
		_, _ = names.Write([]byte(u.trim(p))) // never fails
	}
	if names.Sum() != h.names.Sum() {
		return id, errUnseen
	}
	return h.bytes.Sum(), nil
}
