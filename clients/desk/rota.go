package desk

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"schakel/clients/roster"
	"schakel/clients/schakel"
)

// Rotas keeps who of this desk is on call.
type Rotas interface {
	OnCall(ctx context.Context, at time.Time) (schakel.OnCall, error)
	Rota(ctx context.Context) (schakel.Rota, error)
	SetRota(ctx context.Context, sheet roster.Sheet, by schakel.By) (schakel.Rota, error)
	ChangeRota(ctx context.Context, c schakel.RotaChange, by schakel.By) (schakel.Rota, error)
	ImportCalendar(ctx context.Context, file []byte, by schakel.By) (schakel.Rota, roster.Import, error)
	Calendar(ctx context.Context, w schakel.CalendarWish) ([]byte, error)
}

func (s *Service) onCall(r *http.Request) (schakel.OnCall, error) {
	at := r.URL.Query().Get("at")
	if at == "" {
		return s.node.OnCall(r.Context(), time.Time{})
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return schakel.OnCall{}, fmt.Errorf("%w: at: %w", ErrRequest, err)
	}
	return s.node.OnCall(r.Context(), t)
}

func (s *Service) rota(r *http.Request) (schakel.Rota, error) { return s.node.Rota(r.Context()) }

// newRota is a sheet and who signs it.
type newRota struct {
	Sheet roster.Sheet `json:"sheet"`
	By    schakel.By   `json:"by"`
}

func (s *Service) setRota(r *http.Request) (schakel.Rota, error) {
	in, err := decode[newRota](r)
	if err != nil {
		return schakel.Rota{}, err
	}
	return s.node.SetRota(r.Context(), in.Sheet, in.By)
}

// rotaChange is one decision and who takes it.
type rotaChange struct {
	Change schakel.RotaChange `json:"change"`
	By     schakel.By         `json:"by"`
}

func (s *Service) changeRota(r *http.Request) (schakel.Rota, error) {
	in, err := decode[rotaChange](r)
	if err != nil {
		return schakel.Rota{}, err
	}
	return s.node.ChangeRota(r.Context(), in.Change, in.By)
}

// newCalendar is an iCalendar file and who signs what is taken of it.
type newCalendar struct {
	File []byte     `json:"file"`
	By   schakel.By `json:"by"`
}

// imported is what became of a calendar.
type imported struct {
	Rota   schakel.Rota  `json:"rota"`
	Report roster.Import `json:"report"`
}

func (s *Service) importCalendar(r *http.Request) (out imported, err error) {
	in, err := decode[newCalendar](r)
	if err != nil {
		return out, err
	}
	out.Rota, out.Report, err = s.node.ImportCalendar(r.Context(), in.File, in.By)
	return out, err
}

// calendar is an iCalendar file.
type calendar struct {
	File []byte `json:"file"`
}

func (s *Service) calendar(r *http.Request) (calendar, error) {
	q := r.URL.Query()
	file, err := s.node.Calendar(r.Context(), schakel.CalendarWish{Who: q.Get("who"), Names: q.Get("names") == "true"})
	return calendar{file}, err
}

// OnCall implements Rotas.
func (c *Client) OnCall(ctx context.Context, at time.Time) (schakel.OnCall, error) {
	q := url.Values{}
	if !at.IsZero() {
		q.Set("at", at.UTC().Format(time.RFC3339))
	}
	return ask[schakel.OnCall](ctx, c, "GET", "/v1/on-call?"+q.Encode(), nil)
}

// Rota implements Rotas.
func (c *Client) Rota(ctx context.Context) (schakel.Rota, error) {
	return ask[schakel.Rota](ctx, c, "GET", "/v1/rota", nil)
}

// SetRota implements Rotas.
func (c *Client) SetRota(ctx context.Context, sheet roster.Sheet, by schakel.By) (schakel.Rota, error) {
	return ask[schakel.Rota](ctx, c, "PUT", "/v1/rota", newRota{Sheet: sheet, By: by})
}

// ChangeRota implements Rotas.
func (c *Client) ChangeRota(ctx context.Context, change schakel.RotaChange, by schakel.By) (schakel.Rota, error) {
	return ask[schakel.Rota](ctx, c, "POST", "/v1/rota/changes", rotaChange{Change: change, By: by})
}

// ImportCalendar implements Rotas.
func (c *Client) ImportCalendar(ctx context.Context, file []byte, by schakel.By) (schakel.Rota, roster.Import, error) {
	out, err := ask[imported](ctx, c, "POST", "/v1/rota/calendar", newCalendar{File: file, By: by})
	return out.Rota, out.Report, err
}

// Calendar implements Rotas.
func (c *Client) Calendar(ctx context.Context, w schakel.CalendarWish) ([]byte, error) {
	q := url.Values{}
	if w.Who != "" {
		q.Set("who", w.Who)
	}
	if w.Names {
		q.Set("names", "true")
	}
	out, err := ask[calendar](ctx, c, "GET", "/v1/rota/calendar?"+q.Encode(), nil)
	return out.File, err
}
