package protocol

import (
	"slices"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// A message that every addressed desk rejected was said to nobody: no other desk has
// it, so it moves nothing here either. It stays readable, in its place in the history,
// and is named in Case.Unsaid. What some rejected and others took counts, without the
// desks that do not have it.
//
// This is a function of the messages and the rejections that a desk has, whatever the
// order in which they came. A rejection is the word of one device of a desk; a message
// of that desk which names what was rejected shows that another device took it, and
// goes before.

// unsaid reports whether every addressed desk rejected a message.
func (k Known) unsaid() bool { return len(k.Rejected) > 0 && len(k.heard()) == 0 }

// once drops duplicates, puts the rejections of a desk's own messages together, and
// leaves out those that a message of the rejecting desk belies. Of the messages of others
// a desk hears no rejections.
func once(desk identity.DeskID, messages []Known) map[message.Hash]Known {
	own := make(map[message.Hash]Known, len(messages))
	rejected := map[message.Hash][]identity.DeskID{}
	for _, k := range messages {
		if k.From.Desk != desk {
			k.Rejected = nil
		}
		if own[k.Hash] = k; len(k.Rejected) > 0 {
			rejected[k.Hash] = append(rejected[k.Hash], k.Rejected...)
		}
	}
	if len(rejected) == 0 {
		return own
	}
	for _, k := range own {
		for _, ref := range k.refs() {
			if desks, ok := rejected[ref.Hash]; ok && k.From.Desk != desk {
				rejected[ref.Hash] = slices.DeleteFunc(desks, func(d identity.DeskID) bool { return d == k.From.Desk })
			}
		}
	}
	for h, desks := range rejected {
		k := own[h]
		k.Rejected = slices.Compact(slices.Sorted(slices.Values(desks)))
		own[h] = k
	}
	return own
}

// IsRejection reports whether what a desk answered, by the rule that it stated, says that
// it does not have the message. A person who signs that it came to the wrong desk, or
// cannot be read, does have it.
func IsRejection(rule string) bool { return rule != StatusWrongRecipient && rule != StatusUnreadable }

// Unheard reports whether a message of the case was said to nobody.
func (k Case) Unheard(h message.Hash) bool {
	return slices.ContainsFunc(k.Unsaid, func(r message.Ref) bool { return r.Hash == h })
}

// Counted returns the messages that the case is computed from, in their order.
func (k Case) Counted() []Known { return k.messages }

// History returns all messages of the case that this desk has, in their order: those
// that count, and in their places those that every addressed desk rejected.
func (k Case) History() []Known { return k.history }
