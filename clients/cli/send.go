package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// maxBody bounds what is read of a body: one byte more than fits, so that the
// SDK can say that it does not.
const maxBody = message.MaxBody + 1

type sendFlags struct {
	class, urgency, zaak, answers, outcome, body string
	to, restsOn                                  []string
	signer                                       signer
	noWait, exercise                             bool
}

// signer is the person who signs, and where the PIN comes from.
type signer struct{ person, pinFile string }

func (a *app) sendCommand() *cobra.Command {
	var f sendFlags
	c := &cobra.Command{
		Use: "send", Short: "Send a case message",
		Long: "Checks, signs and seals a message and puts it on disk; then waits a little for the relay.\n" +
			"Exit code 0: the relay has it on its disk. 75: it is safe here and travels as soon as the\n" +
			"relay is reached. 5: a rule of the protocol refuses it, and nothing was sent.\n\n" +
			"An acute message never replaces a telephone call: call as well.",
		Example: `  schakel send --class melding --urgency acuut --to vt20/crisis --to politie-re03/oc --body melding.json`,
		Args:    arguments(),
		RunE:    func(c *cobra.Command, _ []string) error { return a.send(c.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.class, "class", "", "class of the message, such as melding")
	flags.StringVar(&f.urgency, "urgency", "", "acuut, spoed, regulier or ter-kennisname")
	flags.StringVar(&f.zaak, "case", "", "case (zaak) it belongs to; a new one when left out")
	flags.StringArrayVar(&f.to, "to", nil, "desk to send to: organisation/desk (repeat for several)")
	flags.StringVar(&f.answers, "answers", "", "message that this one answers")
	flags.StringArrayVar(&f.restsOn, "rests-on", nil, "message that this one rests on (repeat for several)")
	flags.StringVar(&f.outcome, "outcome", "", "outcome of a besluit")
	flags.StringVar(&f.body, "body", "", "file with the body in JSON, or - for standard input")
	flags.BoolVar(&f.exercise, "exercise", false, "begin an exercise: every message of its case is marked as one")
	flags.BoolVar(&f.noWait, "no-wait", false, "do not wait for the relay: exit 75 at once")
	f.signer.flags(c)
	suggest(c, map[string]completer{"class": words(classNames()), "urgency": words(urgencyNames()), "to": a.deskNames(),
		"person": a.personNames(), "answers": a.messageNames(schakel.Filter{}), "rests-on": a.messageNames(schakel.Filter{Box: "all"})})
	return c
}

func (s *signer) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.person, "person", "", "who signs: name or identifier, as in schakel person list")
	c.Flags().StringVar(&s.pinFile, "pin-file", "", "file with that person's PIN, or - for standard input")
}

func (a *app) pin(s signer) (string, error) {
	return a.read(secret{what: "PIN of " + inertLine(s.person), file: s.pinFile, flag: "pin-file", credential: "schakel-pin"})
}

func (a *app) send(ctx context.Context, f sendFlags) error {
	d, err := a.draft(f)
	if err != nil {
		return err
	}
	return a.with(ctx, !f.noWait, func(s *session) error {
		sent, err := s.Send(ctx, d)
		if err != nil {
			return suggestDesk(ctx, s, d.To, err)
		}
		if d.Urgency == message.Acute {
			a.sayf("%s", a.in(red, "Acute: telephone the desk as well. A message never replaces the call."))
		}
		return a.follow(ctx, s, sent, f.noWait)
	})
}

// draft reads and checks everything that needs no store.
func (a *app) draft(f sendFlags) (schakel.Draft, error) {
	d := schakel.Draft{Class: f.class, Urgency: message.Urgency(f.urgency), Case: f.zaak, Answers: f.answers,
		RestsOn: f.restsOn, Outcome: f.outcome, Person: f.signer.person, Exercise: f.exercise}
	for _, required := range [][2]string{{"class", f.class}, {"urgency", f.urgency}, {"to", strings.Join(f.to, "")}, {"body", f.body}} {
		if required[1] == "" {
			return d, usage(fmt.Errorf("--%s is missing", required[0]))
		}
	}
	known, err := readAgreement(a.settings.get("agreement"))
	if err != nil {
		return d, err
	}
	if _, ok := known.Class(f.class); !ok {
		return d, usage(fmt.Errorf("class %q is not in the catalogue%s", f.class, didYouMean(f.class, classNames())))
	}
	if names := urgencyNames(); !slices.Contains(names, f.urgency) {
		return d, usage(fmt.Errorf("urgency %q is not one of %s", f.urgency, strings.Join(names, ", ")))
	}
	for _, to := range f.to {
		id, err := identity.ParseDeskID(to)
		if err != nil {
			return d, usage(err)
		}
		d.To = append(d.To, id)
	}
	if d.Body, err = a.content(f.body); err != nil || d.Person == "" {
		return d, err
	}
	d.PIN, err = a.pin(f.signer)
	return d, err
}

func (a *app) content(path string) ([]byte, error) {
	if path != "-" {
		return readFile(path, maxBody)
	}
	return a.interruptible(func() ([]byte, error) {
		b, err := io.ReadAll(io.LimitReader(a.In, maxBody))
		if err != nil {
			return nil, fmt.Errorf("failed to read the body: %w", err)
		}
		return b, nil
	})
}

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
