package browser_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/signin"
	"schakel/clients/desk/web"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/message"
)

// pages are the office and its users, in the states that pages can be in.
type pages struct {
	*webtest.Office
	t       *testing.T
	chrome  *driven
	worker  []cookie
	keeper  []cookie
	seen    map[string]bool // routes
	failed  map[string]bool // routes whose form came back
	shown   []string        // texts of pages
	heard   map[string]bool // golden files that were held against a page
	picture int
	crowded *crowded
}

func newPages(t *testing.T, opt webtest.Options) *pages {
	t.Helper()
	chrome := drive(t)
	c := &crowded{}
	opt.Node = func(n desk.Node) desk.Node { c.Node = n; return c }
	o := webtest.Open(t, opt)
	c.now = o.Chain.Now
	p := &pages{Office: o, t: t, chrome: chrome, seen: map[string]bool{}, failed: map[string]bool{}, heard: map[string]bool{}, crowded: c}
	p.worker = cookies(t, o.User("P. Iket", desk.Roles()...), o.Base)
	p.keeper = cookies(t, o.User("Beheer", desk.RoleKeeper), o.Base)
	return p
}

// locked is a session of the worker that is locked.
func (p *pages) locked() []cookie {
	b := p.User("P. Iket", desk.Roles()...)
	b.Post("/lock", nil)
	return cookies(p.t, b, p.Base)
}

// User signs a new browser in. The worker has unlocked it once with the PIN: pages show more
// wrong ones than a user has in a day in sessions that the right one never opened.
func (p *pages) User(name string, roles ...desk.Role) *webtest.Browser {
	p.t.Helper()
	b := p.Office.User(name, roles...)
	if name == p.Person.Name {
		b.Post("/lock", nil)
		if a := b.Post("/unlock", url.Values{"pin": {schakeltest.PIN}}); a.Header.Get("Location") != "/" {
			p.t.Fatalf("unlocking: %d\n%s", a.Status, a.Body)
		}
	}
	return b
}

// anew is another session of the worker: five wrong PINs lock one, and pages show more.
func (p *pages) anew() []cookie { return cookies(p.t, p.User("P. Iket", desk.Roles()...), p.Base) }

// look looks at pages in every way, and remembers which routes they were.
func (p *pages) look(visits ...visit) {
	p.t.Helper()
	for i, v := range visits {
		route := v.route
		if route == "" {
			route = v.Path
		}
		if !v.alone && v.Path != "/locked" && slices.ContainsFunc(v.Steps, func(s step) bool { return s.Status == http.StatusForbidden }) {
			visits[i].Cookies = p.anew()
		}
		visits[i].Again = p.seen[route]
		p.seen[route] = true
		if p.failed[route] = p.failed[route] || comesBack(v); v.fails != "" {
			p.failed[v.fails] = true
		}
		if folder := os.Getenv("SCHAKEL_PICTURES"); folder != "" { // for who wants to see them
			visits[i].Picture = map[string]string{}
			for _, how := range []string{"wide", "narrow", "english, dark"} {
				visits[i].Picture[how] = fmt.Sprintf("%s/%02d-%s-%s.png", folder, p.picture+i, strings.ReplaceAll(v.Name, " ", "-"), strings.Fields(strings.ReplaceAll(how, ",", ""))[0])
			}
		}
	}
	p.picture += len(visits)
	p.t.Run(visits[0].Name+" and others", func(t *testing.T) {
		report(t, p.chrome.do(t, job{Base: p.Base, Visits: visits, Said: *update, trees: func(t *testing.T, tr tree) {
			p.shown = append(p.shown, tr.Shown)
			p.heard[goldenFile(tr.Name)] = true
			golden(t, tr)
		}}, nil))
	})
}

// comesBack reports whether somebody sends a form in vain.
func comesBack(v visit) bool {
	return slices.ContainsFunc(v.Steps, func(s step) bool { return s.Status >= 400 })
}

// wrongPIN are the steps that sign a form with what is not the PIN.
func wrongPIN(button string) []step {
	return []step{{Type: []string{"#pin", "000000"}, Status: http.StatusForbidden}, {Use: button}}
}

