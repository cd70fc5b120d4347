package relay

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"schakel/relay/wire"
)

// enteringKey finds the raw connection of a request.
type enteringKey struct{}

// server serves devices: three paths, HTTP/1.1, TLS 1.3.
func (r *Relay) server() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.ConnectPath, r.connect)
	mux.HandleFunc("POST "+wire.RegisterPath, r.postEntry)
	if r.config.Blobs != nil {
		mux.HandleFunc(wire.BlobPath+"{blob}", r.blobs.serve)
	}
	s := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: r.config.Limits.HandshakeTime,     // and the TLS handshake's
		ReadTimeout:       2 * r.config.Limits.HandshakeTime, // of a whole posted entry
		WriteTimeout:      2 * r.config.Limits.HandshakeTime,
		IdleTimeout:       5 * time.Second,
		MaxHeaderBytes:    4 << 10,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:          log.New(io.Discard, "", 0), // a peer's failed handshake is no event of ours
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if t, ok := c.(*tls.Conn); ok {
				c = t.NetConn()
			}
			return context.WithValue(ctx, enteringKey{}, c)
		},
	}
	return s
}

// secured wraps the gate with TLS 1.3, where the relay has TLS.
func (r *Relay) secured() net.Listener {
	if r.config.TLS == nil {
		return r.gate
	}
	c := r.config.TLS.Clone()
	c.MinVersion, c.MaxVersion = tls.VersionTLS13, tls.VersionTLS13
	c.NextProtos = []string{"http/1.1"}
	c.SessionTicketsDisabled = true
	// Frames come in batches: full records from the first byte on.
	c.DynamicRecordSizingDisabled = true
	return tls.NewListener(r.gate, c)
}

// connect upgrades a request and leaves the session to its own goroutines, so
// that nothing of the HTTP server stays behind for an idle device.
func (r *Relay) connect(w http.ResponseWriter, req *http.Request) {
	if !r.ready.Load() || r.hub.size() >= r.config.Limits.MaxSessions {
		r.metrics.shed.Inc()
		w.Header().Set("Retry-After", "5")
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	// The clock by which the login token will be judged.
	w.Header().Set("Date", r.config.Now().UTC().Format(http.TimeFormat))
	conn, err := wire.Accept(w, req, wire.Limits{
		BytesPerSecond: r.config.Limits.BytesPerSecond, FramesPerSecond: r.config.Limits.FramesPerSecond,
		Grace: r.config.Limits.CloseTime,
	})
	if err != nil {
		return
	}
	entering, _ := req.Context().Value(enteringKey{}).(*entering)
	s := newSession(r, conn, entering)
	if !r.hub.start(s) {
		_ = conn.CloseNow()
	}
}

// postEntry takes one signed entry from a partner that cannot log in yet. Its
// signatures decide; the answer says no more than whether it counts.
func (r *Relay) postEntry(w http.ResponseWriter, req *http.Request) {
	if !r.hub.posters.allow(hostOf(req.RemoteAddr), time.Now()) {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "busy", http.StatusTooManyRequests)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, wire.MaxEntry))
	if err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	index, err := r.appendEntry(req.Context(), body, nil)
	code := codeOf(err)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case code == wire.CodeOK:
	case code.Final():
		w.WriteHeader(http.StatusUnprocessableEntity)
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(wire.EntryAnswer{Index: index, Code: code.String()})
}
