package web

import (
	"errors"
	"net/http"
	"slices"

	"schakel/clients/harmless"
	"schakel/clients/schakel"
)

func restrictRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/cases/{ref}/restrict", Operation: "Restrict", Who: Users, serve: (*Site).restrictForm},
		{Method: "POST", Path: "/cases/{ref}/restrict", Operation: "Restrict", Who: Users, serve: (*Site).restrictCheck},
		{Method: "POST", Path: "/cases/{ref}/restrict/signed", Operation: "Restrict", Who: Users, serve: (*Site).restrict},
	}
}

// readersForm is who may read a case, as filled in so far: first the persons, and on a
// second page what that means and who signs it. Never with a PIN or a passphrase.
type readersForm struct {
	caseHead
	Now       []reader // who may read it; none: the whole desk
	By        string
	Contested bool
	Persons   []candidate
	Few       bool // fewer than two were chosen
	Outside   bool // this user is not one of those who may change it

	Added, Removed []string // by the second page
	Self           bool     // this user is one of the chosen
	NeedsGlass     bool
	Signer         string
	Wrong          bool // the PIN was
	Short, Unlike  bool // the passphrase was
	Trouble        *trouble
}

type candidate struct {
	ID, Name, Function string
	Chosen             bool
}

// minReaders is how many persons may read a restricted case at least: one falls ill.
const minReaders = 2

// minGlass is how long the passphrase for emergencies is at least.
const minGlass = 12

func (s *Site) restrictForm(v *visit) (answer, error) {
	f, err := s.readersForm(v, nil)
	return answer{page: "caserestrict", title: "title.case-restrict", shows: f}, err
}

// readersForm reads who was chosen, or with nil who may read the case now.
func (s *Site) readersForm(v *visit, chosen []string) (readersForm, error) {
	if v.user.Person == "" {
		return readersForm{}, schakel.ErrPersonNeeded
	}
	r, err := v.node.Restriction(v.Context(), v.PathValue("ref"))
	if err != nil {
		return readersForm{}, err
	}
	persons, err := v.node.Persons(v.Context())
	if err != nil {
		return readersForm{}, err
	}
	f := readersForm{caseHead: caseHead{Ref: r.Case, Here: "restrict"}, Now: readers(r.Readers), By: harmless.Line(r.By), Contested: r.Contested,
		Signer: harmless.Line(v.user.Name), NeedsGlass: len(r.Readers) == 0}
	may := func(id string) bool {
		return slices.ContainsFunc(r.Readers, func(x schakel.Reader) bool { return x.ID == id })
	}
	f.Outside = len(r.Readers) > 0 && !may(v.user.Person)
	picked := 0
	for _, p := range persons {
		c := candidate{ID: p.ID.String(), Name: harmless.Line(p.Name), Function: harmless.Line(p.Function)}
		c.Chosen = slices.Contains(chosen, c.ID) || chosen == nil && may(c.ID)
		switch {
		case c.Chosen && !may(c.ID):
			f.Added = append(f.Added, c.Name)
		case !c.Chosen && may(c.ID):
			f.Removed = append(f.Removed, c.Name)
		}
		if c.Chosen {
			picked++
		}
		f.Self = f.Self || c.Chosen && c.ID == v.user.Person
		f.Persons = append(f.Persons, c)
	}
	f.NeedsGlass = f.NeedsGlass || len(f.Removed) > 0
	f.Few = chosen != nil && picked < minReaders
	return f, nil
}

// restrictCheck shows what the choice means before anybody signs it.
func (s *Site) restrictCheck(v *visit) (answer, error) {
	f, err := s.chosenReaders(v)
	if err != nil {
		return answer{}, err
	}
	if f.Few || f.Outside {
		return answer{page: "caserestrict", title: "title.case-restrict-again", status: http.StatusUnprocessableEntity, shows: f}, nil
	}
	return answer{page: "caserestrictcheck", title: "title.case-restrict-check", shows: f}, nil
}

func (s *Site) chosenReaders(v *visit) (readersForm, error) {
	if err := v.ParseForm(); err != nil {
		return readersForm{}, err
	}
	return s.readersForm(v, append([]string{}, v.PostForm["to"]...))
}

func (s *Site) restrict(v *visit) (answer, error) {
	f, err := s.chosenReaders(v)
	if err != nil {
		return answer{}, err
	}
	if f.Few || f.Outside {
		return answer{page: "caserestrict", title: "title.case-restrict-again", status: http.StatusUnprocessableEntity, shows: f}, nil
	}
	glass := v.PostFormValue("glass")
	status := http.StatusUnprocessableEntity
	f.Short = f.NeedsGlass && len(glass) < minGlass
	f.Unlike = !f.Short && glass != v.PostFormValue("glass-again")
	if !f.Short && !f.Unlike {
		_, err := v.node.Restrict(v.Context(), f.Ref, v.PostForm["to"], schakel.By{Person: v.user.Person, PIN: v.PostFormValue("pin"), Glass: glass})
		if err == nil {
			return answer{goTo: casePath(f.Ref)}, nil
		}
		if f.Wrong = errors.Is(err, schakel.ErrPIN); f.Wrong {
			status = http.StatusForbidden
		} else {
			refused, code := troubleOf(err, v.lang)
			f.Trouble, status = &refused, code
		}
	}
	return answer{page: "caserestrictcheck", title: "title.case-restrict-again", status: status, shows: f}, nil
}
