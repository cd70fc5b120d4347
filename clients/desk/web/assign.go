package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"schakel/clients/desk"
	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/writing"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func assignRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/cases/{ref}/assignment", Operation: "Assign", Who: Users, serve: (*Site).assignForm},
		{Method: "POST", Path: "/cases/{ref}/assignment", Operation: "Assign", Who: Users, serve: (*Site).assign},
		{Method: "GET", Path: "/messages/{ref}/forwarding", Operation: "Forward", Who: Users, serve: (*Site).forwardForm},
		{Method: "POST", Path: "/messages/{ref}/forwarding", Operation: "Forward", Who: Users, serve: (*Site).forward},
	}
}

// giving is the form by which a case goes to a colleague. Never with the PIN.
type giving struct {
	Case      string
	Name      string // who signs
	Holder    string
	By        string
	At        time.Time
	Contested bool
	People    []choice
	Done      bool
	WrongPIN  bool
	NoPerson  bool
	Trouble   *trouble
}

// nobody is the choice that gives a case back to the desk.
const nobody = "-"

func (s *Site) assignForm(v *visit) (answer, error) {
	g, err := s.giving(v)
	g.Done = v.URL.Query().Get("done") != ""
	return answer{page: "assign", title: "title.assign", shows: g}, err
}

func (s *Site) giving(v *visit) (giving, error) {
	g := giving{Name: harmless.Line(v.user.Name)}
	if v.user.Person == "" {
		return g, schakel.ErrPersonNeeded
	}
	w, err := v.node.Worksheet(v.Context(), v.PathValue("ref"))
	if err != nil {
		return g, err
	}
	a := w.Assignment
	g.Case, g.Holder, g.By, g.At, g.Contested = a.Case, harmless.Line(a.Name), harmless.Line(a.By), a.At, a.Contested
	persons, err := v.node.Persons(v.Context())
	if err != nil {
		return g, err
	}
	chosen := v.PostFormValue("person")
	if chosen == "" {
		chosen = v.user.Person // taking it oneself is what one does most
	}
	for _, p := range persons {
		label := harmless.Line(p.Name + ", " + p.Function)
		if p.ID.String() == v.user.Person {
			label = v.lang.word("assign.me", label)
		}
		g.People = append(g.People, choice{p.ID.String(), label, p.ID.String() == chosen})
	}
	g.People = append(g.People, choice{nobody, v.lang.word("assign.nobody"), chosen == nobody})
	return g, nil
}

func (s *Site) assign(v *visit) (answer, error) {
	to := v.PostFormValue("person")
	if to == nobody {
		to = ""
	} else if to == "" {
		return s.giveAgain(v, func(g *giving) { g.NoPerson = true }, http.StatusUnprocessableEntity)
	}
	_, err := v.node.Assign(v.Context(), v.PathValue("ref"), to, schakel.By{Person: v.user.Person, PIN: v.PostFormValue("pin")})
	switch {
	case err == nil:
		return answer{goTo: "/cases/" + url.PathEscape(v.PathValue("ref")) + "/assignment?done=1"}, nil
	case errors.Is(err, schakel.ErrPIN):
		return s.giveAgain(v, func(g *giving) { g.WrongPIN = true }, http.StatusForbidden)
	}
	refused, status := troubleOf(err, v.lang)
	return s.giveAgain(v, func(g *giving) { g.Trouble = &refused }, status)
}

func (s *Site) giveAgain(v *visit, wrong func(*giving), status int) (answer, error) {
	g, err := s.giving(v)
	wrong(&g)
	return answer{page: "assign", title: "title.assign-again", status: status, shows: g}, err
}

// passing is the form by which a message of ours goes to another desk.
type passing struct {
	letter
	Desks    []deskChoice
	Chosen   *party // the second page: to whom
	To       string
	Name     string
	Stale    *staleness // the register is too old, and the message acute
	WrongPIN bool
	Trouble  *trouble
}

