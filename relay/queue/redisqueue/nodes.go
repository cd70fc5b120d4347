package redisqueue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// What the relays of one store agree on beside mailboxes: one register
// (register.go), and one live session of each device (sessions.go). nodes.lua says
// where it stands.

// key names a key in a bucket.
func (s *Store) key(bucket int, name string) string {
	return strings.TrimSuffix(s.metaKey(bucket), "meta") + name
}

// nodesBell is the channel by which relays tell each other what they agreed on.
func (s *Store) nodesBell() string { return s.config.Prefix + "nodes" }

// call calls a function of nodes.lua on keys of one bucket, wherever that is. It
// calls again only what was not carried out: what else may be repeated is the
// caller's to know.
func (s *Store) call(ctx context.Context, bucket int, name string, keys []string, args ...any) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	for {
		if err := s.usable(); err != nil {
			return nil, fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
		}
		reply, err := s.callOnce(ctx, bucket, name, keys, args)
		if err == nil {
			return reply, nil
		}
		if !s.mayAskAgain(ctx, err) {
			return nil, s.readError(err)
		}
	}
}

func (s *Store) callOnce(ctx context.Context, bucket int, name string, keys []string, args []any) (any, error) {
	client, err := s.reads.of(ctx, bucket)
	if err != nil {
		return nil, err
	}
	command := []any{"fcall", function(name), len(keys) + 1, s.metaKey(bucket)}
	for _, k := range keys {
		command = append(command, s.key(bucket, k))
	}
	command = append(append(command, s.marker), args...)
	if s.config.Replicas == 0 || !waitsForReplicas(name) {
		return client.Do(ctx, command...).Result()
	}
	wait := []any{"wait", s.config.Replicas, (s.config.Patience / 3).Milliseconds()}
	answers := pipelined(ctx, client, [][]any{command, wait})
	switch confirmed, _ := answers[1].reply.(int64); {
	case answers[0].err != nil:
		return nil, answers[0].err
	case int(confirmed) < s.config.Replicas:
		return nil, fmt.Errorf("%w: %d of %d replicas have the entry", queue.ErrUnconfirmed, confirmed, s.config.Replicas)
	}
	return answers[0].reply, nil
}

// waitsForReplicas reports that what a function writes is promised to somebody.
func waitsForReplicas(name string) bool {
	return name == "register_append" || name == "timers_write" || name == "plan_publish" || name == "plan_remove"
}

// Housekeep reports whether this relay is the one that looks for what expired, from
// now on for a time. Another is while it asks in time again.
func (s *Store) Housekeep(ctx context.Context, upto time.Duration) (bool, error) {
	reply, err := s.call(ctx, registerBucket, "housekeep", nil, s.node, int(max(1, upto/time.Second)))
	return reply == int64(1), err
}

// Attend calls grown when another relay changed the register, and begun when a
// device began a session elsewhere, until ctx ends. It may miss some: whoever counts
// on it looks now and then as well. Call it once, whatever comes of the connection.
func (s *Store) Attend(ctx context.Context, grown func(), begun func(device identity.DeviceID, number uint64)) {
	s.hear(ctx, s.nodesBell(), "the other relays are not heard, looking now and then only", func(payload string) {
		told, ok := parseTold(payload)
		switch {
		case !ok:
			s.log.Warn("another relay says what this one does not know")
		case told.node == s.node:
		case told.number == 0:
			grown()
		default:
			begun(told.device, told.number)
		}
	})
}

// told is what a relay told: that the register changed, when number is 0, or that a
// device began a session.
type told struct {
	node   string
	number uint64
	device identity.DeviceID
}

func parseTold(payload string) (t told, ok bool) {
	kind, rest, _ := strings.Cut(payload, "\n")
	if kind == "register" {
		return told{node: rest}, rest != ""
	}
	t.node, rest, _ = strings.Cut(rest, "\n")
	number, device, _ := strings.Cut(rest, "\n")
	t.number, _ = strconv.ParseUint(number, 10, 64)
	if kind != "session" || t.node == "" || t.number == 0 || strconv.FormatUint(t.number, 10) != number || len(device) != len(t.device) {
		return told{}, false
	}
	t.device = identity.DeviceID([]byte(device))
	return t, true
}
