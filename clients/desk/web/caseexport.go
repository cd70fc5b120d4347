package web

import (
	"errors"
	"net/http"

	"schakel/clients/harmless"
	"schakel/clients/schakel"
)

func exportRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/cases/{ref}/export", Operation: "ExportCase", Who: Users, serve: (*Site).exportForm},
		{Method: "POST", Path: "/cases/{ref}/export", Operation: "ExportCase", Who: Users, serve: (*Site).export},
	}
}

// leaving is a case before it leaves as a file: what that means, and the PIN.
type leaving struct {
	caseHead
	Messages   int
	More       bool // than were counted
	Restricted []reader
	File       string
	Signer     string
	Wrong      bool
	Trouble    *trouble
}

func (s *Site) exportForm(v *visit) (answer, error) {
	out, err := s.leaving(v)
	return answer{page: "caseexport", title: "title.case-export", shows: out}, err
}

func (s *Site) leaving(v *visit) (leaving, error) {
	if v.user.Person == "" {
		return leaving{}, schakel.ErrPersonNeeded
	}
	r, err := v.node.Restriction(v.Context(), v.PathValue("ref"))
	if err != nil {
		return leaving{}, err
	}
	all, err := v.node.List(v.Context(), schakel.Filter{Box: "all", Case: r.Case, Limit: maxOfCase})
	out := leaving{caseHead: caseHead{Ref: r.Case, Here: "export"}, Messages: len(all), More: len(all) == maxOfCase, Restricted: readers(r.Readers),
		File: fileOf(r.Case), Signer: harmless.Line(v.user.Name)}
	for _, m := range all {
		out.Exercise = out.Exercise || m.Exercise
	}
	return out, err
}

// fileOf names the file of a case: by its number, since a name in a folder of downloads
// is a name in the wrong place.
func fileOf(ref string) string { return "zaak-" + ref + ".zip" }

// export hands the file out as a download. It is never shown: its pages are for the
// machine of whoever gets it, and nothing in it becomes a page of this desk.
func (s *Site) export(v *visit) (answer, error) {
	out, err := s.leaving(v)
	if err != nil {
		return answer{}, err
	}
	pin := v.PostFormValue("pin")
	file := downloaded(v, out.File, "application/zip")
	if err = schakel.ErrPIN; pin != "" {
		err = v.node.ExportCase(v.Context(), out.Ref, schakel.By{Person: v.user.Person, PIN: pin}, file)
	}
	if err != nil && file.Begun() {
		file.CutOff()
	}
	status := http.StatusForbidden
	switch out.Wrong = errors.Is(err, schakel.ErrPIN); {
	case err == nil:
		return answer{sent: true}, nil
	case !out.Wrong:
		var refused trouble
		refused, status = troubleOf(err, v.lang)
		out.Trouble = &refused
	}
	return answer{page: "caseexport", title: "title.case-export-again", status: status, shows: out}, nil
}
