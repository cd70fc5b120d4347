package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Form is how a person fills in a message of a class: the same tree for prompts on a
// terminal and for a page. It is made from the schema of the class, so there is no
// second list of fields that could differ from what both ends check.
type Form struct {
	Class        string
	Label, Help  Text
	Fields       []Field
	Dependencies []Dependency
}

// Kind is what a field takes.
type Kind string

// The kinds of fields.
const (
	KindText         Kind = "text"    // one line
	KindLong         Kind = "long"    // several lines
	KindNumber       Kind = "number"  // whole
	KindYesNo        Kind = "yes-no"  // a true or false of the schema
	KindConfirm      Kind = "confirm" // must be said yes to
	KindDate         Kind = "date"    // 2006-01-02
	KindInstant      Kind = "instant" // RFC 3339
	KindChoice       Kind = "choice"  // one of Choices
	KindGroup        Kind = "group"   // Fields
	KindCountry      Kind = "country" // two capitals
	KindTelephone    Kind = "telephone"
	KindMunicipality Kind = "municipality"
	KindBSN          Kind = "bsn"
	KindHash         Kind = "hash"
	KindReference    Kind = "reference" // UUID of a message or case
)

// Field is one thing to fill in.
type Field struct {
	Name        string
	Label, Help Text
	Kind        Kind
	Required    bool // always; Dependencies may ask for more
	Many        bool // a list of what Kind says, at least Min
	Min, Max    int  // letters, or items where Many; 0: no bound
	Choices     []Choice
	Fields      []Field // of a group
}

// Choice is a value to choose, as the message carries it and as a person reads it.
type Choice struct {
	Value       string
	Label, Help Text // no help where the label says enough
}

// Dependency says what the answers to some fields ask of others, all at the top level.
type Dependency struct {
	When    []Condition // all of them
	Require []string
	Forbid  []string
	Allow   map[string][]string // the choices that are left
}

// Condition holds when a field has one of the values. A field that is not filled in
// counts as any value unless Filled: JSON Schema takes it so.
type Condition struct {
	Field  string
	In     []string
	Filled bool
}

// schemaNode is the part of JSON Schema that the protocol's schemas use.
type schemaNode struct {
	Type       string                 `json:"type"`
	Ref        string                 `json:"$ref"`
	Enum       []string               `json:"enum"`
	Const      any                    `json:"const"`
	Format     string                 `json:"format"`
	Pattern    string                 `json:"pattern"`
	MinLength  int                    `json:"minLength"`
	MaxLength  int                    `json:"maxLength"`
	MinItems   int                    `json:"minItems"`
	Items      *schemaNode            `json:"items"`
	Required   []string               `json:"required"`
	Properties properties             `json:"properties"`
	Defs       map[string]*schemaNode `json:"$defs"`
	AllOf      []*schemaNode          `json:"allOf"`
	If         *schemaNode            `json:"if"`
	Then       *schemaNode            `json:"then"`
	Not        *schemaNode            `json:"not"`
}

// properties keeps the order in which a schema lists its properties: it is the order
// in which a person is asked.
type properties []namedNode

type namedNode struct {
	name string
	node *schemaNode
}

// UnmarshalJSON reads an object in its order.
func (p *properties) UnmarshalJSON(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("properties: want an object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		n := &schemaNode{}
		if err := d.Decode(n); err != nil {
			return err
		}
		*p = append(*p, namedNode{fmt.Sprint(name), n})
	}
	return nil
}

func (p properties) get(name string) *schemaNode {
	for _, x := range p {
		if x.name == name {
			return x.node
		}
	}
	return nil
}

// Label is what the form of a class is called. A list of messages needs no more of it, and
// making a form is work.
func (c *Catalogue) Label(class string) (Text, bool) {
	k, ok := c.Class(class)
	if !ok {
		return Text{}, false
	}
	label, _ := allWords().class(class, k.Gloss)
	return label, true
}

// Form returns the form of a class.
func (c *Catalogue) Form(class string) (Form, error) {
	k, ok := c.Class(class)
	if !ok {
		return Form{}, fmt.Errorf("failed to make a form of %.40q: no such class", class)
	}
	var s schemaNode
	if err := json.Unmarshal(k.source, &s); err != nil {
		return Form{}, fmt.Errorf("failed to make a form of %s: %w", class, err)
	}
	b := formBuilder{class: class, defs: s.Defs, words: allWords()}
	f := Form{Class: class, Fields: b.fields("", &s)}
	f.Label, f.Help = b.words.class(class, k.Gloss)
	// What keeps a victim safe comes before any telephone number (R06).
	if i := slices.IndexFunc(f.Fields, func(f Field) bool { return f.Name == "veiligContact" }); i > 0 {
		safe := f.Fields[i]
		f.Fields = slices.Insert(slices.Delete(f.Fields, i, i+1), 0, safe)
	}
	for _, rule := range s.AllOf {
		f.Dependencies = append(f.Dependencies, dependencies(&s, nil, rule)...)
	}
	return f, nil
}

