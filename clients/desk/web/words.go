package web

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
)

// language of a page.
type language string

const (
	dutch   language = "nl"
	english language = "en"
)

func (l language) of(t protocol.Text) string {
	if l == english {
		return t.EN
	}
	return t.NL
}

// languageOf is the language that a browser asks for: by its own choice here, then by
// its settings, then Dutch.
func languageOf(r *http.Request) language {
	if c, err := r.Cookie(languageCookie); err == nil && language(c.Value) == english {
		return english
	} else if err == nil {
		return dutch
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		switch strings.ToLower(strings.TrimSpace(part))[:min(2, len(strings.TrimSpace(part)))] {
		case "nl":
			return dutch
		case "en":
			return english
		}
	}
	return dutch
}

const languageCookie = "schakel-language"

// woorden.csv has every text of the pages: key, Dutch, English. A text with %s or %d
// takes what a page fills in. Where a number decides, there are two keys, with .one and
// .more; both languages have no other plurals. Tests hold that each key is used and none
// is missing, and that the sentences are short and plain.
//
//go:embed woorden.csv
var wordsFile string

var allWords = sync.OnceValue(func() map[string]protocol.Text {
	w, err := readWords(wordsFile)
	if err != nil {
		panic(err) // embedded and constant: wrong here means wrong in every test
	}
	return w
})

func readWords(text string) (map[string]protocol.Text, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord = '|', 3
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	w := map[string]protocol.Text{}
	for _, row := range rows[1:] {
		if _, twice := w[row[0]]; twice {
			return nil, fmt.Errorf("woorden.csv: %s stands there twice", row[0])
		}
		w[row[0]] = protocol.Text{NL: row[1], EN: row[2]}
	}
	return w, nil
}

// word is a text of the catalogue. A key that is not there shows as itself: a test finds
// it before anybody sees it, unless its end is what a partner or a newer program says.
func (l language) word(key string, fill ...any) string {
	t, ok := allWords()[key]
	if !ok {
		return harmless.Line(key)
	}
	if len(fill) == 0 {
		return l.of(t)
	}
	return fmt.Sprintf(l.of(t), fill...)
}

// count is a text about a number of things.
func (l language) count(key string, n int) string {
	if n == 1 {
		return l.word(key+".one", n)
	}
	return l.word(key+".more", n)
}

// date is a day, of a date without a time.
func (l language) date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%d %s %d", t.Day(), l.of(protocol.Month(t.Month())), t.Year())
}

// when is a moment as people say it, by the clock of Amsterdam.
func (l language) when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	t = t.In(calendar.Zone())
	return fmt.Sprintf("%d %s %d, %s", t.Day(), l.of(protocol.Month(t.Month())), t.Year(), t.Format("15:04"))
}

// clock is a moment of these weeks with its weekday, as a rota is read.
func (l language) clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	t = t.In(calendar.Zone())
	return fmt.Sprintf("%s %d %s, %s", l.of(protocol.Weekday(t.Weekday())), t.Day(), l.of(protocol.Month(t.Month())), t.Format("15:04"))
}

// lasts is a length of time as people say it.
func (l language) lasts(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return l.count("time.seconds", int(d.Seconds()))
	case d < 2*time.Hour:
		return l.count("time.minutes", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour:
		return l.count("time.hours", int(d.Round(time.Hour).Hours()))
	}
	return l.count("time.days", int(d.Hours()/24))
}
