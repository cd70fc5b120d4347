package browser_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/signin"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel/schakeltest"
)

// operator is a real OpenID provider, a process of its own: see provider.mjs.
type operator struct {
	t      *testing.T
	issuer string
	in     io.WriteCloser
	out    *bufio.Scanner
	end    func()
}

func startOperator(t *testing.T) *operator {
	t.Helper()
	chromium(t)
	cmd := exec.CommandContext(t.Context(), "node", "provider.mjs")
	in, err := cmd.StdinPipe()
	ok(t, err)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	var errs strings.Builder
	cmd.Stderr = &errs
	ok(t, cmd.Start())
	p := &operator{t: t, in: in, out: bufio.NewScanner(out)}
	ended := false
	p.end = func() {
		if ended {
			return
		}
		ended = true
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the provider: %v\n%s", err, errs.String())
		}
	}
	t.Cleanup(p.end)
	p.issuer = p.heard()["issuer"].(string)
	return p
}

// heard is the next thing that the provider says; it may say more for people.
func (p *operator) heard() map[string]any {
	p.t.Helper()
	for p.out.Scan() {
		var said map[string]any
		if json.Unmarshal(p.out.Bytes(), &said) == nil {
			return said
		}
	}
	p.t.Fatalf("the provider says no more: %v", p.out.Err())
	return nil
}

// tell has the provider do something, and waits until it has.
func (p *operator) tell(format string, args ...any) {
	p.t.Helper()
	_, err := fmt.Fprintf(p.in, format+"\n", args...)
	ok(p.t, err)
	p.heard()
}

// TestOrganisation: in by the organisation's sign-in, past a locked screen only by signing
// in anew, not as somebody who is no user here, also after the provider changed its key;
// and by PIN when it is down.
func TestOrganisation(t *testing.T) {
	op := startOperator(t)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	o := webtest.Open(t, webtest.Options{Signs: &signin.Provider{Issuer: op.issuer, Client: "schakel", Secret: "geheim", HTTP: &http.Client{Transport: transport}}})
	op.tell(`{"redirect": %q}`, o.Base+signin.ReturnPath)
	_, err := o.Door.Link(t.Context(), desk.LinkRequest{Person: "P. Iket"})
	ok(t, err)
	ok(t, o.Door.Tie(t.Context(), "P. Iket", "account-7"))
	there, on := `main a[href="/sign-in/organisation"]`, `main a[href="/"]`
	as := func(who string) []step {
		return []step{{Use: there, Visible: "#who"}, {Type: []string{"#who", who}}, {Use: "form button"}}
	}
	in := []step{{Path: "/sign-in/done"}, {Use: on, Path: "/inbox"}}
	report(t, run(t, job{Name: "organisation", Base: o.Base, Beside: []string{op.issuer}, Hand: "keyboard", Steps: slices.Concat(
		[]step{{Go: "/sign-in"}}, as("account-7"), in,
		[]step{{Use: `form[action="/lock"] button`, Path: "/locked"}}, as("account-7"), in,
		[]step{{Use: `form[action="/sign-out"] button`, Path: "/sign-in", Status: http.StatusForbidden}}, as("account-8"),
		[]step{{Shows: "account-8", Path: signin.ReturnPath}, {Go: "/inbox", Path: "/sign-in"}},
	)}, nil))
	report(t, run(t, job{Base: o.Base, Beside: []string{op.issuer}, trees: golden, Visits: []visit{{Name: "no user here", Path: "/sign-in", Status: http.StatusForbidden,
		Steps: append(as("account-8"), step{Path: signin.ReturnPath}), Shows: []string{"account-8"}}}}, nil))
	op.tell(`{"rotate": true}`)
	if place := op.signIn(o.Base, "account-7"); place != "/sign-in/done" {
		t.Errorf("after another key: %s", place)
	}
	b := o.User("P. Iket", desk.RoleCaseWorker)
	b.Post("/lock", nil)
	op.end()
	if a := b.Get("/sign-in/organisation"); a.Status != http.StatusBadGateway || !strings.Contains(a.Body, "antwoordt niet") {
		t.Errorf("the provider is down: %d", a.Status)
	}
	if a := b.Post("/unlock", url.Values{"pin": {schakeltest.PIN}}); a.Header.Get("Location") != "/" {
		t.Errorf("the PIN beside it: %d", a.Status)
	}
}

// signIn signs in without scripts, and returns where that leads.
func (p *operator) signIn(base, who string) string {
	p.t.Helper()
	b := webtest.NewBrowser(p.t, base)
	b.CheckRedirect = nil
	page, err := b.Client.Get(base + "/sign-in/organisation")
	ok(p.t, err)
	_ = page.Body.Close()
	page, err = b.PostForm(page.Request.URL.String(), url.Values{"who": {who}})
	ok(p.t, err)
	_ = page.Body.Close()
	return page.Request.URL.Path
}
