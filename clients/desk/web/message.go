package web

import (
	"time"

	"schakel/clients/casefile"
	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func messageRoutes() []Route {
	return []Route{{Method: "GET", Path: "/messages/{ref}", Operation: "Read", Who: Users, serve: (*Site).message}}
}

// letter is a message as its page shows it: how to reach the victim safely before all
// else, and before any telephone number (R06). Its texts are harmless.
type letter struct {
	item
	Ref, ID  string
	Inbound  bool
	From     party
	To       []party
	Created  time.Time
	Received time.Time
	Opened   time.Time
	Taken    time.Time
	TakenBy  string
	MayTake  bool
	Safe     []casefile.Said
	Body     []casefile.Said
	Flags    []protocol.Flag
	Went     []went
}

// party is a desk with its organisation.
type party struct{ Desk, Org, Role string }

// went is how far a message of ours has come with one desk.
type went struct {
	party
	State string
	At    time.Time
	By    string
	Bad   bool
}

func (s *Site) message(v *visit) (answer, error) {
	m, err := v.node.Read(v.Context(), v.PathValue("ref"))
	if err != nil {
		return answer{}, err
	}
	if err := s.Door.Opened(v.Context(), v.user, m.Hash); err != nil {
		return answer{}, err // looked at and not noted must not happen
	}
	names, err := s.names(v)
	if err != nil {
		return answer{}, err
	}
	return answer{page: "message", title: "title.message", shows: s.letter(v.lang, m, names)}, nil
}

// names are the organisations of the register by desk.
func (s *Site) names(v *visit) (map[identity.DeskID]party, error) {
	desks, err := v.node.Directory(v.Context())
	all := map[identity.DeskID]party{}
	for _, d := range desks {
		all[d.ID] = party{harmless.Line(string(d.ID)), harmless.Line(d.Org), v.lang.word("role." + string(d.Role))}
	}
	return all, err
}

func (s *Site) letter(l language, m schakel.Letter, names map[identity.DeskID]party) letter {
	party := func(d identity.DeskID) party {
		if p, ok := names[d]; ok {
			return p
		}
		return party{Desk: harmless.Line(string(d))}
	}
	out := letter{item: s.item(l, m.Summary), Ref: m.Hash, ID: m.ID, Inbound: m.Inbound, From: party(m.From), Created: m.Created,
		Received: m.Received, Opened: m.Opened, Taken: m.Acknowledged, TakenBy: harmless.Line(m.AckBy), Flags: m.Flags}
	out.MayTake = m.Inbound && !m.AckDue.IsZero() && m.Acknowledged.IsZero()
	for _, d := range m.To {
		out.To = append(out.To, party(d))
	}
	for _, r := range m.Recipients {
		out.Went = append(out.Went, went{party(r.Desk), l.word("state." + string(r.State)), r.At, harmless.Line(r.By),
			r.State == schakel.StateRejected || r.State == schakel.StateFailed})
	}
	form, err := s.Catalogue.Form(m.Class)
	if err != nil {
		form = protocol.Form{} // a class of another agreement: shown by the names of its fields
	}
	out.Safe, out.Body = casefile.Outline(m.Body, form, l == english)
	return out
}
