package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"schakel/crypto/message"
	"schakel/relay/lanes"
)

// ErrWeakens is what every [*Weakening] is.
var ErrWeakens = errors.New("addition weakens the protocol")

// Weakening says where an addition would give a victim less than the protocol does.
type Weakening struct {
	Where  string // urgency or class, and what of it
	Rule   string // the rule that it weakens
	Reason Text
}

// Error is the reason in English.
func (w *Weakening) Error() string {
	return fmt.Sprintf("%v: %s (%s): %s", ErrWeakens, w.Where, w.Rule, w.Reason.EN)
}

// Unwrap makes every weakening an ErrWeakens.
func (w *Weakening) Unwrap() error { return ErrWeakens }

func weakens(where, rule, nl, en string) *Weakening { return &Weakening{where, rule, Text{nl, en}} }

// weakened is the definition of weakening. An addition weakens the protocol when it
//
//   - makes any deadline of an acute message longer, or another more than twice as
//     long, or counts it in another unit, or sets one that the protocol does not have;
//   - names a class that the protocol has: to change a class is to make another version;
//   - opens a route between roles that the relay keeps apart, or louder than the lane,
//     or past the knooppunt for the ministry and its posts (R09);
//   - asks no acknowledgement by a named person for anything but for information (R05);
//   - lets people be named without veiligContact as the protocol has it (R06);
//   - promises a person's signature (R22) and does not ask for it;
//   - lets anything be written that the schema does not name.
//
// Everything else is a choice of the partners. It cannot remove a class, a role, a rule
// or an urgency: the file has no words for that, and unknown words are refused.
func (c *Catalogue) weakened(a addition) error {
	for u, d := range a.Deadlines {
		if w := c.slower(u, d); w != nil {
			return w
		}
	}
	for i, k := range a.Classes {
		if slices.ContainsFunc(a.Classes[:i], func(o classTable) bool { return o.Name == k.Name }) {
			return weakens(fmt.Sprintf("class %.40q", k.Name), RuleClass, "staat er twee keer", "stands there twice")
		}
		for _, check := range []func(classTable) *Weakening{c.changes, c.opens, silences, c.exposes} {
			if w := check(k); w != nil {
				return w
			}
		}
	}
	return nil
}

// slower finds a deadline that is too long.
func (c *Catalogue) slower(u message.Urgency, d deadlineTable) *Weakening {
	known, ok := c.source.Terms[u]
	if !ok {
		return weakens(fmt.Sprintf("deadlines.%.40q", u), RuleUrgency, "deze urgentie bestaat niet", "this urgency does not exist")
	}
	for _, p := range d.parts(&known) {
		if p.word == "" {
			continue
		}
		where := fmt.Sprintf("deadlines.%s.%s", u, p.name)
		want, err := ParseTerm(p.word)
		if err != nil || *p.to == nil {
			return weakens(where, "R05", "is geen termijn, of hoort niet bij deze urgentie", "is no term, or this urgency has none; write it as the catalogue does")
		}
		have, _ := ParseTerm(**p.to)
		limit := 2
		if u == message.Acute {
			limit = 1
		}
		if !atMost(want, have, limit) {
			return weakens(where, "R05", fmt.Sprintf("is langer dan %d keer %s, of in een andere eenheid", limit, have),
				fmt.Sprintf("is longer than %d times %s, or in another unit", limit, have))
		}
	}
	return nil
}

// atMost compares terms of one unit: five working days are no number of hours.
func atMost(want, have Term, times int) bool {
	if (want.Fixed == 0) != (have.Fixed == 0) || (want.Days == 0) != (have.Days == 0) || (want.WorkingDays == 0) != (have.WorkingDays == 0) {
		return false
	}
	return want.Fixed <= time.Duration(times)*have.Fixed && want.Days <= times*have.Days && want.WorkingDays <= times*have.WorkingDays
}

var className = regexp.MustCompile(`^[a-z][a-z0-9-]{2,39}$`)

// changes finds a class that takes the place of another.
func (c *Catalogue) changes(k classTable) *Weakening {
	_, known := c.Class(k.Name)
	if known || !className.MatchString(k.Name) || k.Name == "kop" {
		return weakens(fmt.Sprintf("class %.40q", k.Name), RuleClass,
			"bestaat al, of is geen naam van kleine letters en koppeltekens; een klasse wijzigen is een nieuwe versie van het protocol",
			"exists, or is no name of small letters and hyphens; to change a class is a new version of the protocol")
	}
	return nil
}

// opens finds a route that the relay would not carry, or that passes the knooppunt by.
func (c *Catalogue) opens(k classTable) *Weakening {
	where := "class " + k.Name + ": routes"
	if len(k.Routes) == 0 || len(k.Urgencies) == 0 {
		return weakens(where, RuleRoute, "geen route of geen urgentie", "no route, or no urgency")
	}
	for _, r := range k.Routes {
		if len(r.From) == 0 || len(r.To) == 0 {
			return weakens(where, RuleRoute, "een route zonder rollen", "a route without roles")
		}
		for _, from := range r.From {
			for _, to := range r.To {
				if abroad(from, to) {
					return weakens(where, RuleAbroad, "buza en posten wisselen alleen met het knooppunt uit", "the ministry and its posts exchange with the knooppunt only")
				}
				ceiling, ok := lanes.Ceiling(from, to, false)
				for _, u := range k.Urgencies {
					if !ok || TierOf(u, k.Name) > ceiling {
						return weakens(where, RuleRoute, fmt.Sprintf("van %s naar %s is er geen baan die zo luid is", from, to),
							fmt.Sprintf("from %s to %s there is no lane that goes as loud as %.20q", from, to, u))
					}
				}
			}
		}
	}
	return nil
}

