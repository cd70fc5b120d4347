package schakel

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// arrived takes deliveries in the order in which they came. While the register is
// being fetched they wait: the credit bounds how many.
func (s *session) arrived(ctx context.Context, batch []wire.Deliver) error {
	if s.syncing || len(s.held) > 0 {
		s.held = append(s.held, batch...)
		return nil
	}
	return s.judged(ctx, batch, false)
}

// judged opens, verifies and stores a batch, and only then acknowledges it. With
// final set the register is as new as it gets: what cannot be judged now is kept
// apart instead of waited for.
func (s *session) judged(ctx context.Context, batch []wire.Deliver, final bool) error {
	dir, now := s.n.directory(), s.n.now()
	arrivals := make([]arrival, 0, len(batch))
	for i, d := range batch {
		a := s.n.judge(d.Envelope, dir, now)
		if a.fault != nil && a.fault.wait && !final {
			s.held = append(batch[i:len(batch):len(batch)], s.held...)
			batch = batch[:i]
			break
		}
		arrivals = append(arrivals, a)
	}
	if err := s.n.take(ctx, arrivals); err != nil {
		return err
	}
	if err := s.handBack(ctx, batch); err != nil || len(s.held) == 0 {
		return err
	}
	return s.fetchRegister(ctx)
}

// handBack acknowledges what is on disk and gives the credit back.
func (s *session) handBack(ctx context.Context, batch []wire.Deliver) error {
	if len(batch) == 0 {
		return nil
	}
	size := uint32(0)
	for _, d := range batch {
		size += uint32(len(d.Envelope))
	}
	return s.say(ctx, wire.Ack{Position: batch[len(batch)-1].Position},
		wire.Credit{Messages: uint32(len(batch)), Bytes: size})
}

const reasonEquivocation = "equivocation"

// intake collects what a transaction changes that others are to hear of, once it
// is on disk.
type intake struct {
	n      *Node
	tx     *store.Tx
	now    time.Time
	events []Event
	state  map[identity.DeskID]bool // desks that a statement is due to

	stops   bool                       // an alarm of the register was raised that stops something
	answers map[identity.DeskID]uint64 // desks that our checkpoint is due to, and the size that they stated
	known   []knownDevice              // of this desk, which a colleague's seals to
	taken   []wire.Attended            // to be shown: a person took them before they came
}

func (in *intake) event(kind EventKind, h message.Hash, desk identity.DeskID) {
	in.events = append(in.events, Event{Kind: kind, Message: h.String(), Desk: string(desk), At: in.now})
}

