package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/rights"
	"schakel/clients/schakel"
)

// filled is a path of the contract with something in its places.
func filled(path string) string {
	return strings.NewReplacer("{message}", "abcdef0123", "{case}", "abcdef0123", "{draft}", "abcdef0123", "{attachment}", strings.Repeat("a", 64), "{place}", "1").Replace(path)
}

// TestNobodyGetsIn: without a good token every operation answers alike, whatever is wrong.
func TestNobodyGetsIn(t *testing.T) {
	o := open(t)
	p := o.worker()
	good := p.secret
	bodies := map[string]bool{}
	gone := o.program("weg", desk.TokenRequest{Roles: desk.Roles()})
	ok(t, o.tokens.RevokeToken(t.Context(), "weg"))
	flipped := []byte(good)
	flipped[len(flipped)-2] ^= 1
	each(func(method, path string, op map[string]any) {
		if op["operationId"] == "getContract" {
			return
		}
		for _, secret := range []string{"", "schakel_", good[:len(good)-1], good + "A", string(flipped), strings.ToUpper(good), gone.secret, "schakel_" + strings.Repeat("0", 16) + "_" + strings.Repeat("A", 43)} {
			q := *p
			q.secret = secret
			r := q.ask(method, "/v1"+filled(path), "{}")
			if r.status != http.StatusUnauthorized || r.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s %s with %q: %d %s", method, path, secret, r.status, r.body)
			}
			bodies[string(r.body)] = true
		}
	})
	if len(bodies) != 1 {
		t.Errorf("a program learns what is wrong with its token: %v", bodies)
	}
	p.want(200, "GET", "/v1/status", nil)
}

// TestRightsOfEveryRoute asks every route with a token of every role and scope: who may
// not is refused before anything is read of the request, and whoever may is not refused
// for that.
func TestRightsOfEveryRoute(t *testing.T) {
	o := open(t)
	tried := 0
	for _, role := range desk.Roles() {
		for _, scope := range rights.Scopes() {
			p := o.program(string(role)+" "+scope, desk.TokenRequest{Roles: []desk.Role{role}, Scopes: []string{scope}})
			user := p.token.User()
			each(func(method, path string, op map[string]any) {
				node, named := op["x-operation"].(string)
				if !named || node == "Subscribe" && rights.May(user, "Subscribe") {
					return
				}
				tried++
				r := p.ask(method, "/v1"+filled(path), `{"unknown`)
				refused := r.status == http.StatusForbidden && r.code(t) == "no-right"
				if refused == rights.May(user, rights.Operation(node)) {
					t.Errorf("%s, %s: %s %s: %d %s", role, scope, method, path, r.status, r.body)
				}
			})
		}
	}
	t.Logf("%d requests", tried)
}

