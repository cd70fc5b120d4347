package protocol

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"schakel/clients/protocol/calendar"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Bounds of an addition.
const (
	maxAddition = 256 << 10
	maxAdded    = 16 // classes
)

// addition is the file in which partners write what they agreed on beside the protocol;
// configs/agreement.toml shows all of it. It has no words for taking anything away.
type addition struct {
	Name      string                            `toml:"name"`
	On        string                            `toml:"on"`
	Holidays  holidayTable                      `toml:"holidays"`
	Deadlines map[message.Urgency]deadlineTable `toml:"deadlines"`
	Classes   []classTable                      `toml:"class"`
}

type holidayTable struct {
	GoodFriday bool     `toml:"good-friday"`
	Liberation string   `toml:"liberation-day"`
	Closed     []string `toml:"closed"`
	Worked     []string `toml:"worked"`
}

type deadlineTable struct {
	Delivered    string `toml:"delivered"`
	Acknowledged string `toml:"acknowledged"`
	Answered     string `toml:"answered"`
}

type classTable struct {
	Name      string            `toml:"name"`
	Gloss     string            `toml:"gloss"`
	Routes    []routeTable      `toml:"routes"`
	Urgencies []message.Urgency `toml:"urgencies"`
	Answers   []string          `toml:"answers"`
	Rules     []string          `toml:"rules"`
	Signer    string            `toml:"signer"`
	Schema    string            `toml:"schema"`
}

type routeTable struct {
	From []identity.Role `toml:"from"`
	To   []identity.Role `toml:"to"`
}

// Amend returns the catalogue with what an addition says: other holidays, other
// deadlines, more classes. The catalogue itself stays as it is. What weakens a rule is
// refused whole, with a [*Weakening] that says which.
func (c *Catalogue) Amend(raw []byte) (*Catalogue, error) {
	if c.addition != nil {
		return nil, fmt.Errorf("%w: an addition stands on the protocol itself, not on another addition", ErrAgreement)
	}
	a, err := parseAddition(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: addition: %w", ErrAgreement, err)
	}
	if digest := c.Digest(); a.On != "sha256:"+hex.EncodeToString(digest[:]) {
		return nil, fmt.Errorf("%w: the addition stands on another agreement; compare `on` with `schakel agreement show`", ErrAgreement)
	}
	if err := c.weakened(a); err != nil {
		return nil, err
	}
	out := &Catalogue{files: c.files, addition: bytes.Clone(raw)}
	if out.calendar, err = a.Holidays.calendar(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAgreement, err)
	}
	f, schemas := c.with(a)
	if err := out.build(f, schemas, c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAgreement, err)
	}
	return out, nil
}

func parseAddition(raw []byte) (a addition, err error) {
	if len(raw) == 0 || len(raw) > maxAddition {
		return a, fmt.Errorf("%d bytes, want 1 to %d", len(raw), maxAddition)
	}
	d := toml.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, err
	}
	if a.Name == "" || len(a.Name) > 200 || len(a.Classes) > maxAdded {
		return a, fmt.Errorf("a name of 1 to 200 letters, and at most %d classes", maxAdded)
	}
	return a, nil
}

func (h holidayTable) calendar() (calendar.Calendar, error) {
	out := calendar.Holidays{GoodFriday: h.GoodFriday, Liberation: calendar.Liberation(h.Liberation)}
	for _, days := range []struct {
		from []string
		to   *[]calendar.Date
	}{{h.Closed, &out.Closed}, {h.Worked, &out.Worked}} {
		for _, s := range days.from {
			d, err := calendar.ParseDate(s)
			if err != nil {
				return calendar.Calendar{}, err
			}
			*days.to = append(*days.to, d)
		}
	}
	return calendar.New(out), out.Validate()
}

// with is the catalogue's source with the addition in it, and the schemas of both.
func (c *Catalogue) with(a addition) (file, map[string][]byte) {
	f, schemas := c.source, maps.Clone(c.files)
	f.Classes, f.Terms = slices.Clone(f.Classes), maps.Clone(f.Terms)
	for u, d := range a.Deadlines {
		t := f.Terms[u]
		for _, p := range d.parts(&t) {
			if p.word != "" {
				*p.to = &p.word
			}
		}
		f.Terms[u] = t
	}
	for _, k := range a.Classes {
		name := "schemas/" + k.Name + ".schema.json"
		schemas[name] = []byte(k.Schema)
		f.Classes = append(f.Classes, classFile{Name: k.Name, Gloss: k.Gloss, Routes: k.routes(), Urgencies: k.Urgencies,
			Answers: k.Answers, Rules: k.Rules, Signer: k.Signer, Schema: name})
	}
	schemas[nameKop] = withClasses(schemas[nameKop], a.Classes)
	return f, schemas
}

// deadlinePart is one of the three deadlines of an urgency: what the addition says and
// where the catalogue says it.
type deadlinePart struct {
	name, word string
	to         **string
}

func (d deadlineTable) parts(t *termsFile) []deadlinePart {
	return []deadlinePart{{"delivered", d.Delivered, &t.Delivered}, {"acknowledged", d.Acknowledged, &t.Acknowledged}, {"answered", d.Answered, &t.Answered}}
}

func (k classTable) routes() (out []Route) {
	for _, r := range k.Routes {
		out = append(out, Route{From: r.From, To: r.To})
	}
	return out
}

// withClasses lets the heading name the added classes.
func withClasses(kop []byte, added []classTable) []byte {
	const first = `"signaal",`
	for _, k := range added {
		kop = bytes.Replace(kop, []byte(first), []byte(first+"\n        \""+k.Name+`",`), 1)
	}
	return kop
}
