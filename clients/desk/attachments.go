package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/crypto/seal"
)

// Files attaches files to messages, and hands out those that came. See the methods of
// schakel.Node for what each refuses.
type Files interface {
	Attach(ctx context.Context, name, mediaType string, content io.Reader) (schakel.Attached, error)
	AttachedFiles(ctx context.Context) ([]schakel.Attached, error)
	DropAttached(ctx context.Context, id string) error
	Attachments(ctx context.Context, ref string, by ...schakel.By) ([]schakel.Attachment, error)
	// SaveAttachment writes the content to w. What w got before an error must be thrown away.
	SaveAttachment(ctx context.Context, ref string, place int, how schakel.Saving, w io.Writer) (schakel.Attachment, error)
	MoveAttachment(ctx context.Context, ref string, place int, act schakel.MoveAct) error
}

// ErrFileCut is wrapped when the content of an attachment did not come over whole.
var ErrFileCut = errors.New("the attachment was cut short: nothing of it is worth keeping")

const (
	// trailerFile says what was saved, or trailerProblem why not, after the content: a body
	// without either is not whole.
	trailerFile    = "Schakel-Attachment"
	trailerProblem = "Schakel-Problem"
	// fileTime bounds each piece of a file on its way.
	fileTime = time.Minute
)

func (s *Service) fileRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/attachments", s.attach)
	mux.HandleFunc("GET /v1/attachments", answer(func(r *http.Request) ([]schakel.Attached, error) { return s.node.AttachedFiles(r.Context()) }))
	mux.HandleFunc("DELETE /v1/attachments/{id}", answer(func(r *http.Request) (struct{}, error) {
		return struct{}{}, s.node.DropAttached(r.Context(), r.PathValue("id"))
	}))
	mux.HandleFunc("POST /v1/messages/{ref}/attachments", answer(s.attachments))
	mux.HandleFunc("POST /v1/messages/{ref}/attachments/{place}/content", s.saveAttachment)
	mux.HandleFunc("POST /v1/messages/{ref}/attachments/{place}/move", answer(s.moveAttachment))
}

// attach takes the file itself, of any size, a piece at a time.
func (s *Service) attach(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	q := r.URL.Query()
	file, err := s.node.Attach(r.Context(), q.Get("name"), q.Get("type"), SlowBody(w, r, fileTime))
	_ = control.SetReadDeadline(time.Now().Add(readTimeout))
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, "application/json", file)
}

func (s *Service) attachments(r *http.Request) ([]schakel.Attachment, error) {
	by, err := decode[schakel.By](r)
	if err != nil {
		return nil, err
	}
	return s.node.Attachments(r.Context(), r.PathValue("ref"), by)
}

func placeOf(r *http.Request) (int, error) {
	place, err := strconv.Atoi(r.PathValue("place"))
	if err != nil || place < 0 {
		return 0, fmt.Errorf("%w: the place of an attachment is a number", ErrRequest)
	}
	return place, nil
}

// moving is what a person has done with an attachment.
type moving struct {
	Act schakel.MoveAct `json:"act"`
}

func (s *Service) moveAttachment(r *http.Request) (struct{}, error) {
	place, err := placeOf(r)
	if err != nil {
		return struct{}{}, err
	}
	in, err := decode[moving](r)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.node.MoveAttachment(r.Context(), r.PathValue("ref"), place, in.Act)
}

// saveAttachment answers with the content itself. Why it broke off stands behind it.
func (s *Service) saveAttachment(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	how, err := decode[schakel.Saving](r)
	place, bad := placeOf(r)
	if err = errors.Join(err, bad); err != nil {
		refuse(w, err)
		return
	}
	stream(w, func(to io.Writer) (any, error) {
		return s.node.SaveAttachment(r.Context(), r.PathValue("ref"), place, how, to)
	})
}

// stream answers with a file that write gives, and behind it with what write says of it.
func stream(w http.ResponseWriter, write func(io.Writer) (any, error)) {
	h := w.Header()
	// Saving reads the whole file before its first byte is answered.
	out := NewSlowly(w, backupTime, func(h http.Header) {
		h.Set("Content-Type", "application/octet-stream")
		h.Set("API-Version", APIVersion)
		h.Set("Cache-Control", "no-store")
		h.Set("Trailer", trailerFile+", "+trailerProblem)
	})
	said, err := write(out)
	if err != nil && !out.Begun() {
		refuse(w, err)
		return
	}
	if !out.Begun() { // it is empty
		_, _ = out.Write(nil)
	}
	name := trailerFile
	if err != nil {
		name, said = trailerProblem, ProblemOf(err)
	}
	if line, err := json.Marshal(said); err == nil {
		h.Set(name, string(line))
	}
}

// Attach implements Files.
func (c *Client) Attach(ctx context.Context, name, mediaType string, content io.Reader) (schakel.Attached, error) {
	q := url.Values{"name": {name}}
	if mediaType != "" {
		q.Set("type", mediaType)
	}
	return ask[schakel.Attached](ctx, c, "POST", "/v1/attachments?"+q.Encode(), struct{ io.Reader }{content}) // whoever opened it closes it
}

