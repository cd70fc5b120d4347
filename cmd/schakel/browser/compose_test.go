package browser_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/formbody"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
)

// police joins a desk of the police that the office can write to.
func police(t *testing.T, o *webtest.Office, id identity.DeskID) *schakeltest.Member {
	t.Helper()
	m := o.Chain.Join(id, identity.RolePolitie)
	m.Start()
	o.Until("the police can be written to", func() bool {
		all, err := o.Member.Node.Directory(t.Context())
		return err == nil && slices.ContainsFunc(all, func(d schakel.Desk) bool { return d.ID == id && d.Reachable })
	})
	return m
}

var hiddenField = regexp.MustCompile(`name="sheet" value="([^"]+)"`)

// typed is what the example of a class says, as its form sends it.
func typed(t *testing.T, page webtest.Reply, class string, more url.Values) url.Values {
	t.Helper()
	e, err := protocol.V1().Example(class)
	ok(t, err)
	form, err := protocol.V1().Form(class)
	ok(t, err)
	v, err := protocol.ParseValues(e.Body)
	ok(t, err)
	delete(v, "bijlagen")
	out := formbody.Typed(form, v, calendar.Zone())
	for k, x := range more {
		out[k] = x
	}
	if m := hiddenField.FindStringSubmatch(page.Body); m != nil {
		out.Set("sheet", m[1])
	}
	return out
}

