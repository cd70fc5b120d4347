package desk

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"schakel/clients/protocol/playbook"
	"schakel/clients/schakel"
)

// Cases tells how cases stand, by the messages that this desk has of them. Who looks, as
// by proves, stands in the access log, and alone sees a restricted case.
type Cases interface {
	Cases(ctx context.Context, p schakel.Paging) ([]schakel.CaseSummary, error)
	Overview(ctx context.Context, ref string, by ...schakel.By) (schakel.Overview, error)
	Progress(ctx context.Context, ref string, s playbook.Situation, by ...schakel.By) ([]playbook.Taken, error)
}

func (s *Service) cases(r *http.Request) ([]schakel.CaseSummary, error) {
	var p schakel.Paging
	var err error
	if p.Limit, err = count(r, "limit"); err != nil {
		return nil, err
	}
	if p.Offset, err = count(r, "offset"); err != nil {
		return nil, err
	}
	return s.node.Cases(r.Context(), p)
}

func (s *Service) overview(r *http.Request) (schakel.Overview, error) {
	return s.node.Overview(r.Context(), r.PathValue("ref"))
}

// openCase is a POST because it carries a PIN.
func (s *Service) openCase(r *http.Request) (schakel.Overview, error) {
	by, err := decode[schakel.By](r)
	if err != nil {
		return schakel.Overview{}, err
	}
	return s.node.Overview(r.Context(), r.PathValue("ref"), by)
}

// progressOf asks how far a case has come in a situation of a playbook.
type progressOf struct {
	playbook.Situation
	By schakel.By `json:"by"`
}

func (s *Service) progress(r *http.Request) ([]playbook.Taken, error) {
	in, err := decode[progressOf](r)
	if err != nil {
		return nil, err
	}
	return s.node.Progress(r.Context(), r.PathValue("ref"), in.Situation, in.By)
}

func (s *Service) prepare(r *http.Request) (schakel.Prepared, error) {
	d, err := decode[schakel.Draft](r)
	if err != nil {
		return schakel.Prepared{}, err
	}
	return s.node.Prepare(r.Context(), d)
}

func (s *Service) forward(r *http.Request) (schakel.Sent, error) {
	f, err := decode[schakel.Forwarding](r)
	if err != nil {
		return schakel.Sent{}, err
	}
	return s.node.Forward(r.Context(), r.PathValue("ref"), f)
}

// Cases implements Cases.
func (c *Client) Cases(ctx context.Context, p schakel.Paging) ([]schakel.CaseSummary, error) {
	return ask[[]schakel.CaseSummary](ctx, c, "GET", "/v1/cases?limit="+strconv.Itoa(p.Limit)+"&offset="+strconv.Itoa(p.Offset), nil)
}

// Overview implements Cases. The case has no messages of its own on this side of the
// socket: what the overview says of them is all.
func (c *Client) Overview(ctx context.Context, ref string, by ...schakel.By) (schakel.Overview, error) {
	return ask[schakel.Overview](ctx, c, "POST", casePath(ref)+"/open", one(by))
}

// Progress implements Cases.
func (c *Client) Progress(ctx context.Context, ref string, s playbook.Situation, by ...schakel.By) ([]playbook.Taken, error) {
	return ask[[]playbook.Taken](ctx, c, "POST", casePath(ref)+"/progress", progressOf{Situation: s, By: one(by)})
}

// Prepare implements Sender.
func (c *Client) Prepare(ctx context.Context, d schakel.Draft) (schakel.Prepared, error) {
	return ask[schakel.Prepared](ctx, c, "POST", "/v1/preparations", d)
}

// Forward implements Sender.
func (c *Client) Forward(ctx context.Context, ref string, f schakel.Forwarding) (schakel.Sent, error) {
	return ask[schakel.Sent](ctx, c, "POST", messagePath(ref, "forwarding"), f)
}

// one is who looks: the person given, or nobody in particular.
func one(by []schakel.By) (b schakel.By) {
	if len(by) > 0 {
		b = by[0]
	}
	return b
}

func casePath(ref string) string { return "/v1/cases/" + url.PathEscape(ref) }
