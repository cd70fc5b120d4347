package casefile

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/protocol"
	"schakel/crypto/canon"
	"schakel/crypto/custody"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// Promise is the relay's custody receipt for one envelope, and what it was for. That
// the relay held an envelope with that SHA-256, and since when, is signed by the relay.
// That this message was in it is the word of the desk that made the file: the
// envelope is sealed, and the relay never knew.
type Promise struct {
	_        struct{} `cbor:",toarray"`
	Message  message.Hash
	Desk     identity.DeskID
	Envelope [sha256.Size]byte
	Receipt  []byte
}

// maxPromise bounds the bytes of a promise: a receipt and three fields.
const maxPromise = 4 << 10

// Encode returns the canonical bytes of p.
func (p Promise) Encode() ([]byte, error) { return canon.Marshal(p) }

func parsePromise(raw []byte) (p Promise, r custody.Receipt, err error) {
	if err = canon.Unmarshal(raw, maxPromise, &p); err == nil {
		r, err = custody.ParseReceipt(p.Receipt)
	}
	return p, r, err
}

// Proof is one step of a message on its way, and whose signature shows it.
type Proof struct {
	At   time.Time `json:"at"`   // by the clock of who signed
	By   Signer    `json:"by"`   // a device of the desk, a person, or the relay
	File string    `json:"file"` // where the signature is
}

// Delivery is what signatures prove of the way of a message to one desk that it was
// addressed to. A step that nothing in the file proves is not there.
type Delivery struct {
	Desk         identity.DeskID   `json:"desk"`
	Org          string            `json:"org"`
	AtRelay      *Proof            `json:"atRelay,omitempty"`
	Guarantee    custody.Guarantee `json:"guarantee,omitempty"` // of the relay: see docs/crypto.md
	Delivered    *Proof            `json:"delivered,omitempty"`
	Opened       *Proof            `json:"opened,omitempty"`
	Acknowledged *Proof            `json:"acknowledged,omitempty"`
	Rejected     *Proof            `json:"rejected,omitempty"`
	Rule         string            `json:"rule,omitempty"` // under which it was rejected
}

// Proven reports whether anything but the relay shows that the message came there.
func (d Delivery) Proven() bool {
	return d.Delivered != nil || d.Opened != nil || d.Acknowledged != nil || d.Rejected != nil
}

// maxRelays bounds the keys that a receipt is tried with: the newest. A chain has one
// relay and another key once in years; a made-up register could have thousands.
const maxRelays = 16

// ways are the deliveries of the messages in a file.
type ways map[message.Hash]map[identity.DeskID]*Delivery

func (w ways) of(h message.Hash, desk identity.DeskID) *Delivery {
	if w[h] == nil {
		w[h] = map[identity.DeskID]*Delivery{}
	}
	if w[h][desk] == nil {
		w[h][desk] = &Delivery{Desk: desk}
	}
	return w[h][desk]
}

// first keeps the earliest proof of a step: there can be one by each device of a desk. Of
// the same second everybody must keep the same one, or the pages would differ that are
// made again by whoever verifies the file.
func first(have **Proof, p Proof) bool {
	if had := *have; had != nil && cmp.Or(p.At.Compare(had.At), cmp.Compare(p.File, had.File), cmp.Compare(p.By.ID, had.By.ID)) >= 0 {
		return false
	}
	*have = &p
	return true
}

// readProofs verifies the statements and receipts in the file, and gathers what they,
// the acknowledgements and the maker's own notes show.
func (r *reading) readProofs() {
	for _, name := range r.names(folderStatements) {
		if err := r.statement(name); err != nil {
			r.fault(FaultDelivery, name, err)
		}
	}
	r.relays = r.register.Relays()
	r.relays = r.relays[max(0, len(r.relays)-maxRelays):]
	for _, name := range r.names(folderCustody) {
		if err := r.promise(name); err != nil {
			r.fault(FaultDelivery, name, err)
		}
	}
	for _, s := range r.signed {
		r.acknowledgement(s)
	}
	for _, x := range r.record.Received {
		r.received(x)
	}
}

var errNothingOfCase = errors.New("it says nothing of a message in this file")

// statement verifies what another desk stated to the maker: signed by a device of the
// desk that it says it is from, for the desk that made the file.
func (r *reading) statement(name string) error {
	raw := r.contents[name]
	if proofFile(folderStatements, raw) != name {
		return fmt.Errorf("%w: another statement than its name says", delivery.ErrFormat)
	}
	e, err := delivery.ParseEvidence(raw)
	if err != nil {
		return err
	}
	h, err := e.Header()
	if err != nil {
		return err
	}
	sealer, ok := r.register.Device(h.Sealer)
	if !ok {
		return fmt.Errorf("%w: the register does not hold device %s", identity.ErrBadSignature, h.Sealer)
	}
	d, err := e.Verify(sealer.SignKey)
	if err != nil {
		return fmt.Errorf("device %s: %w", h.Sealer, err)
	}
	if d.Kind != delivery.KindStatement {
		return fmt.Errorf("%w: no statement", delivery.ErrFormat)
	}
	st, err := delivery.ParseStatement(d.Content)
	if err != nil {
		return err
	}
	if st.From != sealer.Desk || st.To != h.Desk || st.To != r.manifest.Desk {
		return fmt.Errorf("%w: of %s to %s, signed by a device of %s", delivery.ErrFormat, st.From, st.To, sealer.Desk)
	}
	return r.stated(st, name, r.device(h.Sealer))
}

