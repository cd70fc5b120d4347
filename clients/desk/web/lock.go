package web

import (
	"errors"
	"net/http"

	"schakel/clients/desk/signin"
	"schakel/clients/harmless"
)

func lockRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/locked", Who: Known, Still: true, serve: (*Site).locked},
		{Method: "POST", Path: "/lock", Who: Known, serve: (*Site).lock},
		{Method: "POST", Path: "/unlock", Who: Known, serve: (*Site).unlock},
		{Method: "POST", Path: "/hide", Who: Anybody, serve: (*Site).hide},
		{Method: "GET", Path: "/notes", Who: Anybody, serve: (*Site).neutral},
		{Method: "POST", Path: "/alive", Who: Users, serve: (*Site).alive},
	}
}

// lockScreen is what a locked session shows: nothing of any case.
type lockScreen struct {
	Name  string
	PIN   bool // a PIN opens it; otherwise the user signs in again
	Wrong bool
	Kept  bool // what was typed is safe
}

// locked shows the lock of a session that is locked, and leads on from one that is not: a
// page without scripts comes here by itself when its time is over.
func (s *Site) locked(v *visit) (answer, error) {
	if s.Door.Remaining(v.token) > 0 {
		return answer{goTo: "/"}, nil
	}
	return answer{page: "locked", title: "title.locked", shows: lockScreen{Name: harmless.Line(v.user.Name), PIN: v.user.Person != "", Kept: v.URL.Query().Get("kept") != ""}}, nil
}

func (s *Site) lock(v *visit) (answer, error) {
	s.Door.Lock(v.token)
	s.forget(v)
	return answer{goTo: "/locked"}, nil
}

func (s *Site) unlock(v *visit) (answer, error) {
	token, err := s.Door.Unlock(v.Context(), v.token, v.PostFormValue("pin"))
	if errors.Is(err, signin.ErrPIN) {
		return answer{page: "locked", title: "title.locked", status: http.StatusForbidden,
			shows: lockScreen{Name: harmless.Line(v.user.Name), PIN: true, Wrong: true}}, nil
	}
	if err != nil {
		s.setToken(v, "")
		return answer{}, err
	}
	s.setToken(v, token)
	return answer{goTo: "/"}, nil
}

// hide is the way out when somebody comes in: it locks, and shows a page that says
// nothing of this program. It must work whatever state the session is in.
func (s *Site) hide(v *visit) (answer, error) {
	s.Door.Lock(v.token)
	s.forget(v)
	return answer{goTo: "/notes"}, nil
}

// neutral looks like an empty note book.
func (s *Site) neutral(v *visit) (answer, error) {
	return answer{page: "notes", title: "title.notes"}, nil
}

// alive is how the script says that somebody is typing. Being asked is all.
func (s *Site) alive(v *visit) (answer, error) {
	v.w.WriteHeader(http.StatusNoContent)
	return answer{sent: true}, nil
}
