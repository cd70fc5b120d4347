package redisqueue

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// Open connects, checks that Redis keeps promises, and looks after it until Close.
// It waits while Redis loads its data and writes its file anew, until ctx ends, and while
// sentinels or a cluster have another server take over, until Config.Start is over. Errors:
// ErrUnsafe with the setting to change, queue.ErrVersion, queue.ErrUnavailable when
// Redis does not answer.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("failed to open redis: %w", err)
	}
	c = c.withDefaults()
	s := &Store{config: c, log: c.Log, node: rand.Text(), shares: shares{total: make(map[identity.OrgID]use)}}
	for bucket := range s.keys {
		s.keys[bucket] = keysOf(c.Prefix, bucket)
	}
	s.troubles = troubles{s: s, byAddress: make(map[string]trouble)}
	s.watched, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.open(ctx); err != nil {
		s.stop()
		s.watching.Wait()
		return nil, errors.Join(fmt.Errorf("failed to open redis at %s: %w", c.Address, err), s.disconnect())
	}
	s.watching.Go(func() { s.watch(s.watched) })
	return s, nil
}

func (c *Config) check() error {
	switch {
	case c.Address == "" || c.Password == nil:
		return errors.New("address or password missing")
	case c.Cluster && c.Master != "":
		return errors.New("either sentinels or a cluster")
	case !c.Cluster && c.Master == "" && len(c.addresses()) > 1:
		return errors.New("several addresses, and neither the name of a master nor a cluster")
	case c.Replicas < 0:
		return errors.New("a negative number of replicas")
	}
	return nil
}

func (c *Config) addresses() []string {
	list := strings.Split(c.Address, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

func (s *Store) open(ctx context.Context) (err error) {
	login := Login{s.config.User, s.config.Password}
	for _, pool := range []struct {
		servers     **servers
		connections int
	}{{&s.puts, 1}, {&s.reads, 16}, {&s.watches, 3}} {
		if *pool.servers, err = s.config.connect(login, pool.connections, s.troubles.isSilent); err != nil {
			return err
		}
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	// A cluster is asked for its map here: the first batch would wait for a node that
	// does not answer.
	for _, servers := range []*servers{s.puts, s.reads} {
		if _, err := servers.of(ctx, 0); err != nil {
			return unavailable(err)
		}
	}
	sum := sha256.Sum256([]byte(s.marker))
	s.state = queue.State{Epoch: [16]byte(sum[:]), Guarantee: s.guarantee()}
	s.log.Info("redis is open", "epoch", hex.EncodeToString(sum[:4]), "replicas", s.config.Replicas)
	if s.config.Volatile {
		s.log.Warn("VOLATILE: this store may forget what it answered; never use it for real")
	}
	err = s.refreshShares(ctx)
	switch {
	case err == nil:
	case s.config.Cluster: // the watch learns of the others
		s.log.Warn("shares of organisations are late", "error", err.Error())
	default:
		return unavailable(err)
	}
	return nil
}

func (s *Store) guarantee() queue.Guarantee {
	switch {
	case s.config.Volatile:
		return queue.GuaranteeNone
	case s.config.Replicas > 0:
		return queue.GuaranteeReplica
	}
	return queue.GuaranteeDisk
}

// enter checks the servers and learns the marker, again and again while that may
// help.
func (s *Store) enter(ctx context.Context) error {
	began := time.Now()
	var say sync.Once
	for {
		err := s.checkServers(ctx)
		if err == nil {
			s.marker, err = s.vouch(ctx)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errLoading), errors.Is(err, errNotYet): // until ctx ends
			say.Do(func() { s.log.Info("waiting for redis", "reason", err.Error()) })
		case errors.Is(err, errReplica) && !s.takeOvers():
			return fmt.Errorf("%w: %w; give the address of the primary", ErrUnsafe, err)
		case !s.takeOvers(), errors.Is(err, queue.ErrUnsafe), errors.Is(err, queue.ErrVersion), time.Since(began) > s.config.Start:
			return unavailable(err)
		}
		s.watches.lookAgain(ctx)
		if !pause(ctx, 50*time.Millisecond) {
			return unavailable(err)
		}
	}
}

// takeOvers says that somebody has another server take over.
func (s *Store) takeOvers() bool { return s.config.Cluster || s.config.Master != "" }

var errReplica = errors.New("this is a replica")

// unavailable is what an error means that names no setting to change.
func unavailable(err error) error {
	if errors.Is(err, queue.ErrUnsafe) || errors.Is(err, queue.ErrVersion) || errors.Is(err, queue.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
}

// as connects to the same server as somebody else.
func (c *Config) as(client *redis.Client, login Login) *redis.Client {
	options := *client.Options()
	options.CredentialsProviderContext = login.credentials
	return redis.NewClient(&options)
}

func (l Login) credentials(context.Context) (string, string, error) {
	password, err := l.Password()
	return l.User, password, err
}
