// Package protocol is the collaboration protocol of the chain: which messages
// partners send each other, who may send which to whom, how fast, and what each
// must contain.
//
// The sending client refuses to seal what [Catalogue.Check] refuses; the receiving
// client calls the same Check and answers with a signed rejection that names the
// rule. The relay sees none of it: it enforces lanes only (see relay/lanes).
//
//	catalogue := protocol.V1()
//	state := catalogue.CaseOf(desk, ref, messages)
//	err := catalogue.Check(draft, state).Refusal()
//	var refusal *protocol.Refusal
//	if errors.As(err, &refusal) { show(refusal.Reason.NL, refusal.Remedy.NL) }
//
// The catalogue, the schema of each class and one fictional example of each stand
// beside this file and are part of the program. The package is pure: it reads no
// file, no clock and no network.
package protocol

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"schakel/clients/protocol/calendar"
	"schakel/clients/protocol/routing"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

//go:embed catalogus.json schemas voorbeelden
var version1 embed.FS

// ErrCatalogue is wrapped by every refusal to load a catalogue: an agreement that
// contradicts itself is refused whole, because half of one is somebody's surprise.
var ErrCatalogue = errors.New("catalogue refused")

// V1 returns version 1 of the protocol, compiled once. It is safe for concurrent use.
var V1 = sync.OnceValue(func() *Catalogue {
	c, err := Load(version1)
	if err != nil {
		panic(err) // embedded and constant: wrong here means wrong in every test
	}
	return c
})

// Catalogue is one version of the protocol, checked and compiled, with what the
// partners added to it. It never changes.
type Catalogue struct {
	protocol string
	classes  []Class
	terms    map[message.Urgency]Terms
	rules    map[string]Rule
	kop      *jsonschema.Schema
	calendar calendar.Calendar
	source   file              // as catalogus.json and the addition say it
	files    map[string][]byte // catalogus.json, schemas/ and voorbeelden/
	addition []byte            // the partners' own, or nil
	means    map[string]Means
	ruleIDs  []string // in order
	region   func(municipality string) (string, bool)
}

// With returns the catalogue with another table of regions: the Veilig Thuis region
// of a municipality such as GM0344. The table of this version is that of routing.
func (c *Catalogue) With(region func(municipality string) (string, bool)) *Catalogue {
	other := *c
	other.region = region
	return &other
}

// Means returns how a numbered rule is kept.
func (c *Catalogue) Means(id string) (Means, bool) {
	m, ok := c.means[id]
	return m, ok
}

// Rule is one of the numbered agreements of the protocol (R01 to R26).
type Rule struct {
	Text       string `json:"tekst"`
	Source     string `json:"bron"`
	EnforcedBy string `json:"afgedwongenDoor"`
}

// file is catalogus.json as it is written.
type file struct {
	Protocol string                        `json:"protocol"`
	Version  string                        `json:"versie"`
	Roles    map[identity.Role]string      `json:"rollen"`
	Terms    map[message.Urgency]termsFile `json:"urgenties"`
	Classes  []classFile                   `json:"klassen"`
	Rules    map[string]Rule               `json:"regels"`
	Remarks  []string                      `json:"opmerkingen"`
}

// Load reads a catalogue: catalogus.json, the schemas that it names and
// schemas/kop.schema.json. It refuses unknown fields, roles, urgencies, rules and
// answers, and any schema that refers to something outside its own file.
func Load(files fs.FS) (*Catalogue, error) {
	parts := map[string][]byte{}
	for _, pattern := range []string{nameCatalogue, "schemas/*.json", "voorbeelden/*.json"} {
		names, err := fs.Glob(files, pattern)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCatalogue, err)
		}
		for _, name := range names {
			if parts[name], err = fs.ReadFile(files, name); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrCatalogue, err)
			}
		}
	}
	return load(parts)
}

// load reads a catalogue from its files by their names.
func load(files map[string][]byte) (*Catalogue, error) {
	var f file
	decoder := json.NewDecoder(bytes.NewReader(files[nameCatalogue]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCatalogue, nameCatalogue, err)
	}
	c := &Catalogue{files: files}
	if err := c.build(f, files, &Catalogue{}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCatalogue, err)
	}
	return c, nil
}

// build compiles what f says; the schemas that it names stand in schemas. Those of the
// catalogue that it grows from are compiled already.
func (c *Catalogue) build(f file, schemas map[string][]byte, from *Catalogue) (err error) {
	c.source, c.protocol, c.rules, c.terms = f, f.Protocol, f.Rules, map[message.Urgency]Terms{}
	c.means, c.ruleIDs, c.region = means(), slices.Sorted(maps.Keys(f.Rules)), routing.RegionOf
	if number(f.Protocol) == 0 {
		return fmt.Errorf("protocol %.40q: write schakel/1", f.Protocol)
	}
	for role := range f.Roles {
		if _, err := identity.ParseRole(string(role)); err != nil {
			return err
		}
	}
	for name, t := range f.Terms {
		if c.terms[name], err = t.parse(); err != nil {
			return fmt.Errorf("urgency %q: %w", name, err)
		}
	}
	for _, k := range f.Classes {
		if _, twice := c.Class(k.Name); twice {
			return fmt.Errorf("class %.40q stands there twice", k.Name)
		}
		class, err := k.parse(f, c.terms)
		if err != nil {
			return fmt.Errorf("class %q: %w", k.Name, err)
		}
		if known, ok := from.Class(k.Name); ok {
			class.schema = known.schema
		} else if class.schema, err = compile(schemas, k.Schema); err != nil {
			return fmt.Errorf("class %q: %w", k.Name, err)
		}
		class.source = schemas[k.Schema]
		c.classes = append(c.classes, class)
	}
	c.kop, err = compile(schemas, nameKop)
	return err
}

// Protocol returns the name of the version, such as schakel/1.
func (c *Catalogue) Protocol() string { return c.protocol }

// Classes returns the classes in the order of the catalogue.
func (c *Catalogue) Classes() []Class { return slices.Clone(c.classes) }

// Class returns the class of that name, in its Dutch spelling.
func (c *Catalogue) Class(name string) (Class, bool) {
	for i := range c.classes {
		if c.classes[i].Name == name {
			return c.classes[i], true
		}
	}
	return Class{}, false
}

// Calendar returns the working days by which the partners count their terms.
func (c *Catalogue) Calendar() calendar.Calendar { return c.calendar }

// Terms returns the terms of an urgency, for a class that has none of its own.
func (c *Catalogue) Terms(u message.Urgency) (Terms, bool) {
	t, ok := c.terms[u]
	return t, ok
}

// Rule returns the text of a numbered rule, such as "R09".
func (c *Catalogue) Rule(id string) (Rule, bool) {
	r, ok := c.rules[id]
	return r, ok
}
