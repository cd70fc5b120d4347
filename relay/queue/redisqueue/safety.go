package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"schakel/relay/queue"
)

// ErrUnsafe means that Redis could forget what it answered, or may do more than a
// relay needs. The text names the setting and the value that it must have.
var ErrUnsafe = fmt.Errorf("%w: Redis is not set up to keep its promises", queue.ErrUnsafe)

var errLoading = errors.New("redis is still loading its data")

// demanded are the settings without which an answer promises nothing.
var demanded = []struct{ name, value, why string }{
	{"appendonly", "yes", "nothing would be on disk"},
	{"appendfsync", "always", "a power cut would lose what was answered"},
	{"maxmemory-policy", "noeviction", "a full Redis would throw mailboxes away"},
	{"no-appendfsync-on-rewrite", "no", "a rewrite of the file would suspend fsync"},
}

// loader is the user by whom Redis carries out its append-only file again when it
// starts. Where it has no rights, Redis 7.0 skips the transactions in the file,
// says so in its log only, and serves an empty store.
const loader = "default"

// needed and forbidden are what the relay's user must and must not be able to do.
var needed = [][]any{
	{"fcall", "f", "1", "KEY"}, {"fcall_ro", "f", "1", "KEY"}, {"multi"}, {"exec"}, {"info"}, {"config", "get", "appendonly"},
	{"function", "list"}, {"publish", "BELL", "x"}, {"subscribe", "BELL"}, {"wait", "0", "1"},
	{"hmget", "KEY", "f"}, {"hget", "KEY", "f"}, {"hset", "KEY", "f", "v"}, {"hdel", "KEY", "f"}, {"hgetall", "KEY"},
	{"xadd", "KEY", "1-0", "f", "v"}, {"xdel", "KEY", "1-0"}, {"xrange", "KEY", "-", "+"}, {"xinfo", "stream", "KEY"},
	{"zadd", "KEY", "0", "m"}, {"zrem", "KEY", "m"}, {"zrangebylex", "KEY", "-", "+"}, {"zrangebyscore", "KEY", "0", "1"},
	{"sadd", "KEY", "m"}, {"srem", "KEY", "m"}, {"srandmember", "KEY"}, {"lpush", "KEY", "v"}, {"ltrim", "KEY", "0", "1"},
}

var forbidden = [][]any{
	{"eval", "return 1", "0"}, {"keys", "*"}, {"scan", "0"}, {"flushall"}, {"flushdb"}, {"config", "set", "appendfsync", "no"},
	{"function", "load", "x"}, {"function", "flush"}, {"xtrim", "KEY", "MAXLEN", "0"}, {"shutdown"}, {"debug", "jmap"},
	{"replicaof", "no", "one"}, {"acl", "setuser", "x"}, {"hget", "another-key", "f"}, {"module", "list"},
}

// checkSafety returns an ErrUnsafe that names the first setting to change.
func (s *Store) checkSafety(ctx context.Context) error {
	if err := checkVersion(s.server.version); err != nil {
		return err
	}
	for _, d := range demanded {
		values, err := s.watches.ConfigGet(ctx, d.name).Result()
		if err != nil {
			return fmt.Errorf("failed to ask for %s: %w", d.name, err)
		}
		if values[d.name] != d.value {
			return fmt.Errorf("%w: %s is %q, because of which %s; in redis.conf: %s %s",
				ErrUnsafe, d.name, values[d.name], d.why, d.name, d.value)
		}
	}
	return s.checkRights(ctx)
}

func checkVersion(version string) error {
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < 7 {
		return fmt.Errorf("%w: version %q; install Redis 7.0 or later, or Valkey 8", ErrUnsafe, version)
	}
	return nil
}

// checkRights asks Redis what the user may do, without doing it.
func (s *Store) checkRights(ctx context.Context) error {
	for _, group := range []struct {
		user     string
		commands [][]any
		allowed  bool
		verdict  string
	}{
		{s.config.User, needed, true, "may not use"},
		{s.config.User, forbidden, false, "may use"},
		{loader, needed, true, "(by whom Redis loads its file) may not use"},
	} {
		pipe := s.watches.Pipeline()
		for _, command := range group.commands {
			pipe.Do(ctx, append([]any{"acl", "dryrun", group.user}, s.named(command)...)...)
		}
		answers, err := pipe.Exec(ctx)
		if err != nil {
			return fmt.Errorf("failed to ask for the rights of %s: %w", group.user, err)
		}
		for i, answer := range answers {
			if (answer.(*redis.Cmd).Val() == "OK") != group.allowed {
				return fmt.Errorf("%w: user %s %s %v; take its line from configs/redis/users.acl", ErrUnsafe, group.user, group.verdict, group.commands[i])
			}
		}
	}
	return nil
}

func (s *Store) named(command []any) []any {
	named := make([]any, len(command))
	for i, word := range command {
		switch word {
		case "KEY":
			word = s.metaKey(0)
		case "BELL":
			word = s.bell()
		}
		named[i] = word
	}
	return named
}

// watch looks at settings and epoch until ctx ends.
func (s *Store) watch(ctx context.Context) {
	tick := time.NewTicker(s.config.Watch)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		timed, cancel := context.WithTimeout(ctx, s.config.Patience)
		s.look(timed)
		cancel()
	}
}

func (s *Store) look(ctx context.Context) {
	if err := s.same(ctx); err != nil {
		s.log.Error("redis cannot be watched", "error", err.Error())
		return
	}
	err := s.checkSafety(ctx)
	switch {
	case errors.Is(err, ErrUnsafe) && !s.config.Volatile:
		reason := err.Error()
		s.unsafe.Store(&reason)
		s.log.Error("envelopes are refused", "error", reason)
	case err == nil && s.unsafe.Swap(nil) != nil:
		s.log.Info("redis is safe again, envelopes are taken")
	case err != nil && !errors.Is(err, ErrUnsafe):
		s.log.Error("redis cannot be watched", "error", err.Error())
	}
	if err := s.refreshShares(ctx); err != nil {
		s.log.Warn("shares of organisations are late", "error", err.Error())
	}
}

// same ends the store when this is no longer the one that was opened: emptied,
// restarted, restored or taken over.
func (s *Store) same(ctx context.Context) error {
	now, err := askServer(ctx, s.watches)
	if err != nil {
		return fmt.Errorf("failed to ask redis who it is: %w", err)
	}
	marker, err := s.readMarker(ctx)
	if err != nil {
		return err
	}
	if now.run != s.server.run || now.replication != s.server.replication || marker != s.marker {
		s.renewed()
	}
	return nil
}

// renewed refuses all further work: only opening the store again tells its epoch.
func (s *Store) renewed() error {
	err := fmt.Errorf("%w: Redis was emptied, restarted, restored or taken over: open it again for its new epoch", queue.ErrIndeterminate)
	s.failed.CompareAndSwap(nil, &err)
	return s.usable()
}
