package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/schakel"
)

func notesRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/cases/{ref}/notes", Operation: "Worksheet", Who: Users, serve: (*Site).caseNotes},
		{Method: "POST", Path: "/cases/{ref}/notes", Operation: "Worksheet", Who: Users, serve: (*Site).caseNotes},
		{Method: "GET", Path: noteForm, Operation: "AddNote", Who: Users, writes: noteFields(), serve: (*Site).newNote},
		{Method: "POST", Path: noteForm, Operation: "AddNote", Who: Users, writes: noteFields(), serve: (*Site).addNote},
	}
}

const noteForm = "/cases/{ref}/notes/new"

func noteFields() fields { return fields{words: []string{"text"}} }

// worksheet is what this desk keeps to itself about a case. Its texts are harmless.
type worksheet struct {
	caseHead
	Holder  string   // colleague who has it; empty: nobody
	Also    []string // who took it at the same time
	Drafts  int
	Notes   []noteRow // newest first
	Text    string    // of a note that was not signed yet
	Slip    kept      // where that is until then
	Alone   bool      // the form stands on a page of its own
	Empty   bool      // it says nothing
	Long    bool      // it says too much
	Wrong   bool      // the PIN was
	Trouble *trouble
	Signer  string // who signs a note here; empty: this user does not
}

type noteRow struct {
	By, Text string
	At       time.Time
}

// worksheet reads what this desk keeps to itself about a case.
func (s *Site) worksheet(v *visit, ref string, by schakel.By) (worksheet, error) {
	w, err := v.node.Worksheet(v.Context(), ref, by)
	if err != nil {
		return worksheet{}, err
	}
	out := worksheet{caseHead: caseHead{Ref: w.Assignment.Case, Here: "notes"}, Holder: harmless.Line(w.Assignment.Name), Drafts: len(w.Drafts)}
	if v.user.Person != "" {
		out.Signer = harmless.Line(v.user.Name)
	}
	for _, name := range w.Assignment.Also {
		out.Also = append(out.Also, harmless.Line(name))
	}
	for i := range w.Notes {
		n := w.Notes[len(w.Notes)-1-i]
		out.Notes = append(out.Notes, noteRow{harmless.Line(n.By), harmless.Text(n.Text), n.At})
	}
	return out, out.goOn(s, v, by.PIN != "")
}

// goOn fills in what this user was typing. What belongs to a restricted case lies in memory,
// and is shown where the PIN was typed.
func (w *worksheet) goOn(s *Site, v *visit, proved bool) (err error) {
	path := casePath(w.Ref) + "/notes/new"
	p, _, err := s.slipAt(v, path)
	if err != nil || p != nil && p.closed && !proved {
		return err
	}
	if p != nil {
		w.Text = p.Typed.Get("text")
	}
	w.Slip, err = s.keptHere(v, path)
	return err
}

// newNote is the form on a page of its own, for a browser without scripts: the page of a case
// leaves for the lock screen by itself, and what is typed there would be gone.
func (s *Site) newNote(v *visit) (answer, error) {
	if err := v.signs(); err != nil {
		return answer{}, err
	}
	r, err := v.node.Restriction(v.Context(), v.PathValue("ref"))
	if err != nil {
		return answer{}, err
	}
	out := worksheet{caseHead: caseHead{Ref: r.Case, Here: "notes"}, Alone: true, Text: v.PostFormValue("text"), Signer: harmless.Line(v.user.Name)}
	out.Slip, err = s.keptHere(v, v.URL.Path)
	return answer{page: "casenotes", title: "title.case-note", shows: out, typing: true}, err
}

func (s *Site) caseNotes(v *visit) (answer, error) {
	return s.gated(v, func(by schakel.By) (answer, error) {
		out, err := s.worksheet(v, v.PathValue("ref"), by)
		if err == nil {
			err = s.Door.Opened(v.Context(), v.user, out.Ref)
		}
		return answer{page: "casenotes", title: "title.case-notes", shows: out}, err
	})
}

// addNote signs a note, or shows the form again with what was typed. In a restricted case
// the notes before it need the PIN once more.
func (s *Site) addNote(v *visit) (answer, error) {
	text := strings.ReplaceAll(v.PostFormValue("text"), "\r\n", "\n")
	again := worksheet{Alone: true, Text: text, Empty: strings.TrimSpace(text) == "", Long: len(text) > schakel.MaxNote, Signer: harmless.Line(v.user.Name)}
	again.Here = "notes"
	r, err := v.node.Restriction(v.Context(), v.PathValue("ref"))
	if err != nil {
		return answer{}, err
	}
	again.Ref = r.Case
	status := http.StatusUnprocessableEntity
	if !again.Empty && !again.Long {
		_, err := v.node.AddNote(v.Context(), r.Case, text, schakel.By{Person: v.user.Person, PIN: v.PostFormValue("pin")})
		if err == nil {
			return answer{goTo: casePath(r.Case) + "/notes"}, nil
		}
		if again.Wrong = errors.Is(err, schakel.ErrPIN); again.Wrong {
			status = http.StatusForbidden
		} else {
			refused, code := troubleOf(err, v.lang)
			again.Trouble, status = &refused, code
		}
	}
	again.Slip, err = s.keptHere(v, v.URL.Path)
	return answer{page: "casenotes", title: "title.case-notes-again", status: status, shows: again, typing: true}, err
}
