package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/desk/web/formbody"
	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

// Files are attached on a page of their own, so that no other form has to be read in pieces.
// A file is sealed while it comes in, by this daemon, and stays with the sheet of its
// message: over a lock, over a session that ends, and until the message goes.

func filesRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/sheets/{id}/files", Operation: "Attach", Who: Users, serve: (*Site).filesPage},
		{Method: "POST", Path: "/sheets/{id}/files", Operation: "Attach", Who: Users, uploads: true, serve: (*Site).attach},
		{Method: "POST", Path: "/sheets/{id}/files/removal", Operation: "DropAttached", Who: Users, serve: (*Site).detach},
	}
}

// maxUpload bounds all files that are sent at once; each is bounded by itself.
const maxUpload = message.MaxAttachment + 16<<20

// attachedFile is a file of a message that somebody is writing.
type attachedFile struct {
	Nth  int
	ID   string
	Name string // harmless; empty of a restricted case
	Type string
	Size string
	Gone bool // not on this device, or no longer: it was attached too long ago
}

// filesView is the page on which files are attached.
type filesView struct {
	ID, Back, Class string
	Field           string // what the form of the message calls them
	Help            string
	Kinds           []string
	Accept          string // for the browser's own choice of files
	Files           []attachedFile
	Most            int // that can still come
	Closed          bool
	Wrong           string // beside the field
	Name            string // of the file that was refused
	Trouble         *trouble
}

// filesOf is the page of the files of a sheet of this user.
func (s *Site) filesOf(v *visit) (*paper, filesView, error) {
	p, err := s.keptPaper(v, v.PathValue("id"))
	if err != nil {
		return nil, filesView{}, err
	}
	class, _ := s.Catalogue.Class(p.Class)
	field, ok := class.AttachmentField()
	if !ok || p.Form != "" {
		return nil, filesView{}, errNoPage
	}
	form, err := s.Catalogue.Form(p.Class)
	if err != nil {
		return nil, filesView{}, err
	}
	out := filesView{ID: p.ID, Back: p.path() + "#" + formbody.Prefix + field.Name, Class: harmless.Line(v.lang.of(form.Label)), Closed: p.closed}
	for _, f := range form.Fields {
		if f.Name == field.Name {
			out.Field, out.Help = harmless.Line(v.lang.of(f.Label)), harmless.Line(v.lang.of(f.Help))
		}
	}
	for i, kind := range field.MediaTypes {
		out.Kinds = append(out.Kinds, v.lang.kind(kind))
		if out.Accept += kind; i < len(field.MediaTypes)-1 {
			out.Accept += ","
		}
	}
	if out.Files, err = s.attachedFiles(v, p); err != nil {
		return nil, filesView{}, err
	}
	if out.Most = 1 - len(p.Attached); field.Many {
		out.Most = message.MaxAttachments - len(p.Attached)
	}
	return p, out, nil
}

// attachedFiles are the files of a paper, and whether each is still there.
func (s *Site) attachedFiles(v *visit, p *paper) (out []attachedFile, err error) {
	if len(p.Attached) == 0 {
		return nil, nil
	}
	here, err := v.node.AttachedFiles(v.Context())
	if err != nil {
		return nil, err
	}
	for i, f := range p.Attached {
		row := attachedFile{Nth: i + 1, ID: f.ID, Name: harmless.Line(f.Name), Type: v.lang.kind(f.MediaType), Size: v.lang.size(f.Bytes),
			Gone: !slices.ContainsFunc(here, func(x schakel.Attached) bool { return x.ID == f.ID })}
		if p.closed {
			row.Name = ""
		}
		out = append(out, row)
	}
	return out, nil
}

func (s *Site) filesPage(v *visit) (answer, error) {
	_, view, err := s.filesOf(v)
	return answer{page: "files", title: "title.files", shows: view}, err
}

// attach seals the files of a form one by one while they come. Each that came in whole
// stays, whatever becomes of the next one.
func (s *Site) attach(v *visit) (answer, error) {
	p, view, err := s.filesOf(v)
	if err != nil {
		return answer{}, err
	}
	class, _ := s.Catalogue.Class(p.Class)
	field, _ := class.AttachmentField()
	v.Body = desk.SlowBody(v.w, v.Request, pieceTime)
	name := ""
	taken, err := formbody.Files(v.Request, "file", max(view.Most, 0), func(called string, content io.Reader) error {
		name = called
		f, err := v.node.Attach(v.Context(), called, "", content)
		if err != nil {
			return err
		}
		if !slices.Contains(field.MediaTypes, f.MediaType) {
			return errors.Join(fmt.Errorf("%w: %s", schakel.ErrMediaType, f.MediaType), v.node.DropAttached(v.Context(), f.ID))
		}
		return s.changeFiles(v, p.ID, func(p *paper) { p.Attached = append(p.Attached, f) })
	})
	if err == nil && taken > 0 {
		return answer{goTo: "/sheets/" + url.PathEscape(p.ID) + "/files"}, nil
	}
	_, view, again := s.filesOf(v)
	if again != nil {
		return answer{}, again
	}
	view.Name = harmless.Line(name)
	status := view.refuse(v.lang, err)
	if status == 0 {
		return answer{}, err
	}
	return answer{page: "files", title: "title.files-again", status: status, shows: view}, nil
}

