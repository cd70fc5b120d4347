package schakel

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/crypto/trust"
	"schakel/relay/page"
	"schakel/relay/wire"
)

// Listeners are what hands events to whoever listens.
type Listeners struct{ subscribers }

func (l *Listeners) Subscribe() (<-chan Event, func()) { return l.subscribe() }
func (l *Listeners) Publish(events ...Event)           { l.publish(events...) }

// AskedForTest is how often the relay was asked for what it has of this device.
func (n *Node) AskedForTest() int64 { return n.moves.asks.Load() }

// TargetsForTest is how many devices of a desk the node would seal to now: those that it
// knows, with the key of today.
func (n *Node) TargetsForTest(desk identity.DeskID) int {
	targets, err := n.targets(desk)
	if err != nil {
		return 0
	}
	return len(targets)
}

// PutForTest seals any delivery with the node's real keys and hands it to the
// relay: what a modified client can do. It returns nil once the relay has answered,
// whatever it said. A session that ends in between, as after a leap of the clock, takes
// what it was given with it: then the same envelope is handed to the next one.
func (n *Node) PutForTest(ctx context.Context, desk identity.DeskID, tier envelope.Tier, d delivery.Delivery) error {
	targets, err := n.targets(desk)
	if err != nil {
		return err
	}
	parcel, raw, err := n.seal(desk, targets, tier, d)
	if err != nil {
		return err
	}
	row := store.Delivery{Envelope: parcel.ID, Raw: raw}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !n.putOnce(ctx, row, look.C) {
		select {
		case <-ctx.Done():
			return errors.Join(ErrUnreachable, ctx.Err())
		case <-look.C:
		}
	}
	return nil
}

// putOnce hands an envelope to the session that is there, and says whether it was answered.
func (n *Node) putOnce(ctx context.Context, row store.Delivery, look <-chan time.Time) bool {
	s := n.live()
	if s == nil {
		return false // between two sessions
	}
	s.flight.took(row)
	if s.say(ctx, wire.Put{Envelope: row.Raw}) != nil {
		return false
	}
	for s.flight.passed(row) {
		select {
		case <-s.gone:
			return false
		case <-ctx.Done():
			return false
		case <-look:
		}
	}
	return true
}

// Forgery is what a modified client does otherwise when it seals. The zero one is honest.
type Forgery struct {
	As      identity.DeviceID // the name that it seals under; its key stays its own
	Exclude identity.DeviceID // whose stanza is made for a key that nobody has
	Seen    uint64            // the size of the register that it claims
}

// SealForTest seals a delivery with this node's keys, but for what the forgery says.
func (n *Node) SealForTest(desk identity.DeskID, tier envelope.Tier, d delivery.Delivery, f Forgery) ([]byte, error) {
	targets, err := n.targets(desk)
	if err != nil {
		return nil, err
	}
	for i := range targets {
		if targets[i].Device == f.Exclude {
			nobodys, err := seal.NewEpochKey(targets[i].Epoch)
			if err != nil {
				return nil, err
			}
			if targets[i].Recipient, err = seal.ParseRecipient(nobodys.Recipient()); err != nil {
				return nil, err
			}
		}
	}
	id, err := identity.NewUUIDv7(n.now(), rand.Reader)
	if err != nil {
		return nil, err
	}
	keys := *n.keys
	if f.As != (identity.DeviceID{}) {
		keys.ID = f.As
	}
	pinned := n.directory().pinned
	d.Register = delivery.RegisterView{Size: cmp.Or(f.Seen, pinned.Size), Root: pinned.Root}
	return seal.Seal(seal.Parcel{ID: envelope.ID(id), Desk: desk, Targets: targets, Created: unix(n.now()), Expires: unix(n.now().Add(life)), Tier: tier, Delivery: d}, &keys)
}

// SignForTest signs a message as this device without asking the protocol.
func (n *Node) SignForTest(ctx context.Context, d Draft, change func(*message.Message)) (message.Signed, error) {
	m, _, err := n.compose(ctx, d)
	if err != nil {
		return message.Signed{}, err
	}
	if change != nil {
		change(&m)
	}
	return seal.SignMessage(m, n.keys, nil)
}

// SignAsForTest signs a message as this device and a person of it, without asking the
// protocol.
func (n *Node) SignAsForTest(ctx context.Context, d Draft, change func(*message.Message)) (message.Signed, error) {
	m, _, err := n.compose(ctx, d)
	if err != nil {
		return message.Signed{}, err
	}
	if change != nil {
		change(&m)
	}
	person, err := n.unlock(ctx, d.Person, d.PIN)
	if err != nil {
		return message.Signed{}, err
	}
	m.Person = person.ID[:]
	return seal.SignMessage(m, n.keys, person)
}

// KeepWatchForTest raises now what silence means.
func (n *Node) KeepWatchForTest(ctx context.Context) error { return n.keepWatch(ctx) }

// KeepRetentionForTest looks at the dates of closed cases now.
func (n *Node) KeepRetentionForTest(ctx context.Context) error { return n.keepRetention(ctx) }

