package wire

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// exporterLabel and the empty context make tls-exporter (RFC 9266, 4.2).
const (
	exporterLabel = "EXPORTER-Channel-Binding"
	exporterSize  = 32
)

// Buffers of an idle connection. Messages are read and written around them.
const (
	readBuffer  = 1 << 10
	writeBuffer = 512
)

// Accept upgrades a request to a connection, on the relay's side. The handler may
// return afterwards: nothing of the HTTP server is held. Browsers are turned away.
// On an error the response has been written.
func Accept(w http.ResponseWriter, r *http.Request, l Limits) (*Conn, error) {
	if r.Header.Get("Origin") != "" {
		http.Error(w, "not for browsers", http.StatusForbidden)
		return nil, errors.New("failed to accept: request of a browser")
	}
	binding, err := BindingOf(r)
	if err != nil {
		http.Error(w, "TLS 1.3 only", http.StatusUpgradeRequired)
		return nil, fmt.Errorf("failed to accept: %w", err)
	}
	h := &hijacker{ResponseWriter: w, limits: l}
	ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		if h.guard != nil {
			_ = h.guard.Close()
		}
		return nil, fmt.Errorf("failed to accept: %w", err)
	}
	c := &Conn{ws: ws, guard: h.guard, self: SideRelay, slowest: WriteTimeout, binding: binding}
	c.SetReadLimit(MaxLoginMessage)
	return c, nil
}

// BindingOf returns the channel binding of a request's connection (RFC 9266), empty
// where TLS ends before the relay.
func BindingOf(r *http.Request) ([]byte, error) {
	if r.TLS == nil {
		return nil, nil
	}
	return r.TLS.ExportKeyingMaterial(exporterLabel, nil, exporterSize)
}

// hijacker hands the WebSocket library a guarded conn with small buffers in place
// of the HTTP server's.
type hijacker struct {
	http.ResponseWriter
	limits Limits
	guard  *guard
}

var _ http.Hijacker = (*hijacker)(nil)

// Hijack takes the conn over, with what the HTTP server had already read of it.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.guard = newGuard(conn, h.limits, false)
	if n := brw.Reader.Buffered(); n > 0 {
		early, _ := brw.Reader.Peek(n)
		h.guard.pending = append([]byte(nil), early...)
	}
	return h.guard, bufio.NewReadWriter(bufio.NewReaderSize(h.guard, readBuffer), bufio.NewWriterSize(h.guard, writeBuffer)), nil
}
