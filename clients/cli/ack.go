package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
)

type ackFlags struct {
	signer      signer
	status      string
	firstAction string
	answerBy    string
	wrong       bool
	rightRole   string
	rightRegion string
	noWait      bool
}

func (a *app) ackCommand() *cobra.Command {
	var f ackFlags
	c := &cobra.Command{
		Use: "ack MESSAGE", Short: "Acknowledge a message as a named person",
		Long: "Signs and sends the ontvangstbevestiging of a named person: from then on that person has it.\n" +
			"Reading alone acknowledges nothing. Where the ladder of this desk asks for several persons, each\n" +
			"further one does the same; that stays within the desk, and the ladder goes on until enough did.\n\n" +
			"Came it to the wrong desk? Answer with --wrong-recipient, and say who is right: the sender then\n" +
			"sends it on with one command. Who is right is filled in where the rules can tell.",
		Example: "  schakel ack 4f1c09aa --person \"P. Iket\" --pin-file pin --first-action \"Meldkamer gebeld\"\n" +
			"  schakel ack 4f1c09aa --person \"P. Iket\" --pin-file pin --wrong-recipient --right-role veilig-thuis --right-region VT13",
		Args: arguments("MESSAGE"),
		RunE: func(c *cobra.Command, args []string) error { return a.ack(c.Context(), args[0], f) },
	}
	c.ValidArgsFunction = a.messageNames(schakel.Filter{ToAck: true})
	flags := c.Flags()
	f.signer.flags(c)
	flags.StringVar(&f.status, "status", "", "in-behandeling (default), doorgezet-intern, verkeerde-ontvanger or niet-leesbaar")
	flags.StringVar(&f.firstAction, "first-action", "", "what that person did first")
	flags.StringVar(&f.answerBy, "answer-by", "", "when an answer will come: 2026-11-24T15:00:00+01:00")
	flags.BoolVar(&f.wrong, "wrong-recipient", false, "it came to the wrong desk: status verkeerde-ontvanger")
	flags.StringVar(&f.rightRole, "right-role", "", "role of the desk that should have had it, such as veilig-thuis")
	flags.StringVar(&f.rightRegion, "right-region", "", "its region, such as VT13: see `schakel where`")
	flags.BoolVar(&f.noWait, "no-wait", false, "do not wait for the relay: exit 75 at once")
	suggest(c, map[string]completer{"person": a.personNames(), "right-role": words(roleNames()), "status": words([]string{protocol.StatusTaken,
		protocol.StatusPassedOn, protocol.StatusWrongRecipient, protocol.StatusUnreadable})})
	return c
}

func (a *app) ack(ctx context.Context, ref string, f ackFlags) error {
	if f.signer.person == "" {
		return advise(usage(errors.New("--person is missing")), "an acknowledgement needs a named person: see `schakel person list`")
	}
	taken := schakel.Acknowledgement{Person: f.signer.person, Status: f.status, FirstAction: f.firstAction}
	if err := f.redirect(&taken); err != nil {
		return err
	}
	if f.answerBy != "" {
		t, err := time.Parse(time.RFC3339, f.answerBy)
		if err != nil {
			return usage(fmt.Errorf("--answer-by %q is no instant such as 2026-11-24T15:00:00+01:00", f.answerBy))
		}
		if !t.After(a.Now()) {
			return usage(fmt.Errorf("--answer-by %q has passed: promise a time that is still to come", f.answerBy))
		}
		taken.AnswerBy = t
	}
	var err error
	if taken.PIN, err = a.pin(f.signer); err != nil {
		return err
	}
	return a.with(ctx, !f.noWait, func(s *session) error {
		sent, err := s.Acknowledge(ctx, ref, taken)
		if err != nil {
			return suggestPerson(ctx, s, f.signer.person, err)
		}
		if sent.Confirmed {
			return a.confirmed(ctx, s, sent)
		}
		return a.follow(ctx, s, sent, f.noWait)
	})
}

// confirmed says that a further person confirmed, within the desk, and how many have.
func (a *app) confirmed(ctx context.Context, s *session, sent schakel.Sent) error {
	if a.json {
		return a.writeJSON(sentDocument{"schakel.sent/1", sent, schakel.StateAcknowledged})
	}
	a.printf("%s\n", sent.Hash)
	a.sayf("a colleague had acknowledged it to the sender: your confirmation stays within the desk")
	list, err := s.List(ctx, schakel.Filter{Case: sent.Case})
	for _, m := range list {
		if m.Hash == sent.Hash && m.Confirms != nil {
			a.sayf("%s", confirmedBy(*m.Confirms))
		}
	}
	return err
}

// confirmedBy says who of how many signed.
func confirmedBy(c schakel.Confirmations) string {
	return fmt.Sprintf("%d of %d confirmed: %s", len(c.By), c.Asked, inertLine(strings.Join(c.By, ", ")))
}

// redirect says that a message came to the wrong desk, and who is right.
func (f ackFlags) redirect(taken *schakel.Acknowledgement) (err error) {
	switch {
	case f.wrong && f.status != "" && f.status != protocol.StatusWrongRecipient:
		return usage(fmt.Errorf("--wrong-recipient and --status %q: give one of them", f.status))
	case f.wrong:
		taken.Status = protocol.StatusWrongRecipient
	case f.rightRole+f.rightRegion != "" && f.status != protocol.StatusWrongRecipient:
		return usage(errors.New("--right-role and --right-region go with --wrong-recipient"))
	}
	taken.RightRole, taken.RightUnit, err = rightRecipient(f.rightRole, f.rightRegion)
	return err
}

// suggestPerson adds the nearest person of this device to an error about an
// unknown one.
func suggestPerson(ctx context.Context, s *session, typed string, err error) error {
	if !errors.Is(err, schakel.ErrUnknownPerson) {
		return err
	}
	persons, lookErr := s.Persons(ctx)
	if lookErr != nil {
		return err
	}
	var names []string
	for _, p := range persons {
		names = append(names, p.Name)
	}
	if best, near := nearest(typed, names); near {
		return advise(err, fmt.Sprintf("did you mean %q? `schakel person list` shows who is on this device", best))
	}
	return err
}
