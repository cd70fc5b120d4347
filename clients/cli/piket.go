package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/desk"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
)

func (a *app) piketCommand() *cobra.Command {
	var english bool
	c := &cobra.Command{
		Use: "piket", Short: "For the officer on call: what waits, read it, acknowledge it",
		Long: "Opens this device with its passphrase where it is locked, shows what waits for an\n" +
			"acknowledgement, the acute first, and takes it by number: read, PIN, done. Where the relay\n" +
			"cannot be reached it shows whom to telephone. It works with and without a daemon, and leaves a\n" +
			"light device locked.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.piket(c.Context(), english) },
	}
	c.Flags().BoolVar(&english, "english", false, "speak English")
	return c
}

// watch is an officer's turn at the terminal. It ends like that of a daemon that locks:
// when nobody answers a question, whichever it is, for as long as lock-after says.
type watch struct {
	asker
	*session
	idle *time.Timer
}

// awake notes that the officer did something.
func (w watch) awake() { w.idle.Reset(w.settings.duration("lock-after")) }

func (a *app) piket(ctx context.Context, english bool) error {
	q := asker{a, spoken(english)}
	if !a.Asks {
		return advise(usage(errors.New("`schakel piket` asks, and there is nobody at a terminal")), "use `schakel unlock`, `inbox --to-ack`, `read` and `ack`")
	}
	light, err := a.openDoor(ctx)
	if err != nil {
		return err
	}
	watched, leave := context.WithCancel(ctx)
	defer leave()
	err = a.with(watched, true, func(s *session) error {
		idle := time.AfterFunc(a.settings.duration("lock-after"), leave)
		defer idle.Stop()
		a.done = watched.Done() // gives up whatever question is open
		return watch{q, s, idle}.run(watched)
	})
	if watched.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: nobody typed anything for %s", desk.ErrLocked, a.settings.get("lock-after"))
	}
	if light {
		return errors.Join(err, a.lock(context.WithoutCancel(ctx)))
	}
	return err
}

// openDoor opens a locked daemon, and reports whether there is one that locks. Without a
// daemon the store is opened in this process, and shut with it.
func (a *app) openDoor(ctx context.Context) (light bool, err error) {
	client, err := a.dial(ctx)
	if errors.Is(err, desk.ErrNoDaemon) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer client.Close()
	state, err := client.LockState(ctx)
	switch {
	case errors.Is(err, desk.ErrNoLock):
		return false, nil
	case err != nil || !state.Locked:
		return true, err
	}
	phrase, err := a.officersPhrase(false)
	if err == nil {
		_, err = client.Unlock(ctx, phrase)
	}
	return true, err
}

// run shows what waits until the officer is done.
func (w watch) run(ctx context.Context) error {
	w.tell("%s", w.say(text("Even kijken bij de relay...", "Looking at the relay...")))
	status, err := w.settled(ctx, w.session)
	if err != nil {
		return err
	}
	if !status.Connected {
		if err := w.outage(ctx, status); err != nil {
			return err
		}
	}
	for {
		waiting, err := w.waiting(ctx, status.Connected)
		if err != nil {
			return err
		}
		w.show(waiting)
		typed, err := w.line(w.say(text("Nummer = lezen, Enter = opnieuw kijken, q = klaar:", "Number = read, Enter = look again, q = done:")))
		w.awake()
		if err != nil || typed == "q" {
			return err
		}
		i, err := strconv.Atoi(typed)
		if err != nil || i < 1 || i > len(waiting) {
			status.Connected = false // nothing to wait for: whatever comes is shown at once
			continue
		}
		if err := w.handle(ctx, waiting[i-1]); err != nil {
			return err
		}
	}
}

