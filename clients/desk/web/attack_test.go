package web_test

import (
	"bufio"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/rights"
	"schakel/clients/desk/web"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel/schakeltest"
)

func request(t *testing.T, method, url, form string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// TestRebinding: a page of an attacker whose name now points at this machine is another
// name, whatever its cookies.
func TestRebinding(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b := o.User("P. Iket", desk.RoleCaseWorker)
	for host, refused := range map[string]bool{
		"evil.example": true, "evil.example:8477": true, "localhost.evil.example": true, "127.0.0.2": true, "[::1]:80": true, "x": true,
		"localhost": false, "LOCALHOST:1": false, "127.0.0.1:8477": false,
	} {
		r := request(t, http.MethodGet, o.Base+"/inbox", "")
		r.Host = host
		if a := b.Send(r); (a.Status == http.StatusMisdirectedRequest) != refused {
			t.Errorf("host %q: %d, refused should be %t", host, a.Status, refused)
		}
	}
}

// TestForeignForms: a page elsewhere, also one on another port of this machine, changes
// nothing here.
func TestForeignForms(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	form := url.Values{"pin": {schakeltest.PIN}, "status": {"in-behandeling"}}.Encode()
	for name, headers := range map[string]map[string]string{
		"another site":           {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
		"another port":           {"Origin": "http://localhost:1", "Sec-Fetch-Site": "same-site"},
		"an old browser":         {"Origin": "https://evil.example"},
		"an origin that is none": {"Origin": "null"},
	} {
		for _, path := range []string{"/messages/" + hash + "/acknowledgement", "/sign-out", "/lock", "/hide", "/language"} {
			r := request(t, http.MethodPost, o.Base+path, form)
			for k, v := range headers {
				r.Header.Set(k, v)
			}
			if a := b.Send(r); a.Status != http.StatusForbidden {
				t.Errorf("%s, %s: %d", name, path, a.Status)
			}
		}
	}
	letter, err := o.Member.Node.Read(t.Context(), hash)
	if err != nil || !letter.Acknowledged.IsZero() {
		t.Errorf("a foreign form acknowledged: %v", err)
	}
	if a := b.Post("/messages/"+hash+"/acknowledgement", url.Values{"pin": {schakeltest.PIN}, "status": {"in-behandeling"}}); a.Status != http.StatusSeeOther {
		t.Errorf("control: an own form: %d", a.Status)
	}
}

// TestFixation: a token that was in the browser before is not the token after signing in,
// and after signing out, locking and unlocking the old one opens nothing.
func TestFixation(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	base, err := url.Parse(o.Base)
	if err != nil {
		t.Fatal(err)
	}
	link, err := o.Door.Link(t.Context(), desk.LinkRequest{Person: "P. Iket"})
	if err != nil {
		t.Fatal(err)
	}
	b := webtest.NewBrowser(t, o.Base)
	b.Jar.SetCookies(base, []*http.Cookie{{Name: "schakel", Value: "planted"}})
	token := func() string { return b.Jar.Cookies(base)[0].Value }
	b.Post(strings.TrimPrefix(link.URL, o.Base), nil)
	first := token()
	if first == "planted" || b.Get("/inbox").Status != http.StatusOK {
		t.Fatalf("signed in under %q", first)
	}
	b.Post("/lock", nil)
	if a := b.Get("/inbox"); a.Header.Get("Location") != "/locked" {
		t.Errorf("locked: %d", a.Status)
	}
	if a := b.Post("/unlock", url.Values{"pin": {"000000"}}); a.Status != http.StatusForbidden || strings.Contains(a.Body, "000000") {
		t.Errorf("a wrong PIN: %d", a.Status)
	}
	b.Post("/unlock", url.Values{"pin": {schakeltest.PIN}})
	second := token()
	b.Post("/sign-out", nil)
	for name, old := range map[string]string{"before the lock": first, "before signing out": second, "planted": "planted"} {
		thief := webtest.NewBrowser(t, o.Base)
		thief.Jar.SetCookies(base, []*http.Cookie{{Name: "schakel", Value: old}})
		if a := thief.Get("/inbox"); a.Header.Get("Location") != "/sign-in" {
			t.Errorf("the token of %s opens the inbox: %d", name, a.Status)
		}
	}
	if first == second {
		t.Error("unlocking keeps the token")
	}
}

// TestEveryRouteForEveryRole asks for every page as every role, and without a session:
// the table of rights decides, and nobody gets a page for what it forbids.
func TestEveryRouteForEveryRole(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	for _, role := range append(desk.Roles(), "") {
		for _, r := range web.Routes() {
			if r.Path == "/live" {
				continue // a stream has no end: see TestLive
			}
			b := webtest.NewBrowser(t, o.Base)
			if role != "" {
				b = o.User("N. "+string(role), role)
			}
			path := strings.NewReplacer("{ref}", hash, "{link}", "x", "{$}", "", "{class}", "melding", "{id}", "x").Replace(r.Path)
			a := b.Get(path)
			if r.Method == http.MethodPost {
				a = b.Post(path, nil)
			}
			refused := a.Status == http.StatusForbidden || a.Header.Get("Location") == "/sign-in"
			user := desk.User{Roles: []desk.Role{role}}
			forbidden := r.Who == web.Users && role == "" || r.Operation != "" && !rights.May(user, r.Operation) || r.Who == web.Known && role == ""
			if forbidden && !refused {
				t.Errorf("%s %s as %q: %d", r.Method, r.Path, role, a.Status)
			}
			if !forbidden && a.Status == http.StatusForbidden && !strings.Contains(a.Body, "person-needed") && !strings.HasPrefix(r.Path, "/passkeys/signing") { // these users sign nothing, and have no passkey
				t.Errorf("%s %s as %q is refused, and the table allows it", r.Method, r.Path, role)
			}
		}
	}
}

// TestNoWayOutOfTheFolder: what is served beside pages is a list of names.
func TestNoWayOutOfTheFolder(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	for _, path := range []string{"/static/../woorden.csv", "/static/..%2fwoorden.csv", "/static/%2e%2e/web.go", "/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
		"/static/", "/static/README.md", "/static//etc/passwd", "/static/desk.css%00", "/static/..\\web.go", "/messages/..%2f..%2fstatic"} {
		r := request(t, http.MethodGet, o.Base+"/", "")
		r.URL = &url.URL{Scheme: "http", Host: r.URL.Host, Opaque: "//" + r.URL.Host + path}
		if a := webtest.NewBrowser(t, o.Base).Send(r); a.Status == http.StatusOK {
			t.Errorf("%s: %d\n%.200s", path, a.Status, a.Body)
		}
	}
	if a := webtest.NewBrowser(t, o.Base).Get("/static/desk.css"); a.Status != http.StatusOK {
		t.Errorf("control: %d", a.Status)
	}
}

// TestEveryAnswerIsGuarded: no answer of any kind goes without the policy, and none may
// stay in a cache that holds something of a case.
func TestEveryAnswerIsGuarded(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b := o.User("P. Iket", desk.Roles()...)
	for _, path := range []string{"/", "/inbox", "/nergens", "/messages/zz", "/static/desk.css", "/static/nope", "/notes", "/sign-in", "/enter/x", "//x"} {
		h := b.Get(path).Header
		for _, want := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Cache-Control"} {
			if h.Get(want) == "" {
				t.Errorf("%s goes without %s", path, want)
			}
		}
		for _, loose := range []string{"unsafe-inline", "unsafe-eval", "*", "http:", "https:", "data:"} {
			if strings.Contains(h.Get("Content-Security-Policy"), loose) {
				t.Errorf("%s: the policy allows %s", path, loose)
			}
		}
		if !strings.HasPrefix(path, "/static/desk") && h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may stay in a cache", path)
		}
	}
	link, err := o.Door.Link(t.Context(), desk.LinkRequest{Person: "P. Iket"})
	if err != nil {
		t.Fatal(err)
	}
	cookie := webtest.NewBrowser(t, o.Base).Post(strings.TrimPrefix(link.URL, o.Base), nil).Header.Get("Set-Cookie")
	if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") {
		t.Errorf("the cookie is %q", cookie)
	}
}