// link is a fresh link for a user, as a path.
func (p *pages) link() string {
	p.t.Helper()
	l, err := p.Door.Link(p.t.Context(), desk.LinkRequest{Name: "N. Ieuw", Roles: []desk.Role{desk.RoleOnCall}})
	ok(p.t, err)
	return strings.TrimPrefix(l.URL, p.Base)
}

// lateAlarms are those of an office five hours after everything stood still.
const lateAlarms = 9

// alarms waits until there are so many: they are raised one after the other, by a desk that
// does that when it gets to it, and each page says how many there are.
func (p *pages) alarms(want int) {
	p.t.Helper()
	p.Until(fmt.Sprintf("there are %d alarms", want), func() bool {
		s, err := p.Member.Node.Status(p.t.Context())
		return err == nil && s.Alarms == want
	})
}

// TestPages looks at every page in every state: as a wide and a narrow window, at 400 %,
// dark, in forced colours, in English and without scripts. Nothing may be wrong.
func TestPages(t *testing.T) {
	p := newPages(t, webtest.Options{Idle: 8 * time.Hour, Cools: 24 * time.Hour, Signs: &signin.Provider{Issuer: "http://127.0.0.1:9", Client: "schakel"}}) // nobody is there
	p.look(
		visit{Name: "not signed in", Path: "/sign-in", Shows: []string{"een link die één keer werkt"}},
		visit{Name: "a link", Path: p.link(), route: "/enter/{link}", Shows: []string{"Aanmelden als N. Ieuw"}},
		visit{Name: "a link that was used", Path: "/enter/x", Status: http.StatusGone, Shows: []string{"Deze link werkt niet meer"}},
		visit{Name: "organisation is down", Path: "/sign-in/organisation", Status: http.StatusBadGateway, Shows: []string{"antwoordt niet"}},
		visit{Name: "not from the organisation", Path: signin.ReturnPath + "?code=x&state=y", route: signin.ReturnPath, Status: http.StatusForbidden, Shows: []string{"Begin opnieuw"}},
		visit{Name: "signed in there", Path: "/sign-in/done", Shows: []string{"U bent aangemeld"}},
		visit{Name: "no such page", Path: "/nergens", Status: http.StatusNotFound, Cookies: p.worker, Shows: []string{"Deze pagina bestaat niet"}},
		visit{Name: "nothing to read", Path: "/welcome", Cookies: p.keeper, Shows: []string{"Welkom, Beheer"}},
		visit{Name: "no right", Path: "/inbox", Status: http.StatusForbidden, Cookies: p.keeper, Shows: []string{"Uw rol mag dit niet"}},
		visit{Name: "front", Path: "/", route: "/{$}", Cookies: p.worker},
		visit{Name: "passkeys", Path: "/passkeys", Cookies: p.worker, Shows: []string{"U heeft 0 passkeys"}},
		visit{Name: "empty inbox", Path: "/inbox", Cookies: p.worker, Shows: []string{"Er wacht niets op dit bureau"}},
		visit{Name: "locked", Path: "/locked", Cookies: p.locked(), Shows: []string{"Dit is het scherm van P. Iket"}},
		visit{Name: "locked while writing", Path: "/locked?kept=1", route: "/locked", Cookies: p.locked()},
		visit{Name: "locked, wrong PIN", Path: "/locked", fails: "/unlock", Cookies: p.locked(), Steps: wrongPIN("main form button"), Shows: []string{"De pincode klopt niet. Na vijf keer"}},
		visit{Name: "signed out while writing", Path: "/sign-in?kept=1", route: "/sign-in"},
		visit{Name: "hidden", Path: "/notes", Shows: []string{"Er zijn geen notities"}},
	)
	p.emptyCases()
	hash := p.Report(nil)
	p.Report(func(d *schakel.Draft) { d.Urgency, d.Exercise = message.Routine, true })
	hostile := p.Report(func(d *schakel.Draft) { d.Body = hostileBody(t) })
	acknowledge := "/messages/" + hash + "/acknowledgement"
	wrong := wrongPIN("main form button")
	late := []step{{Type: []string{"#answer-by", "2020-01-01T10:00"}}, {Type: []string{"#pin", schakeltest.PIN}, Status: http.StatusUnprocessableEntity}, {Use: "main form button"}}
	p.look(
		visit{Name: "inbox", Path: "/inbox", Cookies: p.worker, Shows: []string{"Wacht op ons", "OEFENING", "Bevestigen vóór"}},
		visit{Name: "part of the inbox", Path: "/inbox?part=us", route: "/inbox", Cookies: p.worker},
		visit{Name: "message", Path: "/messages/" + hash, route: "/messages/{ref}", Cookies: p.worker, Shows: []string{"Veilig contact", "fietslampje"}},
		visit{Name: "hostile message", Path: "/messages/" + hostile, route: "/messages/{ref}", Cookies: p.worker, Shows: []string{"<script>"}},
		visit{Name: "acknowledge", Path: acknowledge, route: "/messages/{ref}/acknowledgement", Cookies: p.worker, Shows: []string{"Pincode van P. Iket"}},
		visit{Name: "wrong PIN", Path: acknowledge, route: "/messages/{ref}/acknowledgement", Cookies: p.worker, Steps: wrong, Shows: []string{"De pincode klopt niet"}},
		visit{Name: "acknowledge, too late", Path: acknowledge, route: "/messages/{ref}/acknowledgement", Cookies: p.worker, Steps: late, Shows: []string{"Kies een tijd die nog moet komen"}},
	)
	p.writing()
	p.attached()
	p.restrict(p.Report(nil))
	p.cases(hash, hostile)
	p.taken(hash)
	p.onCall()
	p.others()
	p.alone()
	p.StopRelay()
	p.Chain.Pass(5 * time.Hour)
	p.worker = cookies(t, p.User("P. Iket", desk.Roles()...), p.Base)
	p.Until("there is no connection", func() bool {
		s, err := p.Member.Node.Status(t.Context())
		return err == nil && !s.Connected
	})
	p.alarms(lateAlarms)
	p.look(
		visit{Name: "offline, late", Path: "/inbox", Cookies: p.worker, Shows: []string{"Geen verbinding met de relay", "Te laat", "alarm"}},
		visit{Name: "acknowledged", Path: "/messages/" + hash + "/acknowledged", route: "/messages/{ref}/acknowledged", Cookies: p.worker, Shows: []string{"De afzender krijgt uw naam"}},
	)
	p.othersOffline()
	p.complete()
}

