package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"schakel/clients/casefile"
	"schakel/clients/desk"
	"schakel/clients/desk/signin"
	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

func attachmentRoutes() []Route {
	return []Route{
		{Method: "POST", Path: "/messages/{ref}/attachments/{place}", Operation: "SaveAttachment", Who: Users, serve: (*Site).saveAttachment},
		{Method: "POST", Path: "/messages/{ref}/attachments/{place}/transfer", Operation: "MoveAttachment", Who: Users, serve: (*Site).moveAttachment},
	}
}

// attachmentRow is a file of a message, and how far it is.
type attachmentRow struct {
	Place    int
	Name     string // as its sender calls it, harmless
	Type     string
	Size     string
	State    string // in words
	Progress string // bytes of bytes, how fast and how long still, or why it stands still
	Percent  int    // of what came; -1: nothing moves
	Remedy   string
	Bad      bool
	Here     bool // it can be saved
	Fetch    bool // it can be tried now
	Pause    bool
	Resume   bool
}

// attachmentRows are the files of a message as its page shows them.
func (l language) attachmentRows(all []schakel.Attachment) (out []attachmentRow) {
	for _, a := range all {
		out = append(out, l.attachmentRow(a))
	}
	return out
}

func (l language) attachmentRow(a schakel.Attachment) attachmentRow {
	row := attachmentRow{Place: a.Place, Name: harmless.Line(a.Name), Type: l.kind(a.MediaType), Size: l.size(a.Bytes), Percent: -1,
		State: l.word("attachment." + string(a.State))}
	if a.Outgoing {
		row.State = l.word("attachment-out." + string(a.State))
	}
	if a.Length > 0 && (a.State == schakel.AttachmentMoving || a.State == schakel.AttachmentPaused && a.Done > 0) {
		row.Percent = int(float64(a.Done) / float64(a.Length) * 100)
	}
	row.Progress = l.pace(a, row.Percent)
	switch a.State {
	case schakel.AttachmentHere, schakel.AttachmentAtRelay:
		row.Here = true
	case schakel.AttachmentWaiting:
		row.Fetch, row.Pause = true, true
	case schakel.AttachmentMoving:
		row.Pause = true
	case schakel.AttachmentPaused:
		row.Resume = true
	case schakel.AttachmentUnavailable, schakel.AttachmentRefused:
		row.Bad, row.Fetch = true, true
		row.Remedy = l.word("attachment.remedy-" + string(a.State))
		if a.Outgoing {
			row.Remedy = l.word("attachment.remedy-out")
		}
	}
	row.Here = row.Here || a.Outgoing // its own device kept it
	return row
}

// pace says how much of a file moved, how fast it goes and how long it still takes; of one
// that stands still, why.
func (l language) pace(a schakel.Attachment, percent int) string {
	var said []string
	if percent >= 0 {
		said = append(said, l.word("attachment.progress", percent, l.size(a.Done), l.size(a.Length)))
	}
	moves, waits := a.State == schakel.AttachmentMoving, a.State == schakel.AttachmentWaiting || a.State == schakel.AttachmentUnavailable
	switch {
	case moves && a.Rate > 0:
		said = append(said, l.word("attachment.rate", l.size(a.Rate)))
		if a.Left > 0 {
			said = append(said, l.word("attachment.left", l.lasts(a.Left)))
		}
	case (moves || waits) && a.Trouble != "":
		said = append(said, l.word("attachment.trouble-"+a.Trouble))
	}
	return strings.Join(said, ", ")
}

// withoutFiles is what a body says without what it says of its files: those stand in a list
// of their own, and a page of hashes hides what matters.
func (s *Site) withoutFiles(l language, class string, said []casefile.Said) []casefile.Said {
	form, err := s.Catalogue.Form(class)
	k, _ := s.Catalogue.Class(class)
	field, ok := k.AttachmentField()
	i := slices.IndexFunc(form.Fields, func(f protocol.Field) bool { return f.Name == field.Name })
	if err != nil || !ok || i < 0 {
		return said
	}
	label := harmless.Line(l.of(form.Fields[i].Label))
	return slices.DeleteFunc(said, func(x casefile.Said) bool { return x.Label == label })
}

