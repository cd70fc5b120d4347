package browser_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"schakel/clients/program"
)

// hands are one browser that sits at several desks: journey.mjs.
type hands struct {
	chromium string
	in       io.WriteCloser
	out      *bufio.Scanner
	mu       sync.Mutex // one order at a time
}

// order is one thing that somebody at a desk does.
type order struct {
	Chromium string         `json:"chromium"`
	Who      string         `json:"who,omitempty"`
	Do       string         `json:"do"`
	Hand     string         `json:"hand,omitempty"`
	Base     string         `json:"base,omitempty"`
	Options  map[string]any `json:"options,omitempty"`
	Path     string         `json:"path,omitempty"`
	Height   int            `json:"height,omitempty"`
	Many     int            `json:"many,omitempty"`
	Cut      bool           `json:"cut,omitempty"` // streams will be cut off
	At       string         `json:"at,omitempty"`
	Fields   []entry        `json:"fields,omitempty"`
}

// entry is what goes into one field of a page.
type entry struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// page is what somebody sees after an order.
type page struct {
	Error   string   `json:"error"`
	Path    string   `json:"path"`
	Lang    string   `json:"lang"`
	Heading string   `json:"heading"`
	Text    string   `json:"text"`
	Links   []string `json:"links"`
	Names   []string `json:"names"`   // of the fields
	Offered []string `json:"offered"` // desks that a message may go to
	Missing []string `json:"missing"` // fields that were to be filled in and are not there
	Wrong   []string `json:"wrong"`
}

func startHands(t *testing.T) *hands {
	t.Helper()
	h := &hands{chromium: chromium(t)}
	cmd := exec.Command("node", "journey.mjs") // which ends the browser with its input, and itself after that
	cmd.WaitDelay, cmd.Stderr = 10*time.Second, os.Stderr
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var err error
	h.in, err = cmd.StdinPipe()
	ok(t, err)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	h.out = bufio.NewScanner(out)
	h.out.Buffer(nil, 8<<20)
	ok(t, cmd.Start())
	t.Cleanup(func() {
		_ = h.in.Close()
		stuck := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Signal(os.Interrupt) })
		defer stuck.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the browser: %v", err)
		}
	})
	return h
}

func (h *hands) do(t *testing.T, o order) (p page) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	o.Chromium = h.chromium
	line, err := json.Marshal(o)
	ok(t, err)
	_, err = h.in.Write(append(line, '\n'))
	ok(t, err)
	if !h.out.Scan() {
		t.Fatalf("the browser is gone: %v", h.out.Err())
	}
	ok(t, json.Unmarshal(h.out.Bytes(), &p))
	if p.Error != "" {
		t.Fatalf("%s: %s %s: %s", o.Who, o.Do, o.At+o.Path, p.Error)
	}
	for _, w := range p.Wrong {
		t.Errorf("%s: %s %s: %s", o.Who, o.Do, o.At+o.Path, w)
	}
	return p
}

// seat is somebody at a desk with one pair of hands.
type seat struct {
	page
	t   *testing.T
	all *hands
	who string
}

func (s *seat) order(o order) {
	s.t.Helper()
	o.Who = s.who
	s.page = s.all.do(s.t, o)
}

// use presses a link or a button that leads to a page.
func (s *seat) use(at string) {
	s.t.Helper()
	s.order(order{Do: "use", At: at})
}

// fill fills in fields; all of them must be there.
func (s *seat) fill(fields ...entry) {
	s.t.Helper()
	if missing := s.try(fields); len(missing) > 0 {
		s.t.Fatalf("%s: no fields %v at %s", s.who, missing, s.Path)
	}
}

// try fills in the fields that are there, and returns the names of those that are not.
func (s *seat) try(fields []entry) []string {
	s.t.Helper()
	s.order(order{Do: "fill", Fields: fields})
	return s.Missing
}

// at demands that somebody came to a page.
func (s *seat) at(path string) {
	s.t.Helper()
	if got, _, _ := strings.Cut(s.Path, "?"); got != path {
		s.t.Fatalf("%s is at %s, not at %s:\n%s", s.who, s.Path, path, s.Text)
	}
}

// sees demands words on the page.
func (s *seat) sees(words ...string) {
	s.t.Helper()
	plain := func(x string) string { return strings.Join(strings.Fields(x), " ") }
	for _, w := range words {
		if !strings.Contains(plain(s.Heading+" "+s.Text), plain(w)) {
			s.t.Fatalf("%s does not see %q at %s:\n%s", s.who, w, s.Path, s.Text)
		}
	}
}

// until looks at a page again, by a link, until it is so.
func (s *seat) until(what, at string, yes func() bool) {
	s.t.Helper()
	err := program.Until(s.t.Context(), what, 5*time.Minute, func() (bool, error) {
		s.use(at)
		return yes(), nil
	})
	if err != nil {
		s.t.Fatalf("%s: %v; at %s:\n%s", s.who, err, s.Path, s.Text)
	}
}

// has reports whether the page links to a path.
func (s *seat) has(path string) bool { return slices.Contains(s.Links, path) }
