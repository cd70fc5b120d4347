package schakel

import (
	"errors"
	"fmt"
	"time"

	"schakel/clients/protocol"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// ruleClock is stated to a sender whose clock is ahead.
const ruleClock = "klok"

// reasonVersion is why a message of a version that this program does not speak is kept
// apart.
const reasonVersion = "protocol-version"

// clockSlack is how far ahead another honest clock may be.
const clockSlack = 5 * time.Minute

// arrival is what one delivery turned out to be. Nothing in it has been stored.
type arrival struct {
	raw        []byte
	header     envelope.Header
	delivery   delivery.Delivery
	evidence   delivery.Evidence
	from       identity.DeskID // the sealing device's desk
	signed     message.Signed  // messages and copies
	statement  delivery.Statement
	copied     delivery.Copy
	record     delivery.SignedRecord
	checkpoint delivery.Checkpoint
	history    delivery.History
	waited     []byte    // on the shelf of those that name a larger register, under this identifier
	since      time.Time // and from when on
	unjudged   bool      // of a restricted case: kept, and judged when somebody who may reads it
	byFile     bool      // a person carried it here: see courier.go
	misfit     bool      // its envelope asked for other attention than the message deserves
	known      bool      // it was here already
	proven     bool      // the sealing device sealed it, and may write here: its counter counts
	fault      *fault
}

// fault is why an arrival is not accepted.
type fault struct {
	reason     string    // a constant word, for the audit log and for counting
	rule       string    // stated to the sender, who can then mend it; empty: not stated
	alarm      AlarmKind // empty: none
	quarantine bool      // kept for an officer instead of dropped
	wait       bool      // may be different once the register has caught up
	err        error
}

func (f *fault) Error() string { return fmt.Sprintf("%s: %v", f.reason, f.err) }

// judge opens and verifies one envelope against the register: as it was when the
// sealing device looked at it, and as it is. It stores nothing and asks nobody, so
// its order of checks is the whole of what protects the desk.
func (n *Node) judge(raw []byte, dir directory, now time.Time) arrival {
	a := arrival{raw: raw}
	o, err := seal.Open(raw, n.lock(dir))
	if e, perr := envelope.Parse(raw); perr == nil {
		a.header = e.Header
	}
	if err != nil {
		a.fault = openFault(err)
		return a
	}
	a.delivery, a.evidence = o.Delivery, delivery.Evidence{Prefix: o.Envelope.Prefix, Signed: o.Signed}
	if a.fault = n.judgeSealer(&a, dir, now); a.fault != nil {
		return a
	}
	a.proven = true
	switch o.Delivery.Kind {
	case delivery.KindMessage:
		a.signed, err = o.Message()
		if err != nil {
			a.fault = contentFault(err)
		} else {
			a.fault = n.judgeMessage(&a, dir, now)
		}
	case delivery.KindStatement:
		a.statement, err = delivery.ParseStatement(o.Delivery.Content)
		a.fault = n.judgeStatement(&a, err)
	case delivery.KindCopy:
		a.fault = n.judgeCopy(&a, dir)
	case delivery.KindRecord:
		a.fault = n.judgeRecord(&a, dir, now)
	case delivery.KindCheckpoint:
		if a.checkpoint, err = delivery.ParseCheckpoint(o.Delivery.Content); err != nil {
			a.fault = contentFault(err)
		}
	case delivery.KindHistory:
		a.fault = n.judgeHistory(&a, dir, now)
	case delivery.KindTest:
	}
	if a.fault == nil {
		a.fault = judgeTier(&a)
	}
	return a
}

// judgeTier checks that the attention an envelope asked of the relay is that of what is
// inside: louder, and it wakes people for nothing; softer, and an acute message waited until
// morning while its sender could say that it was acute. What a person wrote is taken all the
// same, and acute is treated as acute: both ends hear that it did not fit (H09). What says
// nothing to anybody is refused.
func judgeTier(a *arrival) *fault {
	want := envelope.TierNone
	if a.delivery.Kind == delivery.KindMessage {
		want = protocol.TierOf(a.signed.Message.Heading.Urgency, a.signed.Message.Heading.Class)
		a.misfit = a.header.Tier != want
		return nil
	}
	if a.header.Tier == want {
		return nil
	}
	return &fault{reason: "tier", rule: protocol.RuleUrgency, err: envelope.ErrFormat}
}

// openFault turns a refusal to open into what this desk does about it. Towards the
// relay all of them look alike: the envelope is taken and forgotten.
func openFault(err error) *fault {
	f := &fault{reason: seal.Reason(err), err: err}
	switch {
	case errors.Is(err, seal.ErrUnknownSealer):
		f.wait = true
	case errors.Is(err, seal.ErrKeyHash):
		f.alarm = AlarmKeySwap
	case errors.Is(err, seal.ErrNoEpochKey):
		f.quarantine = true // sealed to a key of ours that is destroyed: the sender makes it again
	case errors.Is(err, envelope.ErrVersion):
		f.alarm = AlarmOutdated // nothing falls back to what this program does know (A09)
	case errors.Is(err, seal.ErrNotForMe), errors.Is(err, envelope.ErrFormat):
	default:
		f.alarm = AlarmTampered
	}
	return f
}

func contentFault(err error) *fault {
	if errors.Is(err, seal.ErrNotAddressed) {
		return &fault{reason: "not-addressed", alarm: AlarmNotAddressed, err: err}
	}
	return &fault{reason: "content", alarm: AlarmForged, err: err}
}

// judgeSealer asks whether the sealing device may write here at all.
func (n *Node) judgeSealer(a *arrival, dir directory, now time.Time) *fault {
	d, ok := dir.Device(a.header.Sealer)
	if !ok {
		return &fault{reason: "unknown-sealer", wait: true, err: seal.ErrUnknownSealer}
	}
	a.from = d.Desk
	seen := a.delivery.Register.Size
	switch {
	case seen > dir.Size():
		return &fault{reason: reasonAhead, wait: true, err: ErrRegister}
	case d.Revoked != 0 && seen <= d.Revoked:
		// Sealed before the revocation, or by a thief who pretends so (F11, F12).
		return &fault{reason: "sealed-before-revocation", quarantine: true, err: identity.ErrBadSignature}
	case !d.UsableAt(now):
		return &fault{reason: "sealer-inactive", err: identity.ErrBadSignature}
	case a.from != n.dev.Desk && !dir.lane(a.from, n.dev.Desk):
		return &fault{reason: "lane", rule: protocol.RuleRoute, alarm: AlarmForged, err: ErrLane}
	case a.from != n.dev.Desk && a.header.Tier != envelope.TierAcute && dir.outdated(seen, a.header.Created):
		return &fault{reason: reasonOld, quarantine: true, err: ErrRegister}
	case a.header.Created > unix(now.Add(clockSlack)):
		return &fault{reason: "from-the-future", alarm: AlarmClock, quarantine: true, err: envelope.ErrFormat}
	case a.header.Expires < unix(now):
		return &fault{reason: "expired", quarantine: true, err: envelope.ErrFormat}
	}
	return nil
}

// judgeMessage verifies who said it, and for whom. Whether the protocol allows it is
// asked where it is stored: that depends on what is known of the case (see protocol).
func (n *Node) judgeMessage(a *arrival, dir directory, now time.Time) *fault {
	m := a.signed.Message
	if m.Sender.Desk != a.from {
		// A delivery may be made again by another device of the sending desk, not by
		// another desk of its organisation (H04), nor by whoever got a copy (F01).
		return &fault{reason: "delivered-by-another-desk", alarm: AlarmForged, err: identity.ErrBadSignature}
	}
	if err := verifySender(a.signed, dir); err != nil {
		return &fault{reason: "message-signature", alarm: AlarmForged, err: err}
	}
	if m.Created > unix(now.Add(clockSlack)) {
		return &fault{reason: "from-the-future", rule: ruleClock, alarm: AlarmClock, quarantine: true, err: message.ErrFormat}
	}
	if err := verifyPerson(a.signed, dir); err != nil {
		return &fault{reason: "person-signature", rule: protocol.RulePerson, alarm: AlarmForged, err: err}
	}
	if _, ok := n.spoken.For(m.Heading.Protocol); !ok {
		// A partner is ahead of us. What it said is kept for whoever updates this
		// program, and it hears which versions would have been read.
		return &fault{reason: reasonVersion, rule: n.spoken.Rejection(), alarm: AlarmOutdated, quarantine: true, err: message.ErrFormat}
	}
	return nil
}

func ruleOf(err error) string {
	var r *protocol.Refusal
	if errors.As(err, &r) {
		return r.Rule
	}
	return protocol.RuleSchema
}

// verifySender checks the signature of the device named in the message, which
// must be of the desk named in it. The device may be revoked by now: the delivery
// around it was signed by one that is not.
func verifySender(s message.Signed, dir directory) error {
	d, ok := dir.Device(s.Message.Sender.Device)
	if !ok || d.Desk != s.Message.Sender.Desk {
		return identity.ErrBadSignature
	}
	return s.VerifyDevice(d.SignKey)
}

// verifyPerson checks the signature of the person that the message names, who must
// be of the sending desk and active (H08). A message that names none passes here;
// whether it should have is the protocol's question.
func verifyPerson(s message.Signed, dir directory) error {
	if len(s.Message.Person) == 0 {
		return nil
	}
	p, ok := dir.Person(identity.PersonID(s.Message.Person))
	if !ok || p.Desk != s.Message.Sender.Desk || !p.UsableAt(time.Unix(int64(s.Message.Created), 0)) {
		return identity.ErrBadSignature
	}
	return s.VerifyPerson(p.Key)
}

func (n *Node) judgeStatement(a *arrival, err error) *fault {
	if err != nil {
		return contentFault(err)
	}
	if a.statement.From != a.from || a.statement.To != n.dev.Desk {
		return &fault{reason: "statement-of-another", alarm: AlarmForged, err: delivery.ErrFormat}
	}
	return nil
}

// judgeCopy accepts copies from this desk's own devices only.
func (n *Node) judgeCopy(a *arrival, dir directory) (f *fault) {
	if a.from != n.dev.Desk {
		return &fault{reason: "copy-of-another", alarm: AlarmForged, err: delivery.ErrFormat}
	}
	var err error
	if a.copied, err = delivery.ParseCopy(a.delivery.Content); err != nil {
		return contentFault(err)
	}
	if a.signed, err = message.Parse(a.copied.Message); err != nil {
		return contentFault(err)
	}
	if a.signed.Message.Sender.Desk != n.dev.Desk || verifySender(a.signed, dir) != nil {
		return &fault{reason: "message-signature", alarm: AlarmForged, err: identity.ErrBadSignature}
	}
	return nil
}

// lock is what this device opens envelopes with.
func (n *Node) lock(dir directory) seal.Lock {
	return seal.Lock{
		Desk: n.dev.Desk, Device: n.dev.ID,
		Epoch: n.epochKey,
		Sealer: func(id identity.DeviceID) (identity.Key, error) {
			d, ok := dir.Device(id)
			if !ok {
				return identity.Key{}, seal.ErrUnknownSealer
			}
			return d.SignKey, nil
		},
	}
}

// unix gives seconds since 1970; times before it are 0.
func unix(t time.Time) uint64 { return uint64(max(t.Unix(), 0)) }
