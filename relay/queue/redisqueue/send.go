package redisqueue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"schakel/relay/queue"
)

// outcome is what became of a call.
type outcome struct {
	reply any
	err   error    // nil, or why there is no reply
	again bool     // it may have been carried out before
	short shortage // it was carried out, and not confirmed as promised
}

// What may become of a call that was not answered. errElsewhere and errLost are
// worth another attempt, errRenewed a look at who was vouched for.
var (
	errElsewhere = fmt.Errorf("%w: the bucket is moving", queue.ErrUnavailable)
	errLost      = errors.New("the answer was lost")
	errRenewed   = errors.New("another store than the one that was opened")
	// errAborted is a call that Redis refused: it is out of memory, or cannot write
	// to its disk.
	errAborted = fmt.Errorf("%w: redis refused to write", queue.ErrUnavailable)
)

// unanswered reports that nobody knows of an operation whether it was carried out,
// or that it was not: apart from a shortage of replicas.
func unanswered(err error) bool {
	return !errors.Is(err, errShort) && (errors.Is(err, queue.ErrUnconfirmed) || errors.Is(err, queue.ErrUnavailable))
}

// send sends calls to whoever has their buckets, all servers at once, until each was
// answered or refused: no attempt begins after Config.Patience, and none takes longer
// than that. An error ends the store.
func (s *Store) send(ctx context.Context, name string, calls []*call) error {
	all := context.WithoutCancel(ctx)
	ctx, cancel := context.WithTimeout(all, s.config.Patience)
	defer cancel()
	for pending := calls; len(pending) > 0; {
		s.round(all, name, pending)
		var renewed bool
		if pending, renewed = unsettled(pending); len(pending) == 0 {
			break
		}
		if renewed {
			if !s.mayBeSame(ctx) { // it takes longer than an operation may
				pending = slices.DeleteFunc(pending, func(c *call) bool { return errors.Is(c.err, errRenewed) })
			}
			if err := s.usable(); err != nil {
				return err
			}
		}
		s.puts.lookAgain(ctx)
		if !pause(ctx, 20*time.Millisecond) {
			break
		}
	}
	return conclude(calls)
}

// unsettled returns the calls that are worth another attempt.
func unsettled(calls []*call) (pending []*call, renewed bool) {
	for _, c := range calls {
		switch {
		case errors.Is(c.err, errLost):
			c.again = true
		case errors.Is(c.err, errRenewed):
			renewed = true
		case errors.Is(c.err, errElsewhere), c.again && errors.Is(c.err, queue.ErrUnavailable):
		default:
			continue
		}
		pending = append(pending, c)
	}
	return pending, renewed
}

// conclude says of calls without an answer what is known of them.
func conclude(calls []*call) error {
	for _, c := range calls {
		switch {
		case c.err == nil:
		case errors.Is(c.err, queue.ErrIndeterminate):
			return fmt.Errorf("bucket %d: %w", c.bucket, c.err)
		case c.again:
			c.err = fmt.Errorf("%w: no answer from redis: %w", queue.ErrUnconfirmed, withoutVerdict{c.err})
		case !errors.Is(c.err, queue.ErrUnavailable):
			c.err = fmt.Errorf("%w: %w", queue.ErrUnavailable, c.err)
		}
	}
	return nil
}

// withoutVerdict keeps the text of an error that said too much: an attempt after the
// first was not carried out, the first may have been.
type withoutVerdict struct{ err error }

func (w withoutVerdict) Error() string { return w.err.Error() }

// round sends each call once.
func (s *Store) round(ctx context.Context, name string, calls []*call) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	byServer := make(map[*redis.Client][]*call)
	for _, c := range calls {
		client, err := s.puts.of(ctx, c.bucket)
		if err != nil { // nobody was asked
			c.err = err
			if !errors.Is(err, errSilent) {
				c.err = fmt.Errorf("%w: %w", errElsewhere, err)
			}
			continue
		}
		byServer[client] = append(byServer[client], c)
	}
	var sending sync.WaitGroup
	for client, part := range byServer {
		sending.Go(func() { s.sendTo(ctx, client, name, part) })
	}
	sending.Wait()
}

// sendTo sends calls to one server, and remembers when it does not answer or replicas
// do not confirm.
func (s *Store) sendTo(ctx context.Context, client *redis.Client, name string, part []*call) {
	trouble := s.troubles.of(addressOf(client))
	if trouble.short && name == "commit" {
		name = "drain" // which refuses new envelopes
	}
	e := exchange{s: s, client: client, name: name, part: part, short: trouble.short}
	e.run(ctx)
	if e.timedOut {
		s.troubles.silent(client)
	}
	if e.unconfirmed {
		s.troubles.short(client)
	}
}

