package oncall

import (
	"bytes"
	"context"
	"errors"

	"schakel/relay/queue"
)

// mostNotes bounds the rows that one turn writes for what has only begun to wait.
const mostNotes = 500

// write makes rows say what after says, nil to delete one, and reports which did.
// It adopts rows that another node changed, and forgets what is gone.
func (l *Loop) write(ctx context.Context, list []*entry, after [][]byte) ([]bool, error) {
	changes := make([]Change, len(list))
	for i, e := range list {
		changes[i] = Change{Ref: e.Ref, Before: e.stored, After: after[i]}
	}
	outcomes, err := l.config.Journal.Write(ctx, l.lease.Term, changes)
	if errors.Is(err, ErrLost) {
		l.lose()
	}
	if err != nil {
		return nil, err
	}
	written := make([]bool, len(list))
	for i, e := range list {
		switch {
		case outcomes[i].Err == nil:
			e.stored, written[i] = after[i], true
		case errors.Is(outcomes[i].Err, ErrGone):
			e.stored = nil
			l.schedule.remove(e)
			delete(l.changed, e)
		default:
			l.adopt(e, outcomes[i].Now)
		}
	}
	return written, nil
}

// adopt goes by a row that another node wrote.
func (l *Loop) adopt(e *entry, row []byte) {
	e.stored = row
	if !l.schedule.has(e) {
		return
	}
	if t, err := parseRow(e.Ref, row); err == nil {
		e.timer = t.reopened()
		l.reckon(e)
	}
}

// settle writes the rows that are behind: what became of pages, that the sender was
// told, and what is over.
func (l *Loop) settle(ctx context.Context) error {
	for len(l.changed) > 0 {
		var list []*entry
		var after [][]byte
		for e := range l.changed {
			var row []byte
			if l.schedule.has(e) {
				row = e.timer.row(e.Ref)
			}
			if bytes.Equal(row, e.stored) {
				delete(l.changed, e)
				continue
			}
			list, after = append(list, e), append(after, row)
			if len(list) == MaxChanges {
				break
			}
		}
		if len(list) == 0 {
			return nil
		}
		if _, err := l.write(ctx, list, after); err != nil {
			return err
		}
		for _, e := range list {
			delete(l.changed, e)
		}
	}
	return nil
}

// note writes rows of what has begun to wait and is not due yet, so that its time
// counts on after a restart.
func (l *Loop) note(ctx context.Context) error {
	var list []*entry
	var after [][]byte
	n := 0
	for ; n < len(l.unnoted) && len(list) < mostNotes; n++ {
		e := l.schedule.byRef[l.unnoted[n]]
		if e == nil || e.stored != nil {
			continue
		}
		list, after = append(list, e), append(after, e.timer.row(e.Ref))
	}
	if len(list) > 0 {
		if _, err := l.write(ctx, list, after); err != nil {
			return err
		}
	}
	if l.unnoted = l.unnoted[min(n, len(l.unnoted)):]; len(l.unnoted) == 0 {
		l.unnoted = nil
	}
	return nil
}

// mostUnlogged bounds rows of the log of pages that wait for the journal, per desk.
const mostUnlogged = LogRows

func (l *Loop) writeLog(ctx context.Context) error {
	for desk, pages := range l.unlogged {
		if err := l.config.Journal.Log(ctx, desk, pages); err != nil && !errors.Is(err, queue.ErrInvalid) {
			return err
		}
		delete(l.unlogged, desk)
	}
	return nil
}
