package web

import (
	"errors"
	"net/http"

	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/desk/signin"
	"schakel/clients/protocol"
)

// trouble is an error as a page shows it.
type trouble struct {
	Title  string
	Remedy string
	Code   string
	Faults []fault // of a form that was refused
}

type fault struct{ At, Reason string }

// own are the refusals of this server beside those of the service; each has its words
// under problem.CODE and remedy.CODE, like the codes of desk.Codes.
func own() []struct {
	err    error
	code   string
	status int
} {
	return []struct {
		err    error
		code   string
		status int
	}{
		{errNoPage, "no-page", http.StatusNotFound},
		{errName, "name", http.StatusMisdirectedRequest},
		{errCrossOrigin, "cross-origin", http.StatusForbidden},
		{errTooMuch, "form-too-large", http.StatusRequestEntityTooLarge},
		{errOwnUser, "own-user", http.StatusForbidden},
		{sheets.ErrNone, "no-sheet", http.StatusNotFound},
		{sheets.ErrFull, "sheets-full", http.StatusConflict},
		{sheets.ErrLarge, "sheet-large", http.StatusRequestEntityTooLarge},
		{signin.ErrLink, "link", http.StatusGone},
		{signin.ErrPasskey, "passkey", http.StatusForbidden},
		{signin.ErrNoSecret, "passkey-no-secret", http.StatusForbidden},
		{signin.ErrProvider, "provider", http.StatusBadGateway},
		{signin.ErrAnswer, "provider-answer", http.StatusForbidden},
		{signin.ErrPIN, "wrong-pin", http.StatusForbidden},
		{signin.ErrTries, "tries", http.StatusTooManyRequests},
		{signin.ErrLocked, "locked", http.StatusForbidden},
		{signin.ErrNoSession, "no-session", http.StatusForbidden},
	}
}

// troubleOf says what an error means to who looks at a page, and its HTTP status. What
// an error says by itself stays out: it is English, and made for who runs the daemon.
func troubleOf(err error, l language) (trouble, int) {
	for _, o := range own() {
		if errors.Is(err, o.err) {
			return trouble{Title: l.word("problem." + o.code), Remedy: l.word("remedy." + o.code), Code: o.code}, o.status
		}
	}
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return troubleOf(errTooMuch, l)
	}
	var rule *protocol.Refusal
	p := desk.ProblemOf(err)
	if errors.As(err, &rule) {
		t := trouble{Title: l.of(rule.Reason), Remedy: l.of(rule.Remedy), Code: rule.Rule}
		for _, f := range rule.Faults {
			t.Faults = append(t.Faults, fault{f.At, l.of(f.Reason)})
		}
		return t, p.Status
	}
	return trouble{Title: l.of(protocol.Text{NL: p.Titel, EN: p.Title}), Remedy: l.word("remedy." + p.Code), Code: p.Code}, p.Status
}

// fail shows an error as a page. What is the daemon's own failure goes to its log.
func (s *Site) fail(w http.ResponseWriter, v *visit, err error) {
	t, status := troubleOf(err, v.lang)
	if status >= http.StatusInternalServerError {
		s.Log.Warn("web desk refused", "code", t.Code, "err", err)
	}
	s.render(w, v, answer{page: "problem", title: "title.problem", status: status, shows: t})
}

// refuse shows an error to somebody of whom nothing is known yet.
func (s *Site) refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.fail(w, &visit{Request: r, w: w, lang: languageOf(r)}, err)
}
