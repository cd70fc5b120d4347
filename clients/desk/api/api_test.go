package api_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/rights"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// elsewhere are operations of the node that no path of their own reaches, and why.
var elsewhere = map[rights.Operation]string{
	"CourierDesks": closed, "ExportEnvelopes": closed, "ImportEnvelopes": closed,
	"CarryAttachment": closed, "MissingAttachments": closed, "BringAttachment": closed,
	"AskHistory": closed, "Histories": closed, "GiveHistory": closed, "Away": closed, "Absent": closed,
	"RenewOrganisationKey": closed, "Evidence": closed, "EvidenceFile": closed,
	"Backup": closed, "NoteBackup": closed, "TryRecovery": closed, "SetRecovery": closed,
	"Read": "openMessage without a person opens as nobody in particular, which is what Read does",
}

const closed = "no program may: rights.Closed"

// TestEveryOperationIsReachable: what a node can do a program can ask for, under the scope
// that the rights give it.
func TestEveryOperationIsReachable(t *testing.T) {
	reached := map[rights.Operation]bool{}
	ids := map[string]bool{}
	each(func(method, path string, op map[string]any) {
		id, _ := op["operationId"].(string)
		if id == "" || ids[id] {
			t.Errorf("%s %s: operationId %q is empty, or stands there twice", method, path, id)
		}
		ids[id] = true
		node, named := op["x-operation"].(string)
		if !named {
			return
		}
		reached[rights.Operation(node)] = true
		scope := op["security"].([]any)[0].(map[string]any)["token"].([]any)
		if len(scope) != 1 || scope[0] != rights.ScopeOf(rights.Operation(node)) {
			t.Errorf("%s: scope %v, and the rights say %q", id, scope, rights.ScopeOf(rights.Operation(node)))
		}
	})
	for _, op := range rights.Operations() {
		if reached[op] == (elsewhere[op] != "") {
			t.Errorf("%s: reached by a path is %t, and elsewhere it says %q", op, reached[op], elsewhere[op])
		}
		delete(reached, op)
	}
	if len(reached) > 0 {
		t.Errorf("no operations of the node: %v", reached)
	}
}

func by(o *office) schakel.By { return schakel.By{Person: o.person.ID.String(), PIN: schakeltest.PIN} }

// TestWorkADay does with a program what a desk does in a day. Every answer is held against
// the contract by the program itself.
func TestWorkADay(t *testing.T) {
	o := open(t)
	p := o.worker()
	hash := o.report(nil)
	o.report(nil)

	var list struct{ Items []schakel.Summary }
	p.want(200, "GET", "/v1/messages?toAcknowledge=true", nil).into(t, &list)
	if len(list.Items) != 2 || list.Items[0].Class != "signaal" {
		t.Fatalf("inbox %+v", list)
	}
	var letter schakel.Letter
	p.want(200, "POST", "/v1/messages/"+hash+"/openings", by(o)).into(t, &letter)
	if e, err := protocol.V1().Example("signaal"); err != nil || string(letter.Body) != string(e.Body) {
		t.Errorf("body %s, %v", letter.Body, err)
	}
	var sent schakel.Sent
	p.want(201, "POST", "/v1/messages/"+hash+"/acknowledgements", schakel.Acknowledgement{Person: o.person.ID.String(), PIN: schakeltest.PIN, FirstAction: "Gebeld."}, "Idempotency-Key", "ack-0001").into(t, &sent)
	if code := p.want(409, "POST", "/v1/messages/"+hash+"/acknowledgements", schakel.Acknowledgement{Person: o.person.ID.String(), PIN: schakeltest.PIN}, "Idempotency-Key", "ack-0002").code(t); code != "acknowledged" {
		t.Errorf("twice: %s", code)
	}
	o.until("the doctor hears of it", func() bool {
		var a struct{ Reached bool }
		p.want(200, "GET", "/v1/messages/"+sent.Hash+"/arrival?state=afgeleverd&wait=2", nil).into(t, &a)
		return a.Reached
	})
	p.want(200, "GET", "/v1/messages/"+sent.Hash+"/deliveries", nil)

	kase := "/v1/cases/" + letter.Case
	p.want(200, "GET", "/v1/cases", nil)
	p.want(200, "POST", kase+"/openings", by(o))
	p.want(201, "POST", kase+"/assignments", map[string]any{"to": o.person.Name, "by": by(o)})
	note := map[string]any{"text": "Bel tante Çağla na vijven. <script>alert(1)</script>", "by": by(o)}
	p.want(201, "POST", kase+"/notes", note, "Idempotency-Key", "note-0001")
	if again := p.want(201, "POST", kase+"/notes", note, "Idempotency-Key", "note-0001"); again.header.Get("Idempotency-Replayed") != "true" {
		t.Error("the note was made twice")
	}
	for words, want := range map[string]int{"cagla": 1, "ÇAĞLA tante": 1, "c\u0327ag\u0306la": 1, "caglar": 0} {
		var hits schakel.Hits
		p.want(200, "POST", "/v1/searches", schakel.Search{Words: words}).into(t, &hits)
		if hits.Total != want {
			t.Errorf("%+q: %d found, want %d", words, hits.Total, want)
		}
	}
	var sheet schakel.Worksheet
	p.want(200, "POST", kase+"/worksheet-openings", by(o)).into(t, &sheet)
	if len(sheet.Notes) != 1 || sheet.Assignment.Name != o.person.Name {
		t.Errorf("worksheet %+v", sheet)
	}
	p.want(200, "POST", kase+"/progress-reports", map[string]any{"situation": map[string]any{"id": "x", "title": map[string]string{"nl": "x", "en": "x"}, "never": []any{}, "steps": []any{map[string]any{"id": "s", "title": map[string]string{"nl": "x", "en": "x"}}}}, "by": by(o)})
	p.want(200, "GET", kase+"/restriction", nil)
	file := p.want(200, "POST", kase+"/files", by(o))
	if string(file.body[:2]) != "PK" {
		t.Errorf("case file %q", file.body[:2])
	}
	p.want(200, "GET", "/v1/access-log?case="+letter.Case, nil)
	rest(t, o, p)
}

