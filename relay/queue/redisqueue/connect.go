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
func (c *Config) client(login Login, connections int) *redis.Client {
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

func askServer(ctx context.Context, client *redis.Client) (server, error) {
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
