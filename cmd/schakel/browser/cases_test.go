package browser_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"schakel/clients/desk"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// crowded is a node that has more to say of some things than a small chain does: of one
// case, of the access log, and of what was destroyed.
type crowded struct {
	desk.Node
	kase string // of which there is more to say
	cut  bool   // the relay was stopped
	lone bool   // nobody else is in the register, and nobody here can sign
	now  func() time.Time

	attachments func([]schakel.Attachment) []schakel.Attachment // says of files what is to be looked at; nil: nothing
}

// Overview implements desk.Node.
func (n *crowded) Overview(ctx context.Context, ref string, by ...schakel.By) (schakel.Overview, error) {
	o, err := n.Node.Overview(ctx, ref, by...)
	if err != nil || o.Ref.String() != n.kase {
		return o, err
	}
	first, gone := o.Messages[0].Ref, message.Ref{Hash: message.Hash{9}}
	const police, buza = identity.DeskID("politie-mn/oc"), identity.DeskID("buza/dcv")
	o.Terms = []protocol.LeadTerm{{Number: 1, Holder: o.Desk, Begins: first, Since: n.now()}, {Holder: police, Begins: gone}}
	o.Offers = []protocol.Offer{{Message: first, Ends: first, By: o.Desk, To: police, State: protocol.OfferOpen}}
	o.Owed = []protocol.Obligation{{Rule: "R25", Duty: protocol.DutyPolice, Owes: o.Desk, To: "arts/praktijk", Since: first, Due: n.now().Add(-3 * time.Hour)},
		{Rule: "R23", Duty: protocol.DutyFeedback1, Owes: o.Desk, To: "arts/praktijk", Since: first, Due: n.now().Add(5 * 24 * time.Hour)}}
	o.Awaited = []protocol.Obligation{{Rule: "R20", Duty: protocol.DutyAnswer, Owes: police, To: o.Desk, Since: gone, Due: n.now().Add(50 * time.Minute)}}
	o.Obligations = []protocol.Obligation{{Rule: "R10", Duty: protocol.DutyAnswer, Owes: buza, To: police, Since: gone, Due: n.now().Add(20 * time.Hour)}}
	o.Missing = []protocol.Missing{{Message: gone, NamedBy: []message.Ref{first}}}
	o.Voids = []protocol.Void{{Rule: "R21", Message: first, Against: gone}}
	o.Unsaid = []message.Ref{gone}
	o.Rests = []protocol.Rest{{Message: first, On: gone}}
	o.Replaced = []protocol.Replacement{{Message: first, By: gone}}
	o.Participants = append(o.Participants, protocol.Party{Desk: police, Role: identity.RolePolitie, Region: "MN"}, protocol.Party{Desk: buza, Role: identity.RoleBuza})
	o.Messages[0].Flags = []protocol.Flag{{Rule: "R13", Certainty: protocol.Broken, Reason: protocol.Text{NL: "Dit bericht kwam te laat.", EN: "This message came late."},
		Remedy: protocol.Text{NL: "Bel de afzender.", EN: "Call the sender."}}}
	o.Messages = append(o.Messages, schakel.Moment{Ref: gone, Class: "besluit", Urgency: message.Urgent, From: protocol.Party{Desk: police}, To: []protocol.Party{{Desk: o.Desk}, {Desk: buza}},
		Created: n.now(), Answers: []message.Ref{first}, Person: true, Outcome: "aanvaard", Enclosed: true})
	return o, nil
}

// Status implements desk.Node. A connection that a busy machine drops for a moment is no
// other state of a page.
func (n *crowded) Status(ctx context.Context) (schakel.Status, error) {
	s, err := n.Node.Status(ctx)
	s.Connected = s.Connected || !n.cut
	return s, err
}

// Deletions implements desk.Node.
func (n *crowded) Deletions(ctx context.Context) ([]schakel.Deletion, error) {
	if n.kase == "" {
		return n.Node.Deletions(ctx)
	}
	return []schakel.Deletion{{Case: "019ab2c0-5f10-7a31-9c42-1d0e5a7b3c01", At: n.now(), Due: n.now(), Closing: strings.Repeat("ab", 32), ClosedBy: "vt20/crisis", Messages: 12}}, nil
}

