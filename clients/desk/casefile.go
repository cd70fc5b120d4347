package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"schakel/clients/casefile"
	"schakel/clients/schakel"
)

// exportCase answers with the archive itself: it can be larger than any JSON answer.
func (s *Service) exportCase(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	by, err := decode[schakel.By](r)
	if err != nil {
		refuse(w, err)
		return
	}
	file, err := s.node.ExportCase(r.Context(), r.PathValue("ref"), by)
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("API-Version", APIVersion)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(file) // the caller is gone: nobody to tell
}

func (s *Service) deletions(r *http.Request) ([]schakel.Deletion, error) {
	return s.node.Deletions(r.Context())
}

// ExportCase implements Archivist.
func (c *Client) ExportCase(ctx context.Context, ref string, by schakel.By) ([]byte, error) {
	resp, err := c.request(ctx, http.MethodPost, casePath(ref)+"/file", by)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p := Problem{Status: resp.StatusCode, Code: "internal", Title: resp.Status}
		_ = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&p) // whatever came, the status stands
		return nil, &p
	}
	file, err := io.ReadAll(io.LimitReader(resp.Body, casefile.MaxArchive+1))
	if err != nil {
		return nil, fmt.Errorf("failed to read the daemon's answer: %w", err)
	}
	if len(file) > casefile.MaxArchive {
		return nil, casefile.ErrTooLarge
	}
	return file, nil
}

// Deletions implements Archivist.
func (c *Client) Deletions(ctx context.Context) ([]schakel.Deletion, error) {
	return ask[[]schakel.Deletion](ctx, c, "GET", "/v1/deletions", nil)
}
