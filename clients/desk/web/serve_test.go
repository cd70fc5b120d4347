package web_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web"
	"schakel/clients/desk/web/webtest"
)

// elsewhere is a listener that says other machines can reach it.
type elsewhere struct{ net.Listener }

func (elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8477} }

func TestOpenToOthersOnlyWithTLS(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Site.Serve(t.Context(), elsewhere{ln}); !errors.Is(err, web.ErrOpen) {
		t.Errorf("got %v", err)
	}
	for address, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "127.9.9.9:1": true,
		"0.0.0.0:1": false, "[::]:1": false, ":1": false, "192.0.2.1:1": false, "localhost.evil.example:1": false, "x": false} {
		if web.Loopback(address) != want {
			t.Errorf("%s: loopback is %t", address, !want)
		}
	}
}

// TestOverTLS: the cookie is bound to the name, and browsers are told not to come without.
func TestOverTLS(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bureau.example"}, DNSNames: []string{"bureau.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := o.Site.Config
	cfg.TLS, cfg.Names = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}}, []string{"bureau.example"}
	site, err := web.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx := t.Context()
	go func() { ended <- site.Serve(ctx, elsewhere{ln}) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	roots := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(leaf)
	b := webtest.NewBrowser(t, "https://bureau.example")
	b.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	b.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
	}
	link, err := o.Door.Link(t.Context(), desk.LinkRequest{Person: "P. Iket"})
	if err != nil {
		t.Fatal(err)
	}
	a := b.Post(strings.TrimPrefix(link.URL, o.Base), nil)
	cookie := a.Header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "__Host-") || !strings.Contains(cookie, "Secure") || a.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d, cookie %q", a.Status, cookie)
	}
	if a := b.Get("/inbox"); a.Status != http.StatusOK {
		t.Errorf("the inbox over TLS: %d", a.Status)
	}
	// One connection is one request at a time: see TestSlowClients.
	conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "bureau.example", NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if p := conn.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Errorf("speaks %q", p)
	}
}

// TestTheme: an organisation's own style sheet comes last.
func TestTheme(t *testing.T) {
	o := webtest.Open(t, webtest.Options{Theme: []byte(":root{--bar:#402}")})
	b := webtest.NewBrowser(t, o.Base)
	page, theme := b.Get("/sign-in"), b.Get("/static/theme.css")
	if theme.Body != ":root{--bar:#402}" || strings.LastIndex(page.Body, "stylesheet") != strings.Index(page.Body, `stylesheet" href="/static/theme.css"`) {
		t.Errorf("%q, %s", theme.Body, page.Body)
	}
	r := request(t, http.MethodGet, o.Base+"/static/theme.css", "")
	r.Header.Set("If-None-Match", theme.Header.Get("ETag"))
	if a := b.Send(r); a.Status != http.StatusNotModified {
		t.Errorf("asked again: %d", a.Status)
	}
}

// TestPasskeysWithoutAKey: what is no answer of an authenticator opens nothing.
func TestPasskeysWithoutAKey(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b := webtest.NewBrowser(t, o.Base)
	if a := b.Post("/sign-in/passkey/begin", nil); a.Status != http.StatusOK || !strings.Contains(a.Body, "challenge") {
		t.Errorf("control: %d %s", a.Status, a.Body)
	}
	for _, body := range []string{"", "{}", `{"id":"x"}`, strings.Repeat("x", 100<<10)} {
		r := request(t, http.MethodPost, o.Base+"/sign-in/passkey", body)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", o.Base)
		if a := b.Send(r); a.Status < 400 || a.Status >= 500 || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%.20q: %d", body, a.Status)
		}
	}
	if a := b.Post("/sign-in/passkey", nil); a.Status != http.StatusBadRequest {
		t.Errorf("a form: %d", a.Status)
	}
}
