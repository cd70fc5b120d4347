//go:build linux

package system_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/relay/page/pagetest"
)

// rotaOf is the rota of desk safe: its officer first, a backup after two seconds, and
// everybody after ten. Pages go by HTTPS and by mail.
const rotaOf = `fallback = ["f-1"]

[[person]]
contact = "f-1"
name = "wachtkamer"
[[person.point]]
channel = "ntfy"
target = "URL/everybody"
relay = true

[[person]]
contact = "c-1"
name = "OFFICER"
[[person.point]]
channel = "ntfy"
target = "URL/first"
relay = true
[[person.point]]
channel = "smtp"
target = "piket@desk.example"
relay = true

[[person]]
contact = "c-2"
name = "achterwacht"
[[person.point]]
channel = "ntfy"
target = "URL/backup"
relay = true

[[layer]]
[[layer.rule]]
from = "2020-01-06T08:00"
to = "2020-01-13T08:00"
repeat = "FREQ=WEEKLY"
contacts = ["c-1"]

[[layer]]
[[layer.rule]]
from = "2020-01-06T08:00"
to = "2020-01-13T08:00"
repeat = "FREQ=WEEKLY"
contacts = ["c-2"]

[[ladder]]
urgency = "acuut"
[[ladder.step]]
after = "0"
level = 0
[[ladder.step]]
after = "2s"
level = 1
[[ladder.step]]
after = "15s"
level = -1
`

// gateway is a telephone's HTTPS endpoint with a certificate that was issued to it.
type gateway struct {
	*httptest.Server
	mu   sync.Mutex
	rang map[string][]string // bodies by path
	raw  strings.Builder     // every header and body
}

func newGateway(t *testing.T, ca *pagetest.Authority) *gateway {
	g := &gateway{rang: map[string][]string{}}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		g.mu.Lock()
		defer g.mu.Unlock()
		g.rang[r.URL.Path] = append(g.rang[r.URL.Path], string(body))
		_ = r.Header.Write(&g.raw)
		g.raw.Write(body)
	}))
	g.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue("127.0.0.1")}, MinVersion: tls.VersionTLS12}
	g.StartTLS()
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) heard(path string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.rang[path])
}

var pageReference = regexp.MustCompile(`[A-Z2-7]{4}-[A-Z2-7]{4}`)

// references are the different ones in some pages: each pager has its own.
func references(pages []string) map[string]bool {
	out := map[string]bool{}
	for _, p := range pages {
		out[pageReference.FindString(p)] = true
	}
	return out
}

