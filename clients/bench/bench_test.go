package bench_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"schakel/clients/bench"
	"schakel/relay/queue/redisqueue/redistest"
)

// A small run against a real relay process measures everything and leaves nothing.
func TestRun(t *testing.T) {
	t.Run("bolt", func(t *testing.T) { measureAll(t, false) })
	t.Run("redis", func(t *testing.T) {
		redistest.Need(t)
		measureAll(t, true)
	})
}

func measureAll(t *testing.T, onRedis bool) {
	relay := filepath.Join(t.TempDir(), "schakel-relay")
	if out, err := exec.Command("go", "build", "-o", relay, "schakel/cmd/schakel-relay").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	r, err := bench.Run(context.Background(), bench.Config{
		Relay: relay, Redis: onRedis, Senders: 2, InFlight: 8, Size: 1024, Messages: 200, Rate: 200, Seconds: 1, Idle: 20, Timeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []any{r.Throughput, r.Bare, r.Latency, r.Backlog, r.Sealing} {
		v := reflect.ValueOf(part)
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if v.Field(i).IsZero() && name != "RelayCPU" && name != "RedisCPU" { // counted in hundredths of a second
				t.Errorf("%s.%s was not measured", v.Type().Name(), name)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "schakel-bench-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, c := range []bench.Config{{Senders: 65}, {Size: 1}, {Messages: 1}, {Idle: 1 << 20}} {
		if _, err := bench.Run(context.Background(), c); !errors.Is(err, bench.ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
