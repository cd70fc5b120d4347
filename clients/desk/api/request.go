package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/rights"
	"schakel/clients/protocol"
)

// The headers of the contract.
const (
	headerKey      = "Idempotency-Key"
	headerReplayed = "Idempotency-Replayed"
	headerVersion  = "API-Version"
)

// call is one request of a program, which passed all that the contract asks.
type call struct {
	*http.Request
	w     http.ResponseWriter
	op    *operation
	token desk.Token
	node  desk.Node // as the token may use it
	body  []byte
}

// answer is what an operation gives back: a value, or a file.
type answer struct {
	value  any
	file   []byte
	media  string // of a file
	header map[string]string
	sent   bool // it wrote the response itself
}

// act does an operation.
type act func(s *Site, c *call) (answer, error)

// ServeHTTP answers one request. Before anything else it refuses what a browser sends on
// behalf of a page: a name that is not ours (DNS rebinding), and any page at all. No page
// is a program of this API, so there is no origin to allow.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set(headerVersion, desk.APIVersion)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	site := r.Header.Get("Sec-Fetch-Site")
	switch {
	case !s.named(r.Host):
		s.refuse(w, r, errName)
	case r.Header.Get("Origin") != "" || site != "" && site != "none":
		s.refuse(w, r, errPage)
	case r.ContentLength > maxBody && !s.takesFile(r):
		s.refuse(w, r, errTooMuch)
	default:
		select {
		case s.running <- struct{}{}:
			defer func() { <-s.running }()
			s.mux.ServeHTTP(w, r)
		default:
			s.refuse(w, r, errBusy)
		}
	}
}

// takesFile reports whether a request may bring more than a message.
func (s *Site) takesFile(r *http.Request) bool {
	_, pattern := s.mux.Handler(r)
	return s.files[pattern]
}

// named reports whether a Host header is one of ours, with any port. On a unix socket a
// program says whatever its library says; "localhost" is what curl says.
func (s *Site) named(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	return slices.ContainsFunc(append([]string{"localhost", "127.0.0.1", "::1"}, s.Names...), func(n string) bool { return strings.EqualFold(n, name) })
}

// operation answers the requests of one operation.
func (s *Site) operation(op *operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTime)
		defer cancel()
		if op.long {
			ctx = r.Context()
		}
		if !op.takesFile {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		c := &call{Request: r.WithContext(ctx), w: w, op: op}
		if err := s.admit(c); err != nil {
			s.refuse(w, r, err)
			return
		}
		a, err := s.perform(c)
		switch {
		case err != nil:
			s.refuse(w, r, err)
		case !a.sent:
			s.reply(w, op.status, a)
		}
	}
}

// admit checks a request in the order in which it tells least: who asks, whether that
// token may, and only then what it says.
func (s *Site) admit(c *call) (err error) {
	if c.op.open {
		c.node = rights.As(s.Node, desk.User{})
		return nil
	}
	if c.token, err = s.Tokens.Holder(c.Context(), bearer(c.Request)); err != nil {
		return err
	}
	desk.Recognise(c.Context())
	user := c.token.User()
	c.node = rights.As(s.Node, user)
	if c.op.node != "" && !rights.May(user, c.op.node) {
		return fmt.Errorf("%w: %s needs the scope %s and a role that may", desk.ErrRight, c.op.id, rights.ScopeOf(c.op.node))
	}
	if err := c.check(); err != nil {
		return err
	}
	return s.note(c)
}

// bearer is the token of a request (RFC 6750, 2.1); "" where there is none.
func bearer(r *http.Request) string {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// check holds a request against the contract.
func (c *call) check() error {
	for name, values := range c.URL.Query() {
		if !c.op.knows(name) || len(values) != 1 {
			return fmt.Errorf("%w: query parameter %.40q is not known, or stands there twice", desk.ErrRequest, name)
		}
	}
	for _, p := range c.op.params {
		value, given := c.parameter(p)
		if !given && !p.required {
			continue
		}
		if !given {
			return missing(p)
		}
		if refusal := p.shape.Fits(p.value(value)); refusal != nil {
			return &misshapen{"the " + p.in + " parameter " + p.name, refusal}
		}
	}
	if c.op.takesFile {
		return c.fileBody()
	}
	if c.op.body == nil {
		return nil
	}
	if media, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return errMedia
	}
	var err error
	if c.body, err = io.ReadAll(c.Body); err != nil {
		return bodyError(err)
	}
	if refusal := c.op.body.Read(c.body, maxBody); refusal != nil {
		return &misshapen{"the body", refusal}
	}
	return nil
}

// bodyError says why a body could not be read.
func bodyError(err error) error {
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return errTooMuch
	}
	return fmt.Errorf("%w: the body ended early", desk.ErrRequest)
}

func missing(p parameter) error {
	switch p.name {
	case headerKey:
		return errNoKey
	case "If-Match":
		return errNoMatch
	}
	return fmt.Errorf("%w: %s is missing", desk.ErrRequest, p.name)
}

func (c *call) parameter(p parameter) (value string, given bool) {
	switch p.in {
	case "path":
		return c.PathValue(p.name), true
	case "query":
		return c.URL.Query().Get(p.name), c.URL.Query().Has(p.name)
	}
	values := c.Header.Values(p.name)
	if len(values) == 0 {
		return "", false
	}
	return strings.Join(values, ", "), true // as RFC 9110 joins them; a pattern refuses it
}

// value reads a parameter as its kind; what it is not stays text, which its shape refuses.
func (p parameter) value(text string) any {
	if _, err := strconv.Atoi(text); err == nil && p.kind == "integer" {
		return json.Number(text)
	}
	if p.kind == "boolean" && (text == "true" || text == "false") {
		return text == "true"
	}
	return text
}

// misshapen is a request that does not fit the contract.
type misshapen struct {
	what    string
	refusal *protocol.Refusal
}

func (m *misshapen) Error() string { return m.what + ": " + m.refusal.Reason.EN }

func (m *misshapen) Unwrap() error { return desk.ErrRequest }

// listEvery is how often the use of a list is noted: programs ask for lists all day, and
// what they then open is noted each time.
const listEvery = time.Hour

// note writes into the access log that a program uses its token for something of a case,
// before it sees anything.
func (s *Site) note(c *call) error {
	if c.op.noted == "" {
		return nil
	}
	subject := c.PathValue("message") + c.PathValue("case") + c.PathValue("draft") + c.PathValue("attachment")
	if subject == "" {
		subject = "all"
	}
	if c.op.noted == "list" && !s.fresh(c.token.ID+" "+c.op.id) {
		return nil
	}
	return s.Tokens.Used(c.Context(), c.token, c.op.id, subject)
}

func (s *Site) fresh(use string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	if last, ok := s.listed[use]; ok && now.Sub(last).Abs() < listEvery {
		return false
	}
	s.listed[use] = now
	return true
}

// decode reads a body that the contract has let through.
func decode[T any](c *call) (v T, err error) {
	d := json.NewDecoder(strings.NewReader(string(c.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, fmt.Errorf("%w: %w", desk.ErrRequest, err)
	}
	return v, nil
}
