package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/desk/web/formbody"
	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/writing"
	"schakel/crypto/identity"
)

// checking is what somebody looks at before a message goes: a message cannot be called back.
type checking struct {
	*paper
	Label             string
	Ticket            string
	Orgs              int
	To                []addressee
	Unreached         []party
	NewCase, Exercise bool
	AnswersTo         string
	Rests, Encloses   []string
	AckDue, AnswerDue time.Time
	Telephone         bool
	Safe, Body        []casefile.Said
	Refused           *trouble
	Fields            []formbody.Fault // of what is refused, where it has fields
	Signer            string
	WrongPIN, NotSure bool
	Trouble           *trouble
	Closed            bool
	Files             []attachedFile
	Stale             *staleness // the register is too old to send by
	prepared          schakel.Prepared
	draft             schakel.Draft
}

// addressee is a recipient with what the register proves of it, and what is unusual.
type addressee struct {
	party
	ID        string
	Telephone string
	Verified  bool
	Added     bool // must hear it by the rules
	Doubt     string
	Sure      bool
	Missing   bool // the tick that must be there
}

func (s *Site) checkPage(v *visit) (answer, error) {
	kept, err := s.Sheets.Get(v.Context(), v.user.ID, v.URL.Query().Get("sheet"))
	if err != nil {
		return answer{}, err
	}
	if kept.Sent != "" {
		return answer{goTo: "/messages/" + kept.Sent + "/sent"}, nil
	}
	p, err := paperOf(kept)
	if err != nil {
		return answer{}, err
	}
	c, err := s.scene(v, p, "")
	if err != nil {
		return answer{}, err
	}
	if _, _, wrong, err := s.readPaper(p); err != nil || len(wrong) > 0 || s.unsure(p, c) || p.closed {
		return answer{goTo: p.path()}, err
	}
	return s.check(v, p, c, "", func(*checking) {}, 0)
}

// checkClosed is the check page of a message in a restricted case: it is kept for the
// persons named for that case, and here only in the page itself.
func (s *Site) checkClosed(v *visit, p *paper, c scene, pin string) (answer, error) {
	if err := s.saveFor(v, p, pin); err != nil {
		return s.notSaved(v, p, c, err)
	}
	return s.check(v, p, c, pin, func(*checking) {}, 0)
}

// check makes the check page; wrong adds why it is shown again.
func (s *Site) check(v *visit, p *paper, c scene, pin string, wrong func(*checking), status int) (answer, error) {
	page, err := s.checked(v, p, c, pin)
	if err != nil {
		refused, code := troubleOf(err, v.lang)
		return s.form(v, p, c, formTrouble{Trouble: &refused, status: code})
	}
	wrong(&page)
	title := "title.check"
	if status != 0 {
		title = "title.check-again"
	}
	return answer{page: "check", title: title, status: status, shows: page}, nil
}

