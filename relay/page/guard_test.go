package page_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"schakel/relay/page"
	"schakel/relay/page/pagetest"
)

// walled is one address of each network that a partner must not make a relay speak to.
var walled = []string{
	"127.0.0.1:443", "127.8.8.8:443", "10.1.2.3:443", "172.16.0.1:443", "172.31.255.255:443", "192.168.1.1:443", "169.254.169.254:80",
	"100.64.0.1:443", "0.0.0.0:443", "255.255.255.255:443", "224.0.0.1:443", "240.0.0.1:443", "198.18.0.1:443", "192.0.0.170:443",
	"[::1]:443", "[::]:443", "[::ffff:127.0.0.1]:443", "[::ffff:10.0.0.1]:443", "[::127.0.0.1]:443", "[fe80::1%eth0]:443", "[fd00:ec2::254]:80",
	"[fc00::1]:443", "[64:ff9b::7f00:1]:443", "[2002:7f00:1::]:443", "[2001::1]:443", "[ff02::1]:443", "[fec0::1]:443",
	"localhost:443", "no address",
}

func TestGuard(t *testing.T) {
	for _, address := range walled {
		if err := page.Dialled(page.Config{}, address); !errors.Is(err, page.ErrForbidden) {
			t.Errorf("%s would be dialled", address)
		}
	}
	for _, address := range []string{"9.9.9.9:443", "172.32.0.1:443", "[2a01:db8::1]:443", "[2620:fe::fe]:443"} {
		if err := page.Dialled(page.Config{}, address); err != nil {
			t.Errorf("control: %s would not be dialled: %v", address, err)
		}
	}
	if err := page.Dialled(page.Config{Allow: loopback}, "127.0.0.1:443"); err != nil {
		t.Errorf("what the operator allows is not dialled: %v", err)
	}
	if err := page.Dialled(page.Config{Allow: loopback}, "10.0.0.1:443"); err == nil {
		t.Error("what the operator did not allow is dialled")
	}
}

// By its number or by its name, the own machine hears nothing of a page.
func TestOwnMachineIsNotDialled(t *testing.T) {
	var heard atomic.Int32
	address := serve(t, func(net.Conn) { heard.Add(1) })
	_, port, _ := net.SplitHostPort(address)
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433"} {
		err := notify(t, channels(t, page.Config{}), page.NTFY, "https://"+host+":"+port+"/topic", acute)
		if o := page.OutcomeOf(err); o != page.Forbidden && o != page.Unreachable { // the last two are names that nobody has
			t.Errorf("%s: %s", host, o)
		}
	}
	if heard.Load() != 0 {
		t.Error("a connection came")
	}
	_ = notify(t, channels(t, page.Config{Allow: loopback}), page.NTFY, "https://127.0.0.1:"+port+"/topic", acute)
	if heard.Load() == 0 {
		t.Error("control: without the guard no connection comes either")
	}
}

// A point that was checked does not lead on to one that was not.
func TestNoRedirect(t *testing.T) {
	ca := pagetest.NewAuthority(t)
	var second atomic.Int32
	target := web(t, ca, func(http.ResponseWriter, *http.Request) { second.Add(1) })
	first := web(t, ca, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.URL+"/x", http.StatusTemporaryRedirect)
	})
	c := channels(t, page.Config{Allow: loopback, Roots: ca.Pool})
	if err := notify(t, c, page.NTFY, first.URL+"/topic", acute); !errors.Is(err, page.ErrForbidden) {
		t.Errorf("a redirect gives %v", err)
	}
	if second.Load() != 0 {
		t.Error("the redirect was followed")
	}
	if err := notify(t, c, page.NTFY, target.URL+"/x", acute); err != nil || second.Load() != 1 {
		t.Errorf("control: the second server takes no page: %v", err)
	}
}

// web is an HTTPS server on 127.0.0.1 with a certificate of the authority.
func web(t testing.TB, ca *pagetest.Authority, f http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(f)
	s.TLS = serverTLS(ca.Issue("127.0.0.1"))
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}