// TestNobodySignsAsAnother: a token of one person signs for that person only, with the
// PIN, and a token of nobody for nobody.
func TestNobodySignsAsAnother(t *testing.T) {
	o := open(t)
	hash := o.report(nil)
	other := o.member.AddPerson("N. Acht")
	mine := o.worker()
	none := o.program("geen", desk.TokenRequest{Roles: desk.Roles()})
	ack := func(person, pin string) map[string]string { return map[string]string{"person": person, "pin": pin} }
	path := "/v1/messages/" + hash + "/acknowledgements"
	for name, r := range map[string]reply{
		"another":           mine.ask("POST", path, ack(other.ID.String(), "123456"), "Idempotency-Key", "as-another"),
		"another, by name":  mine.ask("POST", path, ack(other.Name, "123456"), "Idempotency-Key", "as-another-2"),
		"of nobody":         none.ask("POST", path, ack(o.person.ID.String(), by(o).PIN), "Idempotency-Key", "as-nobody"),
		"reading":           mine.ask("POST", "/v1/messages/"+hash+"/openings", schakel.By{Person: other.ID.String(), PIN: by(o).PIN}),
		"reading of nobody": none.ask("POST", "/v1/messages/"+hash+"/openings", by(o)),
	} {
		if r.status != http.StatusForbidden || r.code(t) != "own-person" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	for range 5 {
		if code := mine.want(403, "POST", path, ack(o.person.ID.String(), "000000"), "Idempotency-Key", "wrong-pin").code(t); code != "wrong-pin" {
			t.Errorf("wrong PIN: %s", code)
		}
	}
	if r := mine.want(429, "POST", path, ack(o.person.ID.String(), by(o).PIN), "Idempotency-Key", "right-pin"); r.code(t) != "wrong-pins" || r.header.Get("Retry-After") == "" {
		t.Errorf("the sixth PIN: %s", r.body)
	}
	second := o.program("tweede", desk.TokenRequest{Roles: desk.Roles(), Person: o.person.Name})
	second.want(201, "POST", path, ack(o.person.ID.String(), by(o).PIN), "Idempotency-Key", "right-pin")
}

// TestManyPINsAtOnce: whoever sends them together has no more tries than who waits for each
// answer; the rest is told to come back, and nobody else's token is closed.
func TestManyPINsAtOnce(t *testing.T) {
	o := open(t)
	p := o.worker()
	path := "/v1/messages/" + o.report(nil) + "/openings"
	looked, all := make(chan string, 40), sync.WaitGroup{}
	for i := range cap(looked) {
		all.Go(func() {
			looked <- p.ask("POST", path, schakel.By{Person: o.person.ID.String(), PIN: fmt.Sprintf("%06d", i)}).code(t)
		})
	}
	all.Wait()
	close(looked)
	met := map[string]int{}
	for code := range looked {
		met[code]++
	}
	if met["wrong-pin"] == 0 || met["wrong-pin"] > 5 || met["wrong-pin"]+met["busy"]+met["wrong-pins"] != cap(looked) {
		t.Errorf("%v", met)
	}
	second := o.program("tweede", desk.TokenRequest{Roles: desk.Roles(), Person: o.person.Name})
	for range 8 { // right ones cost nothing
		second.want(200, "POST", path, by(o))
	}
}

// TestManyPINsInADay: a token that is closed for a while opens again, until its PINs of that
// day are used up; the next day it opens, and so does the token of another meanwhile.
func TestManyPINsInADay(t *testing.T) {
	o := open(t)
	added, err := o.tokens.AddToken(t.Context(), desk.TokenRequest{Name: "zaaksysteem", Roles: desk.Roles(), Scopes: rights.Scopes(), Person: o.person.Name, Expires: o.chain.Now().Add(48 * time.Hour)})
	ok(t, err)
	p := newProgram(t, o.base, added.Token, added.Secret)
	other := o.program("tweede", desk.TokenRequest{Roles: desk.Roles(), Person: o.person.Name})
	path := "/v1/messages/" + o.report(nil) + "/openings"
	wrong := 0
	for range 10 { // two and a half hours
		for range 6 {
			if p.ask("POST", path, schakel.By{Person: o.person.ID.String(), PIN: "000000"}).code(t) == "wrong-pin" {
				wrong++
			}
		}
		o.chain.Pass(15 * time.Minute)
	}
	if wrong != 20 {
		t.Errorf("%d wrong PINs were looked at in a day", wrong)
	}
	if r := p.want(429, "POST", path, by(o)); r.code(t) != "wrong-pins" || r.header.Get("Retry-After") != "900" {
		t.Errorf("%s %s", r.header.Get("Retry-After"), r.body)
	}
	other.want(200, "POST", path, by(o))
	o.chain.Pass(21*time.Hour + 45*time.Minute)
	p.want(200, "POST", path, by(o))
}

// TestWhatAProgramReadsIsNoted: every opening stands in the log of tokens before it is
// answered, a list now and then.
func TestWhatAProgramReadsIsNoted(t *testing.T) {
	o := open(t)
	hash := o.report(nil)
	p := o.worker()
	for range 3 {
		p.want(200, "GET", "/v1/messages", nil)
		p.want(200, "POST", "/v1/messages/"+hash+"/openings", map[string]string{})
	}
	uses, err := o.tokens.TokenLog(t.Context(), "zaaksysteem")
	ok(t, err)
	var said []string
	for _, u := range uses {
		said = append(said, u.Operation+" "+u.Subject)
	}
	want := []string{"listMessages all", "openMessage " + hash, "openMessage " + hash, "openMessage " + hash}
	if !slices.Equal(said, want) {
		t.Errorf("noted %q, want %q", said, want)
	}
	var log struct{ Items []schakel.LogLine }
	p.want(200, "GET", "/v1/access-log?case="+hash, nil).into(t, &log)
	if !slices.ContainsFunc(log.Items, func(l schakel.LogLine) bool { return strings.HasPrefix(l.Action, "api:openMessage:"+p.token.ID) }) {
		t.Errorf("the log of the case says nothing of the program: %+v", log)
	}
	each(func(method, path string, op map[string]any) {
		node, _ := op["x-operation"].(string)
		if slices.Contains([]string{"messages:read", "messages:send", "cases:read", "cases:write", "cases:export", "drafts"}, rights.ScopeOf(rights.Operation(node))) &&
			op["x-noted"] == nil && !slices.Contains([]string{"Trace", "Wait", "Prepare", "Restriction"}, node) {
			t.Errorf("%s %s reads a case, and is not noted", method, path)
		}
	})
}

// TestNoPageIsAProgram: a browser that was told our address by a page is refused, by its
// name or by its page.
func TestNoPageIsAProgram(t *testing.T) {
	o := open(t)
	p := o.worker()
	for name, r := range map[string]reply{
		"rebound":            p.ask("GET", "/v1/status", nil, "Host", "evil.example"),
		"rebound, port":      p.ask("GET", "/v1/status", nil, "Host", "evil.example:8478"),
		"rebound, localhost": p.ask("GET", "/v1/status", nil, "Host", "localhost.evil.example"),
		"no name":            p.ask("GET", "/v1/status", nil, "Host", "0.0.0.0"),
	} {
		if r.status != http.StatusMisdirectedRequest || r.code(t) != "name" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	for _, header := range [][2]string{{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", o.base}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "same-origin"}} {
		for _, method := range []string{"GET", "POST"} {
			if r := p.ask(method, "/v1/messages", nil, header[0], header[1]); r.status != http.StatusForbidden || r.code(t) != "page" || r.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s with %v: %d %s", method, header, r.status, r.body)
			}
		}
	}
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		if r := p.ask("POST", "/v1/alarm-clearances", `{"kind":"klok","subject":"x"}`, "Content-Type", media); r.status != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %d %s", media, r.status, r.body)
		}
	}
	for _, host := range []string{"localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8478"} {
		p.want(200, "GET", "/v1/status", nil, "Host", host)
	}
}

