// Package writing knows what a message needs before it is sent, whoever asks the questions.
//
// The command line asks them one by one, the web desk with a form; what may be begun here,
// what a message rests on, what is known already, who can get it and what a person must
// look at twice is the same:
//
//	classes := writing.Classes(catalogue, status.Role)
//	draft.RestsOn = writing.RestsOn(overview, draft.Class, status.Desk)
//	values := writing.Known(form, draft, overview, signer)
//	for _, d := range writing.Addressable(class, draft.Urgency, status, desks, writing.Places(values)) { … }
//
// It is pure: it asks nobody and sends nothing.
package writing

import (
	"slices"
	"strings"

	"schakel/clients/protocol"
	"schakel/clients/protocol/routing"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Classes are those that a desk of that role may begin or answer with, in the order of the
// catalogue. Acknowledging is not writing.
func Classes(c *protocol.Catalogue, role identity.Role) (out []protocol.Class) {
	for _, k := range c.Classes() {
		if c.Sends(k.Name, role) && k.Name != protocol.ClassAcknowledgement {
			out = append(out, k)
		}
	}
	return out
}

// RestsOn is what a message of a class rests on where the case leaves one answer: the last
// weighing of this organisation, the last verification.
func RestsOn(zaak schakel.Overview, class string, own identity.DeskID) []string {
	var fits func(schakel.Moment) bool
	switch class {
	case protocol.ClassOffence:
		fits = func(m schakel.Moment) bool {
			return m.Class == protocol.ClassWeighing && m.From.Desk.Org() == own.Org()
		}
	case protocol.ClassTravel:
		fits = func(m schakel.Moment) bool { return m.Class == protocol.ClassVerified }
	default:
		return nil
	}
	for _, m := range slices.Backward(zaak.Messages) {
		if fits(m) {
			return []string{m.Hash.String()}
		}
	}
	return nil
}

// InCase returns the messages of a case that references name.
func InCase(zaak schakel.Overview, refs ...string) (out []schakel.Moment) {
	for _, ref := range refs {
		for _, m := range zaak.Messages {
			if ref != "" && (strings.HasPrefix(m.Hash.String(), ref) || strings.HasPrefix(m.ID.String(), ref)) {
				out = append(out, m)
			}
		}
	}
	return out
}

// Known are the values that Schakel knows: the names of what the message rests on, what a
// besluit is about, and who signs.
func Known(form protocol.Form, d schakel.Draft, zaak schakel.Overview, signs schakel.Person) protocol.Values {
	v := protocol.Values{}
	for _, m := range InCase(zaak, d.Answers) {
		if d.Class == protocol.ClassDecision {
			v["betreft"] = m.Class
		}
	}
	for _, f := range form.Fields {
		if signs.Name != "" && f.Required && slices.Contains([]string{"contact", "door", "besluitDoor"}, f.Name) {
			v[f.Name] = protocol.Values{"naam": signs.Name, "functie": signs.Function, "telefoon": signs.Telephone}
		}
	}
	for _, m := range InCase(zaak, d.RestsOn...) {
		id, hash := m.ID.String(), "sha256:"+m.Hash.String()
		switch {
		case d.Class == protocol.ClassOffence && m.Class == protocol.ClassWeighing:
			v["afwegingRef"], v["afwegingHash"] = id, hash
		case d.Class == protocol.ClassTravel && m.Class == protocol.ClassVerified:
			v["verificatieRef"] = id
		case d.Class == protocol.ClassCorrection, d.Class == protocol.ClassWithdrawal:
			v["bericht"] = protocol.Values{"berichtId": id, "hash": hash}
		}
	}
	return v
}

// Outcome is the outcome that the heading of a besluit repeats from its form.
func Outcome(class string, v protocol.Values) string {
	if class != protocol.ClassDecision {
		return ""
	}
	said, _ := v["uitkomst"].(string)
	return said
}

// Places are the codes of the municipalities in a form.
func Places(v any) (out []string) {
	switch v := v.(type) {
	case protocol.Values:
		for name, x := range v {
			if code, ok := x.(string); ok && name == "gemeentecode" {
				out = append(out, code)
			}
			out = append(out, Places(x)...)
		}
	case []any:
		for _, x := range v {
			out = append(out, Places(x)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Serves reports whether a desk serves one of those municipalities.
func Serves(d schakel.Desk, places []string) bool {
	return slices.ContainsFunc(places, func(code string) bool {
		m, ok := routing.Of(code)
		return ok && m.Serves(d.Role, d.Region)
	})
}

// Addressable are the desks that may get a class from here; those that serve one of the
// municipalities stand first.
func Addressable(class protocol.Class, u message.Urgency, own schakel.Status, desks []schakel.Desk, places []string) (out []schakel.Desk) {
	for _, serving := range []bool{true, false} {
		for _, d := range desks {
			may := class.CarriesAt(own.Role, d.Role, u) || d.ID.Org() == own.Desk.Org()
			if may && Serves(d, places) == serving {
				out = append(out, d)
			}
		}
	}
	return out
}

// Doubt is why a person must look twice at a recipient.
type Doubt string

// The doubts. The commonest wrong recipient is the right kind of desk in another region;
// the gravest one is somebody who had no part in the case.
const (
	DoubtUnknown   Doubt = "onbekend"         // not in the register
	DoubtElsewhere Doubt = "andere-regio"     // serves none of the municipalities in the message
	DoubtOutside   Doubt = "nieuw-in-de-zaak" // had no part in this case until now
)

// Doubts are the recipients of a message that a person must look at twice, each with the
// first reason. A desk that must hear it by the rules, or that asked, is never one because
// it is new.
func Doubts(p schakel.Prepared, desks []schakel.Desk, places []string, zaak *schakel.Overview, own identity.DeskID) map[identity.DeskID]Doubt {
	out := map[identity.DeskID]Doubt{}
	for _, id := range p.To {
		i := slices.IndexFunc(desks, func(d schakel.Desk) bool { return d.ID == id })
		switch {
		case i < 0:
			out[id] = DoubtUnknown
		case Misplaced(desks[i], places):
			out[id] = DoubtElsewhere
		case zaak != nil && id.Org() != own.Org() && !slices.Contains(p.Added, id) && !takesPart(*zaak, id):
			out[id] = DoubtOutside
		}
	}
	return out
}

// Misplaced reports whether a Veilig Thuis or police unit serves none of the municipalities
// in a message, where it names any.
func Misplaced(d schakel.Desk, places []string) bool {
	local := d.Role == identity.RoleVeiligThuis || d.Role == identity.RolePolitie
	return local && len(places) > 0 && !Serves(d, places)
}

func takesPart(zaak schakel.Overview, id identity.DeskID) bool {
	return slices.ContainsFunc(zaak.Messages, func(m schakel.Moment) bool {
		return m.From.Desk == id || slices.ContainsFunc(m.To, func(p protocol.Party) bool { return p.Desk == id })
	})
}
