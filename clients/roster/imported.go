package roster

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-ical"

	"schakel/relay/rota"
)

// Bounds of a calendar that comes in.
const (
	MaxCalendar    = 360 << 10 // one fits a request to the daemon
	maxEvents      = 2000
	maxCalendar    = 1 << 10 // bytes of a line that is looked at; a summary fits
	maxCalendarTop = 4       // components within components
)

// Import is what became of the events of a calendar. What was not understood is named:
// nobody may think that they are relieved by an event that was skipped.
type Import struct {
	Shifts  int       `json:"shifts"` // taken as overrides
	Rules   int       `json:"rules"`  // taken as rules that come back
	Skipped []Skipped `json:"skipped"`
}

// Skipped is an event that was not taken, and why.
type Skipped struct {
	Event  string `json:"event"` // its summary or identifier
	Reason string `json:"reason"`
}

// Import takes the shifts of a calendar into a roster: events that happen once as
// overrides, events that come back as rules. Whom an event means is said by our own
// property in it, or by a summary that is the name or contact of somebody of the desk.
func (r Roster) Import(d Decision, file []byte) (Roster, Import, error) {
	events, err := readCalendar(file)
	if err != nil {
		return r, Import{}, err
	}
	var report Import
	out := r
	out.Layers = slices.Clone(r.Layers)
	var changes []rota.Change
	var taken []shown
	for _, e := range events {
		got, err := r.read(e)
		if err == nil && slices.ContainsFunc(taken, got.contradicts) {
			err = errTwice
		}
		if err != nil {
			report.Skipped = append(report.Skipped, Skipped{eventName(e), err.Error()})
			continue
		}
		if got.rule != nil {
			out.Layers[got.level].Rules = append(slices.Clone(out.Layers[got.level].Rules), *got.rule)
			report.Rules++
			continue
		}
		taken, changes = append(taken, got), append(changes, got.change(d))
	}
	slices.SortFunc(changes, rota.Change.Compare)
	changes = slices.CompactFunc(changes, func(a, b rota.Change) bool { return a.ID == b.ID })
	report.Shifts = len(changes)
	return out.imported(d, changes, report)
}

// imported puts changes behind those that were decided before.
func (r Roster) imported(d Decision, changes []rota.Change, report Import) (Roster, Import, error) {
	r = r.pruned(d.At)
	r.Changes = slices.DeleteFunc(r.Changes, func(c rota.Change) bool {
		return slices.ContainsFunc(changes, func(n rota.Change) bool { return n.ID == c.ID })
	})
	if n := len(r.Changes); n > 0 && len(changes) > 0 && r.Changes[n-1].Compare(changes[0]) >= 0 {
		for i := range changes {
			changes[i].Decided = r.Changes[n-1].Decided + 1
		}
	}
	r.Changes = append(r.Changes, changes...)
	return r, report, r.Check()
}

// shown is one event as a rota understands it.
type shown struct {
	uid      string
	contact  rota.Contact
	level    int
	from, to time.Time
	rule     *rota.Rule
}

func (s shown) change(d Decision) rota.Change {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", s.uid, s.from.Unix(), s.level))
	return rota.Change{ID: "i" + hex.EncodeToString(sum[:8]), Decided: rota.MomentOf(d.At), By: clip(d.By), Kind: rota.Override,
		Level: s.level, From: rota.MomentOf(s.from), To: rota.MomentOf(s.to), Contact: s.contact}
}

// contradicts reports whether two events put different people on call at once.
func (s shown) contradicts(o shown) bool {
	return s.rule == nil && s.level == o.level && s.contact != o.contact && s.from.Before(o.to) && o.from.Before(s.to)
}

// What an import says of an event that it skips.
var (
	errNobody   = errors.New("no contact or person of this desk is named by it")
	errLevel    = errors.New("at a level that this rota does not have")
	errNoTimes  = errors.New("without a beginning and an end that can be read; times are UTC, without zone, or of Europe/Amsterdam")
	errRecurs   = errors.New("comes back in a way that a rota does not: daily, weekly or monthly, without exceptions and without a count")
	errCanceled = errors.New("cancelled")
	errTwice    = errors.New("at the same time as an event before it, of somebody else at the same level")
	errLength   = errors.New("ends before it begins, or lasts longer than 35 days")
)

