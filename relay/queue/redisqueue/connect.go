package redisqueue

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// quiet keeps the library from writing beside our log: its errors all come to us.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// silence sets the library's own global, once.
var silence = sync.OnceFunc(func() { redis.SetLogger(quiet{}) })

// client makes one pool. Nothing in it retries: the client of this library would
// by default send a write again whose answer was lost, and only we know what may
// be sent twice.
func (c *Config) client(login Login, connections int, meet func(context.Context, *redis.Conn) error) *redis.Client {
	silence()
	network := "tcp"
	if strings.HasPrefix(c.Address, "/") {
		network = "unix"
	}
	return redis.NewClient(&redis.Options{
		Network: network, Addr: c.Address, TLSConfig: c.TLS, Protocol: 2,
		CredentialsProviderContext: func(context.Context) (string, string, error) {
			password, err := login.Password()
			return login.User, password, err
		},
		OnConnect:  meet,
		MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		PoolSize: connections, MaxActiveConns: connections, PipelinePoolSize: -1,
		DialTimeout: c.Patience, ReadTimeout: c.Patience, WriteTimeout: c.Patience, PoolTimeout: c.Patience,
		DisableIdentity:          true, // Redis 7.0 does not know CLIENT SETINFO
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// server is the identity of a Redis process and of its history.
type server struct {
	version     string
	run         string // random per process
	replication string // random per process, and again at a failover
	role        string
}

type informant interface {
	Info(ctx context.Context, sections ...string) *redis.StringCmd
}

// recognise refuses a new connection to another server than the one that was
// opened, before it gets an envelope under an epoch that is over.
func (s *Store) recognise(ctx context.Context, conn *redis.Conn) error {
	now, err := askServer(ctx, conn)
	if err == nil && (now.run != s.server.run || now.replication != s.server.replication) {
		err = errRenewed
	}
	return err
}

func askServer(ctx context.Context, client informant) (server, error) {
	sections, err := client.Info(ctx, "server", "replication", "persistence").Result()
	if err != nil {
		return server{}, err
	}
	fields := make(map[string]string)
	for line := range strings.Lines(sections) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	if fields["loading"] == "1" {
		return server{}, errLoading
	}
	return server{fields["redis_version"], fields["run_id"], fields["master_replid"], fields["role"]}, nil
}
