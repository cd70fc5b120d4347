package web

import (
	"net/url"
	"slices"

	"schakel/clients/desk/rights"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
)

// action is something that a user may do now with a message or a case: a link to the page
// on which it is done.
type action struct {
	Key     string // of its words: action.KEY
	Path    string
	Primary bool
}

// messageActions are what this user may do with a message, the first thing first. What
// the rights or the rules would refuse is not among them.
func (s *Site) messageActions(v *visit, m schakel.Summary, closed bool) ([]action, error) {
	status, err := v.node.Status(v.Context())
	if err != nil {
		return nil, err
	}
	desks, err := v.node.Directory(v.Context())
	if err != nil {
		return nil, err
	}
	may := func(op rights.Operation) bool { return rights.May(v.user, op) }
	at := "/messages/" + m.Hash
	var out []action
	asks := m.Inbound && !m.AckDue.IsZero() && may("Acknowledge")
	waits := asks && m.Acknowledged.IsZero()
	if waits || asks && m.Confirms.Short() { // a second person is asked for where the rota says so
		out = append(out, action{"acknowledge", at + "/acknowledgement", true})
	}
	if may("Send") && len(s.answersTo(m, status, desks)) > 0 {
		out = append(out, action{"answer", at + "/answer", len(out) == 0})
	}
	if waits && !closed {
		out = append(out, action{"wrong-desk", at + "/acknowledgement?status=" + protocol.StatusWrongRecipient, false})
	}
	if own := !m.Inbound && m.Class != protocol.ClassAcknowledgement; own && may("Send") && !closed {
		for _, class := range []string{protocol.ClassCorrection, protocol.ClassWithdrawal} {
			if m.Class != class && s.Catalogue.Sends(class, status.Role) {
				out = append(out, action{class, "/compose/" + class + "?rests-on=" + url.QueryEscape(m.Hash), false})
			}
		}
		if may("Forward") {
			out = append(out, action{"forward", at + "/forwarding", false})
		}
	}
	return append(out, caseActions(v, m.Case)...), nil
}

// caseActions are what this user may do with a case.
func caseActions(v *visit, ref string) (out []action) {
	if rights.May(v.user, "Send") {
		out = append(out, action{"write", "/compose?case=" + url.QueryEscape(ref), false})
	}
	if rights.May(v.user, "Assign") && v.user.Person != "" {
		out = append(out, action{"assign", "/cases/" + url.PathEscape(ref) + "/assignment", false})
	}
	return out
}

// rightDesk is who should have had a message that came to the wrong desk, as its form asks.
type rightDesk struct {
	Roles  []choice
	Region string
}

func (s *Site) rightDesk(v *visit) (r rightDesk) {
	form, err := s.Catalogue.Form(protocol.ClassAcknowledgement)
	if err != nil {
		return r
	}
	i := slices.IndexFunc(form.Fields, func(f protocol.Field) bool { return f.Name == "juisteOntvanger" })
	if i < 0 {
		return r
	}
	for _, f := range form.Fields[i].Fields {
		for _, c := range f.Choices {
			r.Roles = append(r.Roles, choice{c.Value, v.lang.of(c.Label), v.PostFormValue("right-role") == c.Value})
		}
	}
	r.Region = v.PostFormValue("right-region")
	return r
}
