package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"schakel/clients/desk/sheets"
	"schakel/clients/desk/web/formbody"
	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/clients/schakel"
	"schakel/clients/writing"
)

func composeRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/compose", Operation: "Prepare", Who: Users, serve: (*Site).chooseClass},
		{Method: "GET", Path: "/messages/{ref}/answer", Operation: "Prepare", Who: Users, serve: (*Site).chooseAnswer},
		{Method: "GET", Path: "/compose/{class}", Operation: "Prepare", Who: Users, serve: (*Site).compose},
		{Method: "POST", Path: "/compose/{class}", Operation: "Prepare", Who: Users, keeps: true, serve: (*Site).composed},
		{Method: "GET", Path: "/compose/{class}/check", Operation: "Prepare", Who: Users, serve: (*Site).checkPage},
		{Method: "POST", Path: "/compose/{class}/check", Operation: "Send", Who: Users, keeps: true, serve: (*Site).send},
		{Method: "GET", Path: "/messages/{ref}/sent", Operation: "Trace", Who: Users, serve: (*Site).sentPage},
	}
}

// kinds are the classes that one may begin, by what somebody wants.
type kinds struct {
	Groups []kindGroup
	About  *item  // the message that is answered
	Case   string // the case that it belongs to
}

type kindGroup struct {
	Want  string
	Kinds []kindOfMessage
}

type kindOfMessage struct{ Path, Label, Help string }

// wants are the groups of the catalogue's classes, in plain words. What a class answers or
// continues is begun from there; what partners added of their own stands in a group apart.
func wants() []struct {
	key     string
	classes []string
	inCase  bool // makes sense only in a case that there is
} {
	type group = struct {
		key     string
		classes []string
		inCase  bool
	}
	return []group{
		{"report", []string{protocol.ClassSignal, protocol.ClassReport, protocol.ClassAbroad}, false},
		{"ask", []string{protocol.ClassQuestion, protocol.ClassCallBack, "informatieverzoek", protocol.ClassVerify, protocol.ClassAction}, false},
		{"case", []string{protocol.ClassFeedback, protocol.ClassWeighing, protocol.ClassHandover, protocol.ClassInvitation, protocol.ClassOffence,
			protocol.ClassTravel, protocol.ClassPlan, protocol.ClassLink, protocol.ClassClosing}, true},
	}
}

// elsewhere are begun at the message that they are about.
func elsewhere() []string {
	return []string{protocol.ClassAdvice, "informatieantwoord", protocol.ClassVerified, protocol.ClassDecision, protocol.ClassCorrection, protocol.ClassWithdrawal}
}

func (s *Site) chooseClass(v *visit) (answer, error) {
	status, err := v.node.Status(v.Context())
	if err != nil {
		return answer{}, err
	}
	q := v.URL.Query()
	k := kinds{Case: harmless.Line(q.Get("case")[:min(len(q.Get("case")), maxRef)])}
	may := writing.Classes(s.Catalogue, status.Role)
	grouped := elsewhere()
	for _, w := range wants() {
		grouped = append(grouped, w.classes...)
		if w.inCase && k.Case == "" {
			continue
		}
		g := kindGroup{Want: w.key}
		for _, name := range w.classes {
			g.add(s, v.lang, may, name, url.Values{"case": {k.Case}})
		}
		k.Groups = append(k.Groups, g)
	}
	own := kindGroup{Want: "own"}
	for _, c := range may {
		if !slices.Contains(grouped, c.Name) {
			own.add(s, v.lang, may, c.Name, url.Values{"case": {k.Case}})
		}
	}
	k.Groups = slices.DeleteFunc(append(k.Groups, own), func(g kindGroup) bool { return len(g.Kinds) == 0 })
	return answer{page: "choose", title: "title.compose", shows: k}, nil
}

