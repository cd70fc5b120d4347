package web

import (
	"encoding/json"
	"time"

	"schakel/clients/desk/rights"
	"schakel/clients/schakel"
)

// glance is how often a page hears how far the files of its message are, while they move.
const glance = time.Second

// movement is how far one file is, in the words of its page. What the file is called is not
// in it: the page says that already, and who reads the stream needs no more.
type movement struct {
	Place    int    `json:"place"`
	State    string `json:"state"`
	Progress string `json:"progress,omitempty"`
	Percent  int    `json:"percent"` // -1: nothing moves
	Remedy   string `json:"remedy,omitempty"`
	Bad      bool   `json:"bad,omitempty"`
	Here     bool   `json:"here,omitempty"`
	Fetch    bool   `json:"fetch,omitempty"`
	Pause    bool   `json:"pause,omitempty"`
	Resume   bool   `json:"resume,omitempty"`
}

// transfers tell a page that shows one message how far its files are, and nothing of any
// other message.
type transfers struct {
	site    *Site
	v       *visit
	message string // empty: the page shows none with files
	told    string
	settled bool // nothing moves by itself: a look at each beat will do
	looked  time.Time
}

// ticks come while there is something to tell.
func (f *transfers) ticks() (<-chan time.Time, func()) {
	if f.message == "" {
		return nil, func() {}
	}
	t := time.NewTicker(glance)
	return t.C, t.Stop
}

// tick tells what changed since the page was told, if anything did. It reports whether the
// page is still there.
func (f *transfers) tick(say func(string) bool) bool {
	if f.message == "" || f.settled && time.Since(f.looked) < beat {
		return true
	}
	// As the user is now, not as when the page was opened: who was removed, or has another role
	// since, hears no more.
	user, err := f.site.Door.Visitor(f.v.Context(), f.v.token, false)
	if err != nil {
		return true // what ends the stream says so
	}
	f.looked = time.Now()
	all, err := rights.As(f.site.Node, user).Attachments(f.v.Context(), f.message)
	if err != nil { // not theirs to see, or only with the PIN: the page says how far they were
		f.settled = true
		return true
	}
	f.settled = true
	moves := []movement{}
	for _, a := range all {
		moves = append(moves, f.v.lang.movement(a))
		f.settled = f.settled && a.State != schakel.AttachmentWaiting && a.State != schakel.AttachmentMoving
	}
	line, err := json.Marshal(moves)
	if err != nil || string(line) == f.told {
		return true
	}
	f.told = string(line)
	return say("event: files\ndata: " + f.told + "\n\n")
}

// hears has the next tick look again where an event is about the message.
func (f *transfers) hears(e schakel.Event) {
	if e.Message == f.message || e.Kind == schakel.EventGap || e.Kind == schakel.EventConnection {
		f.settled = false
	}
}

func (l language) movement(a schakel.Attachment) movement {
	r := l.attachmentRow(a)
	return movement{Place: r.Place, State: r.State, Progress: r.Progress, Percent: r.Percent, Remedy: r.Remedy, Bad: r.Bad,
		Here: r.Here, Fetch: r.Fetch, Pause: r.Pause, Resume: r.Resume}
}
