package web

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func caseRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/cases/{ref}", Operation: "Overview", Who: Users, serve: (*Site).showCase},
		{Method: "POST", Path: "/cases/{ref}", Operation: "Overview", Who: Users, serve: (*Site).showCase},
		{Method: "GET", Path: "/cases/{ref}/emergency", Operation: "Overview", Who: Users, serve: (*Site).emergencyForm},
		{Method: "POST", Path: "/cases/{ref}/emergency", Operation: "Overview", Who: Users, serve: (*Site).emergency},
	}
}

// caseHead is what every page of one case begins with.
type caseHead struct {
	Ref      string
	Here     string // which of its pages this is
	Exercise bool
}

// caseView is a case as its page shows it: how to reach the victim safely before all else,
// and before any telephone number (R06). Its texts are harmless.
type caseView struct {
	caseHead
	Restricted   []reader
	Safe         []safeContact
	Actions      []action
	State        string
	Lead         string
	Claimed      []party // say to lead, and it cannot be proved here
	Closing      *closing
	Ours         []dutyRow // wait for us
	Theirs       []dutyRow // we wait for
	Others       []dutyRow // others for each other
	Parties      []partyRow
	Messages     []momentRow // newest first
	All          int         // messages, on this page and on others
	Newer, Older string      // paths; empty: none
	Remarks      []remarks
	KnownAt      mention
	Sheet        worksheet
	Files        []caseFile
}

// caseFile is a file of a message in the case.
type caseFile struct {
	attachmentRow
	Of mention
}

type closing struct {
	By                         party
	At, RetainUntil, DestroyOn time.Time
}

// safeContact is what one message says of safe contact.
type safeContact struct {
	mention
	Says []casefile.Said
}

// mention names a message where something else speaks of it.
type mention struct {
	Path, Class, From string // no path: it is not here by itself
	At                time.Time
}

// partyRow is a desk that takes part, and how far it is with what this desk sent it.
type partyRow struct {
	party
	Telephone string
	Own, Lead bool
	State     string // of the message of ours that it is farthest behind with
	Behind    int    // how many that are not acknowledged
	Bad       bool
	Heard     time.Time // its last message
}

// viewer builds the view of one case.
type viewer struct {
	*Site
	l     language
	o     schakel.Overview
	names map[identity.DeskID]party
	phone map[identity.DeskID]string
	here  map[string]schakel.Summary // messages that are here by themselves, by hash
}

func (s *Site) showCase(v *visit) (answer, error) {
	return s.gated(v, func(by schakel.By) (answer, error) { return s.caseAs(v, by) })
}

func (s *Site) caseAs(v *visit, by schakel.By) (answer, error) {
	o, err := s.overview(v, by)
	if err != nil {
		return answer{}, err
	}
	w, err := s.viewer(v, o)
	if err != nil {
		return answer{}, err
	}
	out := w.view()
	out.page(v)
	out.Actions = caseActions(v, out.Ref)
	if by.Glass == "" { // the notes and the files would break the glass once more
		if out.Files, err = s.caseFiles(v, w, by); err != nil {
			return answer{}, err
		}
		out.Sheet, err = s.worksheet(v, o.Ref.String(), by)
	}
	return answer{page: "case", title: "title.case", shows: out}, err
}

// maxCaseFiles bounds the list of files: each message of it is opened for their names.
const maxCaseFiles = 100

// caseFiles are the files of a case, those of the newest message first.
func (s *Site) caseFiles(v *visit, w viewer, by schakel.By) (out []caseFile, err error) {
	for _, m := range slices.Backward(w.o.Messages) {
		if _, here := w.here[m.Hash.String()]; m.Attachments == 0 || !here {
			continue
		}
		all, err := v.node.Attachments(v.Context(), m.Hash.String(), by)
		if err != nil {
			return nil, err
		}
		for _, row := range v.lang.attachmentRows(all) {
			if out = append(out, caseFile{row, w.mention(m.Ref)}); len(out) == maxCaseFiles {
				return out, nil
			}
		}
	}
	return out, nil
}

// overview is a case as by may see it. Who looked is noted before anything is shown.
func (s *Site) overview(v *visit, by schakel.By) (schakel.Overview, error) {
	o, err := v.node.Overview(v.Context(), v.PathValue("ref"), by)
	if err != nil {
		return o, err
	}
	return o, s.Door.Opened(v.Context(), v.user, o.Ref.String())
}

func (s *Site) viewer(v *visit, o schakel.Overview) (viewer, error) {
	w := viewer{Site: s, l: v.lang, o: o, names: map[identity.DeskID]party{}, phone: map[identity.DeskID]string{}, here: map[string]schakel.Summary{}}
	desks, err := v.node.Directory(v.Context())
	if err != nil {
		return w, err
	}
	for _, d := range desks {
		w.names[d.ID] = party{harmless.Line(string(d.ID)), harmless.Line(d.Org), v.lang.word("role." + string(d.Role))}
		w.phone[d.ID] = harmless.Line(d.Telephone)
	}
	for {
		all, err := v.node.List(v.Context(), schakel.Filter{Box: "all", Case: o.Ref.String(), Limit: maxOfCase, Offset: len(w.here)})
		if err != nil {
			return w, err
		}
		for _, m := range all {
			w.here[m.Hash] = m
		}
		if len(all) < maxOfCase || len(w.here) > len(o.Messages)+maxOfCase {
			return w, nil
		}
	}
}