// silences finds a class that nobody needs to acknowledge, or whose signature is said
// and not asked for.
func silences(k classTable) *Weakening {
	informs := !slices.ContainsFunc(k.Urgencies, func(u message.Urgency) bool { return u != message.Info })
	if !informs && (!slices.Contains(k.Answers, ClassAcknowledgement) || !slices.Contains(k.Rules, "R05")) {
		return weakens("class "+k.Name, "R05", "een genoemd persoon moet het bevestigen: noem ontvangstbevestiging en R05",
			"a named person must acknowledge it: name ontvangstbevestiging and R05")
	}
	if slices.Contains(k.Rules, RulePerson) && k.Signer != signerPerson {
		return weakens("class "+k.Name, RulePerson, "noemt R22 en vraagt geen handtekening van een persoon", "names R22 and asks for no person's signature")
	}
	return nil
}

// peopleFields are the names under which the protocol's schemas write about people.
var peopleFields = []string{"personen", "persoon", "slachtoffer", "roepnaam", "achternaam", "geboortedatum", "bsn", "gemeentecode", "verblijf", "adres", "telefoon", "bereik"}

// exposes finds a schema that is open, or that names people without saying how they may
// safely be reached.
func (c *Catalogue) exposes(k classTable) *Weakening {
	where := "class " + k.Name + ": schema"
	var s map[string]any
	if err := json.Unmarshal([]byte(k.Schema), &s); err != nil || s["type"] != "object" || !closedObjects(s) {
		return weakens(where, RuleSchema, "is geen JSON Schema waarvan elk object gesloten is (additionalProperties: false)",
			"is no JSON Schema in which every object is closed (additionalProperties: false)")
	}
	required, _ := s["required"].([]any)
	safe := slices.Contains(required, any("veiligContact")) && slices.Contains(k.Rules, "R06")
	if namesPeople(s) && !safe {
		return weakens(where, "R06", "noemt personen en vraagt geen veiligContact: maak het verplicht en noem R06",
			"names people and asks for no veiligContact: require it, and name R06")
	}
	if contact := property(s, "veiligContact"); contact != nil && !reflect.DeepEqual(contact, c.safeContact()) {
		return weakens(where, "R06", "veiligContact is niet dat van het protocol: neem het letterlijk over", "veiligContact is not that of the protocol: copy it word for word")
	}
	return nil
}

// closedObjects reports whether every object in a schema lists its properties and
// refuses others, and whether each of them, and of the items of a list, says what it is.
func closedObjects(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		if !closedObject(v) || v["type"] == "array" && !says(v["items"]) {
			return false
		}
		for _, child := range v {
			if !closedObjects(child) {
				return false
			}
		}
	case []any:
		return !slices.ContainsFunc(v, func(child any) bool { return !closedObjects(child) })
	}
	return true
}

func closedObject(v map[string]any) bool {
	if v["type"] != "object" {
		return true
	}
	properties, lists := v["properties"].(map[string]any)
	for _, p := range properties {
		if !says(p) {
			return false
		}
	}
	return lists && v["additionalProperties"] == false && v["patternProperties"] == nil
}

// says reports whether a schema says what kind of value it wants. One that does not
// takes anything.
func says(v any) bool {
	s, _ := v.(map[string]any)
	return s["type"] != nil || s["enum"] != nil || s["const"] != nil || s["$ref"] != nil
}

// namesPeople reports whether a schema has a property, anywhere but inside veiligContact
// and the sender's own contact, under which people are written about.
func namesPeople(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for name, child := range v {
			if name == "veiligContact" || name == "contact" || name == "door" {
				continue
			}
			if _, isSchema := child.(map[string]any); isSchema && slices.Contains(peopleFields, name) {
				return true
			}
			if namesPeople(child) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, namesPeople)
	}
	return false
}

// property returns the schema of a top-level property, followed through one reference
// within its own document.
func property(s map[string]any, name string) any {
	p := child(child(s, "properties"), name)
	ref, ok := child(p, "$ref").(string)
	if !ok {
		return p
	}
	if name, ok := strings.CutPrefix(ref, "#/$defs/"); ok {
		return child(child(s, "$defs"), name)
	}
	return ref
}

// safeContact is veiligContact as the schema of a melding has it.
func (c *Catalogue) safeContact() any {
	var s map[string]any
	if err := json.NewDecoder(bytes.NewReader(c.files["schemas/melding.schema.json"])).Decode(&s); err != nil {
		return nil
	}
	return property(s, "veiligContact")
}
