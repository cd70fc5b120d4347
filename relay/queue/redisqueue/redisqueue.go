// Package redisqueue keeps the mailboxes of one relay, or of several, in Redis.
//
//	store, err := redisqueue.Open(ctx, redisqueue.Config{Address: "127.0.0.1:6379", User: "schakel-relay", Password: password})
//	if err != nil { ... }            // ErrUnsafe says which setting of Redis to change
//	defer store.Close()
//	committer := queue.NewCommitter(store, queue.CommitterConfig{...})
//	go store.Listen(ctx, hub.Ring)   // doorbells of the other relays
//
// Desks are spread over 16 buckets, and a bucket's keys share a hash tag. All state
// changes are server-side functions (operations.lua) about one bucket, and a batch
// is one call per bucket in one transaction, so that Redis, with appendfsync
// always, writes it to disk once and answers after that.
//
// Redis is trusted as the file of boltqueue is: to be complete, and with nothing
// else. Who can write to it can withhold, delay, repeat, reorder or destroy
// envelopes and read what the relay reads, and cannot read, forge or change an
// envelope without the recipient noticing. The checksums are against accidents.
//
// Redis may be one server, one with replicas, those that Sentinel watches, or a
// Cluster. With Config.Replicas nothing is confirmed before so many replicas have it.
// An operation for which a part of Redis did not answer, or not enough replicas
// confirmed, is queue.ErrUnconfirmed; the desks of the other parts are served.
//
// The epoch is a hash of a marker in every bucket, beside which stands the process
// that keeps it: a restart, a failover, a restored backup and an emptied store are
// all new epochs, after which senders offer again what nobody has received. That
// offers too much after a plain restart, and too little never. A bucket that moves
// within a cluster keeps its epoch.
package redisqueue

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// Config says where Redis is. Zero fields take the defaults.
type Config struct {
	// Address is host:port or the path of a socket; with Master that of its
	// sentinels, with Cluster that of some of its nodes, with commas between several.
	Address string
	Master  string // the name by which sentinels know the primary
	Cluster bool
	// Replicas is how many must have an operation before it is confirmed. With one
	// or more the guarantee is GuaranteeReplica.
	Replicas int

	TLS  *tls.Config // nil: without, for the same machine or a tunnel
	User string      // default schakel-relay
	// Password returns the user's password at each connection, so that it can be
	// changed while the relay runs.
	Password func() (string, error)
	// Admin is a user who may load functions; zero when an operator has loaded
	// them with Functions.
	Admin Login

	Prefix string      // of all keys and channels, default "schakel:"
	Quota  queue.Quota // the share of an organisation is exact with one relay
	// Volatile accepts a Redis that can forget what it answered. For demos: the
	// guarantee is then GuaranteeNone.
	Volatile bool
	Patience time.Duration // with one operation, default 3 s; a third of it with replicas
	Start    time.Duration // with sentinels or a cluster that take over while it opens, default 30 s
	Watch    time.Duration // between two looks at settings and epoch, default 10 s
	Log      *slog.Logger  // nil discards
}

// Login is a user and where the password comes from.
type Login struct {
	User     string
	Password func() (string, error)
}

// Store implements [queue.Store] on one Redis.
type Store struct {
	config Config
	log    *slog.Logger
	node   string // random: whose doorbells are our own

	puts    *servers // one connection to each
	reads   *servers
	watches *servers

	keys   [buckets]keys
	marker string // in every bucket, constant
	state  queue.State

	troubles   troubles
	rewritings rewritings

	failed atomic.Pointer[error]  // why nothing works any more
	unsafe atomic.Pointer[string] // why puts are refused, nil while they are not

	write  sync.Mutex // one Commit at a time; guards what follows
	shares shares

	watched  context.Context // ends with the store
	stop     context.CancelFunc
	watching sync.WaitGroup
}

var _ queue.Store = (*Store)(nil)

func (c Config) withDefaults() Config {
	if c.User == "" {
		c.User = "schakel-relay"
	}
	if c.Prefix == "" {
		c.Prefix = "schakel:"
	}
	if c.Patience <= 0 {
		c.Patience = 3 * time.Second
	}
	if c.Start <= 0 {
		c.Start = 30 * time.Second
	}
	if c.Watch <= 0 {
		c.Watch = 10 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Quota = c.Quota.WithDefaults()
	return c
}

// State returns the epoch that Open found.
func (s *Store) State(context.Context) (queue.State, error) { return s.state, s.usable() }

// Unsafe returns why puts are refused at the moment, or "".
func (s *Store) Unsafe() string {
	if reason := s.unsafe.Load(); reason != nil {
		return *reason
	}
	return s.troubles.missing()
}

// Close waits for a running Commit.
func (s *Store) Close() error {
	s.write.Lock()
	already := s.failed.Load() != nil && *s.failed.Load() == queue.ErrClosed
	s.fail(queue.ErrClosed)
	s.write.Unlock()
	if already {
		return nil
	}
	s.stop()
	s.watching.Wait()
	return s.disconnect()
}

func (s *Store) disconnect() error {
	var err error
	for _, servers := range []*servers{s.puts, s.reads, s.watches} {
		if servers != nil {
			err = errors.Join(err, servers.Close())
		}
	}
	if err != nil {
		return fmt.Errorf("failed to close the connections to Redis: %w", err)
	}
	return nil
}

func (s *Store) usable() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *Store) fail(err error) { s.failed.Store(&err) }

// buckets is part of the format: a desk is always in the same one.
const buckets = 16

// bucketOf spreads desks with FNV-1a.
func bucketOf(desk identity.DeskID) int {
	sum := uint32(2166136261)
	for i := range len(desk) {
		sum = (sum ^ uint32(desk[i])) * 16777619
	}
	return int(sum % buckets)
}

// keys are the names of what a bucket consists of.
type keys struct {
	meta  string
	fixed []any  // all but the mailboxes, meta first; every function finds them by it
	mail  string // with a desk behind it: a mailbox
}

func keysOf(prefix string, bucket int) keys {
	in := fmt.Sprintf("%s{q%02d}:", prefix, bucket)
	k := keys{meta: in + "meta", mail: in + "mail:"}
	for _, name := range []string{"meta", "desks", "ids", "ends", "waiting", "orgs", "behind", "aside", "arrived"} {
		k.fixed = append(k.fixed, in+name)
	}
	return k
}

func (s *Store) metaKey(bucket int) string { return s.keys[bucket].meta }

func (s *Store) bell() string { return s.config.Prefix + "bell" }
