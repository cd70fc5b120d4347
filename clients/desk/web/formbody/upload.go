package formbody

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
)

// Refusals of a form with files.
var (
	ErrUpload = errors.New("the form with files ended early, or is none")
	ErrMany   = errors.New("too many files in one form")
)

// maxAside bounds a field that is no file.
const maxAside = 4 << 10

// Files reads a form with files (RFC 7578) as it comes, and gives each file of the field to
// take in its order: nothing of one is held in memory as a whole, and none comes onto the
// disk by this. A field that was left empty is none. What take refuses ends the reading,
// and so does more than most files. The name is what follows the last slash of what the
// browser says: some say where the file lies on their machine.
func Files(r *http.Request, field string, most int, take func(name string, content io.Reader) error) (taken int, err error) {
	form, err := r.MultipartReader()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUpload, err)
	}
	for parts := 0; ; parts++ {
		part, err := form.NextRawPart()
		switch {
		case errors.Is(err, io.EOF):
			return taken, nil
		case err != nil:
			return taken, upload(err)
		case parts > most+8:
			return taken, fmt.Errorf("%w: at most %d", ErrMany, most)
		}
		name := nameOf(part)
		if part.FormName() != field || name == "" {
			if n, err := io.Copy(io.Discard, io.LimitReader(part, maxAside+1)); err != nil || n > maxAside {
				return taken, upload(errors.Join(err, errors.New("a field that is no file is too long")))
			}
			continue
		}
		if taken == most {
			return taken, fmt.Errorf("%w: at most %d", ErrMany, most)
		}
		content := &come{part: part}
		if err := take(name, content); err != nil {
			return taken, errors.Join(err, content.err)
		}
		taken++
	}
}

// come is a file on its way, which remembers that it ended early: whoever reads it may take
// that for a failure of its own.
type come struct {
	part io.Reader
	err  error
}

// Read implements io.Reader.
func (c *come) Read(b []byte) (int, error) {
	n, err := c.part.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = upload(err)
	}
	return n, err
}

// upload keeps that a form was too large, which has words of its own.
func upload(err error) error {
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUpload, err)
}

// nameOf is what a file is called, or nothing where the part is no file.
func nameOf(part *multipart.Part) string {
	name := strings.ReplaceAll(part.FileName(), `\`, "/")
	return strings.TrimSpace(name[strings.LastIndexByte(name, '/')+1:])
}
