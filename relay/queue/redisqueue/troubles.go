package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"schakel/relay/queue"
)

// errShort is an operation that the server has carried out, and that fewer replicas
// confirmed than are promised.
var errShort = fmt.Errorf("%w: fewer replicas than redis-replicas confirmed", queue.ErrUnconfirmed)

// shortage says of an operation that it was carried out without the confirmation of
// replicas: because they were known to be missing, so that new envelopes were not
// taken, or because that was found out by it.
type shortage struct{ known, found bool }

// about returns the error of an operation.
func (s shortage) about(err error) error {
	switch {
	case s.known && errors.Is(err, queue.ErrFullMemory): // as drain says of all that is new
		return fmt.Errorf("%w: fewer replicas than redis-replicas are there", queue.ErrUnavailable)
	case (s.known || s.found) && err == nil:
		return errShort
	}
	return err
}

// troubles knows which servers do not answer or miss replicas. Their operations are
// refused at once, or one of them would hold up everybody, until a probe finds them
// well.
type troubles struct {
	s *Store

	mu        sync.Mutex
	byAddress map[string]trouble
}

type trouble struct{ silent, short bool }

func (t *troubles) of(address string) trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byAddress[address]
}

func (t *troubles) isSilent(address string) bool { return t.of(address).silent }

// missing says where replicas are missing, or "".
func (t *troubles) missing() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var at []string
	for address, trouble := range t.byAddress {
		if trouble.short {
			at = append(at, address)
		}
	}
	if len(at) == 0 {
		return ""
	}
	slices.Sort(at)
	return fmt.Sprintf("fewer than redis-replicas (%d) replicas confirm at %s", t.s.config.Replicas, strings.Join(at, ", "))
}

func (t *troubles) silent(client *redis.Client) {
	t.add(client, func(now *trouble) { now.silent = true }, "redis does not answer, its desks are refused")
}

func (t *troubles) short(client *redis.Client) {
	t.add(client, func(now *trouble) { now.short = true }, "replicas do not confirm, envelopes are refused")
}

func (t *troubles) add(client *redis.Client, change func(*trouble), message string) {
	address := addressOf(client)
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.byAddress[address]
	now := before
	change(&now)
	t.byAddress[address] = now
	if now == before {
		return
	}
	t.s.log.Error(message, "server", address)
	if before == (trouble{}) {
		t.s.watching.Go(func() { t.probe(client) })
	}
}

// probe looks at a server in trouble until it is well, or the store ends.
func (t *troubles) probe(client *redis.Client) {
	address := addressOf(client)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-t.s.watched.Done():
			return
		}
		ctx, cancel := context.WithTimeout(t.s.watched, t.s.config.Patience)
		found, err := askServer(ctx, client)
		cancel()
		if err != nil && !errors.Is(err, redis.ErrClosed) {
			continue
		}
		if t.heal(address, err != nil || found.replicas >= t.s.config.Replicas) {
			t.s.log.Info("redis is well again", "server", address)
			return
		}
	}
}

// heal records that a server answers, and reports whether all is well with it.
func (t *troubles) heal(address string, complete bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if complete {
		delete(t.byAddress, address)
		return true
	}
	t.byAddress[address] = trouble{short: true}
	return false
}
