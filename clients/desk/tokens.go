package desk

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// TokenRequest asks for a token with which a program of the organisation works. It may do
// what its roles and its scopes both give; the roles are those of users, and the scopes
// stand in package rights.
type TokenRequest struct {
	Name    string    `json:"name"`
	Roles   []Role    `json:"roles"`
	Scopes  []string  `json:"scopes"`
	Person  string    `json:"person,omitempty"` // name or identifier of whom it may have sign, with the PIN; empty: nobody
	Expires time.Time `json:"expires"`
}

// Token is a program's right to do something, without the secret.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Roles   []Role    `json:"roles"`
	Scopes  []string  `json:"scopes"`
	Person  string    `json:"person,omitempty"` // identifier
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// User is the token as the rights know it. A token without scopes may nothing.
func (t Token) User() User {
	return User{ID: t.ID, Name: t.Name, Roles: t.Roles, Person: t.Person, Scopes: append([]string{}, t.Scopes...)}
}

// NewToken is a token with its secret, which is shown this once.
type NewToken struct {
	Token
	Secret string `json:"secret"`
}

// TokenUse is one line of what programs did with their tokens.
type TokenUse struct {
	At        time.Time `json:"at"`
	Token     string    `json:"token"` // identifier
	Operation string    `json:"operation"`
	Subject   string    `json:"subject"`
}

// Tokens says which programs may do what. Only the owner of the device asks it.
type Tokens interface {
	AddToken(ctx context.Context, r TokenRequest) (NewToken, error)
	Tokens(ctx context.Context) ([]Token, error)
	// RevokeToken takes the name or the identifier.
	RevokeToken(ctx context.Context, who string) error
	// TokenLog returns what one token, or with "" every token, was used for.
	TokenLog(ctx context.Context, who string) ([]TokenUse, error)
}

// What Tokens refuses with.
var (
	ErrNoPrograms   = errors.New("this device gives programs no access")
	ErrUnknownToken = errors.New("no such token")
	ErrScope        = errors.New("no such scope")
	ErrSameName     = errors.New("that name is taken")
)

// programRoutes are those about programs of the organisation.
func (s *Service) programRoutes(mux *http.ServeMux) {
	s.webhookRoutes(mux)
	mux.HandleFunc("GET /v1/tokens", answer(s.listTokens))
	mux.HandleFunc("POST /v1/tokens", answer(s.addToken))
	mux.HandleFunc("DELETE /v1/tokens/{who}", answer(s.revokeToken))
	mux.HandleFunc("GET /v1/token-log", answer(s.tokenLog))
}

func (s *Service) listTokens(r *http.Request) ([]Token, error) {
	if s.tokens == nil {
		return nil, ErrNoPrograms
	}
	return s.tokens.Tokens(r.Context())
}

func (s *Service) addToken(r *http.Request) (NewToken, error) {
	in, err := decode[TokenRequest](r)
	if err != nil {
		return NewToken{}, err
	}
	if s.tokens == nil {
		return NewToken{}, ErrNoPrograms
	}
	return s.tokens.AddToken(r.Context(), in)
}

func (s *Service) revokeToken(r *http.Request) (struct{}, error) {
	if s.tokens == nil {
		return struct{}{}, ErrNoPrograms
	}
	return struct{}{}, s.tokens.RevokeToken(r.Context(), r.PathValue("who"))
}

func (s *Service) tokenLog(r *http.Request) ([]TokenUse, error) {
	if s.tokens == nil {
		return nil, ErrNoPrograms
	}
	return s.tokens.TokenLog(r.Context(), r.URL.Query().Get("token"))
}

var _ Tokens = (*Client)(nil)

// AddToken implements Tokens.
func (c *Client) AddToken(ctx context.Context, r TokenRequest) (NewToken, error) {
	return ask[NewToken](ctx, c, "POST", "/v1/tokens", r)
}

// Tokens implements Tokens.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	return ask[[]Token](ctx, c, "GET", "/v1/tokens", nil)
}

// RevokeToken implements Tokens.
func (c *Client) RevokeToken(ctx context.Context, who string) error {
	_, err := ask[struct{}](ctx, c, "DELETE", "/v1/tokens/"+url.PathEscape(who), nil)
	return err
}

// TokenLog implements Tokens.
func (c *Client) TokenLog(ctx context.Context, who string) ([]TokenUse, error) {
	return ask[[]TokenUse](ctx, c, "GET", "/v1/token-log?token="+url.QueryEscape(who), nil)
}
