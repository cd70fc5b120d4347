package signin_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"schakel/clients/desk"
	"schakel/clients/desk/signin"
	"schakel/clients/schakel/schakeltest"
)

// organisation is a house whose users sign in at their organisation.
type organisation struct {
	*house
	at *provider
}

func newOrganisation(t *testing.T) *organisation {
	t.Helper()
	h := newHouse(t)
	o := &organisation{h, newProvider(t, h.chain.Now)}
	h.Door = o.asking()
	if _, err := h.Link(t.Context(), desk.LinkRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := h.Tie(t.Context(), "P. Iket", "5f0c2d6e"); err != nil {
		t.Fatal(err)
	}
	return o
}

// asking is a door that asks the provider.
func (o *organisation) asking() *signin.Door {
	transport := &http.Transport{}
	o.t.Cleanup(transport.CloseIdleConnections)
	return signin.New(signin.Config{Store: o.member.Store(), People: o.member.Node, Base: "http://localhost:1", Now: o.chain.Now,
		Signs: &signin.Provider{Issuer: o.at.URL, Client: "schakel", Secret: "geheim", HTTP: &http.Client{Transport: transport}}})
}

// begun is a browser that was sent to the provider, and what it comes back with.
func (o *organisation) begun() (keep string, answer url.Values) {
	o.t.Helper()
	address, keep, err := o.BeginAtProvider(o.t.Context(), "")
	if err != nil {
		o.t.Fatal(err)
	}
	return keep, o.at.login(address)
}

func (o *organisation) back(keep string, answer url.Values) (string, error) {
	return o.ReturnFromProvider(o.t.Context(), keep, answer)
}

func TestSigningInAtTheOrganisation(t *testing.T) {
	o := newOrganisation(t)
	link := o.link(desk.LinkRequest{Person: "P. Iket"})
	standing, err := o.Redeem(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	o.Lock(standing)
	address, keep, err := o.BeginAtProvider(t.Context(), standing)
	if err != nil {
		t.Fatal(err)
	}
	token, err := o.back(keep, o.at.login(address))
	if err != nil {
		t.Fatal(err)
	}
	u, err := o.who(token)
	if err != nil || u.Name != "P. Iket" || u.Account != o.at.URL+" 5f0c2d6e" {
		t.Errorf("%+v, %v", u, err)
	}
	o.want(standing, signin.ErrNoSession) // one browser, one session
	if err := o.Tie(t.Context(), "P. Iket", ""); err != nil {
		t.Fatal(err)
	}
	o.want(token, signin.ErrNoSession)
	var stranger *signin.StrangerError
	if _, err := o.back(o.begun()); !errors.As(err, &stranger) || stranger.Subject != "5f0c2d6e" {
		t.Errorf("untied: %v", err)
	}
}

// TestAnswersThatAreNotOurs: each changes one thing of an answer that is good.
func TestAnswersThatAreNotOurs(t *testing.T) {
	o := newOrganisation(t)
	keep, good := o.begun()
	otherKeep, other := o.begun()
	for name, c := range map[string]struct {
		keep   string
		answer url.Values
	}{
		"no state":                       {keep, with(good, "state")},
		"a state that nobody asked with": {keep, with(good, "state", "x")},
		"a state of another browser":     {otherKeep, good},
		"a browser that kept nothing":    {"", good},
		"the state of another attempt":   {keep, with(good, "state", other.Get("state"))},
		"two codes":                      {keep, with(good, "code", good.Get("code"), other.Get("code"))},
		"two states":                     {keep, with(good, "state", good.Get("state"), other.Get("state"))},
		"an answer of another provider":  {keep, with(good, "iss", "https://evil.example")},
	} {
		if token, err := o.back(c.keep, c.answer); !errors.Is(err, signin.ErrAnswer) || token != "" {
			t.Errorf("%s: %q, %v", name, token, err)
		}
		if name == "an answer of another provider" { // used up: an attempt is good once
			if _, err := o.back(keep, good); !errors.Is(err, signin.ErrAnswer) {
				t.Errorf("once more: %v", err)
			}
			keep, good = o.begun()
		}
	}
	if _, err := o.back(o.begun()); err != nil {
		t.Errorf("control: %v", err)
	}
	keep, good = o.begun()
	if _, err := o.back(keep, good); err != nil {
		t.Errorf("control: %v", err)
	}
	if _, err := o.back(keep, good); !errors.Is(err, signin.ErrAnswer) {
		t.Errorf("the same answer twice: %v", err)
	}
	keep, good = o.begun()
	if _, err := o.back(keep, with(with(good, "code"), "error", "access_denied")); !errors.Is(err, signin.ErrAnswer) {
		t.Errorf("the provider says no: %v", err)
	}
	keep, good = o.begun()
	o.chain.Pass(11 * time.Minute)
	if _, err := o.back(keep, good); !errors.Is(err, signin.ErrAnswer) {
		t.Errorf("after eleven minutes: %v", err)
	}
}

// TestInjectedCode: a code that the attacker got for the account of somebody else, or his
// own, in the browser of another. PKCE refuses it at the provider; where that does not
// look, the nonce does here.
func TestInjectedCode(t *testing.T) {
	o := newOrganisation(t)
	for name, lax := range map[string]bool{"the provider checks PKCE": false, "it does not": true} {
		o.at.set(func(p *provider) { p.lax = lax })
		_, stolen := o.begun()
		keep, mine := o.begun()
		if _, err := o.back(keep, with(mine, "code", stolen.Get("code"))); !errors.Is(err, signin.ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := o.back(o.begun()); err != nil {
			t.Errorf("%s: control: %v", name, err)
		}
	}
}

// TestTokensThatAreNotOurs: each changes one thing of a token that is good.
func TestTokensThatAreNotOurs(t *testing.T) {
	o := newOrganisation(t)
	say := func(name string, v any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[name] = v } }
	ago := o.chain.Now().Add(-time.Hour).Unix()
	for name, claims := range map[string]func(jwt.MapClaims){
		"another nonce":          say("nonce", "x"),
		"no nonce":               func(c jwt.MapClaims) { delete(c, "nonce") },
		"another issuer":         say("iss", "https://evil.example"),
		"for another program":    say("aud", "elders"),
		"for two programs":       say("aud", []string{"schakel", "elders"}),
		"by way of another":      say("azp", "elders"),
		"too old":                say("exp", ago),
		"a session left open":    say("auth_time", ago),
		"no time of signing in":  func(c jwt.MapClaims) { delete(c, "auth_time") },
		"signed in tomorrow":     say("auth_time", o.chain.Now().Add(time.Hour).Unix()),
		"no subject":             say("sub", ""),
		"a subject without end":  say("sub", strings.Repeat("x", 300)),
		"a time that is no time": say("auth_time", "gisteren"),
	} {
		o.at.set(func(p *provider) { p.claims = claims })
		if _, err := o.back(o.begun()); !errors.Is(err, signin.ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Not by mail address: whoever gets somebody's old address is not that somebody.
	var stranger *signin.StrangerError
	o.at.set(func(p *provider) { p.claims = say("sub", "another, with the same mail address") })
	if _, err := o.back(o.begun()); !errors.As(err, &stranger) {
		t.Errorf("by mail address: %v", err)
	}
	o.at.set(func(p *provider) { p.claims = nil })
	if _, err := o.back(o.begun()); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestSignaturesThatAreNotTheirs: no algorithm, one with a secret that everybody knows, and
// a key of nobody.
func TestSignaturesThatAreNotTheirs(t *testing.T) {
	o := newOrganisation(t)
	by := func(m jwt.SigningMethod, key any) func(jwt.MapClaims) string {
		return func(c jwt.MapClaims) string {
			token := jwt.NewWithClaims(m, c)
			token.Header["kid"] = "first"
			s, err := token.SignedString(key)
			if err != nil {
				t.Error(err)
			}
			return s
		}
	}
	public, err := o.at.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	others := newProvider(t, o.chain.Now)
	for name, sign := range map[string]func(jwt.MapClaims) string{
		"alg none":              by(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"the public key as key": by(jwt.SigningMethodHS256, public),
		"the client's secret":   by(jwt.SigningMethodHS256, []byte("geheim")),
		"another's key":         others.signed,
		"no token at all":       func(jwt.MapClaims) string { return "" },
		"three dots":            func(jwt.MapClaims) string { return "..." },
	} {
		o.at.set(func(p *provider) { p.sign = sign })
		if _, err := o.back(o.begun()); !errors.Is(err, signin.ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o.at.set(func(p *provider) { p.sign = nil })
	if _, err := o.back(o.begun()); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestProviderChangesItsKeys: at any time, and a token of the key of before is no good.
func TestProviderChangesItsKeys(t *testing.T) {
	o := newOrganisation(t)
	if _, err := o.back(o.begun()); err != nil {
		t.Fatal(err)
	}
	before := *o.at.key
	o.at.set(func(p *provider) { p.rotate("second") })
	if _, err := o.back(o.begun()); err != nil {
		t.Errorf("after the change: %v", err)
	}
	o.at.set(func(p *provider) {
		p.sign = func(c jwt.MapClaims) string {
			token := jwt.NewWithClaims(jwt.SigningMethodES256, c)
			token.Header["kid"] = "first"
			s, err := token.SignedString(&before)
			if err != nil {
				t.Error(err)
			}
			return s
		}
	})
	o.Door = o.asking() // no memory of the first key
	if _, err := o.back(o.begun()); !errors.Is(err, signin.ErrAnswer) {
		t.Errorf("a key of before: %v", err)
	}
}

// TestProviderIsDown: that is said without what it said, links and PINs work as ever, and
// nobody waits for it.
func TestProviderIsDown(t *testing.T) {
	o := newOrganisation(t)
	keep, answer := o.begun()
	o.at.set(func(p *provider) { p.down = true })
	if _, err := o.back(keep, answer); !errors.Is(err, signin.ErrProvider) {
		t.Errorf("it went down on the way: %v", err)
	}
	_, _, err := o.BeginAtProvider(t.Context(), "")
	if !errors.Is(err, signin.ErrProvider) || strings.Contains(err.Error(), "Iket") {
		t.Errorf("down: %v", err)
	}
	token := o.in(desk.LinkRequest{Person: "P. Iket"})
	o.Lock(token)
	if _, err := o.Unlock(t.Context(), token, schakeltest.PIN); err != nil {
		t.Errorf("a PIN: %v", err)
	}
	o.at.set(func(p *provider) { p.down = false })
	if _, err := o.back(o.begun()); err != nil {
		t.Errorf("it is back: %v", err)
	}
}

// TestMixedUp: where a provider says that it names itself, an answer without its name is
// another's (RFC 9207).
func TestMixedUp(t *testing.T) {
	o := newOrganisation(t)
	o.at.set(func(p *provider) { p.names = true })
	keep, answer := o.begun()
	if _, err := o.back(keep, with(answer, "iss")); !errors.Is(err, signin.ErrAnswer) {
		t.Errorf("without its name: %v", err)
	}
	if _, err := o.back(o.begun()); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestProvidersThatMayNot: addresses without TLS, and a description of somebody else.
func TestProvidersThatMayNot(t *testing.T) {
	o := newOrganisation(t)
	for name, says := range map[string]func(map[string]any){
		"another issuer":    func(d map[string]any) { d["issuer"] = "https://evil.example" },
		"keys without TLS":  func(d map[string]any) { d["jwks_uri"] = "http://evil.example/keys" },
		"token without TLS": func(d map[string]any) { d["token_endpoint"] = "http://evil.example/token" },
		"no such scheme":    func(d map[string]any) { d["authorization_endpoint"] = "javascript:alert(1)" },
		"without end":       func(d map[string]any) { d["x"] = strings.Repeat("x", 2<<20) },
	} {
		o.at.set(func(p *provider) { p.says = says })
		if address, _, err := o.BeginAtProvider(t.Context(), ""); !errors.Is(err, signin.ErrProvider) {
			t.Errorf("%s: %q, %v", name, address, err)
		}
	}
	for address, fine := range map[string]bool{"https://login.example": true, "http://localhost:9": true, "http://127.0.0.1:9/x": true,
		"http://login.example": false, "ftp://login.example": false, "login.example": false, "": false, "http://localhost.evil.example": false} {
		if err := (signin.Provider{Issuer: address}).Check(); (err == nil) != fine {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestTying(t *testing.T) {
	o := newOrganisation(t)
	o.link(desk.LinkRequest{Name: "Beheer", Roles: []desk.Role{desk.RoleKeeper}})
	if err := o.Tie(t.Context(), "Beheer", "5f0c2d6e"); !errors.Is(err, desk.ErrTied) {
		t.Errorf("one account for two: %v", err)
	}
	if err := o.Tie(t.Context(), "N. Iemand", "x"); !errors.Is(err, desk.ErrUnknownUser) {
		t.Errorf("nobody: %v", err)
	}
	if err := o.Tie(t.Context(), "Beheer", " x"); !errors.Is(err, desk.ErrRequest) {
		t.Errorf("a space: %v", err)
	}
	if err := o.door().Tie(t.Context(), "Beheer", "x"); !errors.Is(err, desk.ErrNoProvider) {
		t.Errorf("without a provider: %v", err)
	}
	if err := o.RemoveUser(t.Context(), "P. Iket"); err != nil {
		t.Fatal(err)
	}
	var stranger *signin.StrangerError
	if _, err := o.back(o.begun()); !errors.As(err, &stranger) {
		t.Errorf("who left: %v", err)
	}
}

// TestAttemptsAreBounded: who begins again and again takes no memory.
func TestAttemptsAreBounded(t *testing.T) {
	o := newOrganisation(t)
	keep, answer := o.begun()
	for range 200 {
		if _, _, err := o.BeginAtProvider(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.back(keep, answer); !errors.Is(err, signin.ErrAnswer) {
		t.Errorf("the first of two hundred and one is remembered: %v", err)
	}
	if _, err := o.back(o.begun()); err != nil {
		t.Errorf("control: %v", err)
	}
}
