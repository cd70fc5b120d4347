package web

import (
	"crypto/rand"
	"crypto/sha256"
	"net/url"
	"sync"
	"time"

	"schakel/clients/roster"
)

// outcomes keep what came of a form for the page after it, which says so: what may be
// seen once by who did it, such as a link, or is written down nowhere else. They lie in
// memory, and are forgotten after a while, or when there are many.
type outcomes struct {
	mu  sync.Mutex // guards what follows
	all []outcome  // the oldest first
}

type outcome struct {
	session [sha256.Size]byte // hash of its token
	id      string
	until   time.Time
	what    any
}

const (
	outcomeLife = 10 * time.Minute
	maxOutcomes = 256
)

// after leads on to a page that says what came of a form.
func (s *Site) after(v *visit, path string, what any) answer {
	o := outcome{session: sha256.Sum256([]byte(v.token)), id: rand.Text(), until: s.Now().Add(outcomeLife), what: what}
	s.told.mu.Lock()
	defer s.told.mu.Unlock()
	s.told.all = append(s.told.all, o)
	s.told.all = s.told.all[max(0, len(s.told.all)-maxOutcomes):]
	return answer{goTo: path + "?" + url.Values{"done": {o.id}}.Encode()}
}

// outcome is what came of a form that led to this page, for the same session only; nil
// where nothing did, or where it was too long ago.
func (s *Site) outcome(v *visit) any {
	id := v.URL.Query().Get("done")
	s.told.mu.Lock()
	defer s.told.mu.Unlock()
	for _, o := range s.told.all {
		if id != "" && o.id == id && o.session == sha256.Sum256([]byte(v.token)) && s.Now().Before(o.until) {
			return o.what
		}
	}
	return nil
}

// done says that something was done, in the words of done.WHAT.
type done struct {
	What   string
	Import *roster.Import // of a calendar: what was taken in, and what was not
}

// done is what was done before this page; nil where nothing was.
func (s *Site) done(v *visit) *done {
	if d, ok := s.outcome(v).(done); ok {
		return &d
	}
	return nil
}
