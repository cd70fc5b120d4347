package protocol_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// What an end does about a message that breaks a rule.
const (
	taken   = "taken"   // nothing wrong with it
	flagged = "flagged" // kept, and shown with the rule
	refused = "refused" // rejected with the rule
)

// ruleCase breaks one rule in one way. The sender always refuses; what the recipient
// does stands in the table.
type ruleCase struct {
	rule, name, class string
	broken            func(*testing.T, *scene)
	recipient         string
}

// scene is a message about to be sent, and what each end knows of its case.
type scene struct {
	protocol.Draft
	at      uint64           // only what was said before
	unknown []string         // classes that the recipient never got
	also    []protocol.Known // said meanwhile, and known at both ends
	beside  []protocol.Known // of other cases, at both ends
}

func (s *scene) body(t *testing.T, change func(map[string]any)) { s.Body = edited(t, s.Body, change) }

func (s *scene) to(roles ...identity.Role) {
	s.To = nil
	for _, r := range roles {
		s.To = append(s.To, tell().desks[party(r).Desk])
	}
}

func (s *scene) known(withheld []string) protocol.Case {
	var known []protocol.Known
	for _, k := range append(slices.Clone(tell().known), s.also...) {
		if k.Created < s.at && !slices.Contains(withheld, k.Class) {
			known = append(known, k)
		}
	}
	return protocol.V1().CaseOf(s.From.Desk, s.Case, known).Beside(s.beside)
}

// later is a message of the story told again, a minute before the scene, with a change.
func (s *scene) later(class string, change func(*message.Message)) protocol.Known {
	m := tell().messages[class]
	m.Created, m.ID[0] = s.at-1, m.ID[0]+1
	m.Body = bytes.Clone(m.Body)
	change(&m)
	k := tell().world.known(m)
	s.also = append(s.also, k)
	return k
}

func put(name string, value any) func(map[string]any) {
	return func(o map[string]any) { o[name] = value }
}

func victimIn(field, brp, municipality string) func(map[string]any) {
	return func(o map[string]any) {
		o[field] = []any{map[string]any{"rol": "slachtoffer", "brpStatus": brp, "gemeentecode": municipality}}
	}
}

func set(field, value string) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) { s.body(t, put(field, value)) }
}

func remove(field string) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) { s.body(t, func(o map[string]any) { delete(o, field) }) }
}

// rests makes the scene rest on another original.
func (s *scene) rests(t *testing.T, k protocol.Known) {
	s.RestsOn = []message.Ref{k.Ref()}
	s.body(t, func(o map[string]any) {
		if s.Class == protocol.ClassOffence {
			o["afwegingRef"], o["afwegingHash"] = k.ID.String(), "sha256:"+k.Hash.String()
		} else {
			o["verificatieRef"] = k.ID.String()
		}
	})
}

func rewrite(t *testing.T, change func(map[string]any)) func(*message.Message) {
	return func(m *message.Message) { m.Body = edited(t, m.Body, change) }
}

func ruleCases() []ruleCase {
	return slices.Concat(reportCases(), answerCases(), restCases(), leadCases(), formCases())
}

