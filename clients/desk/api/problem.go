package api

import (
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"schakel/clients/desk"
	"schakel/clients/desk/once"
	"schakel/clients/desk/token"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
)

// Refusals of the API itself.
var (
	errToken   = token.ErrToken
	errNoPath  = errors.New("no such path, or not this method")
	errName    = errors.New("this desk is not known under that name")
	errPage    = errors.New("a page in a browser asks")
	errTooMuch = errors.New("the body is too large")
	errMedia   = errors.New("the body is not JSON")
	errBusy    = errors.New("too many requests at once")
	errTries   = errors.New("too many wrong PINs")
	errNoKey   = errors.New("a request that sends something needs an Idempotency-Key")
	errNoMatch = errors.New("say which version was edited, in If-Match")
	errMatch   = errors.New("somebody changed it since")
	errCursor  = errors.New("this cursor is not of this list and token")
)

// own are the refusals of the API beside those of the service, with their codes. Codes are
// part of the contract: add, never rename. The words stand in remedies.csv.
func own() []struct {
	err    error
	code   string
	status int
} {
	return []struct {
		err    error
		code   string
		status int
	}{
		{errToken, "token", http.StatusUnauthorized},
		{errNoPath, "no-path", http.StatusNotFound},
		{errName, "name", http.StatusMisdirectedRequest},
		{errPage, "page", http.StatusForbidden},
		{errTooMuch, "body-too-large", http.StatusRequestEntityTooLarge},
		{errMedia, "media-type", http.StatusUnsupportedMediaType},
		{errBusy, "busy", http.StatusTooManyRequests},
		{errTries, "wrong-pins", http.StatusTooManyRequests},
		{errNoKey, "key-missing", http.StatusBadRequest},
		{errNoMatch, "match-missing", http.StatusPreconditionRequired},
		{errMatch, "changed", http.StatusPreconditionFailed},
		{errCursor, "cursor", http.StatusBadRequest},
		{once.ErrOther, "key-other", http.StatusUnprocessableEntity},
		{once.ErrRunning, "key-running", http.StatusConflict},
		{once.ErrUnknown, "key-unknown", http.StatusConflict},
		{once.ErrFull, "keys-full", http.StatusTooManyRequests},
	}
}

// problem is RFC 9457 as the contract has it.
type problem struct {
	Status int     `json:"status"`
	Title  string  `json:"title"`
	Detail string  `json:"detail"`
	Code   string  `json:"code"`
	Remedy string  `json:"remedy,omitempty"`
	Rule   string  `json:"rule,omitempty"`
	Faults []fault `json:"faults,omitempty"`
}

type fault struct {
	At     string `json:"at"`
	Reason string `json:"reason"`
}

//go:embed remedies.csv
var remedyFile string

// words are what is said of a code: its title, where the service has none, and what to do.
type words struct{ title, remedy protocol.Text }

// sayings reads remedies.csv: code, title nl, title en, remedy nl, remedy en.
var sayings = sync.OnceValue(func() map[string]words {
	r := csv.NewReader(strings.NewReader(remedyFile))
	r.Comma = '|'
	r.FieldsPerRecord = 5
	rows, err := r.ReadAll()
	if err != nil {
		panic("remedies.csv: " + err.Error()) // it is built in, and a test reads it
	}
	out := map[string]words{}
	for _, row := range rows {
		out[row[0]] = words{protocol.Text{NL: row[1], EN: row[2]}, protocol.Text{NL: row[3], EN: row[4]}}
	}
	return out
})

// problemOf says what an error means to a program and to the person behind it.
func problemOf(err error, english bool) problem {
	p := problem{Detail: err.Error()}
	title := protocol.Text{}
	for _, o := range own() {
		if errors.Is(err, o.err) {
			p.Status, p.Code = o.status, o.code
			break
		}
	}
	if p.Code == "" {
		of := desk.ProblemOf(err)
		p.Status, p.Code, title = of.Status, of.Code, protocol.Text{NL: of.Titel, EN: of.Title}
	}
	said := sayings()[p.Code]
	if said.title.NL != "" {
		title = said.title
	}
	p.Title, p.Remedy = in(title, english), in(said.remedy, english)
	if p.Status == http.StatusInternalServerError {
		p.Detail = "see the log of the daemon" // what failed inside is for its owner
	}
	var rule *protocol.Refusal
	shape := new(misshapen)
	switch {
	case errors.As(err, &shape):
		p.faults(shape.refusal, english)
	case errors.As(err, &rule):
		p.Rule, p.Remedy, p.Detail = rule.Rule, in(rule.Remedy, english), in(rule.Reason, english)
		p.faults(rule, english)
	}
	return p
}

func (p *problem) faults(r *protocol.Refusal, english bool) {
	for _, f := range r.Faults {
		p.Faults = append(p.Faults, fault{f.At, in(f.Reason, english)})
	}
}

func in(t protocol.Text, english bool) string {
	if english {
		return t.EN
	}
	return t.NL
}

// english reports whether a program asks for English before Dutch.
func english(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		switch lang, _, _ := strings.Cut(strings.ToLower(tag), "-"); lang {
		case "en":
			return true
		case "nl":
			return false
		}
	}
	return false
}

// refuse sends a problem. Everything about a bad token looks alike.
func (s *Site) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, schakel.ErrDraftVersions) || errors.Is(err, schakel.ErrRotaChanged) {
		err = errMatch
	}
	p := problemOf(err, english(r))
	h := w.Header()
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", "5")
		if errors.Is(err, errTries) {
			h.Set("Retry-After", strconv.Itoa(int(wrongTime.Seconds())))
		}
	case http.StatusInternalServerError:
		s.Log.Warn("API failed", "err", err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		b = []byte("{}")
	}
	h.Set("Content-Language", map[bool]string{false: "nl", true: "en"}[english(r)])
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(b) // the caller is gone: nobody to tell
}

// reply sends what an operation gave.
func (s *Site) reply(w http.ResponseWriter, status int, a answer) {
	h := w.Header()
	for name, value := range a.header {
		h.Set(name, value)
	}
	if a.value == nil && a.file == nil {
		w.WriteHeader(status)
		return
	}
	if a.file == nil {
		var err error
		if a.file, err = json.Marshal(a.value); err != nil {
			s.Log.Warn("API failed", "err", err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		a.media = "application/json"
	}
	h.Set("Content-Type", a.media)
	w.WriteHeader(status)
	_, _ = w.Write(a.file) // the caller is gone: nobody to tell
}
