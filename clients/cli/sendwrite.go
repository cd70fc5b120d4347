package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/writing"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// errNotSent ends a command whose person said no on the check page.
var errNotSent = fmt.Errorf("%w: not sent, as you said", errRefused)

// sending is a message while it is being made ready: what was given, what Schakel fills
// in, what a person is asked for, and the page to check before it goes.
type sending struct {
	asker
	session   *session
	catalogue *protocol.Catalogue
	flags     sendFlags
	draft     schakel.Draft

	status schakel.Status
	desks  []schakel.Desk
	zaak   *schakel.Overview  // of the case that it belongs to, where that is known
	places []string           // municipalities in the values
	files  []schakel.Attached // sealed here, to go along
	signs  schakel.Person     // who signs, where somebody does and is known here
}

func (w *sending) write(ctx context.Context) error {
	for _, step := range []func(context.Context) error{w.look, w.chooseKind, w.rest, w.choosePerson, w.attach, w.fillIn, w.chooseDesks, w.check} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// look reads what the register and the case say.
func (w *sending) look(ctx context.Context) (err error) {
	if w.status, err = w.session.Status(ctx); err != nil {
		return err
	}
	if w.desks, err = w.session.Directory(ctx); err != nil {
		return err
	}
	for _, ref := range append([]string{w.draft.Case, w.draft.Answers}, w.draft.RestsOn...) {
		if ref == "" || w.zaak != nil {
			continue
		}
		o, err := w.session.Overview(ctx, ref)
		if errors.Is(err, schakel.ErrRestricted) && w.draft.Person != "" {
			o, err = w.lookAs(ctx, ref)
		}
		switch {
		case err == nil:
			w.zaak = &o
		case !errors.Is(err, schakel.ErrNotFound):
			return err
		}
	}
	if w.zaak != nil && w.draft.Case == "" {
		w.draft.Case = w.zaak.Ref.String() // what a message rests on is of its own case
	}
	return nil
}

// lookAs looks at a restricted case as the person who will sign.
func (w *sending) lookAs(ctx context.Context, ref string) (o schakel.Overview, err error) {
	if w.draft.PIN == "" {
		if w.draft.PIN, err = w.pin(signer{w.draft.Person, w.flags.signer.pinFile, w.flags.signer.asked}); err != nil {
			return o, err
		}
	}
	return w.session.Overview(ctx, ref, schakel.By{Person: w.draft.Person, PIN: w.draft.PIN})
}

// chooseKind asks for the class and the urgency, of those that this desk can send.
func (w *sending) chooseKind(context.Context) (err error) {
	if w.draft.Class == "" {
		var choices []choice
		for _, c := range writing.Classes(w.catalogue, w.status.Role) {
			if form, err := w.catalogue.Form(c.Name); err == nil {
				choices = append(choices, choice{c.Name, w.say(form.Label) + ": " + w.say(form.Help), ""})
			}
		}
		if w.draft.Class, err = w.number(w.say(text("Wat wilt u sturen? Nummer:", "What do you want to send? Number:")), choices, true); err != nil {
			return err
		}
	}
	if w.draft.Urgency == "" {
		class, _ := w.catalogue.Class(w.draft.Class)
		var choices []choice
		for _, u := range class.Urgencies {
			choices = append(choices, choice{string(u), string(u), ""})
		}
		picked, err := w.number(w.say(text("Hoe dringend is het? Nummer:", "How urgent is it? Number:")), choices, true)
		if err != nil {
			return err
		}
		w.draft.Urgency = message.Urgency(picked)
	}
	w.callFirst()
	return nil
}

// callFirst says before anything is filled in or sent that an acute matter is a call.
func (w *sending) callFirst() {
	if w.draft.Urgency != message.Acute {
		return
	}
	w.tell("%s", w.in(red, "Acute: call 112 in danger, and telephone the desk as well. A message never replaces the call."))
	if w.Asks {
		w.tell("%s", w.in(red, w.say(text("ACUUT. Is er nu gevaar? Bel eerst 112. Bel ook het bureau waaraan u schrijft.",
			"ACUTE. Is there danger now? Call 112 first. Call the desk that you write to as well."))))
	}
}

// rest finds what a message of this class rests on, where nobody said it and the case
// leaves one answer: the last weighing of this organisation that says to report, the
// last verification.
func (w *sending) rest(context.Context) error {
	if w.zaak == nil || len(w.draft.RestsOn) > 0 {
		return nil
	}
	w.draft.RestsOn = writing.RestsOn(*w.zaak, w.draft.Class, w.status.Desk)
	return nil
}

// known are the values that Schakel knows.
func (w *sending) known(form protocol.Form) protocol.Values {
	var zaak schakel.Overview
	if w.zaak != nil {
		zaak = *w.zaak
	}
	return writing.Known(form, w.draft, zaak, w.signs)
}

// fillIn makes the body: from the file, and from the person where one can be asked.
func (w *sending) fillIn(context.Context) error {
	values, err := w.begun()
	if err != nil || w.draft.Body != nil {
		return err
	}
	if w.flags.fromFile != "" {
		v, body, err := w.fromFile(w.catalogue, w.draft.Class, w.flags.fromFile)
		if err != nil || body != nil {
			w.draft.Body = body
			return err
		}
		values = v
	}
	form, err := w.catalogue.Form(w.draft.Class)
	if err != nil {
		return err
	}
	for name, v := range w.known(form) {
		if !protocol.Given(values[name]) {
			values[name] = v
		}
	}
	values = w.described(values)
	if w.Asks {
		w.draft.Body, err = w.fill(w.catalogue, form, values)
	} else {
		w.draft.Body, err = bodyOf(w.catalogue, form, values)
	}
	w.draft.Outcome = cmp.Or(w.draft.Outcome, writing.Outcome(w.draft.Class, values))
	w.places = writing.Places(values)
	return err
}

// begun is what a saved draft says already, where it is not finished and somebody can be
// asked for the rest.
func (w *sending) begun() (protocol.Values, error) {
	if w.draft.Body == nil || w.draft.Saved == nil || !w.Asks || w.catalogue.Fits(w.draft.Class, w.draft.Body) == nil {
		return protocol.Values{}, nil
	}
	values, err := protocol.ParseValues(w.draft.Body)
	if err != nil {
		return nil, advise(usage(fmt.Errorf("the body of this draft is no JSON: %w", err)), "give the whole body with --body, or the values with --from-file")
	}
	w.draft.Body = nil
	return values, nil
}

// chooseDesks asks whom to send to, of the desks that may get this class from here. The
// desks that serve a municipality in the message stand first and are marked.
func (w *sending) chooseDesks(context.Context) error {
	if len(w.draft.To) > 0 || w.draft.Answers != "" {
		return nil
	}
	class, _ := w.catalogue.Class(w.draft.Class)
	var choices []choice
	for _, d := range writing.Addressable(class, w.draft.Urgency, w.status, w.desks, w.places) {
		label := w.deskLine(d)
		if writing.Serves(d, w.places) {
			label += "  " + w.say(text("<- hoort bij de gemeente", "<- serves the municipality"))
		}
		choices = append(choices, choice{string(d.ID), label, ""})
	}
	if len(choices) == 0 {
		return advise(fmt.Errorf("%w: no desk of the register may get a %s from here", errRefused, w.draft.Class), "see `schakel desks`, or telephone the knooppunt")
	}
	w.tell("")
	picked, err := w.numbers(w.say(text("Aan wie? Nummers, met komma's ertussen:", "To whom? Numbers, with commas between them:")), choices, true)
	for _, p := range picked {
		w.draft.To = append(w.draft.To, identity.DeskID(p))
	}
	return err
}

func (w *sending) deskLine(d schakel.Desk) string {
	return fmt.Sprintf("%s, %s (%s)", inertLine(d.Org), inertLine(strings.TrimSpace(string(d.Role)+" "+d.Region)), inertLine(string(d.ID)))
}

// choosePerson asks who signs, where the class asks for a person.
func (w *sending) choosePerson(ctx context.Context) error {
	persons, err := w.session.Persons(ctx)
	if err != nil {
		return err
	}
	class, _ := w.catalogue.Class(w.draft.Class)
	needed := class.Person || protocol.NeedsPerson(w.draft.Class)
	if w.draft.Person == "" && w.Asks && needed && len(persons) > 0 {
		var choices []choice
		for _, p := range persons {
			choices = append(choices, choice{p.ID.String(), inertLine(p.Name + ", " + p.Function), ""})
		}
		w.tell("")
		if w.draft.Person, err = w.number(w.say(text("Wie tekent? Nummer:", "Who signs? Number:")), choices, true); err != nil {
			return err
		}
	}
	for _, p := range persons {
		if p.ID.String() == w.draft.Person || strings.EqualFold(p.Name, w.draft.Person) {
			w.signs = p
		}
	}
	return nil
}
