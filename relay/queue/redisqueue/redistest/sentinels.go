package redistest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"schakel/relay/queue/redisqueue"
)

// Watched is the name by which sentinels know the primary.
const Watched = "schakel"

// Sentinels is a primary and its replicas, and three sentinels that watch them.
type Sentinels struct {
	*Replicas
	Watchers []*Server
}

// StartSentinels starts a primary, n replicas and three sentinels below dir, which
// find the primary gone after the time given; zero leaves the time of the shipped
// configuration. It returns when all know of each other.
func StartSentinels(dir string, n int, gone time.Duration) (*Sentinels, error) {
	replicas, err := StartReplicas(dir, n)
	if err != nil {
		return nil, err
	}
	s := &Sentinels{Replicas: replicas}
	settings := []string{"sentinel monitor " + Watched, words(replicas.Servers[0].Address) + " 2"}
	if gone > 0 {
		settings = append(settings, "sentinel down-after-milliseconds "+Watched, fmt.Sprint(gone.Milliseconds()))
	}
	for i := range 3 {
		watcher, err := beside(dir, fmt.Sprintf("sentinel-%d", i), sentinel, replicas.password, settings)
		if err != nil {
			s.Stop()
			return nil, err
		}
		s.Watchers = append(s.Watchers, watcher)
	}
	if err := s.Settle(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Settle waits until all replicas follow one primary and every sentinel knows that,
// all others, and no trouble: until the next one may be killed.
func (s *Sentinels) Settle() error {
	if err := s.Replicas.Settle(); err != nil {
		return err
	}
	return await("all sentinels agree", func() bool {
		primary := s.Primary()
		return primary != nil && !slices.ContainsFunc(s.Watchers, func(w *Server) bool { return !s.agrees(w, primary) })
	})
}

func (s *Sentinels) agrees(watcher, primary *Server) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	client := watcher.sentinel()
	defer client.Close()
	seen, err := client.Master(ctx, Watched).Result()
	if err != nil || seen["ip"]+":"+seen["port"] != primary.Address || seen["flags"] != "master" ||
		seen["num-other-sentinels"] != fmt.Sprint(len(s.Watchers)-1) {
		return false
	}
	found, err := client.Replicas(ctx, Watched).Result()
	fine := 0
	for _, replica := range found {
		if replica["flags"] == "slave" {
			fine++
		}
	}
	return err == nil && fine == len(s.Servers)-1
}

// Failover has a replica take over as an operator would, while the primary is well.
func (s *Sentinels) Failover() error {
	client := s.Watchers[0].sentinel()
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(client.CkQuorum(ctx, Watched).Err(), client.Failover(ctx, Watched).Err())
}

// sentinel is the operator's connection to a sentinel.
func (s *Server) sentinel() *redis.SentinelClient {
	return redis.NewSentinelClient(&redis.Options{
		Addr: s.Address, Username: operator, Password: s.password, Protocol: 2, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true,
	})
}

// Config asks the sentinels for the primary, and demands the confirmation of all
// replicas.
func (s *Sentinels) Config() redisqueue.Config {
	c := s.Replicas.Config()
	c.Address, c.Master = addresses(s.Watchers), Watched
	return c
}

// Stop ends all of them, the sentinels first.
func (s *Sentinels) Stop() {
	stopAll(s.Watchers)
	s.Replicas.Stop()
}
