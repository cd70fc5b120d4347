package web_test

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// leaves are the kinds of everything that the desk answers, and none of them is a table: a
// text of a partner that begins with = + - or @ is a formula nowhere.
var leaves = []string{"text/html", "text/plain", "text/calendar", "application/zip", "application/octet-stream", "application/json", "application/toml", "text/css", "text/javascript", "image/svg+xml"}

// fileNames hold a number at most: nothing that a partner or a colleague wrote.
var fileNames = regexp.MustCompile(`^([a-z]+(-[a-z]+)*\.(ics|txt|toml)|zaak-[0-9a-f-]{36}\.zip)$`)

// TestNothingLeavesAsATable asks for every address, and for the files of a case and a rota.
func TestNothingLeavesAsATable(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	o.Rota(nil)
	b := o.User(o.Person.Name, desk.Roles()...)
	files := 0
	look := func(where string, a webtest.Reply) {
		t.Helper()
		kind, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
		if a.Status == http.StatusOK && (err != nil || !slices.Contains(leaves, kind)) {
			t.Errorf("%s leaves as %q: %v", where, kind, err)
		}
		disposition, names, err := mime.ParseMediaType(a.Header.Get("Content-Disposition"))
		if a.Header.Get("Content-Disposition") == "" {
			if a.Status == http.StatusOK && !slices.Contains([]string{"text/html", "text/css", "text/javascript", "image/svg+xml", "application/json"}, kind) {
				t.Errorf("%s: %s is shown, and no download", where, kind)
			}
			return
		}
		files++
		if err != nil || disposition != "attachment" || !fileNames.MatchString(names["filename"]) {
			t.Errorf("%s is a file %q %q: %v", where, disposition, names, err)
		}
	}
	for _, r := range web.Routes() {
		if r.Method == http.MethodGet && r.Path != "/live" { // a stream has no end
			look(r.Path, b.Get(strings.NewReplacer("{ref}", hash, "{link}", "x", "{$}", "", "{class}", "melding", "{id}", "x").Replace(r.Path)))
		}
	}
	look("own shifts", b.Get("/on-call/calendar.ics?of=me"))
	look("the file of a case", b.Post("/cases/"+caseOf(t, o, hash)+"/export", url.Values{"pin": {schakeltest.PIN}}))
	if files < 4 {
		t.Errorf("control: %d files", files)
	}
}

// poisoned is a node of which every text is an attack: of a partner's register entry, of a
// colleague, of a device that keeps a log, of the relay.
type poisoned struct {
	desk.Node
	evil string
}

// poison puts the attack behind every text of v.
func poison[T any](evil string, v T, err error) (T, error) {
	spread(reflect.ValueOf(&v).Elem(), evil)
	return v, err
}

func spread(v reflect.Value, evil string) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() && v.Type() != reflect.TypeFor[message.Urgency]() { // four words, and nothing else is a message
			v.SetString(v.String() + evil)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			spread(v.Field(i), evil)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			spread(v.Elem(), evil)
		}
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			spread(v.Index(i), evil)
		}
	}
}

func (n *poisoned) Directory(ctx context.Context) ([]schakel.Desk, error) {
	all, err := n.Node.Directory(ctx)
	for i := range all {
		id := all[i].ID // the register has it, and its form is checked there
		all[i], _ = poison(n.evil, all[i], nil)
		all[i].ID = id
	}
	return append(all, schakel.Desk{ID: identity.DeskID(n.evil), Org: n.evil, Role: identity.Role(n.evil), Region: n.evil, Telephone: n.evil}), err
}

func (n *poisoned) Devices(ctx context.Context) ([]schakel.Device, error) {
	all, err := n.Node.Devices(ctx)
	return poison(n.evil, all, err)
}

func (n *poisoned) Alarms(context.Context) ([]schakel.Alarm, error) {
	return poison(n.evil, []schakel.Alarm{{Kind: "sleutel-nieuw", Subject: "arts/praktijk"}, {Kind: "klok"}, {Kind: ""}}, nil)
}

func (n *poisoned) Status(ctx context.Context) (schakel.Status, error) {
	s, err := n.Node.Status(ctx)
	return poison(n.evil, s, err)
}

func (n *poisoned) List(ctx context.Context, f schakel.Filter) ([]schakel.Summary, error) {
	all, err := n.Node.List(ctx, f)
	return poison(n.evil, all, err)
}

func (n *poisoned) ReadAs(ctx context.Context, ref string, by schakel.By) (schakel.Letter, error) {
	l, err := n.Node.ReadAs(ctx, ref, by)
	hash := l.Hash // what the access log is told
	l, err = poison(n.evil, l, err)
	l.Hash, l.Body = hash, hostileJSON(n.evil)
	return l, err
}

func (n *poisoned) Search(context.Context, schakel.Search) (schakel.Hits, error) {
	return poison(n.evil, schakel.Hits{Hits: []schakel.Hit{{}, {}}}, nil)
}

func (n *poisoned) Cases(ctx context.Context, p schakel.Paging) ([]schakel.CaseSummary, error) {
	all, err := n.Node.Cases(ctx, p)
	return poison(n.evil, all, err)
}

func (n *poisoned) Worksheet(ctx context.Context, ref string, by ...schakel.By) (schakel.Worksheet, error) {
	w, err := n.Node.Worksheet(ctx, ref, by...)
	kase := w.Assignment.Case // an identifier of this device's own
	w.Notes = append(w.Notes, schakel.Note{At: time.Now()})
	w, err = poison(n.evil, w, err)
	w.Assignment.Case = kase
	return w, err
}

