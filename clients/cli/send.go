package cli

import (
	"cmp"
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
	class, urgency, zaak, answers, outcome, body, fromFile string
	to, restsOn, attach                                    []string
	signer                                                 signer
	draft, version                                         string
	saved                                                  *schakel.SavedDraft // that draft names
	called                                                 string
	noWait, exercise, english, yes                         bool
}

// signer is the person who signs, and where the PIN comes from.
type signer struct {
	person, pinFile string
	asked           string // the PIN, where it was needed before
}

func (a *app) sendCommand() *cobra.Command {
	var f sendFlags
	c := &cobra.Command{
		Use: "send", Short: "Send a case message",
		Long: "Checks, signs and seals a message and puts it on disk; then waits a little for the relay.\n" +
			"Exit code 0: the relay has it on its disk. 75: it is safe here and travels as soon as the\n" +
			"relay is reached. 5: a rule of the protocol refuses it, and nothing was sent.\n\n" +
			"On a terminal it asks for what is missing, with the form of the class, and shows whom the\n" +
			"message goes to before it is sent. --from-file takes the values of the form, in TOML or JSON,\n" +
			"or a finished body. What the message must rest on and bring along, Schakel adds and shows.\n\n" +
			"--draft sends what `schakel draft save` kept; other flags go before what it says. It is off the lists\n" +
			"of all devices once it is sent, and stays where a rule refuses it or you say no.\n\n" +
			"--attach takes a file along, of a class that carries files. The message leaves at once and its files\n" +
			"follow: who gets it sees that they are coming.\n\n" +
			"An acute message never replaces a telephone call: call as well.",
		Example: "  schakel send --class melding --urgency acuut --to vt20/crisis --to politie-re03/oc --from-file melding.toml\n" +
			"  schakel send --class signaal\n" +
			"  schakel send --draft 019ab2c0 --person \"P. Iket\" --pin-file pin",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.send(c.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.class, "class", "", "class of the message, such as melding")
	flags.StringVar(&f.urgency, "urgency", "", "acuut, spoed, regulier or ter-kennisname")
	flags.StringVar(&f.zaak, "case", "", "case (zaak) it belongs to; a new one when left out")
	flags.StringArrayVar(&f.to, "to", nil, "desk to send to: organisation/desk (repeat for several); an answer goes to who asked")
	flags.StringVar(&f.answers, "answers", "", "message that this one answers")
	flags.StringArrayVar(&f.restsOn, "rests-on", nil, "message that this one rests on (repeat for several)")
	flags.StringVar(&f.outcome, "outcome", "", "outcome of a besluit (default what its form says)")
	flags.StringVar(&f.body, "body", "", "file with the body in JSON, or - for standard input")
	flags.StringVar(&f.fromFile, "from-file", "", "file with the values of the form in TOML or JSON, or - for standard input")
	flags.StringArrayVar(&f.attach, "attach", nil, "file that goes along (repeat for several); the message describes it by itself")
	flags.StringVar(&f.draft, "draft", "", "saved draft to send: its identifier, or how that begins")
	flags.StringVar(&f.version, "draft-version", "", "version of that draft; needed where there are several")
	flags.BoolVar(&f.exercise, "exercise", false, "begin an exercise: every message of its case is marked as one")
	flags.StringVar(&f.called, "called", "", "telephone number that you called: sends what is acute, with --person, although the register is too old")
	flags.BoolVar(&f.english, "english", false, "ask in English instead of Dutch")
	flags.BoolVar(&f.yes, "yes", false, "send without asking whether the addressed desks are right")
	flags.BoolVar(&f.noWait, "no-wait", false, "do not wait for the relay: exit 75 at once")
	f.signer.flags(c)
	suggest(c, map[string]completer{"class": words(classNames()), "urgency": words(urgencyNames()), "to": a.deskNames(),
		"person": a.personNames(), "draft": a.draftNames(), "answers": a.messageNames(schakel.Filter{}), "rests-on": a.messageNames(schakel.Filter{Box: "all"})})
	return c
}

func (s *signer) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.person, "person", "", "who signs: name or identifier, as in schakel person list")
	c.Flags().StringVar(&s.pinFile, "pin-file", "", "file with that person's PIN, or - for standard input")
}

func (a *app) pin(s signer) (string, error) {
	if s.asked != "" {
		return s.asked, nil
	}
	return a.read(secret{what: "PIN of " + inertLine(s.person), file: s.pinFile, flag: "pin-file", credential: "schakel-pin"})
}

func (a *app) send(ctx context.Context, f sendFlags) error {
	if f.draft != "" {
		if f.signer.person == "" {
			return advise(usage(errors.New("--draft needs --person")), "colleagues must see who sent it: see `schakel person list`")
		}
		return a.with(ctx, !f.noWait, func(s *session) error { return a.sendSaved(ctx, s, f) })
	}
	d, known, err := a.ready(f)
	if err != nil {
		return err
	}
	return a.with(ctx, !f.noWait, func(s *session) error { return a.sendIn(ctx, s, f, d, known) })
}

