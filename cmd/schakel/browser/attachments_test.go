package browser_test

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

// aFile is a file that begins like a PDF.
func aFile(size int) []byte { return append([]byte("%PDF-1.7\n"), make([]byte, size)...) }

// uploaded sends one file to a sheet, as a browser does.
func (p *pages) uploaded(b *webtest.Browser, path, name string, content []byte) {
	p.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile("file", name)
	ok(p.t, err)
	_, err = part.Write(content)
	ok(p.t, err)
	ok(p.t, w.Close())
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.Base+path, &body)
	ok(p.t, err)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Origin", p.Base)
	if a := b.Send(r); a.Status != http.StatusSeeOther {
		p.t.Fatalf("attaching: %d\n%s", a.Status, a.Body)
	}
}

// ReadAs implements desk.Node.
func (n *crowded) ReadAs(ctx context.Context, ref string, by schakel.By) (schakel.Letter, error) {
	l, err := n.Node.ReadAs(ctx, ref, by)
	if n.attachments != nil {
		l.Attachments = n.attachments(l.Attachments)
	}
	return l, err
}

// Attachments implements desk.Node.
func (n *crowded) Attachments(ctx context.Context, ref string, by ...schakel.By) ([]schakel.Attachment, error) {
	all, err := n.Node.Attachments(ctx, ref, by...)
	if n.attachments != nil {
		all = n.attachments(all)
	}
	return all, err
}

// SaveAttachment implements desk.Node.
func (n *crowded) SaveAttachment(ctx context.Context, ref string, place int, how schakel.Saving, w io.Writer) (schakel.Attachment, error) {
	if n.attachments != nil {
		return schakel.Attachment{}, schakel.ErrMediaType
	}
	return n.Node.SaveAttachment(ctx, ref, place, how, w)
}

// everyState gives six files the states that a file can be in.
func everyState(rows []schakel.Attachment) []schakel.Attachment {
	states := []schakel.AttachmentState{schakel.AttachmentWaiting, schakel.AttachmentMoving, schakel.AttachmentPaused, schakel.AttachmentHere,
		schakel.AttachmentUnavailable, schakel.AttachmentRefused}
	for i := range rows {
		rows[i].State, rows[i].Length, rows[i].Done, rows[i].Rate, rows[i].Left = states[i%len(states)], 25_000_000, 10_000_000, 170_000, 90*time.Second
	}
	return rows
}

// attached looks at the pages on which files are attached, and at messages that have some.
func (p *pages) attached() {
	t := p.t
	b := p.User("P. Iket", desk.Roles()...)
	me := cookies(t, b, p.Base)
	to := url.Values{"urgency": {"spoed"}, "to": {"politie-mn/oc"}}
	begin := func(button string) string {
		return b.Post("/compose/melding", typed(t, b.Get("/compose/melding"), "melding", with(to, url.Values{"do": {button}}))).Header.Get("Location")
	}
	empty := begin("files")
	files := begin("files")
	p.uploaded(b, files, "verklaring school.pdf", aFile(1_300_000))
	p.uploaded(b, files, "appje.txt", []byte("Kom niet thuis."))
	sheet := strings.TrimSuffix(strings.TrimPrefix(files, "/sheets/"), "/files")
	form := "/compose/melding?sheet=" + sheet
	page := b.Get(form)
	again := typed(t, page, "melding", with(to, url.Values{"do": {"check"}}))
	check := b.Post("/compose/melding", again).Header.Get("Location")
	none := []step{{Status: http.StatusUnprocessableEntity}, {Use: `main form[enctype] button`}}
	p.look(
		visit{Name: "no files yet", Path: empty, route: "/sheets/{id}/files", Cookies: me, Shows: []string{"Er zijn nog geen bestanden", "Schakel zoekt niet naar virussen"}},
		visit{Name: "no file chosen", Path: empty, route: "/sheets/{id}/files", fails: "/sheets/{id}/files", Cookies: me, Steps: none, Shows: []string{"Kies eerst een bestand"}},
		visit{Name: "two files", Path: files, route: "/sheets/{id}/files", Cookies: me, Shows: []string{"verklaring school.pdf", "1,3 MB"}},
		visit{Name: "form with files", Path: form, route: "/compose/{class}", Cookies: me, Shows: []string{"verklaring school.pdf", "Voeg toe of haal weg"}},
		visit{Name: "check with files", Path: check, route: "/compose/{class}/check", Cookies: me, Shows: []string{"Er gaan 2 bestanden mee", "Schakel haalt dat niet weg"}},
	)
	p.arrived(me)
}

// arrived looks at a message whose files are in every state.
func (p *pages) arrived(me []cookie) {
	t := p.t
	var ids []string
	for _, name := range []string{"wacht.pdf", "komt.pdf", "pauze.pdf", "hier.pdf", "weg.pdf", "fout.pdf"} {
		f, err := p.Doctor.Node.Attach(t.Context(), name, "", bytes.NewReader(append([]byte("%PDF-1.7\n"+name), make([]byte, 9_000)...)))
		ok(t, err)
		ids = append(ids, f.ID)
	}
	hash := p.Report(func(d *schakel.Draft) {
		d.Class, d.Urgency, d.Attachments, d.Body = "melding", message.Urgent, ids, withoutFiles(t, "melding")
	})
	p.Until("the files are here", func() bool {
		all, err := p.Member.Node.Attachments(t.Context(), hash)
		return err == nil && len(all) == 6 && !slices.ContainsFunc(all, func(a schakel.Attachment) bool { return a.State != schakel.AttachmentHere })
	})
	path := "/messages/" + hash
	p.look(visit{Name: "message with files", Path: path, route: "/messages/{ref}", Cookies: me, Shows: []string{"6 bijlagen", "hier.pdf", "Bewaar"}})
	p.crowded.attachments = everyState
	letter, err := p.Member.Node.Read(t.Context(), hash)
	ok(t, err)
	p.look(
		visit{Name: "message with files in all states", Path: path, route: "/messages/{ref}", Cookies: me,
			Shows: []string{"Wacht tot het komt", "40 %: 10 MB van 25 MB, 170 kB per seconde, nog 2 minuten", "Gepauzeerd", "Niet beschikbaar", "Bel de afzender", "Geweigerd"}},
		visit{Name: "case with files", Path: "/cases/" + letter.Case, route: "/cases/{ref}", Cookies: me, Shows: []string{"6 bijlagen", "komt.pdf"}},
		visit{Name: "file of another type", Path: path, route: "/messages/{ref}", fails: "/messages/{ref}/attachments/{place}", Cookies: me, Shows: []string{"De afzender noemt dit", "Bewaar het toch"},
			Steps: []step{{Status: http.StatusConflict}, {Use: `main form[action$="/attachments/4"] button`}}},
	)
	p.crowded.attachments = nil
}

// withoutFiles is the example of a class without the files that it describes.
func withoutFiles(t *testing.T, class string) []byte {
	t.Helper()
	e, err := protocol.V1().Example(class)
	ok(t, err)
	v, err := protocol.ParseValues(e.Body)
	ok(t, err)
	delete(v, "bijlagen")
	body, err := protocol.V1().Compose(class, v)
	ok(t, err)
	return body
}
