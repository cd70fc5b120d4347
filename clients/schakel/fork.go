package schakel

import (
	"context"
	"errors"
	"fmt"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/evidence"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// Two desks that see different registers show each other what the log signed for them. One
// signature of a device against the register here stops what goes to its desk, no more: an
// evil partner must not be able to stop the others. Two signatures of the log stop everything.

// Refusals of a register that people must look at first.
var (
	ErrForked       = errors.New("the log of the register signed two that contradict each other: nothing is sent, telephone")
	ErrOtherView    = errors.New("this desk sees another register than we do: nothing goes there, telephone")
	errNotContinued = errors.New("the checkpoint is not the log's, or its proof is none")
)

// codeSplit says that the log itself signed both.
const codeSplit = "split"

// stops is what the alarms of the register stop. Who puts such an alarm away lets it go on.
type stops struct {
	all   bool
	desks map[identity.DeskID]bool
}

func readStops(tx *store.Tx) (s stops, err error) {
	s.desks = map[identity.DeskID]bool{}
	alarms, err := tx.Alarms()
	for _, a := range alarms {
		switch AlarmKind(a.Kind) {
		case AlarmView:
			s.desks[identity.DeskID(a.Subject)] = true
		case AlarmRegister:
			s.all = s.all || a.Code == codeSplit
		}
	}
	return s, err
}

func (n *Node) learnStops(ctx context.Context) {
	var now stops
	err := n.store.View(context.WithoutCancel(ctx), func(tx *store.Tx) (err error) {
		now, err = readStops(tx)
		return err
	})
	if err != nil {
		n.log.Error("alarms not read: what they stop is as before", "err", err)
		return
	}
	n.mu.Lock()
	n.stopped = now
	n.mu.Unlock()
	n.poke()
}

// goesTo refuses what an alarm of the register stops.
func (n *Node) goesTo(desk identity.DeskID) error {
	state, _ := n.directory().Desk(desk)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.stopped.all:
		return fmt.Errorf("%w: %s, %s", ErrForked, desk, state.Phone)
	case n.stopped.desks[desk]:
		return fmt.Errorf("%w: %s, %s", ErrOtherView, desk, state.Phone)
	}
	return nil
}

// refusedUpdate keeps what the relay said against what it said before.
func (n *Node) refusedUpdate(ctx context.Context, old directory, u trust.Update, why error) {
	in := &intake{n: n, now: n.now()}
	err := n.update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		in.tx, in.events, in.stops = tx, nil, false
		other, err := trust.ParseCheckpoint(u.Checkpoint)
		if err != nil || !old.logSigned(other) {
			return in.raise(AlarmRegister, n.dev.ID.String(), "fork") // nobody signed it: there is nothing to keep
		}
		if own, known := old.RootAt(other.Size); known && own != other.Root {
			return in.forked(old, side{note: u.Checkpoint, size: other.Size, root: other.Root})
		}
		if errors.Is(why, trust.ErrProof) {
			if err := in.keepEvidence(unsettled(old, u.Checkpoint), string(old.relay.Subject()), []byte("unproven")); err != nil {
				return err
			}
		}
		return in.raise(AlarmRegister, n.dev.ID.String(), "fork")
	})
	if err != nil {
		n.log.Error("alarm not stored", "kind", string(AlarmRegister), "err", err)
	}
	n.afterwards(ctx, in)
}

// side is another register that the log signed: its checkpoint, and its root at a size that
// this device has too.
type side struct {
	note  []byte
	size  uint64
	root  trust.Hash
	proof []trust.Hash // that the checkpoint continues the root
}

// forked notes that the log signed two registers. Everything stops.
func (in *intake) forked(dir directory, other side) error {
	if err := in.keepEvidence(forkAgainst(dir, other), string(dir.relay.Subject()), nil); err != nil {
		return err
	}
	in.stops = true
	return in.raise(AlarmRegister, string(dir.relay.Subject()), codeSplit)
}

// checkpoint takes in what the log signed for another desk.
func (in *intake) checkpoint(a *arrival) error {
	dir, c := in.n.directory(), a.checkpoint
	note, err := checkedNote(dir, c)
	if err != nil {
		return in.tx.CountRejected("checkpoint")
	}
	for _, other := range []side{{c.Note, c.Size, c.Root, c.Proof}, {c.Note, note.Size, note.Root, nil}} {
		if own, known := dir.RootAt(other.size); known && own != other.root {
			return in.forked(dir, other)
		}
	}
	return nil
}

