package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"schakel/relay/blob"
	"schakel/relay/blob/blobtest"
	"schakel/relay/blob/s3"
)

const (
	key    = "relay"
	secret = "fictional-secret"
)

// server is one gateway for all tests, with a bucket for each.
var server = struct {
	sync.Once
	address, dir string
	process      *exec.Cmd
	err          error
}{}

func TestMain(m *testing.M) {
	code := m.Run()
	if p := server.process; p != nil {
		_ = p.Process.Kill()
		_ = p.Wait()
		_ = os.RemoveAll(server.dir)
	}
	os.Exit(code)
}

// patience is for a server that starts, on a machine that has much else to do.
const patience = time.Minute

func start() error {
	var err error
	if server.dir, err = os.MkdirTemp("", "gateway"); err != nil {
		return err
	}
	program := filepath.Join(server.dir, "versitygw")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/versity/versitygw/cmd/versitygw").CombinedOutput(); err != nil {
		return fmt.Errorf("the gateway cannot be built: %w: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server.address = l.Addr().String()
	buckets := filepath.Join(server.dir, "buckets")
	if err := errors.Join(l.Close(), os.Mkdir(buckets, 0o700)); err != nil {
		return err
	}
	server.process = exec.Command(program, "--port", server.address, "--quiet", "posix", "--nometa", buckets)
	server.process.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+key, "ROOT_SECRET_KEY="+secret)
	var said bytes.Buffer
	server.process.Stdout, server.process.Stderr = &said, &said
	if err := server.process.Start(); err != nil {
		return err
	}
	for late := time.Now().Add(patience); ; {
		c, err := net.Dial("tcp", server.address)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(late) {
			return fmt.Errorf("the gateway does not answer: %w: %s", err, said.String())
		}
		<-time.After(50 * time.Millisecond)
	}
}

func config(bucket string) s3.Config {
	return s3.Config{
		Endpoint: "http://" + server.address, Bucket: bucket, Key: key,
		Secret: func() (string, error) { return secret, nil },
	}
}

// open makes a bucket and opens it. With the gateway on a folder a bucket is a folder.
func open(t *testing.T) blob.Store {
	t.Helper()
	if server.Do(func() { server.err = start() }); server.err != nil {
		t.Fatal(server.err)
	}
	dir, err := os.MkdirTemp(filepath.Join(server.dir, "buckets"), "b")
	if err != nil {
		t.Fatal(err)
	}
	s, err := s3.Open(context.Background(), config(filepath.Base(dir)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) { blobtest.Run(t, open) }

// Controls: each check notices a store that breaks its promise.
func TestBrokenStoresAreNoticed(t *testing.T) {
	for _, c := range blobtest.Checks() {
		broken, ok := blobtest.Broken(open(t))[c.Name]
		if ok && c.Run(context.Background(), broken) == nil {
			t.Errorf("%s: not noticed", c.Name)
		}
	}
}

// A bucket that is not there, and a key that is not the server's, are refused when the
// relay starts; and no error names an object, because objects name desks.
func TestRefusals(t *testing.T) {
	s := open(t)
	if _, err := s3.Open(context.Background(), config("no-such-bucket")); !errors.Is(err, s3.ErrConfig) {
		t.Errorf("no bucket: %v", err)
	}
	wrong := config("b")
	wrong.Secret = func() (string, error) { return "another", nil }
	if _, err := s3.Open(context.Background(), wrong); err == nil {
		t.Error("another secret was taken")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := s.Put(ctx, "uploads/vt20/crisis/x", bytes.NewReader([]byte("x")), 1)
	if err == nil || bytes.Contains([]byte(err.Error()), []byte("vt20")) {
		t.Errorf("a log would say %v", err)
	}
}
