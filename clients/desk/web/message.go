package web

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func messageRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/messages/{ref}", Operation: "Read", Who: Users, serve: (*Site).message},
		{Method: "POST", Path: "/messages/{ref}", Operation: "ReadAs", Who: Users, serve: (*Site).openMessage},
	}
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
	Behind   bool          // it came after what the same desk signed later
	Slow     time.Duration // it was so long under way
	Went     []went
	Actions  []action
	Closed   *closed // its case is restricted, and nothing of what it says is shown
	Files    []attachmentRow
	Asks     string // who must type the PIN to save one, in a restricted case
}

// closed is what takes the place of what a restricted message says.
type closed struct {
	Readers  []reader
	Signer   string // the user, where that is one of them: the PIN opens it
	WrongPIN bool
}

// reader is a colleague who may read a restricted case.
type reader struct{ Name, Telephone string }

// party is a desk with its organisation.
type party struct{ Desk, Org, Role string }

// went is how far a message of ours has come with one desk.
type went struct {
	party
	State string
	At    time.Time
	By    string
	Bad   bool

	ByFile time.Time // it left in a file, and nobody confirmed it since
	Files  time.Time // since when it has all files, by its own word
}

func (s *Site) message(v *visit) (answer, error) {
	m, err := s.read(v, schakel.By{})
	return answer{page: "message", title: "title.message", shows: m}, err
}

// openMessage shows a message to who proves with a PIN to be somebody. What a restricted
// case says is on this one page, and needs the PIN again on the next.
func (s *Site) openMessage(v *visit) (answer, error) {
	m, err := s.read(v, schakel.By{Person: v.user.Person, PIN: v.PostFormValue("pin")})
	if errors.Is(err, schakel.ErrPIN) {
		if m, err = s.read(v, schakel.By{}); err == nil && m.Closed != nil {
			m.Closed.WrongPIN = true
			return answer{page: "message", title: "title.message-again", status: http.StatusForbidden, shows: m}, nil
		}
	}
	return answer{page: "message", title: "title.message", shows: m}, err
}

// read is a message as by may see it: whole, or what is known of it while its case is
// closed to by.
func (s *Site) read(v *visit, by schakel.By) (letter, error) {
	if by.Person == "" || by.PIN == "" {
		by = schakel.By{}
	}
	names, err := s.names(v)
	if err != nil {
		return letter{}, err
	}
	m, err := v.node.ReadAs(v.Context(), v.PathValue("ref"), by)
	if errors.Is(err, schakel.ErrRestricted) {
		return s.closed(v, names)
	}
	if err != nil {
		return letter{}, err
	}
	if err := s.Door.Opened(v.Context(), v.user, m.Hash); err != nil {
		return letter{}, err // looked at and not noted must not happen
	}
	out := s.letter(v.lang, m, names)
	if out.Actions, err = s.messageActions(v, m.Summary, false); err != nil {
		return letter{}, err
	}
	form, err := s.Catalogue.Form(m.Class)
	if err != nil {
		form = protocol.Form{} // a class of another agreement: shown by the names of its fields
	}
	out.Safe, out.Body = v.lang.said(m.Body, form)
	if out.Files = v.lang.attachmentRows(m.Attachments); len(out.Files) > 0 {
		out.Body = s.withoutFiles(v.lang, m.Class, out.Body)
	}
	if len(m.Restricted) > 0 {
		out.Asks = harmless.Line(v.user.Name)
	}
	return out, nil
}

// said is a body in the words of its form: of safe contact, under a heading that says what
// it is, and the rest.
func (l language) said(body []byte, form protocol.Form) (safe, rest []casefile.Said) {
	safe, rest = casefile.Outline(body, form, l == english)
	if len(safe) == 1 && len(safe[0].Items) > 0 {
		safe = safe[0].Items
	}
	return safe, rest
}

// closed is a message that the user may not read: who it is from, how it stands, and whom
// to call.
func (s *Site) closed(v *visit, names map[identity.DeskID]party) (letter, error) {
	m, err := s.summary(v)
	if err != nil {
		return letter{}, err
	}
	out := s.letter(v.lang, schakel.Letter{Summary: m}, names)
	out.Closed = &closed{}
	if out.Actions, err = s.messageActions(v, m, true); err != nil {
		return letter{}, err
	}
	for _, r := range m.Restricted {
		out.Closed.Readers = append(out.Closed.Readers, reader{harmless.Line(r.Name), harmless.Line(r.Telephone)})
		if r.ID == v.user.Person {
			out.Closed.Signer = harmless.Line(r.Name)
		}
	}
	return out, nil
}

// summary is what lists show of a message.
func (s *Site) summary(v *visit) (schakel.Summary, error) {
	ref := v.PathValue("ref")
	r, err := v.node.Restriction(v.Context(), ref)
	if err != nil {
		return schakel.Summary{}, err
	}
	for _, box := range []string{"", "sent"} {
		all, err := v.node.List(v.Context(), schakel.Filter{Box: box, Case: r.Case, Limit: maxOfCase})
		if err != nil {
			return schakel.Summary{}, err
		}
		for _, m := range all {
			if m.Hash == ref {
				return m, nil
			}
		}
	}
	return schakel.Summary{}, fmt.Errorf("%w: %.8s", schakel.ErrNotFound, ref)
}

// maxOfCase bounds how many messages of one case are looked through for one.
const maxOfCase = 1000

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
		Received: m.Received, Opened: m.Opened, Taken: m.Acknowledged, TakenBy: harmless.Line(m.AckBy), Flags: m.Flags,
		Behind: m.Late, Slow: m.UnderWay()}
	out.MayTake = m.Inbound && !m.AckDue.IsZero() && (m.Acknowledged.IsZero() || m.Confirms.Short())
	for _, d := range m.To {
		out.To = append(out.To, party(d))
	}
	for _, r := range m.Recipients {
		out.Went = append(out.Went, went{party(r.Desk), l.word("state." + string(r.State)), r.At, harmless.Line(r.By),
			r.State == schakel.StateRejected || r.State == schakel.StateFailed, r.ByFile, r.Files})
	}
	return out
}
