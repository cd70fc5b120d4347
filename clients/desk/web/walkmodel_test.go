package web_test

import (
	"fmt"
	"maps"
	"slices"
)

// What a model can be wrong about. Each is a way in which the desk could fail people; a walk
// that does not notice one would not notice such a desk either.
const (
	right           = ""
	ackTakesTwo     = "who acknowledges one message takes two"
	ackChangesNone  = "an acknowledged message still waits"
	readIsTaken     = "who reads a message has acknowledged it"
	lockLosesTyped  = "a lock loses what is being written"
	lockStopsTyping = "what is typed while the desk is locked is lost"
	crashLosesTyped = "a crash loses what is being written"
	crashLosesDraft = "a crash loses the drafts of the desk"
	crashStaysIn    = "a crash leaves the session open"
	sendKeepsDraft  = "a draft stays when its message is sent"
	sendWaits       = "what is sent without a connection is not kept"
	reloadRepeats   = "who reloads a page sends once more"
	neverConnects   = "what waited does not go when the connection is back"
	changeIsLost    = "a second change of a text is not kept"
	slipIsLost      = "what was typed in a form that was refused is not kept"
)

func beliefs() []string {
	return []string{ackTakesTwo, ackChangesNone, readIsTaken, lockLosesTyped, lockStopsTyping, crashLosesTyped, crashLosesDraft, crashStaysIn,
		sendKeepsDraft, sendWaits, reloadRepeats, neverConnects, changeIsLost, slipIsLost}
}

// model is what must be so of two desks, computed beside the program.
type model struct {
	belief string
	online bool
	desks  [2]*deskModel
	sent   []*sentModel
}

type deskModel struct {
	session string                // none, open or locked
	sheets  map[string]sheetModel // by the address where one goes on with them
	drafts  map[string]draftModel // of the whole desk, by their address
	slips   map[string]string     // what was typed in forms that are no message and were not signed, by their address
}

// sheetModel is what one person is writing.
type sheetModel struct {
	text  string
	draft string // address of the draft that it was made of; empty: of none
	at    int    // version of that draft
}

type draftModel struct {
	text    string
	version int
}

// sentModel is a message: what is so at the other desk, and how far its sender knows.
type sentModel struct {
	path, text           string
	from                 int
	there, opened, taken bool
	told                 string
}

func newModel(belief string) *model {
	m := &model{belief: belief, online: true}
	for i := range m.desks {
		m.desks[i] = &deskModel{session: "none", sheets: map[string]sheetModel{}, drafts: map[string]draftModel{}, slips: map[string]string{}}
	}
	return m
}

// flows lets everything come where it must while there is a connection.
func (m *model) flows() {
	for _, s := range m.sent {
		switch {
		case !m.online:
		case s.taken:
			s.there, s.told = true, "Bevestigd"
		case s.opened:
			s.there, s.told = true, "Gelezen"
		default:
			s.there, s.told = true, "Afgeleverd"
		}
	}
}

func (m *model) connects(yes bool) {
	m.online = yes && m.belief != neverConnects
	m.flows()
}

func (m *model) sends(desk int, sheet, path string) {
	d := m.desks[desk]
	s := d.sheets[sheet]
	delete(d.sheets, sheet)
	if m.belief != sendKeepsDraft {
		delete(d.drafts, s.draft)
	}
	if m.belief != sendWaits || m.online {
		m.sent = append(m.sent, &sentModel{path: path, text: s.text, from: desk, told: "Klaargezet"})
	}
	m.flows()
}

func (m *model) of(path string) *sentModel {
	if i := slices.IndexFunc(m.sent, func(s *sentModel) bool { return s.path == path }); i >= 0 {
		return m.sent[i]
	}
	return &sentModel{} // of a model that is wrong: nobody looks at it
}

func (m *model) reads(path string) {
	s := m.of(path)
	s.opened = true
	s.taken = s.taken || m.belief == readIsTaken
	m.flows()
}

// mistypes is an acknowledgement with a wrong PIN: it is kept as it was filled in.
func (m *model) mistypes(desk int, path, typed string) {
	if m.belief != slipIsLost {
		m.desks[desk].slips[path+"/acknowledgement"] = typed
	}
}

func (m *model) takes(desk int, path string) {
	delete(m.desks[desk].slips, path+"/acknowledgement")
	m.of(path).taken = m.belief != ackChangesNone
	if others := m.waiting(desk); m.belief == ackTakesTwo && len(others) > 0 {
		others[0].taken = true
	}
	m.flows()
}

