package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

// maxFile bounds a file on its way in: the largest that a message can name.
const maxFile = message.MaxAttachment + 1

func attachmentActs() map[string]act {
	return map[string]act{
		"attachFile":        attachFile,
		"listAttachedFiles": listed(of(desk.Node.AttachedFiles), func(f schakel.Attached) string { return f.ID }),
		"dropAttachedFile": func(_ *Site, c *call) (answer, error) {
			return answer{}, c.node.DropAttached(c.Context(), c.PathValue("attachment"))
		},
		"listAttachments": whole(func(c *call) ([]schakel.Attachment, error) {
			return c.node.Attachments(c.Context(), c.PathValue("message"))
		}),
		"saveAttachment": saveAttachment,
		"moveAttachment": do(func(c *call, in transfer) error {
			return c.node.MoveAttachment(c.Context(), c.PathValue("message"), c.place(), in.Act)
		}),
	}
}

// transfer is what is to be done with a file that moves.
type transfer struct {
	Act schakel.MoveAct `json:"act"`
}

// place is the attachment that a path names; the contract holds it to a small number.
func (c *call) place() int {
	n, _ := strconv.Atoi(c.PathValue("place")) // 0 where it is none, and nobody has that
	return n
}

// attachFile seals a file while it comes in: nothing of it lies here in clear, and none of
// it is in memory as a whole.
func attachFile(_ *Site, c *call) (answer, error) {
	body := &counted{ReadCloser: desk.SlowBody(c.w, c.Request, pieceTime)}
	q := c.URL.Query()
	f, err := c.node.Attach(c.Context(), q.Get("name"), q.Get("type"), body)
	if body.failed != nil {
		return answer{}, bodyError(body.failed)
	}
	return answer{value: f, header: map[string]string{"Location": base + "/attachments/" + f.ID}}, err
}

// counted remembers why a body ended before its end: that is no fault of the node.
type counted struct {
	io.ReadCloser
	failed error
}

func (r *counted) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		r.failed = err
	}
	return n, err
}

// saveAttachment answers with the content, once all of it proved to be what its message
// names. It is a file of a partner: its name here is a number, and its type is not said,
// so that nothing opens it by itself.
func saveAttachment(_ *Site, c *call) (answer, error) {
	how, err := decode[schakel.Saving](c)
	if err != nil {
		return answer{}, err
	}
	c.w.Header().Set("Accept-Ranges", "none")
	ref, place := c.PathValue("message"), c.place()
	return streamed(c, "application/octet-stream", fmt.Sprintf("bijlage-%d.bin", place), func(to io.Writer) error {
		_, err := c.node.SaveAttachment(c.Context(), ref, place, how, to)
		return err
	})
}

// fileBody checks a request that brings a file and no JSON.
func (c *call) fileBody() error {
	if c.Header.Get("Content-Type") != "application/octet-stream" {
		return errMedia
	}
	if c.ContentLength > maxFile {
		return errTooMuch
	}
	c.Body = http.MaxBytesReader(c.w, c.Body, maxFile)
	return nil
}