func TestFetchingInAdvanceReadsNothing(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	r := request(t, http.MethodGet, o.Base+"/messages/"+hash, "")
	r.Header.Set("Sec-Purpose", "prefetch")
	if a := b.Send(r); a.Status == http.StatusOK {
		t.Error("a browser that fetches in advance gets the message")
	}
	if unread, err := o.Member.Node.Status(t.Context()); err != nil || unread.Unread != 1 {
		t.Errorf("%+v, %v", unread, err)
	}
}

// TestLive: a page hears of news, and when its session locks.
func TestLive(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b := o.User("P. Iket", desk.RoleCaseWorker)
	resp, err := b.Do(request(t, http.MethodGet, o.Base+"/live", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	until := func(want string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == want {
				return
			}
		}
		t.Fatalf("the stream ended before %q: %v", want, lines.Err())
	}
	until(": schakel")
	hash := o.Report(nil)
	until("data: received")
	if strings.Contains(lines.Text(), hash) {
		t.Error("the stream names messages")
	}
	b.Post("/lock", nil)
	until("event: locked")
}

func TestHostileFormsAreRefused(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	path := "/messages/" + hash + "/acknowledgement"
	codes := []int{}
	for _, form := range []url.Values{
		{"pin": {schakeltest.PIN}, "status": {"<script>"}},
		{"pin": {schakeltest.PIN}, "status": {"in-behandeling"}, "answer-by": {"gisteren"}},
		{"pin": {schakeltest.PIN}, "status": {"in-behandeling"}, "answer-by": {"2020-01-01T00:00"}},
		{"pin": {schakeltest.PIN}, "status": {"in-behandeling"}, "first-action": {strings.Repeat("x", 1<<20)}},
		{"pin": {""}, "status": {"in-behandeling"}},
	} {
		a := b.Post(path, form)
		codes = append(codes, a.Status)
		if strings.Contains(a.Body, "<script>") && !strings.Contains(a.Body, "desk.js") {
			t.Error("a form's text is in the page as it is")
		}
	}
	if slices.Contains(codes, http.StatusSeeOther) || slices.Contains(codes, http.StatusInternalServerError) {
		t.Errorf("statuses %v", codes)
	}
}
