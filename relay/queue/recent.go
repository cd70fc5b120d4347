package queue

import (
	"sync"

	"schakel/crypto/identity"
)

// recentBytes is how much of what was just committed is kept by default, and
// recentLargest what is too large to push so much else out.
const (
	recentBytes   = 4 << 20
	recentLargest = recentBytes / 16
)

// recent keeps the envelopes that were committed last, so that a device which is
// caught up gets them without the store being asked. The store stays the truth:
// whatever is not here in one unbroken run is read there.
//
// Of each desk it keeps consecutive positions only, up to the last that this committer
// wrote: in a run without a gap there is no room for a notice, nor for what another
// relay wrote.
type recent struct {
	most int // bytes; below 0: keep nothing

	mu     sync.Mutex // guards what follows
	runs   map[identity.DeskID][]Record
	oldest []place // in the order of commits, also what has left its run since
	bytes  int     // of the envelopes in oldest
}

type place struct {
	desk     identity.DeskID
	position Position
	size     int
}

// keep takes over what a batch has stored, and forgets the desks from which something
// was taken, and those that were told something.
func (r *recent) keep(batch []Entry) {
	if r.most < 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range batch {
		result := &batch[i].Result
		for _, e := range result.Expired {
			delete(r.runs, e.Desk)
			delete(r.runs, e.SealerDesk)
		}
		switch op := batch[i].Op.(type) {
		case *Quarantine:
			delete(r.runs, op.Desk)
			delete(r.runs, result.Noticed)
		case *Notice:
			delete(r.runs, op.Desk)
		case *Put:
			if result.Err == nil && !result.Duplicate && len(op.Envelope) <= recentLargest {
				r.add(op, result.Position)
			}
		}
	}
	for r.bytes > r.most {
		r.dropOldest()
	}
}

func (r *recent) add(op *Put, p Position) {
	run := r.runs[op.Desk]
	if len(run) > 0 && run[len(run)-1].Position+1 != p {
		run = nil
	}
	r.runs[op.Desk] = append(run, Record{
		Position: p, Kind: KindEnvelope, Tier: op.Tier, ID: op.ID, Created: op.Created, Expires: op.Expires,
		Sealer: op.Sealer, SealerDesk: op.SealerDesk, Targets: op.Targets, Envelope: op.Envelope,
	})
	r.oldest = append(r.oldest, place{op.Desk, p, len(op.Envelope)})
	r.bytes += len(op.Envelope)
}

func (r *recent) dropOldest() {
	gone := r.oldest[0]
	r.oldest = r.oldest[1:]
	r.bytes -= gone.size
	run := r.runs[gone.desk]
	if len(run) == 0 || run[0].Position > gone.position {
		return // it left before
	}
	run[0] = Record{} // or the array would hold on to its envelope
	if run = run[1:]; len(run) == 0 {
		delete(r.runs, gone.desk)
		return
	}
	r.runs[gone.desk] = run
}

// page returns what follows after, and false where the store must say.
func (r *recent) page(desk identity.DeskID, after Position, limit Limit) (Page, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.runs[desk]
	if len(run) == 0 || run[0].Position > after+1 || run[len(run)-1].Position <= after || limit.Records < 1 || limit.Bytes < 1 {
		return Page{}, false
	}
	run = run[after+1-run[0].Position:]
	n, bytes := 0, 0
	for n < len(run) && n < limit.Records {
		if bytes += len(run[n].Envelope); n > 0 && bytes > limit.Bytes {
			break
		}
		n++
	}
	return Page{Records: append([]Record(nil), run[:n]...), Next: run[n-1].Position, More: n < len(run)}, true
}
