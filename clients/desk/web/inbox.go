package web

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

func inboxRoutes() []Route {
	return []Route{{Method: "GET", Path: "/inbox", Operation: "List", Who: Users, serve: (*Site).inbox}}
}

// The parts of the inbox, in the order in which they are shown.
const (
	forUs   = "us"     // a named person of this desk must still take it
	unread  = "unread" // nobody opened it
	forThem = "them"   // sent, and not taken by all
	all     = "all"
)

// rowsPerPage bounds each part; what is beyond it has pages of its own.
const rowsPerPage = 50

// letterbox is the inbox, or one part of it.
type letterbox struct {
	lookup        // the box above the list, with nothing in it
	Part   string // empty: the front, with the first of each
	Parts  []part
	Newer  string // path of the page before this one; empty: none
	Older  string
}

type part struct {
	Name string
	Rows []item
	More bool
	next int // where the page after this one begins
}

// item is a message as a row shows it. Its texts are harmless.
type item struct {
	Path, Class, Desk, Case, State, Holder string
	Urgency                                message.Urgency
	Acute, Late, Unread, Exercise          bool
	At, Due                                time.Time
	Marks                                  []string // what its page warns of, in a word each
}

func (s *Site) inbox(v *visit) (answer, error) {
	chosen := v.URL.Query().Get("part")
	from, _ := strconv.Atoi(v.URL.Query().Get("from"))
	from = min(max(from, 0), 1_000_000)
	box := letterbox{Part: chosen}
	names := []string{forUs, unread, forThem, all}
	if slices.Contains(names, chosen) {
		names = []string{chosen}
	} else if chosen != "" {
		return answer{}, errNoPage
	} else {
		from = 0
	}
	for _, name := range names {
		p, err := s.part(v, name, from)
		if err != nil {
			return answer{}, err
		}
		box.Parts = append(box.Parts, p)
	}
	if chosen != "" {
		box.page(from, box.Parts[0])
	}
	return answer{page: "inbox", title: "title.inbox", shows: box}, nil
}

func (b *letterbox) page(from int, p part) {
	path := func(n int) string { return "/inbox?part=" + b.Part + "&from=" + strconv.Itoa(n) }
	if from > 0 {
		b.Newer = path(max(from-rowsPerPage, 0))
	}
	if p.More {
		b.Older = path(p.next)
	}
}

// maxLooked bounds how many sent messages one page looks through for those that somebody
// has yet to take.
const maxLooked = 1000

// part asks for more than it shows, to know whether there are more: nobody may read that
// others took everything while one that they did not stands further down.
func (s *Site) part(v *visit, name string, from int) (part, error) {
	f := map[string]schakel.Filter{
		forUs: {ToAck: true}, unread: {Unread: true}, forThem: {Box: "sent"}, all: {},
	}[name]
	f.Limit, f.Offset = rowsPerPage+1, from
	if name == forThem {
		f.Limit = maxLooked
	}
	list, err := v.node.List(v.Context(), f)
	if err != nil {
		return part{}, err
	}
	p := part{Name: name, More: len(list) == f.Limit, next: from + len(list)}
	for i, m := range list {
		if name == forThem && !s.awaited(m) {
			continue
		}
		if len(p.Rows) == rowsPerPage {
			p.More, p.next = true, from+i
			break
		}
		p.Rows = append(p.Rows, s.item(v.lang, m))
	}
	return p, nil
}

// awaited reports whether some desk has yet to take a message of ours. What asks nobody to
// take it, such as a closing, waits only where it went wrong.
func (s *Site) awaited(m schakel.Summary) bool {
	if m.Class == protocol.ClassAcknowledgement {
		return false
	}
	class, _ := s.Catalogue.Class(m.Class)
	terms, known := class.Terms(m.Urgency)
	asked := !known || !terms.Acknowledged.IsZero()
	return slices.ContainsFunc(m.Recipients, func(r schakel.Recipient) bool {
		return r.State == schakel.StateRejected || r.State == schakel.StateFailed || asked && r.State != schakel.StateAcknowledged
	})
}

func (s *Site) item(l language, m schakel.Summary) item {
	i := item{Path: "/messages/" + m.Hash, Class: s.className(l, m.Class), Urgency: m.Urgency, Acute: m.Urgency == message.Acute,
		Desk: harmless.Line(string(m.From)), Case: m.Case, At: m.Received, Due: m.AckDue, Exercise: m.Exercise,
		Unread: m.Inbound && m.Opened.IsZero(), Holder: harmless.Line(m.Holder)}
	if !m.Inbound {
		i.At, i.Desk = m.Created, ""
		for _, r := range m.Recipients {
			if i.Desk != "" {
				i.Desk += ", "
			}
			i.Desk += harmless.Line(string(r.Desk))
		}
	}
	for _, mark := range m.Marks {
		i.Marks = append(i.Marks, l.word("mark."+string(mark)))
	}
	i.State, i.Late = s.state(l, m)
	return i
}

// className is what a class is called in its form.
func (s *Site) className(l language, class string) string {
	label, known := s.Catalogue.Label(class)
	if !known {
		return harmless.Line(class)
	}
	return harmless.Line(l.of(label))
}

// state says in a few words where a message stands, and whether that is too late.
func (s *Site) state(l language, m schakel.Summary) (words string, late bool) {
	switch {
	case !m.Inbound:
		return l.word("state." + string(slowest(m.Recipients))), false
	case m.Confirms != nil:
		return l.word("inbox.confirmed", len(m.Confirms.By), m.Confirms.Asked, harmless.Line(strings.Join(m.Confirms.By, ", "))), false
	case !m.Acknowledged.IsZero():
		return l.word("inbox.acknowledged", harmless.Line(m.AckBy)), false
	case !m.AckDue.IsZero() && m.AckDue.Before(s.Now()):
		return l.word("inbox.late", l.when(m.AckDue)), true
	case !m.AckDue.IsZero():
		return l.word("inbox.due", l.when(m.AckDue)), false
	case m.Opened.IsZero():
		return l.word("inbox.unread"), false
	}
	return l.word("state.gelezen"), false
}

// slowest is the state of the desk that is farthest behind; trouble goes before all.
func slowest(rs []schakel.Recipient) schakel.State {
	order := []schakel.State{schakel.StateFailed, schakel.StateRejected, schakel.StatePrepared, schakel.StateAtRelay,
		schakel.StateDelivered, schakel.StateOpened, schakel.StateAcknowledged}
	for _, s := range order {
		if slices.ContainsFunc(rs, func(r schakel.Recipient) bool { return r.State == s }) {
			return s
		}
	}
	return schakel.StatePrepared
}
