package web_test

import (
	"bufio"
	"io"
	"net"
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

// TestHalfAFormSignsNothing: of a form of which a part cannot be read the rest is not signed.
func TestHalfAFormSignsNothing(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	path := o.Base + "/messages/" + hash + "/acknowledgement"
	good := "status=in-behandeling&pin=" + schakeltest.PIN
	cut := "--x\r\nContent-Disposition: form-data; name=\"pin\"\r\n\r\n" + schakeltest.PIN + "\r\n--x\r\nContent-Disposition: form-data; name=\"status\"\r\n\r\nin-behandeling"
	for what, c := range map[string]struct {
		body, kind string
		length     int64
		want       int
	}{
		"a letter that is none":       {good + "&first-action=%zz", "application/x-www-form-urlencoded", 0, http.StatusBadRequest},
		"a semicolon":                 {good + "&first-action=a;b", "application/x-www-form-urlencoded", 0, http.StatusBadRequest},
		"no end of a form of parts":   {cut, "multipart/form-data; boundary=x", 0, http.StatusBadRequest},
		"more than fits, unannounced": {good + "&first-action=" + strings.Repeat("a", 600<<10), "application/x-www-form-urlencoded", -1, http.StatusRequestEntityTooLarge},
	} {
		r := request(t, http.MethodPost, path, c.body)
		r.Header.Set("Content-Type", c.kind)
		if c.length < 0 {
			r.ContentLength = -1
		}
		if a := b.Send(r); a.Status != c.want {
			t.Errorf("%s: %d %s", what, a.Status, a.Header.Get("Location"))
		}
	}
	if m, err := o.Member.Node.Read(t.Context(), hash); err != nil || !m.Acknowledged.IsZero() {
		t.Errorf("half a form acknowledged: %v", err)
	}
	if a := b.Send(request(t, http.MethodPost, path, good)); a.Status != http.StatusSeeOther {
		t.Errorf("control: %d", a.Status)
	}
}

// TestOtherRequests: what no browser sends for a page, by hand: it reads nothing, keeps no
// stream open, and leads nowhere else.
func TestOtherRequests(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	base, err := url.Parse(o.Base)
	must(t, err)
	c := b.Jar.Cookies(base)[0]
	head := "Connection: close\r\nCookie: " + c.Name + "=" + c.Value + "\r\n\r\n"
	for first, want := range map[string]string{
		"HEAD /messages/" + hash + " HTTP/1.1\r\nHost: localhost":                                    " 404 ",
		"HEAD /live HTTP/1.1\r\nHost: localhost":                                                     " 404 ",
		"OPTIONS /messages/" + hash + " HTTP/1.1\r\nHost: localhost":                                 " 404 ",
		"TRACE /inbox HTTP/1.1\r\nHost: localhost":                                                   " 404 ",
		"PUT /messages/" + hash + "/acknowledgement HTTP/1.1\r\nHost: localhost":                     " 404 ",
		"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost":                                            " 405 ",
		"GET http://evil.example/inbox HTTP/1.1\r\nHost: localhost":                                  " 421 ",
		"GET /inbox HTTP/1.1\r\nHost: localhost\r\nHost: evil.example":                               " 400 ",
		"GET /inbox HTTP/1.0\r\nX: y":                                                                " 421 ",
		"PRI * HTTP/2.0\r\n\r\nSM":                                                                   " 421 ",
		"POST /lock HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6":           " 400 ",
		"GET /inbox HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__": " 200 ",
		"GET /inbox HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-1,0-":                              " 200 ",
		"GET //evil.example/a/.. HTTP/1.1\r\nHost: localhost":                                        " 307 ",
	} {
		conn, err := net.Dial("tcp", base.Host)
		must(t, err)
		_, err = io.WriteString(conn, first+"\r\n"+head)
		must(t, err)
		said, _ := io.ReadAll(conn)
		must(t, conn.Close())
		line, _, _ := strings.Cut(string(said), "\r\n")
		if !strings.Contains(line, want) || strings.Contains(string(said), "Location: //") {
			t.Errorf("%.60q: %s", first, line)
		}
	}
	if st, err := o.Member.Node.Status(t.Context()); err != nil || st.Unread != 1 {
		t.Errorf("something was read: %+v, %v", st, err)
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