// waiting are the messages that a desk must still acknowledge.
func (m *model) waiting(desk int) (out []*sentModel) {
	for _, s := range m.sent {
		if s.from != desk && s.there && !s.taken {
			out = append(out, s)
		}
	}
	return out
}

func (m *model) writes(desk int, sheet, text string) {
	d := m.desks[desk]
	s, again := d.sheets[sheet]
	if m.belief == changeIsLost && again || m.belief == lockStopsTyping && d.session == "locked" {
		return
	}
	s.text = text
	d.sheets[sheet] = s
}

// shares makes a sheet a draft of the desk, in place of the one that it was made of.
func (m *model) shares(desk int, sheet, draft string) {
	d := m.desks[desk]
	d.drafts[draft] = draftModel{d.sheets[sheet].text, d.drafts[draft].version + 1}
	delete(d.sheets, sheet)
}

func (m *model) takesUp(desk int, draft, sheet string) {
	d := m.desks[desk]
	d.sheets[sheet] = sheetModel{d.drafts[draft].text, draft, d.drafts[draft].version}
}

// overtaken reports whether a sheet was made of a draft that is another by now.
func (m *model) overtaken(desk int, sheet string) bool {
	d := m.desks[desk]
	s := d.sheets[sheet]
	return s.draft != "" && d.drafts[s.draft].version != s.at
}

func (m *model) drops(desk int, path string) {
	delete(m.desks[desk].sheets, path)
	delete(m.desks[desk].drafts, path)
}

func (m *model) locks(desk int) {
	d := m.desks[desk]
	d.session = "locked"
	if m.belief == lockLosesTyped {
		clear(d.sheets)
	}
}

func (m *model) comesIn(desk int) { m.desks[desk].session = "open" }

func (m *model) reloads(path string) {
	if s := m.of(path); m.belief == reloadRepeats && s.path != "" {
		again := *s
		again.path, again.opened, again.taken = s.path+"-again", false, false
		m.sent = append(m.sent, &again)
		m.flows()
	}
}

func (m *model) crashes(desk int) {
	d := m.desks[desk]
	if m.belief != crashStaysIn {
		d.session = "none"
	}
	if m.belief == crashLosesTyped {
		clear(d.sheets)
	}
	if m.belief == crashLosesDraft {
		clear(d.drafts)
	}
}

// shows is what the pages of a desk must show.
func (m *model) shows(desk int) seen {
	d := m.desks[desk]
	if d.session != "open" {
		return seen{"session": d.session}
	}
	rows := map[string][]string{}
	out := seen{"session": "open"}
	for _, s := range m.sent {
		if s.from == desk {
			if s.told == "Bevestigd" { // by a message of the other desk
				rows["all"], rows["unread"] = append(rows["all"], acknowledgement), append(rows["unread"], acknowledgement)
			} else {
				rows["them"] = append(rows["them"], s.path)
			}
			out["case page of "+s.path] = s.told
			continue
		}
		if !s.there {
			continue
		}
		rows["all"] = append(rows["all"], s.path)
		out["case page of "+s.path] = "Bevestigen vóór"
		if s.taken {
			out["case page of "+s.path] = "Bevestigd"
		} else {
			rows["us"] = append(rows["us"], s.path)
		}
		if !s.opened {
			rows["unread"] = append(rows["unread"], s.path)
		}
	}
	for path, s := range d.sheets {
		out["text of "+path] = s.text
	}
	for path, s := range d.drafts {
		out["text of "+path] = s.text
	}
	for path, typed := range d.slips {
		out["text of "+path] = typed
	}
	rows["mine"] = slices.AppendSeq(slices.Collect(maps.Keys(d.sheets)), maps.Keys(d.slips))
	rows["desk"] = slices.Collect(maps.Keys(d.drafts))
	for _, part := range []string{"us", "unread", "them", "all", "mine", "desk"} {
		out[part] = listed(rows[part])
	}
	return out
}

// differs is the first thing that pages show otherwise than a model says; empty: nothing.
func (m *model) differs(desk int, pages seen, whole bool) string {
	must := m.shows(desk)
	about := slices.Collect(maps.Keys(pages))
	if whole {
		about = slices.Concat(about, slices.Collect(maps.Keys(must)))
	}
	slices.Sort(about)
	for _, a := range about {
		if got, is := pages[a]; got != must[a] || !is {
			return fmt.Sprintf("desk %d, %s: %q, must be %q", desk, a, got, must[a])
		}
	}
	return ""
}