// formBuilder makes the fields of one class.
type formBuilder struct {
	class string
	defs  map[string]*schemaNode
	words words
}

func (b formBuilder) fields(parent string, s *schemaNode) (out []Field) {
	for _, p := range s.Properties {
		out = append(out, b.field(parent, p.name, p.node, slices.Contains(s.Required, p.name)))
	}
	return out
}

func (b formBuilder) field(parent, name string, s *schemaNode, required bool) Field {
	f := Field{Name: name, Required: required}
	within := name
	if s.Type == "array" && s.Items != nil {
		f.Many, f.Min, s = true, s.MinItems, s.Items
	}
	if s.Ref != "" {
		within = strings.TrimPrefix(s.Ref, "#/$defs/")
		if s = b.defs[within]; s == nil {
			s = &schemaNode{}
		}
	}
	f.Label, f.Help = b.words.field(b.class, parent, name)
	f.Kind = kindOf(s)
	if !f.Many {
		f.Min, f.Max = s.MinLength, s.MaxLength
	}
	for _, v := range s.Enum {
		label, help := b.words.value(name, v)
		f.Choices = append(f.Choices, Choice{v, label, help})
	}
	if f.Kind == KindGroup {
		f.Fields = b.fields(within, s)
	}
	return f
}

// kindOf says what a schema takes. The long texts are those that hold a story.
func kindOf(s *schemaNode) Kind {
	const story = 1000
	switch {
	case s.Type == "object":
		return KindGroup
	case len(s.Enum) > 0:
		return KindChoice
	case s.Const != nil:
		return KindConfirm
	case s.Type == "boolean":
		return KindYesNo
	case s.Type == "integer":
		return KindNumber
	case s.Format == "date":
		return KindDate
	case s.Format == "date-time":
		return KindInstant
	case s.MaxLength > story:
		return KindLong
	}
	return kindOfPattern(s.Pattern)
}

func kindOfPattern(pattern string) Kind {
	switch {
	case pattern == `^\+[0-9]{6,15}$`:
		return KindTelephone
	case pattern == `^[A-Z]{2}$`:
		return KindCountry
	case pattern == `^GM[0-9]{4}$`:
		return KindMunicipality
	case pattern == `^[0-9]{9}$`:
		return KindBSN
	case pattern == `^sha256:[0-9a-f]{64}$`:
		return KindHash
	case strings.HasPrefix(pattern, "^[0-9a-f]{8}-"):
		return KindReference
	}
	return KindText
}

// dependencies reads an if and then, and the ones inside its then.
func dependencies(top *schemaNode, when []Condition, rule *schemaNode) (out []Dependency) {
	if rule.If == nil || rule.Then == nil {
		return nil
	}
	when = slices.Clone(when)
	for _, p := range rule.If.Properties {
		when = append(when, Condition{p.name, valuesOf(p.node), slices.Contains(rule.If.Required, p.name)})
	}
	d := Dependency{When: when, Require: rule.Then.Required, Allow: map[string][]string{}}
	if rule.Then.Not != nil {
		d.Forbid = rule.Then.Not.Required
	}
	for _, p := range rule.Then.Properties {
		allowed := valuesOf(p.node)
		if p.node.Not != nil {
			known := top.Properties.get(p.name)
			allowed = slices.DeleteFunc(slices.Clone(known.Enum), func(v string) bool { return slices.Contains(valuesOf(p.node.Not), v) })
		}
		d.Allow[p.name] = allowed
	}
	if len(d.Require)+len(d.Forbid)+len(d.Allow) > 0 {
		out = append(out, d)
	}
	return append(out, dependencies(top, when, rule.Then)...)
}

func valuesOf(s *schemaNode) []string {
	if s.Const != nil {
		return []string{said(s.Const)}
	}
	return s.Enum
}

// said is a value as a form says it: yes and no of the schema are ja and nee.
func said(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "ja"
		}
		return "nee"
	case string:
		return v
	}
	return fmt.Sprint(v)
}
