// Package api is the desk for programs: resources over HTTP on this machine, after a
// contract that every program can read at /v1/openapi.json.
//
//	site, err := api.New(api.Config{Node: node, Tokens: tokens, Answers: answers, Secret: secret})
//	err = site.Serve(ctx, ln)
//
// The contract, openapi.json, is written by hand and comes first: this package takes its
// routes, its parameters, the shapes of what it accepts and the scopes from there, and
// does not start where the contract names an operation that nothing here does. A program
// comes with a token, whose roles and scopes go through package rights like those of
// people. Titles and remedies of problems are in Dutch or English.
//
// Trusted: whoever has a token, for what that token may. Not trusted: everything else that
// reaches the port, such as pages in a browser on this machine.
package api

import (
	"context"
	"crypto/cipher"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"schakel/clients/desk"
	"schakel/clients/desk/once"
)

// ErrOpen is returned for an address that other machines can reach.
var ErrOpen = errors.New("the API is for programs on this machine only")

// Limits of the server. The largest request is a message or a calendar in base64.
const (
	maxBody       = 512 << 10
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 60 * time.Second
	answerTime    = 40 * time.Second // for one request; well inside writeTimeout
	maxConns      = 256
	maxRunning    = 64 // requests that are being answered; waiting ones count
	maxStreams    = 32 // programs that listen or wait
)

// Tokens knows programs by what they come with, and notes what they did.
type Tokens interface {
	Holder(ctx context.Context, secret string) (desk.Token, error)
	Used(ctx context.Context, t desk.Token, operation, subject string) error
}

// Answers keeps the answers to requests that may be repeated.
type Answers interface {
	Begin(ctx context.Context, key once.Key, print once.Print) (*once.Answer, error)
	Done(ctx context.Context, key once.Key, print once.Print, a once.Answer) error
	Undo(ctx context.Context, key once.Key) error
	Lost(key once.Key)
}

// Config is what a Site needs. Node, Tokens, Answers and Secret are required.
type Config struct {
	Node    desk.Node
	Tokens  Tokens
	Answers Answers
	Secret  [32]byte         // seals cursors; the same after a restart
	Names   []string         // under which programs ask, beside those of this machine; without port
	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default discards
}

// Site serves the contract. It is an http.Handler.
type Site struct {
	Config
	mux     *http.ServeMux
	cursors cipher.AEAD
	feed    *feed
	running chan struct{}
	streams chan struct{}
	pins    tries
	files   map[string]bool // patterns of what takes a file

	mu     sync.Mutex           // guards what follows
	listed map[string]time.Time // when a token's use of a list was last noted
}

var _ http.Handler = (*Site)(nil)

// New returns a Site. It starts nothing. It refuses a contract that it does not fulfil.
func New(cfg Config) (*Site, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cursors, err := chacha20poly1305.NewX(cfg.Secret[:])
	if err != nil {
		return nil, err
	}
	s := &Site{Config: cfg, mux: http.NewServeMux(), cursors: cursors, feed: newFeed(),
		files: map[string]bool{}, running: make(chan struct{}, maxRunning), streams: make(chan struct{}, maxStreams), listed: map[string]time.Time{}}
	s.pins = tries{now: cfg.Now, all: map[string][]time.Time{}, running: map[string]int{}}
	operations, err := readContract(contract, acts())
	if err != nil {
		return nil, err
	}
	for _, op := range operations {
		s.mux.HandleFunc(op.method+" "+base+op.path, s.operation(op))
		s.files[op.method+" "+base+op.path] = op.takesFile
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.refuse(w, r, errNoPath) })
	return s, nil
}

// Serve answers on ln until ctx ends, then lets running requests finish for a few seconds
// and returns nil. It closes ln. It refuses an address that other machines can reach.
func (s *Site) Serve(ctx context.Context, ln net.Listener) error {
	if a, ok := ln.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		return errors.Join(ErrOpen, ln.Close())
	}
	events, cancel := s.Node.Subscribe()
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		s.feed.fill(events)
	}()
	defer func() {
		cancel()
		<-fed
	}()
	crowd := desk.NewCrowd(maxConns)
	return desk.ServeUntil(ctx, ln, &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: 16 << 10, ConnState: crowd.Moved, ConnContext: crowd.Seated,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	})
}
