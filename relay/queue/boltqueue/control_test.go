package boltqueue_test

import (
	"context"

	"schakel/relay/queue"
)

// early answers a batch before it is committed: with the next one.
type early struct {
	queue.Store
	held []queue.Op
}

func (s *early) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	if _, err := s.Store.Commit(ctx, s.held); err != nil {
		return nil, err
	}
	s.held = ops
	return make([]queue.Result, len(ops)), nil
}