// take stores arrivals in one transaction. When that fails for what one of them
// holds, each is tried alone, and the one that cannot be stored is refused: no
// partner can block the inbox of another with a delivery that this program chokes
// on.
func (n *Node) take(ctx context.Context, arrivals []arrival) error {
	if len(arrivals) == 0 {
		return nil
	}
	err := n.takeTogether(ctx, arrivals)
	if !unstorable(ctx, err) {
		return err
	}
	for i := range arrivals {
		one := arrivals[i : i+1 : i+1]
		if err = n.takeTogether(ctx, one); unstorable(ctx, err) {
			n.log.Error("delivery could not be stored", "envelope", one[0].header.ID, "err", err)
			one[0].fault = &fault{reason: "unstorable", quarantine: true, alarm: AlarmForged, err: err}
			one[0].proven = false
			err = n.takeTogether(ctx, one)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unstorable reports whether an error comes from what was to be stored, not from
// the store, its disk, or the end of this run.
func unstorable(ctx context.Context, err error) bool {
	var fatal *fatalError
	return err != nil && ctx.Err() == nil && !errors.As(err, &fatal) && !errors.Is(err, store.ErrFull)
}

func (n *Node) takeTogether(ctx context.Context, arrivals []arrival) error {
	var in *intake
	err := n.update(ctx, func(tx *store.Tx) error {
		in = &intake{n: n, tx: tx, now: n.now(), state: map[identity.DeskID]bool{}}
		for i := range arrivals {
			if err := in.unshelve(&arrivals[i]); err != nil {
				return err
			}
			if err := in.one(&arrivals[i]); err != nil {
				return err
			}
		}
		return in.noteBrought(arrivals)
	})
	if err != nil {
		return err
	}
	n.afterwards(ctx, in)
	for desk := range in.state {
		n.stateSoon(desk)
	}
	n.showTaken(ctx, in.taken)
	return nil
}

func (in *intake) one(a *arrival) error {
	a.known = false // in an earlier try
	if a.fault != nil && !a.proven {
		return in.refuse(a)
	}
	if err := errors.Join(in.compareView(a), in.trustedByColleague(a)); err != nil {
		return err
	}
	if a.delivery.Kind.Counted() {
		verdict, err := in.count(a)
		if err != nil {
			return err
		}
		switch verdict {
		case store.Replay:
			if once {
				return in.again(a, a.header.ID, "replay")
			}
		case store.Equivocation:
			a.fault = &fault{reason: reasonEquivocation, alarm: AlarmEquivocation, quarantine: true, err: delivery.ErrFormat}
			if err := in.equivocated(a); err != nil {
				return err
			}
		}
	} else if err := in.reached(a); err != nil {
		return err
	}
	if a.fault != nil && a.fault.reason == reasonEquivocation {
		return in.refuse(a) // nothing of it is believed, what it supersedes included
	}
	if err := in.supersede(a); err != nil {
		return err
	}
	if a.fault == nil && a.delivery.Kind == delivery.KindMessage {
		if err := in.protocol(a); err != nil {
			return err
		}
		if a.fault == nil {
			if err := in.flooded(a); err != nil {
				return err
			}
		}
		if a.fault == nil {
			if err := in.freshAttachments(a); err != nil {
				return err
			}
		}
	}
	if a.fault != nil {
		return in.refuse(a)
	}
	return in.take(a)
}

// take acts on what was found good.
func (in *intake) take(a *arrival) error {
	switch a.delivery.Kind {
	case delivery.KindMessage:
		return in.message(a)
	case delivery.KindStatement:
		return in.statement(a)
	case delivery.KindCopy:
		return in.copy(a)
	case delivery.KindRecord:
		return in.record(a)
	case delivery.KindCheckpoint:
		return in.checkpoint(a)
	case delivery.KindHistory:
		return in.history(a)
	}
	in.event(EventReceived, message.Hash{}, a.from) // a test
	return nil
}

// count notes the counter of a delivery that its device really sealed.
func (in *intake) count(a *arrival) (store.Verdict, error) {
	in.state[a.from] = true
	return in.tx.Arrived(store.Arrival{
		Device: a.header.Sealer, Desk: a.from, Counter: a.delivery.Counter,
		Envelope: a.header.ID, Digest: sha256.Sum256(a.raw), At: in.now,
		FromStart: in.fromStart(a.header.Sealer),
	})
}

// reached learns from an uncounted delivery how far its device has counted, so that
// a withheld last message is a gap too (attack B02).
func (in *intake) reached(a *arrival) error {
	if a.delivery.Counter == 0 {
		return nil
	}
	return in.tx.Reached(a.header.Sealer, a.from, a.delivery.Counter, in.now, in.fromStart(a.header.Sealer))
}

// fromStart reports whether this device was there before a peer's device was.
func (in *intake) fromStart(sealer identity.DeviceID) bool {
	dir := in.n.directory()
	me, _ := dir.Device(in.n.dev.ID)
	peer, _ := dir.Device(sealer)
	return me.Since < peer.Since
}

// supersede explains gaps: counters that will never come, because this delivery
// takes their place. Only devices of the same desk are believed about each other
// (attack H05).
func (in *intake) supersede(a *arrival) error {
	dir := in.n.directory()
	for _, old := range a.delivery.Supersedes {
		d, ok := dir.Device(old.Sealer)
		if !ok || d.Desk != a.from {
			if err := in.tx.CountRejected("supersedes-of-another"); err != nil {
				return err
			}
			continue
		}
		if err := in.tx.MarkSuperseded(old.Sealer, d.Desk, old.Counter, in.now); err != nil {
			return err
		}
	}
	return nil
}

// refuse keeps account of what was not accepted: a count, evidence where it may be
// of use, an alarm where somebody must look, and the rule for the
// sender where it can mend something.
func (in *intake) refuse(a *arrival) error {
	f := a.fault
	if f.reason == reasonAhead {
		if held, err := in.hold(a); err != nil || held {
			return err
		}
	}
	in.n.log.Warn("delivery refused", "reason", f.reason, "envelope", a.header.ID)
	if err := in.keep(a); err != nil {
		return err
	}
	if f.alarm != "" {
		if err := in.raise(f.alarm, in.blamed(a), f.reason); err != nil {
			return err
		}
	}
	if err := in.unspoken(a); err != nil {
		return err
	}
	in.events = append(in.events, Event{Kind: EventRejected, Desk: string(a.from), At: in.now})
	in.unreadable(a)
	if f.rule == "" || a.signed.Raw == nil {
		return nil
	}
	in.state[a.from] = true
	return in.tx.SetStatus(a.from, delivery.Status{Message: a.signed.Hash(), Received: unix(in.now), Rejected: unix(in.now), Rule: f.rule})
}

// keep counts a refusal, and keeps the envelope and an audit line where it may be
// evidence. The quarantine is bounded, and the lines with it: a hostile relay can
// send rubbish without end.
func (in *intake) keep(a *arrival) error {
	f := a.fault
	if !f.quarantine && !f.wait && f.alarm == "" {
		return in.tx.CountRejected(f.reason)
	}
	kept, err := in.tx.Quarantine(store.Quarantined{Reason: f.reason, At: in.now, Raw: a.raw})
	if err != nil || !kept {
		return err
	}
	return in.tx.Audit("refused-"+f.reason, a.header.ID.String(), identity.PersonID{}, in.now)
}

// blamed names what an alarm about a refusal is about: the sealing device that the
// envelope names, if there is one, so that there are no more alarms than devices.
func (in *intake) blamed(a *arrival) string {
	if _, ok := in.n.directory().Device(a.header.Sealer); ok {
		return a.header.Sealer.String()
	}
	return "relay"
}

// unreadable lets the desk that an envelope claims to come from hear that it did
// not open. Nothing but its own outbox decides whether that means anything.
func (in *intake) unreadable(a *arrival) {
	if a.proven || a.header.ID == (envelope.ID{}) || a.fault.wait {
		return
	}
	d, ok := in.n.directory().Device(a.header.Sealer)
	if !ok || (d.Desk != in.n.dev.Desk && !in.n.directory().lane(in.n.dev.Desk, d.Desk)) {
		return
	}
	in.n.noteUnreadable(d.Desk, a.header.ID)
	in.state[d.Desk] = true
}

func (in *intake) raise(kind AlarmKind, subject, code string) error {
	fresh, err := in.tx.RaiseAlarm(string(kind), subject, code, in.now)
	if fresh {
		in.events = append(in.events, Event{Kind: EventAlarm, Message: subject, At: in.now})
	}
	return err
}

// message stores a verified message, once, whatever the number of deliveries that
// brought it. Another message under a known identifier is refused (attack H02).
func (in *intake) message(a *arrival) error {
	m, hash := a.signed.Message, a.signed.Hash()
	if clash, err := in.clash(m.ID, hash); err != nil {
		return err
	} else if clash {
		a.fault = &fault{reason: "identifier-reused", alarm: AlarmConflict, quarantine: true, err: message.ErrFormat}
		if err := in.reused(a); err != nil {
			return err
		}
		return in.refuse(a)
	}
	if err := errors.Join(in.stub(a), in.compareAge(a)); err != nil {
		return err
	}
	row := storedMessage(a.signed, store.In, m.Sender.Desk, in.now)
	row.Envelope, row.Attended = a.header.ID, a.delivery.Attended
	if a.unjudged {
		row.Verdict = store.Unjudged
	}
	fresh, err := in.tx.SaveMessage(row)
	if err != nil {
		return err
	}
	in.state[a.from] = true
	if err := in.tx.SetStatus(a.from, delivery.Status{Message: hash, Received: unix(in.now), Rule: remark(a)}); err != nil {
		return err
	}
	if err := in.noteMisfit(a, hash); err != nil {
		return err
	}
	if a.known = !fresh; a.known && once {
		return in.takenAlready(a)
	}
	if err := errors.Join(in.marked(a, row), in.tx.SetHead(a.from, m.Case, hash, a.delivery.Heads...), in.compareTranscript(a, hash), in.expectAttachments(a.signed, store.In)); err != nil {
		return err
	}
	in.event(EventReceived, hash, a.from)
	return in.acknowledged(a.signed, a.from)
}

func (in *intake) clash(id message.ID, hash message.Hash) (bool, error) {
	known, err := in.tx.HashOf(id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && known != hash, err
}

// copy takes over what another device of this desk sent, so that this one can
// follow it and make its deliveries again when that one is gone.
func (in *intake) copy(a *arrival) error {
	m, hash := a.signed.Message, a.signed.Hash()
	fresh, err := in.tx.SaveMessage(storedMessage(a.signed, store.Out, m.Addressed[0], in.now))
	if err != nil || !fresh {
		return err
	}
	deadline := in.n.ackDeadline(m)
	for _, desk := range m.Addressed {
		if err := in.tx.AddRecipient(hash, desk, time.Unix(int64(m.Created), 0), deadline); err != nil {
			return err
		}
		if err := in.tx.SetHead(desk, m.Case, hash, a.delivery.Heads...); err != nil {
			return err
		}
	}
	if err := errors.Join(markedToo(in.tx, hash, staleFlags(m)), in.expectAttachments(a.signed, store.Out), keepCopy(in.tx, hash, m.Sender.Device, a.copied.Sent)); err != nil {
		return err
	}
	in.event(EventStatus, hash, a.from)
	return in.acknowledged(a.signed, a.from)
}

// storedMessage is the row of a message.
func storedMessage(s message.Signed, dir store.Direction, peer identity.DeskID, now time.Time) store.Message {
	m := s.Message
	row := store.Message{
		Hash: s.Hash(), ID: m.ID, Case: m.Case, Direction: dir, Class: m.Heading.Class, Urgency: m.Heading.Urgency,
		Peer: peer, Created: time.Unix(int64(m.Created), 0), Received: now, Raw: s.Raw,
		Exercise: protocol.IsExercise(m),
	}
	if len(m.Heading.Answers) > 0 {
		row.Answers = m.Heading.Answers[0].Hash
	}
	return row
}

// subject names a message at a desk, as alarms do.
func subject(h message.Hash, desk identity.DeskID) string { return fmt.Sprintf("%s %s", h, desk) }
