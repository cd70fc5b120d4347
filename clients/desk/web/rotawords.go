package web

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/crypto/envelope"
	"schakel/crypto/message"
	"schakel/relay/rota"
)

// arrangement is a rota as people tell it: who takes turns, and how a page climbs. Its
// texts are harmless.
type arrangement struct {
	None     bool
	Layers   []layerWords
	People   []reached
	Fallback []string
	Ladders  []ladderWords
	Warnings []string
}

type layerWords struct {
	Name      string
	Rules     []string
	Temporary []temporaryWords
}

type temporaryWords struct {
	When  string
	Rules []string
}

// reached is who is in the rota, and how they are reached.
type reached struct {
	Name, Telephone string
	Ways            []string
}

type ladderWords struct {
	Urgency message.Urgency
	Steps   []string
}

func (s *Site) rotaWords(v *visit) (answer, error) {
	page := answer{page: "rota", title: "title.rota"}
	r, err := v.node.Rota(v.Context())
	if errors.Is(err, schakel.ErrNoRota) {
		page.shows = arrangement{None: true}
		return page, nil
	}
	if err != nil {
		return answer{}, err
	}
	a := arrangement{Ladders: laddersOf(v.lang, r.Roster)}
	for n, layer := range r.Roster.Layers {
		l := layerWords{Name: v.lang.levelName(n), Rules: rulesOf(v.lang, r.Roster, layer.Rules)}
		for _, t := range layer.Temporary {
			l.Temporary = append(l.Temporary, temporaryWords{v.lang.word("rota.between", wall(v.lang, t.From), wall(v.lang, t.Until)), rulesOf(v.lang, r.Roster, t.Rules)})
		}
		a.Layers = append(a.Layers, l)
	}
	for _, p := range r.Roster.People {
		x := reached{Name: harmless.Line(p.Name), Telephone: harmless.Line(p.Phone)}
		for _, pt := range p.Points {
			way := harmless.Line(pt.Channel)
			if pt.Relay {
				way = v.lang.word("rota.also-relay", way)
			}
			x.Ways = append(x.Ways, way)
		}
		a.People = append(a.People, x)
	}
	for _, c := range r.Roster.Fallback {
		a.Fallback = append(a.Fallback, harmless.Line(r.Roster.Name(c)))
	}
	for _, w := range r.Warnings {
		name := harmless.Line(r.Roster.Name(w.Contact))
		if w.Kind == roster.WarnPersonal {
			a.Warnings = append(a.Warnings, v.lang.word("rota.warn-personal", name))
		} else {
			a.Warnings = append(a.Warnings, v.lang.word("rota.warn-unreachable", name))
		}
	}
	page.shows = a
	return page, nil
}

func rulesOf(l language, r roster.Roster, rules []rota.Rule) (out []string) {
	for _, rule := range rules {
		out = append(out, ruleWords(l, r, rule))
	}
	return out
}

// ruleWords tells a rule: who takes turns, how often, and from when.
func ruleWords(l language, r roster.Roster, rule rota.Rule) string {
	var names []string
	for _, c := range rule.Contacts {
		names = append(names, harmless.Line(r.Name(c)))
	}
	who := strings.Join(names, ", ")
	if len(names) > 1 {
		who = l.word("rota.turns", who)
	}
	text := who + ": " + repeatWords(l, rule.Repeat) + ", " + l.word("rota.from", wall(l, rule.From), wall(l, rule.To))
	if rule.Until != "" {
		text += ", " + l.word("rota.until", wall(l, rule.Until))
	}
	return text + "."
}

// repeatWords tells how a rule comes back. What it has no words for it shows as it is.
func repeatWords(l language, repeat string) string {
	if repeat == "" {
		return l.word("rota.once")
	}
	every, unit, days := 1, "", ""
	for part := range strings.SplitSeq(repeat, ";") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "FREQ":
			unit = map[string]string{"DAILY": "rota.day", "WEEKLY": "rota.week", "MONTHLY": "rota.month"}[value]
		case "INTERVAL":
			every, _ = strconv.Atoi(value)
		case "BYDAY":
			days = dayWords(l, value)
		default:
			unit = ""
		}
	}
	if unit == "" || every < 1 {
		return harmless.Line(repeat)
	}
	text := l.word(unit)
	if every > 1 {
		text = l.word(unit+"s", every)
	}
	if days != "" {
		text += " " + l.word("rota.on", days)
	}
	return text
}

func dayWords(l language, byDay string) string {
	var out []string
	for day := range strings.SplitSeq(byDay, ",") {
		name := harmless.Line(day)
		for n, short := range []string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"} {
			if day == short {
				name = l.of(protocol.Weekday(time.Weekday(n)))
			}
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}

func wall(l language, local rota.Local) string {
	t, err := local.Instant()
	if err != nil {
		return harmless.Line(string(local))
	}
	return fmt.Sprintf("%s %s", l.of(protocol.Weekday(t.In(rota.Zone()).Weekday())), l.when(t))
}

// laddersOf tells whom this desk calls, and when, of each urgency that pages.
func laddersOf(l language, r roster.Roster) (out []ladderWords) {
	for _, x := range []struct {
		message.Urgency
		envelope.Tier
	}{{message.Acute, envelope.TierAcute}, {message.Urgent, envelope.TierUrgent}, {message.Routine, envelope.TierRoutine}} {
		lad := r.Ladder(x.Tier)
		w := ladderWords{Urgency: x.Urgency}
		for _, step := range lad.Steps {
			w.Steps = append(w.Steps, l.word("rota.step", after(l, step.After), l.levelName(step.Level)))
		}
		if lad.Repeat > 0 {
			w.Steps = append(w.Steps, l.word("rota.repeat", l.lasts(lad.Repeat)))
		}
		if lad.Alarm > 0 {
			w.Steps = append(w.Steps, l.word("rota.alarm", after(l, lad.Alarm)))
		}
		if lad.Acknowledgers > 1 {
			w.Steps = append(w.Steps, l.word("rota.acknowledgers", lad.Acknowledgers))
		}
		out = append(out, w)
	}
	return out
}

func after(l language, d time.Duration) string {
	if d == 0 {
		return l.word("rota.at-once")
	}
	return l.word("rota.after", l.lasts(d))
}
