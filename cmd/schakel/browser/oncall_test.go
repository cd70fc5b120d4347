package browser_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/roster"
	"schakel/clients/schakel/schakeltest"
)

// onCall looks at who is on call, from no rota at all to one with gaps.
func (p *pages) onCall() {
	p.t.Helper()
	p.look(
		visit{Name: "no rota", Path: "/on-call", Cookies: p.worker, Shows: []string{"Dit bureau heeft nog geen rooster"}},
		visit{Name: "no rota in words", Path: "/on-call/rota", Cookies: p.worker, Shows: []string{"Maak een rooster"}},
	)
	spare := p.Member.AddPerson("R. Eserve")
	p.Rota(func(s *roster.Sheet) {
		s.Layers[1].Rules[0].To = "2026-01-11T08:00"
		s.People = append(s.People, roster.Person{Contact: "p-4", Person: spare.ID.String(), Name: spare.Name, Phone: "+31600000014"})
	})
	p.alarms(1) // at times nobody is on call
	b := p.User(p.Person.Name, desk.Roles()...)
	form := b.Get("/on-call/swap").Body
	mine, theirs := option(form, "mine"), option(form, "theirs")
	swap := url.Values{"step": {"check"}, "mine": {mine}, "theirs": {theirs}}.Encode()
	wrong := wrongPIN("main form button")
	past := []step{{Type: []string{"#until", "2020-01-01T10:00"}}, {Type: []string{"#pin", schakeltest.PIN}, Status: http.StatusUnprocessableEntity}, {Use: "main form button"}}
	none := []step{{Status: http.StatusUnprocessableEntity}, {Use: "main form button"}}
	day := p.Chain.Now().AddDate(0, 0, 2).Format("2006-01-02")
	override := url.Values{"step": {"check"}, "who": {"p-2"}, "level": {"0"}, "from": {day + "T08:00"}, "to": {day + "T18:00"}}.Encode()
	unknown := url.Values{"step": {"check"}, "who": {"p-99"}, "level": {"0"}, "from": {"nooit"}, "to": {day + "T18:00"}}.Encode()
	backwards := url.Values{"step": {"check"}, "who": {"p-99"}, "level": {"0"}, "from": {day + "T18:00"}, "to": {day + "T08:00"}}.Encode()
	nobody := url.Values{"step": {"check"}, "who": {"p-99"}, "level": {"0"}, "to": {day + "T18:00"}}.Encode()
	sheet := []step{{Use: "main form.wide button"}}
	broken := []step{{Type: []string{"#text", "people = 3"}, Status: http.StatusUnprocessableEntity}, {Use: "main form.wide button"}}
	p.look(
		visit{Name: "on call", Path: "/on-call", Cookies: p.worker, Shows: []string{"keer niemand in de komende 14 dagen", "Mijn diensten", "Ik neem nu over"}},
		visit{Name: "on call, keeper", Path: "/on-call", Cookies: p.keeper, Shows: []string{"Het rooster beheren"}},
		visit{Name: "on call, no shift", Path: "/on-call", Cookies: p.as(spare.Name), Shows: []string{"U heeft de komende weken geen dienst"}},
		visit{Name: "take over, too late", Path: "/on-call/take", Cookies: p.worker, Steps: past, Shows: []string{"Kies een tijd die nog moet komen"}},
		visit{Name: "take over", Path: "/on-call/take", Cookies: p.worker, Shows: []string{"Tot wanneer?"}},
		visit{Name: "take over, wrong PIN", Path: "/on-call/take", Cookies: p.worker, Steps: wrong, Shows: []string{"De pincode klopt niet"}},
		visit{Name: "swap", Path: "/on-call/swap", Cookies: p.worker, Shows: []string{"Ik geef deze dienst weg"}},
		visit{Name: "swap, nothing chosen", Path: "/on-call/swap?step=check", route: "/on-call/swap", Cookies: p.worker, Shows: []string{"Kies uw eigen dienst", "Kies de dienst van de ander"}},
		visit{Name: "swap, check", Path: "/on-call/swap?" + swap, route: "/on-call/swap", Cookies: p.worker, Shows: []string{"Klopt deze ruil"}},
		visit{Name: "swap, wrong PIN", Path: "/on-call/swap?" + swap, route: "/on-call/swap", Cookies: p.worker, Steps: wrong, Shows: []string{"De pincode klopt niet"}},
		visit{Name: "override", Path: "/on-call/override", Cookies: p.worker},
		visit{Name: "override, check", Path: "/on-call/override?" + override, route: "/on-call/override", Cookies: p.worker, Shows: []string{"krijgt deze tijd"}},
		visit{Name: "override, no time", Path: "/on-call/override?" + unknown, route: "/on-call/override", Cookies: p.worker, Shows: []string{"Schrijf een datum met een tijd"}},
		visit{Name: "override, backwards", Path: "/on-call/override?" + backwards, route: "/on-call/override", Cookies: p.worker, Shows: []string{"Het einde ligt niet na het begin"}},
		visit{Name: "override, nobody known", Path: "/on-call/override?" + nobody, route: "/on-call/override", Cookies: p.worker, Shows: []string{"Deze naam staat niet in het rooster"}},
		visit{Name: "override, wrong PIN", Path: "/on-call/override?" + override, route: "/on-call/override", Cookies: p.worker, Steps: wrong, Shows: []string{"De pincode klopt niet"}},
		visit{Name: "leave", Path: "/on-call/leave", Cookies: p.worker},
		visit{Name: "leave, check", Path: "/on-call/leave?step=check&who=p-2", route: "/on-call/leave", Cookies: p.worker, Shows: []string{"gaat uit het rooster"}},
		visit{Name: "leave, wrong PIN", Path: "/on-call/leave?step=check&who=p-2", route: "/on-call/leave", Cookies: p.worker, Steps: wrong, Shows: []string{"De pincode klopt niet"}},
		visit{Name: "rota in words", Path: "/on-call/rota", Cookies: p.worker, Shows: []string{"elke week", "Meteen: Eerste"}},
		visit{Name: "sheet", Path: "/on-call/rota/sheet", Cookies: p.worker},
		visit{Name: "sheet, check", Path: "/on-call/rota/sheet", Cookies: p.worker, Steps: sheet, Shows: []string{"Klopt dit rooster"}},
		visit{Name: "sheet, wrong", Path: "/on-call/rota/sheet", Cookies: p.worker, Steps: broken, Shows: []string{"Er is niets veranderd"}},
		visit{Name: "calendar in", Path: "/on-call/rota/calendar", Cookies: p.worker},
		visit{Name: "calendar in, no file", Path: "/on-call/rota/calendar", Cookies: p.worker, Steps: none, Shows: []string{"Kies een bestand met een agenda"}},
	)
	for _, file := range []string{"/on-call/calendar", "/on-call/rota/file"} {
		if a := b.Get(file); a.Status != http.StatusOK || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") {
			p.t.Errorf("%s: %d", file, a.Status)
		}
		p.seen[file] = true // no page: a file to keep
	}
}

// as are the cookies of somebody who signs.
func (p *pages) as(name string) []cookie {
	p.t.Helper()
	l, err := p.Door.Link(p.t.Context(), desk.LinkRequest{Person: name, Roles: desk.Roles()})
	ok(p.t, err)
	b := webtest.NewBrowser(p.t, p.Base)
	if a := b.Post(strings.TrimPrefix(l.URL, p.Base), nil); a.Status != http.StatusSeeOther {
		p.t.Fatalf("signing in as %s: %d", name, a.Status)
	}
	return cookies(p.t, b, p.Base)
}

// option is the value of the first choice of a field.
func option(page, field string) string {
	_, in, _ := strings.Cut(page, `name="`+field+`"`)
	m := regexp.MustCompile(`<option value="([^"]+)"`).FindStringSubmatch(in)
	if m == nil {
		return ""
	}
	return m[1]
}
