package web

import (
	"errors"
	"net/http"
	"strings"

	"schakel/clients/desk/signin"
	"schakel/clients/harmless"
)

func organisationRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/sign-in/organisation", Who: Anybody, serve: (*Site).toOrganisation},
		{Method: "GET", Path: signin.ReturnPath, Who: Anybody, serve: (*Site).fromOrganisation},
		{Method: "GET", Path: "/sign-in/done", Who: Anybody, serve: (*Site).signedIn},
	}
}

// keepCookie holds what ties an answer of the organisation's sign-in to this browser. Unlike
// the session's it comes along from a link elsewhere (SameSite=Lax): an answer is one.
func (s *Site) keepCookie(value string, seconds int) *http.Cookie {
	return &http.Cookie{Name: s.cookieName() + "-sign-in", Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: s.TLS != nil, SameSite: http.SameSiteLaxMode}
}

// toOrganisation sends a browser to where the organisation asks people who they are. It is
// a link and no form: a form could be sent on to as many places as the provider likes, and
// the policy of every page would have to name them.
func (s *Site) toOrganisation(v *visit) (answer, error) {
	if !s.Door.HasProvider() {
		return answer{}, errNoPage
	}
	if base := s.Door.Base(); !strings.HasSuffix(base, "://"+v.Host) {
		return answer{goTo: base + v.URL.Path}, nil // the answer comes back under that name, and so must the cookie
	}
	address, keep, err := s.Door.BeginAtProvider(v.Context(), v.token)
	if err != nil {
		return answer{}, err
	}
	http.SetCookie(v.w, s.keepCookie(keep, 600))
	return answer{goTo: address}, nil
}

// fromOrganisation takes the answer. It leads to a page of its own: the next step must
// come from a page here, because the cookie of a session is not sent along from elsewhere.
func (s *Site) fromOrganisation(v *visit) (answer, error) {
	if !s.Door.HasProvider() {
		return answer{}, errNoPage
	}
	keep, err := v.Cookie(s.keepCookie("", 0).Name)
	if err != nil {
		return answer{}, signin.ErrAnswer
	}
	token, err := s.Door.ReturnFromProvider(v.Context(), keep.Value, v.URL.Query())
	var stranger *signin.StrangerError
	if errors.As(err, &stranger) {
		return answer{page: "stranger", title: "title.stranger", status: http.StatusForbidden, shows: harmless.Line(stranger.Subject)}, nil
	}
	if err != nil {
		return answer{}, err
	}
	http.SetCookie(v.w, s.keepCookie("", -1))
	s.setToken(v, token)
	return answer{goTo: "/sign-in/done"}, nil
}

func (s *Site) signedIn(v *visit) (answer, error) {
	return answer{page: "signedin", title: "title.signed-in"}, nil
}
