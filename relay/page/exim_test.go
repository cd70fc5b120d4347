package page_test

import (
	"fmt"
	"net/mail"
	"os"
	"strings"
	"testing"
	"time"

	"schakel/relay/page"
	"schakel/relay/page/pagetest"
)

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("not within time: ", what)
		}
	}
}

// A mail server that we did not write takes the page and puts it in somebody's box.
func TestRealMailServer(t *testing.T) {
	ca := pagetest.NewAuthority(t)
	address, box := pagetest.Exim(t, ca)
	c := mailing(t, ca, address, "", 30*time.Second)
	must(t, notify(t, c, page.SMTP, "piket@desk.example", acute))
	var raw []byte
	eventually(t, "the mail is in the box", func() bool { raw, _ = os.ReadFile(box); return strings.Contains(string(raw), "Attention") })
	silent(t, "mail as it arrived", string(raw))
	_, mbox, _ := strings.Cut(string(raw), "\n")
	got, err := mail.ReadMessage(strings.NewReader(mbox))
	must(t, err)
	if s := got.Header.Get("Subject"); s != "Schakel: acuut" {
		t.Errorf("subject %q", s)
	}
	if r := got.Header.Get("Received"); !strings.Contains(r, "helo=relay.example") || !strings.Contains(strings.ToLower(r), "tls") {
		t.Errorf("received %q", r)
	}
	for _, to := range []string{"nobody@desk.example", "piket@elsewhere.example"} {
		if err := notify(t, c, page.SMTP, to, acute); page.OutcomeOf(err) != page.Refused {
			t.Errorf("%s: %v", to, err)
		}
	}
	if err := notify(t, mailing(t, pagetest.NewAuthority(t), address, "", 30*time.Second), page.SMTP, "piket@desk.example", acute); page.OutcomeOf(err) != page.Untrusted {
		t.Errorf("a certificate of somebody else: %v", err)
	}
	if err := notify(t, mailing(t, ca, address, page.NoTLS, 30*time.Second), page.SMTP, "piket@desk.example", acute); page.OutcomeOf(err) != page.Refused {
		t.Errorf("without TLS: %v", err)
	}
	fmt.Fprintln(t.Output(), "mail arrived:", len(raw), "bytes")
}
