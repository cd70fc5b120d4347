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

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// What a case file says of the state, each desk is asked for itself, until it says so.

// states asks each of the desks what it makes of a case, until all say what is true.
func (p *play) states(ref, desks string, holds func(schakel.Overview) error) error {
	where, err := desksOf(desks)
	if err != nil {
		return err
	}
	for _, d := range where {
		if err := p.wait(func() error {
			k, err := p.stage.node(d).Overview(background(), ref)
			if err == nil {
				err = holds(k)
			}
			return err
		}); err != nil {
			return fmt.Errorf("%s: %w", d, err)
		}
	}
	return nil
}

// of is states of the case of a message.
func (p *play) of(label, desks string, holds func(schakel.Overview, said) error) error {
	s, err := p.message(label)
	if err != nil {
		return err
	}
	return p.states(s.Case, desks, func(k schakel.Overview) error { return holds(k, s) })
}

func is(ref message.Ref, s said) bool { return ref.Hash.String() == s.Hash }

// regie: who leads the case, and in which term; unproved where the desk lacks its beginning.
func (p *play) regie(m []string) error {
	holder := identity.DeskID("")
	if m[0] != "nobody" {
		var err error
		if holder, err = deskOf(m[0]); err != nil {
			return err
		}
	}
	return p.states(p.main, m[2], func(k schakel.Overview) error {
		lead, _ := k.Lead()
		term := "term " + fmt.Sprint(lead.Number)
		if lead.Number == 0 {
			term = "unproved"
		}
		if lead.Holder != holder || m[1] != "" && m[1] != term {
			return fmt.Errorf("the regie is with %q, %s", lead.Holder, term)
		}
		return nil
	})
}

// offer: open, accepted, refused or withdrawn.
func (p *play) offer(m []string) error {
	state, ok := map[string]protocol.OfferState{"open": protocol.OfferOpen, "accepted": protocol.OfferAccepted,
		"refused": protocol.OfferRefused, "withdrawn": protocol.OfferWithdrawn}[m[1]]
	if !ok {
		return fmt.Errorf("no state %q", m[1])
	}
	return p.of(m[0], m[2], func(k schakel.Overview, s said) error {
		if !slices.ContainsFunc(k.Offers, func(o protocol.Offer) bool { return is(o.Message, s) && o.State == state }) {
			return fmt.Errorf("offers: %+v", k.Offers)
		}
		return nil
	})
}

// unsaid: every addressed desk rejected it, so that it is no part of the case, not even
// at its sender, who can still read it.
func (p *play) unsaid(m []string) error {
	return p.of(m[0], m[1], func(k schakel.Overview, s said) error {
		shown := slices.ContainsFunc(k.Messages, func(x schakel.Moment) bool { return is(x.Ref, s) && x.Unsaid })
		if !shown || !slices.ContainsFunc(k.Unsaid, func(r message.Ref) bool { return is(r, s) }) {
			return fmt.Errorf("said to nobody: %v", k.Unsaid)
		}
		if slices.ContainsFunc(k.Offers, func(o protocol.Offer) bool { return is(o.Message, s) }) {
			return fmt.Errorf("and an offer all the same: %+v", k.Offers)
		}
		return nil
	})
}

// duty finds what a desk has to do for a message.
func duty(k schakel.Overview, owes identity.DeskID, what string, s said) (o protocol.Obligation, ok bool) {
	i := slices.IndexFunc(k.Obligations, func(o protocol.Obligation) bool {
		return o.Owes == owes && string(o.Duty) == what && is(o.Since, s)
	})
	if i < 0 {
		return o, false
	}
	return k.Obligations[i], true
}

// owes: DESK owes DUTY for MESSAGE[, within PT1H | , until DATE TIME], at DESKS
func (p *play) owes(m []string) error {
	who, err := deskOf(m[0])
	if err != nil {
		return err
	}
	return p.of(m[2], m[5], func(k schakel.Overview, s said) error {
		o, ok := duty(k, who, m[1], s)
		if !ok || !o.Open() {
			return fmt.Errorf("not owed: %+v", k.Obligations)
		}
		due, err := p.deadline(k, s, m[3], m[4])
		if err == nil && !due.IsZero() && !o.Due.Equal(due) {
			err = fmt.Errorf("due %s, want %s", o.Due, due)
		}
		return err
	})
}