// Directory implements desk.Node.
func (n *crowded) Directory(ctx context.Context) ([]schakel.Desk, error) {
	if n.lone {
		return nil, nil
	}
	return n.Node.Directory(ctx)
}

// Persons implements desk.Node.
func (n *crowded) Persons(ctx context.Context) ([]schakel.Person, error) {
	if n.lone {
		return nil, nil
	}
	return n.Node.Persons(ctx)
}

// alone looks at what a desk shows of others before there are any.
func (p *pages) alone() {
	p.t.Helper()
	p.crowded.lone = true
	defer func() { p.crowded.lone = false }()
	p.look(
		visit{Name: "card without numbers", Path: "/card", Cookies: p.worker, Shows: []string{"Het register heeft geen nummers"}},
		visit{Name: "empty address book", Path: "/directory", Cookies: p.worker, Shows: []string{"Dit bureau kan nog naar niemand schrijven"}},
		visit{Name: "nobody to write to", Path: "/compose/melding", route: "/compose/{class}", Cookies: p.worker, Shows: []string{"Geen bureau kan dit van hier krijgen"}},
		visit{Name: "nobody who signs", Path: "/people", Cookies: p.keeper, Shows: []string{"Er is nog niemand die kan tekenen"}},
	)
}

// emptyCases looks at what shows cases before there are any.
func (p *pages) emptyCases() {
	p.look(
		visit{Name: "no cases", Path: "/cases", Cookies: p.worker, Shows: []string{"Er zijn geen open zaken"}},
		visit{Name: "no cases wait for us", Path: "/cases?part=us", route: "/cases", Cookies: p.worker, Shows: []string{"Geen zaak wacht op dit bureau"}},
		visit{Name: "no cases wait for others", Path: "/cases?part=them", route: "/cases", Cookies: p.worker, Shows: []string{"Geen zaak wacht op anderen"}},
		visit{Name: "no destroyed cases", Path: "/deletions", Cookies: p.worker, Shows: []string{"Hier is nog niets vernietigd"}},
		visit{Name: "no drafts", Path: "/drafts", Cookies: p.worker, Shows: []string{"U bent met niets bezig", "Er zijn geen concepten"}},
		visit{Name: "no drills", Path: "/on-call/drills", Cookies: p.worker, Shows: []string{"Er was nog geen oefening"}},
		visit{Name: "outage card", Path: "/card", Cookies: p.worker, Shows: []string{"Noodkaart", "112"}},
		visit{Name: "no alarms", Path: "/alarms", Cookies: p.worker, Shows: []string{"Er zijn geen alarmen"}},
	)
}

