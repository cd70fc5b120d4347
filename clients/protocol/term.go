package protocol

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"schakel/clients/protocol/calendar"
)

// Terms are the promises that go with an urgency: how long until a device of the
// desk has the message, a named person acknowledges it, an answer is there, and
// until the sender stops trying. A zero Term is no promise.
type Terms struct {
	Delivered      Term
	Acknowledged   Term
	Answered       Term
	Life           Term
	TelephoneToo   bool // the sender must telephone as well
	AroundTheClock bool // runs by day and by night, all week
	Gloss          string
}

// Term is a length of time: in hours and minutes, in days, or in working days. Only
// one of them is set. The package calendar says what each means.
type Term struct {
	Fixed       time.Duration
	Days        int
	WorkingDays int
}

// termsFile is an urgency as catalogus.json writes it.
type termsFile struct {
	Gloss        string  `json:"gloss"`
	Delivered    *string `json:"afgeleverdBinnen"`
	Acknowledged *string `json:"bevestigdBinnen"`
	Answered     *string `json:"antwoordBinnen"`
	Telephone    bool    `json:"telefonischVerplicht"`
	Calendar     string  `json:"kalender"`
	Life         *string `json:"levensduurUitgaand"`
}

// IsZero reports whether there is no such promise.
func (t Term) IsZero() bool { return t == Term{} }

// End returns the end of a term that begins at start. Every partner computes the same
// instant from the same calendar, which is that of the agreement.
func (t Term) End(start time.Time, days calendar.Calendar) time.Time {
	switch {
	case t.WorkingDays > 0:
		return days.EndOfWorkingDay(start, t.WorkingDays)
	case t.Days > 0:
		return calendar.EndOfDay(start, t.Days)
	}
	return start.Add(t.Fixed)
}

// String is the term as the catalogue writes it, such as PT15M, P7D or 5WD.
func (t Term) String() string {
	switch {
	case t.WorkingDays > 0:
		return strconv.Itoa(t.WorkingDays) + "WD"
	case t.Days > 0:
		return fmt.Sprintf("P%dD", t.Days)
	case t.IsZero():
		return "-"
	case t.Fixed%time.Hour == 0:
		return fmt.Sprintf("PT%dH", t.Fixed/time.Hour)
	}
	return fmt.Sprintf("PT%dM", t.Fixed/time.Minute)
}

// ParseTerm reads PTnM, PTnH, PnD or nWD, with n from 1 to 9999, and lets a remark
// in parentheses stand behind it.
func ParseTerm(s string) (Term, error) {
	word, _, _ := strings.Cut(s, " (")
	number, unit := word, ""
	for _, u := range []struct{ prefix, suffix string }{{"PT", "M"}, {"PT", "H"}, {"P", "D"}, {"", "WD"}} {
		if n, ok := strings.CutSuffix(word, u.suffix); ok {
			if n, ok = strings.CutPrefix(n, u.prefix); ok {
				number, unit = n, u.prefix+u.suffix
				break
			}
		}
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 || n > 9999 || number[0] == '0' || unit == "" {
		return Term{}, fmt.Errorf("term %.20q: write PT15M, PT4H, P7D or 5WD", s)
	}
	switch unit {
	case "PTM":
		return Term{Fixed: time.Duration(n) * time.Minute}, nil
	case "PTH":
		return Term{Fixed: time.Duration(n) * time.Hour}, nil
	case "PD":
		return Term{Days: int(n)}, nil
	}
	return Term{WorkingDays: int(n)}, nil
}

func (f termsFile) parse() (t Terms, err error) {
	t = Terms{Gloss: f.Gloss, TelephoneToo: f.Telephone, AroundTheClock: f.Calendar == "24/7"}
	if f.Calendar != "24/7" && f.Calendar != "werkdagen" {
		return t, fmt.Errorf("calendar %q: write 24/7 or werkdagen", f.Calendar)
	}
	for _, p := range []struct {
		from *string
		to   *Term
	}{{f.Delivered, &t.Delivered}, {f.Acknowledged, &t.Acknowledged}, {f.Answered, &t.Answered}, {f.Life, &t.Life}} {
		if p.from == nil {
			continue
		}
		if *p.to, err = ParseTerm(*p.from); err != nil {
			return t, err
		}
	}
	if t.Life.IsZero() {
		return t, fmt.Errorf("levensduurUitgaand is missing")
	}
	return t, nil
}
