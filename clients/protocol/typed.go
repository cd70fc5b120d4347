package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"schakel/clients/protocol/routing"
)

// Read turns what a person typed in a field into what the message carries, or says what
// is wrong with it. It is kinder than the schema: a local number, a date as people write
// it, the name of a municipality. Both ends check by the schema all the same. Times are
// those of zone.
func (f Field) Read(typed string, zone *time.Location) (v string, wrong Text) {
	if wrong := unseen(typed); wrong != (Text{}) {
		return "", wrong
	}
	switch f.Kind {
	case KindYesNo, KindConfirm:
		return f.readYes(typed)
	case KindNumber:
		if _, err := strconv.Atoi(typed); err != nil {
			return "", Text{"schrijf een heel getal", "write a whole number"}
		}
	case KindDate:
		return instant(typed, zone, []string{time.DateOnly, "02-01-2006", "2-1-2006"}, time.DateOnly, Text{"schrijf een datum zoals 2026-11-24", "write a date such as 2026-11-24"})
	case KindInstant:
		return instant(typed, zone, []string{time.RFC3339, "2006-01-02 15:04", "02-01-2006 15:04", "2006-01-02T15:04", "2006-01-02T15:04:05"}, time.RFC3339,
			Text{"schrijf datum en tijd zoals 2026-11-24 15:00", "write date and time such as 2026-11-24 15:00"})
	case KindChoice:
		for _, c := range f.Choices {
			if c.Value == typed {
				return typed, wrong
			}
		}
		return "", Text{"kies uit de lijst", "choose from the list"}
	case KindCountry:
		typed = strings.ToUpper(typed)
		if len(typed) != 2 {
			return "", Text{"schrijf de twee letters van het land, zoals NL", "write the two letters of the country, such as NL"}
		}
	case KindTelephone:
		return Telephone(typed)
	case KindMunicipality:
		return municipality(typed)
	case KindBSN:
		if len(typed) != 9 || strings.Trim(typed, "0123456789") != "" {
			return "", Text{"een BSN heeft negen cijfers", "a BSN has nine digits"}
		}
	}
	return typed, f.length(typed)
}

// unseen refuses what nobody sees and every recipient gets: an arrow key leaves an escape
// sequence in a terminal, and a character that turns the direction of reading shows an
// address backwards.
func unseen(typed string) Text {
	switch {
	case !utf8.ValidString(typed):
		return Text{"hier staan tekens die geen tekst zijn; typ het opnieuw", "this holds characters that are no text; type it again"}
	case strings.ContainsFunc(typed, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		return Text{"hier staan stuurtekens, zoals van een pijltjestoets; typ het opnieuw",
			"this holds control characters, such as an arrow key makes; type it again"}
	case strings.ContainsFunc(typed, turns):
		return Text{"hier staan onzichtbare tekens die de leesrichting omkeren; typ het opnieuw",
			"this holds invisible characters that turn the direction of reading; type it again"}
	}
	return Text{}
}

// turns reports whether a character overrides or isolates the direction of what follows
// (Unicode Standard Annex 9). The marks that Arabic and Hebrew names need are none of them.
func turns(r rune) bool { return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' }

func (f Field) readYes(typed string) (string, Text) {
	said, ok := YesOrNo(typed)
	switch {
	case !ok:
		return "", Text{"antwoord ja of nee", "answer yes or no"}
	case !said && f.Kind == KindConfirm:
		return "", Text{"zonder ja kan dit bericht niet weg", "without a yes this message cannot go"}
	case said:
		return "ja", Text{}
	}
	return "nee", Text{}
}

// YesOrNo reads a yes or a no in both languages.
func YesOrNo(typed string) (said, ok bool) {
	switch strings.ToLower(typed) {
	case "j", "ja", "y", "yes":
		return true, true
	case "n", "nee", "no":
		return false, true
	}
	return false, false
}

func (f Field) length(typed string) Text {
	n := utf8.RuneCountInString(typed)
	switch {
	case f.Many:
	case f.Min > 0 && n < f.Min:
		return Text{"schrijf minstens " + strconv.Itoa(f.Min) + " tekens", "write at least " + strconv.Itoa(f.Min) + " characters"}
	case f.Max > 0 && n > f.Max:
		return Text{fmt.Sprintf("schrijf hoogstens %d tekens; dit zijn er %d", f.Max, n), fmt.Sprintf("write at most %d characters; these are %d", f.Max, n)}
	}
	return Text{}
}

func instant(typed string, zone *time.Location, layouts []string, want string, wrong Text) (string, Text) {
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, typed, zone); err == nil {
			return t.Format(want), Text{}
		}
	}
	return "", wrong
}

// Telephone writes a number that somebody typed as messages carry it, with + and 6 to 15
// digits: a Dutch one gets its country code. What is no number gives no number and the fault.
func Telephone(typed string) (string, Text) {
	plain := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(typed)
	switch {
	case strings.HasPrefix(plain, "00"):
		plain = "+" + plain[2:]
	case strings.HasPrefix(plain, "0"):
		plain = "+31" + plain[1:]
	}
	digits, ok := strings.CutPrefix(plain, "+")
	if !ok || len(digits) < 6 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
		return "", Text{"schrijf een nummer zoals 06 0000 0007 of +31600000007", "write a number such as 06 0000 0007 or +31600000007"}
	}
	return plain, Text{}
}

// municipality finds the code of a municipality by its name. Where a name may mean two it
// names them: a report to the wrong region loses a day.
func municipality(typed string) (string, Text) {
	found := routing.Find(typed)
	switch len(found) {
	case 0:
		near := strings.Join(routing.Suggest(typed, 3), ", ")
		return "", Text{"deze gemeente is niet bekend. Bedoelt u: " + near + "?", "this municipality is not known. Do you mean: " + near + "?"}
	case 1:
		return found[0].Code, Text{}
	}
	var names []string
	for _, f := range found {
		names = append(names, f.Code+" ("+f.Name+", "+f.Province+")")
	}
	both := strings.Join(names, ", ")
	return "", Text{"er zijn er meer met deze naam. Schrijf de code: " + both, "there are more of this name. Write the code: " + both}
}

// ParseValues reads the values of a form from JSON: a body, or what is there of one.
func ParseValues(raw []byte) (Values, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return PlainValues(v), nil
}

// PlainValues turns what a decoder of JSON or TOML gives into what a form takes.
func PlainValues(v map[string]any) Values {
	out := Values{}
	for name, x := range v {
		out[name] = plainValue(x)
	}
	return out
}

// plainValue is text, yes or no, a list or a group.
func plainValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return PlainValues(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plainValue(x)
		}
		return out
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case json.Number:
		return v.String()
	case time.Time:
		return v.Format(time.RFC3339)
	case nil:
		return ""
	case string, bool:
		return v
	}
	return fmt.Sprint(v)
}

// Given reports whether a value of a form says anything.
func Given(v any) bool { return !empty(v) }
