package cli

import (
	"errors"
	"fmt"

	"schakel/clients/redis"
)

// Where the relay of a demonstration or of the bench keeps its mailboxes.
const (
	storeBolt  = "bolt"
	storeRedis = "redis"
	storeHelp  = "where the relay keeps its mailboxes: bolt (a file) or redis (a redis-server of its own)"
)

func knownStore(name string) error {
	if name != storeBolt && name != storeRedis {
		return fmt.Errorf("%w: --store is %q, want %s or %s", errUsage, name, storeBolt, storeRedis)
	}
	return nil
}

// adviseOnRedis says how to get a redis-server where there is none.
func adviseOnRedis(err error) error {
	if errors.Is(err, redis.ErrMissing) {
		return advise(err, "install it (Debian: apt-get install redis-server; only the program is used, its service need not run), "+
			"or leave out --store redis")
	}
	return err
}
