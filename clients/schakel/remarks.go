package schakel

import (
	"slices"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// What is wrong with a message that is taken all the same, beside what the rules of the
// protocol say. Losing it would do more harm; whoever reads it is told.

// settingMisfit begins the name under which the attention is kept that the envelope of a
// message asked for, where that did not fit: the message does not hold it.
const settingMisfit = "misfit/"

// ruleUnknown is what the warning about a reference names.
const ruleUnknown = "verwijzing"

// remark is what the sender hears of a message that was taken though it did not fit.
func remark(a *arrival) string {
	if a.misfit {
		return protocol.RuleUrgency
	}
	return ""
}

// noteMisfit keeps that an envelope asked for other attention than its message deserves, and
// tells people (H09).
func (in *intake) noteMisfit(a *arrival, h message.Hash) error {
	if !a.misfit {
		return nil
	}
	if err := in.tx.SetSetting(settingMisfit+h.String(), []byte{byte(a.header.Tier)}); err != nil {
		return err
	}
	return in.raise(AlarmRule, subject(h, a.from), protocol.RuleUrgency)
}

// remarked tells this desk that another took its message with a remark: a program here seals
// otherwise than it should.
func (in *intake) remarked(s delivery.Status, desk identity.DeskID) error {
	if has, err := in.tx.HasMessage(s.Message); err != nil || !has {
		return err
	}
	return in.raise(AlarmRule, subject(s.Message, desk), s.Rule)
}

// remarks are the flags that no rule of the protocol gives: the attention that an envelope
// asked for, and references to what this desk never had.
func (n *Node) remarks(tx *store.Tx, known protocol.Case, s message.Signed) (out []protocol.Flag, err error) {
	tier, err := tx.Setting(settingMisfit + s.Hash().String())
	if err == nil && len(tier) == 1 {
		out = append(out, misfitFlag(envelope.Tier(tier[0]), s.Message))
	} else if err != nil && !isNotFound(err) {
		return nil, err
	}
	lost, err := n.leadsNowhere(tx, known, s)
	if err == nil && lost {
		out = append(out, unknownFlag)
	}
	return out, err
}

func misfitFlag(tier envelope.Tier, m message.Message) protocol.Flag {
	f := protocol.Flag{Rule: protocol.RuleUrgency, Certainty: protocol.Broken,
		Reason: protocol.Text{NL: "de envelop vroeg om meer aandacht dan het bericht verdient", EN: "its envelope asked for more attention than the message deserves"},
		Remedy: protocol.Text{NL: "ga af op de urgentie van het bericht zelf; vraag de afzender om het programma te laten nakijken",
			EN: "go by the urgency of the message itself; ask the sender to have the program looked at"}}
	if tier < protocol.TierOf(m.Heading.Urgency, m.Heading.Class) {
		f.Reason = protocol.Text{NL: "de envelop vroeg om minder aandacht dan het bericht verdient: misschien is niemand opgeroepen",
			EN: "its envelope asked for less attention than the message deserves: perhaps nobody was called"}
	}
	return f
}

// leadsNowhere reports whether a message names one that this desk has nothing of: neither
// here, nor enclosed, nor under the identifier that it gives (F20).
func (n *Node) leadsNowhere(tx *store.Tx, known protocol.Case, s message.Signed) (bool, error) {
	enclosed := protocol.DraftOf(s.Message, archive{n.directory()}).Enclosed
	for _, ref := range append(slices.Clone(s.Message.Heading.Answers), s.Message.Heading.RestsOn...) {
		if k, ok := known.Message(ref.Hash); ok && k.ID == ref.ID {
			continue
		}
		if slices.ContainsFunc(enclosed, func(k protocol.Known) bool { return k.Ref() == ref }) {
			continue
		}
		if h, err := tx.HashOf(ref.ID); err == nil && h == ref.Hash {
			continue // of another case, closed to others, or destroyed since
		} else if err != nil && !isNotFound(err) {
			return false, err
		}
		return true, nil
	}
	return false, nil
}

var unknownFlag = protocol.Flag{Rule: ruleUnknown, Certainty: protocol.Unproved,
	Reason: protocol.Text{NL: "verwijst naar een bericht dat dit bureau niet heeft", EN: "refers to a message that this desk does not have"},
	Remedy: protocol.Text{NL: "vraag de afzender welk bericht dat is; ga niet af op wat het zou zeggen",
		EN: "ask the sender which message that is; do not go by what it is said to say"}}
