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
	s.hear(ctx, s.bell(), "doorbells are not heard, sweeping only", func(payload string) {
		desks := strings.Split(payload, "\n")
		if desks[0] == s.node {
			return // our own: the committer has rung already
		}
		for _, desk := range desks[1:] {
			ring(identity.DeskID(desk))
		}
	})
}

// hear calls each with what comes on a channel, until ctx ends. It subscribes again
// when the connection breaks, and logs lost.
func (s *Store) hear(ctx context.Context, channel, lost string, each func(payload string)) {
	for ctx.Err() == nil {
		s.hearOnce(ctx, channel, lost, each)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func (s *Store) hearOnce(ctx context.Context, channel, lost string, each func(payload string)) {
	subscription := s.watches.subscribe(ctx, channel)
	defer subscription.Close()
	stop := context.AfterFunc(ctx, func() { subscription.Close() })
	defer stop()
	for {
		message, err := subscription.ReceiveMessage(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn(lost, "error", err.Error())
			}
			return
		}
		each(message.Payload)
	}
}