func (w viewer) view() caseView {
	o := w.o
	out := caseView{caseHead: caseHead{Ref: o.Ref.String(), Here: "case", Exercise: o.Exercise}, Restricted: readers(o.Restricted),
		State: w.state(), Ours: w.duties(o.Owed), Theirs: w.duties(o.Awaited), Others: w.duties(amongOthers(o)), Remarks: w.remarks(), KnownAt: w.mention(o.KnownAt)}
	if lead, ok := o.Lead(); ok {
		out.Lead = w.lead(lead)
	}
	for _, d := range o.Claimed() {
		out.Claimed = append(out.Claimed, w.party(d))
	}
	if c := o.Closing; c != nil {
		out.Closing = &closing{w.party(c.By), c.At, c.RetainUntil, c.DestroyOn}
	}
	for _, s := range o.Safe {
		out.Safe = append(out.Safe, w.safe(s))
	}
	for _, p := range o.Participants {
		out.Parties = append(out.Parties, w.taking(p))
	}
	for _, m := range slices.Backward(o.Messages) {
		out.Messages = append(out.Messages, w.moment(m))
	}
	out.All = len(out.Messages)
	return out
}

// safe is what a message says of safe contact, in the words of its form.
func (w viewer) safe(s schakel.SafeContact) safeContact {
	class := ""
	if m, ok := w.said(s.Message.Hash); ok {
		class = m.Class
	}
	form, err := w.Catalogue.Form(class)
	if err != nil {
		form = protocol.Form{} // of another agreement: shown by the names of its fields
	}
	body := append(append([]byte(`{"veiligContact":`), s.Says...), '}')
	says, rest := w.l.said(body, form)
	return safeContact{w.mention(s.Message), append(says, rest...)}
}

// momentsPerPage bounds a page of the timeline. A page that a PIN opened shows all: the
// next one would ask for the PIN again.
const momentsPerPage = 100

func (c *caseView) page(v *visit) {
	if v.Method != "GET" {
		return
	}
	from, _ := strconv.Atoi(v.URL.Query().Get("from"))
	from = min(max(from, 0), len(c.Messages))
	path := func(n int) string { return casePath(c.Ref) + "?from=" + strconv.Itoa(n) + "#timeline" }
	end := min(from+momentsPerPage, len(c.Messages))
	if from > 0 {
		c.Newer = path(max(from-momentsPerPage, 0))
	}
	if end < len(c.Messages) {
		c.Older = path(end)
	}
	c.Messages = c.Messages[from:end]
}

func (w viewer) party(d identity.DeskID) party {
	if p, ok := w.names[d]; ok {
		return p
	}
	return party{Desk: harmless.Line(string(d))}
}

// taking is how far a desk is that takes part.
func (w viewer) taking(p protocol.Party) partyRow {
	row := partyRow{party: w.party(p.Desk), Telephone: w.phone[p.Desk], Own: p.Desk == w.o.Desk}
	lead, led := w.o.Lead()
	row.Lead = led && lead.Holder == p.Desk
	if row.Role == "" {
		row.Role = w.l.word("role." + string(p.Role))
	}
	var states []schakel.Recipient
	for _, m := range w.o.Messages {
		if m.From.Desk == p.Desk && m.Created.After(row.Heard) {
			row.Heard = m.Created
		}
		for _, r := range w.here[m.Hash.String()].Recipients {
			if r.Desk != p.Desk {
				continue
			}
			states = append(states, r)
			if r.State != schakel.StateAcknowledged {
				row.Behind++
			}
		}
	}
	if len(states) > 0 {
		s := slowest(states)
		row.State, row.Bad = w.l.word("state."+string(s)), s == schakel.StateFailed || s == schakel.StateRejected
	}
	return row
}

// said returns a message of the case.
func (w viewer) said(h message.Hash) (schakel.Moment, bool) {
	i := slices.IndexFunc(w.o.Messages, func(m schakel.Moment) bool { return m.Hash == h })
	if i < 0 {
		return schakel.Moment{}, false
	}
	return w.o.Messages[i], true
}

func (w viewer) mention(r message.Ref) mention {
	m, ok := w.said(r.Hash)
	if !ok {
		return mention{Class: w.l.word("case.not-here", r.Hash.String()[:8])}
	}
	out := mention{Class: w.className(w.l, m.Class), From: harmless.Line(string(m.From.Desk)), At: m.Created}
	if _, here := w.here[r.Hash.String()]; here {
		out.Path = "/messages/" + r.Hash.String()
	}
	return out
}

// state says in words how a case stands.
func (w viewer) state() string {
	_, led := w.o.Lead()
	_, offered := w.o.OpenOffer()
	switch {
	case w.o.Closing != nil:
		return w.l.word("case.closed")
	case offered:
		return w.l.word("case.offered")
	case led:
		return w.l.word("case.open")
	}
	return w.l.word("case.no-lead")
}

func (w viewer) lead(t protocol.LeadTerm) string {
	p := w.party(t.Holder)
	name := cmp.Or(p.Org, p.Desk)
	if t.Number == 0 {
		return w.l.word("case.lead-claimed", name)
	}
	if t.Holder == w.o.Desk {
		return w.l.word("case.lead-us", w.l.when(t.Since))
	}
	return w.l.word("case.lead", name, w.l.when(t.Since))
}
