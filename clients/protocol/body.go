package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Limits of a body, beside message.MaxBody bytes. The deepest example nests four.
const (
	maxDepth  = 16
	maxValues = 8192
)

// walker builds the value of a JSON text from its tokens and stops at the first
// thing that two readers could read differently (a key twice, a lone surrogate,
// broken UTF-8, a number beyond what a double holds) or that costs more to read
// than to send. The schema library keeps numbers as fractions of any size: without
// the bound, the eleven bytes 1e999999999 would take a gigabyte.
type walker struct {
	tokens *json.Decoder
	values int
}

// parseWithin reads a JSON text strictly. Its numbers are json.Number, as the schema
// library wants them.
func parseWithin(raw []byte, limit int) (any, *Refusal) {
	if len(raw) == 0 || len(raw) > limit {
		return nil, badJSON(Text{
			fmt.Sprintf("de inhoud is %d bytes; dat moet tussen 1 en %d zijn", len(raw), limit),
			fmt.Sprintf("the body has %d bytes, and must have 1 to %d", len(raw), limit)})
	}
	if !utf8.Valid(raw) || !json.Valid(raw) || loneSurrogate(raw) {
		return nil, badJSON(Text{"de inhoud is geen geldige JSON in UTF-8", "the body is not valid JSON in UTF-8"})
	}
	w := walker{tokens: json.NewDecoder(bytes.NewReader(raw))}
	w.tokens.UseNumber()
	return w.value(0)
}

func badJSON(reason Text) *Refusal {
	return refuse(RuleJSON, reason, Text{
		"maak het bericht opnieuw met het formulier van de klasse; wijzig geen bestand met de hand",
		"make the message again with the form of its class; do not edit the file by hand"})
}

func (w *walker) value(depth int) (any, *Refusal) {
	if w.values++; w.values > maxValues || depth > maxDepth {
		return nil, badJSON(Text{"de inhoud heeft te veel of te diep geneste velden", "the body has too many fields, or nests too deep"})
	}
	switch t := w.token().(type) {
	case json.Delim:
		if t == '{' {
			return w.object(depth)
		}
		return w.array(depth)
	case json.Number:
		return t, checkNumber(t)
	case string:
		return t, checkText(t)
	default:
		return t, nil
	}
}

func (w *walker) object(depth int) (any, *Refusal) {
	o := map[string]any{}
	for w.tokens.More() {
		key, _ := w.token().(string)
		if _, twice := o[key]; twice {
			return nil, badJSON(Text{"een veld staat er twee keer", "a field stands there twice"})
		}
		v, refusal := w.value(depth + 1)
		if refusal != nil {
			return nil, refusal
		}
		o[key] = v
	}
	w.token()
	return o, nil
}

func (w *walker) array(depth int) (any, *Refusal) {
	a := []any{}
	for w.tokens.More() {
		v, refusal := w.value(depth + 1)
		if refusal != nil {
			return nil, refusal
		}
		a = append(a, v)
	}
	w.token()
	return a, nil
}

// token returns the next token. The text is valid JSON by now, so there is one.
func (w *walker) token() json.Token {
	t, err := w.tokens.Token()
	if err != nil {
		return nil
	}
	return t
}

// checkNumber accepts whole numbers that every JSON reader reads alike (RFC 8259,
// 6: up to 2^53).
func checkNumber(n json.Number) *Refusal {
	const limit = 1 << 53
	i, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil || i < -limit || i > limit {
		return badJSON(Text{"een getal is geen heel getal, of te groot", "a number is not a whole number, or too large"})
	}
	return nil
}

// checkText refuses control characters: a partner's text is shown on terminals,
// where an escape character moves the cursor and rewrites what stood there.
func checkText(s string) *Refusal {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return badJSON(Text{"een tekst bevat stuurtekens", "a text holds control characters"})
		}
	}
	return nil
}

// loneSurrogate reports whether a valid JSON text escapes half of a surrogate
// pair. Go reads it as U+FFFD, others as something else or not at all.
func loneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if i++; raw[i] != 'u' {
			continue
		}
		switch first := hex4(raw[i+1:]); {
		case first >= 0xdc00 && first < 0xe000:
			return true
		case first >= 0xd800 && first < 0xdc00:
			rest := raw[i+5:]
			if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' || hex4(rest[2:])>>10 != 0xdc00>>10 {
				return true
			}
			i += 6
		}
		i += 4
	}
	return false
}

// hex4 reads the four digits of an escape in a valid JSON text.
func hex4(b []byte) uint64 {
	n, _ := strconv.ParseUint(string(b[:4]), 16, 16)
	return n
}
