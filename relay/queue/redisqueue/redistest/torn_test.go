package redistest_test

import (
	"os"
	"path/filepath"
	"testing"

	"schakel/relay/queue/redisqueue/redistest"
)

// The last file is the one with the highest number: 10 comes after 9, and by name before it.
func TestLastFile(t *testing.T) {
	dir := t.TempDir()
	if file, err := redistest.LastFile(dir); err == nil {
		t.Errorf("an empty folder has %s", file)
	}
	folder := filepath.Join(dir, "appendonlydir")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"appendonly.aof.9.incr.aof", "appendonly.aof.10.incr.aof", "appendonly.aof.11.base.rdb"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if file, err := redistest.LastFile(dir); err != nil || filepath.Base(file) != "appendonly.aof.10.incr.aof" {
		t.Errorf("the last file is %s, %v", file, err)
	}
}