func reportCases() []ruleCase {
	return []ruleCase{
		{"R01", "melding to another region", "melding", func(t *testing.T, s *scene) {
			s.to(identity.RolePolitie)
			s.To = append(s.To, tell().desks["vt-a/crisis"])
		}, flagged},
		{"R01", "signaal to another region", "signaal", func(_ *testing.T, s *scene) { s.To = []protocol.Party{tell().desks["vt-a/crisis"]} }, flagged},
		{"R02", "acute without the police", "melding", func(_ *testing.T, s *scene) { s.to(identity.RoleVeiligThuis) }, flagged},
		{"R08", "not registered, not to the knooppunt", "melding", func(t *testing.T, s *scene) {
			s.at = 0
			s.body(t, victimIn("slachtoffers", "niet-ingeschreven", "GM0344"))
		}, flagged},
		{"R14", "a minor of age", "reisdocumentverzoek", set("toestemming", "nvt-meerderjarig"), refused},
		{"R14", "routine without safe consent", "reisdocumentverzoek", func(t *testing.T, s *scene) {
			s.Urgency = message.Routine
			s.body(t, put("toestemming", "geen-niet-veilig"))
		}, refused},
		{"R14", "no track with Raad or court", "reisdocumentverzoek", set("toestemming", "geen-niet-veilig"), flagged},
		{"R15", "no shelter", "repatrieringsplan", remove("opvang"), refused},
		{"R15", "left out without a reason", "repatrieringsplan", func(t *testing.T, s *scene) {
			s.body(t, put("hulp", map[string]any{"geregeld": "nee-bewust", "door": "  "}))
		}, refused},
		{"R16", "stop at the border, to the shelter", "inzetverzoek", func(_ *testing.T, s *scene) { s.to(identity.RoleOpvang, identity.RoleKmar) }, refused},
		{"R16", "stop at the border, no ground", "inzetverzoek", remove("grondslag"), refused},
		{"R19", "version that is there already", "repatrieringsplan", func(t *testing.T, s *scene) {
			s.later("repatrieringsplan", rewrite(t, put("versie", 2)))
		}, flagged},
	}
}

func answerCases() []ruleCase {
	return []ruleCase{
		{"R03", "the adviser takes over", "advies", set("verantwoordelijkheidBlijftBij", "knooppunt"), refused},
		{"R04", "anonymous, and named", "adviesvraag", func(t *testing.T, s *scene) {
			s.body(t, put("personen", []any{map[string]any{"rol": "slachtoffer"}}))
		}, refused},
		{"R04", "anonymous, in the case of a person", "adviesvraag", func(_ *testing.T, s *scene) { s.Case, s.at = tell().messages["melding"].Case, 1<<40 }, refused},
		{"R04", "anonymous, in a case that another is linked to", "adviesvraag", func(t *testing.T, s *scene) {
			link := tell().messages["koppeling"]
			link.Body = edited(t, link.Body, put("andereZaakRef", s.Case.String()))
			s.beside = []protocol.Known{tell().world.known(link)}
		}, refused},
		{"R04", "report in the case of an anonymous question", "melding", func(_ *testing.T, s *scene) { s.Case = tell().messages["adviesvraag"].Case }, flagged},
		{"R04", "a link in the case of an anonymous question", "koppeling", func(_ *testing.T, s *scene) { s.Case = tell().messages["adviesvraag"].Case }, flagged},
		{"R12", "answers nothing", "informatieantwoord", func(_ *testing.T, s *scene) { s.Answers = nil }, refused},
		{"R12", "to somebody else as well", "informatieantwoord", func(_ *testing.T, s *scene) {
			s.to(identity.RoleVeiligThuis, identity.RoleOM)
		}, refused},
		{"R12", "acute, to somebody else as well", "verificatieantwoord", func(_ *testing.T, s *scene) {
			s.Urgency = message.Acute
			s.To = []protocol.Party{tell().desks["buza/piket"], {Desk: "buza-2/consulair", Role: identity.RoleBuza}}
		}, flagged},
		{"R12", "what it answers is not here", "informatieantwoord", func(_ *testing.T, s *scene) { s.Answers[0].Hash[0]++ }, flagged},
		{"R12", "the regie, told to an outsider", "besluit", func(_ *testing.T, s *scene) {
			s.To = append(s.To, tell().desks["vt-a/crisis"])
		}, flagged},
		{"R12", "decides on something else", "besluit", set("betreft", "inzetverzoek"), refused},
		{"R12", "feedback to somebody who asked nothing", "terugkoppeling", func(_ *testing.T, s *scene) { s.to(identity.RolePolitie) }, refused},
	}
}

