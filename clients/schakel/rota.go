package schakel

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"schakel/clients/roster"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/rota"
)

// Rota is the rota of this desk as its devices agree on it.
type Rota struct {
	Revision string        `json:"revision"` // changes with every edit
	By       string        `json:"by,omitempty"`
	At       time.Time     `json:"at,omitzero"`
	Roster   roster.Roster `json:"roster"`
	Gaps     []RotaGap     `json:"gaps"` // in the 14 days from now, or that an edit opened
	// Contested: two edited it without seeing each other; Also are the others. All devices
	// go by the same rota, with everybody's changes in it; people still have to look.
	Contested bool             `json:"contested,omitempty"`
	Also      []string         `json:"also,omitempty"`
	Warnings  []roster.Warning `json:"warnings"` // about what the relay is told
}

// RotaGap is a stretch in which nobody has a level, so that the fallback is called.
type RotaGap struct {
	Level int       `json:"level"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
}

// OnCall says who is on call at one moment.
type OnCall struct {
	At       time.Time `json:"at"`
	Levels   []Duty    `json:"levels"`
	Fallback []Duty    `json:"fallback"` // called where a level is a gap
	// Short is what was acknowledged and asks for more persons, where who is on call now
	// was asked.
	Short []ShortHanded `json:"short,omitempty"`
}

// ShortHanded is a message for which more persons of this desk must sign.
type ShortHanded struct {
	Message  string          `json:"message"`
	Urgency  message.Urgency `json:"urgency"`
	Exercise bool            `json:"exercise,omitempty"`
	Confirmations
}

// Duty is one contact that has a level, or nobody.
type Duty struct {
	Level     int          `json:"level"`
	Contact   rota.Contact `json:"contact,omitempty"` // empty: a gap
	Person    string       `json:"person,omitempty"`  // identifier
	Name      string       `json:"name,omitempty"`
	Telephone string       `json:"telephone,omitempty"`
	Until     time.Time    `json:"until,omitzero"` // at least; looked for two weeks ahead
}

// RotaStatus is what Status tells of the rota.
type RotaStatus struct {
	Known     bool      `json:"known"`            // this desk has a rota
	Gaps      int       `json:"gaps"`             // in the 14 days from now
	Gap       time.Time `json:"gap,omitzero"`     // when the first begins
	Contested bool      `json:"contested"`        // two edited it at once
	AtRelay   time.Time `json:"atRelay,omitzero"` // when the relay last took the plan of this device
	Refused   string    `json:"refused,omitempty"`
}

// settled is the rota that all heads together give.
type settled struct {
	roster   roster.Roster
	heads    []delivery.SignedRecord // by hash
	last     delivery.SignedRecord
	revision string
}

// rota settles what this desk goes by: of the rosters that nobody wrote another one in
// sight of the latest (of one second, the one with the higher hash), with the changes of
// the others in it. It returns ErrNoRota where there is none.
func (n *Node) rota(tx *store.Tx) (s settled, err error) {
	rows, err := tx.RecordHeads(delivery.RecordRoster, message.CaseRef{}, [16]byte{})
	if err != nil {
		return s, err
	}
	if s.heads, err = recordsOf(rows); err != nil {
		return s, err
	}
	if len(s.heads) == 0 {
		return s, ErrNoRota
	}
	s.last = s.heads[0]
	sum := sha256.New()
	var others []roster.Roster
	for _, h := range s.heads {
		hash := h.Hash()
		sum.Write(hash[:])
		if h.Record.Created >= s.last.Record.Created {
			s.last = h
		}
	}
	for _, h := range s.heads {
		r, err := roster.Parse(h.Record.Content)
		if err != nil {
			return s, fmt.Errorf("%w: rota %s: %w", store.ErrTampered, h.Hash(), err) // it was checked when it came
		}
		if h.Hash() == s.last.Hash() {
			s.roster = r
			continue
		}
		others = append(others, r)
	}
	s.roster, s.revision = roster.Settle(s.roster, others...), fmt.Sprintf("%x", sum.Sum(nil)[:16])
	return s, nil
}

func (s settled) contested() bool { return len(s.heads) > 1 }

// Roster returns the rota of this desk, or ErrNoRota.
func (n *Node) Roster(ctx context.Context) (out roster.Roster, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		s, err := n.rota(tx)
		out = s.roster
		return err
	})
	return out, err
}

// Rota returns the rota of this desk with who decided it and what is open, or ErrNoRota.
func (n *Node) Rota(ctx context.Context) (out Rota, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		s, err := n.rota(tx)
		if err == nil {
			out, err = n.shownRota(tx, s)
		}
		return err
	})
	return out, err
}

func (n *Node) shownRota(tx *store.Tx, s settled) (Rota, error) {
	out := Rota{Revision: s.revision, By: n.nameOf(tx, identity.PersonID(s.last.Record.Person)), At: time.Unix(int64(s.last.Record.Created), 0).UTC(),
		Roster: s.roster, Gaps: shownGaps(s.roster.GapsAhead(n.now())), Contested: s.contested(), Warnings: []roster.Warning{}}
	for _, h := range s.heads {
		if h.Hash() != s.last.Hash() {
			out.Also = append(out.Also, n.nameOf(tx, identity.PersonID(h.Record.Person)))
		}
	}
	_, warnings, err := s.roster.Plan(n.dev.Desk, 0, n.now())
	out.Warnings = append(out.Warnings, warnings...)
	return out, err
}

func shownGaps(gaps []rota.Gap) []RotaGap {
	out := make([]RotaGap, 0, len(gaps))
	for _, g := range gaps {
		out = append(out, RotaGap{Level: g.Level, From: g.From, To: g.To})
	}
	return out
}

// OnCall says who is on call at t; at the zero time, now.
func (n *Node) OnCall(ctx context.Context, t time.Time) (OnCall, error) {
	var short []ShortHanded
	if t.IsZero() {
		t = n.now()
		err := n.store.View(ctx, func(tx *store.Tx) (err error) { short, err = n.shownShort(tx); return err })
		if err != nil {
			return OnCall{}, err
		}
	}
	r, err := n.Roster(ctx)
	if err != nil {
		return OnCall{}, err
	}
	answer := r.Rota().At(t)
	out := OnCall{At: t.UTC().Truncate(time.Second), Levels: []Duty{}, Fallback: []Duty{}, Short: short}
	for _, s := range answer.Levels {
		d := duty(r, s.Contact)
		d.Level, d.Until = s.Level, s.To
		out.Levels = append(out.Levels, d)
	}
	for _, c := range answer.Fallback {
		out.Fallback = append(out.Fallback, duty(r, c))
	}
	return out, nil
}

func duty(r roster.Roster, c rota.Contact) Duty {
	p, _ := r.Person(c)
	return Duty{Contact: c, Person: p.Person, Name: p.Name, Telephone: p.Phone}
}

func (n *Node) rotaStatus(tx *store.Tx) (RotaStatus, error) {
	n.mu.Lock()
	st := RotaStatus{AtRelay: utc(n.plan.taken), Refused: n.plan.refused}
	n.mu.Unlock()
	s, err := n.rota(tx)
	if errors.Is(err, ErrNoRota) {
		return RotaStatus{}, nil
	}
	if err != nil {
		return st, err
	}
	gaps := s.roster.GapsAhead(n.now())
	st.Known, st.Gaps, st.Contested = true, len(gaps), s.contested()
	for _, g := range gaps {
		if st.Gap.IsZero() || g.From.Before(st.Gap) {
			st.Gap = g.From
		}
	}
	return st, nil
}

// What the alarms about a rota are about: their subjects.
const (
	rotaGap       = "gat"
	rotaContested = "tegelijk"
	rotaPlan      = "relay"
)

// rotaMoved looks at what a changed rota means.
func (in *intake) rotaMoved() error {
	in.n.replan.Store(true)
	return in.watchRota()
}

// watchRota raises or ends the alarms about the rota: somebody must fill a gap while
// there is time, and two who edited at once must look at what came of it.
func (in *intake) watchRota() error {
	st, err := in.n.rotaStatus(in.tx)
	if err != nil {
		return err
	}
	if err := in.n.learnLadders(in.tx); err != nil {
		return err
	}
	if err := in.raiseWhile(st.Gaps > 0, rotaGap, fmt.Sprintf("%d %d", st.Gaps, st.Gap.Unix())); err != nil {
		return err
	}
	return in.raiseWhile(st.Contested, rotaContested, "")
}

func (in *intake) raiseWhile(holds bool, subject, code string) error {
	if holds {
		return in.raise(AlarmRota, subject, code)
	}
	if err := in.tx.ClearAlarm(string(AlarmRota), subject); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}

func explainRota(a store.Alarm) (text, remedy string) {
	switch a.Subject {
	case rotaGap:
		number, first, _ := strings.Cut(a.Code, " ")
		at, _ := strconv.ParseInt(first, 10, 64)
		return fmt.Sprintf("In de komende 14 dagen heeft %s keer niemand dienst. De eerste keer is %s.", number, time.Unix(at, 0).In(rota.Zone()).Format("2-1-2006 15:04")),
			"Zoek iemand en leg dat vast met `schakel oncall take` of `schakel oncall rota edit`. Tot dan wordt de terugval gebeld."
	case rotaContested:
		return "Twee mensen van dit bureau hebben het rooster tegelijk veranderd.", "Kijk met `schakel oncall rota show` wat eruit kwam, en leg het vast met `schakel oncall rota edit`."
	case rotaPlan:
		return "De relay heeft het nieuwste rooster van dit bureau niet (" + a.Code + ").", "Bel de beheerder. Tot dan belt de relay volgens het oude rooster, of de terugval."
	}
	return "Een rooster van een apparaat van dit bureau is geweigerd: het klopte niet.", "Werk alle apparaten van dit bureau bij. Gebeurt het weer: waarschuw de beheerder."
}