// stated notes what a verified statement says of the messages of this desk here.
func (r *reading) stated(st delivery.Statement, name string, by Signer) error {
	says := false
	for _, s := range st.Statuses {
		if !r.wentTo(s.Message, st.From) {
			says = says || r.noted.unreadable[s.Message]
			continue
		}
		says = true
		way := r.ways.of(s.Message, st.From)
		for _, step := range []struct {
			when uint64
			at   **Proof
		}{{s.Received, &way.Delivered}, {s.Opened, &way.Opened}, {s.Rejected, &way.Rejected}} {
			if step.when == 0 {
				continue
			}
			if first(step.at, Proof{instant(step.when), by, name}) && step.at == &way.Rejected {
				way.Rule = s.Rule
			}
		}
	}
	if !says {
		return errNothingOfCase
	}
	return nil
}

// wentTo reports whether the desk that made the file sent a message to another.
func (r *reading) wentTo(h message.Hash, desk identity.DeskID) bool {
	s, ok := r.signed[h]
	return ok && s.Message.Sender.Desk == r.manifest.Desk && s.Message.AddressedTo(desk)
}

// promise verifies a custody receipt with the key that a relay of the register had.
func (r *reading) promise(name string) error {
	raw := r.contents[name]
	if proofFile(folderCustody, raw) != name {
		return fmt.Errorf("%w: another receipt than its name says", custody.ErrFormat)
	}
	p, receipt, err := parsePromise(raw)
	if err != nil {
		return err
	}
	if err := receipt.Leaf.In(receipt.Batch, p.Envelope); err != nil {
		return err
	}
	i := slices.IndexFunc(r.relays, func(s trust.RelayState) bool { return receipt.Batch.Verify(s.Receipt) == nil })
	if i < 0 {
		return fmt.Errorf("%w: no relay of this register signed it", identity.ErrBadSignature)
	}
	if !r.wentTo(p.Message, p.Desk) {
		if r.noted.unreadable[p.Message] {
			return nil
		}
		return errNothingOfCase
	}
	way := r.ways.of(p.Message, p.Desk)
	by := Signer{ID: r.relays[i].ID, Standing: StandingActive, Revoked: r.relays[i].Revoked}
	if by.Revoked != 0 {
		by.Standing = StandingRevoked
	}
	if first(&way.AtRelay, Proof{instant(receipt.Batch.At), by, name}) {
		way.Guarantee = receipt.Batch.Guarantee
	}
	return nil
}

// acknowledgement notes that a person took a message: an ontvangstbevestiging that the
// person signed, of a desk that the message was addressed to.
func (r *reading) acknowledgement(s message.Signed) {
	m := s.Message
	if m.Heading.Class != protocol.ClassAcknowledgement || len(m.Person) == 0 {
		return
	}
	file := messageFile(s.Hash())
	if r.enclosed[s.Hash()] {
		file = folderMessages // inside another one
	}
	for _, ref := range m.Heading.Answers {
		if of, ok := r.signed[ref.Hash]; ok && of.Message.AddressedTo(m.Sender.Desk) {
			first(&r.ways.of(ref.Hash, m.Sender.Desk).Acknowledged, Proof{instant(m.Created), r.person(identity.PersonID(m.Person)), file})
		}
	}
}

// received is the maker's own word on what it got: the manifest that its device signed
// covers it.
func (r *reading) received(x Received) {
	s, ok := r.signed[x.Message]
	if !ok || !s.Message.AddressedTo(r.manifest.Desk) {
		return
	}
	way, by := r.ways.of(x.Message, r.manifest.Desk), r.device(r.manifest.Device)
	if !x.Received.IsZero() {
		first(&way.Delivered, Proof{x.Received.UTC(), by, nameRecord})
	}
	if !x.Opened.IsZero() {
		first(&way.Opened, Proof{x.Opened.UTC(), by, nameRecord})
	}
}

// deliveries are the ways of one message to each desk that it was addressed to, by name.
func (r *reading) deliveries(s message.Signed) (out []Delivery) {
	for _, desk := range s.Message.Addressed {
		d := Delivery{Desk: desk}
		if way := r.ways[s.Hash()][desk]; way != nil {
			d = *way
		}
		d.Org = r.org(desk)
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Delivery) int { return cmp.Compare(a.Desk, b.Desk) })
	return out
}

func instant(seconds uint64) time.Time { return time.Unix(int64(min(seconds, 1<<40)), 0).UTC() }

func proofFile(folder string, raw []byte) string {
	return fmt.Sprintf("%s%x.cbor", folder, hashOf(raw))
}

// Proofs of each kind that a file holds at most. A partner that blows up its statements
// cannot keep a case from leaving as a file: the largest are left out, and counted. All
// kinds fit beside the most messages, and a thousand files are left for the register.
const (
	maxProofs    = (maxFiles - MaxMessages - 1000) / 3
	maxProofSize = 64 << 20
)

// fitting returns the proofs that go into a file, the smallest first, and how many do not.
func fitting(proofs [][]byte) (in [][]byte, left int) {
	in = slices.Clone(proofs)
	slices.SortFunc(in, func(a, b []byte) int { return cmp.Or(cmp.Compare(len(a), len(b)), slices.Compare(a, b)) })
	size := 0
	for i, p := range in {
		if size += len(p); i == maxProofs || size > maxProofSize {
			return in[:i], len(in) - i
		}
	}
	return in, 0
}
