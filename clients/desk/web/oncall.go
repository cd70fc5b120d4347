package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/relay/ladder"
	"schakel/relay/rota"
)

func onCallRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/on-call", Operation: "OnCall", Who: Users, serve: (*Site).onCall},
		{Method: "GET", Path: "/on-call/calendar", Operation: "Calendar", Who: Users, serve: (*Site).calendarFile},
		{Method: "GET", Path: "/on-call/take", Operation: "ChangeRota", Who: Users, serve: (*Site).takeForm},
		{Method: "POST", Path: "/on-call/take", Operation: "ChangeRota", Who: Users, serve: (*Site).take},
		{Method: "GET", Path: "/on-call/swap", Operation: "ChangeRota", Who: Users, serve: (*Site).swapForm},
		{Method: "POST", Path: "/on-call/swap", Operation: "ChangeRota", Who: Users, serve: (*Site).swap},
	}
}

const daysShown = 14

// watch is who is on call: now, and in the days to come. Its texts are harmless.
type watch struct {
	None     bool // this desk has no rota
	Now      []post
	Fallback []post
	Planned  bool    // the user may see the days to come
	Levels   []level // of the days to come
	Mine     []post  // the user's own shifts
	Inside   bool    // the user is in the rota
	Gaps     []post
	Also     []string // others who changed it at the same time
	Decided  string
	At       time.Time
	Done     *done // of the form that led here
}

// level is one level with its shifts.
type level struct {
	Name   string
	Shifts []post
}

// post is who has a level, from when and until when.
type post struct {
	Level, Name, Telephone string
	From, To               time.Time
	Open, Mine             bool // nobody has it; the user has it
}

// levelName is what people call a level.
func (l language) levelName(n int) string {
	switch n {
	case ladder.Everyone:
		return l.word("oncall.everyone")
	case 0:
		return l.word("oncall.first")
	case 1:
		return l.word("oncall.backup")
	}
	return l.word("oncall.backup-n", n)
}

func (s *Site) onCall(v *visit) (answer, error) {
	w := watch{Done: s.done(v)}
	page := answer{page: "oncall", title: "title.oncall", shows: &w}
	now, err := v.node.OnCall(v.Context(), time.Time{})
	if errors.Is(err, schakel.ErrNoRota) {
		w.None = true
		return page, nil
	}
	if err != nil {
		return answer{}, err
	}
	for _, d := range now.Levels {
		w.Now = append(w.Now, duty(v, d))
	}
	for _, d := range now.Fallback {
		w.Fallback = append(w.Fallback, duty(v, d))
	}
	if !v.may("Rota") {
		return page, nil
	}
	r, err := v.node.Rota(v.Context())
	if err != nil {
		return answer{}, err
	}
	w.plan(v, r, s.Now())
	return page, nil
}

func duty(v *visit, d schakel.Duty) post {
	return post{Level: v.lang.levelName(d.Level), Name: harmless.Line(d.Name), Telephone: harmless.Line(d.Telephone), To: d.Until,
		Open: d.Contact == "", Mine: d.Person != "" && d.Person == v.user.Person}
}

// plan fills in the days to come.
func (w *watch) plan(v *visit, r schakel.Rota, now time.Time) {
	w.Planned, w.Decided, w.At = true, harmless.Line(r.By), r.At
	for _, also := range r.Also {
		w.Also = append(w.Also, harmless.Line(also))
	}
	me := ownContact(v, r.Roster)
	w.Inside = me != ""
	until := now.AddDate(0, 0, daysShown)
	for n := range r.Roster.Layers {
		w.Levels = append(w.Levels, level{Name: v.lang.levelName(n)})
	}
	for _, sh := range r.Roster.Rota().Shifts(now, until) {
		p := shiftPost(v.lang, r.Roster, sh, me)
		w.Levels[sh.Level].Shifts = append(w.Levels[sh.Level].Shifts, p)
	}
	for _, g := range r.Gaps {
		p := post{Level: v.lang.levelName(g.Level), From: g.From, To: g.To, Open: true}
		w.Gaps = append(w.Gaps, p)
		if g.Level < len(w.Levels) {
			w.Levels[g.Level].Shifts = append(w.Levels[g.Level].Shifts, p)
		}
	}
	for _, l := range w.Levels {
		slices.SortStableFunc(l.Shifts, func(a, b post) int { return a.From.Compare(b.From) })
	}
	for _, sh := range r.Roster.Rota().Shifts(now, now.AddDate(0, 0, weeksAhead*7)) {
		if me != "" && sh.Contact == me && len(w.Mine) < maxMine {
			w.Mine = append(w.Mine, shiftPost(v.lang, r.Roster, sh, me))
		}
	}
	slices.SortStableFunc(w.Mine, func(a, b post) int { return a.From.Compare(b.From) })
}

