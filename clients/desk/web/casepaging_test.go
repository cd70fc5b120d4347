package web_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

// busy is a node with more cases, messages and log lines than a page holds.
type busy struct {
	desk.Node
	now time.Time
}

const manyCases, manyMoments, manyLines = 730, 250, 230

// Cases implements desk.Node. Every seventh is closed, and one alone waits for others.
func (n *busy) Cases(_ context.Context, p schakel.Paging) (out []schakel.CaseSummary, err error) {
	for i := p.Offset; i < min(p.Offset+p.Limit, manyCases); i++ {
		c := schakel.CaseSummary{Case: fmt.Sprintf("019ab2c0-5f10-7a31-9c42-%012d", i), Messages: 1, Last: n.now}
		if i%7 == 0 {
			c.Closed = n.now
		}
		if i == 700-1 {
			c.Awaited = 1
		}
		out = append(out, c)
	}
	return out, nil
}

// Overview implements desk.Node.
func (n *busy) Overview(ctx context.Context, ref string, by ...schakel.By) (schakel.Overview, error) {
	o, err := n.Node.Overview(ctx, ref, by...)
	for i := len(o.Messages); i < manyMoments; i++ {
		o.Messages = append(o.Messages, schakel.Moment{Ref: message.Ref{Hash: message.Hash{1, byte(i)}}, Class: fmt.Sprintf("klasse-%03d.", i), Urgency: message.Routine,
			From: protocol.Party{Desk: "arts/praktijk"}, Created: n.now, Enclosed: true})
	}
	return o, err
}

// Log implements desk.Node.
func (n *busy) Log(context.Context, string) (l schakel.AccessLog, err error) {
	for i := range manyLines {
		l.Lines = append(l.Lines, schakel.LogLine{Device: "d", At: n.now, Action: fmt.Sprintf("daad-%03d.", i), Subject: "s"})
	}
	for range 3 { // one page that looked at one thing three times
		l.Lines = append(l.Lines, schakel.LogLine{Device: "d", At: n.now, Action: "case-opened", Subject: "s"})
	}
	return l, nil
}

// through goes through the pages of a list by the link with those words, and returns all.
func through(t *testing.T, b *webtest.Browser, path, older string) (all string, pages int) {
	t.Helper()
	for ; path != "" && pages < 30; pages++ {
		body := b.Get(path).Body
		all += body
		before, _, more := strings.Cut(body, `">`+older)
		path = ""
		if more {
			path = strings.ReplaceAll(before[strings.LastIndex(before, `href="`)+len(`href="`):], "&amp;", "&")
		}
	}
	return all, pages
}

// TestNothingIsLostBetweenPages: each case, message and line of more than a page is on
// some page, once.
func TestNothingIsLostBetweenPages(t *testing.T) {
	n := &busy{}
	o := webtest.Open(t, webtest.Options{Node: func(real desk.Node) desk.Node { n.Node = real; return n }})
	n.now = o.Chain.Now()
	b := o.User("P. Iket", desk.Roles()...)
	once := func(what, all string, count int, name func(int) string, want func(int) bool) {
		t.Helper()
		for i := range count {
			times := strings.Count(all, name(i))
			if want(i) && times != 1 || !want(i) && times != 0 {
				t.Errorf("%s: %s is there %d times", what, name(i), times)
			}
		}
	}
	link := func(i int) string { return fmt.Sprintf(`"/cases/019ab2c0-5f10-7a31-9c42-%012d"`, i) }
	closed := func(i int) bool { return i%7 == 0 }
	list, pages := through(t, b, "/cases", "Verder terug")
	once("open cases", list, manyCases, link, func(i int) bool { return !closed(i) })
	if pages != (manyCases-manyCases/7-1)/50+1 {
		t.Errorf("%d pages", pages)
	}
	list, _ = through(t, b, "/cases?part=closed", "Verder terug")
	once("closed cases", list, manyCases, link, closed)
	first := b.Get("/cases?part=them")
	contains(t, first, "Kijk verder terug", "Verder terug")
	lacks(t, first, "Geen zaak wacht op anderen")
	list, _ = through(t, b, "/cases?part=them", "Verder terug")
	once("the one that waits", list, manyCases, link, func(i int) bool { return i == 700-1 })

	always := func(int) bool { return true }
	timeline, pages := through(t, b, "/cases/"+o.Report(nil), "Ouder")
	once("messages", timeline, manyMoments, func(i int) string { return fmt.Sprintf("klasse-%03d.", i) }, func(i int) bool { return i > 0 })
	if pages != 3 || strings.Count(timeline, `">Signaal</a>`) < 1 {
		t.Errorf("%d pages of messages", pages)
	}
	lines, _ := through(t, b, "/log", "Ouder")
	once("lines", lines, manyLines, func(i int) string { return fmt.Sprintf("daad-%03d.", i) }, always)
	if !strings.Contains(lines, "3 keer") {
		t.Error("what was noted three times does not say so")
	}
}
