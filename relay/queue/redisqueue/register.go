package redisqueue

import (
	"context"
	"fmt"

	"schakel/crypto/trust"
	"schakel/relay/queue"
	"schakel/relay/register"
)

var _ register.Order = (*Store)(nil)

// How much of the register one call reads.
const (
	registerPage  = 1000
	registerBytes = 512 << 10
)

// The register stands in one bucket: its order is one.
const registerBucket = 0

// Append implements register.Order. An answer that is lost leaves the caller not
// knowing; it looks, and finds its own rows.
func (s *Store) Append(ctx context.Context, after register.Place, c register.Change) (bool, error) {
	before, again := "", 0
	if after.Size > 0 {
		before = string(after.Root[:])
	}
	if c.Again {
		again = 1
	}
	args := []any{s.nodesBell(), s.node, after.Size, before, again, len(c.Rows), len(c.Keys), len(c.Ended)}
	for _, r := range c.Rows {
		args = append(args, rowText(r))
	}
	for _, k := range c.Keys {
		args = append(args, k.Name, k.Recipient)
	}
	for _, name := range c.Ended {
		args = append(args, name)
	}
	reply, err := s.call(ctx, registerBucket, "register_append", []string{"register", "register-keys"}, args...)
	switch {
	case err != nil:
		return false, err
	case reply == int64(2):
		return false, fmt.Errorf("%w: the register was filled up just now: new entries wait ten seconds for relays that know more", queue.ErrUnavailable)
	}
	return reply == int64(1), nil
}

// Rows implements register.Order.
func (s *Store) Rows(ctx context.Context, from uint64) (register.Stretch, error) {
	var none register.Stretch
	reply, err := s.call(ctx, registerBucket, "register_rows", []string{"register"}, from, registerPage, registerBytes)
	if err != nil {
		return none, err
	}
	four, ok := reply.([]any)
	if !ok || len(four) != 4 {
		return none, fmt.Errorf("%w: %T", errAnswer, reply)
	}
	begin, _ := four[0].(int64)
	end, _ := four[1].(int64)
	before, _ := four[2].(string)
	list, _ := four[3].([]any)
	stretch := register.Stretch{From: uint64(begin), End: uint64(end)}
	copy(stretch.Before[:], before)
	for _, raw := range list {
		text, _ := raw.(string)
		stretch.Rows = append(stretch.Rows, rowOf(text))
	}
	return stretch, nil
}

// Recipients implements register.Order.
func (s *Store) Recipients(ctx context.Context, names []string) ([]string, error) {
	found := make([]string, 0, len(names))
	for len(names) > 0 {
		part := names[:min(registerPage, len(names))]
		names = names[len(part):]
		reply, err := s.call(ctx, registerBucket, "register_keys", []string{"register-keys"}, anys(part)...)
		if err != nil {
			return nil, err
		}
		list, _ := reply.([]any)
		if len(list) != len(part) {
			return nil, fmt.Errorf("%w: %d keys of %d", errAnswer, len(list), len(part))
		}
		for _, raw := range list {
			recipient, _ := raw.(string)
			found = append(found, recipient)
		}
	}
	return found, nil
}

// SetAside implements register.Order.
func (s *Store) SetAside(ctx context.Context, index uint64, row register.Row) error {
	_, err := s.call(ctx, registerBucket, "register_aside", []string{"register", "register-aside"},
		s.nodesBell(), s.node, index, rowText(row))
	return err
}

// Cosign implements register.Order.
func (s *Store) Cosign(ctx context.Context, c register.Cosigning) (register.Cosigning, error) {
	args := []any{s.nodesBell(), s.node, c.After, c.Asked.Size, string(c.Asked.Root[:]), c.Served.Size, string(c.Served.Note)}
	for _, l := range c.Lines {
		args = append(args, l.Witness, l.At, string(l.Line))
	}
	reply, err := s.call(ctx, registerBucket, "register_cosign", []string{"register", "register-cosign"}, args...)
	if err != nil {
		return register.Cosigning{}, err
	}
	five, ok := reply.([]any)
	if !ok || len(five) != 5 {
		return register.Cosigning{}, fmt.Errorf("%w: %T", errAnswer, reply)
	}
	at, _ := five[0].(int64)
	root, _ := five[1].(string)
	served, _ := five[2].(int64)
	note, _ := five[3].(string)
	lines, _ := five[4].([]any)
	all := register.Cosigning{Asked: register.Place{Size: uint64(at)}, Served: register.Served{Size: uint64(served), Note: []byte(note)}}
	copy(all.Asked.Root[:], root)
	for ; len(lines) >= 3; lines = lines[3:] {
		witness, _ := lines[0].(string)
		seconds, _ := lines[1].(int64)
		text, _ := lines[2].(string)
		all.Lines = append(all.Lines, register.WitnessLine{Witness: witness, At: uint64(seconds), Line: []byte(text)})
	}
	return all, nil
}

// A row is its root of 32 bytes and its text; one that is damaged is empty.
func rowText(r register.Row) string {
	if r.Text == nil {
		return ""
	}
	return string(r.Root[:]) + string(r.Text)
}

func rowOf(text string) register.Row {
	if len(text) < len(trust.Hash{}) {
		return register.Row{}
	}
	r := register.Row{Text: []byte(text[len(trust.Hash{}):])}
	copy(r.Root[:], text)
	return r
}

func anys(list []string) []any {
	all := make([]any, len(list))
	for i, s := range list {
		all[i] = s
	}
	return all
}
