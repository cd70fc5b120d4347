package desk

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Role is what a user of the desk is here for. What each may do stands in package
// rights.
type Role string

// The roles. A user can have several.
const (
	RoleCaseWorker Role = "behandelaar"  // works in cases
	RoleOnCall     Role = "piket"        // takes what comes at night
	RoleKeeper     Role = "beheerder"    // looks after this installation, and reads no case
	RoleOfficer    Role = "functionaris" // watches over it: access log, alarms; and reads no case
)

// Roles are all of them.
func Roles() []Role { return []Role{RoleCaseWorker, RoleOnCall, RoleKeeper, RoleOfficer} }

// User is somebody who may open the web desk, or a program with a token.
type User struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Roles  []Role `json:"roles"`
	Person string `json:"person,omitempty"` // identifier of the person that signs; empty: signs nothing
	// Scopes narrow what a program may to what its token is for. Nil: a person, whom the
	// roles alone bind; empty: nothing at all.
	Scopes []string `json:"scopes,omitempty"`

	Account string `json:"account,omitempty"` // at the organisation's own sign-in, "issuer subject"
}

// LinkRequest asks for a one-time link. A user who is not known yet is made: Roles says
// as what, and Person, by name or identifier, as whom that user signs. With no name at
// all it is the one user that there is, or the first.
type LinkRequest struct {
	Name   string `json:"name,omitempty"`
	Person string `json:"person,omitempty"`
	Roles  []Role `json:"roles,omitempty"`
	// Locked: the link leads a user who signs to a locked screen, which that person's PIN
	// opens. Whoever makes a link for a colleague then cannot be that colleague with it.
	Locked bool `json:"locked,omitempty"`
}

// Link lets one user in, once.
type Link struct {
	URL   string    `json:"url"`
	User  User      `json:"user"`
	Until time.Time `json:"until"`
}

// Entrance says who may open the web desk. Only the owner of the device asks it.
type Entrance interface {
	Link(ctx context.Context, r LinkRequest) (Link, error)
	Users(ctx context.Context) ([]User, error)
	// RemoveUser ends a user's sessions, and revokes the person's key. It takes the name
	// or the identifier.
	RemoveUser(ctx context.Context, who string) error
	// Tie lets an account of the organisation's own sign-in in as a user, by its subject
	// and nothing else; an empty one lets none in any more. It ends the user's sessions.
	Tie(ctx context.Context, who, subject string) error
}

// What an Entrance refuses with.
var (
	ErrNoWeb       = errors.New("the web desk is off")
	ErrUnknownUser = errors.New("no such user of the web desk")
	ErrNoProvider  = errors.New("this desk goes by no sign-in of the organisation")
	ErrTied        = errors.New("that account belongs to another user")
	ErrRole        = errors.New("no such role")
	ErrRight       = errors.New("your role may not do this")
	ErrOwnPerson   = errors.New("you sign as yourself only")
)

func entranceRefusals() []refusal {
	return []refusal{
		{ErrNoWeb, "web-off", http.StatusServiceUnavailable, "The web desk is off", "Het webbureau staat uit", "set `web` to an address such as 127.0.0.1:8477, and start the daemon again"},
		{ErrUnknownUser, "unknown-user", http.StatusNotFound, "No such user of the web desk", "Deze gebruiker kent het webbureau niet", "look in `schakel web users`"},
		{ErrNoProvider, "no-organisation-sign-in", http.StatusConflict, "No sign-in of the organisation", "Geen aanmelding van de organisatie", "set oidc-issuer, oidc-client and oidc-secret-file, and start the daemon again"},
		{ErrTied, "account-tied", http.StatusConflict, "That account is another user", "Dit account is een andere gebruiker", "look in `schakel web users`, and untie that user first"},
		{ErrRole, "unknown-role", http.StatusBadRequest, "No such role", "Deze rol bestaat niet", "the roles are behandelaar, piket, beheerder and functionaris"},
		{ErrOwnPerson, "own-person", http.StatusForbidden, "You sign as yourself only", "U tekent alleen als uzelf", "sign with your own name and PIN"},
		{ErrRight, "no-right", http.StatusForbidden, "Your role may not do this", "Uw rol mag dit niet", "ask a colleague with the right role"},
	}
}

func (s *Service) links(r *http.Request) (Link, error) {
	in, err := decode[LinkRequest](r)
	if err != nil {
		return Link{}, err
	}
	if s.entrance == nil {
		return Link{}, ErrNoWeb
	}
	return s.entrance.Link(r.Context(), in)
}

func (s *Service) users(r *http.Request) ([]User, error) {
	if s.entrance == nil {
		return nil, ErrNoWeb
	}
	return s.entrance.Users(r.Context())
}

// leaver names the user who goes.
type leaver struct {
	Who string `json:"who"`
}

func (s *Service) removeUser(r *http.Request) (struct{}, error) {
	in, err := decode[leaver](r)
	if err != nil {
		return struct{}{}, err
	}
	if s.entrance == nil {
		return struct{}{}, ErrNoWeb
	}
	return struct{}{}, s.entrance.RemoveUser(r.Context(), in.Who)
}

// tie names an account for a user.
type tie struct {
	Who     string `json:"who"`
	Subject string `json:"subject"`
}

func (s *Service) tieUser(r *http.Request) (struct{}, error) {
	in, err := decode[tie](r)
	if err != nil {
		return struct{}{}, err
	}
	if s.entrance == nil {
		return struct{}{}, ErrNoWeb
	}
	return struct{}{}, s.entrance.Tie(r.Context(), in.Who, in.Subject)
}

var _ Entrance = (*Client)(nil)

// Link implements Entrance.
func (c *Client) Link(ctx context.Context, r LinkRequest) (Link, error) {
	return ask[Link](ctx, c, "POST", "/v1/users/link", r)
}

// Users implements Entrance.
func (c *Client) Users(ctx context.Context) ([]User, error) {
	return ask[[]User](ctx, c, "GET", "/v1/users", nil)
}

// RemoveUser implements Entrance.
func (c *Client) RemoveUser(ctx context.Context, who string) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/users/removal", leaver{who})
	return err
}

// Tie implements Entrance.
func (c *Client) Tie(ctx context.Context, who, subject string) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/users/account", tie{who, subject})
	return err
}
