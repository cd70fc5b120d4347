package protocol

import "schakel/crypto/message"

// Certainty is how sure an end is that a rule is broken.
type Certainty string

// Certainties. Unproved: this desk lacks the messages that would tell.
const (
	Broken   Certainty = "geschonden"
	Unproved Certainty = "niet-na-te-gaan"
)

// Finding is what one rule has against a message.
type Finding struct {
	Refusal
	Certainty Certainty
	// Kept: a recipient takes the message all the same and shows the finding with it,
	// because losing the message would do more harm than its fault, or because a
	// message that comes later can make it right.
	Kept bool
	// Right is the region of the desk that should have had it, where the rule can tell.
	Right string
}

// Findings are what is wrong with a message. None: it keeps the protocol.
type Findings []Finding

// Flag is a finding that travels with a message that is kept.
type Flag struct {
	Rule      string    `json:"rule"`
	Certainty Certainty `json:"certainty"`
	Reason    Text      `json:"reason"`
	Remedy    Text      `json:"remedy"`
	Right     string    `json:"right,omitempty"` // region of the right recipient
}

// Refusal is the answer of a sender: nil, or the [*Refusal] of the first finding. A
// sender also refuses what it cannot prove: it has, or can ask for, what it rests on.
func (f Findings) Refusal() error {
	if len(f) == 0 {
		return nil
	}
	return &f[0].Refusal
}

// Rejection is the answer of a recipient: nil where it takes the message, flagged or
// not, and otherwise the [*Refusal] that it states to the sender.
func (f Findings) Rejection() error {
	for i := range f {
		if !f[i].Kept {
			return &f[i].Refusal
		}
	}
	return nil
}

// Flags are what a recipient shows with a message that it takes.
func (f Findings) Flags() (out []Flag) {
	for _, x := range f {
		if x.Kept {
			out = append(out, Flag{x.Rule, x.Certainty, x.Reason, x.Remedy, x.Right})
		}
	}
	return out
}

// rejected is a finding that no recipient takes: it cannot tell what was said, by
// whom, or that it may know.
func rejected(r *Refusal) Findings { return Findings{{Refusal: *r, Certainty: Broken}} }

// subject is a message under the numbered rules. Its body satisfies its schema.
type subject struct {
	Draft
	class     Class
	known     Case
	catalogue *Catalogue
}

// broken is a finding of a rule that the message breaks.
func broken(rule string, reason, remedy Text) *Finding {
	return &Finding{Refusal: *refuse(rule, reason, remedy), Certainty: Broken}
}

// unproved is a finding of a rule that cannot be decided with what is known here. A
// recipient always keeps it.
func unproved(rule string, reason, remedy Text) *Finding {
	return &Finding{Refusal: *refuse(rule, reason, remedy), Certainty: Unproved, Kept: true}
}

// keep makes a recipient take the message.
func (f *Finding) keep() *Finding {
	f.Kept = true
	return f
}

// original returns a message that this one names: enclosed, or known of this case.
func (s subject) original(h message.Hash) (Known, bool) {
	for _, e := range s.Enclosed {
		if e.Hash == h {
			return e, true
		}
	}
	return s.known.Message(h)
}

// named returns the reference in steuntOp with an identifier that the body writes.
func (s subject) named(id string) (message.Ref, bool) {
	for _, r := range s.RestsOn {
		if r.ID.String() == id {
			return r, true
		}
	}
	return message.Ref{}, false
}

// request returns the message that this one answers.
func (s subject) request() (Known, bool) { return s.original(answered(Known{Draft: s.Draft})) }
