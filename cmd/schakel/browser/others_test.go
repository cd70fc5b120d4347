package browser_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
)

// others looks at pages and drills, the address book, alarms, people, devices and
// settings. It comes after onCall, and leaves one organisation with another key.
func (p *pages) others() {
	p.t.Helper()
	send422 := []step{{Status: http.StatusUnprocessableEntity}, {Use: "main form button"}}
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
		visit{Name: "test page, nobody chosen", Path: "/on-call/pages/test", Cookies: p.worker, Steps: wrong(), Shows: []string{"Kies om wie het gaat"}},
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
		visit{Name: "refuse, wrong PIN", Path: "/directory/arts/praktijk/refusal", route: "/directory/{org}/{desk}/refusal", Cookies: p.worker, Steps: wrongPIN("main form button"), Shows: []string{"De pincode klopt niet"}},
		visit{Name: "people", Path: "/people", Cookies: p.keeper, Shows: []string{"P. Iket", "Beheer"}},
		visit{Name: "new person", Path: "/people/new", Cookies: p.keeper},
		visit{Name: "new person, wrong", Path: "/people/new", Cookies: p.keeper, Steps: wrong([]string{"#name", "P. Iket"}, []string{"#new-pin", "12"}, []string{"#new-pin-again", "34"}), Shows: []string{"Deze naam is er al"}},
		visit{Name: "new person, PINs unlike", Path: "/people/new", Cookies: p.keeper, Steps: wrong([]string{"#name", "N. Ieuw"}, []string{"#new-pin", "112233"}, []string{"#new-pin-again", "332211"}), Shows: []string{"De twee pincodes zijn niet gelijk"}},
		visit{Name: "new person, only PINs filled in", Path: "/people/new", Cookies: p.keeper, Steps: wrong([]string{"#new-pin", "112233"}, []string{"#new-pin-again", "112233"}), Shows: []string{"Vul de naam in", "Vul het telefoonnummer in"}},
		visit{Name: "link", Path: "/people/link", Cookies: p.keeper},
		visit{Name: "link, wrong", Path: "/people/link", Cookies: p.keeper, Steps: wrong(), Shows: []string{"Kies een collega, of schrijf een naam"}},
		visit{Name: "link without roles", Path: "/people/link", Cookies: p.keeper, Steps: wrong([]string{"#name", "N. Ieuw"}), Shows: []string{"Kies minstens één rol"}},
		visit{Name: "no roles", Path: "/people/roles?user=" + p.userID("P. Iket"), route: "/people/roles", Cookies: p.keeper, Steps: append(p.untick(4), send422...), Shows: []string{"Kies minstens één rol"}},
		visit{Name: "roles", Path: "/people/roles?user=" + p.userID("P. Iket"), route: "/people/roles", Cookies: p.keeper, Shows: []string{"Wat doet P. Iket hier"}},
		visit{Name: "removal", Path: "/people/removal?user=" + p.userID("P. Iket"), route: "/people/removal", Cookies: p.keeper, Shows: []string{"vervalt voorgoed"}},
		visit{Name: "oneself", Path: "/people/roles?user=" + p.userID("Beheer"), route: "/people/roles", Status: http.StatusForbidden, Cookies: p.keeper, Shows: []string{"Over uzelf beslist een ander"}},
		visit{Name: "devices", Path: "/devices", Cookies: p.keeper, Shows: []string{"(dit apparaat)"}},
		visit{Name: "new device", Path: "/devices/new", Cookies: p.keeper},
		visit{Name: "new device, wrong", Path: "/devices/new", Cookies: p.keeper, Steps: wrong(), Shows: []string{"Kies het bestand van een aanvraag"}},
		visit{Name: "revoke", Path: p.revocation(""), route: "/devices/{device}/revocation", Cookies: p.keeper, Shows: []string{"Een apparaat intrekken"}},
		visit{Name: "revoke, no reason", Path: p.revocation("?step=check"), route: "/devices/{device}/revocation", Cookies: p.keeper, Shows: []string{"Kies een reden"}},
		visit{Name: "revoke, check", Path: p.revocation("?step=check&reason=lost"), route: "/devices/{device}/revocation", Cookies: p.keeper, Shows: []string{"Dit apparaat intrekken?"}},
		visit{Name: "settings", Path: "/settings", Cookies: p.worker, Shows: []string{"web-names", "Laatste reservekopie"}},
	)
	p.history()
	p.linkMade()
	p.newDevice()
	p.newKey()
}

