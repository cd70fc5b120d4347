package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"schakel/clients/schakel"
)

// maxEvents is how many events are kept for who comes back. Events are hints to look at
// the lists: who was away longer gets a gap, and looks at all of them.
const maxEvents = 2048

// told is an event as the API tells it.
type told struct {
	ID string `json:"id"`
	schakel.Event
}

// feed keeps the last events in their order. A daemon that starts again has none, which
// its run says: a cursor of another run is a gap.
type feed struct {
	run string

	mu    sync.Mutex    // guards what follows
	last  uint64        // number of the newest event
	kept  []told        // the newest at the end
	fresh chan struct{} // closed at the next event
}

func newFeed() *feed {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return &feed{run: hex.EncodeToString(b[:]), fresh: make(chan struct{})}
}

// fill takes events until there are no more.
func (f *feed) fill(events <-chan schakel.Event) {
	for e := range events {
		f.add(e)
	}
}

func (f *feed) add(e schakel.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	if len(f.kept) == maxEvents {
		f.kept = append(f.kept[:0], f.kept[maxEvents/4:]...)
	}
	f.kept = append(f.kept, told{f.cursor(f.last), e})
	close(f.fresh)
	f.fresh = make(chan struct{})
}

func (f *feed) cursor(number uint64) string { return f.run + "-" + strconv.FormatUint(number, 10) }

// number reads a cursor. It accepts one spelling only.
func number(cursor string) (run string, n uint64, ok bool) {
	run, digits, found := strings.Cut(cursor, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	return run, n, found && err == nil && run+"-"+strconv.FormatUint(n, 10) == cursor
}

// now is the cursor of the newest event.
func (f *feed) now() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cursor(f.last)
}

// after returns what came after a cursor, the cursor to go on from, and what is closed at
// the next event. What is not kept any more is one event of kind gap.
func (f *feed) after(cursor string, at time.Time) (items []told, next string, fresh <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	run, n, ok := number(cursor)
	oldest := f.last - uint64(len(f.kept)) // the newest that is not kept
	if !ok || run != f.run || n > f.last || n < oldest {
		items = append(items, told{f.cursor(oldest), schakel.Event{Kind: schakel.EventGap, At: at.UTC().Truncate(time.Millisecond)}})
		n = oldest
	}
	items = append(items, f.kept[len(f.kept)-int(f.last-n):]...)
	return items, f.cursor(f.last), f.fresh
}

// listEvents answers with events as they come, or with what came after a cursor.
func listEvents(s *Site, c *call) (answer, error) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return answer{}, errBusy
	}
	after := c.URL.Query().Get("after")
	if after == "" {
		after = c.Header.Get("Last-Event-ID")
	}
	begins := after == ""
	if begins {
		after = s.feed.now()
	}
	if strings.Contains(c.Header.Get("Accept"), "text/event-stream") {
		s.stream(c, after)
		return answer{sent: true}, nil
	}
	wait, _ := strconv.Atoi(c.URL.Query().Get("wait")) // the contract bounds it
	ctx, cancel := context.WithTimeout(c.Context(), time.Duration(wait)*time.Second)
	defer cancel()
	items, next, fresh := s.feed.after(after, s.Now())
	if len(items) == 0 && wait > 0 {
		select {
		case <-ctx.Done():
		case <-fresh:
		}
		items, next, _ = s.feed.after(after, s.Now())
	}
	return answer{value: eventPage{append([]told{}, items...), next}}, nil
}

type eventPage struct {
	Items []told `json:"items"`
	Next  string `json:"next"`
}

const (
	beat      = 15 * time.Second
	writeTime = 10 * time.Second
)

// stream sends events until the program goes, the daemon ends or the token is good no
// more. A program that does not read is cut off: it comes back with its cursor.
func (s *Site) stream(c *call, after string) {
	c.w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(c.w)
	_ = out.SetReadDeadline(time.Time{})
	tick := time.NewTicker(beat)
	defer tick.Stop()
	lines := ": schakel\n\n"
	for {
		_ = out.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := c.w.Write([]byte(lines)); err != nil || out.Flush() != nil {
			return
		}
		items, next, fresh := s.feed.after(after, s.Now())
		if len(items) == 0 {
			select {
			case <-c.Context().Done():
				return
			case <-tick.C:
			case <-fresh:
			}
			items, next, _ = s.feed.after(after, s.Now())
		}
		if _, err := s.Tokens.Holder(c.Context(), bearer(c.Request)); err != nil {
			return
		}
		lines, after = eventLines(items), next
	}
}

// eventLines writes events as server-sent events (WHATWG HTML, 9.2).
func eventLines(items []told) string {
	if len(items) == 0 {
		return ":\n\n"
	}
	var b strings.Builder
	for _, e := range items {
		raw, _ := json.Marshal(e) // identifiers and a time
		b.WriteString("id: " + e.ID + "\nevent: " + string(e.Kind) + "\ndata: " + string(raw) + "\n\n")
	}
	return b.String()
}
