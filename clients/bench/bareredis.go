package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"schakel/clients/redis"
)

// errReply means that Redis answered otherwise than with yes.
var errReply = errors.New("redis refused")

// bareRedis is a stream on a redis-server and nothing else: no mailboxes, no
// idempotence, no quotas, no checks. It speaks the protocol itself, so that the
// frontier does not carry the cost of a library either.
type bareRedis struct {
	conn    net.Conn
	answers *bufio.Reader
	request []byte
	next    int // number of the next record
	deleted int // records before this one are gone
}

// bareStream lies where the relay's user may write.
const bareStream = "schakel:bench"

func openBareRedis(ctx context.Context, server *redis.Server) (*bareRedis, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", server.Socket)
	if err != nil {
		return nil, fmt.Errorf("failed to reach redis: %w", err)
	}
	s := &bareRedis{conn: conn, answers: bufio.NewReaderSize(conn, 64<<10)}
	s.call("AUTH", "schakel-relay", server.Password)
	if err := s.send(1); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

func (s *bareRedis) Close() error { return s.conn.Close() }

// commit is one transaction: the records as XADD, and those before as one XDEL.
func (s *bareRedis) commit(records [][]byte) error {
	first, calls := s.next, 2+len(records)
	s.call("MULTI")
	for _, r := range records {
		s.call("XADD", bareStream, recordID(s.next), "r", string(r))
		s.next++
	}
	if s.deleted < first {
		gone := []string{"XDEL", bareStream}
		for ; s.deleted < first; s.deleted++ {
			gone = append(gone, recordID(s.deleted))
		}
		s.call(gone...)
		calls++
	}
	s.call("EXEC")
	return s.send(calls)
}

func recordID(n int) string { return strconv.Itoa(n+1) + "-0" }

// call appends one command to the request.
func (s *bareRedis) call(words ...string) {
	s.request = fmt.Appendf(s.request, "*%d\r\n", len(words))
	for _, w := range words {
		s.request = fmt.Appendf(s.request, "$%d\r\n", len(w))
		s.request = append(append(s.request, w...), "\r\n"...)
	}
}

// send sends the request and reads as many answers as it has commands.
func (s *bareRedis) send(calls int) error {
	sent := make(chan error, 1)
	go func() { // Redis may answer before it has read everything
		_, err := s.conn.Write(s.request)
		sent <- err
	}()
	var err error
	for i := 0; i < calls && err == nil; i++ {
		err = s.answer()
	}
	if err != nil {
		err = errors.Join(err, s.conn.Close())
	}
	err = errors.Join(err, <-sent)
	s.request = s.request[:0]
	return err
}

// answer reads one answer to its end: what an array holds is answers too.
func (s *bareRedis) answer() error {
	for open := 1; open > 0; open-- {
		line, err := s.answers.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("failed to read from redis: %w", err)
		}
		switch kind := line[0]; kind {
		case '+', ':':
		case '$', '*':
			n, err := strconv.Atoi(strings.TrimSuffix(string(line[1:]), "\r\n"))
			if err != nil || n < 0 || n > maxAnswer {
				return fmt.Errorf("%w: %q", errReply, line)
			}
			if kind == '*' {
				open += n
			} else if _, err := s.answers.Discard(n + len("\r\n")); err != nil {
				return fmt.Errorf("failed to read from redis: %w", err)
			}
		default:
			return fmt.Errorf("%w: %q", errReply, line)
		}
	}
	return nil
}

// maxAnswer bounds the lengths in an answer.
const maxAnswer = 1 << 20
