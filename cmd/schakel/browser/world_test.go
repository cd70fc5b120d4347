package browser_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// Report is a message a minute after the one before: nobody can tell apart what came from
// one desk in the same minute, by ear or by eye.
func (p *pages) Report(change func(*schakel.Draft)) string {
	p.t.Helper()
	p.Chain.Pass(time.Minute)
	return p.Office.Report(change)
}

// taken acknowledges a message as the worker.
func (p *pages) taken(hash string) {
	p.t.Helper()
	b := p.User("P. Iket", "behandelaar", "piket", "beheerder", "functionaris")
	a := b.Post("/messages/"+hash+"/acknowledgement", url.Values{"pin": {schakeltest.PIN}, "status": {protocol.StatusTaken}})
	if a.Status != http.StatusSeeOther {
		p.t.Fatalf("acknowledging: %d\n%s", a.Status, a.Body)
	}
}

// restrict closes the case of a message to the worker and a colleague, and looks at what
// is left of it.
func (p *pages) restrict(hash string) {
	p.t.Helper()
	other := p.Member.AddPerson("A. Nnie")
	p.Member.AddPerson("B. Uiten") // who may not read it
	by := schakel.By{Person: p.Person.Name, PIN: schakeltest.PIN, Glass: "zes woorden in de kluis van het bureau"}
	p.Until("the case can be restricted", func() bool {
		_, err := p.Member.Node.Restrict(p.t.Context(), hash, []string{p.Person.Name, other.Name}, by)
		return err == nil
	})
	path := "/messages/" + hash
	wrong := []step{{Type: []string{"#pin", "000000"}, Status: http.StatusForbidden}, {Use: "main form button"}}
	p.look(
		visit{Name: "restricted message", Path: path, route: "/messages/{ref}", Cookies: p.worker, Shows: []string{"Bel een van hen", "A. Nnie"}},
		visit{Name: "restricted, wrong PIN", Path: path, route: "/messages/{ref}", Cookies: p.worker, Steps: wrong, Shows: []string{"De pincode klopt niet"}},
	)
	p.restrictedCase(hash)
}

// StopRelay ends the relay: the desk is offline from then on.
func (p *pages) StopRelay() {
	p.Chain.StopRelay()
	p.crowded.cut = true
}

// hostileBody is a signaal in which every text tries to be something else.
func hostileBody(t *testing.T) []byte {
	t.Helper()
	e, err := protocol.V1().Example("signaal")
	ok(t, err)
	var body map[string]any
	ok(t, json.Unmarshal(e.Body, &body))
	body["beschrijving"] = `<script>alert(1)</script><img src="https://kwaad.example/x" onerror="alert(2)"> \u202edlohnegeT <a href="javascript:alert(3)">klik</a> ` + strings.Repeat("zonderspatie", 60)
	body["contact"].(map[string]any)["naam"] = `"><style>*{display:none}</style>{{.Page}}`
	raw, err := json.Marshal(body)
	ok(t, err)
	return raw
}

// crookedSite serves a page on which everything is wrong.
func crookedSite(t *testing.T) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.URL.Path == "/own.js" {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write([]byte(`document.querySelector("#pin").onpaste = (e) => e.preventDefault(); throw new Error("crooked")`))
			return
		}
		w.Header().Set("Content-Security-Policy", "script-src 'self'")
		_, _ = w.Write([]byte(`<!DOCTYPE html><title>x</title><script>alert(1)</script><script src="/own.js" defer></script>
<img src="http://elsewhere.invalid/x.png"><p style="color:#ccc;background:#fff">pale</p>
<label>PIN <input id="pin"></label><p><button style="width:10px;height:10px;padding:0">a</button><button style="width:10px;height:10px;padding:0;margin:0">b</button></p>
<a href="#" style="outline:none;box-shadow:none">unseen</a> <a href="#" tabindex="-1">never</a>
<main><p class="wrong">wrong</p><input aria-label="x" aria-describedby="gone"> <a href="/1">more</a> <a href="/2">more</a> <a href="#gone">there</a></main>
<div style="width:900px;margin-top:40rem">wide</div><h1>low</h1><div style="position:fixed;inset:0 0 auto 0;height:120px;background:#eee">over all</div>`))
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}