// rest asks what is left.
func rest(t *testing.T, o *office, p *program) {
	t.Helper()
	for _, path := range []string{"status", "alarms", "desks", "persons", "devices", "register-entries", "deletions", "access-log", "readiness", "pages", "drills", "token", "openapi.json"} {
		p.want(200, "GET", "/v1/"+path, nil)
	}
	p.want(201, "POST", "/v1/persons", map[string]string{"name": "N. Acht", "function": "gedragswetenschapper", "telephone": "+31600000012", "pin": schakeltest.PIN}, "Idempotency-Key", "person-1")
	p.want(204, "POST", "/v1/test-deliveries", map[string]string{"to": string(o.doctor.Desk)})
	if code := p.want(404, "POST", "/v1/alarm-clearances", map[string]string{"kind": "klok", "subject": "x"}).code(t); code != "not-found" {
		t.Errorf("no such alarm: %s", code)
	}
	for _, path := range []string{"rota", "on-call", "rota-calendar"} {
		if code := p.want(404, "GET", "/v1/"+path, nil).code(t); code != "no-rota" {
			t.Errorf("%s: %s", path, code)
		}
	}
	for path, body := range map[string]any{
		"devices":      map[string]string{"request": base64.StdEncoding.EncodeToString([]byte("no request"))},
		"revocations":  map[string]string{"subject": "person/00000000-0000-0000-0000-000000000000", "reason": "lost"},
		"rota-imports": map[string]any{"file": base64.StdEncoding.EncodeToString([]byte("BEGIN:VCALENDAR")), "by": by(o)},
		"rota-changes": map[string]any{"change": map[string]string{"kind": "take"}, "by": by(o)},
		"page-tests":   schakel.TestPage{Who: "p-7k2"},
	} {
		if r := p.ask("POST", "/v1/"+path, body); r.status < 400 || r.status >= 500 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

// TestSendOnce: the same key sends once, whatever is repeated; another body under it is
// refused.
func TestSendOnce(t *testing.T) {
	o := open(t)
	p := o.worker()
	hash := o.report(nil)
	var letter schakel.Letter
	p.want(200, "POST", "/v1/messages/"+hash+"/openings", schakel.By{}).into(t, &letter)
	e, err := protocol.V1().Example("terugkoppeling")
	ok(t, err)
	draft := map[string]any{"class": "terugkoppeling", "urgency": "regulier", "case": letter.Case, "to": []string{string(o.doctor.Desk)}, "answers": hash, "body": []byte(e.Body), "person": o.person.ID.String(), "pin": schakeltest.PIN}
	p.want(200, "POST", "/v1/message-previews", draft)
	if code := p.want(400, "POST", "/v1/messages", draft).code(t); code != "key-missing" {
		t.Errorf("no key: %s", code)
	}
	wrong := map[string]any{}
	for k, v := range draft {
		wrong[k] = v
	}
	wrong["pin"] = "000000"
	if code := p.want(403, "POST", "/v1/messages", wrong, "Idempotency-Key", "send-0001").code(t); code != "wrong-pin" {
		t.Errorf("wrong PIN: %s", code)
	}
	first := p.want(201, "POST", "/v1/messages", draft, "Idempotency-Key", "send-0001")
	again := p.want(201, "POST", "/v1/messages", draft, "Idempotency-Key", "send-0001")
	if string(first.body) != string(again.body) || first.header.Get("Location") != again.header.Get("Location") || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("first %s %v\nagain %s %v", first.body, first.header, again.body, again.header)
	}
	wrong["urgency"] = "spoed"
	if code := p.want(422, "POST", "/v1/messages", wrong, "Idempotency-Key", "send-0001").code(t); code != "key-other" {
		t.Errorf("another body: %s", code)
	}
	sent, err := o.member.Node.List(t.Context(), schakel.Filter{Box: "sent"})
	if err != nil || len(slices.DeleteFunc(sent, func(m schakel.Summary) bool { return m.Class != "terugkoppeling" })) != 1 {
		t.Errorf("sent %v, %v", sent, err)
	}
	// Another program's key of the same name is another key.
	other := o.program("ander", desk.TokenRequest{Roles: []desk.Role{desk.RoleCaseWorker}, Person: o.person.Name})
	if r := other.ask("POST", "/v1/messages", wrong, "Idempotency-Key", "send-0001"); r.header.Get("Idempotency-Replayed") != "" || r.status == http.StatusUnprocessableEntity && r.code(t) == "key-other" {
		t.Errorf("another program: %d %s", r.status, r.body)
	}
}