func restCases() []ruleCase {
	weigh := func(change func(*message.Message)) func(*testing.T, *scene) {
		return func(t *testing.T, s *scene) { s.rests(t, s.later("afweging", change)) }
	}
	verify := func(change func(map[string]any)) func(*testing.T, *scene) {
		return func(t *testing.T, s *scene) { s.rests(t, s.later("verificatieantwoord", rewrite(t, change))) }
	}
	items := func(outcome string) func(map[string]any) {
		return put("uitkomsten", []any{map[string]any{"item": "identiteit", "uitkomst": outcome}})
	}
	return []ruleCase{
		{"R13", "identity refuted", "reisdocumentverzoek", verify(items("weerlegd")), refused},
		{"R13", "identity not looked at", "reisdocumentverzoek", verify(put("uitkomsten", []any{map[string]any{"item": "gezag", "uitkomst": "bevestigd"}})), refused},
		{"R13", "refuted since", "reisdocumentverzoek", func(t *testing.T, s *scene) {
			s.later("verificatieantwoord", rewrite(t, items("weerlegd")))
		}, refused},
		{"R13", "rests on nothing", "reisdocumentverzoek", func(_ *testing.T, s *scene) { s.RestsOn = nil }, refused},
		{"R13", "rests on another message", "reisdocumentverzoek", func(_ *testing.T, s *scene) { s.RestsOn[0].ID[15]++ }, refused},
		{"R13", "original that nobody has", "reisdocumentverzoek", func(_ *testing.T, s *scene) { s.RestsOn[0].Hash[0]++ }, refused},
		{"R17", "no weighing", "strafbaar-feit-melding", func(_ *testing.T, s *scene) { s.RestsOn = nil }, refused},
		{"R17", "wrong hash", "strafbaar-feit-melding", func(_ *testing.T, s *scene) { s.RestsOn[0].Hash[0]++ }, refused},
		{"R17", "weighing that nobody has", "strafbaar-feit-melding", func(t *testing.T, s *scene) {
			s.RestsOn[0].Hash[0]++
			s.body(t, put("afwegingHash", "sha256:"+s.RestsOn[0].Hash.String()))
		}, refused},
		{"R17", "weighed not to report", "strafbaar-feit-melding", func(t *testing.T, s *scene) {
			weigh(rewrite(t, put("uitkomst", "nu-niet-melden")))(t, s)
		}, refused},
		{"R17", "weighing of another organisation", "strafbaar-feit-melding", weigh(func(m *message.Message) { m.Sender.Desk = "knooppunt/piket" }), refused},
		{"R17", "weighing of another case", "strafbaar-feit-melding", weigh(func(m *message.Message) { m.Case[0]++ }), refused},
		{"R17", "a later weighing", "strafbaar-feit-melding", func(t *testing.T, s *scene) {
			s.later("afweging", rewrite(t, put("uitkomst", "nu-niet-melden")))
		}, refused},
		{"R17", "weighing withdrawn", "strafbaar-feit-melding", func(_ *testing.T, s *scene) {
			s.later("intrekking", func(m *message.Message) { m.Heading.RestsOn = slices.Clone(s.RestsOn) })
		}, refused},
		{"R17", "rests on no weighing", "strafbaar-feit-melding", func(t *testing.T, s *scene) {
			s.rests(t, s.later("informatieverzoek", func(*message.Message) {}))
		}, refused},
		{"R26", "not to report, to the police", "afweging", set("uitkomst", "nu-niet-melden"), refused},
		{"R26", "without a name, to the prosecutor", "afweging", func(t *testing.T, s *scene) {
			s.to(identity.RoleKnooppunt, identity.RoleOM)
			s.body(t, put("uitkomst", "overleg-zonder-naam"))
		}, refused},
		{protocol.RuleEnclosed, "forged original", "strafbaar-feit-melding", func(_ *testing.T, s *scene) { s.Unproved = 1 }, refused},
		{protocol.RuleEnclosed, "original that it does not rest on", "strafbaar-feit-melding", func(_ *testing.T, s *scene) {
			s.Enclosed = []protocol.Known{tell().known[0]}
		}, refused},
		{protocol.RuleEnclosed, "original of another case", "strafbaar-feit-melding", func(t *testing.T, s *scene) {
			k := s.later("afweging", func(m *message.Message) { m.Case[0]++ })
			s.RestsOn, s.Enclosed = append(s.RestsOn, k.Ref()), []protocol.Known{k}
		}, refused},
		{"R19", "plan passed on", "besluit", func(t *testing.T, s *scene) {
			k := s.later("repatrieringsplan", func(m *message.Message) { m.Addressed = []identity.DeskID{"buza/piket"} })
			s.RestsOn, s.Enclosed = append(s.RestsOn, k.Ref()), []protocol.Known{k}
		}, refused},
		{"R27", "corrects somebody else", "correctie", func(_ *testing.T, s *scene) { s.From = tell().desks["knooppunt/piket"] }, refused},
		{"R27", "tells somebody new", "intrekking", func(_ *testing.T, s *scene) { s.to(identity.RoleKnooppunt) }, refused},
		{"R28", "names the case of an anonymous question", "koppeling", func(t *testing.T, s *scene) {
			asked := tell().world.known(tell().messages["adviesvraag"])
			s.beside = []protocol.Known{asked}
			s.body(t, put("andereZaakRef", asked.Case.String()))
		}, refused},
		{"R28", "link told to an outsider", "koppeling", func(_ *testing.T, s *scene) { s.To = []protocol.Party{tell().desks["vt-a/crisis"]} }, refused},
		{"R29", "lists what it does not enclose", "uitnodiging", func(t *testing.T, s *scene) { s.Body = invitation(t, s.Body, 2) }, refused},
		{"R30", "exercise in a real case", "melding", func(_ *testing.T, s *scene) { s.Exercise = true }, refused},
	}
}

