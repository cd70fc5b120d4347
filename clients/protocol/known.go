package protocol

import (
	"slices"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Register is what this package asks of the register of desks, devices and persons.
type Register interface {
	// Party returns a desk with its role and region, also one that is no longer
	// active: what it said stays said. A desk that never was has no role.
	Party(identity.DeskID) Party
	// Verify checks the signature of the sending device, and of the person where
	// the message names one: both of the sending desk.
	Verify(message.Signed) error
}

// Known is one message that a desk has. Its signatures were verified, and the
// roles of its desks come from the register.
type Known struct {
	Draft
	Hash message.Hash
	// Rejected is the addressed desks of which this desk has a signed rejection of the
	// message: they do not have it among theirs. Only who sent it hears them.
	Rejected []identity.DeskID
}

// KnownOf is a verified message, and DraftOf what it says. What it encloses and
// what does not verify is left out: a signed original proves itself or does not count.
func KnownOf(s message.Signed, r Register) Known {
	return Known{Draft: DraftOf(s.Message, r), Hash: s.Hash()}
}

// Ref names the message.
func (k Known) Ref() message.Ref { return message.Ref{ID: k.ID, Hash: k.Hash} }

// rests reports whether the message names that one as what it rests on.
func (d Draft) rests(h message.Hash) bool {
	for _, r := range d.RestsOn {
		if r.Hash == h {
			return true
		}
	}
	return false
}

// answers reports whether the message answers that one.
func (d Draft) answers(h message.Hash) bool { return len(d.Answers) == 1 && d.Answers[0].Hash == h }

// refs is every message that this one names.
func (d Draft) refs() []message.Ref {
	return append(append([]message.Ref{}, d.Answers...), d.RestsOn...)
}

// addresses reports whether the message is addressed to a desk.
func (d Draft) addresses(desk identity.DeskID) bool {
	for _, to := range d.To {
		if to.Desk == desk {
			return true
		}
	}
	return false
}

// reaches reports whether a desk of that role is addressed.
func (d Draft) reaches(roles ...identity.Role) bool { return anyOf(d.To, roles) }

func anyOf(parties []Party, roles []identity.Role) bool {
	return slices.ContainsFunc(parties, func(p Party) bool { return slices.Contains(roles, p.Role) })
}

// heard is the addressed desks that took the message, as far as this desk knows.
func (k Known) heard() []Party {
	if len(k.Rejected) == 0 {
		return k.To
	}
	return slices.DeleteFunc(slices.Clone(k.To), func(p Party) bool { return slices.Contains(k.Rejected, p.Desk) })
}

// heardBy reports whether a desk was addressed and took the message.
func (k Known) heardBy(desk identity.DeskID) bool {
	return k.addresses(desk) && !slices.Contains(k.Rejected, desk)
}

// facts are the few fields of a body that rules and state look at. Parsed once.
type facts struct {
	status       string            // ontvangstbevestiging
	subject      string            // besluit: betreft
	outcome      string            // besluit, afweging, terugkoppeling: uitkomst
	leadWith     string            // besluit: regieBij
	leadRole     string            // overdracht: nieuweRegieRol
	brp          string            // overdracht, verificatieantwoord: brpStatus
	municipality string            // overdracht: gemeentecode
	moment       string            // terugkoppeling
	explained    bool              // terugkoppeling: toelichting
	filed        bool              // terugkoppeling: the request to the Raad is filed
	kind         string            // inzetverzoek, reisdocumentverzoek: soort
	consent      string            // reisdocumentverzoek: toestemming
	verification string            // reisdocumentverzoek: verificatieRef
	weighing     string            // strafbaar-feit-melding: afwegingRef
	weighingHash string            // strafbaar-feit-melding: afwegingHash
	remains      string            // advies: verantwoordelijkheidBlijftBij
	anonymous    bool              // adviesvraag: not traceable
	victims      []victim          // melding, signaal, achterlatingssignaal and others
	verified     map[string]string // verificatieantwoord: item to uitkomst
	version      int64             // repatrieringsplan
	blocks       []block           // repatrieringsplan
	retainUntil  string            // afsluiting
	destroyOn    string            // afsluiting
	listed       []message.Ref     // uitnodiging: what it encloses, by its own words
	links        message.CaseRef   // koppeling: the other case
}

// victim is where a victim is registered.
type victim struct{ brp, municipality string }

// block is one of the four parts of a return plan.
type block struct{ name, arranged, by string }

// factsOf reads what it finds. A field of another type is as good as absent: the
// schema has refused it, or the message is of another version and says nothing here.
func factsOf(body any) facts {
	f := facts{
		status: field(body, "status"), subject: field(body, "betreft"), outcome: field(body, "uitkomst"),
		leadWith: field(body, "regieBij"), leadRole: field(body, "nieuweRegieRol"), brp: field(body, "brpStatus"),
		municipality: field(body, "gemeentecode"), moment: field(body, "moment"), explained: field(body, "toelichting") != "",
		filed: field(body, "vtoViaCorvIngediendOp") != "", kind: field(body, "soort"), consent: field(body, "toestemming"),
		verification: field(body, "verificatieRef"), weighing: field(body, "afwegingRef"), weighingHash: field(body, "afwegingHash"),
		remains: field(body, "verantwoordelijkheidBlijftBij"), retainUntil: field(body, "bewaartermijnTot"),
		destroyOn: field(body, "vernietigInSchakelOp"), version: whole(body, "versie"),
	}
	for _, item := range list(child(body, "geschiedenis")) {
		if ref, ok := refIn(child(item, "bericht")); ok && field(item, "wijze") == "ingesloten" {
			f.listed = append(f.listed, ref)
		}
	}
	if ref, err := identity.ParseUUID(field(body, "andereZaakRef")); err == nil {
		f.links = message.CaseRef(ref)
	}
	o, _ := body.(map[string]any)
	traceable, said := o["herleidbaar"].(bool)
	f.anonymous = said && !traceable
	f.victims = victims(o)
	f.verified = map[string]string{}
	for _, item := range list(o["uitkomsten"]) {
		f.verified[field(item, "item")] = field(item, "uitkomst")
	}
	for _, name := range []string{"begeleiding", "hulp", "beveiliging", "opvang"} {
		if b, ok := o[name].(map[string]any); ok {
			f.blocks = append(f.blocks, block{name, field(b, "geregeld"), field(b, "door")})
		}
	}
	return f
}

// victims are the persons whom a body calls a (possible) victim.
func victims(o map[string]any) (out []victim) {
	persons := append(append([]any{}, list(o["slachtoffers"])...), list(o["personen"])...)
	for _, p := range append(persons, o["persoon"]) {
		if role := field(p, "rol"); role == "slachtoffer" || role == "mogelijk-slachtoffer" {
			out = append(out, victim{field(p, "brpStatus"), field(p, "gemeentecode")})
		}
	}
	return out
}

// exempt reports a status in the population register under which the knooppunt may
// hold the regie (R07).
func exempt(brp string) bool {
	return brp == "vertrokken-rni" || brp == "niet-ingeschreven" || brp == "herkomstgemeente-onbekend"
}

// unregistered reports whether a body has victims and none of them is known to
// live in a Dutch municipality: the exception of R07 and R08.
func (f facts) unregistered() bool {
	for _, v := range f.victims {
		if !exempt(v.brp) {
			return false
		}
	}
	return len(f.victims) > 0
}

// settled reports whether a body says in which municipality the victim is registered.
func (f facts) settled() bool {
	if f.brp == "ingezetene" {
		return true
	}
	for _, v := range f.victims {
		if v.brp == "ingezetene" && v.municipality != "" {
			return true
		}
	}
	return false
}

func list(v any) []any {
	a, _ := v.([]any)
	return a
}

func whole(body any, name string) int64 {
	o, _ := body.(map[string]any)
	n, ok := o[name].(interface{ Int64() (int64, error) })
	if !ok {
		return 0
	}
	i, _ := n.Int64()
	return i
}

// at is a moment of the protocol, in whole seconds.
func at(seconds uint64) time.Time { return time.Unix(int64(min(seconds, 1<<40)), 0).UTC() }

// Said returns a text field at the top of a body, or "" where there is none: for those
// who look at one field of a message, such as the playbook.
func Said(body []byte, name string) string {
	v, refusal := parseBody(body)
	if refusal != nil {
		return ""
	}
	return field(v, name)
}
