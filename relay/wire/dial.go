package wire

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Refusals of Dial.
var (
	// ErrPin means that whoever answered does not hold the relay's TLS key.
	ErrPin = errors.New("the relay's TLS key is not the pinned one")
	// ErrBusy means that the relay sheds load: come back later, with jitter.
	ErrBusy = errors.New("the relay takes no more connections now")
)

// Pin returns the SHA-256 of the certificate's SubjectPublicKeyInfo, as the
// register's relay entry carries it (trust.Relay.TLS).
func Pin(cert *x509.Certificate) [32]byte { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

// PinnedTLS returns a client configuration that believes the pinned key and
// nothing else: no authority can vouch for another relay.
func PinnedTLS(pin [32]byte) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The pin is the check, made in VerifyConnection for every connection.
		InsecureSkipVerify: true, //nolint:gosec // see above
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || Pin(s.PeerCertificates[0]) != pin {
				return ErrPin
			}
			return nil
		},
	}
}

// Dial opens a connection to the relay at url ("wss://host:port"), on the
// device's side. tlsConfig nil means no TLS at all, which only tests of the relay
// use. The caller closes the Conn.
func Dial(ctx context.Context, url string, tlsConfig *tls.Config) (*Conn, error) {
	return DialBy(ctx, url, tlsConfig, (&net.Dialer{}).DialContext)
}

// Network makes the connections below TLS, as net.Dialer does for TCP.
type Network func(ctx context.Context, network, addr string) (net.Conn, error)

// DialBy is Dial over another network than this machine's, such as one in memory.
func DialBy(ctx context.Context, url string, tlsConfig *tls.Config, by Network) (*Conn, error) {
	d := dialer{tls: tlsConfig, by: by}
	transport := &http.Transport{DialContext: d.plain, DialTLSContext: d.secure, MaxResponseHeaderBytes: 8 << 10}
	defer transport.CloseIdleConnections()
	ws, resp, err := websocket.Dial(ctx, url+ConnectPath, &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		d.abandon()
		if resp != nil && (resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests) {
			err = ErrBusy
		}
		return nil, fmt.Errorf("failed to reach the relay: %w", err)
	}
	c := &Conn{ws: ws, guard: d.guard, self: SideDevice, ping: PingInterval, slowest: WriteTimeout, binding: d.binding}
	if t, err := time.Parse(http.TimeFormat, resp.Header.Get("Date")); err == nil {
		c.date = t
	}
	c.SetReadLimit(MaxMessage)
	return c, nil
}

// dialer keeps hold of the one conn that it makes. The transport dials in a
// goroutine of its own, which may outlive a cancelled request.
type dialer struct {
	tls *tls.Config
	by  Network

	mu        sync.Mutex // guards what follows
	guard     *guard
	binding   []byte
	abandoned bool
}

// keep takes the conn that was made, unless nobody waits for it any more.
func (d *dialer) keep(c net.Conn, binding []byte) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.abandoned {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	d.guard, d.binding = newGuard(c, Limits{}, true), binding
	return d.guard, nil
}

func (d *dialer) abandon() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.abandoned = true
	if d.guard != nil {
		_ = d.guard.Close()
	}
}

func (d *dialer) plain(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.tls != nil {
		return nil, errors.New("failed to dial: plain text to a relay that has a TLS key")
	}
	raw, err := d.by(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return d.keep(raw, nil)
}

func (d *dialer) secure(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.tls == nil {
		return nil, errors.New("failed to dial: no TLS configuration")
	}
	conn, binding, err := dialTLS(ctx, network, addr, d.tls, d.by)
	if err != nil {
		return nil, err
	}
	return d.keep(conn, binding)
}

// dialTLS connects, and returns the binding of the connection (RFC 9266).
func dialTLS(ctx context.Context, network, addr string, c *tls.Config, by Network) (*tls.Conn, []byte, error) {
	raw, err := by(ctx, network, addr)
	if err != nil {
		return nil, nil, err
	}
	conf := c.Clone()
	conf.MinVersion, conf.NextProtos = tls.VersionTLS13, []string{"http/1.1"}
	if conf.ServerName == "" {
		conf.ServerName, _, _ = net.SplitHostPort(addr)
	}
	conn := tls.Client(raw, conf)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, nil, err
	}
	state := conn.ConnectionState()
	binding, err := state.ExportKeyingMaterial(exporterLabel, nil, exporterSize)
	if err != nil {
		_ = raw.Close()
		return nil, nil, err
	}
	return conn, binding, nil
}