func leadCases() []ruleCase {
	return []ruleCase{
		{"R07", "resident to the knooppunt", "overdracht", set("brpStatus", "ingezetene"), refused},
		{"R07", "the knooppunt accepts a resident", "besluit", func(t *testing.T, s *scene) {
			k := s.later("overdracht", rewrite(t, put("brpStatus", "ingezetene")))
			s.Answers = []message.Ref{k.Ref()}
		}, refused},
		{"R20", "offered to nobody of the new role", "overdracht", func(t *testing.T, s *scene) {
			s.body(t, func(o map[string]any) { o["nieuweRegieRol"], o["gemeentecode"] = "veilig-thuis", "GM0344" })
		}, refused},
		{"R20", "offered to two", "overdracht", func(_ *testing.T, s *scene) {
			s.To = append(s.To, protocol.Party{Desk: "knooppunt-2/piket", Role: identity.RoleKnooppunt})
		}, refused},
		{"R20", "a second offer", "overdracht", func(_ *testing.T, s *scene) { s.later("overdracht", func(*message.Message) {}) }, flagged},
		{"R20", "names no term", "overdracht", func(_ *testing.T, s *scene) { s.RestsOn = nil }, flagged},
		{"R20", "decided by another", "besluit", func(t *testing.T, s *scene) {
			s.From = tell().desks["raad/piket"]
			s.body(t, put("regieBij", "raad"))
		}, refused},
		{"R20", "accepted for another", "besluit", set("regieBij", "veilig-thuis"), refused},
		{"R20", "decided already", "besluit", func(t *testing.T, s *scene) {
			s.later("besluit", func(m *message.Message) {
				m.Body, m.Heading.Outcome = edited(t, m.Body, put("uitkomst", "afgewezen")), "afgewezen"
			})
		}, flagged},
		{"R20", "F20 answers an offer that is not here", "besluit", func(_ *testing.T, s *scene) { s.unknown = []string{"overdracht"}; s.Answers[0].Hash[0]++ }, flagged},
		{"R21", "offered by who does not lead", "overdracht", func(_ *testing.T, s *scene) { s.From = tell().desks["vt-a/crisis"] }, flagged},
		{"R21", "closed by who does not lead", "afsluiting", func(_ *testing.T, s *scene) {
			s.From = tell().desks["veilig-thuis/piket"]
			s.to(identity.RoleKnooppunt)
		}, flagged},
		{"R21", "closed where nobody is known to lead", "afsluiting", func(_ *testing.T, s *scene) { s.at = 0 }, flagged},
	}
}

