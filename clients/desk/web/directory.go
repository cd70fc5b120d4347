package web

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/protocol/routing"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func directoryRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/directory", Operation: "Directory", Who: Users, serve: (*Site).addressBook},
		{Method: "GET", Path: "/directory/{org}/{desk}", Operation: "Directory", Who: Users, serve: (*Site).deskPage},
		{Method: "GET", Path: "/directory/{org}/{desk}/verification", Operation: "VerifyDesk", Who: Users, serve: (*Site).verifyForm},
		{Method: "POST", Path: "/directory/{org}/{desk}/verification", Operation: "VerifyDesk", Who: Users, serve: (*Site).verifyDesk},
		{Method: "GET", Path: "/directory/{org}/{desk}/refusal", Operation: "RefuseDesk", Who: Users, serve: (*Site).refuseForm},
		{Method: "POST", Path: "/directory/{org}/{desk}/refusal", Operation: "RefuseDesk", Who: Users, serve: (*Site).refuseDesk},
		{Method: "GET", Path: "/directory/{org}/{desk}/confirmation", Operation: "ConfirmDevice", Who: Users, serve: (*Site).confirmForm},
		{Method: "POST", Path: "/directory/{org}/{desk}/confirmation", Operation: "ConfirmDevice", Who: Users, serve: (*Site).confirmDevice},
		{Method: "POST", Path: "/directory/{org}/{desk}/test", Operation: "SendTest", Who: Users, serve: (*Site).testDesk},
	}
}

// addresses are the desks that this one may write to, or those that were searched for.
type addresses struct {
	Asked string
	Desks []entry
	Own   string // path of this desk's own page
	Place string // a municipality that was asked for: the desks serve it
}

// entry is a desk of the register. Its texts are harmless, and its telephone number is
// the desk's own, never of anybody in a case.
type entry struct {
	party
	Area, Telephone, Path string
	Devices               int
	Reachable             bool
	Key                   schakel.KeyState
	KeyBy                 string
	KeyAt                 time.Time
	Groups                []string // of the fingerprint, to read out
	QR                    qrCode
	Own                   bool // this desk itself
	New                   []newcomer
	id                    identity.DeskID
}

func (v *visit) entry(d schakel.Desk) entry {
	area, ok := routing.AreaName(d.Region)
	if !ok {
		area = harmless.Line(d.Region)
	}
	return entry{New: newcomers(d.NewDevices), party: party{harmless.Line(string(d.ID)), harmless.Line(d.Org), v.lang.word("role." + string(d.Role))}, Area: area,
		Telephone: harmless.Line(d.Telephone), Path: "/directory/" + string(d.ID), Devices: d.Devices, Reachable: d.Reachable,
		Key: d.Key, KeyBy: harmless.Line(d.KeyBy), KeyAt: d.KeyAt, Groups: strings.Fields(d.Fingerprint), id: d.ID}
}

func (s *Site) addressBook(v *visit) (answer, error) {
	desks, err := v.node.Directory(v.Context())
	if err != nil {
		return answer{}, err
	}
	st, err := v.node.Status(v.Context())
	if err != nil {
		return answer{}, err
	}
	asked := strings.TrimSpace(v.URL.Query().Get("q"))
	out := addresses{Asked: asked, Own: "/directory/" + string(st.Desk)}
	var places []routing.Found
	if asked != "" {
		places = routing.Find(asked)
	}
	if len(places) == 1 {
		out.Place = places[0].Name
	}
	for _, d := range desks {
		e := v.entry(d)
		serves := slices.ContainsFunc(places, func(f routing.Found) bool { return d.Role != identity.RoleKnooppunt && f.Serves(d.Role, d.Region) })
		if asked == "" || serves || e.matches(asked) {
			out.Desks = append(out.Desks, e)
		}
	}
	slices.SortStableFunc(out.Desks, func(a, b entry) int {
		return cmp.Or(cmp.Compare(routing.Fold(a.Org), routing.Fold(b.Org)), cmp.Compare(a.Desk, b.Desk))
	})
	return answer{page: "directory", title: "title.directory", shows: out}, nil
}

// matches reports whether every word stands in something of a desk, whatever its capitals
// and diacritics.
func (e entry) matches(asked string) bool {
	text := routing.Fold(e.Org + " " + e.Desk + " " + e.Role + " " + e.Area)
	for word := range strings.FieldsSeq(asked) {
		if folded := routing.Fold(word); folded == "" || !strings.Contains(text, folded) {
			return false
		}
	}
	return true
}

