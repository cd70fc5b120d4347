package protocol_test

import (
	"slices"
	"strings"
	"testing"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func TestClassesAboutOthers(t *testing.T) {
	for _, c := range []struct {
		name, class string
		change      func(*protocol.Draft)
		rule        string
	}{
		{"corrects nothing", "correctie", func(d *protocol.Draft) { d.RestsOn = nil }, protocol.RuleReplaced},
		{"corrects two", "correctie", func(d *protocol.Draft) { d.RestsOn = append(d.RestsOn, message.Ref{}) }, protocol.RuleReplaced},
		{"corrects another", "correctie", func(d *protocol.Draft) { d.RestsOn[0].ID[15]++ }, protocol.RuleReplaced},
		{"withdraws another content", "intrekking", func(d *protocol.Draft) { d.RestsOn[0].Hash[0]++ }, protocol.RuleReplaced},
		{"corrected by a machine", "correctie", func(d *protocol.Draft) { d.Person = false }, protocol.RulePerson},
		{"withdrawn by a machine", "intrekking", func(d *protocol.Draft) { d.Person = false }, protocol.RulePerson},
		{"a case linked to itself", "koppeling", func(d *protocol.Draft) {
			d.Body = edited(t, d.Body, func(o map[string]any) { o["andereZaakRef"] = d.Case.String() })
		}, protocol.RuleLink},
		{"one message twice", "uitnodiging", func(d *protocol.Draft) {
			d.Body = edited(t, d.Body, func(o map[string]any) {
				h := o["geschiedenis"].([]any)
				o["geschiedenis"] = append(h, h[0])
			})
		}, protocol.RuleInvitation},
		{"F21 nine originals enclosed", "uitnodiging", func(d *protocol.Draft) { d.Body = invitation(t, d.Body, message.MaxEnclosed+1) }, protocol.RuleInvitation},
		{"F21 police invites the ministry", "uitnodiging", func(d *protocol.Draft) {
			d.From, d.To = party(identity.RolePolitie), []protocol.Party{party(identity.RoleBuza)}
		}, protocol.RuleAbroad},
		{"deletes the trace", "intrekking", func(d *protocol.Draft) {
			d.Body = edited(t, d.Body, func(o map[string]any) { o["spoorBlijft"] = false })
		}, protocol.RuleSchema},
		{"replaced by nothing", "intrekking", func(d *protocol.Draft) {
			d.Body = edited(t, d.Body, func(o map[string]any) { o["reden"] = "vervangen-door-ander-bericht" })
		}, protocol.RuleSchema},
		{"established by nothing", "koppeling", func(d *protocol.Draft) {
			d.Body = edited(t, d.Body, func(o map[string]any) { o["zekerheid"] = "vastgesteld" })
		}, protocol.RuleSchema},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := exampleDraft(t, c.class)
			if err := check(d); err != nil {
				t.Fatalf("control: the example is refused: %v", err)
			}
			c.change(&d)
			if r := refusal(t, check(d)); r.Rule != c.rule {
				t.Errorf("refused by %s, want %s: %s", r.Rule, c.rule, r.Reason.EN)
			}
		})
	}
	d := exampleDraft(t, "uitnodiging")
	d.Body = invitation(t, d.Body, message.MaxEnclosed)
	if r := refusal(t, check(d)); !strings.Contains(r.Reason.EN, "is not enclosed") {
		t.Errorf("control: eight originals that are not there: %v", r)
	}
}

// invitation returns the body with n enclosed originals in its history.
func invitation(t *testing.T, body []byte, n int) []byte {
	return edited(t, body, func(o map[string]any) {
		var history []any
		for i := range n {
			history = append(history, map[string]any{"klasse": "melding", "wijze": "ingesloten", "bericht": map[string]any{
				"berichtId": message.ID{0: 1, 6: 0x70, 8: 0x80, 15: byte(i)}.String(), "hash": "sha256:" + strings.Repeat("ab", 32)}})
		}
		o["geschiedenis"] = history
	})
}

// A correction goes wherever something can be said, and never louder: the shelter that
// may acknowledge the police's experts may not page them with a correction.
func TestCorrectionsGoAsLoudAsWhatTheyCorrect(t *testing.T) {
	c := protocol.V1()
	for _, name := range []string{protocol.ClassCorrection, protocol.ClassWithdrawal} {
		class, _ := c.Class(name)
		for _, from := range identity.Roles() {
			for _, to := range identity.Roles() {
				for _, u := range []message.Urgency{message.Acute, message.Urgent, message.Routine} {
					said := slices.ContainsFunc(c.Classes(), func(o protocol.Class) bool {
						return !slices.Contains([]string{protocol.ClassAcknowledgement, protocol.ClassCorrection, protocol.ClassWithdrawal}, o.Name) &&
							loudest(o, from, to) >= int(protocol.TierOf(u, o.Name))
					})
					if class.CarriesAt(from, to, u) != said {
						t.Errorf("%s %s from %s to %s: %v, but what it may replace: %v", name, u, from, to, !said, said)
					}
				}
			}
		}
	}
	d := exampleDraft(t, protocol.ClassCorrection)
	d.Urgency, d.To = message.Acute, []protocol.Party{party(identity.RoleLecEgg)}
	if r := refusal(t, check(d)); r.Rule != protocol.RuleUrgency {
		t.Errorf("an acute correction to the experts is refused by %s", r.Rule)
	}
	d.Urgency = message.Urgent
	if r := refusal(t, check(d)); r.Rule != protocol.RuleReplaced {
		t.Errorf("control: an urgent one, to a desk that never got the first, is refused by %s", r.Rule)
	}
}

// loudest is the highest tier under which a class goes from one role to another; -1 for
// a class that does not go there.
func loudest(c protocol.Class, from, to identity.Role) int {
	top := -1
	for _, u := range c.Urgencies {
		if c.CarriesAt(from, to, u) {
			top = max(top, int(protocol.TierOf(u, c.Name)))
		}
	}
	return top
}

func TestExercise(t *testing.T) {
	real, drill := message.Message{}, message.Message{Heading: message.Heading{Exercise: true}}
	if protocol.IsExercise(real) || !protocol.IsExercise(drill) {
		t.Error("an exercise is not told from a case")
	}
	for _, text := range []protocol.Text{protocol.ExerciseMark(), protocol.ExerciseBanner()} {
		if !strings.HasPrefix(text.NL, "OEFENING") || !strings.HasPrefix(text.EN, "EXERCISE") {
			t.Errorf("%q does not begin with the word", text)
		}
	}
}

// The heading that partners' systems see says it too.
func TestKopOfAnExercise(t *testing.T) {
	e, err := protocol.V1().Example("melding")
	if err != nil {
		t.Fatal(err)
	}
	m, directory := messageOf(t, e)
	address := func(d identity.DeskID) protocol.Address { return directory[d] }
	plain, err := protocol.V1().RenderKop(m, address)
	if err != nil || strings.Contains(string(plain), "oefening") {
		t.Errorf("%s, %v", plain, err)
	}
	m.Heading.Exercise = true
	if raw, err := protocol.V1().RenderKop(m, address); err != nil || !strings.Contains(string(raw), `"oefening":true`) {
		t.Errorf("%s, %v", raw, err)
	}
}