// deadline is the moment that a line names: so long after the message, or as written.
func (p *play) deadline(k schakel.Overview, s said, within, until string) (time.Time, error) {
	switch {
	case until != "":
		return amsterdam(until)
	case within == "":
		return time.Time{}, nil
	}
	term, err := protocol.ParseTerm(within)
	i := slices.IndexFunc(k.Messages, func(m schakel.Moment) bool { return is(m.Ref, s) })
	if err != nil || i < 0 {
		return time.Time{}, errors.Join(err, fmt.Errorf("%s is not here", s.Hash))
	}
	return term.End(k.Messages[i].Created, protocol.V1().Calendar()), nil
}

func (p *play) owesNo(m []string) error {
	who, err := deskOf(m[0])
	if err != nil {
		return err
	}
	return p.of(m[2], m[3], func(k schakel.Overview, s said) error {
		if o, ok := duty(k, who, m[1], s); ok && o.Open() {
			return fmt.Errorf("still owed: %+v", o)
		}
		return nil
	})
}

// did: DESK did DUTY for MESSAGE with MESSAGE, at DESKS
func (p *play) did(m []string) error {
	who, err := deskOf(m[0])
	if err != nil {
		return err
	}
	with, err := p.message(m[3])
	if err != nil {
		return err
	}
	return p.of(m[2], m[4], func(k schakel.Overview, s said) error {
		if o, ok := duty(k, who, m[1], s); !ok || !is(o.Closed, with) {
			return fmt.Errorf("met by %+v", o)
		}
		return nil
	})
}

// late: DESK is late|in time with DUTY for MESSAGE, at DESKS
func (p *play) late(m []string) error {
	who, err := deskOf(m[0])
	if err != nil {
		return err
	}
	return p.of(m[3], m[4], func(k schakel.Overview, s said) error {
		o, ok := duty(k, who, m[2], s)
		if !ok || o.Late(p.stage.now()) != (m[1] == "late") {
			return fmt.Errorf("due %s, now %s", o.Due, p.stage.now())
		}
		return nil
	})
}

func (p *play) void(m []string) error {
	return p.of(m[0], m[2], func(k schakel.Overview, s said) error {
		if !slices.ContainsFunc(k.Voids, func(v protocol.Void) bool { return is(v.Message, s) && v.Rule == m[1] }) {
			return fmt.Errorf("without effect: %+v", k.Voids)
		}
		return nil
	})
}

func (p *play) restsOn(m []string) error {
	on, err := p.message(m[1])
	if err != nil {
		return err
	}
	return p.of(m[0], m[2], func(k schakel.Overview, s said) error {
		if !slices.ContainsFunc(k.Rests, func(r protocol.Rest) bool { return is(r.Message, s) && is(r.On, on) && r.Class == on.class }) {
			return fmt.Errorf("rests: %+v", k.Rests)
		}
		return nil
	})
}

func (p *play) missing(m []string) error {
	return p.of(m[0], m[1], func(k schakel.Overview, s said) error {
		if !slices.ContainsFunc(k.Missing, func(x protocol.Missing) bool { return is(x.Message, s) }) {
			return fmt.Errorf("missing: %+v", k.Missing)
		}
		return nil
	})
}

func (p *play) replaced(m []string) error {
	by, err := p.message(m[2])
	if err != nil {
		return err
	}
	return p.of(m[0], m[3], func(k schakel.Overview, s said) error {
		if !slices.ContainsFunc(k.Replaced, func(r protocol.Replacement) bool {
			return is(r.Message, s) && is(r.By, by) && r.Withdrawn == (m[1] == "withdrawn")
		}) {
			return fmt.Errorf("replaced: %+v", k.Replaced)
		}
		return nil
	})
}

func (p *play) closed(m []string) error {
	return p.of(m[0], m[1], func(k schakel.Overview, s said) error {
		if k.Closing == nil || !is(k.Closing.Message, s) {
			return fmt.Errorf("closing: %+v", k.Closing)
		}
		return nil
	})
}

// at each desk, of a message.
func (p *play) each(label, desks string, f func(said, identity.DeskID) error) error {
	s, err := p.message(label)
	if err != nil {
		return err
	}
	where, err := desksOf(desks)
	for _, d := range where {
		if err == nil {
			err = f(s, d)
		}
	}
	return err
}

func (p *play) flagged(m []string) error {
	return p.each(m[0], m[2], func(s said, d identity.DeskID) error { return p.carries(s, m[1], d) })
}

func (p *play) notShown(m []string) error {
	return p.each(m[0], m[1], func(s said, d identity.DeskID) error {
		if _, err := p.stage.node(d).Read(background(), s.Hash); !errors.Is(err, schakel.ErrNotFound) {
			return fmt.Errorf("%s shows it: %v", d, err)
		}
		return nil
	})
}