// TestHostileRequests: what is not as the contract says is refused, named, and not quoted.
func TestHostileRequests(t *testing.T) {
	o := open(t)
	p := o.worker()
	deep := strings.Repeat(`{"by":`, 5000) + "1" + strings.Repeat("}", 5000)
	evil := "<script>\u202e=1+1\x1b[2J"
	for name, body := range map[string]string{
		"empty":          "",
		"no JSON":        "{",
		"twice a key":    `{"kind":"klok","kind":"x","subject":"y"}`,
		"deep":           deep,
		"a megabyte":     `{"kind":"` + strings.Repeat("a", 400<<10) + `","subject":"x"}`,
		"unknown field":  `{"kind":"klok","subject":"x","admin":true}`,
		"another type":   `{"kind":["klok"],"subject":{"$ne":1}}`,
		"null":           `null`,
		"list":           `[]`,
		"two values":     `{"kind":"klok","subject":"x"} {}`,
		"huge number":    `{"kind":1e999999999,"subject":"x"}`,
		"lone surrogate": `{"kind":"\ud800","subject":"x"}`,
		"no UTF-8":       "{\"kind\":\"\xff\",\"subject\":\"x\"}",
		"an escape":      `{"kind":"\u001b[2J","subject":"x"}`,
		"evil field":     `{"` + strings.ReplaceAll(evil, "\x1b", `\u001b`) + `":1}`,
	} {
		r := p.ask("POST", "/v1/alarm-clearances", body)
		if r.status != http.StatusBadRequest || r.code(t) != "bad-request" {
			t.Errorf("%s: %d %.300s", name, r.status, r.body)
		}
		if len(r.body) > 8<<10 || bytes.Contains(r.body, []byte("script")) || bytes.Contains(r.body, []byte("\u202e")) {
			t.Errorf("%s is quoted: %.300s", name, r.body)
		}
	}
	if r := p.ask("POST", "/v1/alarm-clearances", `{"kind":"`+strings.Repeat("a", 1<<20)+`"}`); r.status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", r.status)
	}
	for _, path := range []string{"/v1/messages?limit=0", "/v1/messages?limit=501", "/v1/messages?limit=-1", "/v1/messages?limit=1e3", "/v1/messages?limit=1&limit=2", "/v1/messages?box=%3Cscript%3E",
		"/v1/messages?unread=yes", "/v1/messages?other=1", "/v1/messages?case=x'--", "/v1/on-call?at=tonight", "/v1/messages/zz%2F..%2Fetc/deliveries", "/v1/messages/..%2f..%2fetc%2fpasswd/deliveries", "/v1/cases/%00/restriction",
		"/v1/messages/abcd/arrival?state=root", "/v1/messages/abcd/sealed-delivery", "/v1/events?after=" + strings.Repeat("a", 200), "/v1/events?wait=21"} {
		if r := p.ask("GET", path, nil); r.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/messages/", "/v2/messages", "/v1/users", "/v1/tokens", "/v1/lock", "/v1/openapi.json/..%2f"} {
		if r := p.ask("GET", path, nil); r.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	p.want(404, "DELETE", "/v1/messages", nil)
	if r := p.want(400, "POST", "/v1/messages/abcdef/openings", `{"person":1}`, "Accept-Language", "en"); r.header.Get("Content-Language") != "en" || !bytes.Contains(r.body, []byte("Request not understood")) || !bytes.Contains(r.body, []byte(`"at":"/person"`)) {
		t.Errorf("in English: %s", r.body)
	}
	if r := p.want(400, "POST", "/v1/messages/abcdef/openings", `{"person":1}`); !bytes.Contains(r.body, []byte("Verzoek niet begrepen")) {
		t.Errorf("in Dutch: %s", r.body)
	}
}

