package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"schakel/clients/desk"
	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func acknowledgeRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/messages/{ref}/acknowledgement", Operation: "Acknowledge", Who: Users, writes: takingFields(), serve: (*Site).acknowledgeForm},
		{Method: "POST", Path: "/messages/{ref}/acknowledgement", Operation: "Acknowledge", Who: Users, writes: takingFields(), serve: (*Site).acknowledge},
		{Method: "GET", Path: "/messages/{ref}/acknowledged", Operation: "Read", Who: Users, serve: (*Site).acknowledged},
	}
}

func takingFields() fields {
	return fields{words: []string{"first-action", "right-region"}, choices: []string{"status", "right-role", "answer-by"}}
}

// taking is the form of an acknowledgement, as filled in so far. Never with the PIN.
type taking struct {
	letter
	Name        string
	Choices     []choice
	FirstAction string
	AnswerBy    string
	Slip        kept
	Trouble     *trouble
	Right       rightDesk
	WrongDesk   bool // the answer is that it came to the wrong desk
	WrongPIN    bool
	WrongTime   bool
}

type choice struct {
	Value, Label string
	Chosen       bool
}

func (s *Site) acknowledgeForm(v *visit) (answer, error) {
	form, err := s.taking(v)
	return answer{page: "acknowledge", title: "title.acknowledge", shows: form, typing: true}, err
}

// taking reads the form, or begins an empty one. It shows what is acknowledged; that it
// was opened is noted like on the page of the message.
func (s *Site) taking(v *visit) (taking, error) {
	if v.user.Person == "" {
		return taking{}, schakel.ErrPersonNeeded
	}
	m, err := s.read(v, schakel.By{})
	if err != nil {
		return taking{}, err
	}
	t := taking{letter: m, Name: v.user.Name, FirstAction: v.PostFormValue("first-action"), AnswerBy: v.PostFormValue("answer-by")}
	t.Right = s.rightDesk(v)
	if t.Slip, err = s.keptHere(v, v.URL.Path); err != nil {
		return taking{}, err
	}
	chosen := v.FormValue("status")
	if chosen == "" {
		chosen = protocol.StatusTaken
	}
	t.WrongDesk = chosen == protocol.StatusWrongRecipient
	form, err := s.Catalogue.Form(protocol.ClassAcknowledgement)
	if err != nil {
		return t, fmt.Errorf("failed to make the form: %w", err)
	}
	for _, f := range form.Fields {
		if f.Name != "status" {
			continue
		}
		for _, c := range f.Choices {
			t.Choices = append(t.Choices, choice{c.Value, v.lang.of(c.Label), c.Value == chosen})
		}
	}
	return t, nil
}

// localTime is what a browser sends for a date and time without a zone.
const localTime = "2006-01-02T15:04"

func (s *Site) acknowledge(v *visit) (answer, error) {
	a := schakel.Acknowledgement{Person: v.user.Person, PIN: v.PostFormValue("pin"), Status: v.PostFormValue("status"),
		FirstAction: strings.TrimSpace(v.PostFormValue("first-action"))}
	if a.Status == protocol.StatusWrongRecipient {
		a.RightRole, a.RightUnit = identity.Role(v.PostFormValue("right-role")), strings.ToUpper(strings.TrimSpace(v.PostFormValue("right-region")))
	}
	if by := v.PostFormValue("answer-by"); by != "" {
		t, err := time.ParseInLocation(localTime, by, calendar.Zone())
		if err != nil || !t.After(s.Now()) {
			return s.again(v, func(t *taking) { t.WrongTime = true }, http.StatusUnprocessableEntity)
		}
		a.AnswerBy = t
	}
	_, err := v.node.Acknowledge(v.Context(), v.PathValue("ref"), a)
	switch {
	case err == nil:
		return answer{goTo: "/messages/" + v.PathValue("ref") + "/acknowledged"}, nil
	case errors.Is(err, schakel.ErrPIN):
		return s.again(v, func(t *taking) { t.WrongPIN = true }, http.StatusForbidden)
	}
	refused, status := troubleOf(err, v.lang)
	return s.again(v, func(t *taking) { t.Trouble = &refused }, status)
}

// again shows the form once more, with what was typed and what is wrong with it.
func (s *Site) again(v *visit, wrong func(*taking), status int) (answer, error) {
	t, err := s.taking(v)
	wrong(&t)
	return answer{page: "acknowledge", title: "title.acknowledge-again", status: status, shows: t, typing: true}, err
}

// acknowledged shows that it was done, to whom, and what to do beside it.
func (s *Site) acknowledged(v *visit) (answer, error) {
	m, err := s.read(v, schakel.By{})
	if err != nil {
		return answer{}, err
	}
	if m.Taken.IsZero() {
		return answer{}, fmt.Errorf("%w: it is not acknowledged", desk.ErrRequest)
	}
	return answer{page: "acknowledged", title: "title.acknowledged", shows: m}, nil
}
