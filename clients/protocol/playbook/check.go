package playbook

import (
	"fmt"
	"regexp"
	"slices"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
)

var (
	identifier = regexp.MustCompile(`^[a-z][a-z0-9-]{1,39}$`)
	telephone  = regexp.MustCompile(`^\+?[0-9][0-9 -]{1,19}$`)
)

func (p Playbook) check(c *protocol.Catalogue) error {
	seen := map[string]bool{}
	for _, n := range p.Numbers {
		if !identifier.MatchString(n.ID) || seen[n.ID] || !telephone.MatchString(n.Telephone) || !whole(n.What) {
			return fmt.Errorf("number %.40q: an identifier used once, a telephone number, words in both languages", n.ID)
		}
		seen[n.ID] = true
	}
	if len(p.Outage) == 0 || !whole(p.Outage...) || len(p.Situations) == 0 {
		return fmt.Errorf("what to do when Schakel is down, or every situation, is missing or said in one language")
	}
	for _, s := range p.Situations {
		if !identifier.MatchString(s.ID) || seen[s.ID] || !whole(s.Title) || !whole(s.Never...) || len(s.Never) == 0 ||
			len(s.Steps) == 0 || len(s.Steps) > maxSteps {
			return fmt.Errorf("situation %.40q: an identifier used once, what never to do, 1 to %d steps, words in both languages", s.ID, maxSteps)
		}
		seen[s.ID] = true
		steps := map[string]bool{}
		for _, step := range s.Steps {
			if steps[step.ID] {
				return fmt.Errorf("step %s of %s stands there twice", step.ID, s.ID)
			}
			steps[step.ID] = true
			if err := p.checkStep(step, c); err != nil {
				return fmt.Errorf("step %.40q of %s: %w", step.ID, s.ID, err)
			}
		}
	}
	return nil
}

func whole(texts ...protocol.Text) bool {
	return !slices.ContainsFunc(texts, func(t protocol.Text) bool { return t.NL == "" || t.EN == "" || len(t.NL) > 400 || len(t.EN) > 400 })
}

func (p Playbook) checkStep(s Step, c *protocol.Catalogue) error {
	if !identifier.MatchString(s.ID) || !whole(s.Title) || !whole(s.Do...) || !whole(s.Never...) || len(s.Do) == 0 {
		return fmt.Errorf("an identifier, what to do, words in both languages")
	}
	for _, id := range s.Call {
		if _, ok := p.Number(id); ok {
			continue
		}
		if _, err := identity.ParseRole(id); err != nil {
			return fmt.Errorf("call %.40q: no number and no role", id)
		}
	}
	if s.Send != nil {
		if err := s.Send.check(c); err != nil {
			return err
		}
	}
	for _, sign := range s.Done {
		if err := sign.check(c); err != nil {
			return err
		}
	}
	return nil
}

// check holds a message to write to the routes of its class: somebody can send it.
func (s Send) check(c *protocol.Catalogue) error {
	class, ok := c.Class(s.Class)
	if !ok || !slices.Contains(class.Urgencies, s.Urgency) || len(s.To) == 0 {
		return fmt.Errorf("send %.40q under %.40q: no such class or urgency, or to nobody", s.Class, s.Urgency)
	}
	for _, to := range s.To {
		if !slices.ContainsFunc(identity.Roles(), func(from identity.Role) bool { return class.CarriesAt(from, to, s.Urgency) }) {
			return fmt.Errorf("send %s to %.40q: no route", s.Class, to)
		}
	}
	return nil
}

// check holds a sign to the catalogue: some message can show it.
func (s Sign) check(c *protocol.Catalogue) error {
	class, ok := c.Class(s.Class)
	if !ok {
		return fmt.Errorf("done by %.40q: no such class", s.Class)
	}
	any := func(roles []identity.Role) []identity.Role {
		if len(roles) == 0 {
			return identity.Roles()
		}
		return roles
	}
	for _, from := range any(s.From) {
		if len(s.From) > 0 && !slices.ContainsFunc(any(s.To), func(to identity.Role) bool { return class.Carries(from, to) }) {
			return fmt.Errorf("done by %s from %.40q: no route", s.Class, from)
		}
	}
	for _, to := range s.To {
		if !slices.ContainsFunc(any(s.From), func(from identity.Role) bool { return class.Carries(from, to) }) {
			return fmt.Errorf("done by %s to %.40q: no route", s.Class, to)
		}
	}
	f, err := c.Form(s.Class)
	if err != nil {
		return err
	}
	for field, values := range s.Where {
		choices := f.ChoicesOf(field, nil)
		for _, v := range values {
			if !slices.ContainsFunc(choices, func(x protocol.Choice) bool { return x.Value == v }) {
				return fmt.Errorf("done by %s where %.40q is %.40q: no such choice", s.Class, field, v)
			}
		}
		if len(values) == 0 {
			return fmt.Errorf("done by %s where %.40q is nothing", s.Class, field)
		}
	}
	return nil
}