// place is the attachment that an address names.
func (v *visit) place() (int, error) {
	n, err := strconv.Atoi(v.PathValue("place"))
	if err != nil || n < 1 || n > message.MaxAttachments {
		return 0, errNoPage
	}
	return n, nil
}

// otherType is the page of a file that is not what its sender says.
type otherType struct {
	Ref    string
	Place  int
	Name   string
	Says   string
	Signer string // of a restricted case: asks the PIN again
}

// saveAttachment hands a file out as a download, once all of it proved to be what its
// message names. Nothing of it is shown here, and its name there is a number: what a
// partner called it is on the page. Who saved it is noted before the first byte.
func (s *Site) saveAttachment(v *visit) (answer, error) {
	place, err := v.place()
	if err != nil {
		return answer{}, err
	}
	how := schakel.Saving{Anyway: v.PostFormValue("anyway") != ""}
	if v.PostFormValue("pin") != "" {
		how.By = v.by()
	}
	all, err := v.node.Attachments(v.Context(), v.PathValue("ref"), how.By)
	if errors.Is(err, schakel.ErrPIN) || errors.Is(err, schakel.ErrRestricted) {
		return s.notSavedAttachment(v, errors.Is(err, schakel.ErrPIN))
	}
	if err == nil && place > len(all) {
		err = fmt.Errorf("%w: %d", schakel.ErrNoAttachment, place)
	}
	if err != nil {
		return answer{}, err
	}
	a := all[place-1]
	file := downloaded(v, attachmentFile(a), mediaType(a))
	out := &noting{to: file, note: func() error {
		return s.Door.Did(v.Context(), v.user, signin.ActSaved, a.Message)
	}}
	_, err = v.node.SaveAttachment(v.Context(), a.Message, place, how, out)
	switch {
	case err == nil && !file.Begun(): // it is empty
		_, err = out.Write(nil)
	case err == nil:
	case file.Begun():
		file.CutOff()
	case errors.Is(err, schakel.ErrMediaType):
		page := otherType{Ref: a.Message, Place: place, Name: harmless.Line(a.Name), Says: v.lang.kind(a.MediaType)}
		if how.Person != "" {
			page.Signer = harmless.Line(v.user.Name)
		}
		return answer{page: "othertype", title: "title.other-type", status: http.StatusConflict, shows: page}, nil
	}
	return answer{sent: true}, err
}

// notSavedAttachment shows the message of a restricted case again: it asks the PIN.
func (s *Site) notSavedAttachment(v *visit, wrong bool) (answer, error) {
	m, err := s.read(v, schakel.By{})
	if m.Closed != nil {
		m.Closed.WrongPIN = wrong
	}
	return answer{page: "message", title: "title.message-again", status: http.StatusForbidden, shows: m}, err
}

// noting notes something before the first byte of what it is about goes out.
type noting struct {
	to   *desk.Slowly
	note func() error // nil: noted
}

func (n *noting) Write(b []byte) (int, error) {
	if n.note != nil {
		if err := n.note(); err != nil {
			return 0, err
		}
		n.note = nil
	}
	return n.to.Write(b)
}

// mediaType is what a browser hears of a file: a type that its own desk knows, or none.
func mediaType(a schakel.Attachment) string {
	if _, known := endings[a.MediaType]; known && a.MediaType != "text/plain" {
		return a.MediaType
	}
	return "application/octet-stream" // text is what browsers like best to guess about
}

var endings = map[string]string{"application/pdf": ".pdf", "image/jpeg": ".jpg", "image/png": ".png", "text/plain": ".txt"}

// attachmentFile names a file that leaves: by its place, the beginning of its message's
// hash, and its type.
func attachmentFile(a schakel.Attachment) string {
	ending, known := endings[a.MediaType]
	if !known {
		ending = ".bin"
	}
	return fmt.Sprintf("bijlage-%d-%.8s%s", a.Place, a.Message, ending)
}

// moveAttachment has a file tried now, paused, or gone on with.
func (s *Site) moveAttachment(v *visit) (answer, error) {
	place, err := v.place()
	if err != nil {
		return answer{}, err
	}
	ref := v.PathValue("ref")
	act := schakel.MoveAct(v.PostFormValue("act"))
	return answer{goTo: "/messages/" + url.PathEscape(ref) + "#attachments"}, v.node.MoveAttachment(v.Context(), ref, place, act)
}
