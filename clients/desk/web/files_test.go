package web_test

import (
	"bytes"
	"crypto/rand"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"schakel/clients/casefile"
	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// pdf is a file that begins like one.
func pdf(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b) // never fails
	return append([]byte("%PDF-1.7\n"), b...)
}

// chosen is a file that somebody chose in a form.
type chosen struct {
	name    string
	content []byte
}

// uploads sends files as a browser does.
func uploads(t *testing.T, b *webtest.Browser, base, path string, files ...chosen) webtest.Reply {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, f := range files {
		part, err := w.CreateFormFile("file", f.name)
		if err == nil {
			_, err = part.Write(f.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+path, &body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Origin", base)
	return b.Send(r)
}

var attachedFile = regexp.MustCompile(`name="file" value="([0-9a-f]{64})"`)

// TestAttachAndSave: files are attached over a lock, named on the check page, sent, and
// saved by the other side as they were.
func TestAttachAndSave(t *testing.T) {
	s := newScriptorium(t, webtest.Options{})
	const class = "/compose/melding"
	base := fields(s.Get(class))
	say := with(with(base, example(t, "melding")), url.Values{"urgency": {"spoed"}, "to": {string(s.police.Desk)}})
	to := location(s.Post(class, with(say, url.Values{"do": {"files"}})))
	if !strings.HasPrefix(to, "/sheets/") || !strings.HasSuffix(to, "/files") {
		t.Fatalf("the button leads to %q", to)
	}
	contains(t, s.Get(to), "Er zijn nog geen bestanden", "Schakel zoekt niet naar virussen", "Een foto kan zeggen waar zij gemaakt is", `accept="application/pdf,image/jpeg,image/png,text/plain"`, " multiple")
	one, two := pdf(200_000), []byte("gewone tekst van een getuige")
	if a := uploads(t, s.Browser, s.Base, to, chosen{"brief.pdf", one}, chosen{`C:\Users\x\getuige.txt`, two}); a.Status != http.StatusSeeOther {
		t.Fatalf("attaching: %d\n%s", a.Status, a.Body)
	}
	contains(t, s.Get(to), "brief.pdf", "pdf, 200 kB", "getuige.txt", "gewone tekst, 28 bytes")
	s.Browser.Post("/lock", nil)
	if a := uploads(t, s.Browser, s.Base, to, chosen{"anders.pdf", pdf(10)}); strings.Contains(a.Body, "anders") || location(a) == to {
		t.Errorf("attached through the lock: %d", a.Status)
	}
	s.Browser.Post("/unlock", url.Values{"pin": {schakeltest.PIN}})
	uploads(t, s.Browser, s.Base, to, chosen{"fout.pdf", pdf(10)})
	page := s.Get(to)
	ids := attachedFile.FindAllStringSubmatch(page.Body, -1)
	if len(ids) != 3 {
		t.Fatalf("%d files", len(ids))
	}
	if a := s.Browser.Post(to+"/removal", url.Values{"file": {ids[2][1]}}); location(a) != to {
		t.Errorf("taking one out: %d", a.Status)
	}
	whole := s.Post(class, with(say, url.Values{"do": {"check"}, "v.feiten": {"Een andere tekst."}}))
	check := location(whole)
	if check == "" {
		t.Fatalf("the form came back: %d\n%.8000s", whole.Status, whole.Body)
	}
	contains(t, s.Get(check), "Er gaan 2 bestanden mee", "brief.pdf", "pdf, 200 kB", "Schakel haalt dat niet weg", "Een andere tekst.")
	sent := location(s.Post(class+"/check", with(fields(s.Get(check)), url.Values{"do": {"send"}, "pin": {schakeltest.PIN}, "sure": {string(s.police.Desk)}})))
	if !strings.HasSuffix(sent, "/sent") {
		t.Fatalf("sent: %q\n%s", sent, s.Get(check).Body)
	}
	s.Until("the police has both files", func() bool {
		all := s.inbox()
		if len(all) == 0 {
			return false
		}
		got, err := s.police.Node.Attachments(t.Context(), all[0].Hash)
		return err == nil && len(got) == 2 && got[0].State == schakel.AttachmentHere && got[1].State == schakel.AttachmentHere
	})
	var out bytes.Buffer
	if _, err := s.police.Node.SaveAttachment(t.Context(), s.inbox()[0].Hash, 1, schakel.Saving{}, &out); err != nil || !bytes.Equal(out.Bytes(), one) {
		t.Errorf("the police has other bytes: %v", err)
	}
	s.Until("the police said that it has them", func() bool {
		return strings.Contains(s.Get(strings.TrimSuffix(sent, "/sent")).Body, "heeft alle bestanden sinds")
	})
	contains(t, s.Get(strings.TrimSuffix(sent, "/sent")), "2 bijlagen", "Bewaar")
	s.Until("the page says that the relay has them", func() bool {
		return strings.Contains(s.Get(strings.TrimSuffix(sent, "/sent")).Body, "Bij de relay")
	})
	contains(t, s.Get("/drafts"), "U bent met niets bezig")
}

// withFile has the doctor send a message with one file.
func withFile(t *testing.T, o *webtest.Office, name string, content []byte) (hash string) {
	t.Helper()
	f, err := o.Doctor.Node.Attach(t.Context(), name, "", bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return o.Report(func(d *schakel.Draft) {
		d.Class, d.Attachments = "melding", []string{f.ID}
		d.Body = meldingBody(t)
	})
}

// TestSavingIsHarmless: a file leaves as a download that nothing opens, under a name of
// ours, and who saved it is in the access log.
func TestSavingIsHarmless(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	content := pdf(50_000)
	hash := withFile(t, o, "<script>alert(1)<script>.exe.pdf", content)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	o.Until("the file is here", func() bool { return strings.Contains(b.Get("/messages/"+hash).Body, ">Hier<") })
	page := b.Get("/messages/" + hash)
	contains(t, page, "1 bijlage", "&lt;script&gt;", "Schakel zoekt niet naar virussen")
	path := "/messages/" + hash + "/attachments/1"
	a := b.Post(path, nil)
	if a.Status != http.StatusOK || a.Body != string(content) {
		t.Fatalf("saving: %d, %d bytes", a.Status, len(a.Body))
	}
	for name, want := range map[string]string{"Content-Disposition": `attachment; filename="bijlage-1-` + hash[:8] + `.pdf"`, "Content-Type": "application/pdf", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "no-store"} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	var dossier bytes.Buffer // and it goes along with the case
	if err := o.Member.Node.ExportCase(t.Context(), hash, schakel.By{}, &dossier); err != nil {
		t.Fatal(err)
	}
	if r := casefile.Verify(dossier.Bytes(), casefile.Options{}); !r.Sound || !r.Complete || len(r.Messages) == 0 || len(r.Messages[0].Attachments) != 1 || r.Messages[0].Attachments[0].File == "" {
		t.Errorf("the file of the case: sound %v, complete %v, %+v %+v", r.Sound, r.Complete, r.Faults, r.Absent)
	}
	log, err := o.Member.Node.Log(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	noted := 0
	for _, l := range log.Lines {
		if l.Action == "web-attachment-saved" && l.Person == o.Person.Name {
			noted++
		}
	}
	if noted != 1 {
		t.Errorf("the access log has %d lines of who saved it", noted)
	}
	for _, wrong := range []string{"0", "2", "65", "x", "-1", "1.0"} {
		if a := b.Post("/messages/"+hash+"/attachments/"+wrong, nil); a.Status != http.StatusNotFound {
			t.Errorf("attachment %s: %d", wrong, a.Status)
		}
	}
	if a := o.User("Beheer", desk.RoleKeeper).Post(path, nil); a.Status != http.StatusForbidden || strings.Contains(a.Body, "%PDF") {
		t.Errorf("a keeper: %d", a.Status)
	}
}

// TestMovingAFile: paused and gone on with from the page.
func TestMovingAFile(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b := o.User("P. Iket", desk.RoleCaseWorker)
	hash := withFile(t, o, "brief.pdf", pdf(50_000))
	path := "/messages/" + hash + "/attachments/1/transfer"
	for _, act := range []string{"pause", "resume", "fetch"} {
		if a := b.Post(path, url.Values{"act": {act}}); location(a) != "/messages/"+hash+"#attachments" {
			t.Errorf("%s: %d", act, a.Status)
		}
	}
	o.Until("the file is here", func() bool { return strings.Contains(b.Get("/messages/"+hash).Body, ">Hier<") })
	if a := b.Post(path, url.Values{"act": {"explode"}}); a.Status < 400 {
		t.Errorf("an act that is none: %d", a.Status)
	}
}

// TestHostileUploads: each is refused beside its field, and what came in before it stays.
func TestHostileUploads(t *testing.T) {
	s := newScriptorium(t, webtest.Options{})
	base := fields(s.Get("/compose/melding"))
	to := location(s.Post("/compose/melding", with(base, url.Values{"do": {"files"}})))
	for what, c := range map[string]struct {
		files []chosen
		says  string
	}{
		"nothing chosen":  {nil, "Kies eerst een bestand"},
		"an empty choice": {[]chosen{{"", nil}}, "Kies eerst een bestand"},
		"a program":       {[]chosen{{"brief.pdf", []byte("MZ\x90\x00\x03\x00\x00\x00")}}, "Dit soort bestand kan niet mee"},
		"a page":          {[]chosen{{"brief.pdf", []byte("<html><script>alert(1)</script>")}}, "Dit soort bestand kan niet mee"},
		"a name too long": {[]chosen{{strings.Repeat("x", 300) + ".pdf", pdf(1)}}, "hoogstens 200 tekens"},
	} {
		a := uploads(t, s.Browser, s.Base, to, c.files...)
		if a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, c.says) || strings.Contains(a.Body, "<script>alert") {
			t.Errorf("%s: %d\n%.3000s", what, a.Status, a.Body)
		}
	}
	if a := s.Browser.Post(to, url.Values{"file": {"x"}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a form without files: %d", a.Status)
	}
	if a := uploads(t, s.User("N. Ander", desk.RoleCaseWorker), s.Base, to, chosen{"brief.pdf", pdf(1)}); a.Status != http.StatusNotFound {
		t.Errorf("to the sheet of another user: %d", a.Status)
	}
	if a := uploads(t, s.Browser, s.Base, to, make65()...); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "Zoveel bestanden") {
		t.Errorf("too many at once: %d", a.Status)
	}
	if n := strings.Count(s.Get(to).Body, `name="file" value=`); n != 64 {
		t.Errorf("%d files stayed, want the 64 that came in whole", n)
	}
}

// TestBrokenUploads: a form with files that is no such form is refused in words, and no file
// stays of which the end did not come.
func TestBrokenUploads(t *testing.T) {
	s := newScriptorium(t, webtest.Options{})
	to := location(s.Post("/compose/melding", with(fields(s.Get("/compose/melding")), url.Values{"do": {"files"}})))
	const part = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"brief.pdf\"\r\n\r\n%PDF-1.7\nabc"
	files := 0
	for _, c := range []struct {
		what, kind, body string
		status, files    int
	}{
		{"control", "; boundary=x", part + "\r\n--x--\r\n", http.StatusSeeOther, 1},
		{"no end", "; boundary=x", part, http.StatusUnprocessableEntity, 0},
		{"half an end", "; boundary=x", part + "\r\n--", http.StatusUnprocessableEntity, 0},
		{"a second one without end", "; boundary=x", part + "\r\n" + part, http.StatusUnprocessableEntity, 1},
		{"no boundary", "", part + "\r\n--x--\r\n", http.StatusUnprocessableEntity, 0},
		{"a boundary without end", "; boundary=" + strings.Repeat("y", 5000), part + "\r\n--x--\r\n", http.StatusUnprocessableEntity, 0},
		{"two names", "; boundary=x", strings.Replace(part, `filename="brief.pdf"`, `filename="brief.pdf"; filename="brief.exe"`, 1) + "\r\n--x--\r\n", http.StatusUnprocessableEntity, 0},
		{"a name that paints", "; boundary=x", strings.Replace(part, "brief.pdf", "b\x1b[2J\u202efdp.exe", 1) + "\r\n--x--\r\n", http.StatusUnprocessableEntity, 0},
		{"many fields", "; boundary=x", strings.Repeat("--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n\r\n", 200) + part + "\r\n--x--\r\n", http.StatusUnprocessableEntity, 0},
	} {
		r := request(t, http.MethodPost, s.Base+to, c.body)
		r.Header.Set("Content-Type", "multipart/form-data"+c.kind)
		a := s.Send(r)
		files += c.files
		if n := strings.Count(s.Get(to).Body, `name="file" value=`); a.Status != c.status || n != files {
			t.Errorf("%s: %d, %d files, want %d and %d", c.what, a.Status, n, c.status, files)
		}
	}
}

func make65() (all []chosen) {
	for range 65 {
		all = append(all, chosen{"x.pdf", pdf(1)})
	}
	return all
}

// meldingBody is the example of a melding without the file that it describes.
func meldingBody(t *testing.T) []byte {
	t.Helper()
	e, err := protocol.V1().Example("melding")
	if err != nil {
		t.Fatal(err)
	}
	v, err := protocol.ParseValues(e.Body)
	if err != nil {
		t.Fatal(err)
	}
	delete(v, "bijlagen")
	body, err := protocol.V1().Compose("melding", v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestSavingOfARestrictedCase: the PIN of somebody who may read it, each time; without it
// neither the file nor its name.
func TestSavingOfARestrictedCase(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	content := pdf(5_000)
	hash := withFile(t, o, "geheim.pdf", content)
	o.Until("the file is here", func() bool {
		all, err := o.Member.Node.Attachments(t.Context(), hash)
		return err == nil && len(all) == 1 && all[0].State == schakel.AttachmentHere
	})
	glass := schakel.By{Person: o.Person.Name, PIN: schakeltest.PIN, Glass: "zes woorden in de kluis van het bureau"}
	other := o.Member.AddPerson("A. Nnie")
	o.Until("the case can be restricted", func() bool {
		_, err := o.Member.Node.Restrict(t.Context(), hash, []string{o.Person.Name, other.Name}, glass)
		return err == nil
	})
	b := o.User("P. Iket", desk.RoleCaseWorker)
	path := "/messages/" + hash + "/attachments/1"
	for what, form := range map[string]url.Values{"no PIN": nil, "a wrong PIN": {"pin": {"000000"}}} {
		if a := b.Post(path, form); a.Status != http.StatusForbidden || strings.Contains(a.Body, "%PDF") || strings.Contains(a.Body, "geheim.pdf") {
			t.Errorf("%s: %d\n%s", what, a.Status, a.Body)
		}
	}
	if page := b.Get("/messages/" + hash); strings.Contains(page.Body, "geheim.pdf") {
		t.Error("the page names the file without the PIN")
	}
	contains(t, b.Post("/messages/"+hash, url.Values{"pin": {schakeltest.PIN}}), "geheim.pdf", `id="pin-1"`)
	if a := b.Post(path, url.Values{"pin": {schakeltest.PIN}}); a.Status != http.StatusOK || a.Body != string(content) {
		t.Errorf("with the PIN: %d", a.Status)
	}
	if a := o.User("N. Ander", desk.RoleCaseWorker).Post(path, url.Values{"pin": {schakeltest.PIN}}); a.Status != http.StatusForbidden || strings.Contains(a.Body, "%PDF") {
		t.Errorf("somebody else: %d", a.Status)
	}
}
