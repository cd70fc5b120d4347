package schakel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

const (
	defaultList = 200
	maxList     = 1000
)

// List returns the messages that f selects: urgent first, then newest first.
func (n *Node) List(ctx context.Context, f Filter) (out []Summary, err error) {
	q := store.Query{Direction: store.In, Order: store.Urgent, Live: true, Unacknowledged: f.ToAck, Unread: f.Unread,
		Limit: cmp.Or(max(0, min(f.Limit, maxList)), defaultList), Offset: f.Offset}
	switch f.Box {
	case "sent":
		q.Direction = store.Out
	case "all":
		q.Direction = 0
	}
	if f.Case != "" {
		u, err := identity.ParseUUID(f.Case)
		if err != nil {
			return nil, fmt.Errorf("case: %w", err)
		}
		q.Case = message.CaseRef(u)
	}
	err = n.store.View(ctx, func(tx *store.Tx) error {
		if f.After != "" {
			last, err := find(tx, f.After)
			if err != nil && !errors.Is(err, store.ErrDestroyed) {
				return err
			}
			q.Following = last.Hash
		}
		look := tx.Messages
		if f.ToAck {
			look = func(q store.Query) ([]store.Message, error) { return n.toAck(tx, q) }
		}
		rows, err := look(q)
		for _, row := range rows {
			s, err := n.summary(tx, row)
			if err != nil {
				return err
			}
			out = append(out, s)
		}
		return err
	})
	return out, err
}

// toAck are the rows of what waits for a person here: what nobody acknowledged, and what
// asks for more persons, in one order. So a place in it is a place among all messages, and
// who goes on after one of them misses nothing, whoever signed for that one meanwhile.
func (n *Node) toAck(tx *store.Tx, q store.Query) ([]store.Message, error) {
	out, err := n.toConfirm(tx, q)
	if err != nil {
		return nil, err
	}
	skip := max(q.Offset, 0)
	q.Offset = 0
	for found, more := 0, true; more; { // some rows ask for nothing, and a short page would look like the end
		rows, err := tx.Messages(q)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if !n.ackDue(row).IsZero() {
				out, found = append(out, row), found+1
			}
			q.Following = row.Hash
		}
		more = len(rows) == q.Limit && found-skip < q.Limit
	}
	slices.SortFunc(out, store.ByUrgency)
	out = out[min(skip, len(out)):]
	return out[:min(q.Limit, len(out))], nil
}

// toConfirm is what is acknowledged and asks for more persons, of a query for what is not.
func (n *Node) toConfirm(tx *store.Tx, q store.Query) ([]store.Message, error) {
	short, broken := n.shortHanded(tx)
	if broken != nil { // the pager alarms about it; what nobody has acknowledged must be seen
		n.log.Error("not all found that asks for more persons", "err", broken)
	}
	if len(short) == 0 || q.Direction == store.Out {
		return nil, nil
	}
	q.Unacknowledged, q.Limit, q.Offset, q.Of = false, maxShort, 0, []message.Hash{}
	for _, row := range short {
		q.Of = append(q.Of, row.Hash)
	}
	return tx.Messages(q)
}

// ackDue is when a named person here must have acknowledged an inbound message.
func (n *Node) ackDue(row store.Message) time.Time {
	if row.Direction != store.In {
		return time.Time{}
	}
	return n.ackDeadline(message.Message{
		Created: unix(row.Created), Heading: message.Heading{Class: row.Class, Urgency: row.Urgency},
	})
}

func (n *Node) summary(tx *store.Tx, row store.Message) (Summary, error) {
	s := Summary{
		Hash: row.Hash.String(), ID: row.ID.String(), Case: row.Case.String(), Inbound: row.Direction == store.In,
		Class: row.Class, Urgency: row.Urgency, From: row.Peer, Created: row.Created.UTC(), Received: utc(row.Received),
		Opened: utc(row.Opened), Acknowledged: utc(row.Acknowledged), AckBy: row.AcknowledgedBy, AckDue: utc(n.ackDue(row)),
		Exercise: row.Exercise,
	}
	if row.Answers != (message.Hash{}) {
		s.Answers = row.Answers.String()
	}
	switch row.Verdict {
	case "":
	case store.Unjudged:
		s.Unjudged = true
	default:
		s.Refused = row.Verdict
	}
	if err := n.detailed(tx, row, &s); err != nil {
		return s, err
	}
	marks, err := n.marks(tx, row, s)
	s.Marks = marks
	return s, err
}

