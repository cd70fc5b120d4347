package web

import (
	"slices"
	"strconv"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/schakel"
)

func casesRoutes() []Route {
	return []Route{{Method: "GET", Path: "/cases", Operation: "Cases", Who: Users, serve: (*Site).cases}}
}

// The parts of the list of cases; the first is all that are not closed.
const (
	openCases   = ""
	casesForUs  = "us"
	casesOthers = "them"
	closedCases = "closed"
)

func partsOfCases() []string { return []string{openCases, casesForUs, casesOthers, closedCases} }

// caseList is one page of one part of the cases, the one that moved last first.
type caseList struct {
	Part         string
	Parts        []place // to choose from
	Rows         []caseRow
	Newer, Older string // paths; empty: none
}

// caseRow is a case as a list shows it. Its texts are harmless, and no name of a victim is
// among them.
type caseRow struct {
	Path, Ref, Lead  string
	Last             time.Time
	Messages, Unread int
	Owed, Awaited    int
	Due              time.Time
	Left             string // until Due, or how late
	Late, Exercise   bool
	Closed           time.Time
	Missing          int
	Restricted       []reader
}

// maxCasesLooked bounds how many cases one page looks through for those of its part.
const maxCasesLooked = 400

func (s *Site) cases(v *visit) (answer, error) {
	list := caseList{Part: v.URL.Query().Get("part")}
	if !slices.Contains(partsOfCases(), list.Part) {
		return answer{}, errNoPage
	}
	for _, p := range partsOfCases() {
		list.Parts = append(list.Parts, place{Key: "cases.part-" + p, Path: casesPath(p, 0), Current: p == list.Part})
	}
	from, _ := strconv.Atoi(v.URL.Query().Get("from"))
	from = min(max(from, 0), 1_000_000)
	next, err := s.someCases(v, &list, from)
	if err != nil {
		return answer{}, err
	}
	if from > 0 {
		list.Newer = casesPath(list.Part, 0) // how far back a page began, no page knows
	}
	if next > 0 {
		list.Older = casesPath(list.Part, next)
	}
	return answer{page: "cases", title: "title.cases", shows: list}, nil
}

func casesPath(part string, from int) string {
	switch {
	case from > 0:
		return "/cases?part=" + part + "&from=" + strconv.Itoa(from)
	case part != "":
		return "/cases?part=" + part
	}
	return "/cases"
}

// someCases fills a page, and says where the next one begins; 0: there is none. It looks
// for more than it shows: nobody may read that nothing waits while something does further
// down.
func (s *Site) someCases(v *visit, list *caseList, from int) (next int, err error) {
	const batch = 100
	for looked := 0; looked < maxCasesLooked; looked += batch {
		all, err := v.node.Cases(v.Context(), schakel.Paging{Limit: batch, Offset: from + looked})
		if err != nil {
			return 0, err
		}
		for i, c := range all {
			if !inPart(c, list.Part) {
				continue
			}
			if len(list.Rows) == rowsPerPage {
				return from + looked + i, nil
			}
			list.Rows = append(list.Rows, s.caseRow(v.lang, c))
		}
		if len(all) < batch {
			return 0, nil
		}
	}
	return from + maxCasesLooked, nil
}

// inPart sorts cases. Of a restricted one nobody knows here what it waits for: it stands
// with the open ones.
func inPart(c schakel.CaseSummary, part string) bool {
	closed := !c.Closed.IsZero()
	switch part {
	case casesForUs:
		return !closed && c.Owed > 0
	case casesOthers:
		return !closed && c.Awaited > 0
	case closedCases:
		return closed
	}
	return !closed
}

func (s *Site) caseRow(l language, c schakel.CaseSummary) caseRow {
	r := caseRow{Path: casePath(c.Case), Ref: c.Case, Last: c.Last, Messages: c.Messages, Unread: c.Unread, Owed: c.Owed, Awaited: c.Awaited,
		Due: c.Due, Exercise: c.Exercise, Closed: c.Closed, Missing: c.Missing, Restricted: readers(c.Restricted)}
	if c.Owed > 0 {
		r.Left, r.Late = l.left(c.Due, s.Now())
	}
	switch {
	case !c.Closed.IsZero(), len(c.Restricted) > 0:
	case c.Lead == nil:
		r.Lead = l.word("cases.no-lead")
	case c.Lead.Number == 0:
		r.Lead = l.word("cases.claims", harmless.Line(string(c.Lead.Holder)))
	default:
		r.Lead = l.word("cases.leads", harmless.Line(string(c.Lead.Holder)))
	}
	return r
}

// number is what people call the case of a page.
func (c caseHead) number() string { return caseNumber(c.Ref) }

func (c restrictedCase) number() string { return caseNumber(c.Ref) }

func (m letter) number() string { return caseNumber(m.Case) }

// caseNumber is what people call a case: the beginning of its identifier, which is a time,
// and the end, which tells cases of one minute apart.
func caseNumber(ref string) string {
	ref = harmless.Line(ref)
	if len(ref) != len("019ab2c0-5f10-7a31-9c42-1d0e5a7b3c01") {
		return ref
	}
	return ref[:8] + "…" + ref[len(ref)-4:]
}

// deviceNumber is what people call a device: the end of its identifier, which tells devices
// of one day apart.
func deviceNumber(id string) string { return harmless.Line(id[max(0, len(id)-6):]) }

func casePath(ref string) string { return "/cases/" + ref }

func readers(all []schakel.Reader) (out []reader) {
	for _, r := range all {
		out = append(out, reader{harmless.Line(r.Name), harmless.Line(r.Telephone)})
	}
	return out
}

// left says how long there still is, or how late it is, in one unit that a person counts
// in.
func (l language) left(due, now time.Time) (words string, late bool) {
	const day = 24 * time.Hour
	left, key := due.Sub(now), "left."
	if left < 0 {
		left, key, late = -left, "late.", true
	}
	switch {
	case left >= 2*day:
		return l.count(key+"days", int(left/day)), late
	case left >= 2*time.Hour:
		return l.count(key+"hours", int(left/time.Hour)), late
	case left >= 2*time.Minute:
		return l.count(key+"minutes", int(left/time.Minute)), late
	}
	return l.word(key + "soon"), late
}
