package relay

import (
	"errors"
	"fmt"

	"schakel/crypto/custody"
	"schakel/crypto/envelope"
	"schakel/relay/queue"
	"schakel/relay/wire"
)

// settlement is what one session gets back from one batch.
type settlement struct {
	session *session
	ops     int
	bytes   int
	leaves  []custody.Leaf
	others  []wire.Frame
}

// committed is called by the committer for each durable batch: one signature
// promises all of it, and each sender gets the paths of its own envelopes.
func (r *Relay) committed(batch []queue.Entry) {
	r.metrics.batch.Observe(float64(len(batch)))
	r.pager.heard(batch)
	signed, paths, err := r.sign(batch)
	if err != nil {
		r.fail(fmt.Errorf("failed to sign custody receipts: %w", err))
		return
	}
	settlements := make(map[*session]*settlement)
	leaf := 0
	for i := range batch {
		e := &batch[i]
		var l *custody.Leaf
		if put, ok := e.Op.(*queue.Put); ok && e.Result.Err == nil {
			l = &custody.Leaf{ID: put.ID, Salt: e.Result.Salt, Index: uint64(leaf), Path: paths[leaf]}
			leaf++
		}
		s, ok := e.Owner.(*session)
		if !ok || s == nil {
			continue
		}
		if settlements[s] == nil {
			settlements[s] = &settlement{session: s}
		}
		settlements[s].add(e, l)
	}
	for s, t := range settlements {
		s.settled(t.ops, t.bytes, signed, t.leaves, t.others)
	}
	r.metrics.stored.Add(float64(leaf))
	r.metrics.puts.WithLabelValues(wire.CodeOK.String()).Add(float64(leaf))
}

// sign promises every envelope of the batch that is stored, also those that were
// before: the leaf of those is the same as the first time.
func (r *Relay) sign(batch []queue.Entry) (custody.Batch, [][][32]byte, error) {
	hashes := make([][32]byte, 0, len(batch))
	for i := range batch {
		if put, ok := batch[i].Op.(*queue.Put); ok && batch[i].Result.Err == nil {
			hashes = append(hashes, custody.LeafHash(batch[i].Result.Salt, put.ID, put.Digest))
		}
	}
	if len(hashes) == 0 {
		return custody.Batch{}, nil, nil
	}
	terms := custody.Terms{StoreEpoch: r.state.Epoch, Guarantee: guarantee(r.state.Guarantee), At: r.seconds()}
	return custody.NewBatch(terms, hashes, r.config.Receipts)
}

func guarantee(g queue.Guarantee) custody.Guarantee {
	switch g {
	case queue.GuaranteeNone:
		return custody.GuaranteeVolatile
	case queue.GuaranteeDisk:
		return custody.GuaranteeDisk
	}
	return custody.GuaranteeReplicas
}

func (t *settlement) add(e *queue.Entry, leaf *custody.Leaf) {
	t.ops++
	s, err := t.session, e.Result.Err
	switch op := e.Op.(type) {
	case *queue.Put:
		t.bytes += len(op.Envelope)
		if leaf != nil {
			t.leaves = append(t.leaves, *leaf)
		} else {
			t.others = append(t.others, s.refused(op.ID, err))
		}
	case *queue.Attend:
		t.others = append(t.others, wire.AttendedIs{ID: op.ID, Code: attendedCode(s, op.ID, err)})
	case *queue.Ack:
		switch {
		case errors.Is(err, queue.ErrDropped):
			s.end(wire.CloseRevoked)
		case errors.Is(err, queue.ErrAhead):
			s.log.Warn("device acknowledged what it was never given")
			s.end(wire.CloseFrame)
		}
	}
}

func attendedCode(s *session, id envelope.ID, err error) wire.Code {
	code := codeOf(err)
	s.log.Debug("attended token shown", "id", id.String(), "code", code.String())
	return code
}
