package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"schakel/clients/desk"
	"schakel/clients/desk/signin"
	"schakel/clients/harmless"
	"schakel/clients/schakel"
)

func peopleRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/people", Operation: "AddPerson", Who: Users, serve: (*Site).people},
		{Method: "GET", Path: "/people/new", Operation: "AddPerson", Who: Users, serve: (*Site).personForm},
		{Method: "POST", Path: "/people/new", Operation: "AddPerson", Who: Users, serve: (*Site).addPerson},
		{Method: "GET", Path: "/people/link", Operation: "AddPerson", Who: Users, serve: (*Site).linkForm},
		{Method: "POST", Path: "/people/link", Operation: "AddPerson", Who: Users, serve: (*Site).makeLink},
		{Method: "GET", Path: "/people/roles", Operation: "AddPerson", Who: Users, serve: (*Site).rolesForm},
		{Method: "POST", Path: "/people/roles", Operation: "AddPerson", Who: Users, serve: (*Site).setRoles},
		{Method: "GET", Path: "/people/removal", Operation: "Revoke", Who: Users, serve: (*Site).removalForm},
		{Method: "POST", Path: "/people/removal", Operation: "Revoke", Who: Users, serve: (*Site).remove},
	}
}

var errOwnUser = errors.New("nobody decides about their own place here")

// colleagues are who signs at this desk, and who may open its pages. Texts are harmless.
type colleagues struct {
	Persons []colleague
	Users   []userRow
	Done    *done
	Link    *desk.Link // just made: it shows once
}

type colleague struct {
	ID, Name, Function, Telephone string
	User                          bool // may open the pages
}

type userRow struct {
	ID, Name, Roles, Person string
	Self                    bool
}

func (s *Site) people(v *visit) (answer, error) {
	out := colleagues{Done: s.done(v)}
	if l, ok := s.outcome(v).(desk.Link); ok {
		out.Link = &l
	}
	persons, users, err := s.known(v)
	if err != nil {
		return answer{}, err
	}
	names := map[string]string{}
	for _, p := range persons {
		id := p.ID.String()
		names[id] = harmless.Line(p.Name)
		is := slices.ContainsFunc(users, func(u desk.User) bool { return u.Person == id })
		out.Persons = append(out.Persons, colleague{id, names[id], harmless.Line(p.Function), harmless.Line(p.Telephone), is})
	}
	for _, u := range users {
		out.Users = append(out.Users, userRow{u.ID, harmless.Line(u.Name), roleNames(v.lang, u.Roles), names[u.Person], u.ID == v.user.ID})
	}
	return answer{page: "people", title: "title.people", shows: out}, nil
}

func (s *Site) known(v *visit) ([]schakel.Person, []desk.User, error) {
	persons, err := v.node.Persons(v.Context())
	if err != nil {
		return nil, nil, err
	}
	users, err := s.Door.Users(v.Context())
	return persons, users, err
}

func roleNames(l language, roles []desk.Role) string {
	var out []string
	for _, r := range roles {
		out = append(out, l.word("people.role-"+string(r)))
	}
	return strings.Join(out, ", ")
}

func (s *Site) personForm(v *visit) (answer, error) {
	return answer{page: "newperson", title: "title.new-person", shows: v.form()}, nil
}

// addPerson makes somebody's key under the PIN that they type twice themselves.
func (s *Site) addPerson(v *visit) (answer, error) {
	f := v.form()
	again := answer{page: "newperson", title: "title.new-person-again", status: http.StatusUnprocessableEntity, shows: f}
	p := schakel.Person{Name: f.Get("name"), Function: f.Get("function"), Telephone: f.Get("telephone")}
	if p.Name == "" {
		f.fault("name", "people.name-needed")
	}
	if p.Telephone == "" {
		f.fault("telephone", "people.telephone-needed")
	}
	persons, err := v.node.Persons(v.Context())
	if err != nil {
		return answer{}, err
	}
	if slices.ContainsFunc(persons, func(q schakel.Person) bool { return strings.EqualFold(q.Name, p.Name) }) {
		f.fault("name", "people.namesake")
	}
	pin := v.PostFormValue("new-pin")
	switch {
	case len(pin) < 6 || strings.Trim(pin, "0123456789") != "":
		f.fault("new-pin", "people.pin-short")
	case pin != v.PostFormValue("new-pin-again"):
		f.fault("new-pin-again", "people.pin-differs")
	}
	if !f.good() {
		return again, nil
	}
	made, err := v.node.AddPerson(v.Context(), p, pin)
	if errors.Is(err, schakel.ErrPIN) {
		f.fault("new-pin", "people.pin-short")
		return again, nil
	}
	if err != nil {
		if again.status, err = f.refuse(err); err != nil {
			return answer{}, err
		}
		return again, nil
	}
	if err := s.Door.Did(v.Context(), v.user, signin.ActAdded, made.ID.String()); err != nil {
		return answer{}, err
	}
	return s.after(v, "/people", done{What: "person"}), nil
}

// invitation is the form of a link: for a person, or for somebody who signs nothing.
type invitation struct {
	*form
	User    *userRow // known already
	Persons []choice
	Roles   []choice
}

