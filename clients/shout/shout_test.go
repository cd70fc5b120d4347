package shout_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"schakel/clients/shout"
	"schakel/crypto/envelope"
	"schakel/relay/page"
)

func TestMain(m *testing.M) {
	// The library keeps idle connections in the transport of its own.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

var acute = page.Page{Tier: envelope.TierAcute, Reference: page.Reference([]byte("k"), []byte("x"))}

func TestSends(t *testing.T) {
	var raw strings.Builder
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.Header.Write(&raw)
		_, _ = io.Copy(&raw, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "{}")
	}))
	defer s.Close()
	target := "gotify://" + strings.TrimPrefix(s.URL, "http://") + "/AzyoeNS.D4iJLVa?disabletls=yes"
	c, err := page.New(page.Config{Others: map[string]func(string) (page.Notifier, error){page.Shoutrrr: shout.Channel}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := c.For(page.Point{Channel: page.Shoutrrr, Target: target})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Notify(context.Background(), acute); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{acute.Reference, "Open Schakel", "Schakel: acuut"} {
		if !strings.Contains(raw.String(), want) {
			t.Errorf("it does not say %q: %s", want, raw.String())
		}
	}
	if host, err := os.Hostname(); err == nil && len(host) > 3 && host != "localhost" && strings.Contains(raw.String(), host) {
		t.Errorf("it says where it runs: %s", raw.String())
	}
	status = http.StatusForbidden
	err = n.Notify(context.Background(), acute)
	if !errors.Is(err, page.ErrRefused) || strings.Contains(err.Error(), "AzyoeNS") {
		t.Errorf("refused: %v", err)
	}
}

func TestUnwanted(t *testing.T) {
	for _, target := range []string{"smtp://u:p@mail.example:587/?from=a@b.example&to=c@d.example", "logger://", "ntfy://ntfy.example/x", "generic+https://x.example/y", "generic://x", "telegram", "SMTP://x"} {
		if _, err := shout.Channel(target); !errors.Is(err, page.ErrPoint) {
			t.Errorf("%s: %v", target, err)
		}
	}
	n, err := shout.Channel("nonsense://x")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Notify(context.Background(), acute); !errors.Is(err, page.ErrPoint) {
		t.Errorf("a service that nobody knows: %v", err)
	}
}
