package web

import (
	"net/http"

	"schakel/clients/desk/rights"
	"schakel/clients/harmless"
)

func entranceRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/{$}", Who: Known, serve: (*Site).front},
		{Method: "GET", Path: "/sign-in", Who: Anybody, serve: (*Site).signIn},
		{Method: "GET", Path: "/enter/{link}", Who: Anybody, serve: (*Site).invitation},
		{Method: "POST", Path: "/enter/{link}", Who: Anybody, serve: (*Site).enter},
		{Method: "POST", Path: "/sign-out", Who: Known, serve: (*Site).signOut},
		{Method: "POST", Path: "/language", Who: Anybody, serve: (*Site).chooseLanguage},
		{Method: "GET", Path: "/welcome", Who: Users, serve: (*Site).welcome},
	}
}

// front leads to the first place that the user may see.
func (s *Site) front(v *visit) (answer, error) {
	for _, n := range navigation() {
		if rights.May(v.user, n.Operation) {
			return answer{goTo: n.Path}, nil
		}
	}
	return answer{goTo: "/welcome"}, nil
}

// welcome is for who has no place in the navigation.
func (s *Site) welcome(v *visit) (answer, error) {
	return answer{page: "welcome", title: "title.welcome"}, nil
}

// signIn says how to get in, to somebody who is not.
func (s *Site) signIn(v *visit) (answer, error) {
	return answer{page: "signin", title: "title.sign-in", shows: v.URL.Query().Get("kept") != ""}, nil
}

// invitation asks whoever follows a link to press a button: a link that is only looked
// at, by a mail filter or a browser that fetches in advance, stays good. Also, the cookie
// of a session is not sent along from a link that another program opened
// (SameSite=Strict), but it is from a button here.
func (s *Site) invitation(v *visit) (answer, error) {
	user, err := s.Door.Invited(v.Context(), v.PathValue("link"))
	return answer{page: "enter", title: "title.sign-in", shows: harmless.Line(user.Name)}, err
}

func (s *Site) enter(v *visit) (answer, error) {
	s.Door.End(v.Context(), v.token) // one browser, one session
	token, err := s.Door.Redeem(v.Context(), v.PathValue("link"))
	if err != nil {
		return answer{}, err
	}
	s.setToken(v, token)
	return answer{goTo: "/"}, nil
}

func (s *Site) signOut(v *visit) (answer, error) {
	s.Door.End(v.Context(), v.token)
	s.setToken(v, "")
	s.forget(v)
	return answer{goTo: "/sign-in"}, nil
}

// forget asks the browser to drop what it may have kept of pages, against its back button.
func (s *Site) forget(v *visit) { v.w.Header().Set("Clear-Site-Data", `"cache"`) }

func (s *Site) chooseLanguage(v *visit) (answer, error) {
	l := dutch
	if language(v.FormValue("language")) == english {
		l = english
	}
	http.SetCookie(v.w, &http.Cookie{Name: languageCookie, Value: string(l), Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true,
		Secure: s.TLS != nil, SameSite: http.SameSiteStrictMode})
	return answer{goTo: local(v.FormValue("back"))}, nil
}
