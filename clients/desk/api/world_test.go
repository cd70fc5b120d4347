package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/api"
	"schakel/clients/desk/once"
	"schakel/clients/desk/rights"
	"schakel/clients/desk/token"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// office is a desk of a real chain with its API on a port.
type office struct {
	t      testing.TB
	chain  *schakeltest.Chain
	doctor *schakeltest.Member
	member *schakeltest.Member
	person schakel.Person
	tokens *token.Keeper
	site   *api.Site
	base   string
}

func open(t testing.TB) *office {
	t.Helper()
	return openCooling(t, 0)
}

// openCooling opens an office from which new devices get nothing for a while.
func openCooling(t testing.TB, cools time.Duration) *office {
	t.Helper()
	chain := schakeltest.New(t)
	o := &office{t: t, chain: chain, doctor: chain.Join("arts/praktijk", identity.RoleSignaleerder), member: chain.Join("vt20/crisis", identity.RoleVeiligThuis)}
	if cools != 0 {
		o.member.CoolOff(cools)
	}
	o.doctor.Start()
	o.member.Start()
	o.person = o.member.AddPerson("P. Iket")
	o.tokens = token.New(token.Config{Store: o.member.Store(), People: o.member.Node, Now: chain.Now})
	if cools == 0 {
		o.until("the office can answer who writes", func() bool {
			all, err := o.member.Node.Directory(t.Context())
			return err == nil && slices.ContainsFunc(all, func(d schakel.Desk) bool { return d.ID == o.doctor.Desk && d.Reachable })
		})
	}
	o.site, o.base = serve(t, api.Config{Node: o.member.Node, Tokens: o.tokens, Answers: once.New(o.member.Store(), chain.Now), Now: chain.Now})
	return o
}

