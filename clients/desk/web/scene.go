package web

import (
	"errors"
	"slices"

	"schakel/clients/desk/web/formbody"
	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/writing"
)

// scene is what a message is written in: this desk, the desks that there are, the case, and
// who signs.
type scene struct {
	status schakel.Status
	desks  []schakel.Desk
	zaak   *schakel.Overview // nil: none, or closed to who looks
	closed bool              // the case is restricted
	signs  schakel.Person
	class  protocol.Class
	form   protocol.Form
}

// scene looks around for a paper, with the PIN of its user where that was typed.
func (s *Site) scene(v *visit, p *paper, pin string) (c scene, err error) {
	if v.user.Person == "" {
		return c, schakel.ErrPersonNeeded
	}
	var known bool
	if c.class, known = s.Catalogue.Class(p.Class); !known || p.Class == protocol.ClassAcknowledgement {
		return c, errNoPage
	}
	if c.form, err = s.Catalogue.Form(p.Class); err != nil {
		return c, err
	}
	if c.status, err = v.node.Status(v.Context()); err != nil {
		return c, err
	}
	if c.desks, err = v.node.Directory(v.Context()); err != nil {
		return c, err
	}
	persons, err := v.node.Persons(v.Context())
	if err != nil {
		return c, err
	}
	for _, x := range persons {
		if x.ID.String() == v.user.Person {
			c.signs = x
		}
	}
	return c, s.lookAtCase(v, p, &c, pin)
}

// lookAtCase reads the case that a paper is of: any of what it speaks of names it.
func (s *Site) lookAtCase(v *visit, p *paper, c *scene, pin string) error {
	refs := p.refs()
	if len(refs) == 0 {
		return nil // it begins one
	}
	o, err := v.node.Overview(v.Context(), refs[0])
	if errors.Is(err, schakel.ErrRestricted) {
		c.closed, p.closed = true, true
		if pin == "" {
			return nil // the form asks for the PIN
		}
		o, err = v.node.Overview(v.Context(), refs[0], schakel.By{Person: v.user.Person, PIN: pin})
	}
	if err != nil {
		return err
	}
	c.zaak = &o
	p.Case = o.Ref.String() // what a message rests on is of its own case
	return nil
}

// messages are those of the case, for a field that names one, the newest first.
func (s *Site) messages(l language, c scene) (out []formbody.Option) {
	if c.zaak == nil {
		return nil
	}
	for _, m := range slices.Backward(c.zaak.Messages) {
		label := s.className(l, m.Class) + ", " + harmless.Line(string(m.From.Desk)) + ", " + l.when(m.Created)
		out = append(out, formbody.Option{Value: formbody.MessageValue(m.ID.String(), m.Hash.String()), Label: protocol.Text{NL: label, EN: label}})
	}
	return out
}

// answered is the message that a paper answers, where it can be seen here.
func (c scene) answered(p *paper) (schakel.Moment, bool) {
	if c.zaak == nil || p.Answers == "" {
		return schakel.Moment{}, false
	}
	found := writing.InCase(*c.zaak, p.Answers)
	if len(found) == 0 {
		return schakel.Moment{}, false
	}
	return found[0], true
}