// TestPlainLook looks once more at pages of a program that was built without the design
// system.
func TestPlainLook(t *testing.T) {
	if !web.HasLook() {
		t.Skip("this program has no other: TestPages looks at it")
	}
	p := newPages(t, webtest.Options{PlainLook: true})
	hash := p.Report(nil)
	p.look(
		visit{Name: "plain inbox", Path: "/inbox", Cookies: p.worker},
		visit{Name: "plain form", Path: "/messages/" + hash + "/acknowledgement", Cookies: p.worker},
	)
}

// TestLookingFindsWhatIsWrong is the control: a page with every fault that looking must
// find.
func TestLookingFindsWhatIsWrong(t *testing.T) {
	chromium(t)
	base := crookedSite(t)
	found := run(t, job{Base: base, Visits: []visit{{Name: "crooked", Path: "/", Shows: []string{"what is not there"}}}}, nil)
	for _, want := range []string{"axe image-alt", "axe color-contrast", "axe html-has-lang", "axe target-size", "outside request", "console", "script",
		"wider than the screen", "does not show", "focus obscured", "focus not shown", "not reached by keyboard", "target too small", "paste refused", "begins below the screen",
		"not tied to a field", "described by nothing", "leads nowhere", "links called the same"} {
		if !slices.ContainsFunc(found, func(f finding) bool { return strings.HasPrefix(f.What, want) }) {
			t.Errorf("looking does not find: %s", want)
		}
	}
	policy := slices.ContainsFunc(found, func(f finding) bool {
		return f.What == "console" && strings.Contains(f.Detail, "Content Security Policy")
	})
	if !policy {
		t.Error("looking does not find a breach of the content security policy")
	}
}
