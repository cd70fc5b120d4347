package desk

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// WebhookRequest asks that events be told to an address.
type WebhookRequest struct {
	URL   string   `json:"url"`
	Kinds []string `json:"kinds,omitempty"` // of events; empty: all
}

// Webhook is an address that hears of events, and how that goes.
type Webhook struct {
	ID       string    `json:"id"`
	URL      string    `json:"url"`
	Kinds    []string  `json:"kinds,omitempty"`
	Created  time.Time `json:"created"`
	Waiting  int       `json:"waiting"`            // parcels that were not taken yet
	Failing  time.Time `json:"failing,omitzero"`   // since when every try failed
	Failure  string    `json:"failure,omitempty"`  // what the last try met
	Disabled bool      `json:"disabled,omitempty"` // it failed too long: see Redeliver
	Next     time.Time `json:"nextTry,omitzero"`   // when the next parcel is tried
	LastGood time.Time `json:"lastTaken,omitzero"` // when one was last taken
	Secrets  int       `json:"secrets"`            // with how many keys each parcel is signed
}

// NewWebhook is a webhook with the key that signs its parcels, which is shown this once.
type NewWebhook struct {
	Webhook
	Secret string `json:"secret"`
}

// Webhooks says which addresses hear of events. Only the owner of the device asks it.
// Each takes the identifier of a webhook, or a beginning that no other has.
type Webhooks interface {
	AddWebhook(ctx context.Context, r WebhookRequest) (NewWebhook, error)
	Webhooks(ctx context.Context) ([]Webhook, error)
	RemoveWebhook(ctx context.Context, who string) error
	// RotateWebhook makes a second key; the first signs along until the next rotation.
	RotateWebhook(ctx context.Context, who string) (NewWebhook, error)
	// Redeliver tries everything that waits now, also of a webhook that was disabled.
	Redeliver(ctx context.Context, who string) (Webhook, error)
	// TestWebhook posts one parcel now, and returns what came of it.
	TestWebhook(ctx context.Context, who string) error
}

// What Webhooks refuses with.
var (
	ErrUnknownWebhook = errors.New("no such webhook")
	ErrTarget         = errors.New("this address may not hear of events")
	ErrNotTaken       = errors.New("the other side did not take it")
)

func (s *Service) webhookRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/webhooks", answer(s.listWebhooks))
	mux.HandleFunc("POST /v1/webhooks", answer(s.addWebhook))
	mux.HandleFunc("DELETE /v1/webhooks/{who}", answer(s.removeWebhook))
	mux.HandleFunc("POST /v1/webhooks/{who}/rotation", answer(s.rotateWebhook))
	mux.HandleFunc("POST /v1/webhooks/{who}/redelivery", answer(s.redeliver))
	mux.HandleFunc("POST /v1/webhooks/{who}/test", answer(s.testWebhook))
}

func (s *Service) listWebhooks(r *http.Request) ([]Webhook, error) {
	if s.webhooks == nil {
		return nil, ErrNoPrograms
	}
	return s.webhooks.Webhooks(r.Context())
}

func (s *Service) addWebhook(r *http.Request) (NewWebhook, error) {
	in, err := decode[WebhookRequest](r)
	if err != nil {
		return NewWebhook{}, err
	}
	if s.webhooks == nil {
		return NewWebhook{}, ErrNoPrograms
	}
	return s.webhooks.AddWebhook(r.Context(), in)
}

func (s *Service) removeWebhook(r *http.Request) (struct{}, error) {
	if s.webhooks == nil {
		return struct{}{}, ErrNoPrograms
	}
	return struct{}{}, s.webhooks.RemoveWebhook(r.Context(), r.PathValue("who"))
}

func (s *Service) rotateWebhook(r *http.Request) (NewWebhook, error) {
	if s.webhooks == nil {
		return NewWebhook{}, ErrNoPrograms
	}
	return s.webhooks.RotateWebhook(r.Context(), r.PathValue("who"))
}

func (s *Service) redeliver(r *http.Request) (Webhook, error) {
	if s.webhooks == nil {
		return Webhook{}, ErrNoPrograms
	}
	return s.webhooks.Redeliver(r.Context(), r.PathValue("who"))
}

func (s *Service) testWebhook(r *http.Request) (struct{}, error) {
	if s.webhooks == nil {
		return struct{}{}, ErrNoPrograms
	}
	return struct{}{}, s.webhooks.TestWebhook(r.Context(), r.PathValue("who"))
}

var _ Webhooks = (*Client)(nil)

// AddWebhook implements Webhooks.
func (c *Client) AddWebhook(ctx context.Context, r WebhookRequest) (NewWebhook, error) {
	return ask[NewWebhook](ctx, c, "POST", "/v1/webhooks", r)
}

// Webhooks implements Webhooks.
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	return ask[[]Webhook](ctx, c, "GET", "/v1/webhooks", nil)
}

// RemoveWebhook implements Webhooks.
func (c *Client) RemoveWebhook(ctx context.Context, who string) error {
	_, err := ask[struct{}](ctx, c, "DELETE", "/v1/webhooks/"+url.PathEscape(who), nil)
	return err
}

// RotateWebhook implements Webhooks.
func (c *Client) RotateWebhook(ctx context.Context, who string) (NewWebhook, error) {
	return ask[NewWebhook](ctx, c, "POST", "/v1/webhooks/"+url.PathEscape(who)+"/rotation", nil)
}

// Redeliver implements Webhooks.
func (c *Client) Redeliver(ctx context.Context, who string) (Webhook, error) {
	return ask[Webhook](ctx, c, "POST", "/v1/webhooks/"+url.PathEscape(who)+"/redelivery", nil)
}

// TestWebhook implements Webhooks.
func (c *Client) TestWebhook(ctx context.Context, who string) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/webhooks/"+url.PathEscape(who)+"/test", nil)
	return err
}
