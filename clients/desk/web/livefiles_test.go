package web_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// told is what a stream tells of a file.
type told struct {
	Place                 int
	State, Progress       string
	Percent               int
	Here, Pause, Resume   bool
	Name, FileName, Title string // never in it
}

// ear listens to the stream of a page that shows a message.
type ear struct {
	t     *testing.T
	lines *bufio.Scanner
	raw   strings.Builder
}

func listens(t *testing.T, b *webtest.Browser, base, message string) *ear {
	t.Helper()
	resp, err := b.Do(request(t, http.MethodGet, base+"/live?message="+url.QueryEscape(message), ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return &ear{t: t, lines: bufio.NewScanner(resp.Body)}
}

// until reads on until what is told of the files is so.
func (e *ear) until(what string, yes func([]told) bool) {
	e.t.Helper()
	for e.lines.Scan() {
		e.raw.WriteString(e.lines.Text() + "\n")
		var files []told
		data, is := strings.CutPrefix(e.lines.Text(), "data: [")
		if is && json.Unmarshal([]byte("["+data), &files) == nil && yes(files) {
			return
		}
	}
	e.t.Fatalf("the stream ended before %s: %v\n%s", what, e.lines.Err(), e.raw.String())
}

// line reads on until one line is there.
func (e *ear) line(want string) {
	e.t.Helper()
	for e.lines.Scan() {
		e.raw.WriteString(e.lines.Text() + "\n")
		if e.lines.Text() == want {
			return
		}
	}
	e.t.Fatalf("the stream ended before %q: %v\n%s", want, e.lines.Err(), e.raw.String())
}

func percent(from, below int) func([]told) bool {
	return func(f []told) bool { return len(f) == 1 && f[0].Percent >= from && f[0].Percent < below }
}

func inState(want string) func([]told) bool {
	return func(f []told) bool { return len(f) == 1 && f[0].State == want }
}

// TestFilesMoveOnTheirPage: a page that shows a message hears how far its files are, over a
// relay that stops and comes back, a pause and going on; and nothing of other messages, nor
// what any file is called.
func TestFilesMoveOnTheirPage(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	ferry := o.Chain.Ferry(1)
	hash := withFile(t, o, "geheim-een.pdf", pdf(9<<20))
	b := o.User("P. Iket", desk.RoleCaseWorker)
	e := listens(t, b, o.Base, hash)
	e.until("it waits", inState("Wacht tot het komt"))
	ferry.Let(2 + 3 + 1) // the rest of three parts to the relay, which reads them back, and one of them here
	e.until("some of it is here", percent(20, 100))
	other := withFile(t, o, "geheim-twee.pdf", pdf(5<<20))
	o.Chain.StopRelay()
	e.until("the relay is away", func(f []told) bool { return strings.Contains(f[0].Progress, "geen verbinding") })
	move := func(act string) {
		t.Helper()
		if a := b.Post("/messages/"+hash+"/attachments/1/transfer", url.Values{"act": {act}}); a.Status != http.StatusSeeOther {
			t.Fatalf("%s: %d\n%s", act, a.Status, a.Body)
		}
	}
	move("pause")
	e.until("it rests", func(f []told) bool { return f[0].State == "Gepauzeerd" && f[0].Resume && !f[0].Pause })
	o.Chain.StartRelay()
	move("resume")
	ferry.Open()
	e.until("it is here", func(f []told) bool { return f[0].State == "Hier" && f[0].Here && f[0].Percent == -1 })
	o.Until("the other file is here", func() bool {
		all, err := o.Member.Node.Attachments(t.Context(), other)
		return err == nil && all[0].State == schakel.AttachmentHere
	})
	b.Post("/lock", nil)
	e.line("event: locked")
	for _, word := range []string{"geheim", hash, other, "pdf"} {
		if strings.Contains(e.raw.String(), word) {
			t.Errorf("the stream says %q:\n%s", word, e.raw.String())
		}
	}
}

// TestOnlyWhoMayReadHearsOfFiles: of a message that is not theirs to read, and of a
// restricted case, a stream tells nothing of the files.
func TestOnlyWhoMayReadHearsOfFiles(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := withFile(t, o, "een.pdf", pdf(9<<10))
	reader := o.User("P. Iket", desk.RoleCaseWorker)
	all := func(f []told) bool { return true }
	listens(t, reader, o.Base, hash).until("control: who may read hears of it", all)
	quiet := func(e *ear, news func()) {
		t.Helper()
		e.line(": schakel") // behind it comes what the stream begins with
		news()
		e.line("event: news")
		if strings.Contains(e.raw.String(), "event: files") {
			t.Errorf("the stream tells of files:\n%s", e.raw.String())
		}
	}
	report := func() { o.Report(nil) }
	quiet(listens(t, reader, o.Base, strings.Repeat("0", 64)), report)
	officer := listens(t, o.User("F. Unctie", desk.RoleOfficer), o.Base, hash)
	quiet(officer, func() { o.Rota(func(s *roster.Sheet) { s.Layers[0].Rules[0].To = "2026-01-11T08:00" }) }) // a gap: an alarm
	other := o.Member.AddPerson("A. Nnie")
	by := schakel.By{Person: o.Person.Name, PIN: schakeltest.PIN, Glass: "zes woorden in de kluis van het bureau"}
	o.Until("the case can be restricted", func() bool {
		_, err := o.Member.Node.Restrict(t.Context(), hash, []string{o.Person.Name, other.Name}, by)
		return err == nil
	})
	quiet(listens(t, reader, o.Base, hash), report)
}
