package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"schakel/clients/courier"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// Courier makes and takes in the files in which envelopes are carried by hand.
type Courier interface {
	CourierDesks(ctx context.Context) ([]schakel.CourierDesk, error)
	ExportEnvelopes(ctx context.Context, to identity.DeskID) (schakel.Carried, error)
	ImportEnvelopes(ctx context.Context, file []byte) (schakel.Brought, error)
}

// courierRoutes are files that people carry, and files of messages.
func (s *Service) courierRoutes(mux *http.ServeMux) {
	s.fileRoutes(mux)
	mux.HandleFunc("POST /v1/courier/desks", answer(s.courierDesks))
	mux.HandleFunc("POST /v1/courier/exports", answer(s.exportEnvelopes))
	mux.HandleFunc("POST /v1/courier/imports", s.importEnvelopes)
	s.historyRoutes(mux)
}

func (s *Service) courierDesks(r *http.Request) ([]schakel.CourierDesk, error) {
	return s.node.CourierDesks(r.Context())
}

// carriage names the desk that a file is for.
type carriage struct {
	To identity.DeskID `json:"to"`
}

func (s *Service) exportEnvelopes(r *http.Request) (schakel.Carried, error) {
	in, err := decode[carriage](r)
	if err != nil {
		return schakel.Carried{}, err
	}
	return s.node.ExportEnvelopes(r.Context(), in.To)
}

// importEnvelopes takes the file itself: it can be larger than any JSON request.
func (s *Service) importEnvelopes(w http.ResponseWriter, r *http.Request) {
	file, err := io.ReadAll(http.MaxBytesReader(w, r.Body, courier.MaxFile))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		refuse(w, fmt.Errorf("%w: more than %d bytes", courier.ErrTooLarge, courier.MaxFile))
		return
	}
	if err != nil {
		refuse(w, fmt.Errorf("%w: %w", ErrRequest, err))
		return
	}
	b, err := s.node.ImportEnvelopes(r.Context(), file)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, "application/json", b)
}

// CourierDesks implements Courier.
func (c *Client) CourierDesks(ctx context.Context) ([]schakel.CourierDesk, error) {
	return ask[[]schakel.CourierDesk](ctx, c, "POST", "/v1/courier/desks", struct{}{})
}

// ExportEnvelopes implements Courier.
func (c *Client) ExportEnvelopes(ctx context.Context, to identity.DeskID) (schakel.Carried, error) {
	return ask[schakel.Carried](ctx, c, "POST", "/v1/courier/exports", carriage{To: to})
}

// ImportEnvelopes implements Courier.
func (c *Client) ImportEnvelopes(ctx context.Context, file []byte) (schakel.Brought, error) {
	return ask[schakel.Brought](ctx, c, "POST", "/v1/courier/imports", asIs(file))
}