// cases looks at all that there is of a case, by a message of it, and at a hostile one.
func (p *pages) cases(hash, hostile string) {
	p.t.Helper()
	r, err := p.Member.Node.Restriction(p.t.Context(), hash)
	ok(p.t, err)
	p.crowded.kase = r.Case
	path := "/cases/" + r.Case
	b := p.User("P. Iket", desk.Roles()...)
	note := func(text string) {
		if a := b.Post(path+"/notes/new", url.Values{"pin": {schakeltest.PIN}, "text": {text}}); a.Status != http.StatusSeeOther {
			p.t.Fatalf("a note: %d\n%s", a.Status, a.Body)
		}
	}
	note("Meldkamer gebeld om 03.10 uur.\nZij bellen terug.")
	p.Chain.Pass(time.Minute) // so that one is after the other
	note(`<b>Mentor</b> ` + strings.Repeat("zonderspatie", 60))
	noPIN := []step{{Type: []string{"#text", "Moeder belt morgen."}}, {Type: []string{"#pin", "000000"}, Status: http.StatusForbidden}, {Use: "main form button"}}
	wordless := []step{{Type: []string{"#text", " "}}, {Type: []string{"#pin", schakeltest.PIN}, Status: http.StatusUnprocessableEntity}, {Use: "main form button"}}
	endless := []step{{Type: []string{"#text", strings.Repeat("nog een regel ", schakel.MaxNote/14+1)}}, {Type: []string{"#pin", schakeltest.PIN}, Status: http.StatusUnprocessableEntity}, {Use: "main form button"}}
	wrong := wrongPIN("main form button")
	few := []step{{Status: http.StatusUnprocessableEntity}, {Use: "main form button"}}
	check := []step{{Click: "label.option:nth-of-type(1)"}, {Click: "label.option:nth-of-type(2)"}, {Use: "main form button"}}
	short := append(slices.Clone(check), step{Type: []string{"#glass", "kort"}}, step{Type: []string{"#glass-again", "kort"}}, step{Type: []string{"#pin", "000000"}, Status: http.StatusUnprocessableEntity}, step{Use: "main form button"})
	unlike := append(slices.Clone(check), step{Type: []string{"#glass", "zes woorden in de kluis"}}, step{Type: []string{"#glass-again", "vijf woorden in de kluis"}}, step{Type: []string{"#pin", "000000"}, Status: http.StatusUnprocessableEntity}, step{Use: "main form button"})
	const ref = "/cases/{ref}"
	p.look(
		visit{Name: "cases", Path: "/cases", Cookies: p.worker, Shows: []string{"Alle open zaken", "taken voor ons"}},
		visit{Name: "no closed cases", Path: "/cases?part=closed", route: "/cases", Cookies: p.worker, Shows: []string{"Er zijn geen gesloten zaken"}},
		visit{Name: "case", Path: path, route: ref, Cookies: p.worker, Shows: []string{"fietslampje", "Wacht op ons", "3 uur te laat", "Ontbreekt hier", "Mentor"}},
		visit{Name: "hostile case", Path: "/cases/" + hostile, route: ref, Cookies: p.worker, Shows: []string{"Wie doet mee"}},
		visit{Name: "notes", Path: path + "/notes", route: ref + "/notes", Cookies: p.worker, Shows: []string{"Meldkamer gebeld"}},
		visit{Name: "new note", Path: path + "/notes/new", route: ref + "/notes/new", Cookies: p.worker, Shows: []string{"Alleen dit bureau leest dit"}},
		visit{Name: "note without words", Path: path + "/notes", route: ref + "/notes", Cookies: p.worker, Steps: wordless, Shows: []string{"Schrijf iets op"}},
		visit{Name: "note that is too long", Path: path + "/notes", route: ref + "/notes", Cookies: p.worker, Steps: endless, Shows: []string{"Maak de notitie korter"}},
		visit{Name: "note with a wrong PIN", Path: path + "/notes", route: ref + "/notes", fails: ref + "/notes/new", Cookies: p.worker, Steps: noPIN, Shows: []string{"De notitie is niet bewaard"}},
		visit{Name: "playbook of a case", Path: path + "/playbook", route: ref + "/playbook", Cookies: p.worker, Shows: []string{"stappen gezien"}},
		visit{Name: "situation", Path: path + "/playbook?situation=acuut-thuis", route: ref + "/playbook", Cookies: p.worker, Shows: []string{"Nooit doen"}},
		visit{Name: "take along", Path: path + "/export", route: ref + "/export", Cookies: p.worker, Shows: []string{"Wie dit bestand heeft"}},
		visit{Name: "take along, wrong PIN", Path: path + "/export", route: ref + "/export", Cookies: p.worker, Steps: wrong, Shows: []string{"Er is geen bestand gemaakt"}},
		visit{Name: "who may read", Path: path + "/restrict", route: ref + "/restrict", Cookies: p.worker, Shows: []string{"Nu mag het hele bureau"}},
		visit{Name: "too few may read", Path: path + "/restrict", route: ref + "/restrict", Cookies: p.worker, Steps: few, Shows: []string{"Kies minstens twee"}},
		visit{Name: "check who may read", Path: path + "/restrict", route: ref + "/restrict", Cookies: p.worker, Steps: check, Shows: []string{"Straks mogen alleen zij lezen"}},
		visit{Name: "passphrase too short", Path: path + "/restrict", route: ref + "/restrict", Cookies: p.worker, Steps: short, Shows: []string{"De wachtzin is te kort"}},
		visit{Name: "passphrases unlike", Path: path + "/restrict", route: ref + "/restrict", fails: ref + "/restrict/signed", Cookies: p.worker, Steps: unlike, Shows: []string{"niet gelijk"}},
		visit{Name: "found", Path: "/search?q=fietslampje", route: "/search", Cookies: p.worker, Shows: []string{"gevonden"}},
		visit{Name: "found a note", Path: "/search?q=meldkamer", route: "/search", Cookies: p.worker, Shows: []string{"Notitie"}},
		visit{Name: "found nothing", Path: "/search?q=nergensstaatdit", route: "/search", Cookies: p.worker, Shows: []string{"Niets gevonden"}},
		visit{Name: "no words to look for", Path: "/search?q=%2B", route: "/search", Status: http.StatusBadRequest, Cookies: p.worker, Shows: []string{"Typ een woord"}},
		visit{Name: "log of a case", Path: path + "/log", route: ref + "/log", Cookies: p.worker, Shows: []string{"Zaak geopend"}},
		visit{Name: "log", Path: "/log", Cookies: p.worker, Shows: []string{"Bekeken in de browser"}},
		visit{Name: "destroyed cases", Path: "/deletions", Cookies: p.worker, Shows: []string{"12 berichten"}},
	)
	p.seen["/deletions/statements"] = true // a file, and no page
}

