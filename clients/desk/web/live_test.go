package web_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
)

var sinceSaid = regexp.MustCompile(`data-since="(\d+)"`)

// heardUntilLocked is all that the stream of a page says until the session locks.
func heardUntilLocked(t *testing.T, o *webtest.Office, b *webtest.Browser, page webtest.Reply) string {
	t.Helper()
	since := sinceSaid.FindStringSubmatch(page.Body)
	if since == nil {
		t.Fatalf("the page does not say up to where it knows:\n%s", page.Body)
	}
	resp, err := b.Do(request(t, http.MethodGet, o.Base+"/live?since="+since[1], ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b.Post("/lock", nil)
	all, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(all), "event: locked") {
		t.Fatalf("the stream ended: %v\n%s", err, all)
	}
	return string(all)
}

// TestNewsBeforeTheStream: what comes in after a page was made and before its stream began is
// news on it; a page that shows everything hears of nothing.
func TestNewsBeforeTheStream(t *testing.T) {
	const news = "event: news\ndata: gap\n"
	o := webtest.Open(t, webtest.Options{})
	b := o.User("P. Iket", desk.RoleCaseWorker)
	page := b.Get("/inbox")
	o.Report(nil)
	if said := heardUntilLocked(t, o, b, page); !strings.Contains(said, news) {
		t.Errorf("a message came before the stream, which says:\n%s", said)
	}
	o.Until("a page knows everything", func() bool { // unless something happens just then
		b := o.User("P. Iket", desk.RoleCaseWorker)
		return !strings.Contains(heardUntilLocked(t, o, b, b.Get("/inbox")), news)
	})
}
