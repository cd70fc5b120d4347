package trust

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"schakel/crypto/identity"
)

// aheadBy is how many entries are parsed and verified ahead of being applied.
const aheadBy = 1024

// applyAll applies entries in order. Nearly all the time of a replay goes into
// signatures, so they are verified ahead, on all processors, against the keys that
// the rules will most likely ask for. Every verification is of one signature by
// one key and holds whatever happens before the entry's turn; where the guess at
// the key was wrong, the rules verify again. Only a full register is an error.
func (r *Register) applyAll(entries [][]byte) error {
	for len(entries) > 0 {
		n := min(len(entries), aheadBy)
		for i, p := range r.ahead(entries[:n]) {
			if err := r.apply(entries[i], p.entry, p.refusal); errors.Is(err, ErrTooLarge) {
				return err
			}
		}
		entries = entries[n:]
	}
	return nil
}

// parsed is an entry, or why it is none.
type parsed struct {
	entry   Entry
	refusal error
}

func (r *Register) ahead(entries [][]byte) []parsed {
	list := make([]parsed, len(entries))
	onAll(len(list), func(i int) { list[i].entry, list[i].refusal = ParseEntry(entries[i]) })
	g := guess{reg: r, orgs: make(map[identity.OrgID]identity.Key), devices: make(map[identity.DeviceID]identity.Key)}
	for _, p := range list {
		switch b := p.entry.Body.(type) {
		case Org:
			g.orgs[b.ID] = b.Key
		case Device:
			g.devices[b.ID] = b.SignKey
		}
	}
	onAll(len(list), func(i int) {
		if list[i].refusal == nil {
			g.verify(list[i].entry)
		}
	})
	return list
}

// onAll calls f for 0 to n-1 on all processors and waits.
func onAll(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// guess knows which key an entry is most likely signed with: that of the register
// before these entries, or the one that these entries bring.
type guess struct {
	reg     *Register
	orgs    map[identity.OrgID]identity.Key
	devices map[identity.DeviceID]identity.Key
}

// verify marks the signatures of an entry that a likely key made.
func (g guess) verify(e Entry) {
	for i, s := range e.note.sigs {
		if k, ok := e.note.verify(s, g.keys(e, s.name)); ok {
			e.note.sigs[i].by = k
		}
	}
}

func (g guess) keys(e Entry, as string) []identity.Key {
	switch as {
	case asRoot:
		keys := g.reg.Authority().Keys
		if b, ok := e.Body.(Root); ok {
			keys = append(keys[:len(keys):len(keys)], b.Keys...)
		}
		return keys
	case asOrg:
		org := e.OrgOf(g.reg)
		if known, ok := g.reg.Org(org); ok {
			return []identity.Key{known.Key, g.orgs[org]}
		}
		return []identity.Key{g.orgs[org]}
	}
	switch b := e.Body.(type) {
	case Device:
		return []identity.Key{b.SignKey, b.LoginKey}
	case Person:
		return []identity.Key{b.Key}
	case Epochs:
		return g.device(b.Device)
	case Anchor:
		return g.device(b.Device)
	}
	return nil
}

func (g guess) device(id identity.DeviceID) []identity.Key {
	if known, ok := g.reg.Device(id); ok {
		return []identity.Key{known.SignKey}
	}
	return []identity.Key{g.devices[id]}
}