// serve serves a site on a port until the test ends.
func serve(t testing.TB, cfg api.Config) (*api.Site, string) {
	t.Helper()
	site, err := api.New(cfg)
	ok(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- site.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return site, "http://" + ln.Addr().String()
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// program is a program of the organisation with a token.
type program struct {
	*http.Client
	t      testing.TB
	base   string
	token  desk.Token
	secret string
}

func (o *office) program(name string, r desk.TokenRequest) *program {
	o.t.Helper()
	r.Name, r.Expires = name, o.chain.Now().Add(24*time.Hour)
	if r.Scopes == nil {
		r.Scopes = rights.Scopes()
	}
	added, err := o.tokens.AddToken(o.t.Context(), r)
	ok(o.t, err)
	return newProgram(o.t, o.base, added.Token, added.Secret)
}

func newProgram(t testing.TB, base string, tok desk.Token, secret string) *program {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &program{Client: &http.Client{Transport: transport, Timeout: 2 * time.Minute}, t: t, base: base, token: tok, secret: secret}
}

// worker is a program that may all that concerns cases.
func (o *office) worker() *program {
	return o.program("zaaksysteem", desk.TokenRequest{Roles: desk.Roles(), Person: o.person.Name})
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
}

func (r reply) code(t testing.TB) string {
	t.Helper()
	var p struct{ Code string }
	r.into(t, &p)
	return p.Code
}

// ask sends a request, and holds the answer against the contract.
func (p *program) ask(method, path string, body any, header ...string) reply {
	p.t.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		ok(p.t, err)
		content = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, content)
	ok(p.t, err)
	if p.secret != "" {
		r.Header.Set("Authorization", "Bearer "+p.secret)
	}
	if content != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	return p.send(r)
}

func (p *program) send(r *http.Request) reply {
	p.t.Helper()
	resp, err := p.Do(r)
	ok(p.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	ok(p.t, err)
	out := reply{resp.StatusCode, resp.Header, b}
	keepsContract(p.t, r.Method, r.URL.Path, out)
	return out
}

// want asks, and fails unless the answer has that status.
func (p *program) want(status int, method, path string, body any, header ...string) reply {
	p.t.Helper()
	r := p.ask(method, path, body, header...)
	if r.status != status {
		p.t.Fatalf("%s %s: %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

// openapi is the contract as a program reads it.
var openapi = func() map[string]any {
	raw, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		panic(err)
	}
	return doc
}()

// each calls f with every operation of the contract.
func each(f func(method, path string, op map[string]any)) {
	for path, methods := range openapi["paths"].(map[string]any) {
		for method, op := range methods.(map[string]any) {
			f(strings.ToUpper(method), path, op.(map[string]any))
		}
	}
}

// keepsContract holds an answer against the contract.
func keepsContract(t testing.TB, method, path string, r reply) {
	t.Helper()
	if r.header.Get("API-Version") != desk.APIVersion {
		t.Errorf("%s %s: API-Version %q", method, path, r.header.Get("API-Version"))
	}
	media, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	if media == "application/problem+json" {
		fits(t, "/components/schemas/Problem", r.body)
	}
	template := templateOf(strings.TrimPrefix(path, "/v1"))
	methods, _ := openapi["paths"].(map[string]any)[template].(map[string]any)
	op, known := methods[strings.ToLower(method)].(map[string]any)
	if !known {
		return
	}
	if r.status >= 400 {
		if _, listed := op["responses"].(map[string]any)[itoa(r.status)]; !listed && r.status != http.StatusMisdirectedRequest {
			t.Errorf("%s %s: status %d is not in the contract: %s", method, template, r.status, r.body)
		}
		return
	}
	said, listed := op["responses"].(map[string]any)[itoa(r.status)].(map[string]any)
	if !listed {
		t.Fatalf("%s %s: status %d is not in the contract", method, template, r.status)
	}
	content, _ := said["content"].(map[string]any)
	if _, known := content[media]; !known && len(r.body) > 0 {
		t.Errorf("%s %s: media type %q", method, template, media)
	}
	if media == "application/json" && template != "/openapi.json" {
		fits(t, "/paths/"+strings.ReplaceAll(template, "/", "~1")+"/"+strings.ToLower(method)+"/responses/"+itoa(r.status)+"/content/application~1json/schema", r.body)
	}
}

func templateOf(path string) string {
	parts := strings.Split(path, "/")
	best := ""
	for template := range openapi["paths"].(map[string]any) {
		other := strings.Split(template, "/")
		same := len(other) == len(parts)
		for i := range other {
			same = same && (other[i] == parts[i] || strings.HasPrefix(other[i], "{"))
		}
		if same && (best == "" || strings.Count(template, "{") < strings.Count(best, "{")) {
			best = template
		}
	}
	return best
}

// shaped compiles the schemas of the contract, each once.
var shaped = func() func(at string) (protocol.Shape, error) {
	var mu sync.Mutex
	known := map[string]protocol.Shape{}
	raw, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	shapes, err := protocol.ReadShapes(raw)
	if err != nil {
		panic(err)
	}
	return func(at string) (protocol.Shape, error) {
		mu.Lock()
		defer mu.Unlock()
		if shape, ok := known[at]; ok {
			return shape, nil
		}
		shape, err := shapes.At(at)
		known[at] = shape
		return shape, err
	}
}()

func fits(t testing.TB, at string, raw []byte) {
	t.Helper()
	shape, err := shaped(at)
	ok(t, err)
	if refusal := shape.Read(raw, 64<<20); refusal != nil {
		t.Errorf("%s: %v %v in %.400s", at, refusal, refusal.Faults, raw)
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// report sends the example of a signaal to the desk and returns its hash once it is there.
func (o *office) report(change func(*schakel.Draft)) string {
	o.t.Helper()
	e, err := protocol.V1().Example("signaal")
	ok(o.t, err)
	d := schakel.Draft{Class: "signaal", Urgency: message.Urgent, To: []identity.DeskID{o.member.Desk}, Body: e.Body}
	if change != nil {
		change(&d)
	}
	var sent schakel.Sent
	o.until("the other desk has keys", func() bool {
		sent, err = o.doctor.Node.Send(o.t.Context(), d)
		return err == nil
	})
	o.until("the message is here", func() bool {
		all, err := o.member.Node.List(o.t.Context(), schakel.Filter{Limit: 1000})
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

func (o *office) until(what string, yes func() bool) {
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