// formCases are the rules that heading, schema and routes keep.
func formCases() []ruleCase {
	out := []ruleCase{
		{"R05", "acknowledges another message", "ontvangstbevestiging", func(_ *testing.T, s *scene) { s.Answers[0].ID[15]++ }, refused},
		{"R09", "the ministry to Veilig Thuis", "achterlatingssignaal", func(_ *testing.T, s *scene) { s.to(identity.RoleVeiligThuis) }, refused},
		{"R09", "the police to the ministry", "contactverzoek", func(_ *testing.T, s *scene) { s.to(identity.RoleBuza) }, refused},
		{"R22", "decided by a machine", "besluit", func(_ *testing.T, s *scene) { s.Person = false }, refused},
		{"R22", "acknowledged by a machine", "ontvangstbevestiging", func(_ *testing.T, s *scene) { s.Person = false }, refused},
		{"R22", "decided by nobody", "besluit", remove("besluitDoor"), refused},
		{"R24", "closed without a date", "afsluiting", remove("vernietigInSchakelOp"), refused},
		{"R24", "kept for ever", "afsluiting", remove("bewaartermijnTot"), refused},
	}
	for _, class := range []string{"melding", "achterlatingssignaal", "reisdocumentverzoek", "repatrieringsplan", "inzetverzoek", "strafbaar-feit-melding", "overdracht"} {
		out = append(out, ruleCase{"R06", "no safe contact: " + class, class, remove("veiligContact"), refused},
			ruleCase{"R06", "nobody kept from knowing: " + class, class, func(t *testing.T, s *scene) {
				s.body(t, func(o map[string]any) { delete(o["veiligContact"].(map[string]any), "nietInformeren") })
			}, refused})
	}
	for _, f := range []string{"doel", "grondslag", "noodzaak"} {
		out = append(out, ruleCase{"R11", "asked without " + f, "informatieverzoek", remove(f), refused})
	}
	return append(out, ruleCase{"R11", "verified without a ground", "verificatieverzoek", remove("grondslag"), refused})
}

// Every rule, broken in every way that it forbids: the sender refuses before sealing,
// and a modified client that skips its own check is caught at the other end. Control:
// each message keeps the protocol at both ends before it is broken.
func TestEveryRuleAtBothEnds(t *testing.T) {
	for _, c := range ruleCases() {
		t.Run(c.rule+" "+c.name, func(t *testing.T) {
			s := &scene{Draft: exampleDraft(t, c.class)}
			s.at = s.Created
			if f := protocol.V1().Check(s.Draft, s.known(nil)); len(f) > 0 {
				t.Fatalf("control: at the sender: %v", f.Refusal())
			}
			c.broken(t, s)
			found := protocol.V1().Check(s.Draft, s.known(nil))
			got := refusal(t, found.Refusal())
			if !slices.ContainsFunc(found, func(f protocol.Finding) bool { return names(&f.Refusal, c.rule) }) {
				t.Errorf("the sender refuses under %s: %s", got.Rule, got.Reason.EN)
			}
			what, rule := atRecipient(t, protocol.V1().Check(s.Draft, s.known(s.unknown)), c.rule)
			if what != c.recipient {
				t.Errorf("the recipient: %s under %s, want %s", what, rule, c.recipient)
			}
		})
	}
}

// A Veilig Thuis without a region in the register stops no report.
func TestNoRegionStopsNothing(t *testing.T) {
	s := &scene{Draft: exampleDraft(t, "signaal")}
	s.To[0].Region = "NL"
	if f := protocol.V1().Check(s.Draft, protocol.Case{}); len(f) > 0 {
		t.Errorf("refused: %v", f.Refusal())
	}
}

