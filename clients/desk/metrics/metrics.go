// Package metrics tells whoever watches machines what a desk's daemon counts, in the text
// format of Prometheus.
//
// It serves /metrics to this machine alone: to a loopback address, asked for by a name of
// this machine, or to a unix socket of its owner. Numbers are those of [schakel.Figures].
// Labels are from fixed tables: no person, case, class, desk, organisation or text ever.
// They still tell how busy a desk is and how urgent its night was.
package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"schakel/clients/desk"
	"schakel/clients/schakel"
)

// ErrOpen says that other machines could reach the metrics.
var ErrOpen = errors.New("metrics are for this machine only")

// Source counts.
type Source interface {
	Figures(context.Context) (schakel.Figures, error)
}

var _ Source = (*schakel.Node)(nil)

// Config is what a Site needs. All but Certificate are required.
type Config struct {
	Source Source
	Folder string // of the store: how much room its disk has
	// Certificate is when that of the web desk ends; zero where it has none.
	Certificate time.Time
	Now         func() time.Time
	Log         *slog.Logger
}

// Site serves the metrics.
type Site struct {
	log     *slog.Logger
	handler http.Handler
}

// Bounds on who asks: to count is to read the store, which its desk waits for.
const (
	maxConns   = 16
	atOnce     = 2
	patience   = 10 * time.Second
	atMostEach = time.Second // what was counted is told again to who asks sooner
)

// New makes a Site.
func New(c Config) *Site {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&collector{Config: c}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: atOnce, Timeout: patience}))
	return &Site{log: c.Log, handler: mux}
}

// Serve answers on ln until ctx ends, and closes it. It refuses with ErrOpen an address
// that other machines reach.
func (s *Site) Serve(ctx context.Context, ln net.Listener) error {
	handler := s.handler
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		if !a.IP.IsLoopback() {
			return errors.Join(ErrOpen, ln.Close())
		}
		handler = ownName(handler)
	}
	crowd := desk.NewCrowd(maxConns)
	return desk.ServeUntil(ctx, ln, &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: patience, WriteTimeout: 2 * patience, IdleTimeout: time.Minute,
		MaxHeaderBytes: 4 << 10, ConnState: crowd.Moved, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	})
}

// ownName lets nobody in who asks by a name that is not this machine's: a page in a browser
// here can have its own name lead to 127.0.0.1, and read the answer (DNS rebinding).
func ownName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "not under that name", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// collector counts when it is asked.
type collector struct {
	Config

	mu   sync.Mutex // guards what follows
	last schakel.Figures
	err  error
	at   time.Time
}

var _ prometheus.Collector = (*collector)(nil)

func (c *collector) figures() (schakel.Figures, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since := time.Since(c.at); c.at.IsZero() || since >= atMostEach {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c.last, c.err = c.Source.Figures(ctx)
		c.at = time.Now()
	}
	return c.last, c.err
}