// TestSlowAndMany: a body that does not come ends, and programs that listen cannot take
// the place of all others.
func TestSlowAndMany(t *testing.T) {
	o := open(t)
	p := o.worker()
	var open []io.Closer
	status := 0
	for range 40 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.base+"/v1/events", nil)
		ok(t, err)
		r.Header.Set("Authorization", "Bearer "+p.secret)
		r.Header.Set("Accept", "text/event-stream")
		resp, err := p.Do(r)
		ok(t, err)
		open = append(open, resp.Body)
		status = resp.StatusCode
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("the fortieth stream: %d", status)
	}
	p.want(200, "GET", "/v1/status", nil)
	for _, c := range open {
		c.Close()
	}
	o.until("a stream that ended makes room", func() bool { return p.ask("GET", "/v1/events", nil).status == 200 })
}

// TestCrowdWithoutTokens: programs that have no token, and send a body without its end, push
// each other out, and not a program that listens longer than all of them.
func TestCrowdWithoutTokens(t *testing.T) {
	o := open(t)
	p := o.worker()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.base+"/v1/events", nil)
	ok(t, err)
	r.Header.Set("Authorization", "Bearer "+p.secret)
	r.Header.Set("Accept", "text/event-stream")
	resp, err := p.Do(r)
	ok(t, err)
	defer resp.Body.Close()
	var crowd []net.Conn
	for range 300 { // the API has 256 connections
		conn, err := net.Dial("tcp", strings.TrimPrefix(o.base, "http://"))
		ok(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{")
		ok(t, err)
		crowd = append(crowd, conn)
	}
	ok(t, crowd[0].SetReadDeadline(time.Now().Add(30*time.Second)))
	_, _ = io.Copy(io.Discard, crowd[0]) // the first of them has to go
	o.report(nil)
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && lines.Text() != "event: received" {
	}
	if lines.Text() != "event: received" {
		t.Errorf("who listens was pushed out: %v", lines.Err())
	}
}

// TestExpiry: a token ends by itself.
func TestExpiry(t *testing.T) {
	o := open(t)
	p := o.worker()
	p.want(200, "GET", "/v1/token", nil)
	o.chain.Pass(25 * time.Hour)
	p.want(401, "GET", "/v1/token", nil)
}

// TestRevokedElsewhere: when a person is revoked elsewhere, the programs of that person are
// out, and what streams to them ends; the PIN signs nothing more. Programs of a colleague and
// of nobody work on.
func TestRevokedElsewhere(t *testing.T) {
	o := open(t)
	hash, mine := o.report(nil), o.worker()
	colleague := o.member.AddPerson("N. Acht")
	theirs := o.program("ander", desk.TokenRequest{Roles: desk.Roles(), Person: colleague.Name})
	none := o.program("geen", desk.TokenRequest{Roles: desk.Roles()})
	path := "/v1/messages/" + hash + "/openings"
	mine.want(200, "POST", path, by(o))
	streams := map[*program]*http.Response{}
	for _, p := range []*program{mine, none} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.base+"/v1/events", nil)
		ok(t, err)
		r.Header.Set("Authorization", "Bearer "+p.secret)
		r.Header.Set("Accept", "text/event-stream")
		streams[p], err = p.Do(r)
		ok(t, err)
		defer streams[p].Body.Close()
	}
	o.chain.RevokePerson(o.person.ID)
	if said, err := io.ReadAll(streams[mine].Body); err != nil || bytes.Contains(said, []byte("event: received")) {
		t.Errorf("the stream does not end by itself: %v, %s", err, said)
	}
	mine.want(401, "POST", path, by(o), "Idempotency-Key", "after")
	mine.want(401, "GET", "/v1/token", nil)
	theirs.want(200, "POST", path, schakel.By{Person: colleague.ID.String(), PIN: by(o).PIN})
	none.want(200, "GET", "/v1/token", nil)
	o.report(nil)
	lines := bufio.NewScanner(streams[none].Body)
	for lines.Scan() && lines.Text() != "event: received" {
	}
	if lines.Text() != "event: received" {
		t.Errorf("control: the stream of another ended: %v", lines.Err())
	}
}

// TestProblemsHaveWords: every code that can be answered says what to do, in both
// languages.
func TestProblemsHaveWords(t *testing.T) {
	o := open(t)
	p := o.worker()
	var english, dutch struct{ Title, Remedy string }
	p.want(404, "GET", "/v1/nothing", nil, "Accept-Language", "en-GB, nl;q=0.5").into(t, &english)
	p.want(404, "GET", "/v1/nothing", nil, "Accept-Language", "fr, nl;q=0.5").into(t, &dutch)
	if english.Title != "No such path" || dutch.Title != "Dit pad bestaat niet" || english.Remedy == dutch.Remedy || dutch.Remedy == "" {
		t.Errorf("%+v, %+v", english, dutch)
	}
}