// writing looks at the pages on which messages are written, and at those that act on one.
func (p *pages) writing() {
	t := p.t
	near, far := police(t, p.Office, "politie-mn/oc"), police(t, p.Office, "politie-ams/oc")
	hash := p.Report(nil)
	b := p.User("P. Iket", desk.Roles()...)
	me := cookies(t, b, p.Base)
	letter, err := p.Member.Node.Read(t.Context(), hash)
	ok(t, err)
	begin := func(class, button string, more url.Values) string {
		more = with(more, url.Values{"do": {button}})
		return b.Post("/compose/"+class, typed(t, b.Get("/compose/"+class), class, more)).Header.Get("Location")
	}
	report := url.Values{"urgency": {"spoed"}, "to": {string(near.Desk), string(far.Desk)}, "v.slachtoffers.0.gemeentecode": {"'s-Gravenhage"}}
	form := begin("melding", "keep", report)
	p.Chain.Pass(time.Minute)
	check := begin("melding", "check", report)
	refused := begin("correctie", "check", url.Values{"urgency": {"spoed"}, "to": {string(near.Desk)}})
	begin("contactverzoek", "save", url.Values{"urgency": {"spoed"}, "to": {string(near.Desk)}, "pin": {schakeltest.PIN}})
	saved, err := p.Member.Node.Drafts(t.Context(), "")
	ok(t, err)
	draft := "/drafts/" + saved[0].ID
	sheet := strings.TrimPrefix(form[strings.Index(form, "sheet="):], "sheet=")
	wrongPIN := []step{{Type: []string{"#pin", "918273"}, Status: http.StatusForbidden}, {Use: "main form button"}}
	none := []step{{Status: http.StatusUnprocessableEntity}, {Use: `main button[value="check"]`}}
	p.look(
		visit{Name: "what to write in a case", Path: "/compose?case=" + letter.Case, route: "/compose", Cookies: me, Shows: []string{"Verder in deze zaak"}},
		visit{Name: "empty form", Path: "/compose/melding", route: "/compose/{class}", Cookies: me, Shows: []string{"Hoe dringend is het?", "politie-mn/oc"}},
		visit{Name: "form sent empty", Path: "/compose/adviesvraag", route: "/compose/{class}", Cookies: me, Steps: none, Shows: []string{"Dit kan nog niet weg", "vul dit in"}},
		visit{Name: "form filled in", Path: form, route: "/compose/{class}", Cookies: me, Shows: []string{"Bewaard op dit apparaat", "politie Den Haag"}},
		visit{Name: "check", Path: check, route: "/compose/{class}/check", Cookies: me, Shows: []string{"U verstuurt aan 2 organisaties", "hoort niet bij de gemeente"}},
		visit{Name: "check without the tick", Path: check, route: "/compose/{class}/check", Cookies: me, Shows: []string{"Zet een vinkje"},
			Steps: []step{{Type: []string{"#pin", schakeltest.PIN}, Status: http.StatusUnprocessableEntity}, {Use: "main form button"}}},
		visit{Name: "check that is refused", Path: refused, route: "/compose/{class}/check", Cookies: me, Shows: []string{"Dit mag niet zo"}},
		visit{Name: "answer", Path: "/messages/" + hash + "/answer", route: "/messages/{ref}/answer", Cookies: me, Shows: []string{"U antwoordt op"}},
		visit{Name: "drafts", Path: "/drafts", Cookies: me, Shows: []string{"Waar u mee bezig bent", "door P. Iket"}},
		visit{Name: "draft", Path: draft, route: "/drafts/{id}", Cookies: me, Shows: []string{"Ga verder met deze"}},
		visit{Name: "throw a draft away", Path: draft + "/removal", route: "/drafts/{id}/removal", Cookies: me, Steps: wrongPIN, Shows: []string{"De pincode klopt niet"}},
		visit{Name: "throw a sheet away", Path: "/sheets/" + sheet + "/removal", route: "/sheets/{id}/removal", Cookies: me, Shows: []string{"is daarna weg"}},
		visit{Name: "conflict", Path: p.conflict(b, saved[0]), route: "/compose/{class}", Cookies: me, Shows: []string{"andere versie", "Uw versie"},
			Steps: []step{{Click: "#share > summary"}, {Type: []string{"#pin", schakeltest.PIN}, Status: http.StatusConflict}, {Use: `main button[value="save"]`}}},
		visit{Name: "give a case, wrong PIN", Path: "/cases/" + letter.Case + "/assignment", route: "/cases/{ref}/assignment", Cookies: me, Steps: wrongPIN, Shows: []string{"De pincode klopt niet"}},
	)
	sent := b.Post("/compose/contactverzoek/check", url.Values{"do": {"send"}, "pin": {schakeltest.PIN},
		"sheet": {sheetOf(b, begin("contactverzoek", "check", url.Values{"urgency": {"spoed"}, "to": {string(near.Desk)}}))}}).Header.Get("Location")
	message := strings.TrimSuffix(sent, "/sent")
	p.Until("the police has it", func() bool {
		s, err := p.Member.Node.Trace(t.Context(), strings.TrimPrefix(message, "/messages/"))
		return err == nil && s.Recipients[0].State == schakel.StateDelivered
	})
	p.look(
		visit{Name: "sent", Path: sent, route: "/messages/{ref}/sent", Cookies: me, Shows: []string{"Klaargezet", "politie-mn/oc"}},
		visit{Name: "case in which we need do nothing", Path: "/cases/" + strings.TrimPrefix(message, "/messages/"), route: "/cases/{ref}", Cookies: me, Shows: []string{"Wij hoeven nu niets te doen"}},
		visit{Name: "own message", Path: message, route: "/messages/{ref}", Cookies: me, Shows: []string{"Verbeteren", "Intrekken", "Doorsturen"}},
		visit{Name: "correct", Path: "/compose/correctie?rests-on=" + strings.TrimPrefix(message, "/messages/"), route: "/compose/{class}", Cookies: me, Shows: []string{"Correctie"}},
		visit{Name: "send on, second page", Path: message + "/forwarding?to=politie-ams/oc", route: "/messages/{ref}/forwarding", Cookies: me, Steps: wrongPIN, Shows: []string{"Er is niets verstuurd"}},
	)
}

func with(a, b url.Values) url.Values {
	out := url.Values{}
	for _, v := range []url.Values{a, b} {
		for k, x := range v {
			out[k] = x
		}
	}
	return out
}

func sheetOf(b *webtest.Browser, path string) string {
	m := hiddenField.FindStringSubmatch(b.Get(path).Body)
	if m == nil {
		return ""
	}
	return m[1]
}

// conflict is the form of a draft that a colleague changed meanwhile.
func (p *pages) conflict(b *webtest.Browser, d schakel.SavedDraft) string {
	p.t.Helper()
	path := b.Post("/drafts/"+d.ID, url.Values{"version": {d.Version}}).Header.Get("Location")
	_, err := p.Member.Node.SaveDraft(p.t.Context(), d.ID, d.Version, d.Draft, schakel.By{Person: p.Person.ID.String(), PIN: schakeltest.PIN})
	ok(p.t, err)
	return path
}

