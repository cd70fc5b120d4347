package web_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/signin"
	"schakel/clients/desk/web"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

var (
	walks    = flag.Int("walks", 1, "how many random walks over two desks")
	walkSeed = flag.Uint64("walk-seed", 0, "repeat the walk of this seed; 0: another each time")
)

const walkSteps = 20

// place is one desk with its pages, as its worker has them.
type place struct {
	t      *testing.T
	chain  *schakeltest.Chain
	member *schakeltest.Member
	server *httptest.Server
	door   *signin.Door
	*webtest.Browser
}

// open opens the pages, with nobody signed in: a daemon that starts has no sessions.
func (p *place) open() {
	p.t.Helper()
	if p.server != nil {
		p.server.Close()
	}
	p.server = httptest.NewUnstartedServer(nil)
	base := "http://" + p.server.Listener.Addr().String()
	p.door = signin.New(signin.Config{Store: p.member.Store(), People: p.member.Node, Base: base, Now: p.chain.Now})
	site, err := web.New(web.Config{Node: p.member.Node, Door: p.door, Names: []string{"127.0.0.1"}, Now: p.chain.Now})
	must(p.t, err)
	p.server.Config.Handler = site
	p.server.Start()
	p.Browser = webtest.NewBrowser(p.t, base)
}

func (p *place) signIn() {
	p.t.Helper()
	l, err := p.door.Link(p.t.Context(), desk.LinkRequest{Person: "P. Iket", Roles: []desk.Role{desk.RoleCaseWorker}})
	must(p.t, err)
	if a := p.Post(strings.TrimPrefix(l.URL, p.server.URL), nil); a.Status != http.StatusSeeOther {
		p.t.Fatalf("signing in: %d\n%s", a.Status, a.Body)
	}
}

// known is what must be so, computed beside the program.
type known struct {
	sent    []string          // hashes, in order
	here    map[string]bool   // with the recipient, for certain
	taken   map[string]bool   // acknowledged there
	drafts  map[string]string // text by identifier
	online  bool
	session string // none, open or locked, of the recipient
}

// walk is two desks, what must be so of them, and chance.
type walk struct {
	*known
	t      *testing.T
	rand   *rand.Rand
	chain  *schakeltest.Chain
	sender *place
	office *place
	done   []string
}

func newWalk(t *testing.T, seed uint64) *walk {
	t.Helper()
	chain := schakeltest.New(t)
	w := &walk{known: &known{here: map[string]bool{}, taken: map[string]bool{}, drafts: map[string]string{}, online: true, session: "none"},
		t: t, rand: rand.New(rand.NewPCG(seed, 7)), chain: chain}
	w.sender = &place{t: t, chain: chain, member: chain.Join("arts/praktijk", identity.RoleSignaleerder)}
	w.office = &place{t: t, chain: chain, member: chain.Join("vt20/crisis", identity.RoleVeiligThuis)}
	for _, p := range []*place{w.sender, w.office} {
		p.member.Start()
		p.member.AddPerson("P. Iket")
		p.open()
	}
	w.sender.signIn()
	t.Cleanup(func() {
		w.sender.server.Close()
		w.office.server.Close()
	})
	w.until("the desks know each other", func() bool { return w.send() == nil })
	w.settle()
	return w
}

