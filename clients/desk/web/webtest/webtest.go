// Package webtest opens a web desk of a real chain for tests: a relay, a desk that
// writes, and a desk of Veilig Thuis whose pages a test looks at.
//
//	o := webtest.Open(t, webtest.Options{})
//	hash := o.Report(nil)
//	b := o.User("P. Iket", desk.RoleCaseWorker)
//	page := b.Get("/messages/" + hash)
package webtest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/desk/signin"
	"schakel/clients/desk/web"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Office is a desk of a real chain with its web desk on a port.
type Office struct {
	Chain  *schakeltest.Chain
	Doctor *schakeltest.Member // who writes
	Member *schakeltest.Member // whose desk it is
	Person schakel.Person      // who signs there, under schakeltest.PIN
	Door   *signin.Door
	Site   *web.Site
	Base   string // http://localhost:port

	t testing.TB
}

// Options are what an office can have otherwise.
type Options struct {
	PlainLook bool
	Idle      time.Duration
	Theme     []byte
	Signs     *signin.Provider
	Node      func(desk.Node) desk.Node // stands before that of the office
	Cools     time.Duration             // how long new devices get nothing from the office; 0: they get all
	Channels  schakel.Channels          // by which the office pages; nil: it pages nobody
}

// Open opens an office of Veilig Thuis with one person. Everything ends with the test.
func Open(t testing.TB, opt Options) *Office {
	t.Helper()
	chain := schakeltest.New(t)
	o := &Office{t: t, Chain: chain, Doctor: chain.Join("arts/praktijk", identity.RoleSignaleerder), Member: chain.Join("vt20/crisis", identity.RoleVeiligThuis)}
	o.Doctor.Start()
	if opt.Cools != 0 {
		o.Member.CoolOff(opt.Cools)
	}
	if opt.Channels != nil {
		o.Member.Equip(opt.Channels)
	}
	o.Member.Start()
	o.Person = o.Member.AddPerson("P. Iket")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	_, port, err := net.SplitHostPort(ln.Addr().String())
	ok(t, err)
	o.Base = "http://localhost:" + port
	o.Door = signin.New(signin.Config{Store: o.Member.Store(), People: o.Member.Node, Base: o.Base, Signs: opt.Signs, Idle: opt.Idle, Now: chain.Now})
	node := desk.Node(o.Member.Node)
	if opt.Node != nil {
		node = opt.Node(node)
	}
	o.Site, err = web.New(web.Config{Node: node, Door: o.Door, Sheets: sheets.New(o.Member.Store(), chain.Now), Names: []string{"127.0.0.1", "localhost"}, PlainLook: opt.PlainLook, Theme: opt.Theme, Now: chain.Now, About: about})
	ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Site.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return o
}

// about is what a daemon would tell of itself.
func about(context.Context) (web.About, error) {
	return web.About{Version: "1.2.3", Store: 3 << 20, Settings: []web.Setting{{Key: "web-names", Value: "bureau.example", Origin: "/etc/schakel/client.toml"},
		{Key: "pager", Value: "", Origin: "default"}}}, nil
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Report sends the example of a signaal to the desk, changed where change says so, and
// returns its hash once it is there.
func (o *Office) Report(change func(*schakel.Draft)) string {
	o.t.Helper()
	d := schakel.Draft{Class: "signaal", Urgency: message.Urgent, To: []identity.DeskID{o.Member.Desk}, Body: body(o.t, "signaal")}
	if change != nil {
		change(&d)
	}
	var sent schakel.Sent
	o.Until("the other desk has keys", func() bool {
		var err error
		sent, err = o.Doctor.Node.Send(o.t.Context(), d)
		return err == nil
	})
	o.Until("the message is here", func() bool {
		all, err := o.Member.Node.List(o.t.Context(), schakel.Filter{Limit: 1000})
		ok(o.t, err)
		for _, m := range all {
			if m.Hash == sent.Hash {
				return true
			}
		}
		return false
	})
	return sent.Hash
}

// Until waits for a condition.
func (o *Office) Until(what string, yes func() bool) {
	o.t.Helper()
	end := time.Now().Add(2 * time.Minute)
	for !yes() {
		if time.Now().After(end) {
			o.t.Fatalf("%s: does not happen", what)
		}
		select {
		case <-o.t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Browser is a client with cookies that follows no redirect.
type Browser struct {
	*http.Client
	t    testing.TB
	base string
}

// NewBrowser is a browser that nobody signed in with.
func NewBrowser(t testing.TB, base string) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	ok(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &Browser{t: t, base: base, Client: &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// User signs a new browser in as a user with those roles; under the name of the office's
// person, as who signs as that person.
func (o *Office) User(name string, roles ...desk.Role) *Browser {
	o.t.Helper()
	if name == o.Person.Name {
		return o.Signer(name, roles...)
	}
	return o.enter(desk.LinkRequest{Name: name, Roles: roles})
}

// Signer signs a new browser in as a user who signs as a person of the desk.
func (o *Office) Signer(person string, roles ...desk.Role) *Browser {
	o.t.Helper()
	return o.enter(desk.LinkRequest{Person: person, Roles: roles})
}

func (o *Office) enter(r desk.LinkRequest) *Browser {
	o.t.Helper()
	link, err := o.Door.Link(o.t.Context(), r)
	ok(o.t, err)
	b := NewBrowser(o.t, o.Base)
	if a := b.Post(strings.TrimPrefix(link.URL, o.Base), nil); a.Status != http.StatusSeeOther {
		o.t.Fatalf("signing in: %d\n%s", a.Status, a.Body)
	}
	return b
}

// Reply is an answer, read whole.
type Reply struct {
	Status int
	Body   string
	Header http.Header
}

// Send sends any request.
func (b *Browser) Send(r *http.Request) Reply {
	b.t.Helper()
	resp, err := b.Do(r)
	ok(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	ok(b.t, err)
	return Reply{resp.StatusCode, string(body), resp.Header}
}

// Get asks for a page.
func (b *Browser) Get(path string) Reply {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.base+path, nil)
	ok(b.t, err)
	return b.Send(r)
}

// Post sends a form from a page of this desk.
func (b *Browser) Post(path string, form url.Values) Reply {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.base+path, strings.NewReader(form.Encode()))
	ok(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.base)
	return b.Send(r)
}

// body is that of the protocol's example of a class.
func body(t testing.TB, class string) []byte {
	t.Helper()
	e, err := protocol.V1().Example(class)
	ok(t, err)
	return e.Body
}
