package browser_test

import (
	"net/http"
	"net/url"
	"strings"

	"schakel/clients/desk"
)

// others looks at pages and drills, the address book, alarms, people, devices and
// settings. It comes after onCall, and leaves one organisation with another key.
func (p *pages) others() {
	p.t.Helper()
	send := []step{{Use: "main form button"}}
	wrong := func(fields ...[]string) (s []step) {
		for _, f := range fields {
			s = append(s, step{Type: f, Status: http.StatusUnprocessableEntity})
		}
		return append(s, step{Status: http.StatusUnprocessableEntity, Use: "main form button"})
	}
	p.look(
		visit{Name: "no pages", Path: "/on-call/pages", Cookies: p.worker, Shows: []string{"Er is nog niemand opgeroepen"}},
		visit{Name: "pages of the relay", Path: "/on-call/pages?by=relay", route: "/on-call/pages", Cookies: p.worker, Shows: []string{"Dit is wat de relay zegt"}},
		visit{Name: "test page", Path: "/on-call/pages/test", Cookies: p.worker, Shows: []string{"Proefoproep doen"}},
		visit{Name: "test page, nobody chosen", Path: "/on-call/pages/test", Cookies: p.worker, Steps: wrong(), Shows: []string{"Vul dit in"}},
		visit{Name: "drills", Path: "/on-call/drills", Cookies: p.worker, Shows: []string{"Zou dit bureau vannacht antwoorden", "Niemand is opgeroepen"}},
		visit{Name: "drill, no desk chosen", Path: "/on-call/drills/new", Cookies: p.worker, Steps: send, Shows: []string{"Kies een bureau"}},
		visit{Name: "drill, check", Path: "/on-call/drills/new?step=check&to=arts%2Fpraktijk", route: "/on-call/drills/new", Cookies: p.worker, Shows: []string{"Deze oefening starten"}},
		visit{Name: "address book", Path: "/directory", Cookies: p.worker, Shows: []string{"Test arts", "nog niet vergeleken"}},
		visit{Name: "address book, nothing found", Path: "/directory?q=zzz", route: "/directory", Cookies: p.worker, Shows: []string{"Niets gevonden"}},
		visit{Name: "a desk", Path: "/directory/arts/praktijk", route: "/directory/{org}/{desk}", Cookies: p.worker, Shows: []string{"Vingerafdruk van de sleutel", "Verstuur een proefbericht"}},
		visit{Name: "our own desk", Path: "/directory/vt20/crisis", route: "/directory/{org}/{desk}", Cookies: p.worker, Shows: []string{"Dit is ons eigen bureau"}},
		visit{Name: "compare", Path: "/directory/arts/praktijk/verification", route: "/directory/{org}/{desk}/verification", Cookies: p.worker},
		visit{Name: "compare, other digits", Path: "/directory/arts/praktijk/verification", route: "/directory/{org}/{desk}/verification", Cookies: p.worker,
			Steps: []step{{Type: []string{"#heard", "12345"}}, {Type: []string{"#pin", "123456"}, Status: http.StatusForbidden}, {Use: "main form button"}}, Shows: []string{"Laat de cijfers nog eens voorlezen"}},
		visit{Name: "refuse", Path: "/directory/arts/praktijk/refusal", route: "/directory/{org}/{desk}/refusal", Cookies: p.worker},
		visit{Name: "people", Path: "/people", Cookies: p.keeper, Shows: []string{"P. Iket", "Beheer"}},
		visit{Name: "new person", Path: "/people/new", Cookies: p.keeper},
		visit{Name: "new person, wrong", Path: "/people/new", Cookies: p.keeper, Steps: wrong([]string{"#name", "P. Iket"}, []string{"#new-pin", "12"}, []string{"#new-pin-again", "34"}), Shows: []string{"Deze naam is er al"}},
		visit{Name: "link", Path: "/people/link", Cookies: p.keeper},
		visit{Name: "link, wrong", Path: "/people/link", Cookies: p.keeper, Steps: wrong(), Shows: []string{"Kies een collega, of schrijf een naam"}},
		visit{Name: "roles", Path: "/people/roles?user=" + p.userID("P. Iket"), route: "/people/roles", Cookies: p.keeper, Shows: []string{"Wat doet P. Iket hier"}},
		visit{Name: "removal", Path: "/people/removal?user=" + p.userID("P. Iket"), route: "/people/removal", Cookies: p.keeper, Shows: []string{"vervalt voorgoed"}},
		visit{Name: "oneself", Path: "/people/roles?user=" + p.userID("Beheer"), route: "/people/roles", Status: http.StatusForbidden, Cookies: p.keeper, Shows: []string{"Over uzelf beslist een ander"}},
		visit{Name: "devices", Path: "/devices", Cookies: p.keeper, Shows: []string{"(dit apparaat)"}},
		visit{Name: "new device", Path: "/devices/new", Cookies: p.keeper},
		visit{Name: "new device, wrong", Path: "/devices/new", Cookies: p.keeper, Steps: wrong(), Shows: []string{"Kies het bestand van een aanvraag"}},
		visit{Name: "revoke", Path: p.revocation(""), route: "/devices/{device}/revocation", Cookies: p.keeper, Shows: []string{"Een apparaat intrekken"}},
		visit{Name: "revoke, check", Path: p.revocation("?step=check&reason=lost"), route: "/devices/{device}/revocation", Cookies: p.keeper, Shows: []string{"Dit apparaat intrekken?"}},
		visit{Name: "settings", Path: "/settings", Cookies: p.worker, Shows: []string{"web-names", "Laatste reservekopie"}},
	)
	p.linkMade()
	p.newKey()
}

