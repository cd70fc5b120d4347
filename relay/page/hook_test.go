package page_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"schakel/relay/page"
)

// script is an executable hook in a folder of its own.
func script(t testing.TB, text string) string {
	path := filepath.Join(t.TempDir(), "hook")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700))
	return path
}

func TestHookIsToldWhatAPageSays(t *testing.T) {
	t.Setenv("SCHAKEL_SECRET_OF_THE_RELAY", "canary")
	out := filepath.Join(t.TempDir(), "out")
	c := channels(t, page.Config{Hook: script(t, `{ echo "$#"; env; echo ---; cat; } > `+out)})
	p := acute
	p.Exercise, p.Waiting = true, 3
	must(t, notify(t, c, page.Exec, "c-1", p))
	got, err := os.ReadFile(out)
	must(t, err)
	head, body, _ := strings.Cut(string(got), "---\n")
	if !strings.HasPrefix(head, "0\n") {
		t.Errorf("the hook got arguments: %s", head)
	}
	for line := range strings.Lines(head[2:]) {
		name, _, _ := strings.Cut(line, "=")
		switch name {
		case "PATH", "PWD", "SHLVL", "_", "SCHAKEL_PAGE_TIER", "SCHAKEL_PAGE_REFERENCE", "SCHAKEL_PAGE_CONTACT", "SCHAKEL_PAGE_EXERCISE", "SCHAKEL_PAGE_TEST", "SCHAKEL_PAGE_WAITING":
		default:
			t.Errorf("the hook's environment has %s", line)
		}
	}
	var doc map[string]any
	must(t, json.Unmarshal([]byte(body), &doc))
	want := map[string]any{"tier": "acute", "reference": p.Reference, "exercise": true, "test": false, "waiting": 3.0, "contact": "c-1", "text": p.Text()}
	if len(doc) != len(want) {
		t.Errorf("the hook reads %v", doc)
	}
	for k, v := range want {
		if doc[k] != v {
			t.Errorf("%s is %v, want %v", k, doc[k], v)
		}
	}
}

func TestHookOutcomes(t *testing.T) {
	if err := notify(t, channels(t, page.Config{Hook: script(t, "exit 3\n")}), page.Exec, "c-1", acute); !errors.Is(err, page.ErrRefused) {
		t.Errorf("exit code 3: %v", err)
	}
	must(t, notify(t, channels(t, page.Config{Hook: script(t, "cat > /dev/null; yes | head -c 1000000\n")}), page.Exec, "c-1", acute))
	gone := script(t, "exit 0\n")
	c := channels(t, page.Config{Hook: gone})
	must(t, os.Remove(gone))
	if err := notify(t, c, page.Exec, "c-1", acute); !errors.Is(err, page.ErrUnreachable) {
		t.Errorf("a hook that is gone: %v", err)
	}
	if _, err := channels(t, page.Config{}).For(page.Point{Channel: page.Exec, Target: "c-1"}); !errors.Is(err, page.ErrPoint) {
		t.Errorf("without a hook: %v", err)
	}
}

func TestHookThatCannotRunIsRefusedAtStart(t *testing.T) {
	dir := t.TempDir()
	plain, open := filepath.Join(dir, "plain"), filepath.Join(dir, "open")
	must(t, os.WriteFile(plain, nil, 0o600))
	must(t, os.WriteFile(open, nil, 0o700))
	must(t, os.Chmod(open, 0o722))
	for _, path := range []string{"hook", filepath.Join(dir, "nothing"), dir, plain, open} {
		if _, err := page.New(page.Config{Hook: path}); !errors.Is(err, page.ErrPoint) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What a hook started goes with it: a shell that hangs in curl leaves no curl behind.
func TestHookIsKilledWithItsGroup(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	c := channels(t, page.Config{Limit: impatient, Hook: script(t, "sleep 600 &\necho $! > "+pid+"\nwait\n")})
	began := time.Now()
	if err := notify(t, c, page.Exec, "c-1", acute); !errors.Is(err, page.ErrDeadline) {
		t.Errorf("a hook that hangs: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	raw, err := os.ReadFile(pid)
	must(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	must(t, err)
	for end := time.Now().Add(10 * time.Second); alive(child); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what the hook started lives on")
		}
	}
}

// alive reports whether a process runs; one that is dead and not collected does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestNotifyEndsWithItsContext(t *testing.T) {
	c := channels(t, page.Config{Hook: script(t, "exec sleep 600\n"), Limit: time.Minute})
	n, err := c.For(page.Point{Channel: page.Exec, Target: "c-1"})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := n.Notify(ctx, acute); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}