// AttachedFiles implements Files.
func (c *Client) AttachedFiles(ctx context.Context) ([]schakel.Attached, error) {
	return ask[[]schakel.Attached](ctx, c, "GET", "/v1/attachments", nil)
}

// DropAttached implements Files.
func (c *Client) DropAttached(ctx context.Context, id string) error {
	_, err := ask[struct{}](ctx, c, "DELETE", "/v1/attachments/"+url.PathEscape(id), nil)
	return err
}

// Attachments implements Files.
func (c *Client) Attachments(ctx context.Context, ref string, by ...schakel.By) ([]schakel.Attachment, error) {
	return ask[[]schakel.Attachment](ctx, c, "POST", messagePath(ref, "attachments"), one(by))
}

func attachmentPath(ref string, place int, part string) string {
	return messagePath(ref, "attachments") + "/" + strconv.Itoa(place) + "/" + part
}

// MoveAttachment implements Files.
func (c *Client) MoveAttachment(ctx context.Context, ref string, place int, act schakel.MoveAct) error {
	_, err := ask[struct{}](ctx, c, "POST", attachmentPath(ref, place, "move"), moving{Act: act})
	return err
}

// SaveAttachment implements Files.
func (c *Client) SaveAttachment(ctx context.Context, ref string, place int, how schakel.Saving, w io.Writer) (schakel.Attachment, error) {
	return streamed[schakel.Attachment](ctx, c, attachmentPath(ref, place, "content"), how, w)
}

// streamed writes a file that the daemon answers with to w, and returns what stands behind it.
func streamed[T any](ctx context.Context, c *Client, path string, in any, w io.Writer) (a T, err error) {
	patient := *c.http.Transport.(*http.Transport).Clone()
	patient.ResponseHeaderTimeout = backupTime
	defer patient.CloseIdleConnections()
	slow := Client{http: &http.Client{Transport: &patient}}
	resp, err := slow.request(ctx, "POST", path, in)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p := Problem{Status: resp.StatusCode, Code: "internal", Title: resp.Status}
		_ = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&p)
		return a, &p
	}
	to := &failingWriter{to: w}
	if _, err := io.CopyBuffer(to, resp.Body, make([]byte, fileBuffer)); err != nil {
		if to.err != nil {
			return a, to.err
		}
		return a, fmt.Errorf("%w: %w", ErrFileCut, err)
	}
	var p Problem
	if json.Unmarshal([]byte(resp.Trailer.Get(trailerProblem)), &p) == nil {
		return a, &p
	}
	if err := json.Unmarshal([]byte(resp.Trailer.Get(trailerFile)), &a); err != nil {
		return a, ErrFileCut
	}
	return a, nil
}

// failingWriter remembers why it could not write, which is not the daemon's doing.
type failingWriter struct {
	to  io.Writer
	err error
}

func (f *failingWriter) Write(p []byte) (n int, err error) {
	n, err = f.to.Write(p)
	f.err = err
	return n, err
}

// fileRefusals are those of attachments.
func fileRefusals() []refusal {
	return []refusal{
		{schakel.ErrNoAttachment, "no-attachment", http.StatusNotFound, "No such attachment", "Deze bijlage is er niet", "look in `schakel attachment list`; a file that was not sent within a week must be attached again"},
		{schakel.ErrNotHere, "attachment-not-here", http.StatusConflict, "The attachment is not here yet", "De bijlage is er nog niet", "see `schakel attachment list`, or try it now with `schakel attachment fetch`; telephone the sender where it cannot wait"},
		{schakel.ErrMediaType, "file-type", http.StatusConflict, "The content of the file is of another type", "De inhoud van het bestand is van een andere soort", "do not open it before you telephoned who sent it; `schakel attachment save --anyway` saves it all the same"},
		{schakel.ErrAttachedName, "file-name", http.StatusBadRequest, "A file with this name cannot be attached", "Een bestand met deze naam kan niet mee", "give the file another name"},
		{seal.ErrContent, "attachment-content", http.StatusUnprocessableEntity, "The attachment is not what its sender says of it", "De bijlage is niet wat de afzender ervan zegt", "keep nothing of it, and telephone who sent it"},
		{seal.ErrDigest, "attachment-other", http.StatusUnprocessableEntity, "The sealed file is another than its message names", "Het verzegelde bestand is een ander dan het bericht noemt", "have it brought again: it is damaged, or was exchanged; when the relay is back it comes by itself"},
		{store.ErrFull, "disk-full", http.StatusInsufficientStorage, "There is no room left on the disk of this device", "Er is geen ruimte meer op de schijf van dit apparaat", "make room on that disk, and do the same again; what is sent to this desk waits at the relay meanwhile"},
		{schakel.ErrDisk, "disk", http.StatusInsufficientStorage, "The disk of this device failed", "De schijf van dit apparaat werkte niet mee", "make room on this device's disk, and do the same again"},
	}
}
