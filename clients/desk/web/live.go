package web

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/rights"
	"schakel/clients/schakel"
)

func liveRoutes() []Route {
	return []Route{{Method: "GET", Path: "/live", Who: Users, Operation: "Subscribe", Still: true, serve: (*Site).follow}}
}

// maxStreams bounds the pages of one session that listen for news. A browser has six
// connections to a desk over HTTP/1.1, over all its windows: two are left for who works.
const (
	maxStreams = 4
	beat       = 15 * time.Second
)

// streams are what listens, per session, the oldest first.
type streams struct {
	mu  sync.Mutex // guards what follows
	per map[string][]chan struct{}
}

// enter adds one, whose channel is closed when a newer one needs its place: the page that
// was opened last is the one that somebody looks at.
func (s *streams) enter(token string) (replaced chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.per == nil {
		s.per = map[string][]chan struct{}{}
	}
	all := s.per[token]
	if len(all) >= maxStreams {
		close(all[0])
		all = all[1:]
	}
	replaced = make(chan struct{})
	s.per[token] = append(all, replaced)
	return replaced
}

func (s *streams) leave(token string, replaced chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.per[token] = slices.DeleteFunc(s.per[token], func(c chan struct{}) bool { return c == replaced })
	if len(s.per[token]) == 0 {
		delete(s.per, token)
	}
}

// past counts what the node told, by kind. A page says up to where it knows: what happens
// between its making and its stream would otherwise be news to nobody.
type past struct {
	mu     sync.Mutex // guards what follows
	events <-chan schakel.Event
	counts map[schakel.EventKind]int
}

// begin counts from now on, until end.
func (p *past) begin(node desk.Node) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts = map[schakel.EventKind]int{}
	p.events, end = node.Subscribe()
	return end
}

// mark is how much of what concerns a user was told by now: whatever the node told before is
// in it. It names no message, and counts nothing that would be no news to that user.
func (p *past) mark(v *visit) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for more := p.events != nil; more; {
		select {
		case e, open := <-p.events:
			if more = open; open {
				p.counts[e.Kind]++
			}
		default:
			more = false
		}
	}
	sum := 0
	for kind, n := range p.counts {
		if concerns(v, kind) {
			sum += n
		}
	}
	return strconv.Itoa(sum)
}

// missed reports whether there was news between the making of a page and now.
func (s *Site) missed(v *visit) bool {
	since := v.URL.Query().Get("since")
	return since != "" && since != s.past.mark(v)
}

// follow tells a page that there is news, as server-sent events (WHATWG HTML, 9.2), until
// the session locks: then it says so, and the page goes away. What the news is a page
// asks for like any other; nothing of it is in here. A page that shows a message names it,
// and hears besides how far its files are. A page whose place a newer one takes is told that
// too, and asks again once somebody looks at it.
func (s *Site) follow(v *visit) (answer, error) {
	replaced := s.live.enter(v.token)
	defer s.live.leave(v.token, replaced)
	events, cancel := v.node.Subscribe()
	defer cancel()
	v.w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(v.w)
	say := func(text string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := v.w.Write([]byte(text))
		return err == nil && out.Flush() == nil
	}
	files := transfers{site: s, v: v, message: v.URL.Query().Get("message")}
	ticks, still := files.ticks()
	defer still()
	ok := say(": schakel\n\n") && (!s.missed(v) || say("event: news\ndata: "+string(schakel.EventGap)+"\n\n")) && files.tick(say)
	for ok {
		wait := time.NewTimer(min(beat, max(s.Door.Remaining(v.token), time.Second)))
		select {
		case <-v.Context().Done():
			ok = false
		case <-s.Door.Over(v.token):
			say("event: locked\ndata: -\n\n")
			ok = false
		case <-replaced:
			say("event: elsewhere\ndata: -\n\n")
			ok = false
		case e, open := <-events:
			if e.Kind == schakel.EventRegister {
				s.look(v) // somebody may have been revoked
			}
			files.hears(e)
			ok = open && (!concerns(v, e.Kind) || say("event: news\ndata: "+string(e.Kind)+"\n\n"))
		case <-ticks:
			ok = files.tick(say)
		case <-wait.C:
			s.look(v)
			ok = say(":\n\n")
		}
		wait.Stop()
	}
	return answer{sent: true}, nil
}

// look looks whether the session is over its time, or its user gone: that closes Over,
// which the next turn of the loop sees.
func (s *Site) look(v *visit) { _, _ = s.Door.Visitor(v.Context(), v.token, false) }

// concerns are the kinds of events that are news on the pages of who reads cases; those
// of others show no more than alarms and the connection. That the register grew is news
// on none.
func concerns(v *visit, k schakel.EventKind) bool {
	switch k {
	case schakel.EventAlarm, schakel.EventConnection, schakel.EventGap:
		return true
	case schakel.EventDesk: // also a change of the rota
		return rights.May(v.user, "List") || rights.May(v.user, "Rota")
	case schakel.EventReceived, schakel.EventStatus, schakel.EventAcknowledged, schakel.EventRejected:
		return rights.May(v.user, "List")
	}
	return false
}
