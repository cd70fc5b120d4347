//go:build linux

package system_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"schakel/clients/demo"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// outgoing is a message of a case file before it is sent.
type outgoing struct {
	from   identity.DeskID
	draft  schakel.Draft
	deceit string // what a modified client does to what travels along
}

// sends: [LABEL =] [refused and rejected R17:] DESK sends CLASS [URGENCY] to DESKS[, clause]...
func (p *play) sends(m []string) error {
	label, expected, rule, sender, rest := m[0], m[1], m[2], m[3], m[4]
	o, err := p.compose(sender, rest)
	if err != nil {
		return err
	}
	for _, way := range strings.Split(expected, " and ") {
		switch way {
		case "":
			err = p.arrives(label, o)
		case "refused":
			err = p.refused(rule, o)
		case "rejected":
			err = p.rejected(label, rule, o)
		case "kept":
			err = p.kept(label, rule, o)
		default:
			err = fmt.Errorf("nothing can be %q", way)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *play) compose(sender, text string) (o outgoing, err error) {
	if o.from, err = deskOf(sender); err != nil {
		return o, err
	}
	parts := clauses(text)
	what, to, ok := strings.Cut(parts[0], " to ")
	words := strings.Fields(what)
	if !ok || len(words) == 0 || len(words) > 2 {
		return o, fmt.Errorf("write: sends CLASS [URGENCY] to DESK")
	}
	e, err := protocol.V1().Example(words[0])
	if err != nil {
		return o, err
	}
	o.draft = schakel.Draft{Class: words[0], Urgency: e.Kop.Urgency, Case: p.main}
	if len(words) == 2 {
		o.draft.Urgency = message.Urgency(words[1])
	}
	if o.draft.To, err = desksOf(to); err != nil {
		return o, err
	}
	if protocol.NeedsPerson(words[0]) {
		o.draft.Person, o.draft.PIN = signatory, pin
	}
	var body map[string]any
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return o, err
	}
	for _, c := range parts[1:] {
		if err := p.clause(&o, body, c); err != nil {
			return o, fmt.Errorf("%s: %w", c, err)
		}
	}
	if o.draft.Class == protocol.ClassDecision {
		o.draft.Outcome, _ = body["uitkomst"].(string)
	}
	if o.draft.Body, err = json.Marshal(body); err != nil {
		return o, err
	}
	return o, demo.Attach(background(), p.stage.node(o.from), &o.draft)
}

// clause is one of the conditions behind the desks.
func (p *play) clause(o *outgoing, body map[string]any, text string) error {
	verb, rest, _ := strings.Cut(text, " ")
	switch text {
	case "in a new case":
		o.draft.Case = ""
		return nil
	case "as an exercise":
		o.draft.Exercise = true
		return nil
	case "signed by nobody":
		o.draft.Person, o.draft.PIN = "", ""
		return nil
	case "forged", "bare":
		o.deceit = text
		return nil
	}
	if verb == "with" {
		for _, a := range assignments.FindAllStringSubmatch(rest, -1) {
			if err := set(body, a[1], a[2]); err != nil {
				return err
			}
		}
		return nil
	}
	words := strings.Fields(text)
	named, err := p.message(words[len(words)-1])
	if err != nil {
		return err
	}
	switch strings.Join(words[:len(words)-1], " ") {
	case "answering":
		o.draft.Answers, o.draft.Case = named.Hash, named.Case
		if o.draft.Class == protocol.ClassAcknowledgement {
			body["bevestigt"] = named.ID
		}
	case "in the case of":
		o.draft.Case = named.Case
	case "linking the case of":
		body["andereZaakRef"] = named.Case
	case "about":
		o.draft.RestsOn = append(o.draft.RestsOn, named.Hash)
		body["bericht"] = reference(named)
	case "sharing":
		body["geschiedenis"] = append(listed(body), map[string]any{"bericht": reference(named), "klasse": named.class, "wijze": "ingesloten"})
	case "resting on":
		o.draft.RestsOn = append(o.draft.RestsOn, named.Hash)
		p.rests(body, named)
	default:
		return fmt.Errorf("no such clause")
	}
	return nil
}

// rests writes into the body what classes that rest on something name in it.
func (p *play) rests(body map[string]any, on said) {
	if _, ok := body["afwegingRef"]; ok {
		body["afwegingRef"], body["afwegingHash"] = on.ID, "sha256:"+on.Hash
	}
	if _, ok := body["verificatieRef"]; ok {
		body["verificatieRef"] = on.ID
	}
}

func reference(s said) map[string]any {
	return map[string]any{"berichtId": s.ID, "hash": "sha256:" + s.Hash}
}

// listed is the history of an uitnodiging without what its example made up.
func listed(body map[string]any) []any {
	list, _ := body["geschiedenis"].([]any)
	return slices.DeleteFunc(list, func(v any) bool { return v.(map[string]any)["wijze"] != "ingesloten" })
}

// remember keeps a message under its label.
func (p *play) remember(label string, o outgoing, sent schakel.Sent) said {
	s := said{Sent: sent, from: o.from, to: o.draft.To, class: o.draft.Class, body: o.draft.Body, urgency: o.draft.Urgency}
	p.main = sent.Case
	if !slices.Contains(p.cases, sent.Case) {
		p.cases = append(p.cases, sent.Case)
	}
	if label != "" {
		p.said[label] = s
	}
	return s
}

// send sends when the desks can be reached: a desk that has just started still learns
// the keys of the others.
func (p *play) send(o outgoing) (sent schakel.Sent, err error) {
	waiting := p.wait(func() error {
		sent, err = p.stage.node(o.from).Send(background(), o.draft)
		if errors.Is(err, schakel.ErrNoEpoch) || errors.Is(err, schakel.ErrNoDevice) || errors.Is(err, schakel.ErrUnknownDesk) {
			return err
		}
		return nil
	})
	return sent, errors.Join(waiting, err)
}

// arrives sends, and demands it at every desk, byte for byte and without a flag.
func (p *play) arrives(label string, o outgoing) error {
	sent, err := p.send(o)
	if err != nil {
		return err
	}
	return p.delivered(p.remember(label, o, sent))
}

// delivered waits for a message at its desks; what cannot come now is waited for later.
func (p *play) delivered(s said) error {
	if p.down || slices.ContainsFunc(s.to, func(d identity.DeskID) bool { return p.away[d] }) {
		p.due = append(p.due, s)
	}
	if p.down {
		return nil
	}
	for _, to := range s.to {
		if p.away[to] {
			continue
		}
		l, err := p.shown(s, to)
		switch {
		case err != nil:
			return err
		case !bytes.Equal(l.Body, s.body):
			return fmt.Errorf("%s: the body differs from what was sent", to)
		case slices.ContainsFunc(l.Flags, func(f protocol.Flag) bool { return f.Certainty == protocol.Broken }) && !slices.ContainsFunc(p.due, func(d said) bool { return d.Hash == s.Hash }):
			return fmt.Errorf("%s: flagged %+v", to, l.Flags)
		}
	}
	return nil
}

// shown waits until a desk shows a message.
func (p *play) shown(s said, by identity.DeskID) (l schakel.Letter, err error) {
	return l, p.wait(func() error {
		if l, err = p.stage.node(by).Read(background(), s.Hash); err != nil {
			return fmt.Errorf("%s: %w", by, err)
		}
		return nil
	})
}

// refused demands that an honest client does not seal it.
func (p *play) refused(rule string, o outgoing) error {
	node := p.stage.node(o.from)
	before, err := node.List(background(), schakel.Filter{Box: "sent", Limit: 1000})
	if err != nil {
		return err
	}
	_, err = p.send(o)
	var refusal *protocol.Refusal
	switch { // its own client does not even ask the rule
	case rule == protocol.RuleAbroad && errors.Is(err, schakel.ErrLane), // there is no lane
		rule == protocol.RulePerson && errors.Is(err, schakel.ErrPersonNeeded): // it asks who signs
		return nil
	}
	if !errors.As(err, &refusal) || refusal.Rule != rule {
		return fmt.Errorf("the sender's own client: %v, want a refusal under %s", err, rule)
	}
	if refusal.Reason.NL == "" || refusal.Reason.EN == "" || refusal.Remedy.NL == "" || refusal.Remedy.EN == "" {
		return fmt.Errorf("the refusal says too little: %+v", refusal)
	}
	after, err := node.List(background(), schakel.Filter{Box: "sent", Limit: 1000})
	if err == nil && len(after) != len(before) {
		err = fmt.Errorf("refused, and sent all the same")
	}
	return err
}

// rejected has a modified client send it, and demands that every desk rejects it: the
// sender hears the rule, the desks do not show it, and of what is acute they ring.
func (p *play) rejected(label, rule string, o outgoing) error {
	return p.stage.modified(o.from, o.deceit, func() error {
		sent, err := p.send(o)
		if err != nil {
			return fmt.Errorf("the modified client: %w", err)
		}
		s := p.remember(label, o, sent)
		if err := p.heardBack(s, rule); err != nil {
			return err
		}
		for _, to := range s.to {
			if _, err := p.stage.node(to).Read(background(), s.Hash); !errors.Is(err, schakel.ErrNotFound) {
				return fmt.Errorf("%s shows what it rejected: %v", to, err)
			}
			if s.urgency == message.Acute {
				if err := p.alarmed(s, to, schakel.AlarmRefused); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (p *play) heardBack(s said, rule string) error {
	return p.wait(func() error {
		trace, err := p.stage.node(s.from).Trace(background(), s.Hash)
		if err != nil {
			return err
		}
		for _, r := range trace.Recipients {
			if r.State != schakel.StateRejected || r.Rule != rule {
				return fmt.Errorf("the sender hears of %s: %s %q, want rejected under %s", r.Desk, r.State, r.Rule, rule)
			}
		}
		return nil
	})
}

func (p *play) alarmed(s said, at identity.DeskID, kind schakel.AlarmKind) error {
	return p.wait(func() error {
		all, err := p.stage.node(at).Alarms(background())
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(a schakel.Alarm) bool { return a.Kind == kind && strings.HasPrefix(a.Subject, s.Hash) }) {
			return fmt.Errorf("%s has no alarm %s", at, kind)
		}
		return nil
	})
}

// kept has a modified client send it, and demands that every desk keeps it, with the
// flag and an alarm: to lose it would do more harm.
func (p *play) kept(label, rule string, o outgoing) error {
	return p.stage.modified(o.from, o.deceit, func() error {
		sent, err := p.send(o)
		if err != nil {
			return fmt.Errorf("the modified client: %w", err)
		}
		s := p.remember(label, o, sent)
		for _, to := range s.to {
			if err := p.carries(s, rule, to); err != nil {
				return err
			}
			if rule == "R19" {
				continue // overtaken on the way: that alarms nobody
			}
			if err := p.alarmed(s, to, schakel.AlarmRule); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *play) carries(s said, rule string, at identity.DeskID) error {
	l, err := p.shown(s, at)
	if err == nil && !slices.ContainsFunc(l.Flags, func(f protocol.Flag) bool { return f.Rule == rule }) {
		err = fmt.Errorf("%s: flags %+v, want %s", at, l.Flags, rule)
	}
	return err
}

// takes: a named person acknowledges a message as in-behandeling.
func (p *play) takes(m []string) error { return p.acknowledges(m, protocol.StatusTaken) }

// returns: a named person says that it came to the wrong desk.
func (p *play) returns(m []string) error { return p.acknowledges(m, protocol.StatusWrongRecipient) }

func (p *play) acknowledges(m []string, status string) error {
	by, err := deskOf(m[1])
	if err != nil {
		return err
	}
	s, err := p.message(m[2])
	if err != nil {
		return err
	}
	node := p.stage.node(by)
	sent, err := node.Acknowledge(background(), s.Hash, schakel.Acknowledgement{Person: signatory, PIN: pin, Status: status})
	if err != nil {
		return err
	}
	return p.sentBy(m[0], by, sent)
}

// forwards: the sender of a returned message sends it on to the right desk.
func (p *play) forwards(m []string) error {
	by, err := deskOf(m[1])
	if err != nil {
		return err
	}
	s, err := p.message(m[2])
	if err != nil {
		return err
	}
	sent, err := p.stage.node(by).Forward(background(), s.Hash, schakel.Forwarding{})
	if err != nil {
		return err
	}
	return p.sentBy(m[0], by, sent)
}

// sentBy remembers what a desk's own program made.
func (p *play) sentBy(label string, by identity.DeskID, sent schakel.Sent) error {
	l, err := p.stage.node(by).Read(background(), sent.Hash)
	if err != nil {
		return err
	}
	return p.delivered(p.remember(label, outgoing{from: by,
		draft: schakel.Draft{Class: l.Class, Urgency: l.Urgency, To: l.To, Body: l.Body}}, sent))
}

// comesAndGoes: a desk's device stops, or starts and gets what waited for it.
func (p *play) comesAndGoes(m []string) error {
	d, err := deskOf(m[0])
	if err != nil {
		return err
	}
	if m[1] == "leaves" {
		p.stage.leave(d)
		p.away[d] = true
		return nil
	}
	p.stage.comeBack(d)
	delete(p.away, d)
	return p.catchUp()
}

// relayRuns: nobody hears anybody while the relay is down.
func (p *play) relayRuns(m []string) error {
	p.down = m[0] == "stops"
	p.stage.relay(!p.down)
	if p.down {
		return nil
	}
	return p.catchUp()
}

// catchUp waits for what could not be delivered until now.
func (p *play) catchUp() error {
	due := p.due
	p.due = nil
	for _, s := range due {
		for _, to := range s.to {
			if p.away[to] {
				p.due = append(p.due, s)
			} else if _, err := p.shown(s, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// restore leaves everything running for the next case, whatever became of this one.
func (p *play) restore() {
	if p.down {
		p.stage.relay(true)
	}
	for d := range p.away {
		p.stage.comeBack(d)
	}
}

// clock: the time in Amsterdam, for everybody.
func (p *play) clock(m []string) error {
	to, err := amsterdam(m[0])
	if err != nil {
		return err
	}
	if err := p.stage.move(to); err != nil {
		return err
	}
	return p.catchUp()
}

func amsterdam(text string) (time.Time, error) {
	zone, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		return time.Time{}, err
	}
	return time.ParseInLocation("2006-01-02 15:04", text, zone)
}
