package schakel

import (
	"context"
	"errors"
	"slices"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/message"
)

// Mark is a word about a message that whoever looks at a list must see before opening it.
// Its page says the same at length.
type Mark string

// The marks, in the order in which a row has them. Those down to MarkBehind are what was
// found when the message came or went, and what its page said when it was read last.
const (
	MarkRegister   Mark = "oud-register"         // a person sent it though the sender's register was too old
	MarkEnvelope   Mark = "andere-envelop"       // its envelope asked for other attention than it deserves
	MarkReference  Mark = "onbekende-verwijzing" // it refers to what this desk never had
	MarkRule       Mark = "regel"                // it breaks a rule of the protocol, and was taken
	MarkUnproved   Mark = "niet-na-te-gaan"      // whether it breaks one cannot be told here
	MarkBehind     Mark = "na-later-bericht"     // it came after what the same desk signed later
	MarkSlow       Mark = "lang-onderweg"        // see Summary.UnderWay
	MarkByFile     Mark = "per-bestand"          // it left in a file, and some desk has not confirmed it since
	MarkAttachment Mark = "bijlage-ontbreekt"    // a file of it is not where it should be by now, or was refused
)

// Marks are all of them.
func Marks() []Mark {
	return []Mark{MarkRegister, MarkEnvelope, MarkReference, MarkRule, MarkUnproved, MarkBehind, MarkSlow, MarkByFile, MarkAttachment}
}

// settingMarks begins the name under which the marks of a message are kept: a list must not
// open and judge every message that it shows.
const settingMarks = "marks/"

func keptMarks(tx *store.Tx, h message.Hash) (out []Mark, err error) {
	err = kept(tx, settingMarks+h.String(), &out)
	return out, err
}

// keepMarks keeps marks in the place of those from before.
func keepMarks(tx *store.Tx, h message.Hash, marks []Mark) error {
	if len(marks) == 0 {
		return tx.DeleteSetting(settingMarks + h.String())
	}
	return keep(tx, settingMarks+h.String(), marks)
}

// marksFor are the marks that say what flags say.
func marksFor(flags []protocol.Flag) (out []Mark) {
	for _, f := range flags {
		mark := MarkRule
		switch {
		case f.Rule == ruleStale:
			mark = MarkRegister
		case f.Rule == protocol.RuleUrgency:
			mark = MarkEnvelope
		case f.Rule == ruleUnknown:
			mark = MarkReference
		case f.Certainty == protocol.Unproved:
			mark = MarkUnproved
		}
		out = append(out, mark)
	}
	return sorted(out)
}

// sorted is each mark once, in their order.
func sorted(marks []Mark) (out []Mark) {
	for _, m := range Marks() {
		if slices.Contains(marks, m) {
			out = append(out, m)
		}
	}
	return out
}

// marked notes what is to be seen in lists of a message that was just stored: what its page
// says of it now, with the originals that it brought.
func (in *intake) marked(a *arrival, row store.Message) error {
	flags := staleFlags(a.signed.Message)
	if !a.unjudged {
		all, err := in.n.flags(in.tx, a.signed)
		if err != nil && !errors.Is(err, ErrRestricted) {
			return err
		}
		flags = append(flags, all...)
	}
	marks := marksFor(flags)
	if a.misfit { // the envelope shows it, also where the rules cannot be asked yet
		marks = append(marks, MarkEnvelope)
	}
	behind, err := in.tx.Behind(row)
	if behind {
		marks = append(marks, MarkBehind)
	}
	if err != nil || len(marks) == 0 {
		return err
	}
	return keepMarks(in.tx, row.Hash, sorted(marks))
}

// markedToo adds to the marks of a message what its judgement found.
func markedToo(tx *store.Tx, h message.Hash, flags []protocol.Flag) error {
	before, err := keptMarks(tx, h)
	if err != nil || len(flags) == 0 {
		return err
	}
	return keepMarks(tx, h, sorted(append(before, marksFor(flags)...)))
}

// marks are what a list shows of a message.
func (n *Node) marks(tx *store.Tx, row store.Message, s Summary) ([]Mark, error) {
	out, err := keptMarks(tx, row.Hash)
	if err != nil {
		return nil, err
	}
	if s.UnderWay() > 0 {
		out = append(out, MarkSlow)
	}
	if slices.ContainsFunc(s.Recipients, func(r Recipient) bool { return !r.ByFile.IsZero() }) {
		out = append(out, MarkByFile)
	}
	files, err := tx.Attachments(row.Hash)
	if slices.ContainsFunc(files, func(a store.Attachment) bool {
		return a.Copy == store.CopyRefused || n.unavailable(a, row.Urgency, n.now())
	}) {
		out = append(out, MarkAttachment)
	}
	return sorted(out), err
}

// seen keeps the marks of a message as its page just said them: what is known of a case
// grows, and a row must not say another thing than the page behind it.
func (n *Node) seen(ctx context.Context, h message.Hash, l *Letter) error {
	if l.Unjudged { // not all is known of it
		return nil
	}
	now := marksFor(l.Flags)
	if l.Late {
		now = append(now, MarkBehind)
	}
	var before []Mark
	err := n.store.View(ctx, func(tx *store.Tx) (err error) {
		before, err = keptMarks(tx, h)
		return err
	})
	l.Marks = sorted(append(slices.DeleteFunc(l.Marks, func(m Mark) bool { return slices.Contains(before, m) }), now...))
	if err != nil || slices.Equal(before, now) {
		return err
	}
	err = n.update(ctx, func(tx *store.Tx) error { return keepMarks(tx, h, now) })
	if errors.Is(err, store.ErrReadOnly) {
		return nil // a store opened to save what can be read
	}
	return err
}
