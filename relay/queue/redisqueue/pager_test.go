package redisqueue_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/oncall"
	"schakel/relay/oncall/oncalltest"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
)

// TestJournal runs the suite of timers on one Redis.
func TestJournal(t *testing.T) {
	checkJournal(t, start(t).Config())
}

func checkJournal(t *testing.T, c redisqueue.Config) {
	parts := 0
	oncalltest.Run(t, func(t *testing.T) oncalltest.Config {
		c := c
		parts++
		c.Prefix = fmt.Sprintf("schakel:part%d:", parts)
		return journal(t, c)
	})
}

// journal opens a journal, and lets its mailboxes have what waits.
func journal(t *testing.T, c redisqueue.Config) oncalltest.Config {
	mailboxes := mustOpen(t, c)
	token := func(ref queue.Ref) [32]byte { return sha256.Sum256(ref.ID[:]) }
	commit := func(op queue.Op) error {
		results, err := mailboxes.Commit(t.Context(), []queue.Op{op})
		if err == nil {
			err = results[0].Err
		}
		return err
	}
	return oncalltest.Config{
		Open: func() (oncall.Journal, func() error, error) {
			store, err := redisqueue.Open(context.Background(), c)
			if err != nil {
				return nil, nil, err
			}
			return store.Journal(), store.Close, nil
		},
		Wait: func(ref queue.Ref) error {
			shown := token(ref)
			hash := sha256.Sum256(shown[:])
			body := []byte("envelope")
			return commit(&queue.Put{
				ID: ref.ID, Desk: ref.Desk, Targets: []identity.DeviceID{{2}}, Sealer: identity.DeviceID{1}, SealerDesk: "vt20/crisis",
				Created: 1000, Expires: 1 << 36, Tier: envelope.TierAcute, AttendedHash: hash[:], Envelope: body, Digest: sha256.Sum256(body),
			})
		},
		Attend: func(ref queue.Ref) error {
			return commit(&queue.Attend{Desk: ref.Desk, ID: ref.ID, Token: token(ref)})
		},
	}
}
