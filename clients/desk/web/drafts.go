package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/desk/web/formbody"
	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func draftRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/drafts", Operation: "Drafts", Who: Users, serve: (*Site).drafts},
		{Method: "GET", Path: "/drafts/{id}", Operation: "Drafts", Who: Users, serve: (*Site).draftPage},
		{Method: "POST", Path: "/drafts/{id}", Operation: "SaveDraft", Who: Users, serve: (*Site).continueDraft},
		{Method: "GET", Path: "/drafts/{id}/removal", Operation: "DropDraft", Who: Users, serve: (*Site).dropPage},
		{Method: "POST", Path: "/drafts/{id}/removal", Operation: "DropDraft", Who: Users, serve: (*Site).dropDraft},
		{Method: "GET", Path: "/sheets/{id}/removal", Operation: "Prepare", Who: Users, serve: (*Site).dropSheetPage},
		{Method: "POST", Path: "/sheets/{id}/removal", Operation: "Prepare", Who: Users, serve: (*Site).dropSheet},
	}
}

// draftList is what is being written: by this user on this device, and by all of this desk.
type draftList struct {
	Mine []draftRow
	Desk []draftRow
}

type draftRow struct {
	ID, Version string
	Path        string
	Class, By   string
	Gist        string
	Case        string
	To          string
	At          time.Time
	Nth         int  // in its list: two of one minute are told apart where links are read aloud
	Twice       bool // two people changed it without seeing each other
	Sealed      bool // of a restricted case: shown after the PIN
}

func (s *Site) drafts(v *visit) (answer, error) {
	mine, err := s.Sheets.List(v.Context(), v.user.ID)
	if err != nil {
		return answer{}, err
	}
	var page draftList
	for _, kept := range mine {
		p, err := paperOf(kept)
		if err != nil {
			return answer{}, err
		}
		row := draftRow{Nth: len(page.Mine) + 1, Gist: s.gist(p), ID: kept.ID, Path: p.path(), Class: s.formName(v.lang, p), Case: p.Case, At: kept.At, Sealed: p.closed}
		if !p.closed {
			row.To = p.addressed()
		}
		if _, err := identity.ParseUUID(p.Case); err != nil {
			row.Case = "" // it was named by a message of it
		}
		page.Mine = append(page.Mine, row)
	}
	saved, err := v.node.Drafts(v.Context(), "")
	if err != nil {
		return answer{}, err
	}
	times := map[string]int{}
	for _, d := range saved {
		times[d.ID]++
	}
	for _, d := range saved {
		row := s.draftRow(v.lang, d)
		row.Nth, row.Twice = len(page.Desk)+1, times[d.ID] > 1
		page.Desk = append(page.Desk, row)
	}
	return answer{page: "drafts", title: "title.drafts", shows: page}, nil
}

func (p *paper) addressed() (out string) {
	for _, to := range p.To {
		if out != "" {
			out += ", "
		}
		out += harmless.Line(to)
	}
	return out
}

func (s *Site) draftRow(l language, d schakel.SavedDraft) draftRow {
	row := draftRow{ID: d.ID, Version: d.Version, Path: "/drafts/" + url.PathEscape(d.ID), Class: s.className(l, d.Draft.Class), By: harmless.Line(d.By), At: d.At,
		Case: harmless.Line(d.Draft.Case)}
	if d.Draft.Class == "" {
		row.Class = l.word("drafts.no-class")
	}
	if form, err := s.Catalogue.Form(d.Draft.Class); err == nil && len(d.Draft.Body) > 0 {
		values, _ := protocol.ParseValues(d.Draft.Body) // what is none has no gist
		row.Gist = harmless.Line(formbody.Gist(form, formbody.Typed(form, values, calendar.Zone())))
	}
	for i, to := range d.Draft.To {
		if i > 0 {
			row.To += ", "
		}
		row.To += harmless.Line(string(to))
	}
	return row
}

// draftText is one version of a draft as a person reads it.
type draftText struct {
	draftRow
	Safe, Body []casefile.Said
	Mine       bool
}

// draftView is a draft with all its versions.
type draftView struct {
	ID       string
	Versions []draftText
	Mine     *draftText // what this user has, where it came too late
	Ticket   string     // of its sheet
	Class    string
	Gone     bool
	Unfit    bool // it says what a page cannot show
	WrongPIN bool
	Trouble  *trouble
	Version  string // that is to be dropped
}

func (s *Site) versions(v *visit, id string) (out []schakel.SavedDraft, err error) {
	all, err := v.node.Drafts(v.Context(), "")
	for _, d := range all {
		if d.ID == id {
			out = append(out, d)
		}
	}
	return out, err
}

func (s *Site) draftText(l language, d schakel.SavedDraft) draftText {
	form, err := s.Catalogue.Form(d.Draft.Class)
	if err != nil {
		form = protocol.Form{}
	}
	t := draftText{draftRow: s.draftRow(l, d)}
	if len(d.Draft.Body) > 0 {
		t.Safe, t.Body = l.said(d.Draft.Body, form)
	}
	return t
}

