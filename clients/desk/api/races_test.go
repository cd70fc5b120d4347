package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/schakel"
)

// together sends requests at the same time, and counts the answers by status.
func together(n int, ask func(i int) reply) map[int]int {
	statuses := make(chan int, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { statuses <- ask(i).status })
	}
	all.Wait()
	close(statuses)
	met := map[int]int{}
	for s := range statuses {
		met[s]++
	}
	return met
}

// TestOneOfManyEditors: of those who edit the same version at the same time one has it, and
// every other is told.
func TestOneOfManyEditors(t *testing.T) {
	o := open(t)
	p := o.worker()
	version := func(i int) map[string]any {
		return map[string]any{"draft": map[string]any{"class": "melding", "urgency": "regulier", "to": []string{}, "body": fmt.Appendf(nil, "tekst %d", i)}, "by": by(o)}
	}
	made := p.want(201, "POST", "/v1/drafts", version(0))
	const many = 5 // more PINs at once than a token has tries are told to wait
	one := map[int]int{http.StatusOK: 1, http.StatusPreconditionFailed: many - 1}
	same := func(what string, met map[int]int) {
		t.Helper()
		if fmt.Sprint(met) != fmt.Sprint(one) {
			t.Errorf("%s: %v", what, met)
		}
	}
	same("a draft", together(many, func(i int) reply {
		return p.ask("PUT", made.header.Get("Location"), version(i), "If-Match", made.header.Get("ETag"))
	}))
	rota := aRota(o)
	same("the first rota", together(many, func(int) reply { return p.ask("PUT", "/v1/rota", rota, "If-None-Match", "*") }))
	tag := p.want(200, "GET", "/v1/rota", nil).header.Get("ETag")
	same("the next rota", together(many, func(i int) reply { // each another one
		next := aRota(o)
		next["roster"].(map[string]any)["people"].([]any)[0].(map[string]any)["phone"] = fmt.Sprintf("+3160000001%d", i)
		return p.ask("PUT", "/v1/rota", next, "If-Match", tag)
	}))
}

// TestKeysAtOnce: one intention that is sent many times at once happens once; what another
// program calls alike is another one.
func TestKeysAtOnce(t *testing.T) {
	o := open(t)
	p := o.worker()
	other := o.program("ander", desk.TokenRequest{Roles: desk.Roles(), Person: o.person.Name})
	body := func(text string) map[string]any { return map[string]any{"text": text, "by": by(o)} }
	hash := o.report(nil)
	path := "/v1/cases/" + hash + "/notes"
	met := together(8, func(int) reply { return p.ask("POST", path, body("gebeld"), "Idempotency-Key", "note-0001") })
	if met[http.StatusCreated] == 0 || met[http.StatusCreated]+met[http.StatusConflict] != 8 {
		t.Errorf("%v", met)
	}
	if r := other.want(201, "POST", path, body("gebeld door een ander"), "Idempotency-Key", "note-0001"); r.header.Get("Idempotency-Replayed") != "" {
		t.Error("another program gets the answer of this one")
	}
	var sheet schakel.Worksheet
	p.want(200, "POST", path[:strings.LastIndex(path, "/")]+"/worksheet-openings", by(o)).into(t, &sheet)
	if len(sheet.Notes) != 2 {
		t.Errorf("%d notes", len(sheet.Notes))
	}
}

// TestHeadersTwice: of what stands there twice none is chosen.
func TestHeadersTwice(t *testing.T) {
	o := open(t)
	p := o.worker()
	made := p.want(201, "POST", "/v1/drafts", map[string]any{"draft": map[string]any{"class": "melding", "urgency": "regulier", "to": []string{}, "body": []byte("een")}, "by": by(o)})
	signer, err := json.Marshal(by(o))
	ok(t, err)
	who := string(signer)
	for what, c := range map[string]struct {
		method, path, body, header string
		values                     []string
		want                       int
	}{
		"If-Match":        {"PUT", made.header.Get("Location"), `{"draft":{"class":"melding","urgency":"regulier","to":[],"body":"dHdlZQ=="},"by":` + who + `}`, "If-Match", []string{made.header.Get("ETag"), `"x"`}, 428},
		"Idempotency-Key": {"POST", "/v1/test-deliveries", `{"to":"arts/praktijk"}`, "Idempotency-Key", []string{"test-0001", "test-0002"}, 400},
		"Authorization":   {"GET", "/v1/status", "", "Authorization", []string{"Bearer x", "Bearer " + p.secret}, 401},
		"Content-Type":    {"POST", "/v1/test-deliveries", `{"to":"arts/praktijk"}`, "Content-Type", []string{"text/plain", "application/json"}, 415},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, p.base+c.path, strings.NewReader(c.body))
		ok(t, err)
		r.Header.Set("Authorization", "Bearer "+p.secret)
		r.Header.Set("Content-Type", "application/json")
		r.Header[c.header] = c.values
		if a := p.send(r); a.status != c.want {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
}