// waiting lists what waits for an acknowledgement. With patient set, over a connection
// that just stands, it gives what waited at the relay as long to come as a command waits
// for it: an officer who was called would else be told that nothing is there.
func (w watch) waiting(ctx context.Context, patient bool) ([]schakel.Summary, error) {
	for deadline := time.Now().Add(w.settings.duration("wait")); ; {
		all, err := w.List(ctx, schakel.Filter{ToAck: true})
		if err != nil || len(all) > 0 || !patient || time.Now().After(deadline) {
			return all, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (w watch) show(waiting []schakel.Summary) {
	if len(waiting) == 0 {
		w.printf("\n%s\n", w.in(green, w.say(text("Er wacht niets op een bevestiging.", "Nothing waits for an acknowledgement."))))
		return
	}
	rows := [][]cell{}
	for i, m := range waiting {
		rows = append(rows, []cell{{strconv.Itoa(i + 1), bold}, {inertLine(string(m.Urgency)), urgencyColour(m.Urgency)}, classOf(m),
			{inertLine(others(m)), plain}, {w.when(m.Created), plain}, w.state(m)})
	}
	w.printf("\n")
	w.table(rows)
}

// outage says that nothing comes or goes, and whom to telephone.
func (w watch) outage(ctx context.Context, status schakel.Status) error {
	w.printf("%s\n", w.in(red, w.say(text("De relay is niet bereikbaar: wat u hier ziet kan oud zijn, en niets komt aan of gaat weg. BEL.",
		"The relay cannot be reached: what you see here may be old, and nothing comes or goes. TELEPHONE."))))
	if status.LastError != "" {
		w.printf("  %s\n", inertLine(status.LastError))
	}
	desks, err := w.Directory(ctx)
	for _, d := range desks {
		w.printf("  %-16s %s (%s)\n", inertLine(orDash(d.Telephone)), inertLine(d.Org), inertLine(string(d.ID)))
	}
	w.printf("  %s\n", w.say(text("De hele uitvalkaart: schakel card", "The whole outage card: schakel card")))
	return err
}

// letter shows a message. One of a restricted case can be taken by an officer who may not
// read it: somebody who may is telephoned then.
func (w watch) letter(ctx context.Context, m schakel.Summary) error {
	l, err := w.Read(ctx, m.Hash)
	if errors.Is(err, schakel.ErrRestricted) {
		w.tell("\n%s", w.in(yellow, screen{w.app, w.say}.restrictedTo(m.Restricted)))
		w.tell("%s", w.say(text("U kunt dit bericht niet lezen, wel bevestigen. Bel daarna een van hen.",
			"You cannot read this message, and can acknowledge it. Telephone one of them then.")))
		return nil
	}
	if err != nil {
		return err
	}
	return w.showLetter(l, w.replacedIn(ctx, w.session, l, schakel.By{}))
}

// handle shows one message and takes it, if the officer says so.
func (w watch) handle(ctx context.Context, m schakel.Summary) error {
	if err := w.letter(ctx, m); err != nil {
		return err
	}
	p, err := w.who(ctx)
	w.awake()
	if err != nil || p.Name == "" {
		return err
	}
	const tries = 3
	for range tries {
		pin, err := w.read(secret{what: w.say(text("pincode van ", "PIN of ")) + inertLine(p.Name), flag: "pin-file"})
		w.awake()
		if err != nil {
			return err
		}
		sent, err := w.Acknowledge(ctx, m.Hash, schakel.Acknowledgement{Person: p.ID.String(), PIN: pin})
		switch {
		case err == nil && sent.Confirmed:
			w.printf("%s\n", w.in(green, fmt.Sprintf(w.say(text("Bevestigd: ook %s heeft het.", "Confirmed: %s has it too.")), inertLine(p.Name))))
			return nil
		case err == nil:
			return w.taken(ctx, m, p, sent)
		case errors.Is(err, schakel.ErrAcknowledged):
			w.tell("%s", w.say(text("Een collega was u voor: het is al bevestigd.", "A colleague was before you: it is acknowledged already.")))
			return nil
		case !errors.Is(err, schakel.ErrPIN):
			return err
		}
		w.tell("%s", w.in(red, w.say(text("Verkeerde pincode.", "Wrong PIN."))))
	}
	return nil
}

// who asks which person of the desk takes it; nobody where the officer passes it over.
func (w watch) who(ctx context.Context) (schakel.Person, error) {
	persons, err := w.Persons(ctx)
	if err != nil {
		return schakel.Person{}, err
	}
	if len(persons) == 0 {
		return schakel.Person{}, fmt.Errorf("%w: nobody can sign here yet; the office adds persons, and they come with the connection", schakel.ErrUnknownPerson)
	}
	var choices []choice
	for i, p := range persons {
		choices = append(choices, choice{value: strconv.Itoa(i), label: inertLine(p.Name)})
	}
	w.tell("\n%s", w.say(text("Wie bevestigt, en heeft het vanaf nu?", "Who acknowledges, and has it from now on?")))
	picked, err := w.number(w.say(text("Nummer (Enter = niemand, terug):", "Number (Enter = nobody, back):")), choices, false)
	if err != nil || picked == "" {
		return schakel.Person{}, err
	}
	i, err := strconv.Atoi(picked)
	return persons[i], err
}

// taken says how far the acknowledgement came. One that is not at the relay stops no
// ladder: the officer must hear that while still awake.
func (w watch) taken(ctx context.Context, m schakel.Summary, p schakel.Person, sent schakel.Sent) error {
	_, err := w.awaitRelay(ctx, w.session, sent, false)
	switch {
	case err == nil:
		w.printf("%s\n", w.in(green, fmt.Sprintf(w.say(text("Bevestigd: %s ziet dat %s het heeft.", "Acknowledged: %s sees that %s has it.")),
			inertLine(string(m.From)), inertLine(p.Name))))
		return nil
	case errors.Is(err, errQueued):
		w.printf("%s\n", w.in(red, w.say(protocol.Text{NL: "Getekend, maar nog niet bij de relay: de afzender weet het niet. BEL.",
			EN: "Signed, but not yet at the relay: the sender does not know. TELEPHONE."})))
		desks, err := w.Directory(ctx)
		for _, d := range desks {
			if d.ID == m.From {
				w.printf("  %s %s\n", inertLine(orDash(d.Telephone)), inertLine(d.Org))
			}
		}
		return err
	}
	return err
}
