package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"schakel/relay/queue"
)

// Why a server is not vouched for although it answers.
var (
	// errNotAnew means that Redis tried to write its file anew and could not.
	errNotAnew = fmt.Errorf("%w: redis cannot write its file anew, which it must after a start; its log says why, such as a full disk", queue.ErrUnavailable)
	errNotYet  = fmt.Errorf("%w: redis was started, and is writing its file anew", queue.ErrUnavailable)
	errOther   = errors.New("another server than was seen")
)

// allAnew looks whether all servers that nobody vouched for have written their whole
// append-only file anew since they started, and has those that have not do it, all at once.
// Until they have, nobody is given a new marker: the parts of a cluster that did not start
// again are served under the one that they have. Those that do not answer are left out.
//
// The reason is the end of the file that a killed server leaves, or a power cut: half a
// command, within a transaction. Redis 7 and Valkey before its pull request 4342 (August 2026)
// cut off the half command and leave the transaction open in the file (aof-load-truncated).
// Memory is right, and everything is answered; but in the file whatever is written next
// becomes a part of that transaction. When the server starts the next time, the half that
// nobody was promised is carried out, and what was promised fails on it and is gone
// (TestTornTransaction). A file made from memory has no open transaction.
func (s *Store) allAnew(ctx context.Context, seen *[buckets]vouched) (err error) {
	if s.config.Volatile {
		return nil // perhaps it has no file
	}
	found := make(map[string]error) // by who they are
	for bucket := range seen {
		v := &seen[bucket]
		if v.err != nil || v.sound() {
			continue
		}
		if _, is := found[v.self]; !is {
			found[v.self] = s.anew(ctx, bucket, v.self)
		}
		v.err = found[v.self]
		for _, why := range []error{errNotYet, errNotAnew, errOther} {
			if errors.Is(v.err, why) && !errors.Is(err, errNotAnew) {
				err = v.err
			}
		}
	}
	if err == nil {
		err = seen[0].err
	}
	return err
}

// anew returns nil when the server that was seen has written its file anew, and otherwise
// has it do so.
func (s *Store) anew(ctx context.Context, bucket int, self string) error {
	client, err := s.watches.of(ctx, bucket)
	if err != nil {
		return err
	}
	found, err := askServer(ctx, client)
	switch f := found.file; {
	case err != nil:
		return err
	case !strings.HasPrefix(self, found.process):
		return errOther // it started again, or another takes over
	case f.beingWritten:
		return errNotYet
	case f.writtenAnew && f.succeeded:
		return nil
	case !f.succeeded && s.rewritings.failed(self):
		return errNotAnew
	}
	s.rewritings.begin(self)
	if err := client.BgRewriteAOF(ctx).Err(); err != nil && !strings.Contains(err.Error(), "in progress") {
		return fmt.Errorf("failed to have the file written anew: %w", err)
	}
	return errNotYet
}

// rewritings remembers when this store told a server to write its file anew. A server copies
// its process for that, which is not done in vain without pause.
type rewritings struct {
	mu    sync.Mutex
	began map[string]time.Time // by who they are
}

func (r *rewritings) begin(self string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began == nil {
		r.began = make(map[string]time.Time)
	}
	r.began[self] = time.Now()
}

// failed reports, of a server that did not succeed, that it was this store who told it to.
// A second after that it may be told again, behind the next one who asks.
func (r *rewritings) failed(self string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	began, is := r.began[self]
	if time.Since(began) > time.Second {
		delete(r.began, self)
	}
	return is
}

// file is what a server says of its append-only file.
type file struct {
	beingWritten bool // anew, or will be soon
	writtenAnew  bool // once at least since it started
	succeeded    bool // the last time, or there was none
}

// parseFile reads the fields of the section "persistence".
func parseFile(fields map[string]string) file {
	return file{
		beingWritten: fields["aof_rewrite_in_progress"] == "1" || fields["aof_rewrite_scheduled"] == "1",
		writtenAnew:  fields["aof_rewrites"] != "0" && fields["aof_rewrites"] != "",
		succeeded:    fields["aof_last_bgrewrite_status"] == "ok",
	}
}
