package signin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// provider is a sign-in of an organisation that a test can bend in every way. A real one
// is asked in cmd/schakel/browser.
type provider struct {
	*httptest.Server
	t   *testing.T
	now func() time.Time

	mu    sync.Mutex // guards what follows
	key   *ecdsa.PrivateKey
	kid   string
	codes map[string]asked // by code
	down  bool
	lax   bool // does not look at PKCE
	names bool // says who it is in each answer

	claims func(jwt.MapClaims)              // what the token says otherwise
	sign   func(jwt.MapClaims) string       // how it is signed otherwise
	says   func(description map[string]any) // of itself, otherwise
}

// asked is what a browser came with.
type asked struct{ nonce, challenge, redirect string }

func newProvider(t *testing.T, now func() time.Time) *provider {
	t.Helper()
	p := &provider{t: t, now: now, codes: map[string]asked{}}
	p.rotate("first")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.describe)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.down {
			http.Error(w, "down for <b>P. Iket</b>", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// set changes what the provider does.
func (p *provider) set(change func(*provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *provider) rotate(kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.key, p.kid = key, kid
}

func (p *provider) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

func (p *provider) describe(w http.ResponseWriter, _ *http.Request) {
	d := map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorise", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"}, "authorization_response_iss_parameter_supported": p.names}
	if p.says != nil {
		p.says(d)
	}
	p.answer(w, d)
}

func (p *provider) keys(w http.ResponseWriter, _ *http.Request) {
	b, err := p.key.PublicKey.Bytes()
	if err != nil {
		p.t.Error(err)
		return
	}
	enc := base64.RawURLEncoding.EncodeToString
	p.answer(w, map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": p.kid, "x": enc(b[1:33]), "y": enc(b[33:])}}})
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	code := r.PostFormValue("code")
	a, ok := p.codes[code]
	delete(p.codes, code)
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || r.PostFormValue("redirect_uri") != a.redirect || !p.lax && base64.RawURLEncoding.EncodeToString(sum[:]) != a.challenge {
		w.WriteHeader(http.StatusBadRequest)
		p.answer(w, map[string]any{"error": "invalid_grant"})
		return
	}
	claims := jwt.MapClaims{"iss": p.URL, "aud": "schakel", "sub": "5f0c2d6e", "nonce": a.nonce, "email": "p.iket@example.org",
		"iat": p.now().Unix(), "exp": p.now().Add(5 * time.Minute).Unix(), "auth_time": p.now().Unix()}
	if p.claims != nil {
		p.claims(claims)
	}
	sign := p.sign
	if sign == nil {
		sign = p.signed
	}
	p.answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": sign(claims)})
}

func (p *provider) signed(c jwt.MapClaims) string {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, c)
	token.Header["kid"] = p.kid
	s, err := token.SignedString(p.key)
	if err != nil {
		p.t.Error(err)
	}
	return s
}

// login is a person who signs in at the address that a desk sent a browser to: the query
// that the browser comes back with.
func (p *provider) login(address string) url.Values {
	p.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		p.t.Fatal(err)
	}
	q := u.Query()
	if q.Get("prompt") != "login" || q.Get("max_age") != "0" || q.Get("code_challenge_method") != "S256" || q.Get("response_type") != "code" {
		p.t.Errorf("asked with %s", u.RawQuery)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code := rand.Text()
	p.codes[code] = asked{q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri")}
	out := url.Values{"code": {code}, "state": {q.Get("state")}}
	if p.names {
		out.Set("iss", p.URL)
	}
	return out
}

// with is an answer with one thing otherwise.
func with(answer url.Values, name string, values ...string) url.Values {
	out := maps.Clone(answer)
	out[name] = values
	return out
}
