package protocol

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"schakel/crypto/identity"
	"schakel/relay/lanes"
)

// ErrAgreement is wrapped by every refusal of an agreement file.
var ErrAgreement = errors.New("agreement refused")

// The agreement is one file that holds all that the partners agreed on: the catalogue,
// its schemas, the lanes of the relay and, where they made one, the partners' own
// addition. A root entry names its SHA-256, so that every desk of a register works by
// the same rules, terms and holidays, and sees when it does not.
//
// It is plain text that a lawyer can read and sha256sum can check:
//
//	schakel/agreement/2
//	file NAME LENGTH
//	...LENGTH bytes...
//	file NAME LENGTH
//	...
//
// Names are sorted and occur once; there is a newline behind the bytes of each file.
const (
	agreementHead = "schakel/agreement/2\n"
	maxAgreement  = 4 << 20
	nameCatalogue = "catalogus.json"
	nameLanes     = "banen.txt"
	nameAddition  = "aanvulling.toml"
)

var agreementName = regexp.MustCompile(`^(catalogus\.json|banen\.txt|aanvulling\.toml|schemas/[a-z][a-z0-9-]{1,63}\.schema\.json)$`)

// Agreement returns the agreement file of this catalogue.
func (c *Catalogue) Agreement() []byte {
	var b bytes.Buffer
	b.WriteString(agreementHead)
	parts := c.agreed()
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		fmt.Fprintf(&b, "file %s %d\n", name, len(parts[name]))
		b.Write(parts[name])
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Digest is SHA-256 over the agreement file: what a root entry names.
func (c *Catalogue) Digest() [sha256.Size]byte { return sha256.Sum256(c.Agreement()) }

// agreed is the parts of the agreement by their names.
func (c *Catalogue) agreed() map[string][]byte {
	parts := map[string][]byte{nameLanes: laneTable()}
	for name, raw := range c.files {
		if agreementName.MatchString(name) {
			parts[name] = raw
		}
	}
	if c.addition != nil {
		parts[nameAddition] = c.addition
	}
	return parts
}

// laneTable writes the lanes as the relay of this program enforces them: a line for
// each pair of roles that may exchange, with the highest attention tier.
func laneTable() []byte {
	var b bytes.Buffer
	for _, from := range identity.Roles() {
		for _, to := range identity.Roles() {
			if tier, ok := lanes.Ceiling(from, to, false); ok {
				fmt.Fprintf(&b, "%s %s %d\n", from, to, tier)
			}
		}
	}
	return b.Bytes()
}

// ParseAgreement reads an agreement file. It refuses any other encoding than the one
// that Agreement gives, lanes that are not those of this program, a catalogue that
// contradicts itself and an addition that weakens it. Its digest is that of raw.
func ParseAgreement(raw []byte) (*Catalogue, error) {
	parts, err := splitAgreement(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAgreement, err)
	}
	if !bytes.Equal(parts[nameLanes], laneTable()) {
		return nil, fmt.Errorf("%w: its lanes are not those of this program; update Schakel, or the agreement", ErrAgreement)
	}
	addition, added := parts[nameAddition]
	delete(parts, nameAddition)
	delete(parts, nameLanes)
	c, err := load(parts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAgreement, err)
	}
	if added {
		if c, err = c.Amend(addition); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAgreement, err)
		}
	}
	if !bytes.Equal(c.Agreement(), raw) {
		return nil, fmt.Errorf("%w: not the one encoding that an agreement has", ErrAgreement)
	}
	return c, nil
}

func splitAgreement(raw []byte) (map[string][]byte, error) {
	rest, ok := bytes.CutPrefix(raw, []byte(agreementHead))
	if !ok || len(raw) > maxAgreement {
		return nil, fmt.Errorf("not an agreement of at most %d bytes, or of another version", maxAgreement)
	}
	parts := map[string][]byte{}
	for len(rest) > 0 {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		words := strings.Split(string(line), " ")
		if len(words) != 3 || words[0] != "file" || !agreementName.MatchString(words[1]) || parts[words[1]] != nil {
			return nil, fmt.Errorf("line %.60q: want file NAME LENGTH, each name once", line)
		}
		n, err := strconv.ParseUint(words[2], 10, 32)
		if err != nil || n >= uint64(len(after)) || after[n] != '\n' {
			return nil, fmt.Errorf("%s is cut off", words[1])
		}
		parts[words[1]], rest = after[:n:n], after[n+1:]
	}
	return parts, nil
}