// maxImported is how long one shift may last.
const maxImported = 35 * 24 * time.Hour

func (r Roster) read(e *ical.Component) (s shown, err error) {
	if strings.EqualFold(text(e, ical.PropStatus), "CANCELLED") {
		return s, errCanceled
	}
	if s.contact, err = r.means(e); err != nil {
		return s, err
	}
	if l := text(e, propLevel); l != "" {
		if s.level, err = strconv.Atoi(l); err != nil || s.level < 0 {
			return s, errLevel
		}
	}
	if s.level >= len(r.Layers) {
		return s, errLevel
	}
	from, to, err := times(e)
	if err != nil {
		return s, err
	}
	if s.from, s.to = from.at, to.at; !s.from.Before(s.to) || s.to.Sub(s.from) > maxImported {
		return s, errLength
	}
	s.uid = text(e, ical.PropUID)
	for _, p := range []string{ical.PropExceptionDates, ical.PropRecurrenceDates, ical.PropRecurrenceID} {
		if len(e.Props[p]) > 0 {
			return s, errRecurs
		}
	}
	if len(e.Props[ical.PropRecurrenceRule]) > 0 {
		s.rule, err = recurs(text(e, ical.PropRecurrenceRule), from, to, s.contact)
	}
	return s, err
}

func (r Roster) means(e *ical.Component) (rota.Contact, error) {
	if c, err := r.Find(text(e, propContact)); err == nil {
		return c, nil
	}
	summary := text(e, ical.PropSummary)
	if _, name, ok := strings.Cut(summary, ": "); ok { // as Export writes it
		if c, err := r.Find(strings.TrimSpace(name)); err == nil {
			return c, nil
		}
	}
	if c, err := r.Find(strings.TrimSpace(summary)); err == nil {
		return c, nil
	}
	return "", errNobody
}

// recurs takes a rule that says nothing but what a rota knows. UNTIL (the last beginning)
// becomes the minute after it.
func recurs(rule string, from, to stamp, who rota.Contact) (*rota.Rule, error) {
	if from.utc || to.utc {
		return nil, fmt.Errorf("%w; and a rule follows the clock on the wall: write its times without Z", errRecurs)
	}
	out := rota.Rule{From: rota.LocalOf(from.at), To: rota.LocalOf(to.at), Contacts: []rota.Contact{who}}
	var kept []string
	for part := range strings.SplitSeq(strings.ToUpper(rule), ";") {
		key, value, _ := strings.Cut(part, "=")
		switch {
		case key == "WKST" && value == "MO", key == "INTERVAL" && value == "1":
		case key == "UNTIL":
			last, err := readStamp(value, "")
			if err != nil {
				return nil, errRecurs
			}
			out.Until = rota.LocalOf(last.at.Add(time.Minute))
		default:
			kept = append(kept, part)
		}
	}
	order := map[string]int{"FREQ": 0, "INTERVAL": 1}
	slices.SortStableFunc(kept, func(a, b string) int {
		place := func(s string) int {
			key, _, _ := strings.Cut(s, "=")
			if n, ok := order[key]; ok {
				return n
			}
			return 2
		}
		return cmp.Compare(place(a), place(b))
	})
	out.Repeat = strings.Join(kept, ";")
	if err := out.Check(); err != nil {
		return nil, errRecurs
	}
	return &out, nil
}

// stamp is a time in a calendar; utc says that it does not follow the clock on the wall.
type stamp struct {
	at  time.Time
	utc bool
}

func times(e *ical.Component) (from, to stamp, err error) {
	if from, err = prop(e, ical.PropDateTimeStart); err != nil {
		return from, to, err
	}
	if d := text(e, ical.PropDuration); d != "" && len(e.Props[ical.PropDateTimeEnd]) == 0 {
		length, err := e.Props.Get(ical.PropDuration).Duration()
		if err != nil || length <= 0 || length > maxImported {
			return from, to, errNoTimes
		}
		return from, stamp{from.at.Add(length), from.utc}, nil
	}
	to, err = prop(e, ical.PropDateTimeEnd)
	return from, to, err
}

