package redisqueue

import (
	"context"
	"strings"
	"time"

	"schakel/crypto/identity"
)

// Listen calls ring for each desk whose mailbox another relay has made grow, until
// ctx ends. A doorbell can be lost while the connection is down: whoever counts on
// it sweeps now and then as well.
func (s *Store) Listen(ctx context.Context, ring func(identity.DeskID)) {
	for ctx.Err() == nil {
		s.listen(ctx, ring)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func (s *Store) listen(ctx context.Context, ring func(identity.DeskID)) {
	subscription := s.watches.subscribe(ctx, s.bell())
	defer subscription.Close()
	stop := context.AfterFunc(ctx, func() { subscription.Close() })
	defer stop()
	for {
		message, err := subscription.ReceiveMessage(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("doorbells are not heard, sweeping only", "error", err.Error())
			}
			return
		}
		desks := strings.Split(message.Payload, "\n")
		if desks[0] == s.node {
			continue // our own: the committer has rung already
		}
		for _, desk := range desks[1:] {
			ring(identity.DeskID(desk))
		}
	}
}
