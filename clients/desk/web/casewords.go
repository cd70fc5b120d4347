package web

import (
	"slices"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

// dutyRow is something that one desk owes, and how long it still has.
type dutyRow struct {
	Who   *party // nil: this desk
	What  string
	Since mention
	Due   time.Time
	Left  string
	Late  bool
	For   *party
	Rule  string
}

func (w viewer) duties(all []protocol.Obligation) (out []dutyRow) {
	for _, d := range all {
		row := dutyRow{What: w.duty(d.Duty), Since: w.mention(d.Since), Due: d.Due, Rule: harmless.Line(d.Rule)}
		row.Left, row.Late = w.l.left(d.Due, w.Now())
		if d.Owes != w.o.Desk {
			p := w.party(d.Owes)
			row.Who = &p
		}
		if d.To != "" && d.To != w.o.Desk {
			p := w.party(d.To)
			row.For = &p
		}
		out = append(out, row)
	}
	return out
}

// duties are those that have words. One that this version does not know is shown as it is.
func duties() []protocol.Duty {
	return []protocol.Duty{protocol.DutyAcknowledge, protocol.DutyAnswer, protocol.DutyForward, protocol.DutyOfferBack, protocol.DutyWeigh,
		protocol.DutyFeedback1, protocol.DutyFeedback2, protocol.DutyPolice, protocol.DutyRevise}
}

func (w viewer) duty(d protocol.Duty) string {
	if slices.Contains(duties(), d) {
		return w.l.word("duty." + string(d))
	}
	return harmless.Line(string(d))
}

func amongOthers(o schakel.Overview) (out []protocol.Obligation) {
	for _, d := range o.Obligations {
		if d.Open() && d.Owes != o.Desk && d.To != o.Desk {
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(x, y protocol.Obligation) int { return x.Due.Compare(y.Due) })
	return out
}

// remarks are what else there is to know of a case, of one kind.
type remarks struct {
	Kind string // its heading is case.KIND
	Bad  bool
	Rows []remark
}

// remark is one thing, between the messages that it is about.
type remark struct {
	About  mention
	Words  string
	Others []mention
	Rule   string
	Remedy string
}

func offerStates() []protocol.OfferState {
	return []protocol.OfferState{protocol.OfferOpen, protocol.OfferAccepted, protocol.OfferRefused, protocol.OfferWithdrawn, protocol.OfferReturned}
}

// remarkKinds are those that there can be, in their order.
func remarkKinds() []string {
	return []string{"unsaid", "missing", "flags", "voids", "offers", "replaced", "rests"}
}

// remarks are those that this case has. The first four kinds are what may be wrong.
func (w viewer) remarks() (out []remarks) {
	find := map[string]func() []remark{"unsaid": w.unsaid, "missing": w.missing, "flags": w.flagged, "voids": w.voids,
		"offers": w.offers, "replaced": w.replaced, "rests": w.rests}
	for i, kind := range remarkKinds() {
		if rows := find[kind](); len(rows) > 0 {
			out = append(out, remarks{kind, i < 4, rows})
		}
	}
	return out
}

func (w viewer) unsaid() (out []remark) {
	for _, r := range w.o.Unsaid {
		out = append(out, remark{About: w.mention(r), Words: w.l.word("case.unsaid-what"), Remedy: w.l.word("case.unsaid-do")})
	}
	return out
}

func (w viewer) missing() (out []remark) {
	for _, m := range w.o.Missing {
		out = append(out, remark{About: mention{Class: w.l.word("case.missing-one", m.Message.Hash.String()[:8])}, Words: w.l.word("case.missing-named"),
			Others: w.mentions(m.NamedBy), Remedy: w.l.word("case.missing-do")})
	}
	return out
}

func (w viewer) flagged() (out []remark) {
	for _, m := range w.o.Messages {
		for _, f := range m.Flags {
			certain := w.l.word("case.unsure")
			if f.Certainty == protocol.Broken {
				certain = w.l.word("case.broken")
			}
			out = append(out, remark{About: w.mention(m.Ref), Words: harmless.Line(w.l.of(f.Reason)), Rule: harmless.Line(f.Rule) + ", " + certain,
				Remedy: harmless.Line(w.l.of(f.Remedy))})
		}
	}
	return out
}

func (w viewer) voids() (out []remark) {
	for _, v := range w.o.Voids {
		r := remark{About: w.mention(v.Message), Words: w.l.word("case.void"), Rule: harmless.Line(v.Rule)}
		if v.Against != (message.Ref{}) {
			r.Words, r.Others = w.l.word("case.void-against"), []mention{w.mention(v.Against)}
		}
		out = append(out, r)
	}
	return out
}

func (w viewer) offers() (out []remark) {
	for _, f := range w.o.Offers {
		state := harmless.Line(string(f.State))
		if slices.Contains(offerStates(), f.State) {
			state = w.l.word("offer." + string(f.State))
		}
		r := remark{About: w.mention(f.Message), Words: w.l.word("case.offer", harmless.Line(string(f.To)), state)}
		if f.Closed != (message.Ref{}) {
			r.Others = []mention{w.mention(f.Closed)}
		}
		out = append(out, r)
	}
	return out
}

func (w viewer) replaced() (out []remark) {
	for _, r := range w.o.Replaced {
		words := w.l.word("case.corrected")
		if r.Withdrawn {
			words = w.l.word("case.withdrawn")
		}
		out = append(out, remark{About: w.mention(r.Message), Words: words, Others: []mention{w.mention(r.By)}})
	}
	return out
}

func (w viewer) rests() (out []remark) {
	for _, r := range w.o.Rests {
		out = append(out, remark{About: w.mention(r.Message), Words: w.l.word("case.rests-on"), Others: []mention{w.mention(r.On)}})
	}
	return out
}

func (w viewer) mentions(all []message.Ref) (out []mention) {
	for _, r := range all {
		out = append(out, w.mention(r))
	}
	return out
}
