package browser_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"schakel/clients/desk"
	"schakel/clients/roster"
)

// onCall looks at who is on call, from no rota at all to one with gaps.
func (p *pages) onCall() {
	p.t.Helper()
	p.look(
		visit{Name: "no rota", Path: "/on-call", Cookies: p.worker, Shows: []string{"Dit bureau heeft nog geen rooster"}},
		visit{Name: "no rota in words", Path: "/on-call/rota", Cookies: p.worker, Shows: []string{"Maak een rooster"}},
	)
	p.Rota(func(s *roster.Sheet) { s.Layers[1].Rules[0].To = "2026-01-11T08:00" })
	b := p.User(p.Person.Name, desk.Roles()...)
	form := b.Get("/on-call/swap").Body
	mine, theirs := option(form, "mine"), option(form, "theirs")
	swap := url.Values{"step": {"check"}, "mine": {mine}, "theirs": {theirs}}.Encode()
	wrong := []step{{Type: []string{"#pin", "998877"}, Status: http.StatusForbidden}, {Use: "main form button"}}
	day := p.Chain.Now().AddDate(0, 0, 2).Format("2006-01-02")
	override := url.Values{"step": {"check"}, "who": {"p-2"}, "level": {"0"}, "from": {day + "T08:00"}, "to": {day + "T18:00"}}.Encode()
	sheet := []step{{Use: "main form.wide button"}}
	broken := []step{{Type: []string{"#text", "people = 3"}, Status: http.StatusUnprocessableEntity}, {Use: "main form.wide button"}}
	p.look(
		visit{Name: "on call", Path: "/on-call", Cookies: p.worker, Shows: []string{"keer niemand in de komende 14 dagen", "Mijn diensten", "Ik neem nu over"}},
		visit{Name: "on call, keeper", Path: "/on-call", Cookies: p.keeper, Shows: []string{"Het rooster beheren"}},
		visit{Name: "take over", Path: "/on-call/take", Cookies: p.worker, Shows: []string{"Tot wanneer?"}},
		visit{Name: "take over, wrong PIN", Path: "/on-call/take", Cookies: p.worker, Steps: wrong, Shows: []string{"De pincode klopt niet"}},
		visit{Name: "swap", Path: "/on-call/swap", Cookies: p.worker, Shows: []string{"Ik geef deze dienst weg"}},
		visit{Name: "swap, nothing chosen", Path: "/on-call/swap?step=check", route: "/on-call/swap", Cookies: p.worker, Shows: []string{"Kies een dienst"}},
		visit{Name: "swap, check", Path: "/on-call/swap?" + swap, route: "/on-call/swap", Cookies: p.worker, Shows: []string{"Klopt deze ruil"}},
		visit{Name: "override", Path: "/on-call/override", Cookies: p.worker},
		visit{Name: "override, check", Path: "/on-call/override?" + override, route: "/on-call/override", Cookies: p.worker, Shows: []string{"krijgt deze tijd"}},
		visit{Name: "leave", Path: "/on-call/leave", Cookies: p.worker},
		visit{Name: "leave, check", Path: "/on-call/leave?step=check&who=p-2", route: "/on-call/leave", Cookies: p.worker, Shows: []string{"gaat uit het rooster"}},
		visit{Name: "rota in words", Path: "/on-call/rota", Cookies: p.worker, Shows: []string{"elke week", "Meteen: Eerste"}},
		visit{Name: "sheet", Path: "/on-call/rota/sheet", Cookies: p.worker},
		visit{Name: "sheet, check", Path: "/on-call/rota/sheet", Cookies: p.worker, Steps: sheet, Shows: []string{"Klopt dit rooster"}},
		visit{Name: "sheet, wrong", Path: "/on-call/rota/sheet", Cookies: p.worker, Steps: broken, Shows: []string{"Er is niets veranderd"}},
		visit{Name: "calendar in", Path: "/on-call/rota/calendar", Cookies: p.worker},
	)
	for _, file := range []string{"/on-call/calendar", "/on-call/rota/file"} {
		if a := b.Get(file); a.Status != http.StatusOK || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") {
			p.t.Errorf("%s: %d", file, a.Status)
		}
		p.seen[file] = true // no page: a file to keep
	}
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