func (s *Site) linkForm(v *visit) (answer, error) {
	out, err := s.invite(v)
	return answer{page: "link", title: "title.link", shows: out}, err
}

func (s *Site) invite(v *visit) (invitation, error) {
	out := invitation{form: v.form()}
	persons, users, err := s.known(v)
	if err != nil {
		return out, err
	}
	var roles []desk.Role
	for _, u := range users {
		if u.ID == out.Get("user") {
			out.User = &userRow{ID: u.ID, Name: u.Name, Roles: roleNames(v.lang, u.Roles), Person: u.Person, Self: u.ID == v.user.ID}
			roles = u.Roles
		}
	}
	if out.Get("user") != "" && out.User == nil {
		return out, desk.ErrUnknownUser
	}
	for _, p := range persons {
		if !slices.ContainsFunc(users, func(u desk.User) bool { return u.Person == p.ID.String() }) {
			out.Persons = append(out.Persons, choice{p.ID.String(), harmless.Line(p.Name), out.Get("person") == p.ID.String()})
		}
	}
	for _, r := range desk.Roles() {
		chosen := out.Is("role", string(r)) || len(out.values["role"]) == 0 && slices.Contains(roles, r)
		out.Roles = append(out.Roles, choice{string(r), v.lang.word("people.role-" + string(r)), chosen})
	}
	return out, nil
}

func (f *form) roles() (out []desk.Role) {
	for _, r := range f.values["role"] {
		out = append(out, desk.Role(r))
	}
	return out
}

// makeLink makes a link that works once. It leads who signs to a locked screen: the
// keeper who made it does not have that person's PIN.
func (s *Site) makeLink(v *visit) (answer, error) {
	out, err := s.invite(v)
	if err != nil {
		return answer{}, err
	}
	again := answer{page: "link", title: "title.link-again", status: http.StatusUnprocessableEntity, shows: out}
	r := desk.LinkRequest{Person: out.Get("person"), Name: out.Get("name"), Roles: out.roles(), Locked: true}
	switch {
	case out.User != nil:
		r = desk.LinkRequest{Name: out.User.Name, Locked: true}
	case r.Person == "" && r.Name == "":
		out.fault("name", "people.whom")
	case len(r.Roles) == 0:
		out.fault("role", "people.no-role")
	}
	if out.User == nil && r.Person == "" && s.isUser(v, r.Name) {
		out.fault("name", "people.namesake")
	}
	if !out.good() {
		return again, nil
	}
	if err := s.Door.Did(v.Context(), v.user, signin.ActInvited, r.Name+" "+r.Person); err != nil {
		return answer{}, err
	}
	link, err := s.Door.Link(v.Context(), r)
	if err != nil {
		if again.status, err = out.refuse(err); err != nil {
			return answer{}, err
		}
		return again, nil
	}
	return s.after(v, "/people", link), nil
}

// isUser reports whether a name is that of a user: a link for a new one must not be one
// for somebody else.
func (s *Site) isUser(v *visit, name string) bool {
	users, err := s.Door.Users(v.Context())
	return err != nil || slices.ContainsFunc(users, func(u desk.User) bool { return strings.EqualFold(u.Name, name) })
}

func (s *Site) rolesForm(v *visit) (answer, error) {
	out, err := s.other(v)
	return answer{page: "roles", title: "title.roles", shows: out}, err
}

// other is the form about a user who is somebody else: nobody gives themselves a role, or
// takes away the last who could give it back.
func (s *Site) other(v *visit) (invitation, error) {
	out, err := s.invite(v)
	switch {
	case err != nil:
		return out, err
	case out.User == nil:
		return out, desk.ErrUnknownUser
	case out.User.Self:
		return out, errOwnUser
	}
	return out, nil
}

func (s *Site) setRoles(v *visit) (answer, error) {
	out, err := s.other(v)
	if err != nil {
		return answer{}, err
	}
	again := answer{page: "roles", title: "title.roles-again", status: http.StatusUnprocessableEntity, shows: out}
	if len(out.roles()) == 0 {
		out.fault("role", "people.no-role")
		return again, nil
	}
	if err := s.Door.Did(v.Context(), v.user, signin.ActRoles, out.User.ID); err != nil {
		return answer{}, err
	}
	if _, err := s.Door.SetRoles(v.Context(), out.User.ID, out.roles()); err != nil {
		if again.status, err = out.refuse(err); err != nil {
			return answer{}, err
		}
		return again, nil
	}
	return s.after(v, "/people", done{What: "roles"}), nil
}

func (s *Site) removalForm(v *visit) (answer, error) {
	out, err := s.other(v)
	return answer{page: "removal", title: "title.removal", shows: out}, err
}

// remove ends a user's sessions, and the key of the person.
func (s *Site) remove(v *visit) (answer, error) {
	out, err := s.other(v)
	if err != nil {
		return answer{}, err
	}
	if err := s.Door.Did(v.Context(), v.user, signin.ActRemoved, out.User.ID); err != nil {
		return answer{}, err
	}
	if err := s.Door.RemoveUser(v.Context(), out.User.ID); err != nil {
		status, err := out.refuse(err)
		return answer{page: "removal", title: "title.removal-again", status: status, shows: out}, err
	}
	return s.after(v, "/people", done{What: "removed"}), nil
}
