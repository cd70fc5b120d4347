package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"

	"schakel/clients/desk"
	"schakel/clients/desk/rights"
	"schakel/clients/desk/signin"
	"schakel/clients/schakel"
)

// Who may ask for a page.
type Who int

// Everybody who is signed in may ask for a page of [Users] that names no operation.
const (
	Users   Who = iota // signed in, not locked, and with the right to the route's operation
	Known              // signed in, perhaps locked
	Anybody            // whoever reaches the port
)

// Route is one entry of the table of pages. Tests walk over the table: a page that is
// not in it does not exist.
type Route struct {
	Method, Path string
	Operation    rights.Operation // what it does; the node refuses the rest once more
	Who          Who
	Still        bool // asked for by scripts by themselves: no sign of life of a person

	uploads bool // files come in: only what serves it reads the body, piece by piece

	keeps  bool   // a message is written here: what was typed is kept even when the session is over
	writes fields // what is kept of a form that is no message, in the same way

	serve func(*Site, *visit) (answer, error)
}

// Routes are all pages.
func Routes() []Route {
	return slices.Concat(entranceRoutes(), lockRoutes(), passkeyRoutes(), organisationRoutes(), inboxRoutes(), searchRoutes(), messageRoutes(), acknowledgeRoutes(), composeRoutes(), draftRoutes(), filesRoutes(), attachmentRoutes(), assignRoutes(), liveRoutes(),
		casesRoutes(), caseRoutes(), notesRoutes(), playbookRoutes(), exportRoutes(), restrictRoutes(), logRoutes(), cardRoutes(),
		onCallRoutes(), rotaChangeRoutes(), rotaSheetRoutes(), pageLogRoutes(), drillRoutes(), directoryRoutes(), historyRoutes(),
		alarmRoutes(), peopleRoutes(), deviceRoutes(), settingsRoutes())
}

// visit is one request of somebody.
type visit struct {
	*http.Request
	w     http.ResponseWriter
	lang  language
	token string
	user  desk.User   // zero where nobody is signed in
	node  desk.Node   // as that user may use it
	wrong atomic.Bool // the PIN of a form was
	shown bool        // a passkey signs, in place of the PIN
	slip  *paper      // what this user is typing in this form, where something was
	since string      // up to where a page that is made now knows of news: see past
}

// answer is what a page comes to: a template with what it shows, or another place to go.
type answer struct {
	page   string // name of the template
	title  string // key of the title
	status int    // default 200
	shows  any
	goTo   string // redirects there
	sent   bool   // the page has written its answer itself
	here   string // where the page can be found again, if a form led to it
	typing bool   // somebody writes on it: it does not go away by itself
}

// page wraps what serves a route: who is it, may they, and what does it come to.
func (s *Site) page(route Route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.visit(w, r, route)
		var a answer
		if err == nil {
			a, err = s.served(v, route)
		}
		over := errors.Is(err, signin.ErrLocked) || errors.Is(err, signin.ErrNoSession)
		switch {
		case over && r.Method == http.MethodPost && s.rescue(v, route):
			s.redirect(w, r, afterRescue(err))
		case errors.Is(err, signin.ErrLocked) && r.Method == http.MethodGet:
			s.redirect(w, r, "/locked")
		case errors.Is(err, signin.ErrNoSession) && r.Method == http.MethodGet:
			s.redirect(w, r, "/sign-in")
		case err != nil:
			if errors.Is(err, signin.ErrTries) {
				s.rescue(v, route)
			}
			s.fail(w, v, err)
		case a.goTo != "":
			s.redirect(w, r, a.goTo)
		case !a.sent:
			s.render(w, v, a)
		}
	}
}

// served has a page answer, once what it was given to sign with may be looked at.
func (s *Site) served(v *visit, route Route) (answer, error) {
	if err := v.wellFormed(route); err != nil {
		return answer{}, err
	}
	end := s.confirmed(v, route)
	defer end()
	tried, err := s.tries(v, route)
	if err != nil {
		return answer{}, err
	}
	defer tried()
	if route.writes.any() {
		return s.written(v, route)
	}
	return route.serve(s, v)
}