// detailed adds to a summary what does not stand in its row.
func (n *Node) detailed(tx *store.Tx, row store.Message, s *Summary) error {
	l, err := n.listOf(tx, row.Case)
	if err != nil {
		return err
	}
	s.Restricted = n.readers(tx, l)
	if s.Confirms, err = n.confirmations(tx, row); err != nil {
		return err
	}
	has, err := n.assignment(tx, row.Case)
	if s.Holder = has.Name; err != nil || s.Inbound {
		return err
	}
	s.From = n.dev.Desk
	rs, err := tx.Recipients(row.Hash)
	for _, r := range rs {
		if r.Desk == n.dev.Desk {
			continue
		}
		to, marked := recipientOf(r), error(nil)
		to.ByFile, marked = carriedAt(tx, r)
		s.Recipients, err = append(s.Recipients, to), errors.Join(err, marked)
	}
	return err
}

func utc(t time.Time) time.Time {
	if t.Unix() <= 0 {
		return time.Time{}
	}
	return t.UTC()
}

// stateNames gives each stored state the word a person sees.
var stateNames = map[store.RecipientState]State{
	store.Pending: StatePrepared, store.AtRelay: StateAtRelay, store.Delivered: StateDelivered, store.Opened: StateOpened,
	store.Acknowledged: StateAcknowledged, store.Rejected: StateRejected, store.Failed: StateFailed,
}

func recipientOf(r store.Recipient) Recipient {
	at := map[store.RecipientState]time.Time{
		store.Pending: r.Pending, store.AtRelay: r.AtRelay, store.Delivered: r.Delivered, store.Opened: r.Opened,
		store.Acknowledged: r.Acknowledged, store.Rejected: r.Rejected, store.Failed: r.Failed,
	}
	return Recipient{Desk: r.Desk, State: stateNames[r.State], At: utc(at[r.State]), By: r.AcknowledgedBy, Rule: r.Rule}
}

// Read returns one message and notes that it was opened, by nobody in particular: see
// ReadAs.
func (n *Node) Read(ctx context.Context, ref string) (Letter, error) {
	return n.ReadAs(ctx, ref, By{})
}

// ReadAs returns one message. That it was opened, on this device and by whom, is in the
// access log before anybody sees the content. A person is only noted who proved it with
// the PIN: nobody can put another's name there. A message of a restricted case opens for
// the persons named for it only, and refuses with ErrRestricted.
func (n *Node) ReadAs(ctx context.Context, ref string, by By) (Letter, error) {
	a, err := n.accessTo(ctx, ref, by)
	if err != nil {
		return Letter{}, err
	}
	var row store.Message
	var l Letter
	err = n.inside(ctx, a, false, func(tx *store.Tx) (err error) {
		if row, err = find(tx, ref); err != nil {
			return err
		}
		if row.Raw == nil { // closed to a list that lost
			return n.closedHere(tx, row.Case)
		}
		l, err = n.letter(tx, row)
		return err
	})
	if err != nil {
		return Letter{}, err
	}
	if err := errors.Join(n.opened(ctx, row, a.person), n.seen(ctx, row.Hash, &l)); err != nil {
		return Letter{}, err
	}
	return l, nil
}

