package desk

import (
	"context"
	"net/http"
	"time"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// Historian gets the history of a desk that lost all its devices back from its partners,
// and hands one to a partner that lost its own.
type Historian interface {
	AskHistory(ctx context.Context, desks []identity.DeskID) ([]identity.DeskID, error)
	Histories(ctx context.Context) ([]schakel.History, error)
	GiveHistory(ctx context.Context, desk identity.DeskID, called string, by schakel.By) (schakel.Given, error)
}

// Absentee says until when this device may be off.
type Absentee interface {
	Away(ctx context.Context, until time.Time) (schakel.Absence, error)
	Absent(ctx context.Context) (schakel.Absence, error)
}

func (s *Service) historyRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/history", answer(s.histories))
	mux.HandleFunc("POST /v1/history/questions", answer(s.askHistory))
	mux.HandleFunc("POST /v1/history/answers", answer(s.giveHistory))
	mux.HandleFunc("GET /v1/absence", answer(s.absent))
	mux.HandleFunc("POST /v1/absence", answer(s.away))
}

// question names the desks that are asked; none: all.
type question struct {
	To []identity.DeskID `json:"to,omitempty"`
}

// handover is what a person answers for who hands history over.
type handover struct {
	To     identity.DeskID `json:"to"`
	Called string          `json:"called"`
	schakel.By
}

// absence is when this device is back; the zero time: now.
type absence struct {
	Until time.Time `json:"until,omitzero"`
}

func (s *Service) histories(r *http.Request) ([]schakel.History, error) {
	return s.node.Histories(r.Context())
}

func (s *Service) askHistory(r *http.Request) ([]identity.DeskID, error) {
	in, err := decode[question](r)
	if err != nil {
		return nil, err
	}
	return s.node.AskHistory(r.Context(), in.To)
}

func (s *Service) giveHistory(r *http.Request) (schakel.Given, error) {
	in, err := decode[handover](r)
	if err != nil {
		return schakel.Given{}, err
	}
	return s.node.GiveHistory(r.Context(), in.To, in.Called, in.By)
}

func (s *Service) absent(r *http.Request) (schakel.Absence, error) { return s.node.Absent(r.Context()) }

func (s *Service) away(r *http.Request) (schakel.Absence, error) {
	in, err := decode[absence](r)
	if err != nil {
		return schakel.Absence{}, err
	}
	return s.node.Away(r.Context(), in.Until)
}

// AskHistory implements Historian.
func (c *Client) AskHistory(ctx context.Context, desks []identity.DeskID) ([]identity.DeskID, error) {
	return ask[[]identity.DeskID](ctx, c, "POST", "/v1/history/questions", question{desks})
}

// Histories implements Historian.
func (c *Client) Histories(ctx context.Context) ([]schakel.History, error) {
	return ask[[]schakel.History](ctx, c, "GET", "/v1/history", nil)
}

// GiveHistory implements Historian.
func (c *Client) GiveHistory(ctx context.Context, desk identity.DeskID, called string, by schakel.By) (schakel.Given, error) {
	return ask[schakel.Given](ctx, c, "POST", "/v1/history/answers", handover{desk, called, by})
}

// Away implements Absentee.
func (c *Client) Away(ctx context.Context, until time.Time) (schakel.Absence, error) {
	return ask[schakel.Absence](ctx, c, "POST", "/v1/absence", absence{until})
}

// Absent implements Absentee.
func (c *Client) Absent(ctx context.Context) (schakel.Absence, error) {
	return ask[schakel.Absence](ctx, c, "GET", "/v1/absence", nil)
}
