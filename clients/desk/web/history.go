package web

import (
	"net/http"
	"slices"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func historyRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/history", Operation: "Histories", Who: Users, serve: (*Site).history},
		{Method: "POST", Path: "/history/questions", Operation: "AskHistory", Who: Users, serve: (*Site).askHistory},
		{Method: "GET", Path: "/directory/{org}/{desk}/history", Operation: "GiveHistory", Who: Users, serve: (*Site).giveHistoryForm},
		{Method: "POST", Path: "/directory/{org}/{desk}/history", Operation: "GiveHistory", Who: Users, serve: (*Site).giveHistory},
	}
}

// histories is what was asked of partners and by them, and the form that asks.
type histories struct {
	*form
	Asked, By []question // by this desk; by its partners
	Desks     []entry
	Done      *done
	Given     *schakel.Given // just now
}

// question is one about the history between this desk and another.
type question struct {
	entry
	At       time.Time
	Came, Of int
	Answered bool
}

func (s *Site) history(v *visit) (answer, error) {
	h, err := s.histories(v)
	return answer{page: "history", title: "title.history", shows: h}, err
}

func (s *Site) histories(v *visit) (histories, error) {
	out := histories{form: v.form(), Done: s.done(v)}
	if g, is := s.outcome(v).(schakel.Given); is {
		out.Given = &g
	}
	desks, err := v.node.Directory(v.Context())
	if err != nil {
		return out, err
	}
	for _, d := range desks {
		out.Desks = append(out.Desks, v.entry(d))
	}
	all, err := v.node.Histories(v.Context())
	for _, h := range all {
		a := question{At: h.Asked, Came: h.Came, Of: h.Of, Answered: h.Answered}
		i := slices.IndexFunc(out.Desks, func(e entry) bool { return e.id == h.Desk })
		if i < 0 {
			continue // nobody there is written to any more
		}
		if a.entry = out.Desks[i]; !h.Asked.IsZero() {
			out.Asked = append(out.Asked, a)
		}
		if a.At = h.AskedBy; !h.AskedBy.IsZero() {
			out.By = append(out.By, a)
		}
	}
	return out, err
}

// askHistory asks the desks that were ticked; all of them as a command without names does,
// which passes over who cannot be reached now.
func (s *Site) askHistory(v *visit) (answer, error) {
	h, err := s.histories(v)
	if err != nil {
		return answer{}, err
	}
	var to []identity.DeskID
	for _, d := range h.Desks {
		if h.Is("to", d.Desk) {
			to = append(to, d.id)
		}
	}
	again := answer{page: "history", title: "title.history-again", status: http.StatusUnprocessableEntity}
	if len(to) == 0 {
		h.fault("to", "history.none-chosen")
		again.shows = h
		return again, nil
	}
	if len(to) == len(h.Desks) {
		to = nil
	}
	if _, err := v.node.AskHistory(v.Context(), to); err != nil {
		if again.status, err = h.refuse(err); err != nil {
			return answer{}, err
		}
		again.shows = h
		return again, nil
	}
	return s.after(v, "/history", done{What: "asked-history"}), nil
}

// givingHistory is the form in which a person answers for having telephoned a desk that asks.
type givingHistory struct {
	comparing
	At time.Time // when it asked
}

func (s *Site) givingHistory(v *visit) (givingHistory, error) {
	c, err := s.comparingOther(v)
	out := givingHistory{comparing: c}
	if err != nil {
		return out, err
	}
	if out.At, err = v.askedBy(c.id); err == nil && out.At.IsZero() {
		err = schakel.ErrNotAsked
	}
	return out, err
}

// askedBy is when a desk asked for its history; zero: it did not.
func (v *visit) askedBy(desk identity.DeskID) (time.Time, error) {
	all, err := v.node.Histories(v.Context())
	for _, h := range all {
		if h.Desk == desk {
			return h.AskedBy, err
		}
	}
	return time.Time{}, err
}

func (s *Site) giveHistoryForm(v *visit) (answer, error) {
	out, err := s.givingHistory(v)
	return answer{page: "givehistory", title: "title.give-history", shows: out}, err
}

func (s *Site) giveHistory(v *visit) (answer, error) {
	c, err := s.givingHistory(v)
	if err != nil {
		return answer{}, err
	}
	again := answer{page: "givehistory", title: "title.give-history-again", status: http.StatusUnprocessableEntity}
	if c.need("called"); !c.good() {
		again.shows = c
		return again, nil
	}
	number, _ := protocol.Telephone(c.Get("called")) // none: the node says so
	given, err := v.node.GiveHistory(v.Context(), c.id, number, v.by())
	if err != nil {
		if again.status, err = c.refuse(err); err != nil {
			return answer{}, err
		}
		again.shows = c
		return again, nil
	}
	return s.after(v, "/history", given), nil
}
