package desk

import (
	"context"
	"net/http"
	"strconv"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// Pages is how this desk is called, and whether it would answer.
type Pages interface {
	TestPages(ctx context.Context, t schakel.TestPage) ([]schakel.Tested, error)
	PageLog(ctx context.Context, limit int) ([]schakel.Page, error)
	RelayPages(ctx context.Context) ([]schakel.Page, error)
	StartDrill(ctx context.Context, to identity.DeskID, by schakel.By) (schakel.Sent, error)
	Drills(ctx context.Context) ([]schakel.Drill, error)
	Readiness(ctx context.Context) ([]schakel.Readiness, error)
}

// onCallRoutes are those of the rota and of the pages that go by it.
func (s *Service) onCallRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/on-call", answer(s.onCall))
	mux.HandleFunc("GET /v1/rota", answer(s.rota))
	mux.HandleFunc("PUT /v1/rota", answer(s.setRota))
	mux.HandleFunc("POST /v1/rota/changes", answer(s.changeRota))
	mux.HandleFunc("GET /v1/rota/calendar", answer(s.calendar))
	mux.HandleFunc("POST /v1/rota/calendar", answer(s.importCalendar))
	mux.HandleFunc("GET /v1/pages", answer(s.pageLog))
	mux.HandleFunc("GET /v1/pages/relay", answer(s.relayPages))
	mux.HandleFunc("POST /v1/pages/tests", answer(s.testPages))
	mux.HandleFunc("GET /v1/drills", answer(s.drills))
	mux.HandleFunc("POST /v1/drills", answer(s.startDrill))
	mux.HandleFunc("GET /v1/readiness", answer(s.readiness))
}

func (s *Service) testPages(r *http.Request) ([]schakel.Tested, error) {
	in, err := decode[schakel.TestPage](r)
	if err != nil {
		return nil, err
	}
	return s.node.TestPages(r.Context(), in)
}

func (s *Service) pageLog(r *http.Request) ([]schakel.Page, error) {
	n, err := count(r, "limit")
	if err != nil {
		return nil, err
	}
	return s.node.PageLog(r.Context(), n)
}

func (s *Service) relayPages(r *http.Request) ([]schakel.Page, error) {
	return s.node.RelayPages(r.Context())
}

// newDrill is the desk that is tried, and who signs where the message needs it.
type newDrill struct {
	To identity.DeskID `json:"to"`
	By schakel.By      `json:"by"`
}

func (s *Service) startDrill(r *http.Request) (schakel.Sent, error) {
	in, err := decode[newDrill](r)
	if err != nil {
		return schakel.Sent{}, err
	}
	return s.node.StartDrill(r.Context(), in.To, in.By)
}

func (s *Service) drills(r *http.Request) ([]schakel.Drill, error) { return s.node.Drills(r.Context()) }

func (s *Service) readiness(r *http.Request) ([]schakel.Readiness, error) {
	return s.node.Readiness(r.Context())
}

// TestPages implements Pages.
func (c *Client) TestPages(ctx context.Context, t schakel.TestPage) ([]schakel.Tested, error) {
	return ask[[]schakel.Tested](ctx, c, "POST", "/v1/pages/tests", t)
}

// PageLog implements Pages.
func (c *Client) PageLog(ctx context.Context, limit int) ([]schakel.Page, error) {
	return ask[[]schakel.Page](ctx, c, "GET", "/v1/pages?limit="+strconv.Itoa(limit), nil)
}

// RelayPages implements Pages.
func (c *Client) RelayPages(ctx context.Context) ([]schakel.Page, error) {
	return ask[[]schakel.Page](ctx, c, "GET", "/v1/pages/relay", nil)
}

// StartDrill implements Pages.
func (c *Client) StartDrill(ctx context.Context, to identity.DeskID, by schakel.By) (schakel.Sent, error) {
	return ask[schakel.Sent](ctx, c, "POST", "/v1/drills", newDrill{To: to, By: by})
}

// Drills implements Pages.
func (c *Client) Drills(ctx context.Context) ([]schakel.Drill, error) {
	return ask[[]schakel.Drill](ctx, c, "GET", "/v1/drills", nil)
}

// Readiness implements Pages.
func (c *Client) Readiness(ctx context.Context) ([]schakel.Readiness, error) {
	return ask[[]schakel.Readiness](ctx, c, "GET", "/v1/readiness", nil)
}
