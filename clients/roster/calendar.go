package roster

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/emersion/go-ical"

	"schakel/crypto/identity"
	"schakel/relay/rota"
)

// Calendar is what is asked of an exported calendar (RFC 5545).
type Calendar struct {
	Desk    identity.DeskID
	Now     time.Time
	Contact rota.Contact // only of this one; empty: of the desk
	Names   bool         // say who; otherwise a calendar that leaks tells only that somebody is on call
}

// calendarMonths is how far ahead a calendar reaches.
const calendarMonths = 12

// Properties of ours, by which a calendar finds its way back in.
const (
	propContact = "X-SCHAKEL-CONTACT"
	propLevel   = "X-SCHAKEL-LEVEL"
)

// Export writes 12 months of shifts as events that leave their owner free: being on call
// is no appointment.
func (r Roster) Export(c Calendar) ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	cal := ical.NewCalendar()
	cal.Props.SetText(ical.PropVersion, "2.0")
	cal.Props.SetText(ical.PropProductID, "-//Schakel//rota//NL")
	from := c.Now.UTC().Truncate(time.Minute)
	for _, s := range r.Rota().Shifts(from, from.AddDate(0, calendarMonths, 0)) {
		if c.Contact == "" || s.Contact == c.Contact {
			cal.Children = append(cal.Children, r.event(c, s).Component)
		}
	}
	if len(cal.Children) == 0 {
		return nil, fmt.Errorf("%w: nothing to export in the %d months from now", ErrNoShift, calendarMonths)
	}
	var b bytes.Buffer
	if err := ical.NewEncoder(&b).Encode(cal); err != nil {
		return nil, fmt.Errorf("failed to write the calendar: %w", err)
	}
	return b.Bytes(), nil
}

func (r Roster) event(c Calendar, s rota.Shift) *ical.Event {
	e := ical.NewEvent()
	e.Props.SetText(ical.PropUID, uid(c.Desk, s))
	e.Props.SetDateTime(ical.PropDateTimeStamp, c.Now.UTC().Truncate(time.Second))
	e.Props.SetDateTime(ical.PropDateTimeStart, s.From.UTC())
	e.Props.SetDateTime(ical.PropDateTimeEnd, s.To.UTC())
	e.Props.SetText(ical.PropTransparency, "TRANSPARENT")
	e.Props.SetText(ical.PropClass, "PRIVATE")
	e.Props.SetText(propContact, string(s.Contact))
	e.Props.SetText(propLevel, strconv.Itoa(s.Level))
	summary := "Piket"
	if s.Level > 0 {
		summary = fmt.Sprintf("Piket, achterwacht %d", s.Level)
	}
	if c.Names {
		summary += ": " + r.Name(s.Contact)
	}
	e.Props.SetText(ical.PropSummary, summary)
	return e
}

// uid names a shift by who has which level from when, so that a calendar that is
// fetched again replaces its events.
func uid(desk identity.DeskID, s rota.Shift) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %s", desk, s.From.Unix(), s.Level, s.Contact))
	return hex.EncodeToString(sum[:12]) + "@schakel"
}