// checked has Schakel complete the message and says what it becomes.
func (s *Site) checked(v *visit, p *paper, c scene, pin string) (page checking, err error) {
	values, body, _, err := s.readPaper(p)
	if err != nil {
		return page, err
	}
	d := p.draft(values, body)
	if pin != "" {
		d.Person, d.PIN = v.user.Person, pin
	}
	stale := v.staleness(c.status.RegisterAge, p.Urgency)
	d.Override = stale.word()
	prepared, err := v.node.Prepare(v.Context(), d)
	if err != nil {
		return page, err
	}
	names, err := s.names(v)
	if err != nil {
		return page, err
	}
	page = checking{paper: p, Label: harmless.Line(v.lang.of(c.form.Label)), NewCase: prepared.Opens, Exercise: prepared.Exercise,
		AckDue: prepared.AckDue, AnswerDue: prepared.AnswerDue, Telephone: prepared.Telephone, Signer: harmless.Line(c.signs.Name),
		Closed: p.closed, Stale: stale, prepared: prepared, draft: d}
	page.Safe, page.Body = v.lang.said(body, c.form)
	if page.Files, err = s.attachedFiles(v, p); err != nil {
		return page, err
	}
	if len(page.Files) > 0 {
		page.Body = s.withoutFiles(v.lang, p.Class, page.Body)
	}
	page.addressed(v, c, names, writing.Doubts(prepared, c.desks, writing.Places(values), c.zaak, c.status.Desk))
	for _, id := range prepared.Unreached {
		page.Unreached = append(page.Unreached, names[id])
	}
	if prepared.Answers != nil {
		page.AnswersTo = s.namedLine(v.lang, *prepared.Answers)
	}
	for _, m := range prepared.RestsOn {
		page.Rests = append(page.Rests, s.namedLine(v.lang, m))
	}
	for _, m := range prepared.Encloses {
		page.Encloses = append(page.Encloses, s.namedLine(v.lang, m))
	}
	if r := prepared.Refusal; r != nil {
		refused, _ := troubleOf(r, v.lang)
		page.Refused = &refused
		if len(r.Faults) > 0 {
			page.Fields = formbody.Refused(c.form, r)
		}
	}
	page.Ticket, err = s.Sheets.Ticket(v.Context(), v.user.ID, p.ID)
	return page, err
}

func (page *checking) addressed(v *visit, c scene, names map[identity.DeskID]party, doubts map[identity.DeskID]writing.Doubt) {
	sure := v.PostForm["sure"]
	orgs := map[identity.OrgID]bool{}
	for _, id := range page.prepared.To {
		orgs[id.Org()] = true
		a := addressee{party: names[id], ID: string(id), Added: slices.Contains(page.prepared.Added, id), Sure: slices.Contains(sure, string(id))}
		if a.Desk == "" {
			a.Desk = harmless.Line(string(id))
		}
		if i := slices.IndexFunc(c.desks, func(d schakel.Desk) bool { return d.ID == id }); i >= 0 {
			a.Verified, a.Telephone = true, harmless.Line(c.desks[i].Telephone)
		}
		if doubt, ok := doubts[id]; ok {
			a.Doubt = v.lang.word("doubt." + string(doubt))
		}
		page.To = append(page.To, a)
	}
	page.Orgs = len(orgs)
}

func (s *Site) namedLine(l language, m schakel.Named) string {
	if m.Class == "" {
		return harmless.Line(m.ID.String())
	}
	parts := []string{s.className(l, m.Class), harmless.Line(string(m.From)), l.when(m.Created)}
	return strings.Join(parts, ", ")
}

// send is the last button. Whoever presses it twice sends once: the sheet says what it
// became, and the draft that it was made of is gone with the message, in one transaction.
func (s *Site) send(v *visit) (answer, error) {
	p, err := s.posted(v)
	if err != nil {
		return answer{}, err
	}
	defer s.Sheets.Hold(v.user.ID, p.ID)()
	pin := v.PostForm.Get("pin")
	kept, err := s.Sheets.Get(v.Context(), v.user.ID, p.ID)
	switch {
	case err == nil && kept.Sent != "":
		return answer{goTo: "/messages/" + kept.Sent + "/sent"}, nil
	case err == nil && !kept.Aside: // of a restricted case the page itself says all
		if p, err = paperOf(kept); err != nil {
			return answer{}, err
		}
	case err != nil && !errors.Is(err, sheets.ErrNone):
		return answer{}, err
	}
	c, err := s.scene(v, p, pin)
	if errors.Is(err, schakel.ErrPIN) {
		return s.wrongPIN(v, p)
	}
	if err != nil {
		return answer{}, err
	}
	if kept.ID == "" && !p.closed {
		return answer{}, sheets.ErrNone // thrown away in another tab
	}
	if v.PostForm.Get("do") == "back" {
		return s.form(v, p, c, formTrouble{})
	}
	return s.sendNow(v, p, c, pin)
}

