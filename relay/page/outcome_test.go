package page_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"schakel/relay/page"
	"schakel/relay/page/pagetest"
)

const impatient = 400 * time.Millisecond

// httpsFailures are servers that do not take a page, and what the log says of each.
func httpsFailures(t *testing.T, ca *pagetest.Authority) map[page.Outcome][]string {
	status := func(code int) string {
		return web(t, ca, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }).URL
	}
	raw := func(cert tls.Certificate, f func(net.Conn)) string {
		return "https://" + serve(t, func(c net.Conn) {
			s := tls.Server(c, serverTLS(cert))
			if s.Handshake() == nil {
				_, _ = s.Read(make([]byte, 64<<10))
				f(s)
			}
		})
	}
	right := ca.Issue("127.0.0.1")
	return map[page.Outcome][]string{
		page.Unreachable: {"https://" + closedAddress(t), "https://nobody.invalid"},
		page.Late: {
			"https://" + serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }),       // never speaks
			raw(right, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }),                  // never answers
			raw(right, func(c net.Conn) { drip(c, "HTTP/1.1 200 OK\r\n"+"X: "+spaces) }),    // one byte now and then
			raw(right, func(c net.Conn) { drip(c, "HTTP/1.1 200 OK\r\n\r\n", "y"+spaces) }), // and in the body
		},
		page.Untrusted: {
			raw(pagetest.NewAuthority(t).Issue("127.0.0.1"), func(net.Conn) {}),                             // of another authority
			raw(ca.Issue("other.example"), func(net.Conn) {}),                                               // for another host
			"https://" + serve(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n") }), // no TLS at all
		},
		page.Refused:   {status(400), status(403), status(404), status(410)},
		page.Busy:      {status(429), status(500), status(503)},
		page.Forbidden: {status(301), status(308)},
		page.Broken: {
			raw(right, func(c net.Conn) { _, _ = io.WriteString(c, "I am no web server\r\n\r\n") }),
			raw(right, func(net.Conn) {}), // hangs up
			raw(right, func(c net.Conn) { // an endless header
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
				for i := 0; i < 1<<10; i++ {
					if _, err := io.WriteString(c, "X: "+strings.Repeat("x", 1024)+"\r\n"); err != nil {
						return
					}
				}
			}),
		},
		page.Sent: {
			status(200), status(202), status(204),
			web(t, ca, func(w http.ResponseWriter, _ *http.Request) { // an endless body: only the status counts
				for i := 0; i < 1<<10; i++ {
					if _, err := w.Write(make([]byte, 1024)); err != nil {
						return
					}
				}
			}).URL,
		},
	}
}

var spaces = strings.Repeat("x", 1<<10)

// drip writes one byte every few milliseconds, long past any patience.
func drip(c net.Conn, parts ...string) {
	tick := time.NewTicker(impatient / 20)
	defer tick.Stop()
	for _, b := range []byte(strings.Join(parts, "")) {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		<-tick.C
	}
}

func TestHTTPSOutcomes(t *testing.T) {
	ca := pagetest.NewAuthority(t)
	c := channels(t, page.Config{Allow: loopback, Roots: ca.Pool, Limit: 20 * time.Second})
	hasty := channels(t, page.Config{Allow: loopback, Roots: ca.Pool, Limit: impatient})
	for want, urls := range httpsFailures(t, ca) {
		for i, url := range urls {
			use := c
			if want == page.Late {
				use = hasty
			}
			err := notify(t, use, page.NTFY, url+"/topic", acute)
			if got := page.OutcomeOf(err); got != want {
				t.Errorf("%s %d: %s (%v)", want, i, got, err)
			}
			if err != nil && strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("the error quotes the point: %v", err)
			}
		}
	}
}