func (g *kindGroup) add(s *Site, l language, may []protocol.Class, name string, about url.Values) {
	form, err := s.Catalogue.Form(name)
	if err != nil || !slices.ContainsFunc(may, func(c protocol.Class) bool { return c.Name == name }) {
		return
	}
	for k, x := range about {
		if len(x) == 0 || x[0] == "" {
			delete(about, k)
		}
	}
	path := "/compose/" + url.PathEscape(name)
	if len(about) > 0 {
		path += "?" + about.Encode()
	}
	g.Kinds = append(g.Kinds, kindOfMessage{path, harmless.Line(l.of(form.Label)), harmless.Line(l.of(form.Help))})
}

// chooseAnswer shows the classes that may answer a message, and leads on where it is one.
func (s *Site) chooseAnswer(v *visit) (answer, error) {
	m, err := s.summary(v)
	if err != nil {
		return answer{}, err
	}
	status, err := v.node.Status(v.Context())
	if err != nil {
		return answer{}, err
	}
	desks, err := v.node.Directory(v.Context())
	if err != nil {
		return answer{}, err
	}
	row := s.item(v.lang, m)
	k, g := kinds{About: &row, Case: m.Case}, kindGroup{Want: "answer"}
	for _, name := range s.answersTo(m, status, desks) {
		g.add(s, v.lang, writing.Classes(s.Catalogue, status.Role), name, url.Values{"answers": {m.Hash}})
	}
	if len(g.Kinds) == 1 {
		return answer{goTo: g.Kinds[0].Path}, nil
	}
	if len(g.Kinds) > 0 {
		k.Groups = append(k.Groups, g)
	}
	return answer{page: "choose", title: "title.answer", shows: k}, nil
}

// answersTo are the classes by which this desk can answer a message that came in.
func (s *Site) answersTo(m schakel.Summary, own schakel.Status, desks []schakel.Desk) []string {
	i := slices.IndexFunc(desks, func(d schakel.Desk) bool { return d.ID == m.From })
	if !m.Inbound || i < 0 {
		return nil
	}
	return s.Catalogue.AnswersOf(m.Class, own.Role, desks[i].Role)
}

// compose shows the form of a class: a new one, or one that was kept.
func (s *Site) compose(v *visit) (answer, error) {
	if id := v.URL.Query().Get("sheet"); id != "" {
		kept, err := s.Sheets.Get(v.Context(), v.user.ID, id)
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
		if p.Class != v.PathValue("class") {
			return answer{}, errNoPage
		}
		if kept.Aside {
			return s.sealed(v, p, 0)
		}
		return s.formPage(v, p, formTrouble{Kept: kept.At})
	}
	q := v.URL.Query()
	p := &paper{Class: v.PathValue("class"), Case: q.Get("case"), Answers: q.Get("answers"), RestsOn: q["rests-on"][:min(len(q["rests-on"]), maxRefs)], Typed: url.Values{}}
	if err := p.number(s); err != nil {
		return answer{}, err
	}
	c, err := s.scene(v, p, "")
	if err != nil {
		return answer{}, err
	}
	p.begin(c)
	return s.form(v, p, c, formTrouble{})
}

// begin fills in what Schakel knows.
func (p *paper) begin(c scene) {
	if len(p.RestsOn) == 0 && c.zaak != nil {
		p.RestsOn = writing.RestsOn(*c.zaak, p.Class, c.status.Desk)
	}
	var zaak schakel.Overview
	if c.zaak != nil {
		zaak = *c.zaak
	}
	p.Typed = formbody.Typed(c.form, writing.Known(c.form, p.draft(nil, nil), zaak, c.signs), calendar.Zone())
	if m, ok := c.answered(p); ok {
		p.Urgency = m.Urgency
		if m.From.Desk != c.status.Desk {
			p.To = []string{string(m.From.Desk)}
		}
	}
	if about := writing.InCase(zaak, p.RestsOn...); len(about) > 0 && (p.Class == protocol.ClassCorrection || p.Class == protocol.ClassWithdrawal) {
		p.Urgency = about[0].Urgency
		for _, to := range about[0].To { // who has what was wrong must hear what is right
			p.To = append(p.To, string(to.Desk))
		}
	}
	if !slices.Contains(c.class.Urgencies, p.Urgency) {
		p.Urgency = ""
	}
}