func (s *Site) wrongPIN(v *visit, p *paper) (answer, error) {
	c, err := s.scene(v, p, "")
	if err != nil {
		return answer{}, err
	}
	if p.closed {
		return s.form(v, p, c, formTrouble{WrongPIN: true, status: http.StatusForbidden})
	}
	return s.check(v, p, c, "", func(page *checking) { page.WrongPIN = true }, http.StatusForbidden)
}

func (s *Site) sendNow(v *visit, p *paper, c scene, pin string) (answer, error) {
	if _, _, wrong, err := s.readPaper(p); err != nil || len(wrong) > 0 || s.unsure(p, c) {
		p.Tried = true
		return s.form(v, p, c, formTrouble{status: http.StatusUnprocessableEntity})
	}
	closedPIN := ""
	if p.closed {
		closedPIN = pin
	}
	page, err := s.checked(v, p, c, closedPIN)
	if err != nil {
		refused, code := troubleOf(err, v.lang)
		return s.form(v, p, c, formTrouble{Trouble: &refused, status: code})
	}
	again := func(wrong func(*checking), status int) (answer, error) {
		wrong(&page)
		return answer{page: "check", title: "title.check-again", status: status, shows: page}, nil
	}
	if page.unsureOfSomebody() {
		return again(func(page *checking) { page.NotSure = true }, http.StatusUnprocessableEntity)
	}
	if page.prepared.Refusal != nil {
		return again(func(*checking) {}, http.StatusUnprocessableEntity)
	}
	word, ok := page.Stale.override(v.lang)
	if !ok {
		return again(func(*checking) {}, http.StatusUnprocessableEntity)
	}
	if p.Saved == nil {
		err = s.saveFor(v, p, pin)
	}
	var sent schakel.Sent
	if err == nil {
		d := page.draft
		d.To, d.Person, d.PIN, d.Saved, d.Override = page.prepared.To, v.user.Person, pin, p.Saved, word
		sent, err = v.node.Send(v.Context(), d)
	}
	var rule *protocol.Refusal
	switch {
	case err == nil:
		return s.sentNow(v, p, sent)
	case errors.Is(err, schakel.ErrPIN):
		return again(func(page *checking) { page.WrongPIN = true }, http.StatusForbidden)
	case errors.Is(err, schakel.ErrNotFound) && p.Saved != nil:
		return s.conflict(v, p, pin)
	case errors.As(err, &rule), desk.ProblemOf(err).Status < http.StatusInternalServerError:
		refused, status := troubleOf(err, v.lang)
		return again(func(page *checking) { page.Trouble = &refused }, status)
	}
	return answer{}, err
}

// PaperTo is what was chosen, without whom the rules add.
func (page checking) PaperTo() []string { return page.paper.To }

// unsureOfSomebody reports whether a tick is missing at an unusual recipient.
func (page *checking) unsureOfSomebody() (missing bool) {
	for i := range page.To {
		page.To[i].Missing = page.To[i].Doubt != "" && !page.To[i].Sure
		missing = missing || page.To[i].Missing
	}
	return missing
}

// sentNow notes that a sheet became a message. Where that fails, the draft is gone all the
// same: a second try finds none, and sends nothing.
func (s *Site) sentNow(v *visit, p *paper, sent schakel.Sent) (answer, error) {
	if err := s.Sheets.MarkSent(v.Context(), v.user.ID, p.ID, sent.Hash); err != nil {
		s.Log.Warn("a sheet was not marked as sent", "err", err)
	}
	return answer{goTo: "/messages/" + sent.Hash + "/sent"}, nil
}

// sentPage shows how far a message is with each desk.
func (s *Site) sentPage(v *visit) (answer, error) {
	names, err := s.names(v)
	if err != nil {
		return answer{}, err
	}
	m, err := v.node.Trace(v.Context(), v.PathValue("ref"))
	if err != nil {
		return answer{}, err
	}
	if m.Inbound {
		return answer{goTo: "/messages/" + m.Hash}, nil
	}
	return answer{page: "sent", title: "title.sent", shows: s.letter(v.lang, schakel.Letter{Summary: m}, names)}, nil
}
