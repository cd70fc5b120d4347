package webtest

import (
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/relay/rota"
)

// Rota gives the office a rota for its person and a colleague, who take turns of a week,
// changed where change says so, and returns the colleague.
func (o *Office) Rota(change func(*roster.Sheet)) schakel.Person {
	o.t.Helper()
	other := o.Member.AddPerson("W. Acht")
	s := roster.Sheet{Roster: roster.Roster{Version: 1, Fallback: []rota.Contact{"f-1"},
		People: []roster.Person{
			{Contact: "f-1", Name: "telefoon van het piket", Phone: "+31600000010", Points: []roster.Point{{Channel: "webhook", Target: "https://piket.example/hook", Relay: true}}},
			{Contact: "p-1", Person: o.Person.ID.String(), Name: o.Person.Name, Phone: "+31600000011"},
			{Contact: "p-2", Person: other.ID.String(), Name: other.Name, Phone: "+31600000012", Points: []roster.Point{{Channel: "ntfy", Target: "https://ntfy.example/acht"}}},
			{Contact: "p-3", Name: "achterwacht", Phone: "+31600000013", Points: []roster.Point{{Channel: "smtp", Target: "achterwacht@example.org"}}},
		},
		Layers: []rota.Layer{
			{Rules: []rota.Rule{{From: "2026-01-05T08:00", To: "2026-01-12T08:00", Repeat: "FREQ=WEEKLY", Contacts: []rota.Contact{"p-1", "p-2"}}}},
			{Rules: []rota.Rule{{From: "2026-01-05T08:00", To: "2026-01-12T08:00", Repeat: "FREQ=WEEKLY", Contacts: []rota.Contact{"p-3"}}}},
		},
	}}
	if change != nil {
		change(&s)
	}
	_, err := o.Member.Node.SetRota(o.t.Context(), s, schakel.By{Person: o.Person.ID.String(), PIN: schakeltest.PIN})
	ok(o.t, err)
	return other
}