func (s *Site) draftView(v *visit) (draftView, []schakel.SavedDraft, error) {
	view := draftView{ID: v.PathValue("id")}
	found, err := s.versions(v, view.ID)
	if err == nil && len(found) == 0 {
		err = schakel.ErrNotFound
	}
	for _, d := range found {
		view.Versions = append(view.Versions, s.draftText(v.lang, d))
	}
	return view, found, err
}

func (s *Site) draftPage(v *visit) (answer, error) {
	view, _, err := s.draftView(v)
	return answer{page: "draft", title: "title.draft", shows: view}, err
}

// continueDraft goes on with one version of a draft of the desk, on a sheet of one's own.
func (s *Site) continueDraft(v *visit) (answer, error) {
	view, found, err := s.draftView(v)
	if err != nil {
		return answer{}, err
	}
	version := cmp.Or(v.PostFormValue("version"), found[0].Version)
	i := slices.IndexFunc(found, func(d schakel.SavedDraft) bool { return d.Version == version })
	if i < 0 {
		return answer{page: "draft", title: "title.draft", status: http.StatusConflict, shows: view}, nil
	}
	p, err := s.paperOfDraft(v, found[i])
	if err != nil {
		return answer{}, err
	}
	if p == nil {
		view.Unfit = true
		return answer{page: "draft", title: "title.draft", status: http.StatusUnprocessableEntity, shows: view}, nil
	}
	if _, err := s.scene(v, p, ""); err != nil {
		return answer{}, err
	}
	if err := s.keep(v, p); err != nil {
		return answer{}, err
	}
	return answer{goTo: p.path()}, nil
}

// paperOfDraft is a draft of the desk as a form, or nil where it says what no form shows:
// nothing of it may get lost by going on here.
func (s *Site) paperOfDraft(v *visit, d schakel.SavedDraft) (*paper, error) {
	form, err := s.Catalogue.Form(d.Draft.Class)
	if err != nil {
		return nil, nil
	}
	values := protocol.Values{}
	if len(d.Draft.Body) > 0 {
		if values, err = protocol.ParseValues(d.Draft.Body); err != nil {
			return nil, nil
		}
	}
	attached, err := s.attachedOf(v, d.Draft, values)
	if err != nil {
		return nil, err
	}
	p := &paper{Attached: attached, Class: d.Draft.Class, Urgency: d.Draft.Urgency, Case: d.Draft.Case, Answers: d.Draft.Answers, RestsOn: d.Draft.RestsOn,
		Exercise: d.Draft.Exercise, Saved: &schakel.SavedVersion{ID: d.ID, Version: d.Version}, Typed: formbody.Typed(form, values, calendar.Zone())}
	for _, to := range d.Draft.To {
		p.To = append(p.To, string(to))
	}
	back, wrong := formbody.Parse(form, p.Typed, calendar.Zone())
	shown := formbody.Typed(form, back, calendar.Zone())
	if len(wrong) == 0 && (!reflect.DeepEqual(shown, p.Typed) || len(formbody.Hidden(form, values)) > 0) {
		return nil, nil
	}
	return p, p.number(s)
}

// attachedOf are the files that a draft of the desk names, out of what its body says of them;
// a body that describes others has no form. They lie on the device where they were attached.
func (s *Site) attachedOf(v *visit, d schakel.Draft, values protocol.Values) (out []schakel.Attached, err error) {
	class, _ := s.Catalogue.Class(d.Class)
	field, ok := class.AttachmentField()
	if !ok || len(d.Attachments) == 0 {
		return nil, nil
	}
	described := s.Catalogue.FilesIn(d.Class, d.Body)
	if len(described) != len(d.Attachments) {
		return nil, nil
	}
	for i, id := range d.Attachments {
		out = append(out, schakel.Attached{ID: id, AttachedFile: described[i]})
	}
	delete(values, field.Name)
	return out, nil
}

// saveFor saves a paper as a draft of the desk, signed by its user.
func (s *Site) saveFor(v *visit, p *paper, pin string) error {
	d, err := s.sketch(p)
	if err != nil {
		return err
	}
	id, version := "", ""
	if p.Saved != nil {
		id, version = p.Saved.ID, p.Saved.Version
	}
	saved, err := v.node.SaveDraft(v.Context(), id, version, d, schakel.By{Person: v.user.Person, PIN: pin})
	if err != nil {
		return err
	}
	p.Saved = &schakel.SavedVersion{ID: saved.ID, Version: saved.Version}
	return s.keep(v, p)
}

// saveDraft is the button by which colleagues see what is being written.
func (s *Site) saveDraft(v *visit, p *paper, c scene) (answer, error) {
	if err := s.saveFor(v, p, v.PostForm.Get("pin")); err != nil {
		return s.notSaved(v, p, c, err)
	}
	if err := s.Sheets.Drop(v.Context(), v.user.ID, p.ID); err != nil {
		return answer{}, err
	}
	return answer{goTo: "/drafts"}, nil
}