func (n *Node) letter(tx *store.Tx, row store.Message) (l Letter, err error) {
	if l.Summary, err = n.summary(tx, row); err != nil {
		return l, err
	}
	signed, err := message.Parse(row.Raw)
	if err != nil {
		return l, err
	}
	l.To, l.Device, l.Body = signed.Message.Addressed, signed.Message.Sender.Device.String(), signed.Message.Body
	if len(signed.Message.Person) > 0 {
		l.Person = identity.PersonID(signed.Message.Person).String()
	}
	l.Flags = staleFlags(signed.Message)
	if err := haveFiles(tx, row.Hash, l.Recipients); err != nil {
		return l, err
	}
	if l.Attachments, err = n.attachmentsOf(tx, signed); err != nil {
		return l, err
	}
	if row.Direction == store.In {
		if l.Late, err = tx.Behind(row); err != nil {
			return l, err
		}
		l.Flags, err = n.flags(tx, signed)
	}
	if errors.Is(err, ErrRestricted) { // part of the case is closed to a list that lost
		l.Unjudged, l.Flags, err = true, staleFlags(signed.Message), nil
	}
	return l, err
}

// Trace returns an outbound message's state with each addressed desk. A message
// that this desk received has no such states: that is ErrNotFound.
func (n *Node) Trace(ctx context.Context, ref string) (s Summary, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		row, err := find(tx, ref)
		if err != nil {
			return err
		}
		if row.Direction == store.In {
			return fmt.Errorf("%w: %.8s was received here, not sent", ErrNotFound, row.Hash)
		}
		if s, err = n.summary(tx, row); err != nil {
			return err
		}
		return haveFiles(tx, row.Hash, s.Recipients)
	})
	return s, err
}

// Wait blocks until every addressed desk has reached at least state, or one of them
// rejected the message or it was given up, or ctx ends.
func (n *Node) Wait(ctx context.Context, ref string, state State) (Summary, error) {
	events, cancel := n.Subscribe()
	defer cancel()
	for {
		s, err := n.Trace(ctx, ref)
		if err != nil || reached(s.Recipients, state) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-events:
		case <-time.After(time.Second): // events are hints, and may be lost
		}
	}
}

// order of the states on the way; rejected and failed end any wait.
var order = []State{StatePrepared, StateAtRelay, StateDelivered, StateOpened, StateAcknowledged}

func reached(rs []Recipient, state State) bool {
	for _, r := range rs {
		if r.State == StateRejected || r.State == StateFailed {
			return true
		}
	}
	for _, r := range rs {
		if slices.Index(order, r.State) < slices.Index(order, state) {
			return false
		}
	}
	return true
}

// Status returns the state of this device.
func (n *Node) Status(ctx context.Context) (Status, error) {
	n.mu.Lock()
	dir, conn, session := n.dir, n.conn, n.session
	n.mu.Unlock()
	st := Status{
		Light: n.light,
		Desk:  n.dev.Desk, Role: dir.role(n.dev.Desk), Device: n.dev.ID, Relay: dir.relay.URL, Connected: conn.up, ConnectedSince: utc(conn.since),
		LastError: conn.lastErr, RegisterSize: dir.Size(), RegisterSkipped: len(dir.Skipped(0)), RegisterAge: n.registerAge(), NewDevices: n.waiting(dir, n.now()), OwnNewDevices: n.newDevices(dir, n.dev.Desk, n.now()), ClockBehind: n.floor.behind(),
	}
	if org, ok := dir.Org(n.dev.Desk.Org()); ok {
		st.Fingerprint = orgFingerprint(org)
	}
	if last, ok := dir.LastEpoch(n.dev.ID); ok {
		st.KeysUntil = last.Until.UTC()
	}
	var epoch [16]byte
	if session != nil {
		epoch, st.ClockAhead = session.ready.StoreEpoch, session.ahead
	}
	return st, n.store.View(ctx, func(tx *store.Tx) error {
		st.Witnesses = n.witnessWord(tx, dir, session)
		return n.counts(tx, &st, epoch)
	})
}

