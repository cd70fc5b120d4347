package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/relay/rota"
)

// swapping is one's own shift for a colleague's: chosen on one page, checked on the next.
type swapping struct {
	*form
	Mine, Theirs []choice
	Inside       bool
	Check        *swapped // what it comes to, before it is signed
}

// swapped is who gets which shift.
type swapped struct{ Give, Get post }

func (s *Site) swapForm(v *visit) (answer, error) {
	f := v.form()
	out, _, err := s.swapping(v, f)
	return answer{page: "swap", title: out.title(), shows: out}, err
}

func (x swapping) title() string {
	if x.Check != nil {
		return "title.swap-check"
	}
	return "title.swap"
}

func (s *Site) swap(v *visit) (answer, error) {
	f := v.form()
	out, change, err := s.swapping(v, f)
	if err != nil {
		return answer{}, err
	}
	status := http.StatusUnprocessableEntity
	if out.Check != nil {
		_, err := v.node.ChangeRota(v.Context(), change, v.by())
		if err == nil {
			return s.after(v, "/on-call", done{What: "swap"}), nil
		}
		if status, err = f.refuse(err); err != nil {
			return answer{}, err
		}
	}
	return answer{page: "swap", title: "title.swap-again", status: status, shows: out}, nil
}

// swapping offers the shifts to choose from, and where two were chosen, says what that
// comes to.
func (s *Site) swapping(v *visit, f *form) (out swapping, change schakel.RotaChange, err error) {
	out.form = f
	if err := v.signs(); err != nil {
		return out, change, err
	}
	r, err := v.node.Rota(v.Context())
	if err != nil {
		return out, change, err
	}
	me := ownContact(v, r.Roster)
	out.Inside = me != ""
	chosen := map[string]*rota.Shift{}
	for _, sh := range swappable(r.Roster, s.Now()) {
		field, list := "theirs", &out.Theirs
		if sh.Contact == me {
			field, list = "mine", &out.Mine
		}
		value := fmt.Sprintf("%s@%d", sh.Contact, sh.From.Unix())
		c := choice{value, s.shiftLabel(v.lang, r.Roster, sh, sh.Contact == me), f.Get(field) == value}
		*list = append(*list, c)
		if c.Chosen {
			chosen[field] = &sh
		}
	}
	if !f.Is("step", "check") {
		return out, change, nil
	}
	if chosen["mine"] == nil {
		f.fault("mine", "swap.choose-mine")
	}
	if chosen["theirs"] == nil {
		f.fault("theirs", "swap.choose-theirs")
	}
	if !f.good() {
		return out, change, nil
	}
	give, get := *chosen["mine"], *chosen["theirs"]
	out.Check = &swapped{shiftPost(v.lang, r.Roster, give, ""), shiftPost(v.lang, r.Roster, get, "")}
	return out, schakel.RotaChange{Kind: schakel.RotaSwap, Other: string(get.Contact), From: give.From, Back: get.From}, nil
}

func (s *Site) shiftLabel(l language, r roster.Roster, sh rota.Shift, own bool) string {
	label := fmt.Sprintf("%s – %s (%s)", l.clock(sh.From), l.clock(sh.To), l.levelName(sh.Level))
	if own {
		return label
	}
	return harmless.Line(r.Name(sh.Contact)) + ": " + label
}

// swappable are the shifts of the weeks ahead that a swap can name: of several that one
// contact has at the same moment, a swap takes the one that began first.
func swappable(r roster.Roster, now time.Time) (out []rota.Shift) {
	all := r.Rota().Shifts(now.Add(-longestShift), now.AddDate(0, 0, weeksAhead*7))
	all = slices.DeleteFunc(all, func(sh rota.Shift) bool { return !sh.To.After(now) })
	slices.SortStableFunc(all, func(a, b rota.Shift) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Level, b.Level)) })
	last := map[rota.Contact]time.Time{} // until when a contact's shifts so far go on
	for _, sh := range all {
		if !sh.From.Before(last[sh.Contact]) {
			out = append(out, sh)
		}
		if sh.To.After(last[sh.Contact]) {
			last[sh.Contact] = sh.To
		}
	}
	return out
}

// longestShift is how far back a shift may have begun that is going on.
const longestShift = 36 * 24 * time.Hour

// rotaChange is a change that the keeper makes, on two pages.
type rotaChange struct {
	*form
	Kind   string // of the texts: override or leave
	People []choice
	Levels []choice
	Check  *changed
}