// wellFormed refuses a form of which a part cannot be read: the rest of it says something else
// than who filled it in, and may be signed.
func (v *visit) wellFormed(route Route) error {
	if v.Method != http.MethodPost || route.uploads {
		return nil
	}
	err := v.ParseForm()
	if err == nil {
		err = v.ParseMultipartForm(maxForm)
	}
	tooLarge := new(http.MaxBytesError)
	switch {
	case err == nil, errors.Is(err, http.ErrNotMultipart):
		return nil
	case errors.As(err, &tooLarge):
		return err
	}
	return fmt.Errorf("%w: %w", desk.ErrRequest, err)
}

// tries counts a form with a PIN or a passphrase: whoever has the session of somebody else
// can guess a few times, here as at the lock.
func (s *Site) tries(v *visit, route Route) (tried func(), err error) {
	if v.Method != http.MethodPost || route.Who != Users || route.uploads {
		return func() {}, nil
	}
	pin := v.PostFormValue("pin")
	if (pin == "" || pin == noPIN) && v.PostFormValue("glass") == "" {
		return func() {}, nil
	}
	end, err := s.Door.Try(v.Context(), v.token, !v.shown)
	if err != nil {
		return nil, err
	}
	v.node = rights.Watched(s.Node, v.user, v.met)
	return func() { end(v.wrong.Load()) }, nil
}

// met hears of what a form was refused with.
func (v *visit) met(err error) {
	if errors.Is(err, schakel.ErrPIN) || errors.Is(err, schakel.ErrGlass) || errors.Is(err, signin.ErrPIN) {
		v.wrong.Store(true)
	}
}

// afterRescue is where somebody goes on whose typing was kept.
func afterRescue(err error) string {
	if errors.Is(err, signin.ErrLocked) {
		return "/locked?kept=1"
	}
	return "/sign-in?kept=1"
}

func (s *Site) redirect(w http.ResponseWriter, r *http.Request, to string) {
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// visit finds out who asks. It refuses a page that a browser fetches in advance, and one of
// which only the head is asked: looking at a message is noted, and nobody looks.
func (s *Site) visit(w http.ResponseWriter, r *http.Request, route Route) (*visit, error) {
	v := &visit{Request: r, w: w, lang: languageOf(r)}
	if c, err := r.Cookie(s.cookieName()); err == nil {
		v.token = c.Value
	}
	user, err := s.Door.Visitor(r.Context(), v.token, route.Who == Users && !route.Still)
	if err == nil {
		desk.Recognise(r.Context())
	}
	if err == nil || errors.Is(err, signin.ErrLocked) {
		v.user, v.node = user, rights.As(s.Node, user)
		v.since = s.past.mark(v) // before anything is read
	}
	switch {
	case route.Who == Anybody, route.Who == Known && errors.Is(err, signin.ErrLocked):
		err = nil
	case err == nil && (r.Header.Get("Sec-Purpose") != "" || r.Method == http.MethodHead):
		err = errNoPage
	case err == nil && route.Operation != "" && !rights.May(user, route.Operation):
		err = desk.ErrRight
	}
	return v, err
}

// cookieName has the prefix that lets a browser take the cookie from nobody but this
// name, over TLS, where there is TLS.
func (s *Site) cookieName() string {
	if s.TLS != nil {
		return "__Host-schakel"
	}
	return "schakel"
}

// setToken gives the browser its token, or with "" takes it away.
func (s *Site) setToken(v *visit, token string) {
	c := &http.Cookie{Name: s.cookieName(), Value: token, Path: "/", HttpOnly: true, Secure: s.TLS != nil, SameSite: http.SameSiteStrictMode}
	if token == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
	v.token = token
}

// may reports whether the user may do an operation.
func (v *visit) may(op rights.Operation) bool { return rights.May(v.user, op) }