// Of one's own shifts: how far ahead they are shown, and how many at most.
const (
	weeksAhead = 13
	maxMine    = 20
)

func shiftPost(l language, r roster.Roster, sh rota.Shift, me rota.Contact) post {
	p, _ := r.Person(sh.Contact)
	return post{Level: l.levelName(sh.Level), Name: harmless.Line(r.Name(sh.Contact)), Telephone: harmless.Line(p.Phone), From: sh.From, To: sh.To,
		Mine: me != "" && sh.Contact == me}
}

// ownContact is the user in the rota; empty where the rota does not know that person.
func ownContact(v *visit, r roster.Roster) rota.Contact {
	if v.user.Person == "" {
		return ""
	}
	for _, who := range []string{v.user.Person, v.user.Name} {
		if c, err := r.Find(who); err == nil {
			return c
		}
	}
	return ""
}

// calendarFile is the rota as iCalendar: one's own shifts, or those of the desk, without
// names.
func (s *Site) calendarFile(v *visit) (answer, error) {
	wish, name := schakel.CalendarWish{}, "piket.ics"
	if v.URL.Query().Get("of") == "me" {
		r, err := v.node.Rota(v.Context())
		if err != nil {
			return answer{}, err
		}
		me := ownContact(v, r.Roster)
		if me == "" {
			return answer{}, roster.ErrUnknown
		}
		wish.Who, name = string(me), "mijn-piket.ics"
	}
	file, err := v.node.Calendar(v.Context(), wish)
	if err != nil {
		return answer{}, err
	}
	return v.file("text/calendar; charset=utf-8", name, file)
}

// file answers with a file to keep.
func (v *visit) file(kind, name string, content []byte) (answer, error) {
	v.w.Header().Set("Content-Type", kind)
	v.w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	_, _ = v.w.Write(content) // the browser is gone: nobody to tell
	return answer{sent: true}, nil
}

// taking over.
type takeover struct {
	*form
	Levels []choice
	Now    []post
}

func (s *Site) takeForm(v *visit) (answer, error) {
	t, err := s.takeover(v, v.form())
	return answer{page: "take", title: "title.take", shows: t}, err
}

func (s *Site) takeover(v *visit, f *form) (takeover, error) {
	t := takeover{form: f}
	if err := v.signs(); err != nil {
		return t, err
	}
	now, err := v.node.OnCall(v.Context(), time.Time{})
	if err != nil {
		return t, err
	}
	chosen := f.Get("level")
	for _, d := range now.Levels {
		t.Now = append(t.Now, duty(v, d))
		value := fmt.Sprint(d.Level)
		t.Levels = append(t.Levels, choice{value, v.lang.levelName(d.Level), chosen == value || chosen == "" && d.Level == 0})
	}
	return t, nil
}

func (s *Site) take(v *visit) (answer, error) {
	f := v.form()
	until := f.time("until")
	if f.Wrong("until") == "" && !until.IsZero() && !until.After(s.Now()) {
		f.fault("until", "form.past")
	}
	level := levelOf(f)
	status := http.StatusUnprocessableEntity
	if f.good() {
		_, err := v.node.ChangeRota(v.Context(), schakel.RotaChange{Kind: schakel.RotaTake, Level: level, To: until}, v.by())
		if err == nil {
			return s.after(v, "/on-call", done{What: "take"}), nil
		}
		if status, err = f.refuse(err); err != nil {
			return answer{}, err
		}
	}
	t, err := s.takeover(v, f)
	return answer{page: "take", title: "title.take-again", status: status, shows: t}, err
}

// levelOf reads a level; a strange one is refused by the node.
func levelOf(f *form) (n int) {
	_, err := fmt.Sscan(f.Get("level"), &n)
	if err != nil && f.Get("level") != "" {
		n = -1
	}
	return n
}
