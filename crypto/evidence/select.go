package evidence

import (
	"fmt"
	"slices"

	"schakel/crypto/trust"
)

// Select is what of a register a file needs to say whose keys somebody's are: the roots,
// the relays, and the entries about these subjects, with the organisation and the desk that
// they belong to. Entries that do not count are left out.
func Select(entries [][]byte, about ...trust.Subject) ([][]byte, error) {
	if len(entries) == 0 {
		return nil, fmt.Errorf("%w: no register entries", ErrFormat)
	}
	reg, err := trust.New(entries[0], trust.GenesisFingerprint(entries[0]))
	if err != nil {
		return nil, err
	}
	about = slices.Clone(about)
	for _, raw := range entries { // a device names its desk, and that its organisation
		e, err := trust.ParseEntry(raw)
		if d, ok := e.Body.(trust.Device); err == nil && ok && slices.Contains(about, d.Subject()) {
			about = append(about, trust.Desk{ID: d.Desk}.Subject(), trust.Org{ID: d.Desk.Org()}.Subject())
		}
	}
	out := entries[:1:1]
	for _, raw := range entries[1:] {
		e, err := trust.ParseEntry(raw)
		if err != nil || !wanted(e.Body, about) {
			continue
		}
		if reg.Apply(raw) == nil {
			out = append(out, raw)
		}
	}
	return out, nil
}

func wanted(b trust.Body, about []trust.Subject) bool {
	switch b := b.(type) {
	case trust.Root, trust.Relay:
		return true
	case trust.Revoke:
		return slices.Contains(about, b.Of) || relayOf(b.Of)
	}
	return slices.Contains(about, b.Subject())
}

func relayOf(s trust.Subject) bool {
	const kind = string(trust.KindRelay) + "/"
	return len(s) > len(kind) && string(s[:len(kind)]) == kind
}
