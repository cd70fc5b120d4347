package playbook

import (
	"cmp"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
)

// Desk is a desk as the card shows it.
type Desk struct {
	ID        identity.DeskID `json:"id"`
	Org       string          `json:"org"`
	Role      identity.Role   `json:"role"`
	Region    string          `json:"region,omitempty"`
	Telephone string          `json:"telephone,omitempty"`
}

// Card is the outage card of one desk: what to do and whom to call when Schakel is
// down. It is meant for paper, so it says on which day it was printed.
type Card struct {
	Own     identity.DeskID `json:"desk"`
	Printed time.Time       `json:"printed"`
	English bool            `json:"-"`
	Numbers []Number        `json:"numbers"`
	Steps   []protocol.Text `json:"steps"`
	Desks   []Desk          `json:"desks"`  // with a telephone number, in the order in which one looks for them
	Silent  []Desk          `json:"silent"` // of which the register has no number: find it out now, not at night
}

// CardOf makes the card of a desk from the register's desks.
func (p Playbook) CardOf(own identity.DeskID, desks []Desk, printed time.Time, english bool) Card {
	c := Card{Own: own, Printed: printed, English: english, Numbers: p.Numbers, Steps: p.Outage, Desks: []Desk{}, Silent: []Desk{}}
	sorted := slices.SortedFunc(slices.Values(desks), func(a, b Desk) int {
		return cmp.Or(cmp.Compare(rank(a.Role), rank(b.Role)), cmp.Compare(a.Region, b.Region), cmp.Compare(a.ID, b.ID))
	})
	for _, d := range sorted {
		if strings.TrimSpace(d.Telephone) == "" {
			c.Silent = append(c.Silent, d)
		} else {
			c.Desks = append(c.Desks, d)
		}
	}
	return c
}

// rank is the order of the roles in the register's own list: knooppunt first.
func rank(r identity.Role) int { return slices.Index(identity.Roles(), r) }

// Say is a text in the language of the card.
func (c Card) Say(t protocol.Text) string {
	if c.English {
		return t.EN
	}
	return t.NL
}

// The words of the card itself.
var (
	cardTitle  = protocol.Text{NL: "Noodkaart: Schakel werkt niet", EN: "Outage card: Schakel is down"}
	cardDo     = protocol.Text{NL: "Wat u doet", EN: "What to do"}
	cardCall   = protocol.Text{NL: "Altijd bereikbaar", EN: "Always reachable"}
	cardDesks  = protocol.Text{NL: "Bureaus", EN: "Desks"}
	cardSilent = protocol.Text{NL: "Geen nummer in het register: zoek het nu op en schrijf het hier", EN: "No number in the register: find it now and write it here"}
	cardDate   = protocol.Text{NL: "Afgedrukt op", EN: "Printed on"}
	cardOld    = protocol.Text{NL: "Druk elke maand een nieuwe kaart af.", EN: "Print a new card every month."}
)

// heads are the words as the template asks for them.
func (c Card) heads() map[string]string {
	return map[string]string{"Title": c.Say(cardTitle), "Do": c.Say(cardDo), "Call": c.Say(cardCall), "Desks": c.Say(cardDesks),
		"Silent": c.Say(cardSilent), "Date": c.Say(cardDate) + " " + c.Printed.Format(time.DateOnly), "Old": c.Say(cardOld)}
}

// WriteText writes the card as plain text, at most 80 columns where names allow it.
func (c Card) WriteText(w io.Writer) error {
	h := c.heads()
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s · %s\n\n%s\n", strings.ToUpper(h["Title"]), strings.Repeat("=", len([]rune(h["Title"]))), plain(string(c.Own)), h["Date"], h["Call"])
	for _, n := range c.Numbers {
		fmt.Fprintf(&b, "  %-16s %s\n", n.Telephone, c.Say(n.What))
	}
	fmt.Fprintf(&b, "\n%s\n", h["Do"])
	for i, s := range c.Steps {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, c.Say(s))
	}
	fmt.Fprintf(&b, "\n%s\n", h["Desks"])
	for _, d := range c.Desks {
		fmt.Fprintf(&b, "  %-16s %s, %s (%s)\n", plain(d.Telephone), plain(d.Org), strings.TrimSpace(string(d.Role)+" "+plain(d.Region)), plain(string(d.ID)))
	}
	if len(c.Silent) > 0 {
		fmt.Fprintf(&b, "\n%s\n", h["Silent"])
		for _, d := range c.Silent {
			fmt.Fprintf(&b, "  ________________ %s (%s)\n", plain(d.Org), plain(string(d.ID)))
		}
	}
	fmt.Fprintf(&b, "\n%s\n", h["Old"])
	_, err := io.WriteString(w, b.String())
	return err
}

// plain keeps control characters of a register's names away from a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}

// WriteHTML writes the card as a page that stands alone: no script, nothing fetched,
// readable without its style, and printed on one sheet.
func (c Card) WriteHTML(w io.Writer) error {
	return page.Execute(w, struct {
		Card
		Lang string
		H    map[string]string
	}{c, map[bool]string{false: "nl", true: "en"}[c.English], c.heads()})
}

var page = template.Must(template.New("card").Parse(`<!DOCTYPE html>
<html lang="{{.Lang}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.H.Title}}</title>
<style>
body { font-family: sans-serif; max-width: 45rem; margin: 1rem auto; padding: 0 1rem; color: #000; background: #fff; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .2rem .5rem .2rem 0; border-bottom: 1px solid #767676; vertical-align: top; }
td:first-child { font-weight: bold; white-space: nowrap; }
@media print { body { margin: 0; font-size: 10pt; } }
</style>
</head>
<body>
<main>
<h1>{{.H.Title}}</h1>
<p>{{.Own}} · {{.H.Date}}</p>
<h2>{{.H.Call}}</h2>
<table><tbody>{{range .Numbers}}
<tr><td>{{.Telephone}}</td><td>{{$.Say .What}}</td></tr>{{end}}
</tbody></table>
<h2>{{.H.Do}}</h2>
<ol>{{range .Steps}}
<li>{{$.Say .}}</li>{{end}}
</ol>
<h2>{{.H.Desks}}</h2>
<table><tbody>{{range .Desks}}
<tr><td>{{.Telephone}}</td><td>{{.Org}}</td><td>{{.Role}} {{.Region}}</td><td>{{.ID}}</td></tr>{{end}}
</tbody></table>
{{if .Silent}}<h2>{{.H.Silent}}</h2>
<table><tbody>{{range .Silent}}
<tr><td>________________</td><td>{{.Org}}</td><td>{{.ID}}</td></tr>{{end}}
</tbody></table>
{{end}}<p>{{.H.Old}}</p>
</main>
</body>
</html>
`))
