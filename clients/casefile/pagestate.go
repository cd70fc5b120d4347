package casefile

import (
	"fmt"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/crypto/message"
)

// state says who led the case and how it ended.
func (r *reading) state(numbers map[message.Hash]int, l language) (out []row) {
	say := func(what, said protocol.Text) { out = append(out, row{l.of(what), l.of(said)}) }
	both := func(format string, args ...any) protocol.Text {
		s := fmt.Sprintf(format, args...)
		return protocol.Text{NL: s, EN: s}
	}
	for _, t := range r.known.Terms {
		what := protocol.Text{NL: fmt.Sprintf("Regie, termijn %d", t.Number), EN: fmt.Sprintf("Lead, term %d", t.Number)}
		if t.Number == 0 {
			what = protocol.Text{NL: "Regie, niet na te gaan met deze berichten", EN: "Lead, not provable with these messages"}
		}
		say(what, both("%s, %s", t.Holder, when(t.Since)))
	}
	for _, o := range r.known.Offers {
		say(protocol.Text{NL: "Overdracht van de regie", EN: "Hand-over of the lead"}, both("%s → %s: %s (%s)", o.By, o.To, o.State, numbered(numbers, o.Message)))
	}
	for _, v := range r.known.Voids {
		say(protocol.Text{NL: "Zonder gevolg (" + v.Rule + ")", EN: "Without effect (" + v.Rule + ")"}, both("%s", numbered(numbers, v.Message)))
	}
	if c := r.known.Closing; c != nil {
		say(protocol.Text{NL: "Afgesloten", EN: "Closed"}, both("%s, %s", c.By, when(c.At)))
		say(protocol.Text{NL: "Bewaren tot", EN: "Keep until"}, both("%s", c.RetainUntil.Format(time.DateOnly)))
		say(protocol.Text{NL: "Vernietigen in Schakel", EN: "Destroy in Schakel"}, both("%s", c.DestroyOn.Format(time.DateOnly)))
	}
	return out
}

// went says what the desk noted of a message.
func (r *reading) went(h message.Hash, l language) (out []row) {
	add := func(desk, nl, en string, at time.Time, by string) {
		if at.Unix() <= 0 {
			return
		}
		said := when(at)
		if by != "" {
			said += ", " + harmless.Line(by)
		}
		out = append(out, row{desk + l.of(protocol.Text{NL: nl, EN: en}), said})
	}
	for _, x := range r.record.Received {
		if x.Message == h {
			add("", "ontvangen", "received", x.Received, "")
			add("", "geopend", "opened", x.Opened, "")
			add("", "bevestigd", "acknowledged", x.Acknowledged, x.By)
		}
	}
	for _, x := range r.record.Sent {
		if x.Message == h {
			desk := harmless.Line(string(x.Desk)) + ": "
			add(desk, "bij de relay", "at the relay", x.AtRelay, "")
			add(desk, "afgeleverd", "delivered", x.Delivered, "")
			add(desk, "geopend", "opened", x.Opened, "")
			add(desk, "bevestigd", "acknowledged", x.Acknowledged, x.By)
			add(desk, "geweigerd", "rejected", x.Rejected, x.Rule)
			add(desk, "niet afgeleverd", "not delivered", x.Failed, x.Rule)
		}
	}
	return out
}
