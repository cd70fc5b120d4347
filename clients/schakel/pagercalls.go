package schakel

import (
	"errors"
	"strings"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/ladder"
)

// callKind is why somebody of this desk is called.
type callKind string

const (
	callWaiting callKind = "waiting" // a message that no person here has acknowledged
	callUnheard callKind = "unheard" // one of ours, that no person there has acknowledged in time
	callOwed    callKind = "owed"    // acknowledged, and then nothing: what the protocol asks next
	callAlarm   callKind = "alarm"   // an acute message that was not taken, here or there
	callTest    callKind = "test"    // nothing waits: somebody tries the channels
)

// call is something that a person of this desk must be called about.
type call struct {
	kind     callKind
	subject  string
	tier     envelope.Tier
	exercise bool
	starts   time.Time // when the ladder begins, by the wall clock; zero: now
	ladder   ladder.Ladder
	signers  []identity.PersonID // who signed already, where the ladder asks for more
}

func (c call) id() string { return string(c.kind) + " " + c.subject }

// overdue is the ladder of what is late already and not acute.
var overdue = ladder.Ladder{Steps: []ladder.Step{{After: 0, Level: 0}, {After: 4 * time.Hour, Level: 1}}, Repeat: 24 * time.Hour, Acknowledgers: 1}

// reminder is the ladder of what somebody must not forget: one page a week.
var reminder = ladder.Ladder{Steps: []ladder.Step{{After: 0, Level: 0}}, Repeat: 7 * 24 * time.Hour, Acknowledgers: 1}

// calls finds everything that waits for a person of this desk. Of a kind in blind not all
// could be found: one row that cannot be read keeps nobody from being paged for the rest.
func (p *pager) calls(tx *store.Tx, now time.Time) (out []call, blind map[callKind]error) {
	blind = map[callKind]error{}
	for _, look := range []struct {
		kind callKind
		find func(*store.Tx, time.Time) ([]call, error)
	}{{callWaiting, p.waiting}, {callUnheard, p.unheard}, {callOwed, p.owing}, {callAlarm, p.alarming}} {
		found, err := look.find(tx, now)
		if err != nil {
			blind[look.kind] = err
		}
		out = append(out, found...)
	}
	return out, blind
}

// waiting is what a named person here must acknowledge, or as many as the ladder asks
// for. Only that ends it: that the relay was shown a token is not known here, and would
// mean nothing.
func (p *pager) waiting(tx *store.Tx, now time.Time) (out []call, err error) {
	rows, err := tx.Messages(store.Query{Direction: store.In, Unacknowledged: true, Order: store.Urgent, Limit: maxList})
	all := make([]shortRow, 0, len(rows))
	for _, row := range rows {
		all = append(all, shortRow{Message: row})
	}
	short, broken := p.n.shortHanded(tx)
	for _, row := range append(all, short...) {
		tier := protocol.TierOf(row.Urgency, row.Class)
		if tier == envelope.TierNone || p.n.ackDue(row.Message).IsZero() {
			continue
		}
		starts := row.Received
		if starts.After(now) { // the clock was set back since
			starts = now
		}
		out = append(out, call{kind: callWaiting, subject: row.Hash.String(), tier: tier, exercise: row.Exercise, starts: starts, ladder: p.roster.Ladder(tier), signers: row.signers})
	}
	return out, errors.Join(err, broken)
}

// unheard is this desk's own timer for what it sent: somebody must telephone when no
// person there has acknowledged by the end of the term.
func (p *pager) unheard(tx *store.Tx, now time.Time) (out []call, err error) {
	rs, broken := tx.Unconfirmed(now.AddDate(1, 0, 0))
	for _, r := range rs {
		if r.State == store.Rejected || r.State == store.Failed || r.Desk == p.n.dev.Desk {
			continue
		}
		row, err := tx.Message(r.Message)
		if errors.Is(err, store.ErrDestroyed) || errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil && !errors.Is(err, store.ErrRestricted) { // what it says is not asked
			broken = errors.Join(broken, err)
			continue
		}
		tier := protocol.TierOf(row.Urgency, row.Class)
		if tier < envelope.TierUrgent { // a routine one is in the list of alarms in the morning
			continue
		}
		out = append(out, call{kind: callUnheard, subject: subject(r.Message, r.Desk), tier: tier, exercise: row.Exercise, starts: r.Deadline, ladder: p.pressing(tier)})
	}
	return out, broken
}

// pressing is the ladder of what is late already.
func (p *pager) pressing(tier envelope.Tier) ladder.Ladder {
	if tier == envelope.TierAcute {
		return p.roster.Ladder(tier)
	}
	return overdue
}

// alarming is what no timer finds: an acute message that broke a rule and was refused
// here, or that a desk did not take; and that the drill of the month is due. It ends when
// a person has dealt with the alarm.
func (p *pager) alarming(tx *store.Tx, _ time.Time) (out []call, err error) {
	alarms, err := tx.Alarms()
	for _, a := range alarms {
		kind := AlarmKind(a.Kind)
		if kind == AlarmDrill {
			out = append(out, call{kind: callAlarm, subject: a.Kind + " " + a.Subject, tier: envelope.TierRoutine, starts: a.At, ladder: reminder})
		}
		if kind != AlarmRefused && kind != AlarmReturned {
			continue
		}
		row := about(tx, a) // none of an inbound message that was refused
		if kind == AlarmReturned && row.Urgency != message.Acute {
			continue
		}
		out = append(out, call{kind: callAlarm, subject: a.Kind + " " + a.Subject, tier: envelope.TierAcute, exercise: row.Exercise,
			starts: a.At, ladder: p.roster.Ladder(envelope.TierAcute)})
	}
	return out, err
}

// about is the message that an alarm names first, where it is here.
func about(tx *store.Tx, a store.Alarm) store.Message {
	var h message.Hash
	hash, _, _ := strings.Cut(a.Subject, " ")
	if h.UnmarshalText([]byte(hash)) != nil {
		return store.Message{}
	}
	row, err := tx.Message(h)
	if err != nil && !errors.Is(err, store.ErrRestricted) {
		return store.Message{}
	}
	return row
}

// owing is what this desk owes by the protocol. Only its own devices can know: the
// relay sees no cases.
func (p *pager) owing(tx *store.Tx, now time.Time) (out []call, err error) {
	owed, err := p.n.duties.look(p.n, tx, now)
	for _, o := range owed {
		out = append(out, o.calls...)
	}
	for i := range out {
		out[i].ladder = p.pressing(out[i].tier) // the roster may have changed since
	}
	return out, err
}

// A duty of hours is paged before it is late, while there is time to do it.
const (
	remindMost = 15 * time.Minute
	ofHours    = 24 * time.Hour
	openAt     = 9 // o'clock, in Amsterdam
)

// remind says when somebody is called about a duty, and how loudly. A duty of hours
// keeps the tier of its message, and is paged a quarter of its time, at most 15 minutes,
// before its end. One of days ends at midnight: it is paged as routine on the first
// working morning after, since nobody is woken for what may wait for the office.
func (n *Node) remind(due time.Time, since store.Message) (envelope.Tier, time.Time) {
	if term := due.Sub(since.Created); term <= ofHours {
		return protocol.TierOf(since.Urgency, since.Class), due.Add(-min(term/4, remindMost))
	}
	days, day := n.catalogue.Calendar(), calendar.DateOf(due)
	for !days.IsWorkingDay(day) {
		day = day.Add(1)
	}
	return envelope.TierRoutine, time.Date(day.Year, day.Month, day.Day, openAt, 0, 0, 0, calendar.Zone())
}
