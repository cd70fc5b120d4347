package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of the service. A request is at most a message in base64 with room for
// its heading; an answer at most a full list.
const (
	maxRequest   = 512 << 10
	maxAnswer    = 16 << 20
	readTimeout  = 10 * time.Second
	writeTimeout = 60 * time.Second
	pollTime     = 20 * time.Second // one long poll: well inside writeTimeout
	drainTime    = 3 * time.Second
)

// APIVersion is what the API-Version header says.
const APIVersion = "1.0.0"

// Config is what a Service needs. Node is required.
type Config struct {
	Node     Node
	Entrance Entrance     // nil: the web desk is off
	Tokens   Tokens       // nil: this device gives programs nothing
	Webhooks Webhooks     // nil: likewise
	Log      *slog.Logger // default discards
}

// Service serves a Node over HTTP.
type Service struct {
	node     Node
	entrance Entrance
	tokens   Tokens
	webhooks Webhooks
	log      *slog.Logger
}

// New returns a Service. It starts nothing.
func New(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{node: cfg.Node, entrance: cfg.Entrance, tokens: cfg.Tokens, webhooks: cfg.Webhooks, log: cfg.Log}
}

// Serve answers on ln until ctx ends, then lets running requests finish for a few
// seconds and returns nil. It closes ln.
func (s *Service) Serve(ctx context.Context, ln net.Listener) error {
	return serve(ctx, ln, s.Handler(), s.log)
}

func serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	return ServeUntil(ctx, ln, &http.Server{
		Handler: h, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: writeTimeout, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	})
}

// ServeUntil has srv answer on ln until ctx ends, then lets running requests finish for
// a few seconds and returns nil. Long polls and event streams end when ctx does. It
// closes ln.
func ServeUntil(ctx context.Context, ln net.Listener, srv *http.Server) error {
	srv.BaseContext = func(net.Listener) context.Context { return ctx }
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if srv.Shutdown(drain) != nil {
			_ = srv.Close() // what does not drain is cut off
		}
	})
	err := srv.Serve(ln)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("failed to serve %s: %w", ln.Addr(), err)
}

// handleDesks adds the routes about other desks.
func (s *Service) handleDesks(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/desks", answer(s.desks))
	mux.HandleFunc("POST /v1/desks/verification", answer(s.verifyDesk))
	mux.HandleFunc("POST /v1/desks/confirmation", answer(s.confirmDevice))
	mux.HandleFunc("POST /v1/desks/refusal", answer(s.refuseDesk))
}

// Handler returns the routes. A message reference is a path segment; it may be
// any unique beginning of an identifier.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", answer(s.status))
	mux.HandleFunc("GET /v1/alarms", answer(s.alarms))
	s.handleDesks(mux)
	mux.HandleFunc("GET /v1/persons", answer(s.persons))
	mux.HandleFunc("POST /v1/persons", answer(s.addPerson))
	mux.HandleFunc("GET /v1/messages", answer(s.list))
	mux.HandleFunc("POST /v1/messages", answer(s.send))
	mux.HandleFunc("POST /v1/messages/{ref}/open", answer(s.read))
	mux.HandleFunc("GET /v1/messages/{ref}/trace", answer(s.trace))
	mux.HandleFunc("GET /v1/messages/{ref}/wait", answer(s.wait))
	mux.HandleFunc("POST /v1/messages/{ref}/acknowledgement", answer(s.acknowledge))
	mux.HandleFunc("POST /v1/messages/{ref}/forwarding", answer(s.forward))
	mux.HandleFunc("POST /v1/searches", answer(s.search))
	mux.HandleFunc("POST /v1/preparations", answer(s.prepare))
	mux.HandleFunc("GET /v1/cases", answer(s.cases))
	mux.HandleFunc("GET /v1/cases/{ref}", answer(s.overview))
	mux.HandleFunc("POST /v1/cases/{ref}/open", answer(s.openCase))
	mux.HandleFunc("GET /v1/cases/{ref}/restriction", answer(s.restriction))
	mux.HandleFunc("POST /v1/cases/{ref}/restriction", answer(s.restrict))
	mux.HandleFunc("POST /v1/cases/{ref}/progress", answer(s.progress))
	mux.HandleFunc("GET /v1/messages/{ref}/delivery", answer(s.export))
	mux.HandleFunc("POST /v1/cases/{ref}/file", s.exportCase)
	mux.HandleFunc("GET /v1/deletions", answer(s.deletions))
	mux.HandleFunc("POST /v1/cases/{ref}/assignment", answer(s.assign))
	mux.HandleFunc("POST /v1/cases/{ref}/notes", answer(s.addNote))
	mux.HandleFunc("POST /v1/cases/{ref}/worksheet", answer(s.worksheet))
	mux.HandleFunc("GET /v1/drafts", answer(s.drafts))
	mux.HandleFunc("POST /v1/drafts", answer(s.saveDraft))
	mux.HandleFunc("POST /v1/drafts/list", answer(s.draftsAs))
	mux.HandleFunc("POST /v1/drafts/{id}/drop", answer(s.dropDraft))
	s.safekeepingRoutes(mux)
	s.courierRoutes(mux)
	s.onCallRoutes(mux)
	s.programRoutes(mux)
	mux.HandleFunc("GET /v1/log", answer(s.accessLog))
	mux.HandleFunc("POST /v1/tests", answer(s.sendTest))
	mux.HandleFunc("GET /v1/devices", answer(s.devices))
	mux.HandleFunc("POST /v1/devices", answer(s.vouch))
	mux.HandleFunc("POST /v1/organisation/key", answer(s.renewOrganisationKey))
	mux.HandleFunc("POST /v1/revocations", answer(s.revoke))
	mux.HandleFunc("GET /v1/register", answer(s.registerEntries))
	mux.HandleFunc("GET /v1/evidence", answer(s.evidence))
	mux.HandleFunc("GET /v1/evidence/file", answer(s.evidenceFile))
	mux.HandleFunc("POST /v1/alarms/clearance", answer(s.clearAlarm))
	mux.HandleFunc("GET /v1/users", answer(s.users))
	mux.HandleFunc("POST /v1/users/link", answer(s.links))
	mux.HandleFunc("POST /v1/users/removal", answer(s.removeUser))
	mux.HandleFunc("POST /v1/users/account", answer(s.tieUser))
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("/v1/lock", answer(s.noLock))
	mux.HandleFunc("/v1/unlock", answer(s.noLock))
	mux.HandleFunc("/", answer(func(r *http.Request) (struct{}, error) {
		return struct{}{}, fmt.Errorf("%w: no such path %q", ErrRequest, r.URL.Path)
	}))
	return mux
}

// answer turns a function that knows no HTTP answers into a handler: JSON on
// success, problem+json otherwise.
func answer[T any](f func(*http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		v, err := f(r)
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, http.StatusOK, "application/json", v)
	}
}

func refuse(w http.ResponseWriter, err error) {
	p := ProblemOf(err)
	reply(w, p.Status, "application/problem+json", p)
}

func reply(w http.ResponseWriter, status int, mediaType string, v any) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("API-Version", APIVersion)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone: nobody to tell
}

// decode reads a request's JSON strictly: a field that this version does not know
// is refused rather than ignored, since it might have been a restriction.
func decode[T any](r *http.Request) (T, error) {
	var v T
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, fmt.Errorf("%w: something follows the JSON value", ErrRequest)
	}
	return v, nil
}