// TestWritingByHand walks from the inbox to a message that is sent: by mouse, by keyboard
// alone, and without scripts in a window of 320 px.
func TestWritingByHand(t *testing.T) {
	chromium(t)
	o := webtest.Open(t, webtest.Options{})
	p := police(t, o, "politie-mn/oc")
	count := func() int {
		all, err := p.Node.List(t.Context(), schakel.Filter{Limit: 100})
		ok(t, err)
		return len(all)
	}
	for name, j := range map[string]job{
		"mouse":           {Hand: "mouse"},
		"keyboard":        {Hand: "keyboard"},
		"without scripts": {Hand: "mouse", Options: map[string]any{"javaScriptEnabled": false, "viewport": map[string]int{"width": 320, "height": 640}}},
	} {
		before := count()
		const form = "/compose/contactverzoek"
		b := o.User("P. Iket", desk.RoleCaseWorker)
		check := b.Post(form, typed(t, b.Get(form), "contactverzoek", url.Values{"urgency": {"spoed"}, "to": {string(p.Desk)}, "do": {"check"}})).Header.Get("Location")
		j.Name, j.Base, j.Cookies = name, o.Base, cookies(t, b, o.Base)
		j.Steps = []step{
			{Go: "/inbox"}, {Use: `nav a[href="/compose"]`, Path: "/compose"}, {Use: `main a[href="` + form + `"]`, Path: form},
			{Type: []string{`[name="v.aanleiding"]`, "Wie regelt vannacht opvang?"}},
			{Focus: `[name="v.gewensteFunctie"][value="piket"]`}, {Press: "Space"},
			{Status: http.StatusUnprocessableEntity}, {Use: `main button[value="check"]`, Shows: "Dit kan nog niet weg"},
			{Go: check, Shows: "U verstuurt aan 1 organisatie"}, {Type: []string{"#pin", schakeltest.PIN}}, {Use: `main button[value="send"]`, Shows: "Klaargezet"},
		}
		t.Run(name, func(t *testing.T) { report(t, run(t, j, nil)) })
		o.Until("the police has it", func() bool { return count() == before+1 })
	}
}

// TestTypingIsKept: what is typed is on this device before any button is pressed, also when
// the screen is hidden at once, or locks meanwhile.
func TestTypingIsKept(t *testing.T) {
	chromium(t)
	o := webtest.Open(t, webtest.Options{})
	b := o.User("P. Iket", desk.RoleCaseWorker)
	field := `[name="v.beschrijving"], [name="v.vraag"]`
	report(t, run(t, job{Name: "typing", Base: o.Base, Hand: "mouse", Cookies: cookies(t, b, o.Base), Steps: []step{
		{Go: "/compose/adviesvraag"}, {Type: []string{field, "getypt en verborgen"}}, {Press: "Escape", Path: "/notes"},
		{Go: "/drafts", Path: "/locked"}, {Type: []string{"#pin", schakeltest.PIN}}, {Use: "main form button"},
		{Go: "/drafts"}, {Use: `main a[href^="/compose/adviesvraag"]`, Visible: field}, {Say: "again"}, {Path: "/locked"},
	}}, func(string) {
		all, err := o.Site.Sheets.List(t.Context(), userID(t, o))
		ok(t, err)
		if len(all) != 1 || !strings.Contains(string(all[0].Text), "getypt en verborgen") {
			t.Errorf("kept: %d", len(all))
		}
		o.Chain.Pass(11 * time.Minute)
	}))
	r, err := o.Member.Node.Restriction(t.Context(), o.Report(nil))
	ok(t, err)
	notes := "/cases/" + r.Case + "/notes"
	report(t, run(t, job{Name: "typing a note", Base: o.Base, Hand: "mouse", Cookies: cookies(t, o.User("P. Iket", desk.RoleCaseWorker), o.Base), Steps: []step{
		{Go: notes}, {Type: []string{"#text", "half een notitie"}}, {Press: "Escape", Path: "/notes"},
		{Go: "/drafts", Path: "/locked"}, {Type: []string{"#pin", schakeltest.PIN}}, {Use: "main form button"},
		{Go: "/drafts", Shows: "half een notitie"}, {Use: `main a[href="` + notes + `/new"]`, Visible: "#text"}, {Shows: "Bewaard op dit apparaat"},
	}}, nil))
}

func userID(t *testing.T, o *webtest.Office) string {
	t.Helper()
	users, err := o.Door.Users(t.Context())
	ok(t, err)
	i := slices.IndexFunc(users, func(u desk.User) bool { return u.Name == "P. Iket" })
	return users[i].ID
}
