package signin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// ErrProviderAddress is what a provider without TLS is refused with: whoever sits between
// could sign anybody in.
var ErrProviderAddress = errors.New("the organisation's sign-in has an address without https")

// ReturnPath is where the provider sends a browser back to, on this desk. It is registered
// there with the rest of the address, and nothing else is.
const ReturnPath = "/sign-in/organisation/return"

// Provider is the sign-in that the organisation has already (OpenID Connect Core 1.0).
// Trusted: that whoever it names with a subject is that account. Not trusted: what it says
// of names, mail addresses and groups. Which user an account is, is decided here.
type Provider struct {
	Issuer string
	Client string
	Secret string       // empty: a public client, for which PKCE stands alone
	HTTP   *http.Client // default: one of its own; bounded in any case
}

// Bounds on what a provider may say and how long it may take.
const (
	providerTimeout = 10 * time.Second
	maxProviderSays = 1 << 20
)

// signatures are those that a token may have: never none, and never one with a shared
// secret, which whoever knows the public key could make.
var signatures = []string{oidc.RS256, oidc.PS256, oidc.ES256, oidc.ES384, oidc.EdDSA}

// provider is a Provider with what it last said of itself.
type provider struct {
	Provider
	redirect string
	client   *http.Client

	mu    sync.Mutex // guards what follows
	known *described
}

// described is what the provider says of itself (OpenID Connect Discovery 1.0).
type described struct {
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	names    bool // it names itself in every answer (RFC 9207)
}

// Check refuses with ErrProviderAddress an address on which somebody in between could
// answer.
func (p Provider) Check() error { return secureAddress(p.Issuer, p.Issuer) }

func newProvider(p Provider, base string) *provider {
	out := &provider{Provider: p, redirect: base + ReturnPath, client: p.HTTP}
	if out.client == nil {
		out.client = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	}
	bounded := *out.client
	bounded.Timeout = providerTimeout
	bounded.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	bounded.Transport = brief{bounded.Transport}
	out.client = &bounded
	return out
}

// secureAddress wants https, or a provider that is on this machine, as in tests.
func secureAddress(address, issuer string) error {
	u, err := url.Parse(address)
	if err == nil && u.Scheme == "https" && u.Host != "" {
		return nil
	}
	i, bad := url.Parse(issuer)
	if err == nil && bad == nil && u.Scheme == "http" && onThisMachine(u.Hostname()) && onThisMachine(i.Hostname()) {
		return nil
	}
	return fmt.Errorf("%w: %.200q", ErrProviderAddress, address)
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// brief cuts off an answer that does not end.
type brief struct{ http.RoundTripper }

func (b brief) RoundTrip(r *http.Request) (*http.Response, error) {
	next := b.RoundTripper
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxProviderSays), resp.Body}
	}
	return resp, err
}

// remembered is what the provider said at the last sign-in that began.
func (p *provider) remembered() (*described, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		return nil, ErrProvider
	}
	return p.known, nil
}

// describe asks the provider what it is: at each sign-in, so that a browser is not sent to
// one that is down. Its keys are fetched anew whenever a token names one that is not known
// yet: it can change them at any time.
func (p *provider) describe(ctx context.Context, now func() time.Time) (*described, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	// The key set keeps its context for as long as it lives: not that of one request.
	ctx = oidc.ClientContext(context.WithoutCancel(ctx), p.client)
	found, err := oidc.NewProvider(ctx, p.Issuer)
	if err != nil {
		return nil, providerSilent(err)
	}
	var says struct {
		Keys  string `json:"jwks_uri"`
		Names bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := found.Claims(&says); err != nil {
		return nil, providerSilent(err)
	}
	at := found.Endpoint()
	for _, address := range []string{at.AuthURL, at.TokenURL, says.Keys} {
		if err := secureAddress(address, p.Issuer); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProvider, err)
		}
	}
	known := &described{names: says.Names,
		oauth:    oauth2.Config{ClientID: p.Client, ClientSecret: p.Secret, Endpoint: at, RedirectURL: p.redirect, Scopes: []string{oidc.ScopeOpenID}},
		verifier: found.Verifier(&oidc.Config{ClientID: p.Client, SupportedSigningAlgs: signatures, Now: now})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = known
	return known, nil
}

// providerSilent says that the provider gave no answer that can be used. What it did say
// stays out: it may hold whatever somebody typed there.
func providerSilent(err error) error {
	if e := new(url.Error); errors.As(err, &e) {
		return fmt.Errorf("%w: %w", ErrProvider, e.Err)
	}
	return fmt.Errorf("%w: its answer cannot be used", ErrProvider)
}
