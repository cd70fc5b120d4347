package api_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/api"
	"schakel/clients/desk/once"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// TestDraftsAreNotOverwritten: who did not see the newest version is told so, and nothing
// that was typed is lost.
func TestDraftsAreNotOverwritten(t *testing.T) {
	o := open(t)
	p := o.worker()
	version := func(text string) map[string]any {
		return map[string]any{"draft": map[string]any{"class": "melding", "urgency": "regulier", "to": []string{}, "body": []byte(text)}, "by": by(o)}
	}
	made := p.want(201, "POST", "/v1/drafts", version("een"))
	path, first := made.header.Get("Location"), made.header.Get("ETag")
	if code := p.want(428, "PUT", path, version("twee")).code(t); code != "match-missing" {
		t.Errorf("no If-Match: %s", code)
	}
	for _, weak := range []string{"*", `W/` + first, strings.Trim(first, `"`), `"a", "b"`} {
		if code := p.want(428, "PUT", path, version("twee"), "If-Match", weak).code(t); code != "match-missing" {
			t.Errorf("If-Match %s: %s", weak, code)
		}
	}
	second := p.want(200, "PUT", path, version("twee"), "If-Match", first).header.Get("ETag")
	if code := p.want(412, "PUT", path, version("drie"), "If-Match", first).code(t); code != "changed" {
		t.Errorf("the version before: %s", code)
	}
	p.want(412, "POST", path+"/removals", by(o), "If-Match", first)
	var drafts struct{ Items []schakel.SavedDraft }
	p.want(200, "POST", "/v1/draft-openings", map[string]any{"by": by(o)}).into(t, &drafts)
	if len(drafts.Items) != 1 || string(drafts.Items[0].Draft.Body) != "twee" {
		t.Errorf("drafts %+v", drafts)
	}
	p.want(204, "POST", path+"/removals", by(o), "If-Match", second)
	if code := p.want(404, "PUT", "/v1/drafts/00000000-0000-7000-8000-000000000000", version("x"), "If-Match", first).code(t); code != "not-found" {
		t.Errorf("no such draft: %s", code)
	}
}

// TestRotaAndItsVersion: the first rota needs no version, every other one names what it
// was made of.
func TestRotaAndItsVersion(t *testing.T) {
	o := open(t)
	p := o.worker()
	rota := aRota(o)
	if code := p.want(428, "PUT", "/v1/rota", rota).code(t); code != "match-missing" {
		t.Errorf("no version: %s", code)
	}
	made := p.ask("PUT", "/v1/rota", rota, "If-None-Match", "*")
	if made.status != 200 {
		t.Fatalf("first rota: %d %s", made.status, made.body)
	}
	if code := p.want(412, "PUT", "/v1/rota", rota, "If-None-Match", "*").code(t); code != "changed" {
		t.Errorf("there is one by now: %s", code)
	}
	p.want(200, "PUT", "/v1/rota", rota, "If-Match", p.want(200, "GET", "/v1/rota", nil).header.Get("ETag"))
	if code := p.want(412, "PUT", "/v1/rota", rota, "If-Match", made.header.Get("ETag")).code(t); code != "changed" {
		t.Errorf("an older one: %s", code)
	}
	p.want(200, "GET", "/v1/on-call", nil)
	if !strings.HasPrefix(string(p.want(200, "GET", "/v1/rota-calendar", nil).body), "BEGIN:VCALENDAR") {
		t.Error("no calendar")
	}
	p.want(201, "POST", "/v1/rota-changes", map[string]any{"change": map[string]string{"kind": "take"}, "by": by(o)}, "Idempotency-Key", "take-0001")
}

