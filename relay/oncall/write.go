package oncall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"schakel/relay/queue"
)

// Rows for what has only begun to wait ride together: at most mostNotes in one write, and
// none waits for company longer than noteDelay. Each write is an fsync beside those of
// the mailboxes.
const (
	mostNotes = MaxChanges
	noteDelay = 500 * time.Millisecond
)

// write makes rows say what after says, nil to delete one, and reports of each whether
// it did. It adopts rows that another node changed, and forgets what is gone.
func (l *Loop) write(ctx context.Context, list []*entry, after [][]byte) ([]error, error) {
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
	errs := make([]error, len(list))
	for i, e := range list {
		switch errs[i] = outcomes[i].Err; {
		case errs[i] == nil:
			e.stored = after[i]
		case errors.Is(outcomes[i].Err, ErrGone):
			e.stored = nil
			l.schedule.remove(e)
			delete(l.changed, e)
		case errors.Is(outcomes[i].Err, ErrStale):
			l.adopt(e, outcomes[i].Now)
		}
	}
	return errs, nil
}

// adopt goes by a row that another node wrote.
func (l *Loop) adopt(e *entry, row []byte) {
	e.stored = row
	if !l.schedule.has(e) {
		return
	}
	switch t, err := parseRow(e.Ref, row); {
	case err == nil:
		e.timer = t.reopened()
	case len(row) > 0: // nobody wrote it: what is known here counts, and takes its place
		l.damagedRow(e.Ref)
	}
	l.reckon(e)
}

// damagedRow says that a timer came back damaged: the store loses what it was given.
func (l *Loop) damagedRow(ref queue.Ref) {
	l.config.Metrics.damaged.Inc()
	l.log.Error("a timer is damaged", "id", ref.ID.String())
}

// settle writes the rows that are behind, for so long: what became of pages, that the
// sender was told, and what is over.
func (l *Loop) settle(ctx context.Context, span time.Duration) error {
	for began := l.config.Elapsed(); len(l.changed) > 0 && l.config.Elapsed()-began < span; {
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
		errs, err := l.write(ctx, list, after)
		if err != nil {
			return err
		}
		away := false
		for i, e := range list {
			if errs[i] == nil || errors.Is(errs[i], ErrStale) || errors.Is(errs[i], ErrGone) {
				delete(l.changed, e)
			} else {
				away = true
			}
		}
		if away {
			return errPartly
		}
	}
	return nil
}

// errPartly is a journal of which a part is away: the rest was written.
var errPartly = fmt.Errorf("%w: a part of the journal is away", queue.ErrUnavailable)

// note writes rows of what has begun to wait and is not due yet, so that its time
// counts on after a restart. A crash before that goes by when the envelope was made.
func (l *Loop) note(ctx context.Context) error {
	if l.config.Elapsed()-l.noted < noteDelay && len(l.unnoted) < mostNotes {
		return nil
	}
	return l.noteRows(ctx)
}

func (l *Loop) noteRows(ctx context.Context) error {
	l.noted = l.config.Elapsed()
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