func (w *walk) until(what string, yes func() bool) {
	w.t.Helper()
	for end := time.Now().Add(60 * time.Second); !yes(); {
		if time.Now().After(end) {
			w.t.Fatalf("%s: does not happen, after %s", what, strings.Join(w.done, ", "))
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (w *walk) signaal() schakel.Draft {
	e, err := protocol.V1().Example("signaal")
	must(w.t, err)
	return schakel.Draft{Class: "signaal", Urgency: message.Urgent, To: []identity.DeskID{w.office.member.Desk}, Body: e.Body}
}

// send writes and forgets: connected or not, it must get there.
func (w *walk) send() error {
	sent, err := w.sender.member.Node.Send(w.t.Context(), w.signaal())
	if err == nil {
		w.sent = append(w.sent, sent.Hash)
	}
	return err
}

// settle waits, where there is a connection, until what was sent is there.
func (w *walk) settle() {
	w.t.Helper()
	if !w.online {
		return
	}
	w.until("all that was sent is there", func() bool {
		all, err := w.office.member.Node.List(w.t.Context(), schakel.Filter{Limit: 1000})
		return err == nil && len(all) >= len(w.sent)
	})
	for _, hash := range w.sent {
		w.here[hash] = true
	}
}

// arrived is one that is with the recipient and not acknowledged, or "".
func (w *walk) arrived() string {
	var all []string
	for _, hash := range w.sent {
		if w.here[hash] && !w.taken[hash] {
			all = append(all, hash)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return all[w.rand.IntN(len(all))]
}

// acknowledge fills in the form, with the PIN or a wrong one.
func (w *walk) acknowledge(pin string) {
	hash := w.arrived()
	if hash == "" {
		return
	}
	a := w.office.Post("/messages/"+hash+"/acknowledgement", url.Values{"pin": {pin}, "status": {protocol.StatusTaken}, "first-action": {"Gebeld"}})
	switch right := pin == schakeltest.PIN; {
	case w.session == "open" && right:
		w.want(a, http.StatusSeeOther)
		w.taken[hash] = true
	case w.session == "open":
		w.want(a, http.StatusForbidden)
		if !strings.Contains(a.Body, `value="Gebeld"`) {
			w.t.Errorf("what was typed is lost, after %s", strings.Join(w.done, ", "))
		}
	default:
		w.want(a, http.StatusForbidden)
	}
}

func (w *walk) want(a webtest.Reply, status int) {
	w.t.Helper()
	if a.Status != status {
		w.t.Errorf("got %d, want %d, after %s\n%.600s", a.Status, status, strings.Join(w.done, ", "), a.Body)
	}
}

// draft begins a draft, or goes on with one.
func (w *walk) draft() {
	d := w.signaal()
	d.To = nil
	var body map[string]any
	must(w.t, json.Unmarshal(d.Body, &body))
	text := fmt.Sprintf("concept %d", w.rand.IntN(1000))
	body["beschrijving"] = text
	var err error
	d.Body, err = json.Marshal(body)
	must(w.t, err)
	id := ""
	if all := slices.Sorted(maps.Keys(w.drafts)); len(all) > 0 && w.rand.IntN(2) == 0 {
		id = all[w.rand.IntN(len(all))]
	}
	saved, err := w.office.member.Node.SaveDraft(w.t.Context(), id, "", d, schakel.By{Person: "P. Iket", PIN: schakeltest.PIN})
	must(w.t, err)
	w.drafts[saved.ID] = text
}

// restart ends the recipient's program and starts it again on what it had on disk.
func (w *walk) restart() {
	running := w.office.member
	running.Reopen()
	running.Start()
	w.office.open()
	w.session = "none"
}

// step does one thing that somebody could do now.
func (w *walk) step() {
	steps := map[string]func(){
		"send":                       func() { must(w.t, w.send()); w.settle() },
		"acknowledge":                func() { w.acknowledge(schakeltest.PIN) },
		"acknowledge with wrong PIN": func() { w.acknowledge("000000") },
		"reload":                     func() {},
		"draft":                      w.draft,
		"restart":                    w.restart,
		"lock": func() {
			w.office.Post("/lock", nil)
			if w.session == "open" {
				w.session = "locked"
			}
		},
		"come in": func() {
			switch w.session {
			case "locked":
				w.want(w.office.Post("/unlock", url.Values{"pin": {schakeltest.PIN}}), http.StatusSeeOther)
			case "none":
				w.office.signIn()
			}
			w.session = "open"
		},
		"lose the connection, or find it": func() {
			if w.online {
				w.chain.StopRelay()
			} else {
				w.chain.StartRelay()
			}
			w.online = !w.online
			w.settle()
		},
	}
	names := []string{"send", "acknowledge", "acknowledge", "acknowledge with wrong PIN", "reload", "draft", "restart", "lock", "come in", "come in", "come in", "lose the connection, or find it"}
	name := names[w.rand.IntN(len(names))]
	w.done = append(w.done, name)
	steps[name]()
	w.check()
}

// check holds what the pages say to what must be so.
func (w *walk) check() {
	w.t.Helper()
	a := w.office.Get("/inbox?part=us")
	if places := map[string]string{"none": "/sign-in", "locked": "/locked"}; w.session != "open" {
		if to := a.Header.Get("Location"); to != places[w.session] {
			w.t.Errorf("%s: the inbox leads to %q, after %s", w.session, to, strings.Join(w.done, ", "))
		}
		return
	}
	w.want(a, http.StatusOK)
	for _, hash := range w.sent {
		shown := strings.Count(a.Body, `href="/messages/`+hash+`"`)
		if waits := w.here[hash] && !w.taken[hash]; waits && shown != 1 || w.taken[hash] && shown != 0 || shown > 1 {
			w.t.Errorf("%.8s (here %t, taken %t) is shown %d times, after %s", hash, w.here[hash], w.taken[hash], shown, strings.Join(w.done, ", "))
		}
	}
}

// end connects everybody, and looks whether all came to what it must.
func (w *walk) end() {
	w.t.Helper()
	if !w.online {
		w.chain.StartRelay()
		w.online = true
	}
	w.settle()
	all, err := w.office.member.Node.List(w.t.Context(), schakel.Filter{Limit: 1000})
	must(w.t, err)
	if len(all) != len(w.sent) {
		w.t.Errorf("%d of %d messages, after %s", len(all), len(w.sent), strings.Join(w.done, ", "))
	}
	for _, hash := range w.sent {
		word := "Afgeleverd"
		if w.taken[hash] {
			word = "Bevestigd"
		}
		w.until("the sender's page says "+word, func() bool {
			body := w.sender.Get("/messages/" + hash).Body
			return strings.Contains(body, word) || word == "Afgeleverd" && strings.Contains(body, "Gelezen")
		})
	}
	saved, err := w.office.member.Node.Drafts(w.t.Context(), "", schakel.By{Person: "P. Iket", PIN: schakeltest.PIN})
	must(w.t, err)
	for id, text := range w.drafts {
		found := false
		for _, s := range saved {
			found = found || s.ID == id && strings.Contains(string(s.Draft.Body), text)
		}
		if !found {
			w.t.Errorf("the draft %q is lost, after %s", text, strings.Join(w.done, ", "))
		}
	}
}

// TestRandomWalks: two desks, and whatever people do with their pages: send, acknowledge,
// lock, reload, lose the connection, restart. Counts and states are what they must be after
// each step, and in the end nothing sent and no draft is lost. -args -walks=100 for more,
// -walk-seed to repeat one.
func TestRandomWalks(t *testing.T) {
	for i := range *walks {
		seed := *walkSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		t.Run(fmt.Sprintf("walk %d", i+1), func(t *testing.T) {
			t.Logf("repeat with -args -walk-seed=%d", seed)
			w := newWalk(t, seed)
			for range walkSteps {
				w.step()
			}
			w.end()
		})
	}
}