// composed is every button of the form. What was typed is kept before anything else
// happens; where it cannot be, the form comes back with all of it.
func (s *Site) composed(v *visit) (answer, error) {
	p, err := s.posted(v)
	if err != nil {
		return answer{}, err
	}
	button, pin := v.PostForm.Get("do"), v.PostForm.Get("pin")
	switch button {
	case "afresh":
		return s.goOnAfresh(v, p.ID)
	case "open":
		return s.openPaper(v, p.ID, pin)
	}
	changed := formbody.Change(p.Typed, button)
	p.Tried = p.Tried || button == "check"
	c, err := s.scene(v, p, pin)
	if errors.Is(err, schakel.ErrPIN) || errors.Is(err, schakel.ErrRestricted) {
		c, err = s.scene(v, p, "")
		if err != nil {
			return answer{}, err
		}
		_ = s.keep(v, p) // where that fails, the form has it all
		return s.form(v, p, c, formTrouble{WrongPIN: true, status: http.StatusForbidden})
	}
	if err != nil { // such as a case that was destroyed meanwhile
		p.closed = s.restricted(v, p)
		return answer{}, errors.Join(err, s.keep(v, p))
	}
	p.learn(c)
	kept := s.keep(v, p)
	if errors.Is(kept, sheets.ErrFull) || errors.Is(kept, sheets.ErrLarge) {
		refused, status := troubleOf(kept, v.lang)
		return s.form(v, p, c, formTrouble{Trouble: &refused, status: status})
	}
	switch {
	case kept != nil:
		return answer{}, kept
	case button == "check":
		return s.goOn(v, p, c, pin)
	case button == "save":
		return s.saveDraft(v, p, c)
	case button == "files":
		return answer{goTo: "/sheets/" + url.PathEscape(p.ID) + "/files"}, nil
	case p.closed:
		return s.form(v, p, c, formTrouble{})
	case changed:
		return answer{goTo: p.path() + "#" + anchor(button)}, nil
	case button == "recipients":
		return answer{goTo: p.path() + "#aan"}, nil
	}
	return answer{goTo: p.path()}, nil
}

// learn fills in what became known after the form was begun, such as when the PIN opened
// a restricted case.
func (p *paper) learn(c scene) {
	if len(p.Typed) > 0 || c.zaak == nil {
		return
	}
	p.begin(c)
}

// path is where a kept paper is.
func (p *paper) path() string {
	if p.Form != "" {
		return p.Form
	}
	return "/compose/" + url.PathEscape(p.Class) + "?sheet=" + url.QueryEscape(p.ID)
}

// anchor is the place on the page where a button changed a list.
func anchor(button string) string {
	_, place, _ := strings.Cut(button, ":")
	if strings.HasPrefix(button, "add:") {
		place += ".last"
	}
	return url.PathEscape(place)
}

// goOn leads to the check page, or back to the form where something is missing or wrong.
func (s *Site) goOn(v *visit, p *paper, c scene, pin string) (answer, error) {
	_, _, wrong, err := s.readPaper(p)
	if err != nil {
		return answer{}, err
	}
	if len(wrong) > 0 || s.unsure(p, c) || p.closed && pin == "" {
		return s.form(v, p, c, formTrouble{NoPIN: p.closed && pin == "", status: http.StatusUnprocessableEntity})
	}
	if p.closed {
		return s.checkClosed(v, p, c, pin)
	}
	return answer{goTo: "/compose/" + url.PathEscape(p.Class) + "/check?sheet=" + url.QueryEscape(p.ID)}, nil
}

// unsure reports whether it is not said yet how urgent it is, or for whom.
func (s *Site) unsure(p *paper, c scene) bool {
	return !slices.Contains(c.class.Urgencies, p.Urgency) || len(p.To) == 0 || slices.ContainsFunc(p.To, func(to string) bool {
		return !slices.ContainsFunc(c.desks, func(d schakel.Desk) bool { return string(d.ID) == to })
	})
}
