package casefile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"schakel/clients/harmless"
	"schakel/crypto/message"
)

// Content is what was attached to a message of the case and is here, in clear. It is opened
// twice: to know what it comes to, and to write it.
type Content struct {
	Digest    [sha256.Size]byte // of the content, as the body of the message describes it
	MediaType string
	Open      func() (io.ReadCloser, error)
}

// Attached is what a message says that it brings: its body, which its sender signed, has the
// SHA-256 of the content, so that whoever has the content needs nothing of ours to compare.
type Attached struct {
	Name      string `json:"name"` // as its sender called it; no file of the archive is called so
	MediaType string `json:"mediaType"`
	Bytes     uint64 `json:"bytes"`
	SHA256    string `json:"sha256"`
	File      string `json:"file,omitempty"` // in the archive; empty: not there
}

// extensions of the media types that an agreement of ours knows. A name in the archive
// comes from this list and from a hash, and never from who sent the file (attack: a name
// that leads out of the folder, or that a machine takes for a program).
var extensions = map[string]string{"application/pdf": ".pdf", "image/jpeg": ".jpg", "image/png": ".png", "text/plain": ".txt"}

func attachmentFile(digest [sha256.Size]byte, mediaType string) string {
	ext, ok := extensions[mediaType]
	if !ok {
		ext = ".bin"
	}
	return folderAttachments + hex.EncodeToString(digest[:]) + ext
}

// attachmentFiles are the contents that can be read and are what they say. What cannot be,
// and what is too much for one archive, is left out: the report names it.
func attachmentFiles(all []Content) (files []File) {
	total := int64(0)
	for _, c := range all {
		name := attachmentFile(c.Digest, c.MediaType)
		if slices.ContainsFunc(files, func(f File) bool { return f.Name == name }) {
			continue
		}
		r, err := c.Open()
		if err != nil {
			continue
		}
		a, sum, err := measure(io.LimitReader(r, MaxAttached+1))
		if r.Close() != nil || err != nil || a.digest != c.Digest || total+a.length > MaxAttached {
			continue
		}
		total += a.length
		a.open = c.Open
		files = append(files, File{Name: name, attached: a, sum: sum})
	}
	return files
}

// attachments are what a message brings, each with its file where that is in the archive
// and is what the message says. A message whose body describes something else than it
// brings breaks a rule, and nothing of it can be compared.
func (r *reading) attachments(s message.Signed) (out []Attached) {
	described := r.version(s.Message.Heading.Protocol).FilesIn(s.Message.Heading.Class, s.Message.Body)
	for i, a := range s.Message.Attachments {
		x := Attached{Name: a.Name, MediaType: a.MediaType, Bytes: a.Size}
		if len(described) == len(s.Message.Attachments) {
			x.SHA256 = strings.TrimPrefix(described[i].SHA256, "sha256:")
			if sum, err := hex.DecodeString(x.SHA256); err == nil && len(sum) == sha256.Size {
				name := attachmentFile([sha256.Size]byte(sum), a.MediaType)
				if f, ok := r.large[name]; ok && f.digest == [sha256.Size]byte(sum) && uint64(f.length) == a.Size {
					x.File = name
				}
			}
		}
		out = append(out, x)
	}
	return out
}

// readAttachments refuses a file that is not what its name says, or that no message brings.
func (r *reading) readAttachments() {
	brought := map[string]bool{}
	for _, s := range r.signed {
		for _, a := range r.attachments(s) {
			brought[a.File] = true
		}
	}
	for _, name := range r.attachedNames() {
		stem := strings.TrimSuffix(strings.TrimPrefix(name, folderAttachments), path.Ext(name))
		switch got := r.large[name].digest; {
		case hex.EncodeToString(got[:]) != stem:
			r.fault(FaultContent, name, fmt.Errorf("its SHA-256 is %x", got))
		case !brought[name]:
			r.fault(FaultContent, name, fmt.Errorf("no message brings a file of %d bytes with this hash", r.large[name].length))
		}
	}
}

func (r *reading) attachedNames() (out []string) {
	for name := range r.large {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// absent are the attachments that are not in the archive, of messages that were said and
// that stand here by themselves.
func absent(messages []Original) (out []Attached) {
	for _, m := range messages {
		for _, a := range m.Attachments {
			if a.File == "" && !m.Unsaid && !m.Enclosed {
				out = append(out, a)
			}
		}
	}
	return out
}

// attachedRows say in words what a message brings and where it is in the archive.
func (r *reading) attachedRows(s message.Signed) (out []attachedRow) {
	for _, a := range r.attachments(s) {
		out = append(out, attachedRow{Name: harmless.Line(a.Name), MediaType: harmless.Line(a.MediaType), Bytes: a.Bytes, SHA256: a.SHA256, File: a.File})
	}
	return out
}

// attachedRow is a line of the page.
type attachedRow struct {
	Name, MediaType string
	Bytes           uint64
	SHA256, File    string
}
