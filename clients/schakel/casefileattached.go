package schakel

import (
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"

	"schakel/clients/casefile"
	"schakel/clients/store"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// gatherAttachments adds what was attached to a message, as far as all of it is here. What
// is not, or does not open, the file of the case names as missing.
func (n *Node) gatherAttachments(tx *store.Tx, signed message.Signed, d *casefile.Dossier) error {
	m := signed.Message
	described := n.judgedBy(m).FilesIn(m.Heading.Class, m.Body)
	if len(m.Attachments) != len(described) {
		return nil
	}
	for i, a := range m.Attachments {
		row, err := tx.AttachmentOf(signed.Hash(), i+1)
		sum, bad := hex.DecodeString(strings.TrimPrefix(described[i].SHA256, "sha256:"))
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		case row.Copy == store.CopyHere && bad == nil && len(sum) == 32:
			d.Attachments = append(d.Attachments, casefile.Content{Digest: [32]byte(sum), MediaType: a.MediaType,
				Open: func() (io.ReadCloser, error) { return n.openContent(row.File, a, [32]byte(sum)) }})
		}
	}
	return nil
}

// openContent opens the content of an attachment to be read like a file.
func (n *Node) openContent(file string, a message.Attachment, digest [32]byte) (io.ReadCloser, error) {
	f, err := n.store.OpenFile(file)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	c := &content{PipeReader: r, ended: make(chan struct{})}
	go c.open(f, w, a, digest)
	return c, nil
}

// content is that of an attachment while it is being opened.
type content struct {
	*io.PipeReader
	ended chan struct{}
}

func (c *content) open(f *os.File, w *io.PipeWriter, a message.Attachment, digest [32]byte) {
	defer close(c.ended)
	err := seal.OpenAttachment(w, f, a, digest)
	_ = w.CloseWithError(errors.Join(err, f.Close())) // never fails
}

// Close ends whoever still writes, and waits for it.
func (c *content) Close() error {
	err := c.PipeReader.Close()
	<-c.ended
	return err
}
