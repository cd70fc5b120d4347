package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/desk/web/formbody"
	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/clients/schakel"
	"schakel/clients/writing"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// maxTyped bounds a form in which a message is written: more than a message can hold, so
// that what is too long comes back to who typed it, with what is wrong beside it.
const maxTyped = 4 << 20

// Bounds of what a form says beside its fields.
const (
	maxRefs = 64
	maxRef  = 200
)

// paper is a message that somebody is writing, or a slip: what the form says so far, as it
// was typed. It holds no PIN. A sheet keeps it between two steps.
type paper struct {
	ID       string                `json:"id"`
	Class    string                `json:"class"`
	Form     string                `json:"form,omitempty"` // path of a form that is no message: a slip
	Urgency  message.Urgency       `json:"urgency,omitempty"`
	Case     string                `json:"case,omitempty"`
	Answers  string                `json:"answers,omitempty"`
	RestsOn  []string              `json:"restsOn,omitempty"`
	To       []string              `json:"to,omitempty"`
	Exercise bool                  `json:"exercise,omitempty"`
	Saved    *schakel.SavedVersion `json:"saved,omitempty"` // the draft of the desk that it was made of
	Tried    bool                  `json:"tried,omitempty"` // somebody wanted to go on: say what is missing
	Attached []schakel.Attached    `json:"attached,omitempty"`
	Typed    url.Values            `json:"typed"`

	closed bool // of a restricted case: never kept on disk
}

// Carried is what was typed, for a page that is kept nowhere but in itself.
func (p *paper) Carried() []field {
	return carried(p.Typed, slices.Sorted(maps.Keys(p.Typed))...)
}

// posted reads a form that was sent. A form whose fields cannot be told apart is refused.
func (s *Site) posted(v *visit) (*paper, error) {
	if err := v.ParseForm(); err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: the form: %w", desk.ErrRequest, err)
	}
	one := func(name string) string { return v.PostForm.Get(name)[:min(len(v.PostForm.Get(name)), maxRef)] }
	many := func(name string) (out []string) {
		for _, x := range v.PostForm[name][:min(len(v.PostForm[name]), maxRefs)] {
			if x != "" && !slices.Contains(out, x) {
				out = append(out, x[:min(len(x), maxRef)])
			}
		}
		return out
	}
	p := &paper{Class: v.PathValue("class"), Urgency: message.Urgency(one("urgency")), Case: one("case"), Answers: one("answers"), RestsOn: many("rests-on"),
		To: many("to"), Exercise: one("exercise") != "", Tried: one("tried") != "", Typed: url.Values{}}
	if id := one("saved-id"); id != "" {
		p.Saved = &schakel.SavedVersion{ID: id, Version: one("saved-version")}
	}
	for name, values := range v.PostForm {
		if strings.HasPrefix(name, formbody.Prefix) {
			p.Typed[name] = values
		}
	}
	holder, id, err := s.Sheets.Holder(v.Context(), v.PostForm.Get("sheet"))
	if err == nil && holder == v.user.ID {
		p.ID = id
		if err := s.withFiles(v.Context(), holder, p); err != nil {
			return nil, err
		}
	}
	return p, p.number(s)
}

// number gives a paper an identifier where it has none.
func (p *paper) number(s *Site) error {
	if p.ID != "" {
		return nil
	}
	u, err := identity.NewUUIDv7(s.Now(), rand.Reader)
	p.ID = identity.FormatUUID(u)
	return err
}

// keep keeps a paper for its user: of a restricted case in memory only. Its files are those
// of the sheet, which another page may have changed.
func (s *Site) keep(v *visit, p *paper) error { return s.keepFor(v, v.user.ID, p) }

func (s *Site) keepFor(v *visit, user string, p *paper) error {
	defer s.Sheets.Hold(user, p.ID+filesHold)()
	if err := s.withFiles(v.Context(), user, p); err != nil {
		return err
	}
	return s.keepAs(v.Context(), user, p)
}

func (s *Site) keepAs(ctx context.Context, user string, p *paper) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return s.Sheets.Keep(ctx, user, sheets.Sheet{ID: p.ID, Class: cmp.Or(p.Form, p.Class), Text: raw, Aside: p.closed})
}