// names reports whether a refusal is of a rule, or of the schema that keeps it.
func names(r *protocol.Refusal, rule string) bool {
	m, _ := protocol.V1().Means(rule)
	return r.Rule == rule || r.Rule == protocol.RuleSchema && len(m.Schema) > 0 || r.Rule == protocol.RuleAnswers && rule == "R05" ||
		r.Rule == protocol.RuleRoute && rule == "R09"
}

func atRecipient(t *testing.T, f protocol.Findings, rule string) (what, under string) {
	t.Helper()
	if err := f.Rejection(); err != nil {
		return refused, refusal(t, err).Rule
	}
	for _, flag := range f.Flags() {
		if flag.Rule == rule {
			return flagged, rule
		}
	}
	return taken, ""
}

// No acute report is lost for a formal fault: whatever numbered rule an acute melding
// breaks, it is kept, with one exception: an exercise that pretends to be real.
func TestAcuteReportsAreKept(t *testing.T) {
	for _, c := range ruleCases() {
		if c.class == "melding" && c.rule != "R06" && c.rule != "R30" && c.recipient == refused {
			t.Errorf("%s %s: an acute report is lost", c.rule, c.name)
		}
	}
}

// The numbered rules that a class lists, that a table row breaks, and that something
// keeps at both ends, are the same: no rule is a sentence only.
func TestEveryRuleIsKeptAndTested(t *testing.T) {
	c := protocol.V1()
	tested := map[string]bool{}
	for _, r := range ruleCases() {
		tested[r.rule] = true
	}
	for i := 1; i <= 30; i++ {
		id := "R" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		m, ok := c.Means(id)
		if _, is := c.Rule(id); !is {
			t.Errorf("%s is not in the catalogue", id)
		}
		if !ok || m.Check == nil && len(m.Schema) == 0 && len(m.Form) == 0 && len(m.Obligation) == 0 {
			t.Errorf("%s is kept by nothing", id)
		}
		onlyOwed := m.Check == nil && len(m.Schema) == 0 && len(m.Form) == 0
		if !tested[id] && !onlyOwed {
			t.Errorf("%s is broken by no row of the table", id)
		}
		if m.Check != nil && !m.Always && len(m.Also) == 0 && !slices.ContainsFunc(c.Classes(), func(k protocol.Class) bool { return slices.Contains(k.Rules, id) }) {
			t.Errorf("%s has a check, and no class lists it", id)
		}
		for _, class := range slices.Concat(m.Also, m.Schema, m.Form) {
			if _, ok := c.Class(class); !ok {
				t.Errorf("%s names class %q", id, class)
			}
		}
	}
	for _, class := range c.Classes() {
		for _, id := range class.Rules {
			if _, ok := c.Means(id); !ok {
				t.Errorf("%s lists %s, which nothing keeps", class.Name, id)
			}
		}
	}
}

// Every obligation that a message can make has a class and a route that can meet it,
// and every refusal can be answered: whoever may be written to can say that it takes
// the message, and that it is the wrong desk.
func TestEveryObligationCanBeMet(t *testing.T) {
	c := protocol.V1()
	ack, _ := c.Class(protocol.ClassAcknowledgement)
	for _, class := range c.Classes() {
		for _, from := range identity.Roles() {
			for _, to := range identity.Roles() {
				if class.Name == protocol.ClassAcknowledgement || !class.Carries(from, to) {
					continue
				}
				if !ack.Carries(to, from) {
					t.Errorf("%s from %s: a %s cannot acknowledge it", class.Name, from, to)
				}
				for _, answer := range c.AnswersOf(class.Name, to, from) {
					if a, ok := c.Class(answer); !ok || !a.Carries(to, from) {
						t.Errorf("%s from %s to %s: %s cannot answer", class.Name, from, to, answer)
					}
				}
				owed := slices.ContainsFunc(class.Answers, func(a string) bool { return a != protocol.ClassAcknowledgement })
				if owed && len(c.AnswersOf(class.Name, to, from)) == 0 {
					t.Errorf("%s from %s to %s expects an answer, and none can travel", class.Name, from, to)
				}
			}
		}
	}
	for _, o := range obligationsOfAll() {
		for _, class := range o.By {
			if _, ok := c.Class(class); !ok {
				t.Errorf("%s is met by %q, which is no class", o.Duty, class)
			}
		}
		if !slices.ContainsFunc(o.By, func(class string) bool { return c.Sends(class, tell().desks[o.Owes].Role) }) {
			t.Errorf("%s: %s cannot send any of %v", o.Duty, o.Owes, o.By)
		}
	}
}

