package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// errNotAnew means that Redis tried to write its file anew and could not.
var errNotAnew = errors.New("redis cannot write its file anew, which it must after a start; its log says why, such as a full disk")

// fileAnew returns when a server has written its whole append-only file anew since it started.
// No server is vouched for before, and so nothing is written to it.
//
// The reason is the end of the file that a killed server leaves, or a power cut: half a
// command, within a transaction. Redis 7 and Valkey before its pull request 4342 (August 2026)
// cut off the half command and leave the transaction open in the file (aof-load-truncated).
// Memory is right, and everything is answered; but in the file whatever is written next
// becomes a part of that transaction. When the server starts the next time, the half that
// nobody was promised is carried out, and what was promised fails on it and is gone
// (TestTornTransaction). A file made from memory has no open transaction.
func (s *Store) fileAnew(ctx context.Context, client *redis.Client) error {
	if s.config.Volatile {
		return nil // perhaps it has no file
	}
	for asked := false; ; {
		found, err := askServer(ctx, client)
		wait := 10 * time.Millisecond
		switch f := found.file; {
		case err != nil:
			return err
		case f.beingWritten:
		case f.writtenAnew && f.succeeded:
			return nil
		case asked && !f.succeeded:
			return errNotAnew
		case !asked && !f.succeeded:
			wait = time.Second // copying a process in vain is not done without pause
			fallthrough
		default:
			if err := client.BgRewriteAOF(ctx).Err(); err != nil && !strings.Contains(err.Error(), "in progress") {
				return fmt.Errorf("failed to have the file written anew: %w", err)
			}
			asked = true
		}
		if !pause(ctx, wait) {
			return fmt.Errorf("the file is still being written anew: %w", context.Cause(ctx))
		}
	}
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
