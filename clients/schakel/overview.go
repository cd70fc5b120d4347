package schakel

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/protocol/playbook"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// CaseSummary is a case as a list shows it, as known here.
type CaseSummary struct {
	Case     string             `json:"case"`
	Messages int                `json:"messages"`
	Unread   int                `json:"unread"`
	Last     time.Time          `json:"last"`
	Exercise bool               `json:"exercise,omitempty"`
	Lead     *protocol.LeadTerm `json:"lead,omitempty"` // nobody, when absent
	Closed   time.Time          `json:"closed,omitzero"`
	Owed     int                `json:"owed"`         // what this desk still has to do
	Due      time.Time          `json:"due,omitzero"` // the first of it
	Awaited  int                `json:"awaited"`      // what others still owe this desk
	Missing  int                `json:"missing"`      // messages that others speak of and are not here
	// Restricted: only these persons may read it, and what else is said of it here is what
	// is known without reading.
	Restricted []Reader `json:"restricted,omitempty"`
}

// Overview is a case as people look at it: its state, and its messages in their order
// without what they say. Only how to reach the victim safely is taken from the bodies,
// because nobody may see a telephone number of the case before it (R06).
type Overview struct {
	protocol.Case
	Exercise bool                  `json:"exercise,omitempty"`
	Safe     []SafeContact         `json:"safe"` // the newest first
	Messages []Moment              `json:"messages"`
	Owed     []protocol.Obligation `json:"owed"`    // by this desk, the most pressing first
	Awaited  []protocol.Obligation `json:"awaited"` // of others by this desk

	Restricted []Reader `json:"restricted,omitempty"` // who alone may read it
}

// SafeContact is what a message says of safe contact, as its sender wrote it.
type SafeContact struct {
	Message message.Ref     `json:"message"`
	From    identity.DeskID `json:"from"`
	Says    json.RawMessage `json:"veiligContact"`
}

// Moment is a message in the timeline of a case.
type Moment struct {
	message.Ref
	Class    string           `json:"class"`
	Urgency  message.Urgency  `json:"urgency"`
	From     protocol.Party   `json:"from"`
	To       []protocol.Party `json:"to"`
	Created  time.Time        `json:"created"`
	Answers  []message.Ref    `json:"answers"`
	RestsOn  []message.Ref    `json:"restsOn"`
	Person   bool             `json:"person"`             // a named person signed it
	By       string           `json:"by,omitempty"`       // the name, where an acknowledgement says it
	Status   string           `json:"status,omitempty"`   // of an acknowledgement
	Outcome  string           `json:"outcome,omitempty"`  // of a besluit or an afweging
	Enclosed bool             `json:"enclosed,omitempty"` // here only inside another message
	Unsaid   bool             `json:"unsaid,omitempty"`   // every addressed desk rejected it: it counts nowhere
	Flags    []protocol.Flag  `json:"flags"`              // what is wrong with it, as known now

	Attachments int `json:"attachments,omitempty"` // how many files it brings
}

// Bounds of an overview: who floods a case must not stop the desk that looks at it.
const (
	defaultCases = 50
	maxCases     = 200
	maxSafe      = 5
	maxJudged    = 100 // the newest messages are judged again, the older ones were when they came
)

// Paging is which part of a list is asked for.
type Paging struct {
	Limit  int `json:"limit,omitempty"`  // default and bound are those of the list
	Offset int `json:"offset,omitempty"` // so many are passed over
}

// Cases returns the cases of which messages are here, the one that moved last first. The
// access log does not say so: nothing of what was said is in it, and of a restricted case
// no more than that it is there, and whose it is.
func (n *Node) Cases(ctx context.Context, p Paging) (out []CaseSummary, err error) {
	limit := cmp.Or(min(max(p.Limit, 0), maxCases), defaultCases)
	err = n.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.Cases(limit, max(p.Offset, 0))
		if err != nil {
			return err
		}
		for _, row := range rows {
			s, err := n.caseRow(tx, row)
			if err != nil {
				return err
			}
			out = append(out, s)
		}
		return nil
	})
	return out, err
}

func (n *Node) caseRow(tx *store.Tx, row store.CaseRow) (CaseSummary, error) {
	l, err := n.listOf(tx, row.Ref)
	if err != nil {
		return CaseSummary{}, err
	}
	if l.current != nil {
		return CaseSummary{Case: row.Ref.String(), Messages: row.Messages, Unread: row.Unread, Last: utc(row.Last), Restricted: n.readers(tx, l)}, nil
	}
	known, err := n.caseOf(tx, row.Ref)
	if err != nil {
		return CaseSummary{}, err
	}
	return n.caseSummary(row, known), nil
}

