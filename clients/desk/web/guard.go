package web

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
)

// Refusals of the server itself.
var (
	ErrOpen        = errors.New("the web desk is open to other machines only with TLS")
	errNoPage      = errors.New("no such page")
	errName        = errors.New("this desk is not known under that name")
	errCrossOrigin = errors.New("another page sent this form")
	errTooMuch     = errors.New("the form is too large")
)

// Loopback reports whether only this machine can reach an address.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// policy is the content security policy: nothing from anywhere but what this desk itself
// serves, no script or style inside a page, no frame around it, no string that becomes
// a script.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// secure sets the headers that every answer has.
func (s *Site) secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Embedder-Policy", "require-corp")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Origin-Agent-Cluster", "?1")
	h.Set("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Cache-Control", "no-store")
	if s.TLS != nil {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// guarded puts before the pages what every request must pass: a name that is ours,
// against pages that rebind theirs to this machine (DNS rebinding); and for what changes
// something, an origin that is ours.
func (s *Site) guarded(next http.Handler) http.Handler {
	refuse := func(err error) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.refuse(w, r, err) })
	}
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(refuse(errCrossOrigin))
	inside := origins.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.secure(w.Header())
		switch {
		case !s.named(r.Host):
			s.refuse(w, r, errName)
		case r.ContentLength > room(r):
			s.refuse(w, r, errTooMuch)
		default:
			r.Body = http.MaxBytesReader(w, r.Body, room(r))
			inside.ServeHTTP(w, r)
		}
	})
}

// room is how large a form may be. Where a message is written there is more: what is too
// long must come back to who typed it; and where files come in.
func room(r *http.Request) int64 {
	if strings.HasPrefix(r.URL.Path, "/sheets/") && strings.HasSuffix(r.URL.Path, "/files") {
		return maxUpload
	}
	if strings.HasPrefix(r.URL.Path, "/compose/") {
		return maxTyped
	}
	return maxForm
}

// named reports whether a Host header is one of ours, with any port: the port is how
// the request came here.
func (s *Site) named(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	return slices.ContainsFunc(s.Names, func(n string) bool { return strings.EqualFold(n, name) })
}
