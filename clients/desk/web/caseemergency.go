package web

import (
	"errors"
	"net/http"

	"schakel/clients/harmless"
	"schakel/clients/schakel"
)

// emergencyGlass is a restricted case before somebody opens it with the passphrase from the
// safe: whom to call first, what it sets off, and who signs it. Never with the passphrase.
type emergencyGlass struct {
	caseHead
	Readers    []reader
	Signer     string
	Wrong      bool // the PIN was
	WrongGlass bool
	Trouble    *trouble
}

func (s *Site) emergencyForm(v *visit) (answer, error) {
	out, err := s.emergencyGlass(v)
	if err == nil && !out.closed() {
		return answer{goTo: casePath(out.Ref)}, nil
	}
	return answer{page: "caseemergency", title: "title.case-emergency", shows: out}, err
}

func (s *Site) emergencyGlass(v *visit) (emergencyGlass, error) {
	r, err := v.node.Restriction(v.Context(), v.PathValue("ref"))
	out := emergencyGlass{caseHead: caseHead{Ref: r.Case}, Readers: readers(r.Readers)}
	if v.user.Person != "" {
		out.Signer = harmless.Line(v.user.Name)
	}
	return out, err
}

// closed reports whether there is something to open here, for this user.
func (e emergencyGlass) closed() bool { return len(e.Readers) > 0 && e.Signer != "" }

// emergency shows the case once. Everybody who may read it gets an alarm before anything
// is shown.
func (s *Site) emergency(v *visit) (answer, error) {
	out, err := s.emergencyGlass(v)
	if err != nil {
		return answer{}, err
	}
	by := schakel.By{Person: v.user.Person, PIN: v.PostFormValue("pin"), Glass: v.PostFormValue("glass")}
	status := http.StatusForbidden
	switch {
	case !out.closed():
		return answer{goTo: casePath(out.Ref)}, nil
	case by.PIN == "":
		err = schakel.ErrPIN
	case by.Glass == "":
		err = schakel.ErrGlass
	default:
		var a answer
		if a, err = s.caseAs(v, by); err == nil {
			return a, nil
		}
	}
	out.Wrong, out.WrongGlass = errors.Is(err, schakel.ErrPIN), errors.Is(err, schakel.ErrGlass)
	if !out.Wrong && !out.WrongGlass {
		var refused trouble
		refused, status = troubleOf(err, v.lang)
		out.Trouble = &refused
	}
	return answer{page: "caseemergency", title: "title.case-emergency-again", status: status, shows: out}, nil
}