// notSaved shows why a draft was not saved, with all that was typed.
func (s *Site) notSaved(v *visit, p *paper, c scene, err error) (answer, error) {
	switch {
	case errors.Is(err, schakel.ErrPIN):
		return s.form(v, p, c, formTrouble{WrongPIN: true, status: http.StatusForbidden})
	case p.Saved != nil && (errors.Is(err, schakel.ErrNotFound) || errors.Is(err, schakel.ErrDraftVersions)):
		return s.conflict(v, p, v.PostForm.Get("pin"))
	case desk.ProblemOf(err).Status >= http.StatusInternalServerError:
		return answer{}, err
	}
	refused, status := troubleOf(err, v.lang)
	return s.form(v, p, c, formTrouble{Trouble: &refused, status: status})
}

// conflict shows a paper beside what others made of the same draft meanwhile: both stay,
// and a person decides.
func (s *Site) conflict(v *visit, p *paper, pin string) (answer, error) {
	var by []schakel.By
	if p.closed {
		by = append(by, schakel.By{Person: v.user.Person, PIN: pin})
	}
	all, err := v.node.Drafts(v.Context(), "", by...)
	if err != nil {
		return answer{}, err
	}
	view := draftView{ID: p.Saved.ID, Class: p.Class}
	for _, d := range all {
		if d.ID == p.Saved.ID {
			view.Versions = append(view.Versions, s.draftText(v.lang, d))
		}
	}
	view.Gone = len(view.Versions) == 0
	d, err := s.sketch(p)
	if err != nil {
		return answer{}, err
	}
	mine := s.draftText(v.lang, schakel.SavedDraft{By: v.user.Name, At: s.Now(), Draft: d})
	mine.Mine, view.Mine = true, &mine
	if view.Ticket, err = s.Sheets.Ticket(v.Context(), v.user.ID, p.ID); err != nil {
		return answer{}, err
	}
	return answer{page: "draft", title: "title.draft-conflict", status: http.StatusConflict, shows: view}, nil
}

// goOnAfresh makes a paper a new draft, beside the one that others changed or sent.
func (s *Site) goOnAfresh(v *visit, id string) (answer, error) {
	p, err := s.keptPaper(v, id)
	if err != nil {
		return answer{}, err
	}
	p.Saved = nil
	return answer{goTo: p.path()}, s.keep(v, p)
}

func (s *Site) dropPage(v *visit) (answer, error) {
	view, found, err := s.draftView(v)
	if err != nil {
		return answer{}, err
	}
	view.Version = cmp.Or(v.FormValue("version"), found[0].Version)
	return answer{page: "draft-removal", title: "title.draft-removal", shows: view}, nil
}

func (s *Site) dropDraft(v *visit) (answer, error) {
	found, err := s.versions(v, v.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	err = v.node.DropDraft(v.Context(), v.PathValue("id"), v.PostFormValue("version"), schakel.By{Person: v.user.Person, PIN: v.PostFormValue("pin")})
	if errors.Is(err, schakel.ErrPIN) {
		a, err := s.dropPage(v)
		if view, ok := a.shows.(draftView); ok {
			view.WrongPIN = true
			a.shows, a.status = view, http.StatusForbidden
		}
		return a, err
	}
	if err == nil && len(found) == 1 { // another version may need them
		err = s.forgetFiles(v, found[0].Draft.Attachments)
	}
	return answer{goTo: "/drafts"}, err
}

func (s *Site) dropSheetPage(v *visit) (answer, error) {
	p, err := s.keptPaper(v, v.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	kept := draftText{draftRow: draftRow{ID: p.ID, Class: s.formName(v.lang, p), Sealed: p.closed}}
	switch {
	case p.closed:
	case p.Form != "":
		kept.Body = []casefile.Said{{Label: kept.Class, Text: harmless.Text(s.typedOn(p))}}
	default:
		d, err := s.sketch(p)
		if err != nil {
			return answer{}, err
		}
		kept = s.draftText(v.lang, schakel.SavedDraft{ID: p.ID, Draft: d})
	}
	return answer{page: "sheet-removal", title: "title.draft-removal", shows: kept}, nil
}

func (s *Site) dropSheet(v *visit) (answer, error) {
	p, err := s.keptPaper(v, v.PathValue("id"))
	if err != nil && !errors.Is(err, sheets.ErrNone) {
		return answer{}, err
	}
	err = s.Sheets.Drop(v.Context(), v.user.ID, v.PathValue("id"))
	if err == nil && p != nil && p.Saved == nil { // a draft of the desk still needs them
		err = s.forgetFiles(v, p.attachedIDs())
	}
	return answer{goTo: "/drafts"}, err
}