func checkedNote(dir directory, c delivery.Checkpoint) (trust.Checkpoint, error) {
	note, err := trust.ParseCheckpoint(c.Note)
	if err != nil {
		return note, err
	}
	if !dir.logSigned(note) || note.Continues(c.Size, c.Root, c.Proof) != nil {
		return note, errNotContinued
	}
	return note, nil
}

// answer makes it due to show a desk our checkpoint, against the size that it stated.
func (in *intake) answer(desk identity.DeskID, stated uint64) {
	if in.answers == nil {
		in.answers = map[identity.DeskID]uint64{}
	}
	in.answers[desk] = stated
}

// afterwards lets others hear what a transaction found of the register, once it is on disk.
func (n *Node) afterwards(ctx context.Context, in *intake) {
	n.events.publish(in.events...)
	if in.stops {
		n.learnStops(ctx)
	}
	for _, k := range in.known {
		n.setKnown(k)
	}
	n.mu.Lock()
	for desk, size := range in.answers {
		n.answering[desk] = size
	}
	n.mu.Unlock()
	if len(in.answers) > 0 {
		n.poke()
	}
}

// showCheckpoints shows the desks that see another register what the log signed for us, each
// at most once in proveWithin. It goes although nothing else does.
func (n *Node) showCheckpoints(ctx context.Context) error {
	s := n.live()
	if s == nil || !s.online.Load() {
		return nil
	}
	n.mu.Lock()
	due := map[identity.DeskID]uint64{}
	for desk, size := range n.answering {
		if n.now().Sub(n.answered[desk]) >= proveWithin {
			due[desk] = size
		}
	}
	n.mu.Unlock()
	for desk, size := range due {
		if err := n.showCheckpoint(ctx, s, desk, size); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) showCheckpoint(ctx context.Context, s *session, desk identity.DeskID, stated uint64) error {
	targets, err := n.targets(desk)
	dir := n.directory()
	if err != nil || len(dir.pinned.Note) == 0 {
		return nil //nolint:nilerr // nobody there to hear it now: at the next look
	}
	c := delivery.Checkpoint{Version: delivery.Version, Note: dir.pinned.Note, Size: max(1, min(stated, dir.pinned.Size))}
	c.Root, _ = dir.RootAt(c.Size)
	if c.Proof, err = dir.Proof(c.Size, dir.pinned.Size); err != nil {
		return err
	}
	content, err := delivery.Encode(c)
	if err != nil {
		return err
	}
	raw, err := n.uncounted(ctx, desk, targets, delivery.KindCheckpoint, content)
	if err != nil || s.say(ctx, wire.Put{Envelope: raw}) != nil {
		return err
	}
	n.mu.Lock()
	delete(n.answering, desk)
	n.answered[desk] = n.now()
	n.mu.Unlock()
	return nil
}

// viewAgainst is what a device signed of the register, against what is known here.
func viewAgainst(dir directory, a *arrival) evidence.File {
	f := evidence.File{Version: evidence.Version, Kind: evidence.KindView, Checkpoints: [][]byte{dir.pinned.Note}, Deliveries: []delivery.Evidence{a.evidence}}
	said := a.delivery.Register
	own, known := dir.RootAt(said.Size)
	if !known {
		return f
	}
	proof, _ := dir.Proof(said.Size, dir.pinned.Size)
	f.Size, f.Roots, f.Proofs = said.Size, []trust.Hash{own, said.Root}, [][]trust.Hash{proof}
	return f
}

func forkAgainst(dir directory, other side) evidence.File {
	own, _ := dir.RootAt(other.size)
	proof, _ := dir.Proof(other.size, dir.pinned.Size)
	return evidence.File{Version: evidence.Version, Kind: evidence.KindFork, Checkpoints: [][]byte{dir.pinned.Note, other.note}, Size: other.size,
		Roots: []trust.Hash{own, other.root}, Proofs: [][]trust.Hash{proof, other.proof}}
}

// unsettled is two checkpoints of which nothing shows that the one continues the other.
func unsettled(dir directory, note []byte) evidence.File {
	return evidence.File{Version: evidence.Version, Kind: evidence.KindFork, Checkpoints: [][]byte{dir.pinned.Note, note}}
}
