package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func drillRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/on-call/drills", Operation: "Drills", Who: Users, serve: (*Site).drills},
		{Method: "GET", Path: "/on-call/drills/new", Operation: "StartDrill", Who: Users, serve: (*Site).drillForm},
		{Method: "POST", Path: "/on-call/drills/new", Operation: "StartDrill", Who: Users, serve: (*Site).startDrill},
	}
}

// readiness is whether this desk would answer tonight, and how that went before.
type readiness struct {
	Checks  []readyCheck
	Missing int
	Drills  []drill
	Done    *done
}

// readyCheck is one thing that a desk on call must have. Its texts are harmless.
type readyCheck struct {
	What, Do string
	Ready    bool
	Lacking  string // who does not have it
}

// drill is an exercise that asked for a person.
type drill struct {
	party
	Inbound    bool
	At         time.Time
	Answered   bool
	ToPaged    time.Duration
	ToAnswered time.Duration
	Message    string // path; empty where the user may not read it
	NeverPaged bool
}

// readyNames are the checks of a node by their names.
func readyNames() []string {
	return []string{"rota", "contacts", "two channels", "at the relay", "keys of persons", "own pager", "devices", "keys of this device", "drill", "device at hand", "monthly drill"}
}

func readyKey(name string) string { return strings.ReplaceAll(name, " ", "-") }

func (s *Site) drills(v *visit) (answer, error) {
	out := readiness{Done: s.done(v)}
	checks, err := v.node.Readiness(v.Context())
	if err != nil {
		return answer{}, err
	}
	for _, c := range checks {
		var names []string
		for _, n := range c.Lacking {
			names = append(names, harmless.Line(n))
		}
		if !c.Ready {
			out.Missing++
		}
		key := readyKey(c.Name)
		row := readyCheck{v.lang.word("ready." + key), v.lang.word("ready.do-" + key), c.Ready, strings.Join(names, ", ")}
		if !slices.Contains(readyNames(), c.Name) { // of a newer node: its own words are better than none
			row.What, row.Do = harmless.Line(c.Name), harmless.Line(c.Remedy)
		}
		out.Checks = append(out.Checks, row)
	}
	drills, err := v.node.Drills(v.Context())
	if err != nil {
		return answer{}, err
	}
	names, err := s.names(v)
	for _, d := range drills {
		x := drill{Inbound: d.Inbound, At: d.Sent, Answered: !d.Acknowledged.IsZero(), ToPaged: d.ToPaged, ToAnswered: d.ToAcknowledged,
			NeverPaged: d.Inbound && d.Paged.IsZero(), party: party{Desk: harmless.Line(d.Desk)}}
		if p, ok := names[identity.DeskID(d.Desk)]; ok {
			x.party = p
		}
		if v.may("Read") {
			x.Message = "/messages/" + d.Message
		}
		out.Drills = append(out.Drills, x)
	}
	return answer{page: "drills", title: "title.drills", shows: out}, err
}

// newDrill is the desk that is tried: chosen on one page, checked on the next.
type newDrill struct {
	*form
	Desks []choice
	Check *party
	Signs bool
}

func (s *Site) drillForm(v *visit) (answer, error) {
	out, err := s.newDrill(v, v.form())
	title := "title.drill"
	if out.Check != nil {
		title = "title.drill-check"
	}
	return answer{page: "newdrill", title: title, shows: out}, err
}

func (s *Site) newDrill(v *visit, f *form) (newDrill, error) {
	out := newDrill{form: f, Signs: v.user.Person != ""}
	desks, err := v.node.Directory(v.Context())
	if err != nil {
		return out, err
	}
	chosen := f.Get("to")
	for _, d := range desks {
		if !d.Reachable {
			continue
		}
		p := party{harmless.Line(string(d.ID)), harmless.Line(d.Org), v.lang.word("role." + string(d.Role))}
		out.Desks = append(out.Desks, choice{string(d.ID), p.Org + " (" + p.Desk + ")", string(d.ID) == chosen})
		if string(d.ID) == chosen && f.Is("step", "check") {
			out.Check = &p
		}
	}
	if f.Is("step", "check") && out.Check == nil {
		f.fault("to", "drill.choose")
	}
	return out, nil
}

func (s *Site) startDrill(v *visit) (answer, error) {
	f := v.form()
	out, err := s.newDrill(v, f)
	if err != nil {
		return answer{}, err
	}
	status := http.StatusUnprocessableEntity
	if out.Check != nil {
		by := schakel.By{}
		if out.Signs {
			by = v.by()
		}
		_, err := v.node.StartDrill(v.Context(), identity.DeskID(f.Get("to")), by)
		if err == nil {
			return s.after(v, "/on-call/drills", done{What: "drill"}), nil
		}
		if status, err = f.refuse(err); err != nil {
			return answer{}, err
		}
	}
	return answer{page: "newdrill", title: "title.drill-again", status: status, shows: out}, nil
}
