package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"schakel/clients/desk"
	"schakel/clients/desk/webhook"
)

// names answers every question for a name with one address, which can change.
type names struct{ at atomic.Pointer[netip.Addr] }

func (n *names) say(ip string) { a := netip.MustParseAddr(ip); n.at.Store(&a) }

// useNames has this process ask a name server of the test's. Nothing here runs beside it.
func useNames(t *testing.T) *names {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	ok(t, err)
	n, before := new(names), net.DefaultResolver
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.answer(server)
	}()
	var d net.Dialer
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		server.Close()
		<-ended
	})
	return n
}

func (n *names) answer(server net.PacketConn) {
	b := make([]byte, 512)
	for {
		size, from, err := server.ReadFrom(b)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(b[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.Additionals = true, nil
		if q, ip := m.Questions[0], *n.at.Load(); q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: &dnsmessage.AResource{A: ip.As4()}}}
		}
		if raw, err := m.Pack(); err == nil {
			_, _ = server.WriteTo(raw, from)
		}
	}
}

// TestANameThatLeadsElsewhere: one that led to what is allowed when the webhook was added,
// and to something else by now, is not followed there, and is again once it leads back.
func TestANameThatLeadsElsewhere(t *testing.T) {
	reached := atomic.Int32{}
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(s.Close)
	o, n := newOffice(t, netip.MustParsePrefix("10.1.2.0/24")), useNames(t)
	o.Office = webhook.New(webhook.Config{Store: o.st, Events: o, Allow: o.Allow, Now: o.clock, Roots: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	ok(t, err)
	n.say("127.0.0.1")
	w, err := o.AddWebhook(t.Context(), desk.WebhookRequest{URL: "https://example.com:" + port + "/in"}) // of the test's certificate
	ok(t, err)
	ok(t, o.TestWebhook(t.Context(), w.ID))
	for _, ip := range []string{"10.1.3.1", "169.254.169.254", "203.0.113.7", "0.0.0.0", "192.168.1.1"} {
		n.say(ip)
		if err := o.TestWebhook(t.Context(), w.ID); !errors.Is(err, desk.ErrNotTaken) || !strings.Contains(err.Error(), "address not allowed") {
			t.Errorf("%s: %v", ip, err)
		}
	}
	n.say("127.0.0.1")
	ok(t, o.TestWebhook(t.Context(), w.ID))
	if reached.Load() != 2 {
		t.Errorf("reached %d times", reached.Load())
	}
}

// TestAddressesAsNumbers: no way to write an address gets past the list when it is dialled,
// also one that was on the list when the webhook was added.
func TestAddressesAsNumbers(t *testing.T) {
	reached := atomic.Int32{}
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	ok(t, err)
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	o := newOffice(t, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"))
	before := o.Office
	said := func(host string, allow ...netip.Prefix) error {
		t.Helper()
		w, err := before.AddWebhook(t.Context(), desk.WebhookRequest{URL: "https://" + host + ":" + port + "/in"})
		ok(t, err)
		now := webhook.New(webhook.Config{Store: o.st, Events: o, Allow: allow, Now: o.clock, Roots: roots})
		return errors.Join(now.TestWebhook(t.Context(), w.ID), now.RemoveWebhook(t.Context(), w.ID))
	}
	listed := netip.MustParsePrefix("10.1.2.0/24")
	for _, host := range []string{"0.0.0.0", "[::]", "169.254.169.254", "203.0.113.7", "192.168.1.1", "10.1.3.1", "[::ffff:10.1.3.1]", "[::ffff:0.0.0.0]", "[64:ff9b::7f00:1]", "[fe80::1%25lo]"} {
		if err := said(host, listed); !errors.Is(err, desk.ErrNotTaken) || !strings.Contains(err.Error(), "address not allowed") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if reached.Load() != 0 {
		t.Errorf("reached %d times", reached.Load())
	}
	for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]"} {
		if err := said(host); err != nil {
			t.Errorf("control: %s: %v", host, err)
		}
	}
	// Linux dials this machine under the address of nobody; its certificate does not say so.
	for _, host := range []string{"0.0.0.0", "[::ffff:0.0.0.0]"} {
		if err := said(host, netip.MustParsePrefix("0.0.0.0/32")); !errors.Is(err, desk.ErrNotTaken) || strings.Contains(err.Error(), "address not allowed") {
			t.Errorf("control: %s is listed: %v", host, err)
		}
	}
}

// TestBodyWithoutEnd: who says yes and goes on talking has taken the parcel, and is cut off.
func TestBodyWithoutEnd(t *testing.T) {
	o := newOffice(t)
	gone := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for r.Context().Err() == nil {
			if _, err := fmt.Fprintln(w, strings.Repeat("ja ", 1000)); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	w, err := o.AddWebhook(t.Context(), desk.WebhookRequest{URL: s.URL})
	ok(t, err)
	ok(t, o.TestWebhook(t.Context(), w.ID))
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		t.Error("it talks on")
	}
}
