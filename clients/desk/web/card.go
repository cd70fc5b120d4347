package web

import (
	"time"

	"schakel/clients/harmless"
	"schakel/clients/protocol/playbook"
)

func cardRoutes() []Route {
	return []Route{{Method: "GET", Path: "/card", Operation: "Directory", Who: Users, serve: (*Site).card}}
}

// outageCard is whom to call when nothing works any more. It is for the wall: it holds
// numbers of desks and of no case.
type outageCard struct {
	Own     string
	Printed time.Time
	Numbers []cardNumber
	Steps   []string
	Desks   []cardNumber
	Silent  []party // of which the register has no number
}

type cardNumber struct {
	party
	Telephone, What string
}

func (s *Site) card(v *visit) (answer, error) {
	status, err := v.node.Status(v.Context())
	if err != nil {
		return answer{}, err
	}
	directory, err := v.node.Directory(v.Context())
	if err != nil {
		return answer{}, err
	}
	names, err := s.names(v)
	if err != nil {
		return answer{}, err
	}
	var desks []playbook.Desk
	for _, d := range directory {
		desks = append(desks, playbook.Desk{ID: d.ID, Org: d.Org, Role: d.Role, Region: d.Region, Telephone: d.Telephone})
	}
	c := s.Playbook.CardOf(status.Desk, desks, s.Now(), v.lang == english)
	out := outageCard{Own: harmless.Line(string(c.Own)), Printed: c.Printed}
	for _, n := range c.Numbers {
		out.Numbers = append(out.Numbers, cardNumber{Telephone: harmless.Line(n.Telephone), What: harmless.Line(v.lang.of(n.What))})
	}
	for _, t := range c.Steps {
		out.Steps = append(out.Steps, harmless.Line(v.lang.of(t)))
	}
	for _, d := range c.Desks {
		out.Desks = append(out.Desks, cardNumber{party: names[d.ID], Telephone: harmless.Line(d.Telephone)})
	}
	for _, d := range c.Silent {
		out.Silent = append(out.Silent, names[d.ID])
	}
	return answer{page: "card", title: "title.card", shows: out}, nil
}
