package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"schakel/relay/queue"
)

// ErrUnsafe means that Redis could forget what it answered, or may do more than a
// relay needs. The text names the setting and the value that it must have.
var ErrUnsafe = fmt.Errorf("%w: Redis is not set up to keep its promises", queue.ErrUnsafe)

type demand struct{ name, value, why string }

var errLoading = errors.New("redis is still loading its data")

// demanded are the settings without which an answer promises nothing.
var demanded = []demand{
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
	{"fcall", "f", "1", "KEY"}, {"fcall_ro", "f", "1", "KEY"}, {"multi"}, {"exec"}, {"info"}, {"config", "get", "appendonly"}, {"bgrewriteaof"},
	{"function", "list"}, {"publish", "BELL", "x"}, {"subscribe", "BELL"}, {"wait", "0", "1"},
	{"hmget", "KEY", "f"}, {"hget", "KEY", "f"}, {"hset", "KEY", "f", "v"}, {"hdel", "KEY", "f"}, {"hgetall", "KEY"}, {"hlen", "KEY"}, {"time"},
	{"xadd", "KEY", "1-0", "f", "v"}, {"xdel", "KEY", "1-0"}, {"xrange", "KEY", "-", "+"}, {"xinfo", "stream", "KEY"},
	{"zadd", "KEY", "0", "m"}, {"zrem", "KEY", "m"}, {"zrangebylex", "KEY", "-", "+"}, {"zrangebyscore", "KEY", "0", "1"},
	{"sadd", "KEY", "m"}, {"srem", "KEY", "m"}, {"srandmember", "KEY"}, {"lpush", "KEY", "v"}, {"ltrim", "KEY", "0", "1"},
}

var forbidden = [][]any{
	{"eval", "return 1", "0"}, {"keys", "*"}, {"scan", "0"}, {"flushall"}, {"flushdb"}, {"config", "set", "appendfsync", "no"},
	{"function", "load", "x"}, {"function", "flush"}, {"xtrim", "KEY", "MAXLEN", "0"}, {"shutdown"}, {"debug", "jmap"},
	{"replicaof", "no", "one"}, {"acl", "setuser", "x"}, {"hget", "another-key", "f"}, {"module", "list"},
}

// partly is what a node of a cluster must be set to as well: with coverage in full,
// Redis stops all desks when one part is down.
var partly = demand{"cluster-require-full-coverage", "no", "one part that is down would stop the desks of all others"}

// checkServers checks every server that takes writes and can be reached.
func (s *Store) checkServers(ctx context.Context) error {
	clients, err := s.watches.all(ctx)
	if err != nil {
		return fmt.Errorf("failed to ask who takes writes: %w", err)
	}
	for _, client := range clients {
		var found server
		err := errSilent
		if !s.troubles.isSilent(addressOf(client)) {
			found, err = askServer(ctx, client)
		}
		switch {
		case err == nil:
			err = s.checkServer(ctx, client, found)
		case s.config.Cluster: // its desks are refused, those of the others are not
			s.log.Error("a part of redis cannot be looked at", "server", addressOf(client), "error", err.Error())
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", addressOf(client), err)
		}
	}
	return nil
}

func (s *Store) checkServer(ctx context.Context, client *redis.Client, found server) error {
	if found.role != "master" {
		return errReplica
	}
	if found.replicas < s.config.Replicas {
		s.troubles.short(client)
	}
	if err := s.ensureFunctions(ctx, client); err != nil {
		return err
	}
	err := s.checkSafety(ctx, client, found)
	if s.config.Volatile && errors.Is(err, ErrUnsafe) {
		return nil
	}
	return err
}