// exercise: the mark is on the message and on the case.
func (p *play) exercise(m []string) error {
	return p.each(m[0], m[1], func(s said, d identity.DeskID) error {
		l, err := p.shown(s, d)
		if err != nil {
			return err
		}
		k, err := p.stage.node(d).Overview(background(), s.Case)
		if err == nil && (!l.Exercise || !k.Exercise) {
			err = fmt.Errorf("%s: marked %v, the case %v", d, l.Exercise, k.Exercise)
		}
		return err
	})
}

// enclosed: the desk has a message only as the signed original inside another.
func (p *play) enclosed(m []string) error {
	in, err := p.message(m[1])
	if err != nil {
		return err
	}
	return p.of(m[0], m[2], func(k schakel.Overview, s said) error {
		inside := slices.ContainsFunc(k.Messages, func(x schakel.Moment) bool { return is(x.Ref, s) && x.Enclosed })
		if !inside || !slices.ContainsFunc(k.Messages, func(x schakel.Moment) bool { return is(x.Ref, in) && !x.Enclosed }) {
			return fmt.Errorf("not inside: %+v", k.Messages)
		}
		return nil
	})
}

// nothing: the desk has no message of the case, also not inside another.
func (p *play) nothing(m []string) error {
	return p.each(m[0], m[1], func(s said, d identity.DeskID) error {
		if _, err := p.stage.node(d).Overview(background(), s.Case); !errors.Is(err, schakel.ErrNotFound) {
			return fmt.Errorf("%s has something of the case: %v", d, err)
		}
		return nil
	})
}

// untied: nothing that the desk has of the one case names the other, its messages, or
// whom it is about.
func (p *play) untied(m []string) error {
	other, err := p.message(m[1])
	if err != nil {
		return err
	}
	return p.each(m[0], m[2], func(s said, d identity.DeskID) error {
		node := p.stage.node(d)
		theirs, err := node.List(background(), schakel.Filter{Box: "all", Case: other.Case, Limit: 1000})
		if err != nil {
			return err
		}
		traces := []string{other.Case}
		for _, t := range theirs {
			l, err := node.Read(background(), t.Hash)
			if err != nil {
				return err
			}
			traces = append(traces, t.Hash, t.ID)
			traces = append(traces, named(l.Body)...)
		}
		k, err := node.Overview(background(), s.Case)
		if err != nil {
			return err
		}
		everything := must[[]byte](p.t)(json.Marshal(k))
		for _, m := range k.Messages {
			l, err := node.Read(background(), m.Hash.String())
			if err != nil {
				return err
			}
			everything = append(everything, l.Body...)
		}
		for _, t := range traces {
			if bytes.Contains(everything, []byte(t)) {
				return fmt.Errorf("%s can tie it by %q", d, t)
			}
		}
		return nil
	})
}

// named is what a body calls persons: names and dates of birth.
func named(body []byte) (out []string) {
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				if s, ok := value.(string); ok && slices.Contains([]string{"roepnaam", "achternaam", "geboortedatum", "codewoord"}, key) {
					out = append(out, s)
				}
				walk(value)
			}
		case []any:
			for _, value := range v {
				walk(value)
			}
		}
	}
	var v any
	_ = json.Unmarshal(body, &v)
	walk(v)
	return out
}

// agree: desks with the same messages of a case make the same of it, and no two desks
// say that different desks hold one term of the regie.
func (p *play) agree() error {
	for _, ref := range p.cases {
		states, holders := map[string]string{}, map[int]identity.DeskID{}
		seen := 0
		for _, b := range bureaus {
			if p.away[b.desk] {
				continue
			}
			k, err := p.stage.node(b.desk).Overview(background(), ref)
			if errors.Is(err, schakel.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			seen++
			for _, term := range k.Terms {
				if h, ok := holders[term.Number]; ok && h != term.Holder && term.Number > 0 {
					return fmt.Errorf("term %d is with %s and with %s", term.Number, h, term.Holder)
				}
				holders[term.Number] = term.Holder
			}
			var has []string
			for _, m := range k.Messages {
				if !m.Unsaid {
					has = append(has, m.Hash.String())
				}
			}
			k.Case.Desk, k.Case.Unsaid = "", nil // of what nobody took only its sender knows
			state := string(must[[]byte](p.t)(json.Marshal(k.Case)))
			key := strings.Join(has, " ")
			if other, ok := states[key]; ok && other != state {
				return fmt.Errorf("the same messages, another state at %s:\n%s\n%s", b.desk, state, other)
			}
			states[key] = state
		}
		p.t.Logf("case %s: %d desks, %d different sets of messages", ref, seen, len(states))
	}
	return nil
}
