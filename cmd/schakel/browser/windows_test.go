package browser_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/signin"
	"schakel/clients/desk/web"
	"schakel/clients/desk/web/webtest"
)

// signedIn is somebody with the mouse at an office, who came in by a link.
func signedIn(t *testing.T, o *webtest.Office, base string) *seat {
	t.Helper()
	s := &seat{t: t, all: startHands(t), who: string(o.Member.Desk)}
	s.order(order{Do: "sit", Hand: "mouse", Base: base, Cut: base != o.Base, Options: map[string]any{"locale": "nl-NL", "viewport": map[string]int{"width": 1280, "height": 900}}})
	link, err := o.Door.Link(t.Context(), desk.LinkRequest{Person: o.Person.Name})
	ok(t, err)
	u, err := url.Parse(link.URL)
	ok(t, err)
	s.order(order{Do: "go", Path: u.Path})
	s.use("main form button")
	return s
}

// TestManyWindows: a browser has six connections to one desk, over all its windows. Each
// window listens for news, and all of them together leave room for who works: somebody who
// left nine of them open still acknowledges.
func TestManyWindows(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	s := signedIn(t, o, o.Base)
	s.order(order{Do: "windows", Path: "/inbox", Many: 8})
	s.use(`main a[href="/messages/` + hash + `"]`)
	s.use(`main a[href="/messages/` + hash + `/acknowledgement"]`)
	s.at("/messages/" + hash + "/acknowledgement")
	o.Report(nil)
	s.order(order{Do: "until", At: "#news"}) // who looks at this window hears of it
}

// TestDaemonStartsAgain: sessions end with the daemon, and a page that was open then does not
// go on showing a case: it finds out by itself.
func TestDaemonStartsAgain(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	var site atomic.Pointer[web.Site]
	site.Store(o.Site)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { site.Load().ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	s := signedIn(t, o, srv.URL)
	s.use(`main a[href="/messages/` + hash + `"]`)
	o.Report(nil)
	s.order(order{Do: "until", At: "#news"}) // its stream is open: that is what is cut off

	next := o.Site.Config // knows the store, and none of the sessions
	next.Door = signin.New(signin.Config{Store: o.Member.Store(), People: o.Member.Node, Base: srv.URL, Now: next.Now})
	again, err := web.New(next)
	ok(t, err)
	site.Store(again)
	srv.CloseClientConnections()
	s.order(order{Do: "until", At: "body:not([data-idle])"})
	s.at("/sign-in")
}

// TestNewsWhileAPageOpens: what comes in after a page was made and before its script listens
// is news on that page, though nothing comes after it.
func TestNewsWhileAPageOpens(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	listens := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/live" { // as on a slow machine
			select {
			case <-listens:
			case <-r.Context().Done():
			}
		}
		o.Site.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	s := signedIn(t, o, srv.URL)
	s.at("/inbox")
	o.Report(nil)
	close(listens)
	s.order(order{Do: "until", At: "#news"})
}
