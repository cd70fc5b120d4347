package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"schakel/clients/desk/web/formbody"
	"schakel/clients/harmless"
	"schakel/clients/schakel"
)

// A slip is what a user typed in a form that is no message, such as a note, and has not
// signed yet. It is kept as a message is that somebody writes, until the form did what it is
// for. Of a restricted case it lies in memory only, and is shown after the PIN.

// fields are those of a form that are kept of it. A form in which only choices were made is
// no work that anybody misses.
type fields struct{ words, choices []string }

func (f fields) any() bool { return len(f.words) > 0 }

// kept is where a form that comes back finds its slip again.
type kept struct {
	Ticket string
	At     time.Time // zero: nothing was kept
}

// slipOf is what a form says that was sent, about the case or the message of its path.
func slipOf(v *visit, route Route) *paper {
	p := &paper{Form: v.URL.Path, Typed: url.Values{}}
	if strings.HasPrefix(route.Path, "/cases/") {
		p.Case = v.PathValue("ref")
	} else {
		p.Answers = v.PathValue("ref")
	}
	for _, name := range slices.Concat(route.writes.words, route.writes.choices) {
		if typed := v.PostForm.Get(name); typed != "" {
			p.Typed.Set(name, typed)
		}
	}
	return p
}

// says is what of a slip somebody wrote, and not chose.
func (p *paper) says(f fields) string {
	for _, name := range f.words {
		if words := strings.TrimSpace(p.Typed.Get(name)); words != "" {
			return words
		}
	}
	return ""
}

// written serves a form in which people write. What was typed is kept before anything else
// happens, and forgotten when the form did what it is for.
func (s *Site) written(v *visit, route Route) (answer, error) {
	if v.Method == http.MethodGet {
		return s.goOnWriting(v, route)
	}
	posted, err := s.posted(v)
	if err != nil {
		return answer{}, err
	}
	p := slipOf(v, route)
	p.ID, v.slip = posted.ID, p
	button := v.PostForm.Get("do")
	if button == "open" {
		return s.openSlip(v, route)
	}
	if p.says(route.writes) != "" {
		p.closed = s.restricted(v, p)
		if err = s.keep(v, p); err != nil && button == "keep" {
			return answer{}, err // a form that does something carries it by itself
		}
	}
	if button == "keep" {
		return answer{goTo: p.Form}, nil
	}
	a, err := route.serve(s, v)
	if err == nil && a.goTo != "" {
		err = s.Sheets.Drop(v.Context(), v.user.ID, p.ID)
	}
	return a, err
}

// slipAt is the last that a user typed in the form at a path, or nil.
func (s *Site) slipAt(v *visit, path string) (*paper, time.Time, error) {
	all, err := s.Sheets.List(v.Context(), v.user.ID)
	for _, sheet := range all {
		if sheet.Class == path {
			p, err := paperOf(sheet)
			return p, sheet.At, err
		}
	}
	return nil, time.Time{}, err
}

// goOnWriting shows a form with what its user typed before.
func (s *Site) goOnWriting(v *visit, route Route) (answer, error) {
	p, _, err := s.slipAt(v, v.URL.Path)
	switch {
	case err != nil:
		return answer{}, err
	case p != nil && p.closed:
		return s.sealed(v, p, 0)
	}
	return s.filledIn(v, route, p)
}

// filledIn serves a form as if what a slip says had been typed just now. A choice that the
// address makes is newer than one that was kept.
func (s *Site) filledIn(v *visit, route Route, p *paper) (answer, error) {
	if err := v.ParseForm(); err != nil {
		return answer{}, errNoPage
	}
	if v.slip = p; p != nil {
		for name, values := range p.Typed {
			if !v.URL.Query().Has(name) {
				v.PostForm[name], v.Form[name] = values, values
			}
		}
	}
	i := slices.IndexFunc(Routes(), func(r Route) bool { return r.Method == http.MethodGet && r.Path == route.Path })
	return Routes()[i].serve(s, v)
}

