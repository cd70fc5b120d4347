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
	for _, ref := range r.known.Unsaid {
		say(protocol.Text{NL: "Aan niemand gezegd", EN: "Said to nobody"}, both("%s", numbered(numbers, ref)))
	}
	if c := r.known.Closing; c != nil {
		say(protocol.Text{NL: "Afgesloten", EN: "Closed"}, both("%s, %s", c.By, when(c.At)))
		say(protocol.Text{NL: "Bewaren tot", EN: "Keep until"}, both("%s", c.RetainUntil.Format(time.DateOnly)))
		say(protocol.Text{NL: "Vernietigen in Schakel", EN: "Destroy in Schakel"}, both("%s", c.DestroyOn.Format(time.DateOnly)))
	}
	return out
}

// went says how a message came to each desk: first what signatures in the file prove,
// then what the desk noted and nothing here proves.
func (r *reading) went(s message.Signed, l language) (out []row) {
	h, proven := s.Hash(), map[string]bool{}
	for _, d := range r.deliveries(s) {
		for _, step := range []struct {
			name string
			p    *Proof
			more string
		}{{stepRelay, d.AtRelay, l.of(envelopeWords)}, {stepDelivered, d.Delivered, ""}, {stepOpened, d.Opened, ""}, {stepAcknowledged, d.Acknowledged, ""},
			{stepRejected, d.Rejected, d.Rule}} {
			if step.p != nil && step.p.File != nameRecord {
				proven[string(d.Desk)+step.name] = true
				out = append(out, row{string(d.Desk) + ": " + l.of(stepWords[step.name]), proofLine(*step.p, step.more, l)})
			}
		}
	}
	note := func(desk, step string, at time.Time, by string) {
		if at.Unix() <= 0 || proven[desk+step] {
			return
		}
		said := when(at)
		if by != "" {
			said += ", " + harmless.Line(by)
		}
		out = append(out, row{harmless.Line(desk) + ": " + l.of(stepWords[step]), said + " (" + l.of(notedWords) + ")"})
	}
	for _, x := range r.noted.received[h] {
		note(string(r.manifest.Desk), stepDelivered, x.Received, "")
		note(string(r.manifest.Desk), stepOpened, x.Opened, "")
		note(string(r.manifest.Desk), stepAcknowledged, x.Acknowledged, x.By)
	}
	for _, x := range r.noted.sent[h] {
		note(string(x.Desk), stepRelay, x.AtRelay, "")
		note(string(x.Desk), stepDelivered, x.Delivered, "")
		note(string(x.Desk), stepOpened, x.Opened, "")
		note(string(x.Desk), stepAcknowledged, x.Acknowledged, x.By)
		note(string(x.Desk), stepRejected, x.Rejected, x.Rule)
		note(string(x.Desk), stepFailed, x.Failed, x.Rule)
	}
	return out
}

// The steps of a message on its way.
const (
	stepRelay        = "relay"
	stepDelivered    = "delivered"
	stepOpened       = "opened"
	stepAcknowledged = "acknowledged"
	stepRejected     = "rejected"
	stepFailed       = "failed"
)

var stepWords = map[string]protocol.Text{
	stepRelay:        {NL: "bij de relay", EN: "at the relay"},
	stepDelivered:    {NL: "ontvangen", EN: "received"},
	stepOpened:       {NL: "geopend", EN: "opened"},
	stepAcknowledged: {NL: "bevestigd", EN: "acknowledged"},
	stepRejected:     {NL: "geweigerd", EN: "rejected"},
	stepFailed:       {NL: "niet afgeleverd", EN: "not delivered"},
}

var (
	notedWords = protocol.Text{NL: "aantekening van dit bureau", EN: "noted by this desk"}
	// envelopeWords stand with a receipt: the relay cannot know what it held.
	envelopeWords = protocol.Text{NL: "dat dit bericht in die envelop zat zegt dit bureau", EN: "that this message was in that envelope is the word of this desk"}

	signedWords = protocol.Text{NL: "getekend door", EN: "signed by"}
)

// proofLine says when, by whose signature, and in which file that is.
func proofLine(p Proof, more string, l language) string {
	s := when(p.At)
	if more != "" {
		s += ", " + harmless.Line(more)
	}
	return s + ", " + l.of(signedWords) + " " + harmless.Line(p.By.ID) + " (" + p.File + ")"
}

var (
	fixedWords = protocol.Text{NL: "aantoonbaar aanwezig", EN: "provably there"}
	byWords    = protocol.Text{NL: "uiterlijk %s, dat tekenden de getuigen van het register", EN: "at the latest on %s, which the witnesses of the register signed"}
	// Without witnesses there is no day of the calendar that somebody else signed.
	sizeWords   = protocol.Text{NL: "voordat het register meer dan %d regels had; geen getuige tekende wanneer dat was", EN: "before the register had more than %d entries; no witness signed when that was"}
	anchorWords = protocol.Text{NL: "anker van apparaat %s, regel %d van het register (%s)", EN: "anchor of device %s, entry %d of the register (%s)"}
)

// fixedLine says by when a message was there, and on whose word.
func fixedLine(f Fixed, l language) string {
	s := fmt.Sprintf(l.of(sizeWords), f.Size)
	if !f.At.IsZero() {
		s = fmt.Sprintf(l.of(byWords), when(f.At))
	}
	return s + "; " + fmt.Sprintf(l.of(anchorWords), harmless.Line(f.By.ID), f.Entry, f.File)
}