// refuse says beside the field why a file was not taken; 0 where that is no matter of the file.
func (f *filesView) refuse(l language, err error) (status int) {
	switch {
	case err == nil:
		f.Wrong = l.word("files.none-chosen")
	case errors.Is(err, schakel.ErrMediaType):
		f.Wrong = l.word("files.wrong-type")
	case errors.Is(err, schakel.ErrAttachedName):
		f.Wrong = l.word("files.wrong-name")
	case errors.Is(err, formbody.ErrMany):
		f.Wrong, f.Name = l.word("files.too-many"), ""
	case errors.Is(err, schakel.ErrTooLarge):
		f.Wrong = l.word("files.too-large")
	case errors.Is(err, formbody.ErrUpload):
		f.Wrong = l.word("files.cut-off")
	default:
		t, status := troubleOf(err, l)
		if status >= http.StatusInternalServerError {
			return 0
		}
		f.Trouble = &t
		return status
	}
	return http.StatusUnprocessableEntity
}

// changeFiles changes the files of a kept sheet. Its text may be kept again meanwhile, by a
// page that knows nothing of them.
func (s *Site) changeFiles(v *visit, id string, change func(*paper)) error {
	ctx := context.WithoutCancel(v.Context()) // it is sealed: that the browser left must not lose it
	defer s.Sheets.Hold(v.user.ID, id+filesHold)()
	kept, err := s.Sheets.Get(ctx, v.user.ID, id)
	if err != nil {
		return err
	}
	p, err := paperOf(kept)
	if err != nil {
		return err
	}
	change(p)
	return s.keepAs(ctx, v.user.ID, p)
}

// filesHold tells a hold of the files of a sheet from one of the sheet.
const filesHold = "/files"

// withFiles gives a paper the files that its sheet has: a form says nothing of them.
func (s *Site) withFiles(ctx context.Context, user string, p *paper) error {
	kept, err := s.Sheets.Get(ctx, user, p.ID)
	if errors.Is(err, sheets.ErrNone) || err == nil && len(kept.Text) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	has, err := paperOf(kept)
	if err == nil {
		p.Attached = has.Attached
	}
	return err
}

// detach takes a file away.
func (s *Site) detach(v *visit) (answer, error) {
	p, _, err := s.filesOf(v)
	if err != nil {
		return answer{}, err
	}
	id := v.PostFormValue("file")
	if !slices.ContainsFunc(p.Attached, func(f schakel.Attached) bool { return f.ID == id }) {
		return answer{}, schakel.ErrNoAttachment
	}
	err = s.changeFiles(v, p.ID, func(p *paper) {
		p.Attached = slices.DeleteFunc(p.Attached, func(f schakel.Attached) bool { return f.ID == id })
	})
	if err == nil {
		err = s.forgetFiles(v, []string{id})
	}
	return answer{goTo: "/sheets/" + url.PathEscape(p.ID) + "/files"}, err
}

// forgetFiles deletes sealed files that nothing needs any more. One that is gone already is
// no matter, and neither is one that a message has.
func (s *Site) forgetFiles(v *visit, ids []string) error {
	for _, id := range ids {
		if err := v.node.DropAttached(v.Context(), id); err != nil && !errors.Is(err, schakel.ErrNoAttachment) {
			return err
		}
	}
	return nil
}

// describe has the values of a form say which files come with it.
func (p *paper) describe(class protocol.Class, values protocol.Values) {
	field, ok := class.AttachmentField()
	if !ok || len(p.Attached) == 0 {
		return
	}
	var all []any
	for _, f := range p.Attached {
		all = append(all, protocol.Values{"naam": f.Name, "mediatype": f.MediaType, "bytes": int(f.Bytes), "sha256": f.SHA256})
	}
	if values[field.Name] = all; !field.Many {
		values[field.Name] = all[0]
	}
}

// attachedIDs are the files of a paper as a draft names them.
func (p *paper) attachedIDs() (ids []string) {
	for _, f := range p.Attached {
		ids = append(ids, f.ID)
	}
	return ids
}

// kind is what people call a type of file.
func (l language) kind(mediaType string) string {
	switch mediaType {
	case "application/pdf", "image/jpeg", "image/png", "text/plain":
		return l.word("kind." + mediaType)
	}
	return harmless.Line(mediaType)
}

// size is a number of bytes as people say it.
func (l language) size(bytes uint64) string {
	unit, names := 1.0, []string{"bytes", "kB", "MB", "GB"}
	i := 0
	for float64(bytes) >= 1000*unit && i < len(names)-1 {
		unit *= 1000
		i++
	}
	n := float64(bytes) / unit
	switch {
	case i == 0 || n >= 10:
		return fmt.Sprintf("%.0f %s", n, names[i])
	case l == dutch:
		return fmt.Sprintf("%d,%d %s", int(n), int(n*10)%10, names[i])
	}
	return fmt.Sprintf("%d.%d %s", int(n), int(n*10)%10, names[i])
}
