//go:build linux

package system_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// nextVersion is the programs of another version: its functions in Redis have another text
// and so other names.
var nextVersion = sync.OnceValues(func() (programs, error) {
	original, err := filepath.Abs("../../../relay/queue/redisqueue/functions.go")
	if err != nil {
		return programs{}, err
	}
	text, err := os.ReadFile(original)
	if err != nil {
		return programs{}, err
	}
	const here, there = "var source = mailboxLua", "var source = \"-- the next version\\n\" + mailboxLua"
	if n := bytes.Count(text, []byte(here)); n != 1 {
		return programs{}, fmt.Errorf("%s has %q %d times", original, here, n)
	}
	changed, overlay := filepath.Join(workshop, "functions.go"), filepath.Join(workshop, "next.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err := errors.Join(err, os.WriteFile(overlay, replace, 0o600),
		os.WriteFile(changed, bytes.Replace(text, []byte(here), []byte(there), 1), 0o600)); err != nil {
		return programs{}, err
	}
	return buildPrograms("next", race+" -overlay="+overlay)
})

// Fault 13: two relays on one Redis are exchanged for those of another version, one after
// the other, and back, under load. For a while both versions serve side by side.
func TestVersionsAreExchanged(t *testing.T) {
	now, next := must[programs](t)(honest()), must[programs](t)(nextVersion())
	c := newChainOn(t, twoRelays)
	l := c.newLoad()
	l.begin()
	for _, version := range []programs{next, now} {
		for _, r := range l.relays {
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			c.programs.relay = version.relay
			c.startRelay(r)
			before := l.accepted()
			eventually(t, "the senders go on", patience, func() bool { return l.accepted() >= before+40/slower })
		}
	}
	l.stop()
	n, wrong := l.settle(patience)
	l.report(n, wrong)
	l.stated(patience)
	l.allVisited()
	l.noProtocolErrors()

	// Control: they were two versions.
	root := l.redis.Root()
	defer root.Close()
	libraries := must[[]redis.Library](t)(root.FunctionList(t.Context(), redis.FunctionListQuery{LibraryNamePattern: "schakel_queue_*"}).Result())
	if len(libraries) != 2 {
		t.Errorf("%d versions of the functions are in Redis, want 2", len(libraries))
	}
}

// noProtocolErrors demands that nobody was sent away for what it said.
func (c *chain) noProtocolErrors() {
	c.t.Helper()
	logs, _ := filepath.Glob(c.file("*.log"))
	for _, path := range logs {
		log := must[[]byte](c.t)(os.ReadFile(path))
		for _, bad := range []string{"protocol error", "malformed frame"} {
			if bytes.Contains(log, []byte(bad)) {
				c.t.Errorf("%s: %s", filepath.Base(path), bad)
			}
		}
	}
	if len(logs) == 0 {
		c.t.Error("there are no logs")
	}
}
