package page_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"maps"
	"net"
	"os"
	"os/user"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"schakel/crypto/envelope"
	"schakel/relay/page"
	"schakel/relay/page/pagetest"
)

// recorder is an HTTPS server that keeps every byte, and says 200 to anything.
type recorder struct {
	URL string
	mu  sync.Mutex
	raw bytes.Buffer
}

func newRecorder(t testing.TB, ca *pagetest.Authority) *recorder {
	r := &recorder{}
	cert := ca.Issue("127.0.0.1")
	r.URL = "https://" + serve(t, func(c net.Conn) {
		s := tls.Server(c, serverTLS(cert))
		b := make([]byte, 64<<10)
		n, _ := s.Read(b)
		if n > 0 && !bytes.Contains(b[:n], []byte("Schakel")) { // the body may come in a record of its own
			m, _ := s.Read(b[n:])
			n += m
		}
		r.mu.Lock()
		r.raw.Write(b[:n])
		r.mu.Unlock()
		_, _ = io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		_ = s.Close()
	})
	return r
}

func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.raw.Reset()
	return r.raw.String()
}

// lines are the headers of an HTTP request or a mail by name, and what follows them.
func lines(raw string) (first string, headers map[string]string, body string) {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	first, head, _ = strings.Cut(head, "\r\n")
	headers = map[string]string{}
	for line := range strings.SplitSeq(head, "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		headers[name] += value
	}
	return first, headers, body
}

// tells are what the bytes of a page must not hold: this machine, who runs it, and what
// it is made of. They are searched for in whatever went out, on every channel.
func tells(t testing.TB) (out []string) {
	host, err := os.Hostname()
	must(t, err)
	out = append(out, runtime.Version(), "go-mail", "Go-http-client", "golang", os.TempDir()+"/")
	if len(host) > 3 && host != "localhost" {
		out = append(out, host)
	}
	if u, err := user.Current(); err == nil && u.Username != "root" && len(u.Username) > 3 {
		out = append(out, u.Username)
	}
	return out
}

func silent(t *testing.T, channel, raw string) {
	t.Helper()
	if raw == "" {
		t.Errorf("%s: nothing went out", channel)
	}
	for _, tell := range tells(t) {
		if strings.Contains(strings.ToLower(raw), strings.ToLower(tell)) {
			t.Errorf("%s tells %q:\n%s", channel, tell, raw)
		}
	}
}

// exactly holds headers to a list: what a later version of a library adds is found.
func exactly(t *testing.T, channel string, got map[string]string, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(got)) {
		pattern, known := want[name]
		if !known || !regexp.MustCompile("^(?:"+pattern+")$").MatchString(got[name]) {
			t.Errorf("%s says %s: %s", channel, name, got[name])
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s does not say %s", channel, name)
		}
	}
}

// pages are all that a pager can say.
func pages() (out []page.Page) {
	for tier := envelope.TierNone; tier <= envelope.TierAcute; tier++ {
		for _, exercise := range []bool{false, true} {
			for _, waiting := range []int{0, 3, 1 << 20} {
				p := acute
				p.Tier, p.Exercise, p.Test = tier, exercise, tier == envelope.TierNone
				if p.Waiting = waiting; p.Test {
					p.Waiting = 0
				}
				out = append(out, p)
			}
		}
	}
	return out
}

func TestNTFYSaysNoMore(t *testing.T) {
	ca := pagetest.NewAuthority(t)
	r := newRecorder(t, ca)
	c := channels(t, page.Config{Allow: loopback, Roots: ca.Pool})
	for _, p := range pages() {
		must(t, notify(t, c, page.NTFY, r.URL+"/topic", p))
		raw := r.take()
		silent(t, "ntfy", raw)
		first, headers, body := lines(raw)
		if first != "POST /topic HTTP/1.1" || body != p.Text() {
			t.Errorf("ntfy: %q, %q", first, body)
		}
		exactly(t, "ntfy", headers, map[string]string{
			"Host": `127\.0\.0\.1:\d+`, "User-Agent": "schakel", "Content-Length": `\d+`, "Content-Type": "text/plain; charset=us-ascii",
			"Title": regexp.QuoteMeta(p.Title()), "Priority": "[345]", "Cache": "no", "Connection": "close",
		})
	}
}

