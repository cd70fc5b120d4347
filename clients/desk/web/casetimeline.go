package web

import (
	"slices"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// momentRow is a message in the timeline of a case.
type momentRow struct {
	mention
	Short   string
	Urgency message.Urgency
	Sender  party
	To      []party
	Ours    bool
	Says    string // what it decided, in a few words
	Signed  string // by whom, where a person signed
	Went    []went // ours: how far, by desk
	Here    string // theirs: how far at this desk
	Late    bool
	Answers []mention
	Marks   []mark
	Flags   []protocol.Flag
}

// mark is what stands out about a message.
type mark struct {
	Words string
	By    *mention
	Bad   bool
}

func (w viewer) moment(m schakel.Moment) momentRow {
	row := momentRow{mention: w.mention(m.Ref), Short: m.Hash.String()[:8], Urgency: m.Urgency, Sender: w.party(m.From.Desk), Ours: m.From.Desk == w.o.Desk,
		Says: w.decided(m), Signed: w.signed(m), Marks: w.marks(m), Flags: m.Flags}
	for _, p := range m.To {
		row.To = append(row.To, w.party(p.Desk))
	}
	for _, r := range m.Answers {
		row.Answers = append(row.Answers, w.mention(r))
	}
	s, here := w.here[m.Hash.String()]
	switch {
	case here && s.Inbound:
		row.Here, row.Late = w.Site.state(w.l, s)
		if done, by := w.done(m.Ref, w.o.Desk); done {
			row.Here, row.Late = w.l.word("case.done-here", w.l.when(by.At)), false
		}
	case here:
		for _, r := range s.Recipients {
			row.Went = append(row.Went, w.went(m.Ref, r))
		}
	}
	return row
}

// went is how far a message of ours is with one desk: up to what it was sent for.
func (w viewer) went(ref message.Ref, r schakel.Recipient) went {
	out := went{w.party(r.Desk), w.l.word("state." + string(r.State)), r.At, harmless.Line(r.By),
		r.State == schakel.StateRejected || r.State == schakel.StateFailed, r.ByFile, r.Files}
	if done, by := w.done(ref, r.Desk); done && !out.Bad {
		out.State, out.At = w.l.word("state.afgehandeld"), by.At
	}
	return out
}

// done reports whether a desk did all that a message asked of it beside acknowledging, and
// with which message it did the last of it.
func (w viewer) done(ref message.Ref, desk identity.DeskID) (yes bool, by mention) {
	var last time.Time
	for _, d := range w.o.Obligations {
		switch {
		case d.Since.Hash != ref.Hash || d.Owes != desk:
		case d.Open():
			return false, mention{}
		case d.Duty != protocol.DutyAcknowledge && !d.Met.Before(last):
			yes, last, by = true, d.Met, w.mention(d.Closed)
			by.At = d.Met
		}
	}
	return yes, by
}

// decided is what an acknowledgement, a decision or a weighing came to, in the words of
// its form.
func (w viewer) decided(m schakel.Moment) string {
	if m.Status != "" {
		return w.chosen(m.Class, "status", m.Status)
	}
	if m.Outcome != "" {
		return w.chosen(m.Class, "uitkomst", m.Outcome)
	}
	return ""
}

func (w viewer) chosen(class, field, value string) string {
	form, err := w.Catalogue.Form(class)
	if err == nil {
		for _, f := range form.Fields {
			if i := slices.IndexFunc(f.Choices, func(c protocol.Choice) bool { return f.Name == field && c.Value == value }); i >= 0 {
				return harmless.Line(w.l.of(f.Choices[i].Label))
			}
		}
	}
	return harmless.Line(value)
}

func (w viewer) signed(m schakel.Moment) string {
	switch {
	case m.By != "":
		return w.l.word("message.by", harmless.Line(m.By))
	case m.Person:
		return w.l.word("case.by-person")
	}
	return ""
}

func (w viewer) marks(m schakel.Moment) (out []mark) {
	if m.Unsaid {
		out = append(out, mark{Words: w.l.word("case.mark-unsaid"), Bad: true})
	}
	for _, r := range w.o.Replaced {
		if r.Message.Hash == m.Hash {
			by := w.mention(r.By)
			out = append(out, mark{Words: w.l.word("case.corrected"), By: &by})
			if r.Withdrawn {
				out[len(out)-1].Words = w.l.word("case.withdrawn")
			}
		}
	}
	for _, v := range w.o.Voids {
		if v.Message.Hash == m.Hash {
			out = append(out, mark{Words: w.l.word("case.mark-void", harmless.Line(v.Rule))})
		}
	}
	if m.Enclosed {
		out = append(out, mark{Words: w.l.word("case.mark-enclosed")})
	}
	return out
}
