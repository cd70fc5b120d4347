package protocol

import (
	"slices"

	"schakel/crypto/message"
)

// A koppeling is said in one case and names another, and that an adviesvraag without
// identifying data stays so is asked of both (R04, R28). So the check of these two needs,
// beside the case, what this desk has of the other one, whichever of the two came first.

// Links returns the other case that a koppeling names.
func (d Draft) Links() (message.CaseRef, bool) {
	return d.facts.links, d.Class == ClassLink && d.facts.links != message.CaseRef{}
}

// Anonymous reports whether a message asks advice without identifying data.
func (d Draft) Anonymous() bool { return d.Class == ClassQuestion && d.facts.anonymous }

// Beside returns the case with messages of other cases to check by: of a koppeling those
// of the case that it names, of an anonymous question the koppelingen that name its case.
// The state of the case is not changed by them.
func (k Case) Beside(others []Known) Case {
	k.beside = others
	return k
}

// askedAnonymously reports whether advice without identifying data was asked in a case.
func (k Case) askedAnonymously(in message.CaseRef) bool {
	asked := func(m Known) bool { return m.Case == in && m.Anonymous() }
	return slices.ContainsFunc(k.messages, asked) || slices.ContainsFunc(k.beside, asked)
}

// linkedFrom reports whether a koppeling in another case names this one.
func (k Case) linkedFrom(ref message.CaseRef) bool {
	return slices.ContainsFunc(k.beside, func(m Known) bool {
		other, ok := m.Links()
		return ok && other == ref && m.Case != ref
	})
}