// changed is what a change comes to.
type changed struct {
	Name, Level string
	From, To    time.Time
	Gaps        []post
}

func rotaChangeRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/on-call/override", Operation: "SetRota", Who: Users, serve: keeperForm(schakel.RotaOverride)},
		{Method: "POST", Path: "/on-call/override", Operation: "SetRota", Who: Users, serve: keeperChange(schakel.RotaOverride)},
		{Method: "GET", Path: "/on-call/leave", Operation: "SetRota", Who: Users, serve: keeperForm(schakel.RotaLeave)},
		{Method: "POST", Path: "/on-call/leave", Operation: "SetRota", Who: Users, serve: keeperChange(schakel.RotaLeave)},
	}
}

func keeperForm(kind schakel.RotaChangeKind) func(*Site, *visit) (answer, error) {
	return func(s *Site, v *visit) (answer, error) {
		out, _, err := s.rotaChange(v, v.form(), kind)
		title := "title." + string(kind)
		if out.Check != nil {
			title += "-check"
		}
		return answer{page: "rotachange", title: title, shows: out}, err
	}
}

func keeperChange(kind schakel.RotaChangeKind) func(*Site, *visit) (answer, error) {
	return func(s *Site, v *visit) (answer, error) {
		f := v.form()
		out, change, err := s.rotaChange(v, f, kind)
		if err != nil {
			return answer{}, err
		}
		status := http.StatusUnprocessableEntity
		if out.Check != nil {
			_, err := v.node.ChangeRota(v.Context(), change, v.by())
			if err == nil {
				return s.after(v, "/on-call", done{What: string(kind)}), nil
			}
			if status, err = f.refuse(err); err != nil {
				return answer{}, err
			}
		}
		return answer{page: "rotachange", title: "title." + string(kind) + "-again", status: status, shows: out}, nil
	}
}

// rotaChange reads the form of a change; complete, it says what would come of it.
func (s *Site) rotaChange(v *visit, f *form, kind schakel.RotaChangeKind) (out rotaChange, c schakel.RotaChange, err error) {
	out.form, out.Kind = f, string(kind)
	if err := v.signs(); err != nil {
		return out, c, err
	}
	r, err := v.node.Rota(v.Context())
	if err != nil {
		return out, c, err
	}
	for _, p := range r.Roster.People {
		out.People = append(out.People, choice{string(p.Contact), harmless.Line(p.Name), f.Get("who") == string(p.Contact)})
	}
	for n := range r.Roster.Layers {
		out.Levels = append(out.Levels, choice{strconv.Itoa(n), v.lang.levelName(n), f.Get("level") == strconv.Itoa(n) || f.Get("level") == "" && n == 0})
	}
	if !f.Is("step", "check") {
		return out, c, nil
	}
	c = schakel.RotaChange{Kind: kind, Who: f.Get("who"), Level: levelOf(f), From: f.time("from"), To: f.time("to")}
	f.need("who")
	if kind == schakel.RotaOverride {
		f.need("to")
	}
	if from := cmp.Or(c.From, s.Now()); f.Wrong("to") == "" && !c.To.IsZero() && !c.To.After(from) {
		f.fault("to", "form.order")
	}
	if f.good() {
		out.Check, err = s.comesTo(v, r.Roster, c, f)
	}
	return out, c, err
}

// comesTo tries a change on the rota as it stands, and says what would be open.
func (s *Site) comesTo(v *visit, r roster.Roster, c schakel.RotaChange, f *form) (*changed, error) {
	who, err := r.Find(c.Who)
	from := cmp.Or(c.From, s.Now())
	d := roster.Decision{ID: "0", By: v.user.Name, At: s.Now()}
	var gaps []rota.Gap
	if err == nil && c.Kind == schakel.RotaLeave {
		_, gaps, err = r.PersonLeaves(d, who, from)
	} else if err == nil {
		var after roster.Roster
		if after, err = r.Override(d, who, c.Level, from, c.To); err == nil {
			gaps = after.GapsAhead(s.Now())
		}
	}
	if err != nil {
		if errors.Is(err, roster.ErrUnknown) {
			f.fault("who", "rota.unknown")
			return nil, nil
		}
		_, err = f.refuse(err)
		return nil, err
	}
	out := &changed{Name: harmless.Line(r.Name(who)), Level: v.lang.levelName(c.Level), From: from, To: c.To}
	for _, g := range gaps {
		out.Gaps = append(out.Gaps, post{Level: v.lang.levelName(g.Level), From: g.From, To: g.To, Open: true})
	}
	return out, nil
}
