package desk

import (
	"context"
	"net/http"
	"net/url"

	"schakel/clients/schakel"
)

// assignment gives a case to somebody, or to nobody.
type assignment struct {
	To string     `json:"to"`
	By schakel.By `json:"by"`
}

func (s *Service) assign(r *http.Request) (schakel.Assignment, error) {
	in, err := decode[assignment](r)
	if err != nil {
		return schakel.Assignment{}, err
	}
	return s.node.Assign(r.Context(), r.PathValue("ref"), in.To, in.By)
}

// newNote is a note before it is signed.
type newNote struct {
	Text string     `json:"text"`
	By   schakel.By `json:"by"`
}

func (s *Service) addNote(r *http.Request) (schakel.Note, error) {
	in, err := decode[newNote](r)
	if err != nil {
		return schakel.Note{}, err
	}
	return s.node.AddNote(r.Context(), r.PathValue("ref"), in.Text, in.By)
}

// worksheet is a POST because looking is noted in the access log.
func (s *Service) worksheet(r *http.Request) (schakel.Worksheet, error) {
	by, err := decode[schakel.By](r)
	if err != nil {
		return schakel.Worksheet{}, err
	}
	return s.node.Worksheet(r.Context(), r.PathValue("ref"), by)
}

func (s *Service) drafts(r *http.Request) ([]schakel.SavedDraft, error) {
	return s.node.Drafts(r.Context(), r.URL.Query().Get("case"))
}

// draftsAs is a POST because it carries a PIN.
func (s *Service) draftsAs(r *http.Request) ([]schakel.SavedDraft, error) {
	in, err := decode[draftList](r)
	if err != nil {
		return nil, err
	}
	return s.node.Drafts(r.Context(), in.Case, in.By)
}

// draftList asks for the drafts of a case, or of this desk.
type draftList struct {
	Case string     `json:"case,omitempty"`
	By   schakel.By `json:"by"`
}

// newList is who may read a case from now on.
type newList struct {
	To []string   `json:"to"`
	By schakel.By `json:"by"`
}

func (s *Service) restrict(r *http.Request) (schakel.Restriction, error) {
	in, err := decode[newList](r)
	if err != nil {
		return schakel.Restriction{}, err
	}
	return s.node.Restrict(r.Context(), r.PathValue("ref"), in.To, in.By)
}

func (s *Service) restriction(r *http.Request) (schakel.Restriction, error) {
	return s.node.Restriction(r.Context(), r.PathValue("ref"))
}

// newVersion is a draft to keep, or with no draft a version to drop.
type newVersion struct {
	ID      string        `json:"id,omitempty"`
	Version string        `json:"version,omitempty"`
	Draft   schakel.Draft `json:"draft"`
	By      schakel.By    `json:"by"`
}

func (s *Service) saveDraft(r *http.Request) (schakel.SavedDraft, error) {
	in, err := decode[newVersion](r)
	if err != nil {
		return schakel.SavedDraft{}, err
	}
	return s.node.SaveDraft(r.Context(), in.ID, in.Version, in.Draft, in.By)
}

func (s *Service) dropDraft(r *http.Request) (struct{}, error) {
	in, err := decode[newVersion](r)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.node.DropDraft(r.Context(), r.PathValue("id"), in.Version, in.By)
}

func (s *Service) accessLog(r *http.Request) (schakel.AccessLog, error) {
	return s.node.Log(r.Context(), r.URL.Query().Get("case"))
}

// Assign implements Colleagues.
func (c *Client) Assign(ctx context.Context, ref, to string, by schakel.By) (schakel.Assignment, error) {
	return ask[schakel.Assignment](ctx, c, "POST", casePath(ref)+"/assignment", assignment{To: to, By: by})
}

// AddNote implements Colleagues.
func (c *Client) AddNote(ctx context.Context, ref, text string, by schakel.By) (schakel.Note, error) {
	return ask[schakel.Note](ctx, c, "POST", casePath(ref)+"/notes", newNote{Text: text, By: by})
}

// Worksheet implements Colleagues.
func (c *Client) Worksheet(ctx context.Context, ref string, by ...schakel.By) (schakel.Worksheet, error) {
	return ask[schakel.Worksheet](ctx, c, "POST", casePath(ref)+"/worksheet", one(by))
}

// Drafts implements Colleagues.
func (c *Client) Drafts(ctx context.Context, ref string, by ...schakel.By) ([]schakel.SavedDraft, error) {
	return ask[[]schakel.SavedDraft](ctx, c, "POST", "/v1/drafts/list", draftList{Case: ref, By: one(by)})
}

// SaveDraft implements Colleagues.
func (c *Client) SaveDraft(ctx context.Context, id, version string, d schakel.Draft, by schakel.By) (schakel.SavedDraft, error) {
	return ask[schakel.SavedDraft](ctx, c, "POST", "/v1/drafts", newVersion{ID: id, Version: version, Draft: d, By: by})
}

// DropDraft implements Colleagues.
func (c *Client) DropDraft(ctx context.Context, id, version string, by schakel.By) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/drafts/"+url.PathEscape(id)+"/drop", newVersion{Version: version, By: by})
	return err
}

// Restrict implements Colleagues.
func (c *Client) Restrict(ctx context.Context, ref string, to []string, by schakel.By) (schakel.Restriction, error) {
	return ask[schakel.Restriction](ctx, c, "POST", casePath(ref)+"/restriction", newList{To: to, By: by})
}

// Restriction implements Colleagues.
func (c *Client) Restriction(ctx context.Context, ref string) (schakel.Restriction, error) {
	return ask[schakel.Restriction](ctx, c, "GET", casePath(ref)+"/restriction", nil)
}

// Log implements Colleagues.
func (c *Client) Log(ctx context.Context, ref string) (schakel.AccessLog, error) {
	return ask[schakel.AccessLog](ctx, c, "GET", "/v1/log?case="+url.QueryEscape(ref), nil)
}
