// Package redistest starts a redis-server of its own with the configuration and
// the users that are shipped, for tests and for the demonstration.
//
//	redistest.Need(t)                     // skips where there is no redis-server
//	server, err := redistest.Start(dir)
//	defer server.Stop()
//	store, err := redisqueue.Open(ctx, server.Config())
package redistest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"schakel/configs"
	"schakel/relay/queue/redisqueue"
)

// program is the server of Debian.
const program = "redis-server"

// Need skips the test where there is no redis-server, and fails it instead when
// SCHAKEL_TEST_NEED_REDIS is set.
func Need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("SCHAKEL_TEST_NEED_REDIS") != "" {
		t.Fatal("SCHAKEL_TEST_NEED_REDIS is set and there is no redis-server: apt-get install redis-server")
	}
	t.Skip("NOT TESTED: the Redis store needs redis-server 7.0 or later: apt-get install redis-server")
}

// Server is a running redis-server.
type Server struct {
	Address string

	dir      string
	password string // of all its users
	command  *exec.Cmd
	ended    chan struct{}
}

// root is a user of tests only, who may do everything.
const root = "root"

// Start starts a server in dir, or again with what is there. Settings change those
// of the shipped configuration: "appendfsync", "everysec". A server that does not
// start is an ErrStart.
func Start(dir string, settings ...string) (*Server, error) {
	password, err := ownPassword(dir)
	if err != nil {
		return nil, err
	}
	for range 3 { // the free port may be taken meanwhile
		s := &Server{dir: dir, password: password, ended: make(chan struct{})}
		if err = s.start(settings); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// ErrStart means that the server ended instead of starting.
var ErrStart = errors.New("redis-server does not start")

func (s *Server) start(settings []string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s.Address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	args := []string{
		filepath.Join(s.dir, "redis.conf"), "--port", strconv.Itoa(port), "--dir", s.dir,
		"--aclfile", filepath.Join(s.dir, "users.acl"), "--bind", "127.0.0.1", "--logfile", filepath.Join(s.dir, "redis.log"),
	}
	for i := 0; i+1 < len(settings); i += 2 {
		args = append(args, "--"+settings[i], settings[i+1])
	}
	s.command = exec.Command(program, args...)
	if err := s.command.Start(); err != nil {
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	go func() {
		_ = s.command.Wait()
		close(s.ended)
	}()
	return s.await()
}

// await waits until the server answers.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client := s.Root()
	defer client.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !s.listens() || client.Ping(ctx).Err() != nil {
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("%w: see %s", ErrStart, filepath.Join(s.dir, "redis.log"))
		case <-ctx.Done():
			s.Kill()
			return fmt.Errorf("%w in time", ErrStart)
		}
	}
	return nil
}

// listens keeps the library, which logs by itself, from trying before it can work.
func (s *Server) listens() bool {
	conn, err := net.Dial("tcp", s.Address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// ownPassword reads the password of the folder, or makes it with the shipped files.
func ownPassword(dir string) (string, error) {
	path := filepath.Join(dir, "password")
	if kept, err := os.ReadFile(path); err == nil {
		return string(kept), nil
	}
	password := rand.Text()
	sum := sha256.Sum256([]byte(password))
	hash := []byte(hex.EncodeToString(sum[:]))
	users := bytes.ReplaceAll(configs.RedisUsers, []byte("RELAY-PASSWORD-SHA256"), hash)
	users = bytes.ReplaceAll(users, []byte("ADMIN-PASSWORD-SHA256"), hash)
	users = append(users, "user "+root+" on #"+string(hash)+" ~* &* +@all\n"...)
	return password, errors.Join(
		os.WriteFile(filepath.Join(dir, "users.acl"), users, 0o600),
		os.WriteFile(filepath.Join(dir, "redis.conf"), withoutPlaces(configs.RedisConf), 0o600),
		os.WriteFile(path, []byte(password), 0o600))
}

// withoutPlaces leaves out the settings that name a place of the machine: Redis
// opens the files of the configuration before it looks at the command line.
func withoutPlaces(conf []byte) []byte {
	var kept []string
	for line := range strings.Lines(string(conf)) {
		switch word, _, _ := strings.Cut(line, " "); word {
		case "dir", "aclfile", "bind", "port":
		default:
			kept = append(kept, line)
		}
	}
	return []byte(strings.Join(kept, ""))
}

// Config connects as the relay, which may have the functions loaded.
func (s *Server) Config() redisqueue.Config {
	password := func() (string, error) { return s.password, nil }
	return redisqueue.Config{
		Address: s.Address, Password: password, Admin: redisqueue.Login{User: "schakel-admin", Password: password},
	}
}

// Root is a connection of somebody who may do everything.
func (s *Server) Root() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: s.Address, Username: root, Password: s.password, Protocol: 2, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true,
	})
}

// Kill ends the server at once, as the kernel would.
func (s *Server) Kill() {
	_ = s.command.Process.Kill()
	<-s.ended
}

// Stop ends the server.
func (s *Server) Stop() {
	_ = s.command.Process.Signal(os.Interrupt)
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
		s.Kill()
	}
}

// Process is the server's process, for signals.
func (s *Server) Process() *os.Process { return s.command.Process }