// RecordForTest signs any record as a person of this device, also one that names
// another person or desk, or as the device for nobody: what a modified client can do.
func (n *Node) RecordForTest(ctx context.Context, r delivery.Record, by By) (delivery.SignedRecord, error) {
	signer := n.keys.Sign
	if by.Person != "" {
		key, err := n.mustUnlock(ctx, by)
		if err != nil {
			return delivery.SignedRecord{}, err
		}
		signer = key.Key
		if r.Person == nil {
			r.Person = key.ID[:]
		}
	}
	r.Version, r.Device, r.Created = delivery.Version, n.dev.ID, unix(n.now())
	payload, tbs, err := r.ToBeSigned()
	if err != nil {
		return delivery.SignedRecord{}, err
	}
	return delivery.AssembleRecord(payload, ed25519.Sign(signer, tbs))
}

// LogForTest is the record content that shows a log of one line, numbered 1.
func LogForTest(line []byte) []byte {
	b, err := canon.Marshal(shownRun{From: 1, Lines: [][]byte{line}})
	if err != nil {
		panic(err)
	}
	return b
}

// ContentsForTest are the contents of records: each is parsed and given back as it
// would have been written.
var ContentsForTest = map[string]func([]byte) ([]byte, error){
	"card":   func(b []byte) ([]byte, error) { return again[card](b, maxCard) },
	"run":    func(b []byte) ([]byte, error) { return again[shownRun](b, delivery.MaxRecordContent) },
	"list":   func(b []byte) ([]byte, error) { return again[listContent](b, delivery.MaxRecordContent) },
	"paged":  func(b []byte) ([]byte, error) { return again[pagedRecord](b, delivery.MaxRecordContent) },
	"shares": func(b []byte) ([]byte, error) { return again[sharesContent](b, delivery.MaxRecordContent) },
	"closed": func(b []byte) ([]byte, error) { return again[closedContent](b, delivery.MaxRecord) },
	"copy":   func(b []byte) ([]byte, error) { return again[sentElsewhere](b, maxCopy) },
	"shown":  func(b []byte) ([]byte, error) { return again[shown](b, 64) },
}

func again[T any](b []byte, limit int) ([]byte, error) {
	var v T
	if err := canon.Unmarshal(b, limit, &v); err != nil {
		return nil, err
	}
	return canon.Marshal(v)
}

// ListForTest is the content of a list after another one, and of shares that seem to be its.
func ListForTest(after message.Hash, to ...Person) (list []byte, shares func(message.Hash) []byte) {
	key, err := seal.NewReadKey()
	if err != nil {
		panic(err)
	}
	c := listContent{After: after, Lock: key.Lock().Bytes()}
	for _, p := range to {
		c.Names = append(c.Names, p.ID)
	}
	slices.SortFunc(c.Names, func(a, b identity.PersonID) int { return bytes.Compare(a[:], b[:]) })
	if list, err = canon.Marshal(c); err != nil {
		panic(err)
	}
	return list, func(of message.Hash) []byte {
		b, err := canon.Marshal(sharesContent{List: of})
		if err != nil {
			panic(err)
		}
		return b
	}
}

// RoundsForTest is how often the pager has looked.
func (n *Node) RoundsForTest() int64 { return n.rounds.Load() }

// sessionsForTest stand for sessions by number.
var sessionsForTest [32]session

// SerialForTest asks for the serial of a plan in the numbered session, for a rota of some
// revision that was decided at a second.
func (n *Node) SerialForTest(revision string, decided uint64, session int) (uint64, bool) {
	now := settled{revision: revision}
	now.last.Record.Created = decided
	return n.nextSerial(&sessionsForTest[session], now)
}

// PlanIsForTest is the relay's answer to a plan.
func (n *Node) PlanIsForTest(ctx context.Context, f wire.PlanIs) error { return n.planIs(ctx, f) }

// PagedForTest is the content of a record of one page.
func PagedForTest() []byte {
	b, err := canon.Marshal(pagedRecord{
		Rows:  []pagedRow{{Kind: string(callWaiting), Subject: "s", Reference: "ABCD-EFGH", Tier: 3, Level: 1, Contact: "c-1", Channel: "ntfy", Waiting: 2, At: 1790000000, Outcome: "sent"}},
		Rungs: []rungRow{{Kind: string(callWaiting), Subject: "s", Rungs: 1}},
	})
	if err != nil {
		panic(err)
	}
	return b
}

// ToldForTest is the content of the record of a round in which everybody was paged about so
// many messages that went to a desk with the longest name.
func ToldForTest(messages int) ([]byte, error) {
	var r round
	about := message.Hash{}.String() + " " + strings.Repeat("d", 65)
	for range maxErrands {
		r.errands = append(r.errands, errand{outcome: page.Sent, row: store.Paged{Kind: string(callUnheard), Subject: about, Reference: "ABCD-EFGH",
			Contact: strings.Repeat("c", 40), Channel: page.NTFY}})
	}
	for range messages {
		r.rungs = append(r.rungs, rung{call: call{kind: callUnheard, subject: about}, errands: []int{0}})
	}
	return canon.Marshal(r.told(time.Unix(1790000000, 0)))
}