func (n *Node) caseSummary(row store.CaseRow, known protocol.Case) CaseSummary {
	s := CaseSummary{Case: row.Ref.String(), Messages: row.Messages, Unread: row.Unread, Last: utc(row.Last), Missing: len(known.Missing)}
	if lead, ok := known.Lead(); ok {
		s.Lead = &lead
	}
	if known.Closing != nil {
		s.Closed = known.Closing.At
	}
	owed := known.Owes(n.dev.Desk)
	s.Owed, s.Awaited = len(owed), len(known.Awaits(n.dev.Desk))
	if len(owed) > 0 {
		s.Due = owed[0].Due
	}
	s.Exercise = isExercise(known.History())
	return s
}

// Overview returns a case, given by its own identifier or by a message of it. It
// returns ErrNotFound for a case of which no message is here.
func (n *Node) Overview(ctx context.Context, ref string, by ...By) (o Overview, err error) {
	_, err = n.lookAt(ctx, ref, one(by), func(tx *store.Tx, known protocol.Case) error {
		messages := known.History()
		o = Overview{Case: whole(known), Exercise: isExercise(messages), Safe: safeContacts(messages), Messages: []Moment{},
			Owed: full(known.Owes(n.dev.Desk)), Awaited: full(known.Awaits(n.dev.Desk))}
		for i, k := range messages {
			m := momentOf(k)
			m.Unsaid = known.Unheard(k.Hash)
			row, err := tx.Message(k.Hash)
			m.Enclosed = err != nil
			if err == nil && row.Direction == store.In && i >= len(messages)-maxJudged {
				flags, err := n.flagsOf(tx, known, row)
				if err != nil {
					return err
				}
				m.Flags = full(flags)
			} else if err == nil && row.Direction == store.Out {
				m.Flags = full(ownFlags(row))
			}
			o.Messages = append(o.Messages, m)
		}
		l, err := n.listOf(tx, known.Ref)
		o.Restricted = n.readers(tx, l)
		return err
	})
	if err != nil {
		return Overview{}, err
	}
	return o, nil
}

// Progress says how far a case has come in a situation of a playbook. It is computed
// here, because the messages of a case do not leave the program that holds them.
func (n *Node) Progress(ctx context.Context, ref string, s playbook.Situation, by ...By) ([]playbook.Taken, error) {
	known, err := n.Case(ctx, ref, by...)
	if err != nil {
		return nil, err
	}
	return playbook.Progress(s, known.Counted()), nil
}

// ownFlags is what its readers were warned of in a message that this desk sent.
func ownFlags(row store.Message) []protocol.Flag {
	signed, err := message.Parse(row.Raw)
	if err != nil {
		return nil
	}
	return staleFlags(signed.Message)
}

// flagsOf is what is wrong with a stored message that this desk took.
func (n *Node) flagsOf(tx *store.Tx, known protocol.Case, row store.Message) ([]protocol.Flag, error) {
	signed, err := message.Parse(row.Raw)
	if err != nil {
		return nil, nil
	}
	return n.flagsIn(tx, known, signed)
}

func isExercise(messages []protocol.Known) bool {
	return slices.ContainsFunc(messages, func(k protocol.Known) bool { return k.Exercise })
}

func momentOf(k protocol.Known) Moment {
	m := Moment{Ref: k.Ref(), Class: k.Class, Urgency: k.Urgency, From: k.From, To: full(k.To), Person: k.Person,
		Created: time.Unix(int64(k.Created), 0).UTC(), Answers: full(k.Answers), RestsOn: full(k.RestsOn), Flags: []protocol.Flag{}, Attachments: len(k.Attachments)}
	switch k.Class {
	case protocol.ClassAcknowledgement:
		said := acknowledgementOf(k.Body)
		m.Status, m.By = said.Status, said.By.Name
	case protocol.ClassDecision, protocol.ClassWeighing:
		m.Outcome = protocol.Said(k.Body, "uitkomst")
	}
	return m
}

// safeContacts returns what the messages say of safe contact, the newest first and each
// wording once: whom one sender keeps from knowing, another may not know to.
func safeContacts(messages []protocol.Known) []SafeContact {
	out := []SafeContact{}
	for _, k := range slices.Backward(messages) {
		var body struct {
			Safe json.RawMessage `json:"veiligContact"`
		}
		if json.Unmarshal(k.Body, &body) != nil || len(body.Safe) == 0 || len(out) == maxSafe {
			continue
		}
		if !slices.ContainsFunc(out, func(s SafeContact) bool { return string(s.Says) == string(body.Safe) }) {
			out = append(out, SafeContact{Message: k.Ref(), From: k.From.Desk, Says: body.Safe})
		}
	}
	return out
}

// whole is a case whose lists are empty rather than absent: JSON then says [] for what
// is known to be nothing.
func whole(k protocol.Case) protocol.Case {
	k.Participants, k.Terms, k.Offers, k.Obligations = full(k.Participants), full(k.Terms), full(k.Offers), full(k.Obligations)
	k.Rests, k.Replaced, k.Missing, k.Voids = full(k.Rests), full(k.Replaced), full(k.Missing), full(k.Voids)
	k.Unsaid = full(k.Unsaid)
	return k
}

func full[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
