package redistest

import (
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// Restart starts the server again, in the same folder and at the same port, after
// it was killed or stopped; one that still runs is killed first. Whoever looks for
// the server meanwhile may be given its port for a moment: so it is tried again.
func (s *Server) Restart() error {
	s.Kill()
	var err error
	for range 20 {
		if err = s.again(); !errors.Is(err, ErrStart) {
			return err
		}
		<-time.After(100 * time.Millisecond)
	}
	return err
}

// again runs the same command line once more.
func (s *Server) again() error {
	command, ended := exec.Command(program, s.command.Args[1:]...), make(chan struct{})
	if err := command.Start(); err != nil {
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	s.command, s.ended = command, ended
	go func() {
		_ = command.Wait()
		close(ended)
	}()
	return s.await()
}
