package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"schakel/relay/queue/redisqueue"
)

// Replicas is a primary and its replicas. They may change places.
type Replicas struct {
	Servers  []*Server // the first began as the primary
	password string
}

// StartReplicas starts a primary and n replicas below dir, and returns when all of
// them have the same.
func StartReplicas(dir string, n int, settings ...string) (*Replicas, error) {
	password, err := passwordOf(dir)
	if err != nil {
		return nil, err
	}
	r := &Replicas{password: password}
	for i := range n + 1 {
		own := settings
		if i > 0 {
			own = append([]string{"replicaof", words(r.Servers[0].Address)}, settings...)
		}
		s, err := beside(dir, fmt.Sprintf("redis-%d", i), replicated, password, own)
		if err != nil {
			r.Stop()
			return nil, err
		}
		r.Servers = append(r.Servers, s)
	}
	if err := r.Settle(); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

// beside starts a server in a folder below dir, with a password in common.
func beside(dir, name string, as kind, password string, settings []string) (*Server, error) {
	own := filepath.Join(dir, name)
	if err := os.MkdirAll(own, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(own, "password"), []byte(password), 0o600); err != nil {
		return nil, err
	}
	return startNode(own, as, settings)
}

// words writes an address as Redis's configuration has it.
func words(address string) string {
	host, port, _ := net.SplitHostPort(address)
	return host + " " + port
}

// Primary returns the server that takes writes now, or nil: the one that says so
// with most replicas connected, for one that was cut off still believes it.
func (r *Replicas) Primary() (primary *Server) {
	most := -1
	for _, s := range r.Servers {
		fields := s.Replication()
		var replicas int
		fmt.Sscan(fields["connected_slaves"], &replicas)
		if fields["role"] == "master" && replicas > most {
			primary, most = s, replicas
		}
	}
	return primary
}

// Others returns all servers but one.
func (r *Replicas) Others(than *Server) (others []*Server) {
	for _, s := range r.Servers {
		if s != than {
			others = append(others, s)
		}
	}
	return others
}

// Settle waits until there is one primary and all others follow it.
func (r *Replicas) Settle() error {
	return await("all replicas follow one primary", func() bool {
		primary := r.Primary()
		return primary != nil && follow(primary, r.Others(primary))
	})
}

// follow reports whether all of them copy from a primary, and it knows them.
func follow(primary *Server, replicas []*Server) bool {
	for _, s := range replicas {
		fields := s.Replication()
		if fields["role"] != "slave" || fields["master_link_status"] != "up" ||
			net.JoinHostPort(fields["master_host"], fields["master_port"]) != primary.Address {
			return false
		}
	}
	return strings.Count(fmt.Sprint(primary.Replication()), "state=online") >= len(replicas)
}

// Promote has a replica take over, as an operator without sentinels would, and the
// others follow it. The former primary may be gone.
func (r *Replicas) Promote(s *Server) error {
	if err := s.replicaOf("NO", "ONE"); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(s.Address)
	for _, other := range r.Others(s) {
		if other.running() {
			err = errors.Join(err, other.replicaOf(host, port))
		}
	}
	return err
}

// Return starts a server that has ended again, as a replica of the primary of now:
// what it had alone is given up.
func (r *Replicas) Return(s *Server) error {
	primary := r.Primary()
	if primary == nil {
		return errors.New("failed to return to the replicas: there is no primary")
	}
	path := filepath.Join(s.dir, s.kind.file)
	conf, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	settings := []string{"replicaof", words(primary.Address)}
	conf = append(without(conf, settings), lines(settings)...)
	return errors.Join(os.WriteFile(path, conf, 0o600), s.Restart())
}

func (s *Server) replicaOf(host, port string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client := s.Root()
	defer client.Close()
	return errors.Join(client.ReplicaOf(ctx, host, port).Err(), client.ConfigRewrite(ctx).Err())
}

// Replication returns what a server says about its part in replication, or nothing
// if it does not answer at once.
func (s *Server) Replication() map[string]string {
	fields := make(map[string]string)
	if !s.running() {
		return fields
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	client := s.Root()
	defer client.Close()
	for line := range strings.Lines(client.Info(ctx, "replication").Val()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

func (s *Server) running() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// Config connects to the first server, which began as the primary, and demands the
// confirmation of all replicas.
func (r *Replicas) Config() redisqueue.Config {
	c := r.Servers[0].Config()
	c.Replicas = len(r.Servers) - 1
	return c
}

func addresses(servers []*Server) string {
	all := make([]string, len(servers))
	for i, s := range servers {
		all[i] = s.Address
	}
	return strings.Join(all, ",")
}

// Stop ends all of them.
func (r *Replicas) Stop() { stopAll(r.Servers) }

// stopAll ends servers together: a primary that ends waits for its replicas.
func stopAll(servers []*Server) {
	var stopping sync.WaitGroup
	for _, s := range servers {
		stopping.Go(s.Stop)
	}
	stopping.Wait()
}
