package web

import (
	"slices"
	"time"

	"schakel/clients/desk/web/formbody"
	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/clients/protocol/routing"
	"schakel/clients/schakel"
	"schakel/clients/writing"
	"schakel/crypto/message"
)

// formTrouble is why a form is shown again, beside what is wrong in its fields.
type formTrouble struct {
	Trouble  *trouble
	WrongPIN bool
	NoPIN    bool
	Kept     time.Time
	status   int
}

// formView is the form of a class as its page shows it.
type formView struct {
	*paper
	formTrouble
	Label, Help string
	Ticket      string
	Answered    *item
	Needed      []formbody.Box
	More        []formbody.Box
	Open        bool
	Urgencies   []choice
	Desks       []deskChoice
	Places      []served
	Towns       []town
	Problems    []problemAt // what is wrong, as a list of links
	NoUrgency   bool
	NoDesk      bool
	NewCase     bool
	AsksPlace   bool
	Exercise    bool
	Closed      bool
	Unread      bool // its case cannot be looked at without the PIN
	Signer      string
	FileField   *fileField // where the class takes files
}

// fileField is where a form says which files come with the message.
type fileField struct {
	Name, Label, Help string
	Files             []attachedFile
	Wrong             string
}

// deskChoice is a desk that may get the message.
type deskChoice struct {
	party
	ID        string
	Chosen    bool
	Serves    bool // a municipality in the message
	Asked     bool // it asked what this answers
	Reachable bool
}

// served is who serves a municipality that the message names.
type served struct{ Name, VeiligThuis, Police string }

// town is a municipality that a field offers.
type town struct{ Name, Hint string }

func (s *Site) formPage(v *visit, p *paper, t formTrouble) (answer, error) {
	c, err := s.scene(v, p, "")
	if err != nil {
		return answer{}, err
	}
	return s.form(v, p, c, t)
}

// form shows a paper with everything that was typed, and what is wrong beside its field.
func (s *Site) form(v *visit, p *paper, c scene, t formTrouble) (answer, error) {
	values, _, wrong, err := s.readPaper(p)
	if err != nil {
		return answer{}, err
	}
	if !p.Tried { // nobody has said yet that it is finished
		_, wrong = formbody.Parse(c.form, p.Typed, calendar.Zone())
	}
	f := formView{paper: p, formTrouble: t, Label: harmless.Line(v.lang.of(c.form.Label)), Help: harmless.Line(v.lang.of(c.form.Help)),
		Problems: problemsAt(v.lang, c.form, wrong), Exercise: p.Exercise || c.zaak != nil && c.zaak.Exercise, Closed: p.closed, Unread: c.closed && c.zaak == nil,
		NewCase: len(p.refs()) == 0, AsksPlace: formbody.AsksPlace(c.form.Fields), Signer: harmless.Line(c.signs.Name), Towns: towns()}
	if f.Ticket, err = s.Sheets.Ticket(v.Context(), v.user.ID, p.ID); err != nil {
		return answer{}, err
	}
	f.Needed, f.More, f.Open = formbody.Boxes(c.form, p.Typed, values, wrong, s.messages(v.lang, c))
	for _, u := range c.class.Urgencies {
		f.Urgencies = append(f.Urgencies, choice{string(u), v.lang.word("urgency." + string(u)), u == p.Urgency})
	}
	f.recipients(s, v.lang, p, c, writing.Places(values))
	if m, ok := c.answered(p); ok {
		f.Answered = &item{Path: "/messages/" + m.Hash.String(), Class: s.className(v.lang, m.Class), Desk: harmless.Line(string(m.From.Desk)), Urgency: m.Urgency, At: m.Created}
	}
	if p.Tried {
		f.NoUrgency, f.NoDesk = !slices.Contains(c.class.Urgencies, p.Urgency), len(p.To) == 0
	}
	if f.FileField, err = s.fileField(v, p, c, wrong); err != nil {
		return answer{}, err
	}
	title := "title.write"
	if t.status != 0 {
		title = "title.write-again"
	}
	a := answer{page: "compose", title: title, status: t.status, shows: f, typing: true}
	if !p.closed {
		a.here = p.path()
	}
	return a, nil
}

func (s *Site) fileField(v *visit, p *paper, c scene, wrong []formbody.Fault) (*fileField, error) {
	field, ok := c.class.AttachmentField()
	if !ok {
		return nil, nil
	}
	out := &fileField{Name: formbody.Prefix + field.Name}
	for _, f := range c.form.Fields {
		if f.Name == field.Name {
			out.Label, out.Help = harmless.Line(v.lang.of(f.Label)), harmless.Line(v.lang.of(f.Help))
		}
	}
	for _, w := range wrong {
		if w.Name == out.Name {
			out.Wrong = harmless.Line(v.lang.of(w.Reason))
		}
	}
	files, err := s.attachedFiles(v, p)
	out.Files = files
	return out, err
}

// recipients are the desks that may get this class from here, those that serve a
// municipality in the message first.
func (f *formView) recipients(s *Site, l language, p *paper, c scene, places []string) {
	asked, _ := c.answered(p)
	desks := writing.Addressable(c.class, orAny(c.class, p.Urgency), c.status, c.desks, places)
	for _, d := range c.desks { // what was chosen stays to be seen, whatever became of it
		if slices.Contains(p.To, string(d.ID)) && !slices.ContainsFunc(desks, func(x schakel.Desk) bool { return x.ID == d.ID }) {
			desks = append(desks, d)
		}
	}
	for _, d := range desks {
		if d.ID == c.status.Desk {
			continue
		}
		f.Desks = append(f.Desks, deskChoice{party{harmless.Line(string(d.ID)), harmless.Line(d.Org), l.word("role." + string(d.Role))}, string(d.ID),
			slices.Contains(p.To, string(d.ID)), writing.Serves(d, places) && d.Role != "knooppunt", d.ID == asked.From.Desk, d.Reachable})
	}
	for _, code := range places {
		if m, ok := routing.Of(code); ok {
			f.Places = append(f.Places, served{m.Name, m.Region.Name + " (" + m.Region.Code + ")", m.Police.Name + " (" + m.Police.Code + ")"})
		}
	}
}

// problemAt is something wrong in a field, by the words of that field.
type problemAt struct {
	Name, Label string
	Reason      protocol.Text
}

// maxProblems bounds the list above a form: nobody reads forty lines.
const maxProblems = 12

func problemsAt(l language, f protocol.Form, wrong []formbody.Fault) (out []problemAt) {
	for _, x := range wrong[:min(len(wrong), maxProblems)] {
		out = append(out, problemAt{x.Name, harmless.Line(l.of(formbody.LabelOf(f, x.Name))), x.Reason})
	}
	return out
}

// orAny is the urgency that was chosen, or the first that the class knows: who may get the
// message must be seen before that is chosen.
func orAny(c protocol.Class, u message.Urgency) message.Urgency {
	if u == "" && len(c.Urgencies) > 0 {
		return c.Urgencies[len(c.Urgencies)-1]
	}
	return u
}

// towns are the municipalities with who serves them, for fields that take one.
func towns() (out []town) {
	for _, m := range routing.Municipalities() {
		out = append(out, town{m.Name, "Veilig Thuis " + m.Region.Name + ", politie " + m.Police.Name})
	}
	return out
}