// untick takes away the first ticks of a form.
func (p *pages) untick(n int) (out []step) {
	for i := range n {
		out = append(out, step{Click: fmt.Sprintf("main label.option:nth-of-type(%d)", i+1)})
	}
	return out
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

// history looks at what a desk sees that asks for its history, and one that is asked.
func (p *pages) history() {
	p.t.Helper()
	const give, route = "/directory/arts/praktijk/history", "/directory/{org}/{desk}/history"
	p.look(
		visit{Name: "history, nobody asked", Path: "/history", Cookies: p.worker, Shows: []string{"Geen bureau vroeg erom", "Dit bureau vroeg niets"}},
		visit{Name: "history, no desk chosen", Path: "/history", fails: "/history/questions", Cookies: p.worker,
			Steps: []step{{Status: http.StatusUnprocessableEntity}, {Use: "main form button"}}, Shows: []string{"Kies minstens één bureau"}},
	)
	p.Until("each asks the other", func() bool {
		_, there := p.Doctor.Node.AskHistory(p.t.Context(), []identity.DeskID{p.Member.Desk})
		_, here := p.Member.Node.AskHistory(p.t.Context(), []identity.DeskID{p.Doctor.Desk})
		return there == nil && here == nil
	})
	b := p.User("P. Iket", desk.Roles()...)
	p.Until("it is asked", func() bool { return strings.Contains(b.Get("/history").Body, give) })
	p.look(
		visit{Name: "history", Path: "/history", Cookies: p.worker, Shows: []string{"Gevraagd op", "Nog niets gekomen", "Geef"}},
		visit{Name: "a desk that asks", Path: "/directory/arts/praktijk", route: "/directory/{org}/{desk}", Cookies: p.worker, Shows: []string{"Dit bureau vraagt zijn geschiedenis terug"}},
		visit{Name: "give history", Path: give, route: route, Cookies: p.worker, Shows: []string{"Twijfelt u? Geef dan niets"}},
		visit{Name: "give history, nobody called", Path: give, route: route, Cookies: p.worker,
			Steps: []step{{Type: []string{"#pin", schakeltest.PIN}, Status: http.StatusUnprocessableEntity}, {Use: "main form button"}}, Shows: []string{"Vul het nummer in"}},
	)
}

// linkMade looks at a link that was just made.
func (p *pages) linkMade() {
	p.t.Helper()
	b := p.User("Beheer", desk.RoleKeeper)
	a := b.Post("/people/link", url.Values{"name": {"F. Unctie"}, "role": {"functionaris"}})
	p.look(visit{Name: "link made", Path: a.Header.Get("Location"), route: "/people", Cookies: cookies(p.t, b, p.Base), Shows: []string{"Link voor F. Unctie", "/enter/"}})
}

// newDevice looks at what it means that a desk has a device that it had not, and confirms it.
func (p *pages) newDevice() {
	p.t.Helper()
	id := p.Doctor.Intruder().Node.Device()
	b := p.User("P. Iket", desk.Roles()...)
	const path, confirm = "/directory/arts/praktijk", "/directory/{org}/{desk}/confirmation"
	p.Until("the device is there", func() bool { return strings.Contains(b.Get(path).Body, "heeft een nieuw apparaat") })
	p.alarms(2)
	p.look(
		visit{Name: "new device at a desk", Path: path, route: "/directory/{org}/{desk}", Cookies: p.worker, Shows: []string{"Dit bureau heeft een nieuw apparaat", "Krijgt niets tot"}},
		visit{Name: "confirm a device", Path: path + "/confirmation", route: confirm, Cookies: p.worker, Shows: []string{"Bel dit bureau op een nummer dat u al had"}},
		visit{Name: "confirm a device, nothing filled in", Path: path + "/confirmation", route: confirm, Cookies: p.worker,
			Steps: []step{{Type: []string{"#pin", schakeltest.PIN}, Status: http.StatusUnprocessableEntity}, {Use: "main form button"}}, Shows: []string{"Kies het apparaat", "Vul het nummer in"}},
	)
	ok(p.t, p.Member.Node.ConfirmDevice(p.t.Context(), p.Doctor.Desk, id, "+31600000001", schakel.By{Person: "P. Iket", PIN: schakeltest.PIN}))
	p.alarms(1)
	p.look(visit{Name: "a device that was confirmed", Path: path, route: "/directory/{org}/{desk}", Cookies: p.worker, Shows: []string{"P. Iket belde +31600000001"}})
}

// newKey looks at what it means that an organisation has another key, and at the alarms.
func (p *pages) newKey() {
	p.t.Helper()
	p.Chain.ReplaceKey("arts")
	b := p.User("P. Iket", desk.Roles()...)
	p.Until("the key is another", func() bool { return strings.Contains(b.Get("/alarms").Body, "een andere sleutel dan eerst") })
	p.alarms(2)
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
	const told = "Geen verbinding met de relay"
	shows := map[string][]string{"/on-call": {"Mijn diensten"}, "/alarms": {"niet op tijd bevestigd"}}
	b := p.User("P. Iket", desk.Roles()...)
	var all []visit
	for _, place := range placesOf(b.Get("/inbox").Body) {
		all = append(all, visit{Name: "offline, " + strings.Trim(place, "/"), Path: place, Cookies: p.worker, Shows: append(shows[place], told)})
	}
	if len(all) < 12 {
		p.t.Errorf("the pages lead to %d places", len(all))
	}
	p.look(all...)
	revoke := []step{{Status: http.StatusUnprocessableEntity}, {Use: "main form button"}}
	p.look(
		visit{Name: "offline, revoke", Path: p.revocation("?step=check&reason=lost"), route: "/devices/{device}/revocation", Cookies: p.worker, Steps: revoke, Shows: []string{told, "Bel de houders van het register"}},
		visit{Name: "offline, pages of the relay", Path: "/on-call/pages?by=relay", route: "/on-call/pages", Status: http.StatusServiceUnavailable, Cookies: p.worker},
	)
}

var (
	placesNav = regexp.MustCompile(`(?s)<nav class="places".*?</nav>`)
	hrefs     = regexp.MustCompile(`href="([^"]+)"`)
)

// placesOf are the places that a page leads to.
func placesOf(page string) (out []string) {
	for _, m := range hrefs.FindAllStringSubmatch(placesNav.FindString(page), -1) {
		out = append(out, m[1])
	}
	return out
}
