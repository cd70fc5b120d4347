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
)

// A small run against a real relay process measures everything and leaves nothing.
func TestRun(t *testing.T) {
	relay := filepath.Join(t.TempDir(), "schakel-relay")
	if out, err := exec.Command("go", "build", "-o", relay, "schakel/cmd/schakel-relay").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	r, err := bench.Run(context.Background(), bench.Config{
		Relay: relay, Senders: 2, InFlight: 8, Size: 1024, Messages: 200, Rate: 200, Seconds: 1, Idle: 20, Timeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []any{r.Throughput, r.Bare, r.Latency, r.Backlog, r.Sealing} {
		v := reflect.ValueOf(part)
		for i := range v.NumField() {
			if v.Field(i).IsZero() && v.Type().Field(i).Name != "RelayCPU" { // counted in hundredths of a second
				t.Errorf("%s.%s was not measured", v.Type().Name(), v.Type().Field(i).Name)
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