func TestWebhookSaysNoMore(t *testing.T) {
	ca := pagetest.NewAuthority(t)
	r := newRecorder(t, ca)
	c := channels(t, page.Config{Allow: loopback, Roots: ca.Pool})
	secret := []byte("a secret of twenty-four b")
	for _, p := range pages() {
		must(t, notify(t, c, page.Webhook, page.JoinWebhook(r.URL+"/p", secret), p))
		raw := r.take()
		silent(t, "webhook", raw)
		if strings.Contains(raw, "whsec_") {
			t.Error("the secret went out")
		}
		_, headers, body := lines(raw)
		exactly(t, "webhook", headers, map[string]string{
			"Host": `127\.0\.0\.1:\d+`, "User-Agent": "schakel", "Content-Length": `\d+`, "Content-Type": "application/json", "Connection": "close",
			"Webhook-Id": `msg_[0-9a-f]{24}`, "Webhook-Timestamp": `\d{10}`, "Webhook-Signature": `v1,[A-Za-z0-9+/]{43}=`,
		})
		if want := "v1," + page.Sign(secret, headers["Webhook-Id"], headers["Webhook-Timestamp"], body); headers["Webhook-Signature"] != want {
			t.Errorf("the signature is %s, want %s", headers["Webhook-Signature"], want)
		}
		var said struct {
			Type, Timestamp string
			Data            map[string]any
		}
		d := json.NewDecoder(strings.NewReader(body))
		d.DisallowUnknownFields()
		must(t, d.Decode(&said))
		if keys := slices.Sorted(maps.Keys(said.Data)); !slices.Equal(keys, []string{"exercise", "reference", "test", "text", "tier", "waiting"}) {
			t.Errorf("the webhook says %v", keys)
		}
	}
}

// The signature, held to one made by another program:
//
//	printf 'msg_1.1700000000.{"a":1}' | openssl dgst -sha256 -mac HMAC -macopt key:'a secret of twenty-four b' -binary | base64
func TestSignatureIsThatOfOthers(t *testing.T) {
	if got := page.Sign([]byte("a secret of twenty-four b"), "msg_1", "1700000000", `{"a":1}`); got != "X934in9tgKyuG06Ab23wloabAEJI/wZDa9i+cj9UZWU=" {
		t.Errorf("the signature is %s", got)
	}
}

func TestMailSaysNoMore(t *testing.T) {
	ca := pagetest.NewAuthority(t)
	for _, p := range pages() {
		m := newMailbox(t, ca, nil)
		must(t, notify(t, mailing(t, ca, m.Address, "", 0), page.SMTP, "piket@desk.example", p))
		raw := m.heard()
		if i := strings.LastIndex(raw, "EHLO"); i < 0 || !strings.Contains(raw, "STARTTLS") {
			t.Fatal("no TLS")
		}
		commands, mail, _ := strings.Cut(raw[strings.LastIndex(raw, "EHLO"):], "DATA\r\n")
		silent(t, "mail", commands+mail)
		for line := range strings.Lines(commands) {
			if !slices.Contains([]string{"EHLO relay.example\r\n", "MAIL FROM:<piket@relay.example> BODY=8BITMIME\r\n", "MAIL FROM:<piket@relay.example>\r\n",
				"RCPT TO:<piket@desk.example>\r\n", "NOOP\r\n"}, line) {
				t.Errorf("the mail server is told %q", line)
			}
		}
		_, headers, body := lines("\r\n" + mail)
		exactly(t, "mail", headers, map[string]string{
			"From": "<piket@relay.example>", "To": "<piket@desk.example>", "Subject": regexp.QuoteMeta(p.Title()), "Date": `\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000`,
			"Message-ID": `<[0-9a-f]{32}@relay\.example>`, "MIME-Version": "1.0", "Auto-Submitted": "auto-generated",
			"Content-Type": "text/plain; charset=US-ASCII", "Content-Transfer-Encoding": "8bit",
		})
		text, rest, _ := strings.Cut(body, "\r\n.\r\n")
		if strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n") != strings.TrimRight(p.Text(), "\n") {
			t.Errorf("the mail says %q", text)
		}
		if strings.Trim(rest, "\r\n") != "RSET" && strings.Trim(rest, "\r\n") != "QUIT" && !regexp.MustCompile(`^(RSET\r\n)?QUIT\r\n$`).MatchString(rest) {
			t.Errorf("after the mail comes %q", rest)
		}
	}
}

// Control: the search finds what a library says of itself when it is left to.
func TestTellsAreFound(t *testing.T) {
	host, _ := os.Hostname()
	for _, raw := range []string{"User-Agent: Go-http-client/1.1", "X-Mailer: go-mail v0.8.1 // https://github.com/wneessen/go-mail", "EHLO " + host} {
		found := slices.ContainsFunc(tells(t), func(tell string) bool { return strings.Contains(strings.ToLower(raw), strings.ToLower(tell)) })
		if !found && !(strings.HasPrefix(raw, "EHLO") && (len(host) <= 3 || host == "localhost")) {
			t.Errorf("%q is not found", raw)
		}
	}
}
