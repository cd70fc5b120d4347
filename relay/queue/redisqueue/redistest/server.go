package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Server is one process of Redis, in a folder of its own.
type Server struct {
	Address string // stays the same when it is started again

	dir      string
	kind     kind
	password string // of all its users

	command *exec.Cmd
	says    *bytes.Buffer // before it has a log; read when it has ended
	ended   chan struct{}
}

// ErrStart means that the server ended instead of starting.
var ErrStart = errors.New("redis-server does not start")

// startNode writes the configuration into dir and starts a server there, on a free
// port.
func startNode(dir string, as kind, settings []string) (*Server, error) {
	password, err := passwordOf(dir)
	if err != nil {
		return nil, err
	}
	for range 3 { // the free port may be taken meanwhile
		var port int
		if port, err = freePort(); err != nil {
			return nil, err
		}
		s := &Server{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: dir, kind: as, password: password}
		if err = as.write(dir, password, port, settings); err != nil {
			return nil, err
		}
		if err = s.run(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func freePort() (int, error) {
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return 0, err
		}
		if port < 55_000 { // the nodes of a cluster also listen at 10000 higher
			return port, nil
		}
	}
}

// run starts the process and returns when it answers.
func (s *Server) run() error {
	args := []string{filepath.Join(s.dir, s.kind.file)}
	if s.kind.file == sentinel.file {
		args = append(args, "--sentinel")
	}
	s.command, s.ended, s.says = exec.Command(program, args...), make(chan struct{}), new(bytes.Buffer)
	s.command.Stdout, s.command.Stderr = s.says, s.says
	s.command.SysProcAttr = tied()
	if err := s.command.Start(); err != nil {
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	go func(command *exec.Cmd, ended chan<- struct{}) {
		_ = command.Wait()
		close(ended)
	}(s.command, s.ended)
	return s.await()
}

// await waits until the server answers.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := s.Root()
	defer client.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !Listens(s.Address) || client.Ping(ctx).Err() != nil {
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("%w: %s", ErrStart, s.lastWords())
		case <-ctx.Done():
			s.Kill()
			return fmt.Errorf("%w in time", ErrStart)
		}
	}
	return nil
}

// lastWords is why the server ended: its folder may be gone when somebody reads it.
func (s *Server) lastWords() string {
	log, _ := os.ReadFile(filepath.Join(s.dir, "redis.log"))
	return s.says.String() + string(log[max(0, len(log)-1000):])
}

// patience is how long a server, or servers together, may take to be ready.
const patience = time.Minute

// Listens reports whether somebody takes connections at an address. It keeps the
// library, which logs by itself, from trying before it can work.
func Listens(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// Restart starts a server that has ended again, as an operator would: the same
// folder, address and configuration, with what Redis has written into that.
func (s *Server) Restart() error {
	select {
	case <-s.ended:
	default:
		return errors.New("failed to restart redis-server: it runs")
	}
	var err error
	for began := time.Now(); time.Since(began) < patience; {
		if err = s.run(); err == nil {
			return nil
		}
		// Somebody else may have the port for a moment: it is one that the kernel
		// also gives to connections.
		<-time.After(50 * time.Millisecond)
	}
	return err
}

// Kill ends the server at once, as the kernel would.
func (s *Server) Kill() {
	_ = s.command.Process.Kill()
	<-s.ended
}

// Stop ends the server, also a frozen one. It asks more than once: a replica that
// just got a whole copy refuses to end until that is in its file.
func (s *Server) Stop() {
	s.Thaw()
	limit, tick := time.NewTimer(10*time.Second), time.NewTicker(100*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for {
		_ = s.command.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.ended:
			return
		case <-tick.C:
		case <-limit.C:
			s.Kill()
			return
		}
	}
}

// Freeze stops the server without ending it: its connections stay, and nothing
// answers. Thaw lets it go on.
func (s *Server) Freeze() { _ = s.command.Process.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { _ = s.command.Process.Signal(syscall.SIGCONT) }

// Process is the server's process, for signals.
func (s *Server) Process() *os.Process { return s.command.Process }

// await waits for a condition of servers together.
func await(what string, done func() bool) error {
	limit, tick := time.NewTimer(patience), time.NewTicker(10*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit.C:
			return fmt.Errorf("not within %s: %s", patience, what)
		}
	}
	return nil
}
