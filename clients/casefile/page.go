package casefile

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// pageVersion is the version of the pages' layout. The pages of a file with this
// version are made again by whoever verifies it and must be the same bytes: change
// anything about them and this number goes up.
const pageVersion = 4

// language of a page.
type language string

const (
	dutch   language = "nl"
	english language = "en"
)

func (l language) of(t protocol.Text) string {
	if l == english {
		return t.EN
	}
	return t.NL
}

//go:embed page.html
var pageText string

// page is what the template shows. All of it went through harmless where a partner
// wrote it, and html/template escapes what remains.
type page struct {
	Lang        language
	Exercise    bool
	Case        string
	Desk, Org   string
	Device      string
	Person      string
	Made        string
	Register    string
	Protocol    string
	Fingerprint string
	SafeContact []letter
	State       []row
	Missing     []string
	Obligations []duty
	Messages    []letter
	Desks       []desk
}

// row is a line of a table: what, and what of it.
type row struct{ What, Said string }

type duty struct{ Who, What, Rule, Due, Met string }

type letter struct {
	Number   int
	Name     string // of the class
	Urgency  string
	From     string
	To       string
	Person   string
	Created  string
	Hash, ID string
	Exercise bool
	Enclosed bool
	Replaced string
	Unsaid   string
	Answers  string
	Safe     []Said
	Body     []Said
	Went     []row
}

type desk struct{ ID, Org, Role, Region, Phone string }

// page renders the case for people.
func (r *reading) page(l language) []byte {
	if r.register == nil {
		return []byte("-\n")
	}
	words := func(nl, en string) string { return l.of(protocol.Text{NL: nl, EN: en}) }
	t := template.Must(template.New("page").Funcs(template.FuncMap{"t": words, "banner": func() string { return l.of(protocol.ExerciseBanner()) },
		"mark": func() string { return l.of(protocol.ExerciseMark()) }}).Parse(pageText))
	var b bytes.Buffer
	if err := t.Execute(&b, r.model(l)); err != nil {
		panic(err) // the template is embedded, the model has its form, and a buffer takes everything
	}
	return b.Bytes()
}

func (r *reading) model(l language) page {
	m := r.manifest
	p := page{Lang: l, Case: m.Case.String(), Desk: string(m.Desk), Org: harmless.Line(r.org(m.Desk)), Device: m.Device.String(), Made: when(m.Made),
		Register: fmt.Sprintf("%d, %x", m.RegisterSize, m.RegisterRoot), Protocol: m.Protocol, Fingerprint: r.fingerprint}
	if !m.Person.IsZero() {
		p.Person = m.Person.String()
	}
	numbers := map[message.Hash]int{}
	for i, k := range r.known.History() {
		numbers[k.Hash] = i + 1
		letter := r.letter(k, numbers, l)
		p.Messages = append(p.Messages, letter)
		p.Exercise = p.Exercise || k.Exercise
		if len(letter.Safe) > 0 {
			p.SafeContact = append(p.SafeContact, letter)
		}
	}
	p.State = r.state(numbers, l)
	for _, miss := range r.missing() {
		p.Missing = append(p.Missing, miss.Message.ID.String()+", "+miss.Message.Hash.String())
	}
	for _, o := range r.known.Obligations {
		p.Obligations = append(p.Obligations, duty{string(o.Owes), harmless.Line(string(o.Duty)), o.Rule, when(o.Due), when(o.Met)})
	}
	for _, party := range r.known.Participants {
		d, _ := r.register.Desk(party.Desk)
		p.Desks = append(p.Desks, desk{string(party.Desk), harmless.Line(r.org(party.Desk)), string(party.Role), party.Region, d.Phone})
	}
	return p
}

func (r *reading) letter(k protocol.Known, numbers map[message.Hash]int, l language) letter {
	m := r.signed[k.Hash].Message
	form, _ := r.by(k).Form(k.Class) // of a class that the agreement lacks the names alone
	out := letter{Number: numbers[k.Hash], Name: k.Class, Urgency: string(k.Urgency), From: string(k.From.Desk), Hash: k.Hash.String(), ID: k.ID.String(),
		Created: when(time.Unix(int64(k.Created), 0)), Exercise: k.Exercise, Enclosed: r.enclosed[k.Hash], To: desks(k.To), Went: r.went(r.signed[k.Hash], l)}
	if form.Label != (protocol.Text{}) {
		out.Name = harmless.Line(l.of(form.Label)) + " (" + k.Class + ")"
	}
	if len(m.Person) > 0 {
		out.Person = identity.PersonID(m.Person).String()
	}
	if len(k.Answers) > 0 {
		out.Answers = numbered(numbers, k.Answers[0])
	}
	for _, by := range r.known.Replaced {
		if by.Message.Hash == k.Hash {
			out.Replaced = l.of(replacedWords[by.Withdrawn]) + " " + by.By.ID.String()
		}
	}
	if f, ok := r.fixed[k.Hash]; ok {
		out.Went = append(out.Went, row{l.of(fixedWords), fixedLine(f, l)})
	}
	switch {
	case r.known.Unheard(k.Hash):
		out.Unsaid = l.of(unsaidWords)
	case slices.Contains(r.claimed, k.Ref()):
		out.Unsaid = l.of(claimedWords)
	}
	out.Safe, out.Body = outliner{l: l}.outline(k.Body, form)
	return out
}

var replacedWords = map[bool]protocol.Text{true: {NL: "ingetrokken door", EN: "withdrawn by"}, false: {NL: "gecorrigeerd door", EN: "corrected by"}}

var (
	unsaidWords = protocol.Text{NL: "Geweigerd door elk bureau waaraan dit gericht was: aan niemand gezegd, telt nergens",
		EN: "Rejected by every desk that this was addressed to: said to nobody, counts nowhere"}
	claimedWords = protocol.Text{NL: "Volgens dit bureau geweigerd door elk bureau waaraan dit gericht was. Niet van elk staat daarvan hier een handtekening: het telt hier mee",
		EN: "Rejected by every desk that this was addressed to, says this desk. Not all of them signed that here: it counts here"}
)

// numbered names a message by its number on the page, or by its identifier where it is not here.
func numbered(numbers map[message.Hash]int, ref message.Ref) string {
	if n, ok := numbers[ref.Hash]; ok {
		return fmt.Sprint(n)
	}
	return ref.ID.String()
}

func desks(to []protocol.Party) (s string) {
	for i, p := range to {
		if i > 0 {
			s += ", "
		}
		s += string(p.Desk)
	}
	return s
}

// when shows an instant where the partners are.
func when(t time.Time) string {
	if t.Unix() <= 0 {
		return ""
	}
	return t.In(calendar.Zone()).Format("2006-01-02 15:04 MST")
}