// theirs is the choice of the desk that the answer names.
const theirs = "-"

func (s *Site) passing(v *visit) (p passing, err error) {
	if v.user.Person == "" {
		return p, schakel.ErrPersonNeeded
	}
	names, err := s.names(v)
	if err != nil {
		return p, err
	}
	m, err := v.node.Trace(v.Context(), v.PathValue("ref"))
	if err != nil {
		return p, err
	}
	if m.Inbound {
		return p, schakel.ErrNotReturned
	}
	p = passing{letter: s.letter(v.lang, schakel.Letter{Summary: m}, names), Name: harmless.Line(v.user.Name), To: v.FormValue("to")}
	status, err := v.node.Status(v.Context())
	if err != nil {
		return p, err
	}
	desks, err := v.node.Directory(v.Context())
	if err != nil {
		return p, err
	}
	p.Stale = v.staleness(status.RegisterAge, m.Urgency)
	class, _ := s.Catalogue.Class(m.Class)
	for _, d := range desks {
		if d.ID == status.Desk || !class.CarriesAt(status.Role, d.Role, m.Urgency) {
			continue
		}
		p.Desks = append(p.Desks, deskChoice{party: names[d.ID], ID: string(d.ID), Chosen: string(d.ID) == p.To, Reachable: d.Reachable})
		if string(d.ID) == p.To {
			to := names[d.ID]
			p.Chosen = &to
		}
	}
	return p, nil
}

// forwardForm asks to whom, and then whether that is right.
func (s *Site) forwardForm(v *visit) (answer, error) {
	p, err := s.passing(v)
	return answer{page: "forward", title: "title.forward", shows: p}, err
}

func (s *Site) forward(v *visit) (answer, error) {
	to := v.PostFormValue("to")
	if to == theirs {
		to = ""
	}
	defer s.Sheets.Hold(v.user.ID, v.PathValue("ref"))()
	if done, err := s.forwarded(v, to); err != nil || done != "" {
		return answer{goTo: "/messages/" + done + "/sent"}, err
	}
	p, err := s.passing(v)
	if err != nil {
		return answer{}, err
	}
	word, ok := p.Stale.override(v.lang)
	if !ok {
		return answer{page: "forward", title: "title.forward-again", status: http.StatusUnprocessableEntity, shows: p}, nil
	}
	sent, err := v.node.Forward(v.Context(), v.PathValue("ref"), schakel.Forwarding{To: identity.DeskID(to), Person: v.user.Person, PIN: v.PostFormValue("pin"), Override: word})
	if err == nil {
		return answer{goTo: "/messages/" + sent.Hash + "/sent"}, nil
	}
	if desk.ProblemOf(err).Status >= http.StatusInternalServerError {
		return answer{}, err
	}
	refused, status := troubleOf(err, v.lang)
	p.Trouble, p.WrongPIN = &refused, errors.Is(err, schakel.ErrPIN)
	return answer{page: "forward", title: "title.forward-again", status: status, shows: p}, nil
}

// forwarded is the message by which a message was sent on to that desk already: whoever
// presses twice sends once.
func (s *Site) forwarded(v *visit, to string) (hash string, err error) {
	o, err := v.node.Overview(v.Context(), v.PathValue("ref"), schakel.By{Person: v.user.Person, PIN: v.PostFormValue("pin")})
	if err != nil {
		return "", nil //nolint:nilerr // Forward says what is wrong, and the form shows it
	}
	first := writing.InCase(o, v.PathValue("ref"))
	for _, m := range o.Messages {
		again := len(first) > 0 && m.Class == first[0].Class && m.From.Desk == first[0].From.Desk && slices.ContainsFunc(m.RestsOn, func(r message.Ref) bool { return r.Hash == first[0].Hash })
		if again && slices.ContainsFunc(m.To, func(p protocol.Party) bool { return to == "" || string(p.Desk) == to }) {
			return m.Hash.String(), nil
		}
	}
	return "", nil
}
