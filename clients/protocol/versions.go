package protocol

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// RuleVersion begins the word by which a desk rejects a message of a version that it
// does not speak. The versions that it does speak follow: protocol-1-2.
const RuleVersion = "protocol"

// maxSpoken is how many versions a program speaks at once, and as many as fit into the
// word of a rejection.
const maxSpoken = 4

// Versions is the versions of the protocol that one program speaks, side by side. While
// a chain moves from one to the next, partners differ for weeks: a message is judged
// by the catalogue that its own heading names, and answered in a version that its
// sender speaks.
type Versions struct {
	spoken []*Catalogue // by number, the oldest first
}

// NewVersions puts catalogues side by side: one or more, each of another version.
func NewVersions(catalogues ...*Catalogue) (Versions, error) {
	v := Versions{slices.Clone(catalogues)}
	slices.SortFunc(v.spoken, func(a, b *Catalogue) int { return number(a.protocol) - number(b.protocol) })
	for i, c := range v.spoken {
		if number(c.protocol) == 0 || i > 0 && v.spoken[i-1].protocol == c.protocol {
			return Versions{}, fmt.Errorf("%w: version %.40q stands there twice, or is no version", ErrCatalogue, c.protocol)
		}
	}
	if len(v.spoken) == 0 || len(v.spoken) > maxSpoken {
		return Versions{}, fmt.Errorf("%w: %d versions side by side, want 1 to %d", ErrCatalogue, len(v.spoken), maxSpoken)
	}
	return v, nil
}

// For returns the catalogue of the version that a heading names.
func (v Versions) For(protocol string) (*Catalogue, bool) {
	i := slices.IndexFunc(v.spoken, func(c *Catalogue) bool { return c.protocol == protocol })
	if i < 0 {
		return nil, false
	}
	return v.spoken[i], true
}

// Spoken returns the numbers of the versions, the oldest first.
func (v Versions) Spoken() []int {
	out := make([]int, len(v.spoken))
	for i, c := range v.spoken {
		out[i] = number(c.protocol)
	}
	return out
}

// Rejection is the rule that a desk states about a message of a version that it does
// not speak. The message is kept apart, not thrown away: whoever updates can read it.
func (v Versions) Rejection() string {
	word := RuleVersion
	for _, n := range v.Spoken() {
		word += "-" + strconv.Itoa(n)
	}
	return word
}

// ParseRejection reads the versions that a desk said it speaks, the oldest first; false
// for any other rule. The desk signed it, and may still be lying: it chooses among
// versions that we speak, and no version is weaker than the agreement allows.
func ParseRejection(rule string) (spoken []int, ok bool) {
	words := strings.Split(rule, "-")
	if words[0] != RuleVersion || len(words) < 2 || len(words) > 1+maxSpoken {
		return nil, false
	}
	for _, w := range words[1:] {
		n := number("schakel/" + w)
		if n == 0 || len(spoken) > 0 && spoken[len(spoken)-1] >= n {
			return nil, false
		}
		spoken = append(spoken, n)
	}
	return spoken, true
}

// Shared returns the versions that this program and every addressed desk speak, the
// newest first; spoken has what each desk said. Without one nothing is sent: the sender
// must split the message, or telephone.
func (v Versions) Shared(spoken ...[]int) (out []*Catalogue, err error) {
	for _, c := range slices.Backward(v.spoken) {
		n := number(c.protocol)
		if !slices.ContainsFunc(spoken, func(desk []int) bool { return !slices.Contains(desk, n) }) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		err = refuse(RuleVersion,
			Text{"geen versie van het protocol die alle geadresseerden spreken", "no version of the protocol that every addressed desk speaks"},
			Text{"stuur apart aan elk bureau, werk Schakel bij, of bel", "send to each desk apart, update Schakel, or telephone"})
	}
	return out, err
}

// Number returns the number of the version: 1 for schakel/1.
func (c *Catalogue) Number() int { return number(c.protocol) }

// number is the version that a name carries, and 0 for any other name: one spelling each.
func number(protocol string) int {
	digits, ok := strings.CutPrefix(protocol, "schakel/")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil || n > 9999 || strconv.FormatUint(n, 10) != digits {
		return 0
	}
	return int(n)
}
