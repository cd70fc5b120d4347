package page_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/crypto/envelope"
	"schakel/relay/page"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// acute is a page as the relay's ladder sends it.
var acute = page.Page{Tier: envelope.TierAcute, Reference: page.Reference([]byte("key of this test"), []byte("an envelope"))}

// loopback is what an operator allows whose gateway stands on the same machine.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func channels(t testing.TB, c page.Config) *page.Channels {
	t.Helper()
	got, err := page.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// notify sends one page to one point.
func notify(t testing.TB, c *page.Channels, channel, target string, p page.Page) error {
	t.Helper()
	n, err := c.For(page.Point{Channel: channel, Target: target})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return n.Notify(ctx, p)
}

// serve hands every connection to f; all of them end with the test.
func serve(t testing.TB, f func(net.Conn)) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var mu sync.Mutex
	var open []net.Conn
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() { defer c.Close(); f(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