func (n *poisoned) Drafts(ctx context.Context, ref string, by ...schakel.By) ([]schakel.SavedDraft, error) {
	all, err := n.Node.Drafts(ctx, ref, by...)
	return poison(n.evil, append(all, schakel.SavedDraft{}), err)
}

func (n *poisoned) Log(context.Context, string) (schakel.AccessLog, error) {
	return poison(n.evil, schakel.AccessLog{Lines: []schakel.LogLine{{At: time.Now()}}, Devices: []schakel.LogState{{}}}, nil)
}

func (n *poisoned) OnCall(ctx context.Context, at time.Time) (schakel.OnCall, error) {
	c, err := n.Node.OnCall(ctx, at)
	return poison(n.evil, c, err)
}

func (n *poisoned) Rota(ctx context.Context) (schakel.Rota, error) {
	r, err := n.Node.Rota(ctx)
	for i := range r.Roster.People {
		r.Roster.People[i].Name += n.evil
		r.Roster.People[i].Phone += n.evil
	}
	r.Also = append(r.Also, n.evil)
	return r, err
}

func (n *poisoned) PageLog(context.Context, int) ([]schakel.Page, error) {
	return poison(n.evil, []schakel.Page{{At: time.Now()}}, nil)
}

func (n *poisoned) RelayPages(context.Context) ([]schakel.Page, error) {
	return poison(n.evil, []schakel.Page{{At: time.Now()}}, nil)
}

func (n *poisoned) Drills(context.Context) ([]schakel.Drill, error) {
	return poison(n.evil, []schakel.Drill{{}}, nil)
}

func (n *poisoned) Readiness(ctx context.Context) ([]schakel.Readiness, error) {
	all, err := n.Node.Readiness(ctx)
	return poison(n.evil, all, err)
}

// TestHostileTextsStayInert: whatever stands in the register, in a message, in what
// colleagues and devices keep, or in what the relay says, every page is itself, whole.
func TestHostileTextsStayInert(t *testing.T) {
	n := &poisoned{evil: hostile}
	o := webtest.Open(t, webtest.Options{Node: func(real desk.Node) desk.Node { n.Node = real; return n }})
	hash := o.Report(nil)
	o.Rota(nil)
	b := o.User(o.Person.Name, desk.Roles()...)
	fill := strings.NewReplacer("{ref}", hash, "{link}", "x", "{$}", "", "{class}", "contactverzoek", "{id}", "arts/praktijk").Replace
	long := []string{"/inbox", "/messages/{ref}", "/cases/{ref}", "/directory", "/alarms"}
	for _, evil := range []string{hostile, hostile + strings.Repeat("zonderspatie", 1<<12)} {
		n.evil = evil
		shown := 0
		for _, r := range web.Routes() {
			switch {
			case r.Method != http.MethodGet, r.Path == "/live": // a stream has no end
				continue
			case r.Path == "/on-call/rota/sheet": // a text to change, as it is; the rota refuses such names
				continue
			case evil != hostile && !slices.Contains(long, r.Path):
				continue
			}
			page := b.Get(fill(r.Path))
			if page.Status >= http.StatusInternalServerError {
				t.Errorf("%s: %d", r.Path, page.Status)
			}
			if !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || page.Status == http.StatusSeeOther {
				continue
			}
			wrong := illFormed(page.Body)
			for _, acts := range []string{"<script>alert", "<img", "\u202e", "\x1b", "onload='x"} {
				if i := strings.Index(page.Body, acts); i >= 0 {
					wrong = append(wrong, fmt.Sprintf("%q in ...%s", acts, page.Body[max(0, i-100):i+len(acts)]))
				}
			}
			for _, w := range wrong {
				t.Errorf("%s: %s", r.Path, w)
			}
			if strings.Contains(page.Body, "&lt;script&gt;") {
				shown++
			}
			if !strings.HasSuffix(strings.TrimSpace(page.Body), "</html>") {
				t.Errorf("%s is cut off", r.Path)
			}
		}
		if shown < 15 && evil == hostile || shown < len(long) {
			t.Errorf("control: %d pages show a hostile text", shown)
		}
	}
}

// failing is a node on a full disk.
type failing struct{ desk.Node }

func (failing) Acknowledge(context.Context, string, schakel.Acknowledgement) (schakel.Sent, error) {
	return schakel.Sent{}, errors.New("no space left on device")
}

func (failing) Assign(context.Context, string, string, schakel.By) (schakel.Assignment, error) {
	return schakel.Assignment{}, errors.New("no space left on device")
}

// TestNothingTypedIsLostWhereThisDeskFails: a form whose answer could not be kept comes back
// with what was typed, and says that nothing was done.
func TestNothingTypedIsLostWhereThisDeskFails(t *testing.T) {
	o := webtest.Open(t, webtest.Options{Node: func(n desk.Node) desk.Node { return failing{n} }})
	hash := o.Report(nil)
	b := o.User(o.Person.Name, desk.RoleCaseWorker)
	page := b.Post("/messages/"+hash+"/acknowledgement", url.Values{"pin": {schakeltest.PIN}, "status": {"in-behandeling"}, "first-action": {"Meldkamer gebeld om drie uur"}})
	contains(t, page, "Er is niets verstuurd", "Meldkamer gebeld om drie uur")
	if page.Status != http.StatusInternalServerError || strings.Contains(page.Body, "no space left") || strings.Contains(page.Body, schakeltest.PIN) {
		t.Errorf("%d, and it tells what is inside:\n%s", page.Status, page.Body)
	}
	page = b.Post("/cases/"+caseOf(t, o, hash)+"/assignment", url.Values{"pin": {schakeltest.PIN}, "person": {"-"}})
	contains(t, page, `value="-" checked`)
}
