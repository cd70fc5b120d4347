package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"schakel/relay/queue"
)

// quiet keeps the library from writing beside our log: its errors all come to us.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// silence sets the library's own global, once.
var silence = sync.OnceFunc(func() { redis.SetLogger(quiet{}) })

// servers are connections to the processes that keep the buckets: to one, to the
// one that Sentinel names, or to the masters of a cluster.
type servers struct {
	one     *redis.Client        // nil in a cluster
	cluster *redis.ClusterClient // nil elsewhere
	key     func(bucket int) string
	silent  func(address string) bool
}

// errSilent is a server that left an earlier call without an answer.
var errSilent = fmt.Errorf("%w: the server does not answer", queue.ErrUnavailable)

// connect makes a pool per server. Nothing in it retries: the client of this
// library would by default send a write again whose answer was lost, and only we
// know what may be sent twice.
func (c *Config) connect(login Login, connections int, silent func(address string) bool) (*servers, error) {
	silence()
	options := redis.UniversalOptions{
		Addrs: c.addresses(), MasterName: c.Master, TLSConfig: c.TLS, Protocol: 2,
		CredentialsProviderContext: login.credentials,
		MaxRetries:                 -1, MaxRedirects: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		PoolSize: connections, MaxActiveConns: connections, PipelinePoolSize: -1,
		DialTimeout: c.Patience, ReadTimeout: c.Patience, WriteTimeout: c.Patience, PoolTimeout: c.Patience,
		DisableIdentity:          true, // Redis 7.0 does not know CLIENT SETINFO
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	s := &servers{key: func(bucket int) string { return keysOf(c.Prefix, bucket).meta }, silent: silent}
	switch {
	case c.Cluster:
		s.cluster = redis.NewClusterClient(options.Cluster())
	case c.Master != "":
		password, err := c.Password() // the library takes it once
		if err != nil {
			return nil, err
		}
		options.SentinelUsername, options.SentinelPassword = c.User, password
		s.one = redis.NewFailoverClient(options.Failover())
	default:
		simple := options.Simple()
		if strings.HasPrefix(simple.Addr, "/") {
			simple.Network = "unix"
		}
		s.one = redis.NewClient(simple)
	}
	return s, nil
}

// of returns the server that has a bucket, as far as is known. One that is silent
// is not waited for again.
func (s *servers) of(ctx context.Context, bucket int) (*redis.Client, error) {
	client := s.one
	if s.cluster != nil {
		var err error
		if client, err = s.cluster.MasterForKey(ctx, s.key(bucket)); err != nil {
			return nil, err
		}
	}
	if s.silent(addressOf(client)) {
		return nil, fmt.Errorf("%w: %s", errSilent, addressOf(client))
	}
	return client, nil
}

// all returns every server that takes writes.
func (s *servers) all(ctx context.Context) ([]*redis.Client, error) {
	if s.cluster == nil {
		return []*redis.Client{s.one}, nil
	}
	var mu sync.Mutex
	var list []*redis.Client
	err := s.cluster.ForEachMaster(ctx, func(_ context.Context, client *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, client)
		return nil
	})
	slices.SortFunc(list, func(a, b *redis.Client) int { return strings.Compare(addressOf(a), addressOf(b)) })
	return list, err
}

// lookAgain has a cluster asked again who has which bucket; soon, not at once.
func (s *servers) lookAgain(ctx context.Context) {
	if s.cluster != nil {
		s.cluster.ReloadState(ctx)
	}
}

func (s *servers) subscribe(ctx context.Context, channel string) *redis.PubSub {
	if s.cluster != nil {
		return s.cluster.Subscribe(ctx, channel)
	}
	return s.one.Subscribe(ctx, channel)
}

func (s *servers) Close() error {
	if s.cluster != nil {
		return s.cluster.Close()
	}
	return s.one.Close()
}

func addressOf(client *redis.Client) string { return client.Options().Addr }

// answer is what a server said to one command.
type answer struct {
	reply any
	err   error
}

// list returns a reply that is a list of at least so many.
func (a answer) list(atLeast int) ([]any, bool) {
	list, ok := a.reply.([]any)
	return list, ok && len(list) >= atLeast
}

var errNotAsked = errors.New("not asked")

// ask sends a command about each of the buckets from first on, up to end: one pipeline
// per server, all servers at once.
func (s *servers) ask(ctx context.Context, first, end int, command func(bucket int) []any) (answers [buckets]answer) {
	byServer := make(map[*redis.Client][]int)
	for bucket := range buckets {
		answers[bucket].err = errNotAsked
		if bucket < first || bucket >= end {
			continue
		}
		client, err := s.of(ctx, bucket)
		if err != nil {
			answers[bucket].err = err
			continue
		}
		byServer[client] = append(byServer[client], bucket)
	}
	var asking sync.WaitGroup
	for client, list := range byServer {
		asking.Go(func() {
			commands := make([][]any, len(list))
			for i, bucket := range list {
				commands[i] = command(bucket)
			}
			for i, a := range pipelined(ctx, client, commands) {
				answers[list[i]] = a
			}
		})
	}
	asking.Wait()
	return answers
}

// pipelined sends commands on one connection, without waiting in between.
func pipelined(ctx context.Context, client *redis.Client, commands [][]any) []answer {
	pipe := client.Pipeline()
	sent := make([]*redis.Cmd, len(commands))
	for i, command := range commands {
		sent[i] = pipe.Do(ctx, command...)
	}
	// Each command has its own error. A connection that was refused, for a password that
	// was changed say, leaves that to the whole: then nothing was sent.
	_, refused := pipe.Exec(ctx)
	answers := make([]answer, len(sent))
	for i, command := range sent {
		answers[i].reply, answers[i].err = command.Result()
		if answers[i].reply == nil && answers[i].err == nil {
			answers[i].err = refused
		}
	}
	return answers
}
