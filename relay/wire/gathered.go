package wire

import (
	"bufio"
	"context"
	"net"
)

// gathered is how many bytes below TLS are read from the system at a time. TLS asks for each
// record by itself, and one has 16 KiB at most: that is a call of the system for each.
const gathered = 128 << 10

// gatheredConn is a connection that is read in large pieces.
type gatheredConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *gatheredConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// dialGathered is a Network.
func dialGathered(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &gatheredConn{c, bufio.NewReaderSize(c, gathered)}, nil
}
