package api_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// upload brings a file as it is.
func (p *program) upload(name string, content io.Reader, media string) reply {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.base+"/v1/attachments?name="+url.QueryEscape(name), content)
	ok(p.t, err)
	r.Header.Set("Authorization", "Bearer "+p.secret)
	r.Header.Set("Content-Type", media)
	return p.send(r)
}

// TestAttachments: a program attaches a file, sends it with a message, and the other desk
// saves it as it was; the access log has who did.
func TestAttachments(t *testing.T) {
	o := open(t)
	police := o.chain.Join("politie-mn/oc", identity.RolePolitie)
	police.Start()
	p := o.worker()
	content := append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte("x"), 2<<20)...) // more than any other body may be
	var f schakel.Attached
	added := p.upload("brief.pdf", bytes.NewReader(content), "application/octet-stream")
	if added.into(t, &f); added.status != http.StatusCreated || f.MediaType != "application/pdf" || f.Bytes != uint64(len(content)) {
		t.Fatalf("attaching: %d %s", added.status, added.body)
	}
	if list := p.want(200, "GET", "/v1/attachments", nil); !strings.Contains(string(list.body), f.ID) {
		t.Errorf("the list lacks it: %s", list.body)
	}
	e, err := protocol.V1().Example("melding")
	ok(t, err)
	v, err := protocol.ParseValues(e.Body)
	ok(t, err)
	delete(v, "bijlagen")
	body, err := protocol.V1().Compose("melding", v)
	ok(t, err)
	draft := schakel.Draft{Class: "melding", Urgency: message.Urgent, To: []identity.DeskID{police.Desk}, Body: body, Attachments: []string{f.ID}, Person: by(o).Person, PIN: schakeltest.PIN}
	var sent schakel.Sent
	o.until("the police can be written to", func() bool {
		r := p.ask("POST", "/v1/messages", draft, "Idempotency-Key", "with-a-file-1")
		if r.status == http.StatusCreated {
			r.into(t, &sent)
		}
		return r.status == http.StatusCreated
	})
	saved := p.want(200, "POST", "/v1/messages/"+sent.Hash+"/attachments/1/contents", schakel.Saving{})
	if !bytes.Equal(saved.body, content) || saved.header.Get("Content-Disposition") != `attachment; filename="bijlage-1.bin"` ||
		saved.header.Get("X-Content-Type-Options") != "nosniff" || saved.header.Get("Accept-Ranges") != "none" {
		t.Errorf("saved %d bytes, %v", len(saved.body), saved.header)
	}
	list := p.want(200, "GET", "/v1/messages/"+sent.Hash+"/attachments", nil)
	if !strings.Contains(string(list.body), `"outgoing":true`) {
		t.Errorf("%s", list.body)
	}
	o.until("the police said that it has the file", func() bool {
		var traced schakel.Summary
		p.want(200, "GET", "/v1/messages/"+sent.Hash+"/deliveries", nil).into(t, &traced)
		return len(traced.Recipients) == 1 && !traced.Recipients[0].Files.IsZero()
	})
	p.want(204, "POST", "/v1/messages/"+sent.Hash+"/attachments/1/transfers", map[string]string{"act": "pause"})
	log, err := o.tokens.TokenLog(t.Context(), p.token.Name)
	ok(t, err)
	noted := false
	for _, l := range log {
		noted = noted || strings.Contains(l.Operation, "saveAttachment")
	}
	if !noted {
		t.Error("that a program saved it is not noted")
	}
}

// TestHostileAttachments: each is refused with a code and a remedy.
func TestHostileAttachments(t *testing.T) {
	o := open(t)
	hash := o.report(nil)
	p := o.worker()
	for what, c := range map[string]struct {
		r      reply
		status int
		code   string
	}{
		"JSON instead of a file": {p.upload("x.pdf", strings.NewReader("{}"), "application/json"), 415, "media-type"},
		"a name with a newline":  {p.upload("x\n.pdf", strings.NewReader("x"), "application/octet-stream"), 400, ""},
		"no name":                {p.upload("", strings.NewReader("x"), "application/octet-stream"), 400, "bad-request"},
		"none of the message":    {p.ask("POST", "/v1/messages/"+hash+"/attachments/1/contents", schakel.Saving{}), 404, "no-attachment"},
		"a place that is none":   {p.ask("POST", "/v1/messages/"+hash+"/attachments/0/contents", schakel.Saving{}), 400, "bad-request"},
		"an act that is none":    {p.ask("POST", "/v1/messages/"+hash+"/attachments/1/transfers", map[string]string{"act": "explode"}), 422, ""},
		"nothing to pause":       {p.ask("POST", "/v1/messages/"+hash+"/attachments/1/transfers", map[string]string{"act": "pause"}), 404, "no-attachment"},
		"no such file":           {p.ask("DELETE", "/v1/attachments/"+strings.Repeat("a", 64), nil), 404, "no-attachment"},
	} {
		var problem struct{ Code, Remedy string }
		c.r.into(t, &problem)
		if c.r.status != c.status && c.code != "" || c.code != "" && problem.Code != c.code || c.r.status < 400 || problem.Remedy == "" {
			t.Errorf("%s: %d %s", what, c.r.status, c.r.body)
		}
	}
	reader := o.program("lezer", desk.TokenRequest{Roles: desk.Roles(), Scopes: []string{"messages:read"}})
	if r := reader.upload("x.pdf", strings.NewReader("x"), "application/octet-stream"); r.status != http.StatusForbidden {
		t.Errorf("a token that may only read attaches: %d", r.status)
	}
}
