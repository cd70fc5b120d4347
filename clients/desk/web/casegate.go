package web

import (
	"errors"
	"net/http"

	"schakel/clients/schakel"
)

// restrictedCase is what takes the place of a page of a case that the user may not read:
// that it is there, the messages as lists show them, and whom to call.
type restrictedCase struct {
	Ref string
	closed
	Messages []item
	Signs    bool    // this user can open it in an emergency
	More     bool    // there are more of them
	Asked    []field // what the form sends along beside the PIN
}

// prover is who looks at a case, where a PIN was typed to prove it.
func prover(v *visit) schakel.By {
	pin := v.PostFormValue("pin")
	if v.user.Person == "" || pin == "" {
		return schakel.By{}
	}
	return schakel.By{Person: v.user.Person, PIN: pin}
}

// gated makes a page of a case for who may read it, and for others what is known without
// reading. A restricted case needs the PIN for each page.
func (s *Site) gated(v *visit, page func(schakel.By) (answer, error)) (answer, error) {
	by := prover(v)
	a, err := page(by)
	switch {
	case errors.Is(err, schakel.ErrPIN):
		return s.gate(v, true)
	case errors.Is(err, schakel.ErrRestricted):
		return s.gate(v, false)
	}
	return a, err
}

func (s *Site) gate(v *visit, wrongPIN bool) (answer, error) {
	r, err := v.node.Restriction(v.Context(), v.PathValue("ref"))
	if err != nil {
		return answer{}, err
	}
	if len(r.Readers) == 0 {
		return answer{goTo: v.URL.Path}, nil // it is open, and asks for no PIN
	}
	out := restrictedCase{Ref: r.Case, Signs: v.user.Person != ""}
	out.Readers, out.WrongPIN = readers(r.Readers), wrongPIN
	for i, p := range r.Readers {
		if p.ID == v.user.Person {
			out.Signer = out.Readers[i].Name
		}
	}
	all, err := v.node.List(v.Context(), schakel.Filter{Box: "all", Case: r.Case, Limit: maxOfCase})
	if err != nil {
		return answer{}, err
	}
	for _, m := range all[:min(len(all), rowsPerPage)] {
		out.Messages = append(out.Messages, s.item(v.lang, m))
	}
	out.More = len(all) > rowsPerPage
	out.Asked = carried(v.Form, "situation")
	if wrongPIN {
		return answer{page: "caseclosed", title: "title.case-again", status: http.StatusForbidden, shows: out}, nil
	}
	return answer{page: "caseclosed", title: "title.case-closed", shows: out}, nil
}
