package protocol_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"schakel/clients/protocol"
	"schakel/crypto/message"
)

func file(name string) protocol.AttachedFile {
	return protocol.AttachedFile{Name: name, MediaType: "application/pdf", Bytes: 1234, SHA256: "sha256:" + strings.Repeat("ab", 32)}
}

func attached(files ...protocol.AttachedFile) (out []message.Attachment) {
	for _, f := range files {
		out = append(out, message.Attachment{Name: f.Name, MediaType: f.MediaType, Size: f.Bytes})
	}
	return out
}

// TestAttachmentFields closes over the catalogue: the classes that carry files are these.
func TestAttachmentFields(t *testing.T) {
	want := map[string]string{"melding": "bijlagen", "advies": "bijlagen", "informatieantwoord": "bijlagen", "strafbaar-feit-melding": "bijlagen",
		"overdracht": "dossierBijlagen", "reisdocumentverzoek": "toestemmingBewijs", "verificatieverzoek": "aangereiktBewijs"}
	for _, class := range protocol.V1().Classes() {
		f, ok := class.AttachmentField()
		if f.Name != want[class.Name] || ok != (want[class.Name] != "") {
			t.Errorf("%s: %+v, %t", class.Name, f, ok)
		}
		if ok && (f.Many != (class.Name != "reisdocumentverzoek") || !slices.Equal(f.MediaTypes, []string{"application/pdf", "image/jpeg", "image/png", "text/plain"})) {
			t.Errorf("%s: %+v", class.Name, f)
		}
	}
}

// TestAttachmentsCorrespond: for every class that carries files, what is described is
// attached and the other way round, in order; the control of each refusal is the honest one.
func TestAttachmentsCorrespond(t *testing.T) {
	c := protocol.V1()
	for _, class := range c.Classes() {
		field, ok := class.AttachmentField()
		if !ok {
			continue
		}
		files := []protocol.AttachedFile{file("een.pdf"), file("twee.pdf")}
		if !field.Many {
			files = files[:1]
		}
		d := exampleDraft(t, class.Name)
		if len(d.Attachments) > 0 { // its example has one already
			d.Body = edited(t, d.Body, func(o map[string]any) { delete(o, field.Name) })
		}
		body, err := c.WithFiles(class.Name, d.Body, files)
		if err != nil {
			t.Fatalf("%s: %v", class.Name, err)
		}
		if !slices.Equal(c.FilesIn(class.Name, body), files) {
			t.Errorf("%s: the body describes %+v", class.Name, c.FilesIn(class.Name, body))
		}
		again, err := c.WithFiles(class.Name, body, files)
		if err != nil || string(again) != string(body) {
			t.Errorf("%s: described twice: %v", class.Name, err)
		}
		plain := d.Body
		d.Body, d.Attachments = body, attached(files...)
		if err := check(d); err != nil {
			t.Errorf("%s: %v", class.Name, err)
		}
		for name, change := range map[string]func(*protocol.Draft){
			"a file that nobody described": func(d *protocol.Draft) { d.Body = plain },
			"a description without a file": func(d *protocol.Draft) { d.Attachments = nil },
			"one file more":                func(d *protocol.Draft) { d.Attachments = append(d.Attachments, attached(file("drie.pdf"))...) },
			"E07 another name":             func(d *protocol.Draft) { d.Attachments[0].Name = "een.exe" },
			"another media type":           func(d *protocol.Draft) { d.Attachments[0].MediaType = "image/png" },
			"another size":                 func(d *protocol.Draft) { d.Attachments[0].Size++ },
			"a media type outside of the class": func(d *protocol.Draft) {
				d.Attachments[0].MediaType = "application/zip"
				d.Body = []byte(strings.ReplaceAll(string(body), "application/pdf", "application/zip"))
			},
		} {
			broken := d
			broken.Attachments = slices.Clone(d.Attachments)
			change(&broken)
			if r := refusal(t, check(broken)); r.Rule != protocol.RuleAttachments && r.Rule != protocol.RuleSchema {
				t.Errorf("%s, %s: refused by %s", class.Name, name, r.Rule)
			}
		}
	}
}

// TestWithFilesRefuses: what a class cannot carry, and a body that speaks of other files.
func TestWithFilesRefuses(t *testing.T) {
	c := protocol.V1()
	two := []protocol.AttachedFile{file("een.pdf"), file("twee.pdf")}
	described, err := c.WithFiles("melding", []byte(`{}`), two)
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() ([]byte, error){
		"a class without files":     func() ([]byte, error) { return c.WithFiles("signaal", []byte(`{}`), two) },
		"two where one goes":        func() ([]byte, error) { return c.WithFiles("reisdocumentverzoek", []byte(`{}`), two) },
		"other files are described": func() ([]byte, error) { return c.WithFiles("melding", described, two[:1]) },
		"no body":                   func() ([]byte, error) { return c.WithFiles("melding", nil, two) },
		"no class":                  func() ([]byte, error) { return c.WithFiles("oproep", []byte(`{}`), two) },
	} {
		if _, err := try(); !errors.Is(err, protocol.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, body := range []string{"{}", "{ }", "{\n}", `{"a":1}`, "{\"a\":\"}\" \n}\n"} {
		got, err := c.WithFiles("melding", []byte(body), two)
		if err != nil || len(c.FilesIn("melding", got)) != 2 {
			t.Errorf("%q becomes %q: %v", body, got, err)
		}
	}
}