// checkSafety returns an ErrUnsafe that names the first setting to change.
func (s *Store) checkSafety(ctx context.Context, client *redis.Client, found server) error {
	if err := checkVersion(found.version); err != nil {
		return err
	}
	if found.clustered != s.config.Cluster {
		return fmt.Errorf("%w: this Redis is a cluster (%t) and redis-cluster says otherwise", ErrUnsafe, found.clustered)
	}
	demanded := demanded
	if s.config.Cluster {
		demanded = append(slices.Clone(demanded), partly)
	}
	for _, d := range demanded {
		values, err := client.ConfigGet(ctx, d.name).Result()
		if err != nil {
			return fmt.Errorf("failed to ask for %s: %w", d.name, err)
		}
		if values[d.name] != d.value {
			return fmt.Errorf("%w: %s is %q, because of which %s; in redis.conf: %s %s",
				ErrUnsafe, d.name, values[d.name], d.why, d.name, d.value)
		}
	}
	if err := s.checkWhole(ctx, client); err != nil {
		return err
	}
	return s.checkRights(ctx, client)
}

// checkWhole looks, when settings were wrong, whether the file holds everything: one that was
// off and is on again holds nothing of what is written before it is whole. It looks after the
// settings were seen, or the file might be turned on in between.
func (s *Store) checkWhole(ctx context.Context, client *redis.Client) error {
	if s.unsafe.Load() == nil {
		return nil
	}
	found, err := askServer(ctx, client)
	if err == nil && found.file.beingWritten {
		err = fmt.Errorf("%w: its file is not written yet with all that was missing; wait", ErrUnsafe)
	}
	return err
}

func checkVersion(version string) error {
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < 7 {
		return fmt.Errorf("%w: version %q; install Redis 7.0 or later, or Valkey 8", ErrUnsafe, version)
	}
	return nil
}

// checkRights asks Redis what the user may do, without doing it.
func (s *Store) checkRights(ctx context.Context, client *redis.Client) error {
	needed := needed
	if s.config.Cluster {
		needed = append(slices.Clone(needed), []any{"cluster", "slots"})
	}
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
		pipe := client.Pipeline()
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
		timed, cancel := context.WithTimeout(ctx, 4*s.config.Patience) // a part may not answer
		s.look(timed)
		cancel()
	}
}

func (s *Store) look(ctx context.Context) {
	err := s.same(ctx)
	for errors.Is(err, errNotYet) && pause(ctx, 50*time.Millisecond) { // who watches may wait
		err = s.same(ctx)
	}
	if err != nil {
		s.log.Error("redis cannot be watched", "error", err.Error())
		return
	}
	err = s.checkServers(ctx)
	switch {
	case errors.Is(err, ErrUnsafe):
		reason := err.Error()
		s.unsafe.Store(&reason)
		s.log.Error("envelopes are refused", "error", reason)
	case err == nil && s.unsafe.Swap(nil) != nil:
		s.log.Info("redis is safe again, envelopes are taken")
	case err != nil:
		s.log.Error("redis cannot be watched", "error", err.Error())
	}
	if err := s.refreshShares(ctx); err != nil {
		s.log.Warn("shares of organisations are late", "error", err.Error())
	}
}

// server is what a Redis process says of itself.
type server struct {
	process   string // of which who() in mailbox.lua says more
	version   string
	role      string
	clustered bool
	replicas  int // that are in step
	file      file
}

// late is how many seconds ago a replica may have been heard: they speak every second.
const late = 2

func askServer(ctx context.Context, client *redis.Client) (server, error) {
	sections, err := client.Info(ctx, "server", "replication", "persistence", "cluster").Result()
	if err != nil {
		return server{}, err
	}
	fields := make(map[string]string)
	var found server
	for line := range strings.Lines(sections) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields[name] = value
		if strings.HasPrefix(name, "slave") && inStep(value) {
			found.replicas++
		}
	}
	if fields["loading"] == "1" {
		return server{}, errLoading
	}
	found.version, found.role, found.clustered = fields["redis_version"], fields["role"], fields["cluster_enabled"] == "1"
	found.process, found.file = fields["run_id"], parseFile(fields)
	return found, nil
}

// inStep reads "ip=...,port=...,state=online,offset=...,lag=1".
func inStep(replica string) bool {
	online, heard := false, false
	for field := range strings.SplitSeq(replica, ",") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "state":
			online = value == "online"
		case "lag":
			seconds, err := strconv.Atoi(value)
			heard = err == nil && seconds <= late
		}
	}
	return online && heard
}
