package web

import (
	"net/http"
	"slices"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/schakel"
	"schakel/crypto/message"
	"schakel/relay/page"
)

func pageLogRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/on-call/pages", Operation: "PageLog", Who: Users, serve: (*Site).pageLog},
		{Method: "GET", Path: "/on-call/pages/test", Operation: "TestPages", Who: Users, serve: (*Site).testPageForm},
		{Method: "POST", Path: "/on-call/pages/test", Operation: "TestPages", Who: Users, serve: (*Site).testPage},
	}
}

// pagesShown bounds one page of the log.
const pagesShown = 100

// callLog is who was paged, and what became of it.
type callLog struct {
	Relay bool // what the relay says of its own
	Rows  []called
	More  bool
}

// called is one page through one channel. Its texts are harmless.
type called struct {
	At                           time.Time
	Why, Who, Channel, Reference string
	Outcome                      string
	Urgency                      message.Urgency // empty: none
	Bad, Exercise, Here, Unknown bool
	Rung, Waiting                int
	Path                         string // of the message that it was for
}

// reasons are why somebody is paged, as the log has them.
func reasons() []string { return []string{"waiting", "unheard", "owed", "alarm", "test", "relay"} }

// pageOutcomes are what can become of a page, as the log has them; empty: it was begun.
func pageOutcomes() []page.Outcome {
	return []page.Outcome{"", page.Sent, page.Unreachable, page.Late, page.Untrusted, page.Refused, page.Busy, page.Broken, page.Forbidden, page.Unusable, page.Capped, "interrupted"}
}

func (s *Site) pageLog(v *visit) (answer, error) {
	out := callLog{Relay: v.URL.Query().Get("by") == "relay"}
	var rows []schakel.Page
	var err error
	if out.Relay {
		rows, err = v.node.RelayPages(v.Context())
	} else {
		rows, err = v.node.PageLog(v.Context(), pagesShown+1)
	}
	if err != nil {
		return answer{}, err
	}
	if out.More = len(rows) > pagesShown; out.More {
		rows = rows[:pagesShown]
	}
	for _, p := range rows {
		out.Rows = append(out.Rows, calledRow(v, p))
	}
	return answer{page: "pagelog", title: "title.pages", shows: out}, nil
}

func calledRow(v *visit, p schakel.Page) called {
	c := called{At: p.At, Who: harmless.Line(p.Name), Channel: harmless.Line(p.Channel), Reference: harmless.Line(p.Reference),
		Exercise: p.Exercise, Here: p.Here, Rung: p.Rung, Waiting: p.Waiting, Why: harmless.Line(p.Why)}
	if c.Who == "" {
		c.Who = harmless.Line(p.Contact)
	}
	if slices.Contains(reasons(), p.Why) {
		c.Why = v.lang.word("pages.why-" + p.Why)
	}
	c.Outcome, c.Bad = outcomeWords(v.lang, p.Outcome)
	c.Urgency = map[string]message.Urgency{"acute": message.Acute, "urgent": message.Urgent, "routine": message.Routine}[p.Tier]
	if (p.Why == "waiting" || p.Why == "unheard") && v.may("Read") && len(p.Subject) == 64 {
		c.Path = "/messages/" + p.Subject
	}
	return c
}

// outcomeWords says what became of a page, and whether that is bad.
func outcomeWords(l language, o page.Outcome) (words string, bad bool) {
	if !slices.Contains(pageOutcomes(), o) {
		return harmless.Line(string(o)), true
	}
	return l.word("pages.outcome-" + string(o)), o != page.Sent && o != ""
}

// trial is the form of a test page, and what came of the one before.
type trial struct {
	*form
	People []choice
	Tested []tested
	Ran    bool
}

// tested is what became of a test page through one channel.
type tested struct {
	By, Channel, Outcome string
	Bad                  bool
}

func (s *Site) testPageForm(v *visit) (answer, error) {
	out, err := s.trial(v, v.form())
	if got, ok := s.outcome(v).([]schakel.Tested); ok {
		out.Ran = true
		for _, x := range got {
			row := tested{By: v.lang.word("pages.by-device"), Channel: harmless.Line(x.Channel)}
			if x.By == "relay" {
				row.By = v.lang.word("pages.by-relay")
			}
			row.Outcome, row.Bad = outcomeWords(v.lang, x.Outcome)
			out.Tested = append(out.Tested, row)
		}
	}
	return answer{page: "testpage", title: "title.test-page", shows: out}, err
}

func (s *Site) trial(v *visit, f *form) (trial, error) {
	out := trial{form: f}
	r, err := v.node.Rota(v.Context())
	for _, p := range r.Roster.People {
		out.People = append(out.People, choice{string(p.Contact), harmless.Line(p.Name), f.Get("who") == string(p.Contact)})
	}
	return out, err
}

func (s *Site) testPage(v *visit) (answer, error) {
	f := v.form()
	f.need("who")
	status := http.StatusUnprocessableEntity
	if f.good() {
		got, err := v.node.TestPages(v.Context(), schakel.TestPage{Who: f.Get("who"), Relay: f.Is("relay", "yes")})
		if err == nil {
			return s.after(v, "/on-call/pages/test", got), nil
		}
		if status, err = f.refuse(err); err != nil {
			return answer{}, err
		}
	}
	out, err := s.trial(v, f)
	return answer{page: "testpage", title: "title.test-page-again", status: status, shows: out}, err
}