// DrillDayForTest is when the drill of a month is due.
func (n *Node) DrillDayForTest(t time.Time) time.Time { return n.drillDay([]byte("test"), t) }

// ForgetForTest forgets what is old now.
func (n *Node) ForgetForTest(ctx context.Context) error { return n.forget(ctx) }

// RowsForTest are the rows of a record of pages as they would be stored.
func RowsForTest(b []byte) (rows []store.Paged, err error) {
	var content pagedRecord
	if err := canon.Unmarshal(b, delivery.MaxRecordContent, &content); err != nil {
		return nil, err
	}
	for _, row := range content.Rows {
		rows = append(rows, row.stored(identity.DeviceID{}))
	}
	return rows, nil
}

// PagesForTest runs the pager alone.
func (n *Node) PagesForTest(ctx context.Context) error { return n.pages(ctx) }

// PageKeyForTest makes this device's references those of a key.
func (n *Node) PageKeyForTest(ctx context.Context, key []byte) error {
	return n.update(ctx, func(tx *store.Tx) error { return tx.SetSetting(settingPageKey, key) })
}

// TakePagedForTest takes in what another device of the desk says that it paged.
func (n *Node) TakePagedForTest(ctx context.Context, r delivery.Record) error {
	return n.update(ctx, func(tx *store.Tx) error { return (&intake{n: n, tx: tx, now: n.now()}).paged(r) })
}

// SiblingsForTest is to how many other devices of its desk this one can seal.
func (n *Node) SiblingsForTest() int {
	devices, err := n.sealable(n.dev.Desk, n.now())
	if err != nil {
		return 0
	}
	return len(devices)
}

// KeepAnchorsForTest looks at what is to be anchored now.
func (n *Node) KeepAnchorsForTest(ctx context.Context) error { return n.keepAnchors(ctx) }

// AnchoringForTest is the anchor on its way, or nothing.
func (n *Node) AnchoringForTest(ctx context.Context) (raw []byte, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error { raw, err = tx.Setting(settingAnchoring); return err })
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return raw, err
}

// AnchorsForTest is how many anchors of this device the register has.
func (n *Node) AnchorsForTest() int {
	dir := n.directory()
	return int(dir.Next(trust.Anchor{Device: n.dev.ID}.Subject()).Seq) - 1
}

// HasPersonForTest reports whether the register has a person.
func (n *Node) HasPersonForTest(id identity.PersonID) bool {
	_, ok := n.directory().Person(id)
	return ok
}

// CosignForTest asks the device's witness, as the relay does.
func (n *Node) CosignForTest(ctx context.Context, f wire.Cosign) (size uint64, line []byte, err error) {
	return n.cosign(ctx, f)
}

// NowForTest is the node's clock.
func (n *Node) NowForTest() time.Time { return n.now() }

// AdvanceForTest takes in what a relay would answer.
func (n *Node) AdvanceForTest(ctx context.Context, u trust.Update) error { return n.advance(ctx, u) }

// KindForTest is the kind of what an envelope holds, where it is for this device.
func (n *Node) KindForTest(raw []byte) delivery.Kind {
	return n.judge(raw, n.directory(), n.now()).delivery.Kind
}

// RegisterForTest is the register as the node has it.
func (n *Node) RegisterForTest() *trust.Register { return n.directory().Register }

// SignsForTest reports whether the node signs for its organisation with a key.
func (n *Node) SignsForTest(key identity.Key) bool { return edKey(n.orgKey()).Public() == key }

// SniffForTest is what content passes before it is written anywhere.
func SniffForTest(w io.Writer, called string, size uint64, anyway bool) io.Writer {
	return &sniffing{to: w, want: called, size: size, anyway: anyway}
}

// TakeAtMostForTest sets how many messages of one desk this node takes at once.
func (n *Node) TakeAtMostForTest(most int) {
	n.quotas.mu.Lock()
	defer n.quotas.mu.Unlock()
	n.quotas.most = most
	clear(n.quotas.of)
}

// MoveForTest makes one try to move an attachment as it once was listed.
func (n *Node) MoveForTest(ctx context.Context, listed store.Attachment) error {
	var line carrierLine
	defer line.close()
	n.moves.claim(keyOf(listed), n.now())
	return n.moveFile(ctx, &line, listed)
}

// ConverseForTest is one session over a connection that a test made. ends reports whether
// what it came to would end the node.
func (n *Node) ConverseForTest(ctx context.Context, conn *wire.Conn) (ends bool, err error) {
	dialCtx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	err = n.converse(ctx, dialCtx, conn)
	return errors.As(err, new(*fatalError)), err
}

// PartsForTest are the sizes of the parts of an upload of which each arrived, or broke off.
func PartsForTest(arrived []bool) (sizes []int64) {
	m, k := newMoves(), moveKey{}
	for _, ok := range arrived {
		m.claim(k, time.Unix(int64(len(sizes))*3600, 0))
		if sizes = append(sizes, m.part(k)); ok {
			m.larger(k)
			m.unclaim(k)
		} else {
			m.end(k, troubleLine, time.Unix(int64(len(sizes))*3600, 0))
		}
	}
	return sizes
}