// openSlip shows what was kept of a restricted case to who proves to have typed it.
func (s *Site) openSlip(v *visit, route Route) (answer, error) {
	p, _, err := s.slipAt(v, v.URL.Path)
	if err != nil || p == nil || !p.closed {
		return answer{goTo: v.URL.Path}, err
	}
	if err := s.proves(v, p); errors.Is(err, schakel.ErrPIN) {
		return s.sealed(v, p, http.StatusForbidden)
	} else if err != nil {
		return answer{}, err
	}
	v.PostForm.Del("pin")
	return s.filledIn(v, route, p)
}

// openPaper is openSlip for a message.
func (s *Site) openPaper(v *visit, id, pin string) (answer, error) {
	p, err := s.keptPaper(v, id)
	if err != nil {
		return answer{}, err
	}
	if !p.closed {
		return answer{goTo: p.path()}, nil
	}
	if err := s.proves(v, p); errors.Is(err, schakel.ErrPIN) {
		return s.sealed(v, p, http.StatusForbidden)
	} else if err != nil {
		return answer{}, err
	}
	c, err := s.scene(v, p, pin)
	if errors.Is(err, schakel.ErrRestricted) { // may not read it any more: the words are still the writer's own
		c, err = s.scene(v, p, "")
	}
	if err != nil {
		return answer{}, err
	}
	return s.form(v, p, c, formTrouble{})
}

// proves refuses with ErrPIN who does not prove to be the user that is signed in. Whoever may
// not read the case proves it just as well: what is shown is the user's own.
func (s *Site) proves(v *visit, p *paper) error {
	by := prover(v)
	if by.PIN == "" {
		return schakel.ErrPIN
	}
	_, err := v.node.Overview(v.Context(), p.refs()[0], by)
	if errors.Is(err, schakel.ErrRestricted) {
		return nil
	}
	return err
}

// sealedPage says that something was kept of a restricted case, and nothing of what.
type sealedPage struct {
	What   string // the form
	Action string
	ID     string
	Ticket string
	Signer string
	Wrong  bool
}

func (s *Site) sealed(v *visit, p *paper, status int) (answer, error) {
	ticket, err := s.Sheets.Ticket(v.Context(), v.user.ID, p.ID)
	out := sealedPage{What: s.formName(v.lang, p), Action: p.Form, ID: p.ID, Ticket: ticket, Signer: harmless.Line(v.user.Name), Wrong: status != 0}
	if p.Form == "" {
		out.Action = "/compose/" + url.PathEscape(p.Class)
	}
	title := "title.sealed"
	if out.Wrong {
		title = "title.sealed-again"
	}
	return answer{page: "sealed", title: title, status: status, shows: out}, err
}

// formName is what a person calls the form of a paper.
func (s *Site) formName(l language, p *paper) string {
	switch {
	case p.Form == "":
		return s.className(l, p.Class)
	case strings.HasPrefix(p.Form, "/cases/"):
		return l.word("notes.text")
	}
	return l.word("title.acknowledge")
}

// gist is a paper in a few words, for a list.
func (s *Site) gist(p *paper) string {
	if p.closed {
		return ""
	}
	if p.Form == "" {
		form, _ := s.Catalogue.Form(p.Class) // of a class that is no more: no gist
		return harmless.Line(formbody.Gist(form, p.Typed))
	}
	return harmless.Line(formbody.Short(s.typedOn(p)))
}

// typedOn is what of a slip somebody would miss.
func (s *Site) typedOn(p *paper) string {
	i := slices.IndexFunc(Routes(), func(r Route) bool { return p.says(r.writes) != "" })
	if i < 0 {
		return ""
	}
	return p.says(Routes()[i].writes)
}

// keptHere is the ticket of the form at a path that is being shown, and when it was kept.
func (s *Site) keptHere(v *visit, path string) (k kept, err error) {
	p, at, err := s.slipAt(v, path)
	if err != nil {
		return k, err
	}
	switch {
	case v.slip != nil && v.slip.ID != "":
		if p == nil || p.ID != v.slip.ID {
			at = time.Time{}
		}
		p = v.slip
	case p == nil:
		p = &paper{}
		if err := p.number(s); err != nil {
			return k, err
		}
	}
	k.At = at
	k.Ticket, err = s.Sheets.Ticket(v.Context(), v.user.ID, p.ID)
	return k, err
}
