package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"schakel/clients/schakel"
)

// ErrFileCutShort is wrapped when the file of a case did not come over whole.
var ErrFileCutShort = errors.New("the file of the case was cut short: nothing of it is worth keeping")

// exportTime bounds each piece of the file of a case on its way.
const exportTime = 5 * time.Minute

// exportCase answers with the archive itself: it can be larger than any JSON answer, and
// than the memory of this machine.
func (s *Service) exportCase(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	by, err := decode[schakel.By](r)
	if err != nil {
		refuse(w, err)
		return
	}
	out := NewSlowly(w, exportTime, func(h http.Header) {
		h.Set("Content-Type", "application/zip")
		h.Set("API-Version", APIVersion)
		h.Set("Cache-Control", "no-store")
	})
	switch err = s.node.ExportCase(r.Context(), r.PathValue("ref"), by, out); {
	case err != nil && !out.Begun():
		refuse(w, err)
	case err != nil:
		out.CutOff()
	}
}

func (s *Service) deletions(r *http.Request) ([]schakel.Deletion, error) {
	return s.node.Deletions(r.Context())
}

// ExportCase implements Archivist.
func (c *Client) ExportCase(ctx context.Context, ref string, by schakel.By, to io.Writer) error {
	resp, err := c.request(ctx, http.MethodPost, casePath(ref)+"/file", by)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p := Problem{Status: resp.StatusCode, Code: "internal", Title: resp.Status}
		_ = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&p) // whatever came, the status stands
		return &p
	}
	if _, err := io.Copy(to, resp.Body); err != nil {
		return fmt.Errorf("%w: %w", ErrFileCutShort, err)
	}
	return nil
}

// Deletions implements Archivist.
func (c *Client) Deletions(ctx context.Context) ([]schakel.Deletion, error) {
	return ask[[]schakel.Deletion](ctx, c, "GET", "/v1/deletions", nil)
}
