package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"schakel/clients/courier"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// Courier makes and takes in the files in which envelopes are carried by hand.
type Courier interface {
	CourierDesks(ctx context.Context) ([]schakel.CourierDesk, error)
	ExportEnvelopes(ctx context.Context, to identity.DeskID) (schakel.Carried, error)
	ImportEnvelopes(ctx context.Context, file []byte) (schakel.Brought, error)
	// CarryAttachment writes a sealed file to w. What w got before an error must be thrown away.
	CarryAttachment(ctx context.Context, id string, w io.Writer) error
	MissingAttachments(ctx context.Context) ([]schakel.SealedFile, error)
	BringAttachment(ctx context.Context, id string, sealed io.Reader) error
}

// courierRoutes are files that people carry, and files of messages.
func (s *Service) courierRoutes(mux *http.ServeMux) {
	s.fileRoutes(mux)
	mux.HandleFunc("POST /v1/courier/desks", answer(s.courierDesks))
	mux.HandleFunc("POST /v1/courier/exports", answer(s.exportEnvelopes))
	mux.HandleFunc("POST /v1/courier/imports", s.importEnvelopes)
	mux.HandleFunc("GET /v1/courier/attachments", answer(func(r *http.Request) ([]schakel.SealedFile, error) { return s.node.MissingAttachments(r.Context()) }))
	mux.HandleFunc("POST /v1/courier/attachments/{id}/out", s.carryAttachment)
	mux.HandleFunc("POST /v1/courier/attachments/{id}/in", s.bringAttachment)
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

// carryAttachment answers with the sealed file itself.
func (s *Service) carryAttachment(w http.ResponseWriter, r *http.Request) {
	stream(w, func(to io.Writer) (any, error) {
		return struct{}{}, s.node.CarryAttachment(r.Context(), r.PathValue("id"), to)
	})
}

// bringAttachment takes the sealed file itself, of any size, a piece at a time.
func (s *Service) bringAttachment(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	err := s.node.BringAttachment(r.Context(), r.PathValue("id"), SlowBody(w, r, fileTime))
	_ = control.SetReadDeadline(time.Now().Add(readTimeout))
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, "application/json", struct{}{})
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

func sealedPath(id, way string) string {
	return "/v1/courier/attachments/" + url.PathEscape(id) + "/" + way
}

// CarryAttachment implements Courier.
func (c *Client) CarryAttachment(ctx context.Context, id string, w io.Writer) error {
	_, err := streamed[struct{}](ctx, c, sealedPath(id, "out"), struct{}{}, w)
	return err
}

// MissingAttachments implements Courier.
func (c *Client) MissingAttachments(ctx context.Context) ([]schakel.SealedFile, error) {
	return ask[[]schakel.SealedFile](ctx, c, "GET", "/v1/courier/attachments", nil)
}

// BringAttachment implements Courier.
func (c *Client) BringAttachment(ctx context.Context, id string, sealed io.Reader) error {
	_, err := ask[struct{}](ctx, c, "POST", sealedPath(id, "in"), struct{ io.Reader }{sealed}) // whoever opened it closes it
	return err
}
