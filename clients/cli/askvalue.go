package cli

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"schakel/clients/protocol"
	"schakel/clients/protocol/routing"
)

// reads turns what a person typed into what the message carries, or says what is wrong.
// It is kinder than the schema: a local number, a date as people write it, the name of a
// municipality. Both ends check by the schema all the same.
func (q asker) reads(f protocol.Field, typed string) (v string, wrong protocol.Text, err error) {
	switch f.Kind {
	case protocol.KindYesNo, protocol.KindConfirm:
		said, ok := yesOrNo(typed)
		switch {
		case !ok:
			return "", text("antwoord ja of nee", "answer yes or no"), nil
		case !said && f.Kind == protocol.KindConfirm:
			return "", text("zonder ja kan dit bericht niet weg; Ctrl-C stopt", "without a yes this message cannot go; Ctrl-C stops"), nil
		case said:
			return "ja", wrong, nil
		}
		return "nee", wrong, nil
	case protocol.KindNumber:
		if _, err := strconv.Atoi(typed); err != nil {
			return "", text("schrijf een heel getal", "write a whole number"), nil
		}
	case protocol.KindDate:
		return q.instant(typed, []string{time.DateOnly, "02-01-2006", "2-1-2006"}, time.DateOnly, text("schrijf een datum zoals 2026-11-24", "write a date such as 2026-11-24"))
	case protocol.KindInstant:
		return q.instant(typed, []string{time.RFC3339, "2006-01-02 15:04", "02-01-2006 15:04", "2006-01-02T15:04"}, time.RFC3339,
			text("schrijf datum en tijd zoals 2026-11-24 15:00", "write date and time such as 2026-11-24 15:00"))
	case protocol.KindCountry:
		typed = strings.ToUpper(typed)
		if len(typed) != 2 {
			return "", text("schrijf de twee letters van het land, zoals NL", "write the two letters of the country, such as NL"), nil
		}
	case protocol.KindTelephone:
		return telephone(typed), wrong, nil
	case protocol.KindMunicipality:
		return q.municipality(typed)
	case protocol.KindBSN:
		if len(typed) != 9 || strings.Trim(typed, "0123456789") != "" {
			return "", text("een BSN heeft negen cijfers", "a BSN has nine digits"), nil
		}
	}
	return typed, length(f, typed), nil
}

func length(f protocol.Field, typed string) protocol.Text {
	n := utf8.RuneCountInString(typed)
	switch {
	case f.Many:
	case f.Min > 0 && n < f.Min:
		return text("schrijf minstens "+strconv.Itoa(f.Min)+" tekens", "write at least "+strconv.Itoa(f.Min)+" characters")
	case f.Max > 0 && n > f.Max:
		return text("schrijf hoogstens "+strconv.Itoa(f.Max)+" tekens", "write at most "+strconv.Itoa(f.Max)+" characters")
	}
	return protocol.Text{}
}

// instant reads a moment in the zone of this machine.
func (q asker) instant(typed string, layouts []string, want string, wrong protocol.Text) (string, protocol.Text, error) {
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, typed, q.Zone); err == nil {
			return t.Format(want), protocol.Text{}, nil
		}
	}
	return "", wrong, nil
}

// telephone writes a number as messages carry it: a Dutch one gets its country code.
func telephone(typed string) string {
	plain := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(typed)
	switch {
	case strings.HasPrefix(plain, "00"):
		return "+" + plain[2:]
	case strings.HasPrefix(plain, "0"):
		return "+31" + plain[1:]
	}
	return plain
}

// municipality finds the code of a municipality by its name, and lets the person choose
// where a name may mean two.
func (q asker) municipality(typed string) (string, protocol.Text, error) {
	found := routing.Find(typed)
	switch len(found) {
	case 0:
		near := strings.Join(routing.Suggest(typed, 3), ", ")
		return "", text("deze gemeente is niet bekend. Bedoelt u: "+near+"?", "this municipality is not known. Do you mean: "+near+"?"), nil
	case 1:
		q.tell("  %s (%s), Veilig Thuis %s", found[0].Name, found[0].Code, found[0].Region.Name)
		return found[0].Code, protocol.Text{}, nil
	}
	var choices []choice
	for _, f := range found {
		choices = append(choices, choice{f.Code, f.Name + " (" + f.Province + ")", ""})
	}
	code, err := q.number(">", choices, true)
	return code, protocol.Text{}, err
}
