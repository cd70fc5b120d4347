package redisqueue

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The library is one text in five files: what mailboxes are, what changes them, what
// reads them and names the functions, what relays agree on beside mailboxes, and what
// pages.
var (
	//go:embed mailbox.lua
	mailboxLua string
	//go:embed operations.lua
	operationsLua string
	//go:embed reads.lua
	readsLua string
	//go:embed nodes.lua
	nodesLua string
	//go:embed pager.lua
	pagerLua string
)

var source = mailboxLua + "\n" + operationsLua + "\n" + readsLua + "\n" + nodesLua + "\n" + pagerLua

// version names the library and each of its functions after their text, so that
// two versions of the relay can work on one Redis while they are exchanged.
var version = func() string {
	sum := sha256.Sum256([]byte(source))
	return hex.EncodeToString(sum[:4])
}()

// Functions is the library that an operator loads, where the relay may not:
//
//	schakel-relay redis functions | redis-cli --user schakel-admin -x FUNCTION LOAD REPLACE
func Functions() string {
	return "#!lua name=schakel_queue_" + version + "\n" + strings.ReplaceAll(source, "_VERSION'", "_"+version+"'")
}

// function returns the name by which this version calls a function.
func function(name string) string { return name + "_" + version }

// ensureFunctions loads the library into a server where it is missing and
// Config.Admin may, and otherwise says what to do.
func (s *Store) ensureFunctions(ctx context.Context, client *redis.Client) error {
	found, err := hasFunctions(ctx, client)
	if err != nil || found {
		return err
	}
	if s.config.Admin.Password == nil {
		return fmt.Errorf("%w: its functions %s are not loaded: as an administrator run "+
			"schakel-relay redis functions | redis-cli --user schakel-admin --askpass -x FUNCTION LOAD REPLACE "+
			"at every server that takes writes, or set redis-admin-password-file",
			ErrUnsafe, version)
	}
	admin := s.config.as(client, s.config.Admin)
	defer admin.Close()
	if err := admin.FunctionLoadReplace(ctx, Functions()).Err(); err != nil {
		return fmt.Errorf("failed to load the functions as %s: %w", s.config.Admin.User, err)
	}
	s.log.Info("functions loaded into redis", "server", addressOf(client), "version", version)
	return nil
}

func hasFunctions(ctx context.Context, client *redis.Client) (bool, error) {
	list, err := client.FunctionList(ctx, redis.FunctionListQuery{LibraryNamePattern: "schakel_queue_" + version}).Result()
	if err != nil {
		return false, fmt.Errorf("failed to list the functions: %w", err)
	}
	return len(list) > 0, nil
}