func TestMailOutcomes(t *testing.T) {
	ca := pagetest.NewAuthority(t)
	for name, c := range map[string]struct {
		answers map[string]string
		want    page.Outcome
		mails   int
	}{
		"takes it":            {nil, page.Sent, 1},
		"no such mailbox":     {map[string]string{"RCPT": "550 no such user piket@desk.example"}, page.Refused, 0},
		"mailbox full":        {map[string]string{"RCPT": "452 full"}, page.Busy, 0},
		"sender refused":      {map[string]string{"MAIL": "553 not you"}, page.Refused, 0},
		"no data":             {map[string]string{"DATA": "451 later"}, page.Busy, 0},
		"refused after data":  {map[string]string{"end": "554 spam"}, page.Refused, 1},
		"closed for tonight":  {map[string]string{"greeting": "554 closed"}, page.Refused, 0},
		"too many":            {map[string]string{"greeting": "421 too many"}, page.Busy, 0},
		"talks nonsense":      {map[string]string{"greeting": "HTTP/1.1 400 Bad Request"}, page.Broken, 0},
		"STARTTLS fails":      {map[string]string{"STARTTLS": "454 not now"}, page.Busy, 0},
		"no STARTTLS offered": {map[string]string{"EHLO": "250-mail.example\r\n250 8BITMIME"}, page.Untrusted, 0},
	} {
		m := newMailbox(t, ca, c.answers)
		err := notify(t, mailing(t, ca, m.Address, "", 20*time.Second), page.SMTP, "piket@desk.example", acute)
		if got := page.OutcomeOf(err); got != c.want || m.mails() != c.mails {
			t.Errorf("%s: %s (%v), %d mails", name, got, err, m.mails())
		}
		if err != nil && strings.Contains(err.Error(), "desk.example") {
			t.Errorf("%s: the error quotes the point: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		address string
		want    page.Outcome
		limit   time.Duration
	}{
		"silent":                  {serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), page.Late, impatient},
		"drips":                   {serve(t, func(c net.Conn) { drip(c, "220-"+spaces) }), page.Late, impatient},
		"hangs up":                {serve(t, func(net.Conn) {}), page.Broken, 20 * time.Second},
		"another's certificate":   {newMailbox(t, pagetest.NewAuthority(t), nil).Address, page.Untrusted, 20 * time.Second},
		"nobody listens":          {closedAddress(t), page.Unreachable, 20 * time.Second},
		"a greeting without end":  {serve(t, endless), page.Late, impatient},
		"TLS from the first byte": {serve(t, func(c net.Conn) { _ = tls.Server(c, serverTLS(ca.Issue("127.0.0.1"))).Handshake() }), page.Late, impatient},
	} {
		err := notify(t, mailing(t, ca, c.address, "", c.limit), page.SMTP, "piket@desk.example", acute)
		if got := page.OutcomeOf(err); got != c.want && (c.want != page.Late || got != page.Broken) {
			t.Errorf("%s: %s (%v)", name, got, err)
		}
	}
}

func endless(c net.Conn) {
	for {
		if _, err := io.WriteString(c, "220-"+spaces+"\r\n"); err != nil {
			return
		}
	}
}

func closedAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func mailing(t testing.TB, ca *pagetest.Authority, server, security string, limit time.Duration) *page.Channels {
	return channels(t, page.Config{Roots: ca.Pool, Limit: limit, Mail: &page.Mail{Server: server, Security: security, From: "piket@relay.example"}})
}

// A login never goes out before TLS does, and no certificate is taken on faith.
func TestMailLogin(t *testing.T) {
	ca := pagetest.NewAuthority(t)
	secret := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(secret, []byte("fictional-password\n"), 0o600))
	login := func(m *mailbox) *page.Channels {
		return channels(t, page.Config{Roots: ca.Pool, Mail: &page.Mail{Server: m.Address, From: "piket@relay.example", User: "relay", PasswordFile: secret}})
	}
	m := newMailbox(t, ca, nil)
	must(t, notify(t, login(m), page.SMTP, "piket@desk.example", acute))
	if !strings.Contains(m.heard(), "AUTH PLAIN") {
		t.Error("no login came")
	}
	if before, _, _ := strings.Cut(m.heard(), "STARTTLS"); strings.Contains(before, "AUTH") {
		t.Error("the login came before TLS")
	}
	stripped := newMailbox(t, ca, nil)
	stripped.offer = false // somebody in between took the offer out (a stripping attack)
	if err := notify(t, login(stripped), page.SMTP, "piket@desk.example", acute); !errors.Is(err, page.ErrUntrusted) {
		t.Errorf("without TLS: %v", err)
	}
	if strings.Contains(stripped.heard(), "AUTH") || strings.Contains(stripped.heard(), "DATA") {
		t.Error("something was said in the clear")
	}
}

func TestMailConfiguration(t *testing.T) {
	for name, m := range map[string]page.Mail{
		"no port": {Server: "mail.example", From: "a@b.example"}, "no sender": {Server: "mail.example:587"},
		"clear to elsewhere": {Server: "mail.example:25", From: "a@b.example", Security: page.NoTLS},
		"other word":         {Server: "mail.example:25", From: "a@b.example", Security: "maybe"},
		"half a login":       {Server: "mail.example:587", From: "a@b.example", User: "u"},
	} {
		if _, err := page.New(page.Config{Mail: &m}); !errors.Is(err, page.ErrPoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, security := range []string{"", page.StartTLS, page.TLS} {
		if _, err := page.New(page.Config{Mail: &page.Mail{Server: "mail.example:587", From: "a@b.example", Security: security}}); err != nil {
			t.Errorf("control: %q: %v", security, err)
		}
	}
}

// Implicit TLS, and no TLS at all on the same machine.
func TestMailOtherSecurity(t *testing.T) {
	ca := pagetest.NewAuthority(t)
	m := &mailbox{tls: serverTLS(ca.Issue("127.0.0.1"))}
	m.Address = serve(t, func(c net.Conn) { m.talk(tls.Server(c, m.tls)) })
	must(t, notify(t, mailing(t, ca, m.Address, page.TLS, 0), page.SMTP, "piket@desk.example", acute))
	plain := newMailbox(t, ca, nil)
	plain.offer = false
	must(t, notify(t, mailing(t, ca, plain.Address, page.NoTLS, 0), page.SMTP, "piket@desk.example", acute))
	if m.mails() != 1 || plain.mails() != 1 {
		t.Errorf("%d and %d mails", m.mails(), plain.mails())
	}
}
