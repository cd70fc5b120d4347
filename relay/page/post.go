package page

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"schakel/crypto/envelope"
)

// maxAnswer bounds what is read of an answer; only its status counts.
const maxAnswer = 16 << 10

// poster posts to points that others wrote down: https only, and what a [Client] keeps to.
type poster struct{ client *http.Client }

func newPoster(cfg Config) poster { return poster{Client(public(cfg.Allow), cfg.Roots, cfg.Limit)} }

// Client asks at addresses that others wrote down: no redirect, no proxy of the environment,
// no connection kept, and all of it within limit. allowed is asked for each address when it
// is dialled, after its name was resolved, in plain form: no zone, no IPv4 in IPv6. What it
// refuses is ErrForbidden.
func Client(allowed func(netip.Addr) bool, roots *x509.CertPool, limit time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: newGuard(allowed).dial, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			// One page in a night is no reason to keep a connection; a connection that is
			// kept would also outlive a change of what is allowed.
			DisableKeepAlives: true, DisableCompression: true, ForceAttemptHTTP2: false,
			TLSHandshakeTimeout: limit, ResponseHeaderTimeout: limit, MaxResponseHeaderBytes: maxAnswer,
		},
		// A redirect would carry the request past what was checked and agreed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       limit,
	}
}

// post sends body with headers, and judges the answer by its status.
func (p poster) post(ctx context.Context, address, body string, headers map[string]string) error {
	u, err := secureURL(address)
	if err != nil {
		return err
	}
	user := u.User
	u.User, u.Fragment = nil, ""
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(body))
	if err != nil {
		return ErrPoint
	}
	r.Header.Set("User-Agent", "schakel") // net/http would name the Go version
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	if user != nil {
		password, _ := user.Password()
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return reason(err)
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	switch {
	case answer.StatusCode >= 500, answer.StatusCode == http.StatusTooManyRequests, answer.StatusCode == http.StatusRequestTimeout:
		return ErrBusy
	case answer.StatusCode >= 400:
		return ErrRefused
	case answer.StatusCode >= 300:
		return ErrForbidden
	case answer.StatusCode < 200:
		return ErrBroken
	case err != nil:
		return reason(err) // it said yes, and then broke off: page again rather than not
	}
	return nil
}

// ntfy posts in the form of ntfy (docs.ntfy.sh/publish): the text is the body, the
// rest are headers.
type ntfy struct {
	poster
	address string
}

var _ Notifier = ntfy{}

// priorities are those of ntfy: 5 breaks through "do not disturb".
var priorities = map[envelope.Tier]string{
	envelope.TierNone: "3", envelope.TierRoutine: "3", envelope.TierUrgent: "4", envelope.TierAcute: "5",
}

// Notify posts the page.
func (n ntfy) Notify(ctx context.Context, p Page) error {
	return n.post(ctx, n.address, p.text(), map[string]string{
		"Content-Type": "text/plain; charset=us-ascii", "Title": p.title(), "Priority": priorities[p.Tier],
		// The server keeps a message for twelve hours otherwise.
		"Cache": "no",
	})
}
