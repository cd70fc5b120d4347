package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"schakel/clients/desk/once"
	"schakel/clients/schakel"
)

// perform does what a request asks: once, where it came with a key.
func (s *Site) perform(c *call) (answer, error) {
	key := c.Header.Get(headerKey)
	if !c.op.keyed || key == "" {
		return s.attempt(c)
	}
	print, err := printOf(c)
	if err != nil {
		return answer{}, err
	}
	k := once.KeyOf(c.token.ID, key)
	given, err := s.Answers.Begin(c.Context(), k, print)
	if err != nil {
		return answer{}, err
	}
	if given != nil {
		return again(given), nil
	}
	return s.first(c, k, print)
}

// first does a request, and keeps its answer. It goes on when the program hangs up: what
// was begun ends in an answer that can be asked for again.
func (s *Site) first(c *call, k once.Key, print once.Print) (answer, error) {
	ended := false
	defer func() {
		if !ended { // it panicked
			s.Answers.Lost(k)
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), answerTime)
	defer cancel()
	c.Request = c.WithContext(ctx)
	a, err := s.attempt(c)
	ended = true
	switch {
	case err != nil && problemOf(err, true).Status < http.StatusInternalServerError, errors.Is(err, schakel.ErrUnreachable), errors.Is(err, schakel.ErrNoKeys):
		return a, errors.Join(err, s.Answers.Undo(ctx, k)) // refused, so nothing happened
	case err != nil:
		s.Answers.Lost(k)
		return a, err
	}
	kept := once.Answer{Status: c.op.status, Header: a.header}
	if a.value != nil {
		if kept.Body, err = json.Marshal(a.value); err != nil {
			s.Answers.Lost(k)
			return a, err
		}
	}
	// What was done was done, also where its answer cannot be kept: a repetition is then
	// told that nobody knows.
	if err := s.Answers.Done(ctx, k, print, kept); err != nil {
		s.Log.Warn("answer not kept", "err", err)
	}
	return a, nil
}

func again(given *once.Answer) answer {
	a := answer{header: map[string]string{headerReplayed: "true"}}
	for name, value := range given.Header {
		a.header[name] = value
	}
	if len(given.Body) > 0 {
		a.value = json.RawMessage(given.Body)
	}
	return a
}

// printOf tells one request from another without its PINs: a hash of a PIN that lies on a
// disk is a PIN to whoever counts to a million. So a request that is repeated with the
// right PIN is the same one.
func printOf(c *call) (once.Print, error) {
	plain := []byte(c.Method + " " + c.URL.RequestURI() + "\n")
	if c.op.body != nil {
		v, _, err := withoutSecrets(c.body)
		if err != nil {
			return once.Print{}, err
		}
		b, err := json.Marshal(v) // keys sorted
		if err != nil {
			return once.Print{}, err
		}
		plain = append(plain, b...)
	}
	return sha256.Sum256(plain), nil
}

// withoutSecrets reads a body without its PINs and passphrases, and says whether it had any.
func withoutSecrets(body []byte) (v any, had bool, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, false, err
	}
	return v, strip(v), nil
}

func strip(v any) (had bool) {
	switch v := v.(type) {
	case []any:
		for _, inner := range v {
			had = strip(inner) || had
		}
	case map[string]any:
		for _, name := range []string{"pin", "glass"} {
			had = had || v[name] != nil && v[name] != ""
			delete(v, name)
		}
		for _, inner := range v {
			had = strip(inner) || had
		}
	}
	return had
}

// attempt does what a request asks, unless its token tried too many PINs. One that says a
// PIN costs a try before the PIN is looked at, and gets it back where that was right.
func (s *Site) attempt(c *call) (a answer, err error) {
	tries := false
	if c.op.body != nil {
		if _, tries, err = withoutSecrets(c.body); err != nil {
			return answer{}, err
		}
	}
	if err := s.pins.begin(c.token.ID, tries); err != nil {
		return answer{}, err
	}
	defer func() {
		s.pins.end(c.token.ID, tries, errors.Is(err, schakel.ErrPIN) || errors.Is(err, schakel.ErrGlass))
	}()
	return c.op.do(s, c)
}

// Of wrong PINs: so many within a time close a token for that time. A program that tries a
// million of them needs more than a hundred years.
const (
	maxWrong  = 5
	wrongTime = 15 * time.Minute

	maxWrongDaily = 20
)

// tries counts PINs by token: the wrong ones, and those that are being looked at. Without
// the second, whoever sends many at once has them all.
type tries struct {
	now func() time.Time

	mu      sync.Mutex
	all     map[string][]time.Time
	running map[string]int
}

// within are the wrong ones of a time until now.
func (t *tries) within(id string, d time.Duration) (out []time.Time) {
	for _, at := range t.all[id] {
		if t.now().Sub(at).Abs() < d {
			out = append(out, at)
		}
	}
	return out
}

// begin refuses who has no try left, and for now who would have none if all that run are
// wrong.
func (t *tries) begin(id string, tries bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := min(maxWrong-len(t.within(id, wrongTime)), maxWrongDaily-len(t.within(id, 24*time.Hour)))
	switch {
	case left <= 0:
		return errTries
	case tries && t.running[id] >= left:
		return errBusy
	case tries:
		t.running[id]++
	}
	return nil
}

func (t *tries) end(id string, tries, wrong bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tries {
		t.running[id]--
	}
	if wrong {
		t.all[id] = append(t.within(id, 24*time.Hour), t.now())
	}
}