// exchange is one sending to one server.
type exchange struct {
	s      *Store
	client *redis.Client
	name   string
	part   []*call
	short  bool // replicas are known to be missing

	timedOut    bool
	unconfirmed bool // fewer replicas confirmed than are promised
}

// run sends the calls, where replicas are promised a write behind them, and asks on
// the same connection how many replicas have all of it: the answer counts for what
// that connection has written, and for nothing else.
func (e *exchange) run(ctx context.Context) {
	waits := e.s.config.Replicas > 0 && e.name != "due" && !e.short
	// In a cluster a transaction may not be about several buckets, and at maxmemory
	// Redis takes nothing between MULTI and EXEC.
	transaction := !e.s.config.Cluster && e.name == "commit" && (len(e.part) > 1 || waits)
	var commands [][]any
	within := ""
	if transaction {
		within = rand.Text() // never twice: the functions ask once in it who they are
		commands = append(commands, []any{"multi"})
	}
	for _, c := range e.part {
		commands = append(commands, e.s.command(e.name, c, within))
	}
	if waits {
		commands = append(commands, []any{"fcall", function("touch"), 1, e.s.metaKey(e.part[0].bucket), e.s.marker})
	}
	if transaction {
		commands = append(commands, []any{"exec"})
	}
	if waits {
		commands = append(commands, []any{"wait", e.s.config.Replicas, (e.s.config.Patience / 3).Milliseconds()})
	}
	answers := pipelined(ctx, e.client, commands)
	var wait answer
	if waits {
		wait, answers = answers[len(answers)-1], answers[:len(answers)-1]
	}
	if transaction {
		answers = unpack(answers)
	}
	if waits && wait.err == nil { // nothing waits behind what was not written
		wait.err = answers[len(answers)-1].err
	}
	e.settle(answers, waits, wait)
}

// command is the whole call, within a transaction or none. All keys that it may touch are declared.
func (s *Store) command(name string, c *call, within string) []any {
	args := c.args
	if name == "commit" || name == "drain" {
		args = s.arguments(c, within)
	}
	keys := &s.keys[c.bucket]
	command := make([]any, 0, 3+len(keys.fixed)+len(c.desks)+len(args))
	command = append(command, "fcall", function(name), len(keys.fixed)+len(c.desks))
	command = append(command, keys.fixed...)
	for desk := range c.desks {
		command = append(command, keys.mail+string(desk))
	}
	return append(command, args...)
}

// unpack returns the answers within a transaction as if there had been none.
func unpack(answers []answer) []answer {
	inner, last := answers[1:len(answers)-1], answers[len(answers)-1]
	list, _ := last.reply.([]any)
	unpacked := make([]answer, len(inner))
	for i := range inner {
		switch {
		case last.err != nil:
			unpacked[i].err = last.err
		case i >= len(list):
			unpacked[i].err = errAnswer
		default:
			unpacked[i].reply = list[i]
			if err, ok := list[i].(error); ok {
				unpacked[i] = answer{err: err}
			}
		}
	}
	return unpacked
}

// settle puts the answers into the calls.
func (e *exchange) settle(answers []answer, waits bool, wait answer) {
	confirmed, _ := wait.reply.(int64)
	for i, c := range e.part {
		c.reply, c.err = answers[i].reply, nil
		if err := answers[i].err; err != nil {
			c.err = classify(err)
			e.timedOut = e.timedOut || isTimeout(err)
			continue
		}
		switch {
		case e.short:
			c.short = shortage{known: true}
		case !waits:
		case wait.err != nil: // the next attempt waits
			c.err = fmt.Errorf("%w: %w", errLost, wait.err)
			e.timedOut = e.timedOut || isTimeout(wait.err)
		case int(confirmed) < e.s.config.Replicas:
			c.short = shortage{found: true}
			e.unconfirmed = true
		}
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// classify says what an error means for the call that it answers.
func classify(err error) error {
	var reply redis.Error
	var dial *net.OpError
	text := err.Error()
	has := func(prefixes ...string) bool {
		for _, prefix := range prefixes {
			if strings.HasPrefix(text, prefix) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.As(err, &dial) && dial.Op == "dial":
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	case errors.Is(err, errAnswer):
		return err
	case !errors.As(err, &reply):
		return fmt.Errorf("%w: %w", errLost, err)
	case has("EPOCH", "READONLY"):
		return fmt.Errorf("%w: %w", errRenewed, err)
	case has("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"):
		return fmt.Errorf("%w: %w", errElsewhere, err)
	case has("EXECABORT", "OOM", "MISCONF"):
		return fmt.Errorf("%w: %w", errAborted, err)
	case has("LOADING", "MASTERDOWN", "NOREPLICAS", "NOAUTH", "WRONGPASS", "NOPERM", "BUSY", "ERR max number of clients", "ERR Function not found"):
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	default: // a function failed half-way
		return fmt.Errorf("%w: %w", queue.ErrIndeterminate, err)
	}
}