// sendSaved sends what a draft says, where a flag does not say otherwise.
func (a *app) sendSaved(ctx context.Context, s *session, f sendFlags) error {
	saved, err := savedDraft(ctx, s, f.draft, f.version, schakel.By{})
	if errors.Is(err, schakel.ErrNotFound) && f.signer.person != "" { // perhaps of a restricted case
		var by schakel.By
		if by, err = a.maybeBy(f.signer); err == nil {
			f.signer.asked = by.PIN
			saved, err = savedDraft(ctx, s, f.draft, f.version, by)
		}
	}
	if err != nil {
		return err
	}
	f.take(saved)
	d, known, err := a.ready(f)
	if err != nil {
		return err
	}
	d.Saved = &schakel.SavedVersion{ID: saved.ID, Version: saved.Version}
	return a.sendIn(ctx, s, f, d, known)
}

// take fills in from a draft what no flag says.
func (f *sendFlags) take(saved schakel.SavedDraft) {
	d := saved.Draft
	f.saved, f.exercise = &saved, f.exercise || d.Exercise
	for _, x := range []struct {
		flag *string
		said string
	}{{&f.class, d.Class}, {&f.urgency, string(d.Urgency)}, {&f.zaak, d.Case}, {&f.answers, d.Answers}, {&f.outcome, d.Outcome}} {
		*x.flag = cmp.Or(*x.flag, x.said)
	}
	if len(f.restsOn) == 0 {
		f.restsOn = d.RestsOn
	}
	if len(f.to) == 0 {
		for _, id := range d.To {
			f.to = append(f.to, string(id))
		}
	}
}

// ready is the draft that the flags give, and the PIN where nobody can be asked later.
func (a *app) ready(f sendFlags) (schakel.Draft, *protocol.Catalogue, error) {
	d, known, err := a.draft(f)
	if err == nil && f.signer.person != "" && !a.Asks { // where somebody can be asked, the PIN comes last
		d.PIN, err = a.pin(f.signer)
	}
	return d, known, err
}

func (a *app) sendIn(ctx context.Context, s *session, f sendFlags, d schakel.Draft, known *protocol.Catalogue) error {
	w := &sending{asker: a.questioner(f.english), session: s, catalogue: known, flags: f, draft: d}
	if err := w.write(ctx); err != nil {
		w.detach(ctx)
		return suggestDesk(ctx, s, w.draft.To, err)
	}
	sent, err := s.Send(ctx, w.draft)
	if err != nil {
		w.detach(ctx)
		return suggestDesk(ctx, s, w.draft.To, err)
	}
	if err := a.follow(ctx, s, sent, f.noWait); err != nil {
		return err
	}
	return a.followFiles(ctx, s, sent, w.files, f.noWait)
}

// draft reads and checks what needs no store. What is missing is an error, unless
// somebody can be asked.
func (a *app) draft(f sendFlags) (schakel.Draft, *protocol.Catalogue, error) {
	d := schakel.Draft{Class: f.class, Urgency: message.Urgency(f.urgency), Case: f.zaak, Answers: f.answers,
		RestsOn: f.restsOn, Outcome: f.outcome, Person: f.signer.person, Exercise: f.exercise, Override: overriding(f.called)}
	if f.saved != nil {
		d.Attachments = f.saved.Draft.Attachments
	}
	if f.body != "" && f.fromFile != "" {
		return d, nil, usage(errors.New("--body and --from-file: give one of them"))
	}
	for _, required := range [][2]string{{"class", f.class}, {"urgency", f.urgency}, {"to", strings.Join(f.to, "") + f.answers}} {
		if required[1] == "" && !a.Asks {
			return d, nil, usage(fmt.Errorf("--%s is missing", required[0]))
		}
	}
	known, err := readAgreement(a.settings.get("agreement"))
	if err != nil {
		return d, nil, err
	}
	if _, ok := known.Class(f.class); !ok && f.class != "" {
		return d, known, usage(fmt.Errorf("class %q is not in the catalogue%s", f.class, didYouMean(f.class, classNames())))
	}
	if names := urgencyNames(); !slices.Contains(names, f.urgency) && f.urgency != "" {
		return d, known, usage(fmt.Errorf("urgency %q is not one of %s", f.urgency, strings.Join(names, ", ")))
	}
	for _, to := range f.to {
		id, err := identity.ParseDeskID(to)
		if err != nil {
			return d, known, usage(err)
		}
		d.To = append(d.To, id)
	}
	switch {
	case f.body != "":
		d.Body, err = a.content(f.body)
	case f.fromFile != "":
	case f.saved != nil && len(f.saved.Draft.Body) > 0:
		d.Body = f.saved.Draft.Body
	case !a.Asks:
		err = a.nothingToSend(known, f.class)
	}
	return d, known, err
}

// nothingToSend names the fields that the class needs.
func (a *app) nothingToSend(c *protocol.Catalogue, class string) error {
	form, err := c.Form(class)
	if err != nil {
		return err
	}
	_, err = bodyOf(c, form, protocol.Values{})
	return fmt.Errorf("--body or --from-file is missing: %w", err)
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
