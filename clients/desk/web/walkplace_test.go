package web_test

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/desk/signin"
	"schakel/clients/desk/web"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
)

// place is one desk with its pages, and the browser of its worker, which has no scripts.
type place struct {
	t      *testing.T
	chain  *schakeltest.Chain
	member *schakeltest.Member
	seeded *seeded // faults of its node, for the controls
	server *http.Server
	door   *signin.Door
	base   string
	*webtest.Window
	tabs map[string]webtest.Form // forms of what is being written, as they stand open in the browser
}

func newPlace(t *testing.T, chain *schakeltest.Chain, id identity.DeskID, role identity.Role) *place {
	t.Helper()
	p := &place{t: t, chain: chain, member: chain.Join(id, role), seeded: &seeded{}, tabs: map[string]webtest.Form{}}
	p.member.Start()
	p.member.AddPerson("P. Iket")
	p.serve("127.0.0.1:0")
	t.Cleanup(func() { p.server.Close() })
	p.Window = &webtest.Window{Browser: webtest.NewBrowser(t, p.base)}
	p.Transport.(*http.Transport).DisableKeepAlives = true // a connection to a killed program is no answer
	return p
}

// serve opens the pages, with nobody signed in: a daemon that starts has no sessions.
func (p *place) serve(address string) {
	p.t.Helper()
	ln, err := net.Listen("tcp", address)
	must(p.t, err)
	p.base = "http://" + ln.Addr().String()
	p.seeded.Node = p.member.Node
	p.door = signin.New(signin.Config{Store: p.member.Store(), People: p.member.Node, Base: p.base, Now: p.chain.Now})
	kept := sheets.New(p.member.Store(), p.chain.Now)
	site, err := web.New(web.Config{Node: p.seeded, Door: p.door, Sheets: kept, Names: []string{"127.0.0.1"}, Now: p.chain.Now})
	must(p.t, err)
	p.server = &http.Server{Handler: p.seeded.pages(site, p.door, kept)}
	go p.server.Serve(ln)
}

// crash kills the desk's program and starts it again. The browser stands as it stood.
func (p *place) crash() {
	p.t.Helper()
	p.server.Close()
	p.member.Crash()
	p.member.Start()
	p.serve(strings.TrimPrefix(p.base, "http://"))
}

// signIn follows a link as an administrator gives it out.
func (p *place) signIn() {
	p.t.Helper()
	l, err := p.door.Link(p.t.Context(), desk.LinkRequest{Person: "P. Iket", Roles: []desk.Role{desk.RoleCaseWorker}})
	must(p.t, err)
	path := strings.TrimPrefix(l.URL, p.base)
	if a := p.Press(p.Open(path).Form(p.t, path), ""); a.Status != http.StatusOK || a.At != "/inbox" {
		p.t.Fatalf("signing in leads to %s: %d\n%s", a.At, a.Status, a.Body)
	}
}

// seen is what pages show, by what it is about. What no page was asked for is not in it.
type seen map[string]string

// looked reads what the pages of a desk show: its lists, and with whole also every message
// in its case and the text of everything that is being written.
func (p *place) looked(whole bool) seen {
	p.t.Helper()
	out := seen{"session": "open"}
	w := &webtest.Window{Browser: p.Browser} // another tab
	switch in := w.Open("/inbox"); {
	case in.At == "/locked":
		return seen{"session": "locked"}
	case in.At == "/sign-in":
		return seen{"session": "none"}
	case in.Status != http.StatusOK:
		p.t.Fatalf("the inbox: %d\n%s", in.Status, in.Body)
	}
	out.list(w.Page, "part-", "/messages/", "us", "unread", "them", "all")
	drafts := w.Open("/drafts")
	out.list(drafts, "", "/", "mine", "desk")
	if !whole {
		return out
	}
	for _, section := range drafts.Elements("section") {
		for _, row := range webtest.Elements(section, "li") {
			to := webtest.Link(row, "/")
			out["text of "+to] = p.written(w, to)
		}
	}
	for _, row := range w.Open("/cases").Elements("li") {
		zaak := webtest.Link(row, "/cases/")
		if zaak == "" {
			continue
		}
		for _, line := range w.Open(zaak).Elements("ol") {
			for _, moment := range webtest.Elements(line, "li") {
				if path := webtest.Link(moment, "/messages/"); path != "" && !isAcknowledgement(moment) {
					out["case page of "+path] = state(moment)
				}
			}
		}
	}
	return out
}

// list notes how many rows the parts of a page have, and of what.
func (s seen) list(page webtest.Page, prefix, link string, parts ...string) {
	for _, section := range page.Elements("section") {
		name := strings.TrimPrefix(webtest.Labelled(section), prefix)
		if !slices.Contains(parts, name) {
			continue
		}
		var rows []string
		for _, row := range webtest.Elements(section, "li") {
			if isAcknowledgement(row) {
				rows = append(rows, acknowledgement)
				continue
			}
			rows = append(rows, webtest.Link(row, link))
		}
		s[name] = listed(rows)
	}
}

// acknowledgement stands for any message that acknowledges another: who signs one never
// sees where it is.
const acknowledgement = "Ontvangstbevestiging"

func isAcknowledgement(row webtest.Node) bool {
	for _, a := range webtest.Elements(row, "a") {
		return strings.HasPrefix(webtest.Text(a), acknowledgement)
	}
	return false
}

func listed(rows []string) string {
	slices.Sort(rows)
	return strconv.Itoa(len(rows)) + ": " + strings.Join(rows, " ")
}

// written is the text of a message or a form that is being written, or of a draft of the desk.
func (p *place) written(w *webtest.Window, path string) string {
	page := w.Open(path)
	if strings.HasPrefix(path, "/compose/") {
		return page.Form(p.t, "/compose/"+walkClass).Get(walkField)
	}
	if strings.HasSuffix(path, "/acknowledgement") {
		return page.Form(p.t, path).Get("first-action")
	}
	for _, said := range page.Elements("dd") {
		if strings.HasPrefix(webtest.Text(said), walkText) {
			return webtest.Text(said)
		}
	}
	return ""
}

// state is how far a message is, in the timeline of its case.
func state(row webtest.Node) string {
	text := strings.Join(strings.Fields(webtest.Text(row)), " ")
	for _, word := range []string{"Bevestigd", "Gelezen", "Afgeleverd", "Klaargezet", "Bij de relay", "Bevestigen vóór"} {
		if strings.Contains(text, word) {
			return word
		}
	}
	return text
}