func (p *pages) userID(name string) string {
	p.t.Helper()
	users, err := p.Door.Users(p.t.Context())
	ok(p.t, err)
	for _, u := range users {
		if u.Name == name {
			return u.ID
		}
	}
	p.t.Fatalf("no user %s", name)
	return ""
}

func (p *pages) revocation(query string) string {
	p.t.Helper()
	all, err := p.Member.Node.Devices(p.t.Context())
	ok(p.t, err)
	return "/devices/" + all[0].ID.String() + "/revocation" + query
}

// linkMade looks at a link that was just made.
func (p *pages) linkMade() {
	p.t.Helper()
	b := p.User("Beheer", desk.RoleKeeper)
	a := b.Post("/people/link", url.Values{"name": {"F. Unctie"}, "role": {"functionaris"}})
	p.look(visit{Name: "link made", Path: a.Header.Get("Location"), route: "/people", Cookies: cookies(p.t, b, p.Base), Shows: []string{"Link voor F. Unctie", "/enter/"}})
}

// newKey looks at what it means that an organisation has another key, and at the alarms.
func (p *pages) newKey() {
	p.t.Helper()
	p.Chain.ReplaceKey("arts")
	b := p.User("P. Iket", desk.Roles()...)
	p.Until("the key is another", func() bool { return strings.Contains(b.Get("/alarms").Body, "een andere sleutel dan eerst") })
	var clear string
	for _, part := range strings.Split(b.Get("/alarms").Body, `href="`) {
		if strings.HasPrefix(part, "/alarms/clearance") {
			clear, _, _ = strings.Cut(part, `"`)
		}
	}
	p.look(
		visit{Name: "alarms", Path: "/alarms", Cookies: p.worker, Shows: []string{"een andere sleutel dan eerst", "heeft soms niemand piket", "Dit is afgehandeld"}},
		visit{Name: "clear an alarm", Path: strings.ReplaceAll(clear, "&amp;", "&"), route: "/alarms/clearance", Cookies: p.worker, Shows: []string{"Is dit afgehandeld?"}},
		visit{Name: "another key", Path: "/directory/arts/praktijk", route: "/directory/{org}/{desk}", Cookies: p.worker, Shows: []string{"Bel en vergelijk", "Weiger de sleutel"}},
		visit{Name: "address book, another key", Path: "/directory", Cookies: p.worker, Shows: []string{"Andere sleutel: vergelijk eerst"}},
	)
}

// othersOffline looks at what is left without the relay.
func (p *pages) othersOffline() {
	p.t.Helper()
	p.look(
		visit{Name: "offline, on call", Path: "/on-call", Cookies: p.worker, Shows: []string{"Geen verbinding met de relay", "Mijn diensten"}},
		visit{Name: "offline, alarms", Path: "/alarms", Cookies: p.worker, Shows: []string{"Geen verbinding met de relay", "niet op tijd bevestigd"}},
		visit{Name: "offline, pages of the relay", Path: "/on-call/pages?by=relay", route: "/on-call/pages", Status: http.StatusServiceUnavailable, Cookies: p.worker},
		visit{Name: "offline, settings", Path: "/settings", Cookies: p.worker, Shows: []string{"Geen verbinding met de relay"}},
	)
}
