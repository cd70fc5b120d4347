package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

type sentDocument struct {
	Schema string `json:"schema"`
	schakel.Sent
	State schakel.State `json:"state"`
}

// follow waits until the relay has the message, and says how far it came.
func (a *app) follow(ctx context.Context, s *session, sent schakel.Sent, noWait bool) error {
	state, err := a.awaitRelay(ctx, s, sent, noWait)
	if sent.Exercise {
		// Somebody who reports real danger in the case of an exercise must see it now.
		banner := protocol.ExerciseBanner()
		a.sayf("%s\n%s", a.in(yellow, banner.NL), a.in(yellow, banner.EN))
	}
	if a.json {
		if err := a.writeJSON(sentDocument{"schakel.sent/1", sent, state}); err != nil {
			return err
		}
	} else {
		a.printf("%s\n", sent.Hash)
		a.sayf("message %s in case %s: %s", sent.ID, sent.Case, state)
	}
	return err
}

func (a *app) awaitRelay(ctx context.Context, s *session, sent schakel.Sent, noWait bool) (schakel.State, error) {
	if !noWait {
		until, cancel := context.WithTimeout(ctx, a.settings.duration("wait"))
		defer cancel()
		_, err := s.Wait(until, sent.Hash, schakel.StateAtRelay)
		if err == nil {
			return schakel.StateAtRelay, nil
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			return schakel.StatePrepared, fmt.Errorf("%w: %w", errQueued, err)
		}
	}
	return schakel.StatePrepared, advise(errQueued, queuedAdvice(s))
}

func queuedAdvice(s *session) string {
	if s.daemon {
		return "nothing: the daemon sends it as soon as it reaches the relay; `schakel status` shows why it does not"
	}
	return "start the daemon with `schakel run`: it sends it as soon as it reaches the relay"
}

// suggestDesk adds the nearest desk of the register to an error about an unknown one.
func suggestDesk(ctx context.Context, s *session, to []identity.DeskID, err error) error {
	if !errors.Is(err, schakel.ErrUnknownDesk) {
		return err
	}
	desks, lookErr := s.Directory(ctx)
	if lookErr != nil {
		return err
	}
	var names []string
	for _, d := range desks {
		names = append(names, string(d.ID))
	}
	for _, id := range to {
		if best, near := nearest(string(id), names); near && !slices.Contains(names, string(id)) {
			return advise(err, fmt.Sprintf("did you mean %s instead of %s? `schakel desks` lists whom this desk may write to", best, id))
		}
	}
	return err
}

func classNames() (names []string) {
	for _, c := range protocol.V1().Classes() {
		names = append(names, c.Name)
	}
	return names
}

func urgencyNames() []string {
	return []string{string(message.Acute), string(message.Urgent), string(message.Routine), string(message.Info)}
}