func prop(e *ical.Component, name string) (stamp, error) {
	p := e.Props.Get(name)
	if p == nil || len(e.Props[name]) != 1 {
		return stamp{}, errNoTimes
	}
	return readStamp(p.Value, p.Params.Get(ical.ParamTimezoneID))
}

// readStamp reads 20261224, 20261224T180000 and 20261224T170000Z. A date begins at
// midnight. No zone is looked up by a name that a stranger wrote.
func readStamp(value, zone string) (stamp, error) {
	if zone != "" && zone != "Europe/Amsterdam" {
		return stamp{}, errNoTimes
	}
	if t, err := time.Parse("20060102T150405Z", value); err == nil && zone == "" {
		return stamp{t, true}, nil
	}
	for _, form := range []string{"20060102T150405", "20060102"} {
		if t, err := time.Parse(form, value); err == nil {
			at, err := rota.Local(t.Format("2006-01-02T15:04")).Instant()
			if err != nil {
				return stamp{}, errNoTimes
			}
			return stamp{at, false}, nil
		}
	}
	return stamp{}, errNoTimes
}

func text(e *ical.Component, name string) string {
	p := e.Props.Get(name)
	if p == nil {
		return ""
	}
	if name == ical.PropRecurrenceRule || name == ical.PropDuration {
		return p.Value
	}
	s, err := p.Text()
	if err != nil {
		return ""
	}
	return s
}

func eventName(e *ical.Component) string {
	return clip(cmp.Or(text(e, ical.PropSummary), text(e, ical.PropUID), "?"))
}

// readCalendar returns the events of a calendar that somebody sent. The library takes
// square time over a long parameter and panics on some that are cut short; so it gets
// only the lines that are needed, none of them long, and its panic is a refusal.
func readCalendar(file []byte) (events []*ical.Component, err error) {
	if len(file) > MaxCalendar {
		return nil, fmt.Errorf("%w: a calendar of %d bytes, at most %d", ErrFormat, len(file), MaxCalendar)
	}
	lean, err := leanCalendar(file)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			events, err = nil, fmt.Errorf("%w: the calendar cannot be read", ErrFormat)
		}
	}()
	for d := ical.NewDecoder(bytes.NewReader(lean)); ; {
		cal, err := d.Decode()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: the calendar cannot be read: %w", ErrFormat, err)
		}
		for _, c := range cal.Children {
			if c.Name == ical.CompEvent {
				events = append(events, c)
			}
		}
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("%w: the calendar holds no events", ErrFormat)
	}
	return events, nil
}

// wanted are the properties that an import looks at.
var wanted = []string{"BEGIN", "END", ical.PropUID, ical.PropDateTimeStart, ical.PropDateTimeEnd, ical.PropDuration, ical.PropSummary,
	ical.PropRecurrenceRule, ical.PropExceptionDates, ical.PropRecurrenceDates, ical.PropRecurrenceID, ical.PropStatus, propContact, propLevel}

// leanCalendar unfolds lines and keeps those that an import looks at.
func leanCalendar(file []byte) ([]byte, error) {
	file = bytes.ReplaceAll(file, []byte("\r\n"), []byte("\n"))
	file = bytes.ReplaceAll(bytes.ReplaceAll(file, []byte("\n "), nil), []byte("\n\t"), nil)
	var out bytes.Buffer
	depth, events := 0, 0
	for line := range strings.SplitSeq(string(file), "\n") {
		i := strings.IndexAny(line, ";:")
		if i < 0 {
			continue
		}
		name := strings.ToUpper(line[:i])
		if !slices.Contains(wanted, name) {
			continue
		}
		if len(line) > maxCalendar {
			return nil, fmt.Errorf("%w: a line of %d bytes in the calendar, at most %d", ErrFormat, len(line), maxCalendar)
		}
		switch {
		case name == "BEGIN":
			depth++
			if strings.EqualFold(strings.TrimSpace(line[i+1:]), ical.CompEvent) {
				events++
			}
		case name == "END":
			depth--
		}
		if depth > maxCalendarTop || events > maxEvents {
			return nil, fmt.Errorf("%w: a calendar of more than %d events, or with components %d deep", ErrFormat, maxEvents, depth)
		}
		out.WriteString(line + "\r\n")
	}
	return out.Bytes(), nil
}
