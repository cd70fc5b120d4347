package page

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// guard dials for points that others wrote down. A partner's point must not make
// this program speak to what only this program can reach: its own loopback, the
// network it stands in, the metadata service of its cloud.
type guard struct {
	allowed func(netip.Addr) bool
	dialer  net.Dialer
}

// walled are the networks that are not the public internet, or that lead out of it:
// the IANA special-purpose registries, and the ways to write an IPv4 address in IPv6.
var walled = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
	"2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// public lets the public internet be dialled, and what the operator listed.
func public(allow []netip.Prefix) func(netip.Addr) bool {
	return func(ip netip.Addr) bool {
		in := func(p netip.Prefix) bool { return p.Contains(ip) }
		return slices.ContainsFunc(allow, in) || !slices.ContainsFunc(walled, in)
	}
}

func newGuard(allowed func(netip.Addr) bool) *guard {
	g := &guard{allowed: allowed}
	// Control sees each address after its name was resolved and before it is
	// connected to: a name that answers differently the second time changes nothing.
	g.dialer.Control = func(_, address string, _ syscall.RawConn) error { return g.check(address) }
	return g
}

func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return g.dialer.DialContext(ctx, network, address)
}

func (g *guard) check(address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !g.allowed(to.Addr().WithZone("").Unmap()) {
		return ErrForbidden
	}
	return nil
}