// restrictedCase looks at a case that is closed to all but the worker and a colleague.
func (p *pages) restrictedCase(hash string) {
	p.t.Helper()
	path, wrong := "/cases/"+hash, wrongPIN("main form button")
	glass := []step{{Type: []string{"#glass", "een zin die het niet is"}}, {Type: []string{"#pin", "000000"}, Status: http.StatusForbidden}, {Use: "main form button"}}
	unlike := []step{{Type: []string{"#glass", "een zin die het niet is"}}, {Type: []string{"#pin", schakeltest.PIN}, Status: http.StatusForbidden}, {Use: "main form button"}}
	right := []step{{Type: []string{"#pin", schakeltest.PIN}}, {Use: "main form button"}}
	const ref = "/cases/{ref}"
	p.User("P. Iket", desk.Roles()...).Post(path+"/notes/new", url.Values{"do": {"keep"}, "text": {"alleen voor genoemden"}})
	p.look(
		visit{Name: "unfinished in a restricted case", Path: path + "/notes/new", route: ref + "/notes/new", Cookies: p.worker, Shows: []string{"Typ uw pincode om het te zien"}},
		visit{Name: "unfinished in a restricted case, wrong PIN", Path: path + "/notes/new", route: ref + "/notes/new", Cookies: p.worker, Steps: wrong, Shows: []string{"De pincode klopt niet"}},
		visit{Name: "restricted case", Path: path, route: ref, Cookies: p.worker, Shows: []string{"Bel een van hen", "Wat iedereen hier ziet"}},
		visit{Name: "restricted case, wrong PIN", Path: path, route: ref, Cookies: p.worker, Steps: wrong, Shows: []string{"De pincode klopt niet"}},
		visit{Name: "restricted case, opened", Path: path, route: ref, Cookies: p.worker, Steps: right, Shows: []string{"Deze zaak is alleen voor", "fietslampje"}},
		visit{Name: "emergency", Path: path + "/emergency", route: ref + "/emergency", Cookies: p.worker, Shows: []string{"Bel eerst deze mensen"}},
		visit{Name: "emergency, wrong PIN", Path: path + "/emergency", route: ref + "/emergency", Cookies: p.worker, Steps: glass, Shows: []string{"De zaak is niet geopend"}},
		visit{Name: "emergency, wrong sentence", Path: path + "/emergency", route: ref + "/emergency", Cookies: p.as("B. Uiten"), alone: true, Steps: unlike, Shows: []string{"De wachtzin klopt niet"}},
		visit{Name: "notes of a restricted case, wrong PIN", Path: path + "/notes", route: ref + "/notes", Cookies: p.worker, Steps: wrong, Shows: []string{"De pincode klopt niet"}},
		visit{Name: "playbook of a restricted case, wrong PIN", Path: path + "/playbook", route: ref + "/playbook", Cookies: p.worker, Steps: wrong, Shows: []string{"De pincode klopt niet"}},
		visit{Name: "who may read a restricted case", Path: path + "/restrict", route: ref + "/restrict", Cookies: p.worker, Shows: []string{"Nu mogen deze mensen"}},
	)
}