func (n *Node) counts(tx *store.Tx, st *Status, epoch [16]byte) (err error) {
	if st.Rota, err = n.rotaStatus(tx); err != nil {
		return err
	}
	if st.Outbox, err = tx.OutboxSize(); err != nil {
		return err
	}
	unsealed := 0
	if st.NotAtRelay, unsealed, _, err = n.leaving(tx, epoch); err != nil {
		return err
	}
	st.Outbox += unsealed
	if st.Unread, err = tx.CountMessages(store.Query{Direction: store.In, Unread: true}); err != nil {
		return err
	}
	waiting, err := tx.Messages(store.Query{Direction: store.In, Unacknowledged: true, Order: store.Urgent, Limit: maxList})
	for _, row := range waiting {
		if !n.ackDue(row).IsZero() {
			st.ToAcknowledge++
		}
	}
	if err != nil {
		return err
	}
	short, broken := n.shortHanded(tx)
	if broken != nil {
		n.log.Error("not all found that asks for more persons", "err", broken)
	}
	st.ToConfirm = len(short)
	alarms, err := tx.Alarms()
	if err != nil {
		return err
	}
	st.Alarms = len(alarms)
	for _, a := range alarms {
		if AlarmKind(a.Kind) == AlarmDrill {
			st.DrillDue = a.At.UTC()
		}
	}
	rejected, err := tx.Rejected()
	for _, times := range rejected {
		st.Rejected += int(times)
	}
	if err != nil {
		return err
	}
	kept, err := tx.Quarantined(0, maxList)
	st.Quarantined = len(kept)
	return err
}

// Directory returns the desks of the register that this desk may write to.
func (n *Node) Directory(ctx context.Context) ([]Desk, error) {
	dir := n.directory()
	var out []Desk
	for _, id := range dir.Desks() {
		state, ok := dir.Desk(id)
		if !ok || !state.Active() || id == n.dev.Desk || !dir.lane(n.dev.Desk, id) {
			continue
		}
		org, _ := dir.Org(id.Org())
		_, err := n.sealable(id, n.now())
		key, found := n.keyState(dir, id.Org())
		out = append(out, Desk{
			ID: id, Org: org.Name, Role: state.Role, Region: state.Region, Telephone: state.Phone,
			Devices: len(dir.DevicesOf(id)), Reachable: err == nil && n.mayWrite(id) == nil,
			Fingerprint: orgFingerprint(org), Key: key, KeyBy: found.by, KeyAt: found.at, NewDevices: n.newDevices(dir, id, n.now()),
		})
	}
	return out, nil
}

// Export returns the newest delivery of an outbound message to a desk as its bare
// age file: what a device of that desk can open with the stock age program. It is
// gone once the desk has confirmed it. Nothing of a restricted case is given out so: the
// copy for this desk's own devices opens with the keys of those.
func (n *Node) Export(ctx context.Context, ref string, to identity.DeskID) ([]byte, error) {
	if err := n.notLight(); err != nil {
		return nil, err
	}
	var sealed []byte
	var subject string
	err := n.store.View(ctx, func(tx *store.Tx) error {
		row, err := find(tx, ref)
		if err != nil {
			return err
		}
		if lock, err := tx.CaseLock(row.Case); err != nil || lock != nil {
			return cmp.Or(err, n.closedHere(tx, row.Case))
		}
		ds, err := tx.DeliveriesOf(row.Hash, to)
		if err != nil {
			return err
		}
		if len(ds) == 0 {
			return fmt.Errorf("%w: no delivery to %s is kept here", ErrNotFound, to)
		}
		d, err := tx.Delivery(ds[len(ds)-1].Envelope)
		if err != nil {
			return err
		}
		e, err := envelope.Parse(d.Raw)
		sealed, subject = e.Sealed, row.Hash.String()
		return err
	})
	if err != nil {
		return nil, err
	}
	return sealed, n.note(ctx, actionExported, subject, identity.PersonID{})
}

// Rule returns the text of a rule of the protocol, for showing beside a rejection.
func (n *Node) Rule(id string) (protocol.Rule, bool) { return n.catalogue.Rule(id) }

// isNotFound reports an error of either vocabulary.
func isNotFound(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, store.ErrNotFound)
}
