package redisqueue

import (
	"context"
	"errors"
	"fmt"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// quarantine looks at the record again, tells its sealer, and only then takes it
// out of the mailbox.
func (b *batch) quarantine(ctx context.Context, op *queue.Quarantine) (queue.Result, error) {
	stored, err := b.s.at(ctx, op.Desk, op.Position)
	switch {
	case errors.Is(err, queue.ErrUnavailable):
		return queue.Result{Err: err}, nil
	case err != nil:
		return queue.Result{}, err
	case stored.entries == 0:
		return queue.Result{}, nil
	case stored.sound:
		return queue.Result{Err: queue.ErrSound}, nil
	}
	b.s.log.Error("record is damaged and set aside", "desk", op.Desk, "position", op.Position, "id", stored.id.String())
	var result queue.Result
	field := "" // of the id that is to be forgotten
	if stored.known.position == op.Position {
		field = fieldOf(op.Desk, stored.id)
		notice := &queue.Notice{
			Desk: stored.known.sealerDesk, Device: stored.known.sealer, Kind: queue.NoticeDamaged, ID: stored.id, Created: op.Now,
		}
		var told [1]queue.Result
		if err := b.together(ctx, []queue.Op{notice}, told[:]); err != nil {
			return result, err
		}
		if unanswered(told[0].Err) {
			return queue.Result{Err: told[0].Err}, nil
		}
		if told[0].Position != 0 {
			result.Noticed = notice.Desk
		}
	}
	c := &call{bucket: bucketOf(op.Desk), args: []any{"Q", string(op.Desk), field, hexPosition(op.Position)}}
	c.of(op.Desk)
	result.Err, err = b.drain(ctx, []*call{c})
	return result, err
}

// standing is what there is at one position.
type standing struct {
	entries int
	sound   bool
	id      envelope.ID // as written beside the record, zero when it cannot be read
	known   known       // of that id, zero when there is nothing
}

func (s *Store) at(ctx context.Context, desk identity.DeskID, p queue.Position) (standing, error) {
	reply, err := s.ask(ctx, "entry", desk, string(desk), uint64(p))
	if err != nil {
		return standing{}, err
	}
	entries, row, err := entryParts(reply)
	if err != nil || len(entries) == 0 {
		return standing{}, err
	}
	st := standing{entries: len(entries)}
	e, err := parseEntry(entries[0], desk)
	st.sound, st.id = err == nil && len(entries) == 1, e.id
	if known, ok := parseKnown(row); ok {
		st.known = known
	}
	return st, nil
}

func entryParts(reply any) (entries []any, row string, err error) {
	both, ok := reply.([]any)
	if !ok || len(both) != 2 {
		return nil, "", fmt.Errorf("%w: %T", errAnswer, reply)
	}
	entries, _ = both[0].([]any)
	row, _ = both[1].(string)
	return entries, row, nil
}

var errForeign = errors.New("no entry of ours")
