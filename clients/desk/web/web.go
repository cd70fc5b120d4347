// Package web is the desk in a browser: pages that a case worker looks at all day, on
// the partner's own machine, beside the keys.
//
//	site, err := web.New(web.Config{Node: node, Door: door, Sheets: sheets, Names: []string{"localhost"}})
//	err = site.Serve(ctx, ln)
//
// Every page is a plain form or a plain list and works without scripts; what the one
// script adds is in static/desk.js. A page is one Go file with its routes (see [Routes])
// and one template in pages/; every text in it stands in woorden.csv in Dutch and English.
//
// Trusted: the browser of a signed-in user, until its session locks. Not trusted: every
// other page in that browser, every other program that can reach the port, and all that
// partners write. No page causes a request to another machine; where the organisation has
// a sign-in of its own, one link leads there, and it leads back.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/desk/signin"
	"schakel/clients/protocol"
	"schakel/clients/protocol/playbook"
	"schakel/configs"
)

// Limits of the server. A form is at most a message with its heading.
const (
	maxForm       = 512 << 10
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 60 * time.Second
	maxConns      = 512
)

// Config is what a Site needs. Node, Door, Sheets and Names are required.
type Config struct {
	Node   desk.Node
	Door   *signin.Door
	Sheets *sheets.Desk // what users are writing
	Names  []string     // under which browsers may ask for this desk; without port

	TLS       *tls.Config         // nil: loopback only
	Catalogue *protocol.Catalogue // default protocol.V1
	Playbook  playbook.Playbook   // default that of this program
	Theme     []byte              // a style sheet of the organisation's own, after ours
	PlainLook bool                // our own small style sheet, even where the design system was built in
	About     AboutFunc           // what the page of settings tells; nil: what the node knows
	Now       func() time.Time    // default time.Now
	Log       *slog.Logger        // default discards
}

// Site is the web desk. It is an http.Handler.
type Site struct {
	Config
	pages map[language]pageSet
	files map[string]file
	mux   *http.ServeMux
	guard http.Handler
	live  streams
	past  past
	told  outcomes
}

// New returns a Site. It starts nothing. It refuses a template that is wrong.
func New(cfg Config) (*Site, error) {
	if cfg.Catalogue == nil {
		cfg.Catalogue = protocol.V1()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	var err error
	if len(cfg.Playbook.Situations) == 0 {
		if cfg.Playbook, err = playbook.Parse(configs.Playbook, cfg.Catalogue); err != nil {
			return nil, fmt.Errorf("failed to read the playbook: %w", err)
		}
	}
	s := &Site{Config: cfg, mux: http.NewServeMux(), files: staticFiles(cfg)}
	if s.pages, err = readPages(s.styles()); err != nil {
		return nil, err
	}
	for _, r := range Routes() {
		s.mux.HandleFunc(r.Method+" "+r.Path, s.page(r))
	}
	s.mux.HandleFunc("GET /static/{name}", s.file)
	s.mux.HandleFunc("/", s.page(Route{Who: Anybody, serve: func(*Site, *visit) (answer, error) { return answer{}, errNoPage }}))
	s.guard = s.guarded(s.mux)
	return s, nil
}

// ServeHTTP answers one request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.guard.ServeHTTP(w, r) }

// Serve answers on ln until ctx ends, then lets running requests finish for a few
// seconds and returns nil. It closes ln. Without TLS it refuses an address that other
// machines can reach. It speaks HTTP/1.1 only: what bounds the connections then bounds the
// requests, and over HTTP/2 whoever reaches the port begins 250 of them on each.
func (s *Site) Serve(ctx context.Context, ln net.Listener) error {
	if s.TLS == nil && !Loopback(ln.Addr().String()) {
		return errors.Join(ErrOpen, ln.Close())
	}
	if s.TLS != nil {
		c := s.TLS.Clone()
		c.NextProtos = []string{"http/1.1"}
		ln = tls.NewListener(ln, c)
	}
	defer s.past.begin(s.Node)()
	crowd := desk.NewCrowd(maxConns)
	return desk.ServeUntil(ctx, ln, &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: 16 << 10, ConnState: crowd.Moved, ConnContext: crowd.Seated,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	})
}
