package webhook_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/webhook"
)

// TestTheAddressIsCheckedWhenDialled: whatever was checked when the webhook was added, the
// address that is dialled counts. The check runs after a name was resolved, in the dialler,
// so it holds for one that resolves to something else by now as it does for a number.
func TestTheAddressIsCheckedWhenDialled(t *testing.T) {
	reached := false
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ip    string
		allow []netip.Prefix
		want  bool
	}{
		"this machine":               {"127.0.0.1", nil, true},
		"this machine, in IPv6":      {"::ffff:127.0.0.1", nil, true},
		"the metadata of a cloud":    {"169.254.169.254", nil, false},
		"the public internet":        {"203.0.113.7", nil, false},
		"no address at all":          {"0.0.0.0", nil, false},
		"another network":            {"10.1.3.1", []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")}, false},
		"another network, in IPv6":   {"::ffff:10.1.3.1", []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")}, false},
		"through a translator":       {"64:ff9b::7f00:1", nil, false},
		"the link, with a zone":      {"fe80::1%lo", nil, false},
		"what was listed, in IPv6":   {"::ffff:10.1.2.9", []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")}, true},
		"a network of the own house": {"192.168.1.1", nil, false},
	} {
		if got := webhook.Allowed(netip.MustParseAddr(c.ip), c.allow); got != c.want {
			t.Errorf("%s: allowed is %t", name, got)
		}
	}
	client := webhook.NewClient()
	if resp, err := client.Post("http://127.0.0.1:"+port, "application/json", nil); err != nil || !reached {
		t.Errorf("control: %v", err)
	} else {
		resp.Body.Close()
	}
	for _, address := range []string{"http://0.0.0.0:" + port, "http://[::]:" + port, "http://169.254.169.254/", "http://192.0.2.1/"} {
		reached = false
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Do(r); !errors.Is(err, desk.ErrTarget) || reached { //nolint:bodyclose // there is none
			t.Errorf("%s: %v, reached %t", address, err, reached)
		}
	}
}
