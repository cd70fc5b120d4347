package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// maxFaults bounds a refusal: who made a hundred mistakes wants to see the first ones.
const maxFaults = 20

// closed is a schema loader that loads nothing: a schema that refers to another
// document, on the network or on this disk, does not compile.
type closed struct{}

var _ jsonschema.URLLoader = closed{}

func (closed) Load(url string) (any, error) {
	return nil, fmt.Errorf("schema refers to %q; every schema must stand on its own", url)
}

// nameKop is the schema of the heading.
const nameKop = "schemas/kop.schema.json"

func compile(files map[string][]byte, name string) (*jsonschema.Schema, error) {
	raw, ok := files[name]
	if !ok {
		return nil, fmt.Errorf("schema %.80q is missing", name)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(closed{})
	// A bare name would be taken for a path in the working directory, whose own name may be no
	// part of an address, such as one with a percent sign.
	address := "schakel:///" + name
	if err := c.AddResource(address, doc); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c.Compile(address)
}

// readBody parses a body strictly and checks it against a schema.
func readBody(s *jsonschema.Schema, raw []byte) (any, *Refusal) {
	body, refusal := parseBody(raw)
	if refusal != nil {
		return nil, refusal
	}
	return body, validate(s, body)
}

// validate checks a parsed body against a schema.
func validate(s *jsonschema.Schema, body any) *Refusal {
	err := s.Validate(body)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		invalid = &jsonschema.ValidationError{ErrorKind: &kind.Schema{}}
	}
	faults := leaves(nil, invalid)
	slices.SortFunc(faults, func(a, b Fault) int {
		if c := strings.Compare(a.At, b.At); c != 0 {
			return c
		}
		return strings.Compare(a.Reason.EN, b.Reason.EN)
	})
	faults = slices.Compact(faults)
	r := refuse(RuleSchema, Text{
		fmt.Sprintf("%d fout(en) in de inhoud; de eerste, bij %s: %s", len(faults), place(faults[0].At), faults[0].Reason.NL),
		fmt.Sprintf("%d fault(s) in the body; the first, at %s: %s", len(faults), place(faults[0].At), faults[0].Reason.EN),
	}, Text{"verbeter de genoemde velden en verstuur opnieuw", "mend the fields that are named and send again"})
	r.Faults = faults[:min(len(faults), maxFaults)]
	return r
}

func place(at string) string {
	if at == "" {
		return "/"
	}
	return at
}

// leaves appends the faults under e that have no cause of their own.
func leaves(faults []Fault, e *jsonschema.ValidationError) []Fault {
	if len(e.Causes) == 0 {
		return append(faults, Fault{At: pointer(e.InstanceLocation), Reason: describe(e.ErrorKind)})
	}
	for _, cause := range e.Causes {
		faults = leaves(faults, cause)
	}
	return faults
}

// pointer is a JSON pointer whose names were perhaps chosen by a stranger.
func pointer(path []string) string {
	var b strings.Builder
	for _, name := range path {
		b.WriteByte('/')
		b.WriteString(fieldName(name))
	}
	return b.String()
}

// fieldName lets through what can be the name of a field. Anything else is text
// that somebody put where a name belongs, and may be about a person.
func fieldName(s string) string {
	if len(s) == 0 || len(s) > 40 {
		return "?"
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return "?"
		}
	}
	return s
}

func fieldNames(names []string) string {
	out := make([]string, 0, min(len(names), maxFaults))
	for _, n := range names[:min(len(names), maxFaults)] {
		out = append(out, fieldName(n))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// describe says what is wrong without quoting what was written.
func describe(k jsonschema.ErrorKind) Text {
	switch k := k.(type) {
	case *kind.Required:
		names := fieldNames(k.Missing)
		return Text{"verplicht veld ontbreekt: " + names, "required field is missing: " + names}
	case *kind.AdditionalProperties:
		names := fieldNames(k.Properties)
		return Text{"onbekend veld: " + names, "unknown field: " + names}
	case *kind.Enum:
		return Text{"kies uit: " + choices(k.Want), "choose from: " + choices(k.Want)}
	case *kind.Const:
		return Text{"moet zijn: " + choices([]any{k.Want}), "must be: " + choices([]any{k.Want})}
	case *kind.Type:
		return Text{"moet een " + strings.Join(k.Want, " of ") + " zijn", "must be " + strings.Join(k.Want, " or ")}
	case *kind.Pattern:
		return describePattern(k.Want)
	case *kind.Format:
		return Text{"is geen geldige " + k.Want, "is not a valid " + k.Want}
	}
	return describeSize(k)
}

// describePattern says a form in words: a person at night reads no expressions.
func describePattern(pattern string) Text {
	switch pattern {
	case `^\+[0-9]{6,15}$`:
		return Text{"schrijf een telefoonnummer als +31600000007", "write a telephone number as +31600000007"}
	case `^[A-Z]{2}$`:
		return Text{"schrijf een land in twee hoofdletters, zoals NL", "write a country in two capitals, such as NL"}
	case `^GM[0-9]{4}$`:
		return Text{"schrijf een gemeentecode als GM0344", "write a municipality as GM0344"}
	case `^[0-9]{9}$`:
		return Text{"schrijf een bsn in negen cijfers", "write a bsn in nine digits"}
	case `^sha256:[0-9a-f]{64}$`:
		return Text{"schrijf een hash als sha256: en 64 tekens", "write a hash as sha256: and 64 digits"}
	}
	return Text{"heeft niet de vorm " + pattern, "does not have the form " + pattern}
}

func describeSize(k jsonschema.ErrorKind) Text {
	bound := func(nl, en string, n int) Text { return Text{nl + strconv.Itoa(n), en + strconv.Itoa(n)} }
	switch k := k.(type) {
	case *kind.MinLength:
		return bound("te kort; minimaal ", "too short; at least ", k.Want)
	case *kind.MaxLength:
		return bound("te lang; maximaal ", "too long; at most ", k.Want)
	case *kind.MinItems:
		return bound("te weinig; minimaal ", "too few; at least ", k.Want)
	case *kind.MaxItems:
		return bound("te veel; maximaal ", "too many; at most ", k.Want)
	case *kind.Minimum:
		return Text{"te klein; minimaal " + k.Want.RatString(), "too small; at least " + k.Want.RatString()}
	case *kind.Maximum:
		return Text{"te groot; maximaal " + k.Want.RatString(), "too large; at most " + k.Want.RatString()}
	case *kind.Not, *kind.FalseSchema:
		return Text{"mag hier niet staan", "may not stand here"}
	}
	return Text{"voldoet niet aan het schema", "does not satisfy the schema"}
}

func choices(want []any) string {
	out := make([]string, len(want))
	for i, w := range want {
		out[i] = fmt.Sprint(w)
	}
	return strings.Join(out, ", ")
}