// keptPaper is a kept paper of this user.
func (s *Site) keptPaper(v *visit, id string) (*paper, error) {
	kept, err := s.Sheets.Get(v.Context(), v.user.ID, id)
	if err != nil {
		return nil, err
	}
	return paperOf(kept)
}

func paperOf(kept sheets.Sheet) (*paper, error) {
	p := &paper{}
	if err := json.Unmarshal(kept.Text, p); err != nil {
		return nil, fmt.Errorf("%w: %w", sheets.ErrNone, err)
	}
	p.closed = kept.Aside
	return p, nil
}

// rescue keeps what somebody typed whose session was locked or over by the time the form
// came: the form itself says whose it is. It reports whether it is safe.
func (s *Site) rescue(v *visit, route Route) bool {
	if !route.keeps && !route.writes.any() {
		return false
	}
	v.Body = http.MaxBytesReader(v.w, v.Body, maxForm) // who is not in gets no more room than anybody
	p, err := s.posted(v)
	if err != nil {
		return false
	}
	if route.writes.any() {
		p = slipOf(v, route)
	}
	holder, id, err := s.Sheets.Holder(v.Context(), v.PostForm.Get("sheet"))
	if err != nil || v.user.ID != "" && v.user.ID != holder {
		return false
	}
	users, err := s.Door.Users(v.Context())
	if err != nil || !slices.ContainsFunc(users, func(u desk.User) bool { return u.ID == holder }) {
		return false // somebody who left
	}
	p.ID = id
	formbody.Change(p.Typed, v.PostForm.Get("do"))
	p.closed = s.restricted(v, p)
	return s.keepFor(v, holder, p) == nil
}

// restricted reports whether a paper belongs to a restricted case, or whether nobody can
// tell. It asks past the rights of who is there: the answer only keeps something from the
// disk.
func (s *Site) restricted(v *visit, p *paper) bool {
	for _, ref := range p.refs() {
		r, err := s.Node.Restriction(v.Context(), ref)
		if err != nil && !errors.Is(err, schakel.ErrNotFound) || len(r.Readers) > 0 {
			return true
		}
	}
	return false
}

// refs are the messages and the case that a paper speaks of.
func (p *paper) refs() (out []string) {
	for _, ref := range append([]string{p.Case, p.Answers}, p.RestsOn...) {
		if ref != "" {
			out = append(out, ref)
		}
	}
	return out
}

// draft is the message that a paper makes, with that body.
func (p *paper) draft(values protocol.Values, body []byte) schakel.Draft {
	d := schakel.Draft{Class: p.Class, Urgency: p.Urgency, Case: p.Case, Answers: p.Answers, RestsOn: p.RestsOn, Exercise: p.Exercise, Body: body, To: []identity.DeskID{}, Attachments: p.attachedIDs()}
	for _, to := range p.To {
		d.To = append(d.To, identity.DeskID(to))
	}
	d.Outcome = writing.Outcome(p.Class, values)
	return d
}

// readPaper is what a paper says: its values, its body where that is whole, and what is wrong.
func (s *Site) readPaper(p *paper) (values protocol.Values, body []byte, wrong []formbody.Fault, err error) {
	form, err := s.Catalogue.Form(p.Class)
	if err != nil {
		return nil, nil, nil, errNoPage
	}
	class, _ := s.Catalogue.Class(p.Class)
	values, wrong = formbody.Parse(form, p.Typed, calendar.Zone())
	p.describe(class, values)
	wrong = append(wrong, formbody.Missing(form, p.Typed, values, wrong)...)
	if len(wrong) > 0 {
		return values, nil, wrong, nil
	}
	body, err = s.Catalogue.Compose(p.Class, values)
	var refusal *protocol.Refusal
	if errors.As(err, &refusal) {
		return values, nil, formbody.Refused(form, refusal), nil
	}
	return values, body, nil, err
}

// sketch is the body of a paper as a draft of the desk keeps it: whole where it is, and
// otherwise what is there of it.
func (s *Site) sketch(p *paper) (schakel.Draft, error) {
	values, body, wrong, err := s.readPaper(p)
	if err != nil {
		return schakel.Draft{}, err
	}
	if len(wrong) > 0 {
		if body, err = json.Marshal(values); err != nil {
			return schakel.Draft{}, err
		}
	}
	return p.draft(values, body), nil
}
