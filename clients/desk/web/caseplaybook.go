package web

import (
	"strings"

	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/protocol/playbook"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func playbookRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/cases/{ref}/playbook", Operation: "Progress", Who: Users, serve: (*Site).casePlaybook},
		{Method: "POST", Path: "/cases/{ref}/playbook", Operation: "Progress", Who: Users, serve: (*Site).casePlaybook},
	}
}

// situated is the playbook beside a case: how far the case has come in each situation, and
// of the one that was chosen each step.
type situated struct {
	caseHead
	Safe    []safeContact
	Choices []situationRow
	Chosen  *situationView
	KnownAt mention
}

// situationRow helps to choose: which situation does this case look like?
type situationRow struct {
	Path, ID, Title string
	Done, Shown     int    // steps that messages show to be done, of those that they can show
	Next            string // the first that is open
}

type situationView struct {
	Title string
	Never []string
	Steps []stepRow
}

type stepRow struct {
	Title     string
	State     string
	Done      bool
	By        mention // what shows it
	Now       bool    // the first that is open, or one that only a person knows of
	Do, Never []string
	Call      []string
	Send      string
	Urgency   message.Urgency
	SendTo    string
}

func (s *Site) casePlaybook(v *visit) (answer, error) {
	return s.gated(v, func(by schakel.By) (answer, error) {
		o, err := s.overview(v, by)
		if err != nil {
			return answer{}, err
		}
		w, err := s.viewer(v, o)
		if err != nil {
			return answer{}, err
		}
		out := situated{caseHead: caseHead{Ref: o.Ref.String(), Here: "playbook", Exercise: o.Exercise}, KnownAt: w.mention(o.KnownAt)}
		for _, c := range o.Safe {
			out.Safe = append(out.Safe, w.safe(c))
		}
		chosen := v.FormValue("situation")
		for _, situation := range s.Playbook.Situations {
			if chosen != "" && situation.ID != chosen {
				continue
			}
			taken, err := v.node.Progress(v.Context(), o.Ref.String(), situation, by)
			if err != nil {
				return answer{}, err
			}
			out.Choices = append(out.Choices, rowOf(v.lang, out.Ref, situation, taken))
			if chosen != "" {
				out.Chosen = w.situation(s.Playbook, situation, taken)
			}
		}
		if len(out.Choices) == 0 {
			return answer{}, errNoPage
		}
		return answer{page: "caseplaybook", title: "title.case-playbook", shows: out}, nil
	})
}

func rowOf(l language, ref string, s playbook.Situation, taken []playbook.Taken) situationRow {
	row := situationRow{Path: casePath(ref) + "/playbook?situation=" + s.ID, ID: s.ID, Title: harmless.Line(l.of(s.Title))}
	for _, t := range taken {
		switch t.State {
		case playbook.StateDone:
			row.Done, row.Shown = row.Done+1, row.Shown+1
		case playbook.StateOpen:
			row.Shown++
		}
	}
	if next, ok := playbook.Next(taken); ok {
		row.Next = harmless.Line(l.of(next.Title))
	}
	return row
}

func (w viewer) situation(p playbook.Playbook, s playbook.Situation, taken []playbook.Taken) *situationView {
	out := &situationView{Title: harmless.Line(w.l.of(s.Title)), Never: w.texts(s.Never)}
	next, _ := playbook.Next(taken)
	for _, t := range taken {
		row := stepRow{Title: harmless.Line(w.l.of(t.Step.Title)), Now: t.Step.ID == next.ID || t.State == playbook.StateByHand,
			Do: w.texts(t.Step.Do), Never: w.texts(t.Step.Never), Call: w.callees(p, t.Step.Call)}
		switch t.State {
		case playbook.StateDone:
			row.Done, row.State, row.By = true, w.l.word("playbook.done"), w.mention(t.By)
		case playbook.StateByHand:
			row.State = w.l.word("playbook.by-hand")
		default:
			row.State = w.l.word("playbook.open")
		}
		if send := t.Step.Send; send != nil {
			row.Send, row.Urgency, row.SendTo = w.className(w.l, send.Class), send.Urgency, w.roles(send.To)
		}
		out.Steps = append(out.Steps, row)
	}
	return out
}

func (w viewer) texts(all []protocol.Text) (out []string) {
	for _, t := range all {
		out = append(out, harmless.Line(w.l.of(t)))
	}
	return out
}

// callees are numbers for everybody, and the roles whose desks to call.
func (w viewer) callees(p playbook.Playbook, call []string) (out []string) {
	for _, id := range call {
		if n, ok := p.Number(id); ok {
			out = append(out, harmless.Line(n.Telephone)+" ("+harmless.Line(w.l.of(n.What))+")")
			continue
		}
		out = append(out, w.roles([]identity.Role{identity.Role(id)}))
	}
	return out
}

func (w viewer) roles(all []identity.Role) string {
	var names []string
	for _, r := range all {
		names = append(names, w.l.word("role."+string(r)))
	}
	return strings.Join(names, ", ")
}