// TestPagesLoseNothing: each page is worked through before the next is asked for, and
// every message is seen.
func TestPagesLoseNothing(t *testing.T) {
	o := open(t)
	p := o.worker()
	want := map[string]bool{}
	for range 5 {
		want[o.report(nil)] = true
	}
	path, seen := "/v1/messages?toAcknowledge=true&limit=2", []string{}
	for path != "" {
		var list struct {
			Items []schakel.Summary
			Next  string
		}
		r := p.want(200, "GET", path, nil)
		r.into(t, &list)
		for _, m := range list.Items {
			seen = append(seen, m.Hash)
			p.want(201, "POST", "/v1/messages/"+m.Hash+"/acknowledgements", schakel.Acknowledgement{Person: o.person.ID.String(), PIN: schakeltest.PIN}, "Idempotency-Key", "ack-"+m.Hash[:16])
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(r.header.Get("Link"), "<"), ">")
		if (path == "") != (list.Next == "") {
			t.Errorf("Link %q, next %q", path, list.Next)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("saw %d of %d", len(seen), len(want))
	}
	first := p.want(200, "GET", "/v1/messages?limit=1", nil)
	var list struct{ Next string }
	first.into(t, &list)
	begin := "A"
	if strings.HasPrefix(list.Next, begin) {
		begin = "B"
	}
	other := o.program("ander", desk.TokenRequest{Roles: desk.Roles()})
	for name, r := range map[string]reply{
		"of another token":  other.ask("GET", "/v1/messages?limit=1&cursor="+list.Next, nil),
		"of another list":   p.ask("GET", "/v1/cases?cursor="+list.Next, nil),
		"of another filter": p.ask("GET", "/v1/messages?box=all&cursor="+list.Next, nil),
		"made up":           p.ask("GET", "/v1/messages?cursor=aGFsbG8", nil),
		"changed":           p.ask("GET", "/v1/messages?cursor="+begin+list.Next[1:], nil),
	} {
		if r.status != 400 || r.code(t) != "cursor" {
			t.Errorf("a cursor %s: %d %s", name, r.status, r.body)
		}
	}
	p.want(200, "GET", "/v1/messages?limit=1&cursor="+list.Next, nil)
}

// TestAnswersOutliveTheDaemon: the same key gives the same answer after a restart; where
// the daemon fell while it answered, nobody is told that it happened or did not.
func TestAnswersOutliveTheDaemon(t *testing.T) {
	o := open(t)
	secret := o.worker().secret
	holder, err := o.tokens.Holder(t.Context(), secret)
	ok(t, err)
	restarted := func() *program {
		_, base := serve(t, api.Config{Node: o.member.Node, Tokens: o.tokens, Answers: once.New(o.member.Store(), o.chain.Now), Now: o.chain.Now})
		return newProgram(t, base, holder, secret)
	}
	body := map[string]string{"to": string(o.doctor.Desk)}
	o.until("the doctor can be sealed to", func() bool { return o.member.Node.SendTest(t.Context(), o.doctor.Desk) == nil })
	restarted().want(204, "POST", "/v1/test-deliveries", body, "Idempotency-Key", "test-0001")
	if r := restarted().want(204, "POST", "/v1/test-deliveries", body, "Idempotency-Key", "test-0001"); r.header.Get("Idempotency-Replayed") != "true" {
		t.Error("it was done again")
	}
	// As a daemon leaves it that falls between beginning and answering.
	fallen := &falling{Keeper: once.New(o.member.Store(), o.chain.Now)}
	_, base := serve(t, api.Config{Node: o.member.Node, Tokens: o.tokens, Answers: fallen, Now: o.chain.Now})
	newProgram(t, base, holder, secret).want(204, "POST", "/v1/test-deliveries", body, "Idempotency-Key", "test-0002")
	if code := restarted().want(409, "POST", "/v1/test-deliveries", body, "Idempotency-Key", "test-0002").code(t); code != "key-unknown" {
		t.Errorf("after a fall: %s", code)
	}
}

// falling keeps no answer: what it was to keep is lost with the power.
type falling struct{ *once.Keeper }

func (f *falling) Done(context.Context, once.Key, once.Print, once.Answer) error { return nil }

// TestEvents: a program that comes back with its cursor misses nothing, and is told where
// it did.
func TestEvents(t *testing.T) {
	o := open(t)
	p := o.worker()
	type events struct {
		Items []struct{ ID, Kind, Message string }
		Next  string
	}
	poll := func(query string) (e events) {
		p.want(200, "GET", "/v1/events"+query, nil).into(t, &e)
		return e
	}
	begin := poll("")
	if len(begin.Items) != 0 {
		t.Errorf("events from before: %+v", begin)
	}
	hash := o.report(nil)
	var got events
	at := begin.Next
	o.until("the message is heard of", func() bool {
		got = poll("?wait=5&after=" + at)
		at = got.Next
		return slices.ContainsFunc(got.Items, func(e struct{ ID, Kind, Message string }) bool {
			return e.Kind == "received" && e.Message == hash
		})
	})
	for _, old := range []string{"0011223344556677-5", "x", "0-99999999999999999999", begin.Next[:17] + "999999"} {
		if e := poll("?after=" + old); len(e.Items) == 0 || e.Items[0].Kind != "gap" {
			t.Errorf("after %s: %+v", old, e)
		}
	}
	stream(t, p, begin.Next, hash)
	ok(t, o.tokens.RevokeToken(t.Context(), p.token.ID))
	p.want(401, "GET", "/v1/events", nil)
}

// stream goes on after a cursor and waits for the event of a message.
func stream(t *testing.T, p *program, after, hash string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/v1/events", nil)
	ok(t, err)
	r.Header.Set("Authorization", "Bearer "+p.secret)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Last-Event-ID", after)
	resp, err := p.Do(r)
	ok(t, err)
	defer resp.Body.Close()
	id := ""
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, is := strings.CutPrefix(lines.Text(), "id: "); is {
			id = text
		}
		if text, is := strings.CutPrefix(lines.Text(), "data: "); is && strings.Contains(text, hash) {
			if id == "" || !strings.Contains(text, fmt.Sprintf("%q:%q", "id", id)) {
				t.Errorf("id %q of %s", id, text)
			}
			return
		}
	}
	t.Error("the stream ended without the event")
}