// Whoever is refused, by a rule, by a person or by a besluit, can do something about it:
// mend the message or take it back at whomever it was said to, beside saying it again.
// Control: a catalogue without corrections is caught.
func TestEveryRefusalCanBeAnswered(t *testing.T) {
	c := protocol.V1()
	if got := stuck(c.Classes()); len(got) != 0 {
		t.Errorf("nothing can be done about a refusal of %v", got)
	}
	mute := slices.DeleteFunc(c.Classes(), func(k protocol.Class) bool { return k.Name == protocol.ClassCorrection })
	if len(stuck(mute)) == 0 {
		t.Error("control: without correcties every refusal can be mended")
	}
}

// stuck is the routes on which a refusal leaves its sender without an answer.
func stuck(classes []protocol.Class) (out []string) {
	carry := func(from, to identity.Role, name string) bool {
		return slices.ContainsFunc(classes, func(k protocol.Class) bool { return k.Name == name && k.Carries(from, to) })
	}
	for _, class := range classes {
		for _, from := range identity.Roles() {
			for _, to := range identity.Roles() {
				if class.Name == protocol.ClassAcknowledgement || !class.Carries(from, to) {
					continue
				}
				if !carry(from, to, protocol.ClassCorrection) || !carry(from, to, protocol.ClassWithdrawal) {
					out = append(out, class.Name+" "+string(from)+" "+string(to))
				}
			}
		}
	}
	return out
}

func obligationsOfAll() (out []protocol.Obligation) {
	for _, k := range []message.CaseRef{tell().messages["melding"].Case, tell().messages["adviesvraag"].Case} {
		out = append(out, protocol.V1().CaseOf("", k, tell().known).Obligations...)
	}
	return out
}

// The examples keep the protocol at both ends also for who has nothing but the
// message: what cannot be decided is flagged, and rejected only where the original
// must travel along.
func TestWhoKnowsNothingRejectsNothing(t *testing.T) {
	for _, class := range protocol.V1().Classes() {
		d := exampleDraft(t, class.Name)
		f := protocol.V1().Check(d, protocol.Case{})
		needs := class.Name == protocol.ClassOffence || class.Name == protocol.ClassTravel
		if (f.Rejection() != nil) != needs {
			t.Errorf("%s: %v", class.Name, f.Rejection())
		}
		if !needs {
			continue
		}
		for _, k := range tell().known {
			if slices.Contains(d.RestsOn, k.Ref()) {
				d.Enclosed = append(d.Enclosed, k)
			}
		}
		if err := protocol.V1().Check(d, protocol.Case{}).Rejection(); err != nil {
			t.Errorf("%s with the original enclosed: %v", class.Name, err)
		}
	}
}

// A refusal says nothing of what somebody wrote, also where the numbered rules refuse.
func TestFindingsQuoteNothing(t *testing.T) {
	for _, c := range ruleCases() {
		s := &scene{Draft: exampleDraft(t, c.class)}
		s.at = s.Created
		c.broken(t, s)
		for _, f := range protocol.V1().Check(s.Draft, s.known(nil)) {
			for _, name := range []string{"Yara", "Noor", "Proefpersoon", "Voorbeeld", "fietslampje"} {
				if strings.Contains(f.Error()+f.Reason.NL+f.Remedy.NL, name) {
					t.Errorf("%s %s quotes the body: %s", c.rule, c.name, f.Error())
				}
			}
		}
	}
}
