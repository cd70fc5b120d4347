package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/schakel"
)

func searchRoutes() []Route {
	return []Route{{Method: "GET", Path: "/search", Operation: "Search", Who: Users, serve: (*Site).search}}
}

// lookup is what somebody looked for, and what was found.
type lookup struct {
	Words          string
	Asked          bool   // there was something to look for
	Wrong          string // why nothing was looked for; empty: it was
	Total          int
	Unreadable     int
	Rows           []hit
	Earlier, Later string // paths of the pages beside this one; empty: none
}

// hit is a row of what was found: a message as a row of the inbox shows it, or a note or
// draft. Its texts are harmless.
type hit struct {
	Kind    schakel.HitKind
	Message item
	By      string
	At      time.Time
	Case    string
	Class   string
	Path    string // where the note or draft is read; empty: the user may not
}

// search shows where words stand, not what is said there: reading it is an opening, and
// noted as one.
func (s *Site) search(v *visit) (answer, error) {
	words := v.URL.Query().Get("q")
	from, _ := strconv.Atoi(v.URL.Query().Get("from"))
	from = min(max(from, 0), 1_000_000)
	page := lookup{Words: harmless.Line(words), Asked: words != ""}
	a := answer{page: "search", title: "title.search", shows: &page}
	if !page.Asked {
		return a, nil
	}
	found, err := v.node.Search(v.Context(), schakel.Search{Words: words, Skip: from, Limit: rowsPerPage})
	if errors.Is(err, schakel.ErrNoWords) {
		page.Wrong = v.lang.word("search.no-words")
		return answer{page: "search", title: "title.search-again", status: http.StatusBadRequest, shows: &page}, nil
	}
	if err != nil {
		return answer{}, err
	}
	page.Total, page.Unreadable = found.Total, found.Unreadable
	for _, h := range found.Hits {
		page.Rows = append(page.Rows, s.hit(v, h))
	}
	path := func(n int) string { return "/search?" + url.Values{"q": {words}, "from": {strconv.Itoa(n)}}.Encode() }
	if from > 0 {
		page.Earlier = path(max(from-rowsPerPage, 0))
	}
	if from+len(found.Hits) < found.Total && len(found.Hits) > 0 {
		page.Later = path(from + len(found.Hits))
	}
	return a, nil
}

func (s *Site) hit(v *visit, h schakel.Hit) hit {
	out := hit{Kind: h.Kind, By: harmless.Line(h.By), At: h.At, Case: h.Case}
	if h.Message != nil {
		out.Message = s.item(v.lang, *h.Message)
	}
	if h.Class != "" {
		out.Class = s.className(v.lang, h.Class)
	}
	switch {
	case h.Kind == schakel.HitDraft && v.may("Drafts"):
		out.Path = "/drafts"
	case h.Kind == schakel.HitNote && h.Case != "" && v.may("Worksheet"):
		out.Path = "/cases/" + h.Case + "/notes"
	}
	return out
}