// addressed is the page of one desk.
type addressed struct {
	entry
	Done  *done
	Asked time.Time // when it asked for its history; zero: it did not, or it is not this user's to know
}

// desk finds the desk that a path names: one that may be written to, or this one itself.
func (s *Site) desk(v *visit) (entry, error) {
	id, err := identity.ParseDeskID(v.PathValue("org") + "/" + v.PathValue("desk"))
	if err != nil {
		return entry{}, errNoPage
	}
	desks, err := v.node.Directory(v.Context())
	if err != nil {
		return entry{}, err
	}
	for _, d := range desks {
		if d.ID == id {
			return v.entry(d).drawn()
		}
	}
	st, err := v.node.Status(v.Context())
	if err != nil || st.Desk != id {
		return entry{}, cmp.Or(err, schakel.ErrUnknownDesk)
	}
	own := v.entry(schakel.Desk{ID: id, Org: string(id.Org()), Role: st.Role, Fingerprint: st.Fingerprint, Reachable: true})
	own.Own, own.New = true, newcomers(st.OwnNewDevices)
	return own.drawn()
}

// drawn adds the fingerprint as a picture, for who stands beside the other screen.
func (e entry) drawn() (entry, error) {
	var err error
	e.QR, err = drawQR(e.Desk + " " + strings.Join(e.Groups, " "))
	return e, err
}

func (s *Site) deskPage(v *visit) (answer, error) {
	e, err := s.desk(v)
	out := addressed{entry: e, Done: s.done(v)}
	if err == nil && v.may("Histories") {
		out.Asked, err = v.askedBy(e.id)
	}
	return answer{page: "desk", title: "title.desk", shows: out}, err
}

// comparing is the form in which somebody types what they hear, or refuses a key. It does
// not show the fingerprint: who reads it here compares nothing.
type comparing struct {
	*form
	entry
}

func (s *Site) comparing(v *visit) (comparing, error) {
	out := comparing{form: v.form()}
	if err := v.signs(); err != nil {
		return out, err
	}
	var err error
	out.entry, err = s.desk(v)
	return out, err
}

// comparingOther is the same of another desk: nobody compares the own key, or refuses it.
func (s *Site) comparingOther(v *visit) (comparing, error) {
	out, err := s.comparing(v)
	if err == nil && out.Own {
		err = errNoPage
	}
	return out, err
}

func (s *Site) verifyForm(v *visit) (answer, error) {
	out, err := s.comparingOther(v)
	return answer{page: "verify", title: "title.verify", shows: out}, err
}

func (s *Site) verifyDesk(v *visit) (answer, error) {
	return s.compare(v, answer{page: "verify", title: "title.verify-again"}, "verified", func(c comparing) error {
		c.need("heard")
		if !c.good() {
			return nil
		}
		return v.node.VerifyDesk(v.Context(), c.id, c.Get("heard"), v.by())
	})
}

func (s *Site) refuseForm(v *visit) (answer, error) {
	out, err := s.comparingOther(v)
	return answer{page: "refuse", title: "title.refuse", shows: out}, err
}

func (s *Site) refuseDesk(v *visit) (answer, error) {
	return s.compare(v, answer{page: "refuse", title: "title.refuse-again"}, "refused", func(c comparing) error {
		return v.node.RefuseDesk(v.Context(), c.id, v.by())
	})
}

func (s *Site) compare(v *visit, again answer, what string, do func(comparing) error) (answer, error) {
	c, err := s.comparingOther(v)
	if err != nil {
		return answer{}, err
	}
	again.status = http.StatusUnprocessableEntity
	if err := do(c); err != nil {
		if again.status, err = c.refuse(err); err != nil {
			return answer{}, err
		}
	} else if c.good() {
		return s.after(v, c.Path, done{What: what}), nil
	}
	again.shows = c
	return again, nil
}

// testDesk sends an empty test delivery.
func (s *Site) testDesk(v *visit) (answer, error) {
	e, err := s.desk(v)
	if err == nil {
		err = v.node.SendTest(v.Context(), e.id)
	}
	if err != nil {
		return answer{}, err
	}
	return s.after(v, e.Path, done{What: "test"}), nil
}
