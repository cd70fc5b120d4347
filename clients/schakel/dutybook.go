package schakel

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"schakel/clients/store"
)

// owedBy is what a case asks of this desk, as of so many messages.
type owedBy struct {
	messages int
	last     time.Time
	calls    []call
	due      []time.Time // of all duties, also of what nobody is called for yet
}

// dutyBook is what all cases ask of this desk, for who pages and for who counts. A case is
// computed again only when it moved.
type dutyBook struct {
	mu    sync.Mutex // guards what follows
	cases map[string]owedBy
	at    time.Time
	err   error // of the latest look
}

// owedEvery is how often all cases are looked through: duties are not of seconds.
const owedEvery = 10 * time.Second

// look returns what each case asks. What could not be read is in the error, and in the
// answer as it was known before.
func (b *dutyBook) look(n *Node, tx *store.Tx, now time.Time) ([]owedBy, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if since := now.Sub(b.at); since < 0 || since >= owedEvery {
		b.err = b.read(n, tx)
		b.at = now
	}
	return slices.Collect(maps.Values(b.cases)), b.err
}

func (b *dutyBook) read(n *Node, tx *store.Tx) error {
	rows, err := tx.Cases(maxList, 0)
	if err != nil {
		return err
	}
	var broken error
	fresh := make(map[string]owedBy, len(rows))
	for _, row := range rows {
		known, ok := b.cases[row.Ref.String()]
		if !ok || known.messages != row.Messages || !known.last.Equal(row.Last) {
			before := known
			if known, err = n.owedIn(tx, row); err != nil { // what was known before holds, and it is looked at again
				known, broken = before, errors.Join(broken, err)
			}
		}
		fresh[row.Ref.String()] = known
	}
	b.cases = fresh
	return broken
}

func (n *Node) owedIn(tx *store.Tx, row store.CaseRow) (owedBy, error) {
	o := owedBy{messages: row.Messages, last: row.Last}
	known, err := n.caseOf(tx, row.Ref)
	duties := n.openDuties(known)
	if errors.Is(err, ErrRestricted) {
		o.messages = -1 // looked at every time: who opens the case changes what is kept
		duties, err = n.keptOwed(tx, row.Ref)
	}
	if err != nil {
		return o, err
	}
	for _, duty := range duties {
		o.due = append(o.due, duty.Due)
		since, err := tx.Message(duty.Since)
		if err != nil && !errors.Is(err, store.ErrRestricted) {
			continue // enclosed in another, or destroyed: shown in the case, and paged by nothing
		}
		if since.Direction == store.In && since.Acknowledged.IsZero() && !n.ackDue(since).IsZero() {
			continue // nobody took it yet: it waits as a message does
		}
		tier, starts := n.remind(duty.Due, since)
		o.calls = append(o.calls, call{kind: callOwed, subject: since.Hash.String() + " " + string(duty.Duty), tier: tier, exercise: since.Exercise, starts: starts})
	}
	return o, nil
}
