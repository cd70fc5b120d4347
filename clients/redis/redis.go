// Package redis starts a redis-server for one program alone, with the configuration
// and the users that are shipped: for the demonstration and the bench.
//
//	server, err := redis.Start(ctx, dir)
//	defer server.Stop()
//	args = append(args, server.RelayFlags()...) // of schakel-relay
//
// It listens on a socket in its folder and nowhere else: there is no port that could
// be taken, or found by somebody else.
package redis

import (
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
	"regexp"
	"strings"
	"time"

	"schakel/clients/program"
	"schakel/configs"
)

// ErrMissing means that there is no redis-server on this machine.
var ErrMissing = errors.New("there is no redis-server 7.0 or later on this machine")

// readiness is how long the server may take to answer, on however busy a machine.
const readiness = time.Minute

// Server is a running redis-server.
type Server struct {
	*program.Program
	Socket   string
	Password string // of all its users
	file     string // where the password is
}

// Start starts a server in a new folder.
func Start(ctx context.Context, dir string) (*Server, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, ErrMissing
	}
	s := &Server{Socket: filepath.Join(dir, "redis.sock"), Password: rand.Text(), file: filepath.Join(dir, "password")}
	if err := s.write(dir); err != nil {
		return nil, fmt.Errorf("failed to prepare redis-server: %w", err)
	}
	log := filepath.Join(dir, "redis.log")
	s.Program, err = program.Start(program.Config{Name: "redis-server", Path: path, Dir: dir, Log: log,
		Args: []string{filepath.Join(dir, "redis.conf"), "--port", "0", "--unixsocket", s.Socket, "--unixsocketperm", "700", "--logfile", log}})
	if err != nil {
		return nil, err
	}
	if err := program.Until(ctx, "that redis-server answers", readiness, s.answers); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) answers() (bool, error) {
	conn, err := net.Dial("unix", s.Socket)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil, s.Ended()
}

// secret is a word that stands in users.acl for the hash of a password.
var secret = regexp.MustCompile(`\b[A-Z]+-PASSWORD-SHA256\b`)

func (s *Server) write(dir string) error {
	sum := sha256.Sum256([]byte(s.Password))
	users := secret.ReplaceAll(configs.RedisUsers, []byte(hex.EncodeToString(sum[:])))
	return errors.Join(
		os.MkdirAll(dir, 0o700),
		os.WriteFile(filepath.Join(dir, "redis.conf"), []byte(here(string(configs.RedisConf), dir)), 0o600),
		os.WriteFile(filepath.Join(dir, "users.acl"), users, 0o600),
		os.WriteFile(s.file, []byte(s.Password), 0o600))
}

// here puts a folder where the shipped configuration names places of a server, and
// leaves out where that one listens.
func here(conf, dir string) string {
	var kept []string
	for line := range strings.Lines(conf) {
		switch word, _, _ := strings.Cut(line, " "); word {
		case "bind", "port":
			continue
		case "dir":
			line = "dir " + dir + "\n"
		case "aclfile":
			line = "aclfile " + filepath.Join(dir, "users.acl") + "\n"
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "")
}

// RelayFlags say to schakel-relay where its mailboxes and the order of its register
// are. Without a server they are in its folder.
func (s *Server) RelayFlags() []string {
	if s == nil {
		return nil
	}
	return []string{"--store", "redis", "--redis-address", s.Socket, "--redis-password-file", s.file, "--redis-admin-password-file", s.file}
}

// Stop ends the server. One that was never started is nil, and has ended.
func (s *Server) Stop() error {
	if s == nil {
		return nil
	}
	return s.Program.Stop()
}