// An acute message that nobody attends, with real programs, a real mail server and a
// real HTTPS endpoint: relay and recipient both page at once through both channels, and
// then the backup; an acknowledgement ends it; and nothing that goes out says more.
func TestUnattendedIsPagedByRelayAndDesk(t *testing.T) {
	ca := pagetest.NewAuthority(t)
	server, box := pagetest.Exim(t, ca)
	g := newGateway(t, ca)
	c := newChain(t)
	for name, text := range map[string]string{"ca.pem": string(ca.PEM()), "rota.toml": strings.NewReplacer("URL", g.URL, "OFFICER", officer).Replace(rotaOf)} {
		if err := os.WriteFile(c.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	paging := []string{"--oncall-allow", "127.0.0.0/8", "--oncall-ca", c.file("ca.pem"), "--mail-server", server, "--mail-from", "piket@relay.example"}
	counted := must[string](t)(freeAddress())
	c.relayFlags, c.deskFlags = paging, append(slices.Clone(paging), "--metrics", counted)
	c.startRelays()
	desk := c.startDesk(safe)
	c.deskFlags = paging
	c.startDesk(doctor)
	c.knows(doctor, safe)
	c.knows(doctor, police)
	cli := func(want int, args ...string) string {
		t.Helper()
		out, errs, code := command(t.Context(), c.schakel, append([]string{"--home", desk.home}, args...)...)
		if code != want {
			t.Fatalf("schakel %s: exit code %d: %s%s", strings.Join(args, " "), code, out, errs)
		}
		return out
	}
	cli(0, "oncall", "rota", "import", c.file("rota.toml"), "--person", officer, "--pin-file", c.file("pin"))
	eventually(t, "a test reaches the officer by desk and relay", patience, func() bool {
		_, _, code := command(t.Context(), c.schakel, "--home", desk.home, "oncall", "test", "--person", "c-1", "--relay")
		return code == 0
	})
	tests := g.heard("/first")
	if len(tests) < 2 || !strings.HasPrefix(tests[0], "TEST: er wacht niets.") {
		t.Errorf("the test says %q", tests)
	}
	k := newCanaries()
	sent := c.tell(doctor, []identity.DeskID{safe, police}, &k)
	eventually(t, "relay and desk page the officer", patience, func() bool { return len(references(g.heard("/first")[len(tests):])) == 2 })
	eventually(t, "and the backup", patience, func() bool { return len(references(g.heard("/backup"))) == 2 })
	mails := func() int {
		raw, _ := os.ReadFile(box)
		return strings.Count(string(raw), "Subject: Schakel: acuut")
	}
	eventually(t, "and by mail", patience, func() bool { return mails() >= 2 })
	metrics := string(fetch(t, "http://"+counted+"/metrics"))
	for _, line := range []string{`schakel_desk_unacknowledged{tier="acute"} 1`, `schakel_desk_pages_total{channel="ntfy",outcome="sent",tier="acute"} `, "schakel_desk_connected 1", "schakel_desk_rota_gaps 0"} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("the metrics do not say %s", line)
		}
	}
	cli(0, "ack", sent.Hash, "--person", officer, "--pin-file", c.file("pin"))
	metrics += string(fetch(t, "http://"+counted+"/metrics"))
	calm := time.NewTimer(17 * time.Second) // the third rung's time would be over
	defer calm.Stop()
	before := len(g.heard("/everybody"))
	<-calm.C
	if got := len(g.heard("/everybody")); got != before {
		t.Errorf("%d pages after the acknowledgement", got-before)
	}
	var log struct{ Pages []schakel.Page }
	if err := json.Unmarshal([]byte(cli(0, "oncall", "log", "--json")), &log); err != nil || !slices.ContainsFunc(log.Pages, func(p schakel.Page) bool { return p.Subject == sent.Hash && p.Outcome == "sent" }) {
		t.Errorf("the log says %+v, %v", log, err)
	}
	if out := cli(0, "oncall", "log", "--relay"); !strings.Contains(out, "c-2") && !strings.Contains(out, "achterwacht") {
		t.Errorf("the relay's log says %s", out)
	}
	if out := cli(1, "oncall", "readiness"); !strings.Contains(out, "fewer than two independent channels: ") {
		t.Errorf("the backup has one way: %s", out)
	}
	mail := must[[]byte](t)(os.ReadFile(box))
	letter := must[schakel.Letter](t)(desk.client.Read(t.Context(), sent.Hash))
	c.saysNoMore(t, g.raw.String()+string(mail), sent, string(letter.Body))
	c.leaksNothing(t, k, map[string]string{"pages": g.raw.String() + string(mail), "metrics": metrics, "log": string(must[[]byte](t)(os.ReadFile(c.file("vt20.log"))))})
}

// leaksNothing looks in all that a desk's daemon says about itself for what it handled.
func (c *chain) leaksNothing(t *testing.T, k canaries, said map[string]string) {
	t.Helper()
	all := append(k.needles(), needles("who sent it", string(doctor))...)
	org := regexp.MustCompile(`\b` + string(doctor.Org()) + `\b`)
	known := map[string]string{"pages": "Open Schakel", "metrics": "schakel_desk_waiting ", "log": "paged"}
	for place, text := range said {
		if !strings.Contains(text, known[place]) {
			t.Errorf("control: nothing was looked at in the %s", place)
		}
		if found := must[[]string](t)(search(strings.NewReader(text), all)); len(found) > 0 {
			t.Errorf("the %s say %q", place, found)
		}
		if org.MatchString(text) || !org.MatchString(text+" "+string(doctor.Org())) {
			t.Errorf("the organisation of who sent it is in the %s, or would not be found there", place)
		}
		for _, word := range []string{k.text, k.zaak.String(), officer, string(doctor), canaryClass} { // as a careless program would
			planted := text[:len(text)/2] + word + text[len(text)/2:]
			if found := must[[]string](t)(search(strings.NewReader(planted), all)); len(found) == 0 {
				t.Errorf("control: %q is not found in the %s", word, place)
			}
		}
	}
}

// saysNoMore looks in everything that went out for what a page may not say.
func (c *chain) saysNoMore(t *testing.T, out string, sent schakel.Sent, body string) {
	t.Helper()
	var said map[string]any
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		t.Fatal(err)
	}
	secrets := []string{"melding-", "praktijk", "arts/", string(safe), "vt20", "Fictief", officer, sent.Hash, sent.Hash[:12], sent.ID, sent.Case, "whsec", c.dir}
	for _, v := range said {
		if text, ok := v.(string); ok && len(text) > 6 {
			secrets = append(secrets, text)
		}
	}
	for _, s := range secrets {
		if strings.Contains(strings.ToLower(out), strings.ToLower(s)) {
			t.Errorf("a page says %q", s)
		}
	}
	if !strings.Contains(out, "Open Schakel") {
		t.Error("control: nothing was looked at")
	}
}
