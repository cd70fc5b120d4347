//go:build linux

package system_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"schakel/clients/schakel"
)

// bucketServer is Versity's gateway, built from the module beside the store of buckets.
var bucketServer = sync.OnceValues(func() (string, error) {
	program := filepath.Join(workshop, "versitygw")
	cmd := exec.Command("go", "build", "-o", program, "github.com/versity/versitygw/cmd/versitygw")
	cmd.Dir = "../../../relay/blob/s3/gateway"
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
})

// needGateway builds it where that was asked for: it is large.
func needGateway(t testing.TB) string {
	t.Helper()
	if os.Getenv("SCHAKEL_TEST_NEED_GATEWAY") == "" {
		t.Skip("NOT TESTED: two relays on one bucket need Versity's gateway: make buckets builds it")
	}
	return must[string](t)(bucketServer())
}

// withBucket has the relays keep attachments in a bucket, and returns the folder that it is.
func (c *chain) withBucket() (bucket string) {
	c.t.Helper()
	program, address := needGateway(c.t), must[string](c.t)(freeAddress())
	const key, secret = "relay", "fictional-secret"
	bucket = c.file("buckets", "attachments")
	if err := os.MkdirAll(bucket, 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(c.file("s3-secret"), []byte(secret), 0o600); err != nil {
		c.t.Fatal(err)
	}
	server := start(c.t, c.file("gateway.log"), "env", "ROOT_ACCESS_KEY="+key, "ROOT_SECRET_KEY="+secret,
		program, "--port", address, "--quiet", "posix", "--nometa", c.file("buckets"))
	c.t.Cleanup(server.kill)
	if err := listening(server, address); err != nil {
		c.t.Fatal(err)
	}
	c.relayFlags = append(c.relayFlags, "--blob-store", "s3", "--s3-endpoint", "http://"+address, "--s3-bucket", "attachments",
		"--s3-key", key, "--s3-secret-file", c.file("s3-secret"))
	return bucket
}

// TestTwoRelaysOneBucket: two relays on one Redis keep attachments in one bucket. A file goes up
// through the one, which is killed on the way, and on through the other; it comes down through
// that one, which is killed, and on through the first. Each relay looks for what is over when it
// starts, in the middle of what the other began, and takes nothing of it. With both there, a
// second file goes as well, and the bucket knows that its desk has it.
func TestTwoRelaysOneBucket(t *testing.T) {
	needGateway(t)
	c := newChainOn(t, twoRelays)
	bucket := c.withBucket()
	one, two := c.relays[0], c.relays[1]
	c.startRelay(one)
	f := &files{chain: c, from: c.startDesk(doctor), to: c.startDesk(safe), path: c.file("groot.pdf")}
	c.knows(doctor, safe)
	const size = 48 << 20
	f.sum = f.write(size)
	sent := f.send(f.path)
	f.changesAt(f.from, sent, size/3, one, two)
	eventually(t, "all of it is at the second relay", 4*patience, func() bool {
		all, err := f.from.client.Attachments(t.Context(), sent.Hash)
		return err == nil && len(all) == 1 && all[0].State == schakel.AttachmentAtRelay
	})
	f.changesAt(f.to, sent, size/3, two, one)
	f.arrives(sent)
	c.startRelay(two)
	again := f.send(f.path)
	f.arrives(again)
	eventually(t, "the bucket knows that both files have arrived", patience, func() bool {
		marks, err := filepath.Glob(filepath.Join(bucket, "done", "*", "*", "*", "*"))
		return err == nil && len(marks) == 2
	})
	c.allVisited()
	if parts, err := filepath.Glob(filepath.Join(bucket, "parts", "*", "*", "*")); err != nil || len(parts) == 0 {
		t.Errorf("control: nothing is in the bucket: %v", err)
	}
	for _, r := range c.relays {
		if names, _ := os.ReadDir(filepath.Join(r.home, "blobs", "uploads")); len(names) > 0 {
			t.Errorf("%s kept attachments for itself", r.name)
		}
		if log := must[[]byte](t)(os.ReadFile(r.logged)); strings.Contains(string(log), "blobs removed") {
			t.Errorf("%s removed something that was not over", r.name)
		}
	}
}

// changesAt kills a relay once so many bytes of a file have moved at a desk, and starts another.
func (f *files) changesAt(at *device, sent schakel.Sent, bytes uint64, from, to *relayNode) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("%d bytes moved", bytes), 4*patience, func() bool { return f.done(at, sent) >= bytes })
	f.t.Logf("%s is killed at %d MiB, and %s started", from.name, f.done(at, sent)>>20, to.name)
	from.kill()
	f.startRelay(to)
}
