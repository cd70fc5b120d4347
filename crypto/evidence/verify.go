package evidence

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// Finding is what a file shows to whoever verified it.
type Finding struct {
	Kind Kind
	// Proven: the signatures in the file alone show the wrong. Otherwise they show a
	// question that one of those named under Against must answer.
	Proven bool
	// Against is whose signatures they are. Where there is more than one, the file does
	// not say which of them is to blame.
	Against []trust.Subject
	Facts   []Fact
}

// Fact is a detail of a finding. Its name is a constant; its value came out of signed bytes.
type Fact struct{ Name, Value string }

func (f *Finding) fact(name, value string) { f.Facts = append(f.Facts, Fact{name, value}) }

func (f *Finding) against(s trust.Subject) {
	if !slices.Contains(f.Against, s) {
		f.Against = append(f.Against, s)
	}
}

// Verify checks a file against the fingerprint of the register, which its reader had
// from the root holders and not from the file. The error is or wraps ErrFalse,
// trust.ErrGenesis where the fingerprint is of another register, or ErrFormat.
func (f File) Verify(fingerprint string) (Finding, error) {
	entries, err := f.entries()
	if err != nil {
		return Finding{}, err
	}
	reg, err := trust.Replay(entries, fingerprint)
	if err != nil {
		return Finding{}, err
	}
	if skipped := reg.Skipped(0); len(skipped) > 0 && f.Kind != KindEntry {
		return Finding{}, fmt.Errorf("%w: register entry %d in it does not count: %w", ErrFalse, skipped[0].Index, skipped[0].Reason)
	}
	out := Finding{Kind: f.Kind, Proven: true}
	switch f.Kind {
	case KindFork:
		err = f.fork(reg, &out)
	case KindView:
		err = f.view(reg, &out)
	case KindCounter:
		err = f.counter(reg, &out)
	case KindIdentifier:
		err = f.identifier(reg, &out)
	case KindEntry:
		err = f.entry(reg, entries, &out)
	}
	if err != nil {
		return Finding{}, err
	}
	return out, nil
}

func (f File) fork(reg *trust.Register, out *Finding) error {
	a, b, err := f.twoCheckpoints(reg, out)
	if err != nil {
		return err
	}
	out.fact("size", number(a.Size))
	out.fact("root", root(a.Root))
	out.fact("other-size", number(b.Size))
	out.fact("other-root", root(b.Root))
	if f.Size == 0 {
		out.Proven = false
		if a.Size == b.Size {
			return fmt.Errorf("%w: of two checkpoints of one size it must show which roots", ErrFalse)
		}
		return nil
	}
	for i, c := range []trust.Checkpoint{a, b} {
		if err := c.Continues(f.Size, f.Roots[i], f.Proofs[i]); err != nil {
			return fmt.Errorf("%w: %w", ErrFalse, err)
		}
	}
	out.fact("differ-at", number(f.Size))
	return f.differ()
}

// twoCheckpoints reads both, which one key of one relay must have signed.
func (f File) twoCheckpoints(reg *trust.Register, out *Finding) (a, b trust.Checkpoint, err error) {
	if a, err = trust.ParseCheckpoint(f.Checkpoints[0]); err != nil {
		return a, b, fmt.Errorf("%w: %w", ErrFalse, err)
	}
	if b, err = trust.ParseCheckpoint(f.Checkpoints[1]); err != nil {
		return a, b, fmt.Errorf("%w: %w", ErrFalse, err)
	}
	for _, relay := range reg.Relays() {
		if a.SignedBy(relay.Log) == nil && b.SignedBy(relay.Log) == nil {
			out.against(relay.Subject())
			return a, b, nil
		}
	}
	return a, b, fmt.Errorf("%w: no log of this register signed both checkpoints", ErrFalse)
}

func (f File) differ() error {
	if f.Roots[0] == f.Roots[1] {
		return fmt.Errorf("%w: both sides have the same root at size %d", ErrFalse, f.Size)
	}
	return nil
}

// checkpoint reads the only one, which a log of the register must have signed.
func (f File) checkpoint(reg *trust.Register, out *Finding) (trust.Checkpoint, error) {
	c, err := trust.ParseCheckpoint(f.Checkpoints[0])
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrFalse, err)
	}
	for _, relay := range reg.Relays() {
		if c.SignedBy(relay.Log) == nil {
			out.against(relay.Subject())
			return c, nil
		}
	}
	return c, fmt.Errorf("%w: no log of this register signed the checkpoint", ErrFalse)
}

// view: a device signed a delivery that states one root, the log a checkpoint that
// continues another. Either the log showed the device another register, or the device
// says so falsely: two checkpoints would tell, one cannot.
func (f File) view(reg *trust.Register, out *Finding) error {
	c, err := f.checkpoint(reg, out)
	if err != nil {
		return err
	}
	d, h, err := f.delivery(reg, 0, out)
	if err != nil {
		return err
	}
	out.fact("desk", string(h.desk))
	out.fact("signed-at", moment(h.created))
	out.fact("size", number(c.Size))
	out.fact("root", root(c.Root))
	out.fact("other-size", number(d.Register.Size))
	out.fact("other-root", root(d.Register.Root))
	if f.Size == 0 {
		out.Proven = false
		if d.Register.Size <= c.Size {
			return fmt.Errorf("%w: the checkpoint reaches as far as the device saw, and no root is shown", ErrFalse)
		}
		return nil
	}
	if d.Register.Size != f.Size || d.Register.Root != f.Roots[1] {
		return fmt.Errorf("%w: that is not what the device signed", ErrFalse)
	}
	if err := c.Continues(f.Size, f.Roots[0], f.Proofs[0]); err != nil {
		return fmt.Errorf("%w: %w", ErrFalse, err)
	}
	out.fact("differ-at", number(f.Size))
	return f.differ()
}

// sealed is what the header of a delivery says that matters here.
type sealed struct {
	device   identity.DeviceID
	desk, to identity.DeskID
	created  uint64
	envelope string
}

// delivery verifies the i'th delivery by the key that the register has for its device.
func (f File) delivery(reg *trust.Register, i int, out *Finding) (delivery.Delivery, sealed, error) {
	h, err := f.Deliveries[i].Header()
	if err != nil {
		return delivery.Delivery{}, sealed{}, fmt.Errorf("%w: %w", ErrFalse, err)
	}
	device, ok := reg.Device(h.Sealer)
	if !ok {
		return delivery.Delivery{}, sealed{}, fmt.Errorf("%w: the register in it does not have device %s", ErrFalse, h.Sealer)
	}
	d, err := f.Deliveries[i].Verify(device.SignKey)
	if err != nil {
		return d, sealed{}, fmt.Errorf("%w: delivery %d: %w", ErrFalse, i+1, err)
	}
	out.against(device.Subject())
	return d, sealed{h.Sealer, device.Desk, h.Desk, h.Created, h.ID.String()}, nil
}

// counter: the counter of a device towards a desk is given out once.
func (f File) counter(reg *trust.Register, out *Finding) error {
	a, from, err := f.delivery(reg, 0, out)
	if err != nil {
		return err
	}
	b, again, err := f.delivery(reg, 1, out)
	if err != nil {
		return err
	}
	switch {
	case from.device != again.device || from.to != again.to || a.Counter != b.Counter:
		return fmt.Errorf("%w: not one device, desk and counter", ErrFalse)
	case !a.Kind.Counted() || !b.Kind.Counted():
		return fmt.Errorf("%w: a delivery of a kind that takes no counter", ErrFalse)
	case bytes.Equal(f.Deliveries[0].Prefix, f.Deliveries[1].Prefix) && bytes.Equal(f.Deliveries[0].Signed, f.Deliveries[1].Signed):
		return fmt.Errorf("%w: one delivery, twice", ErrFalse)
	}
	out.fact("desk", string(from.desk))
	out.fact("to", string(from.to))
	out.fact("counter", number(a.Counter))
	for i, d := range []delivery.Delivery{a, b} {
		h := []sealed{from, again}[i]
		out.fact("envelope", h.envelope)
		out.fact("signed-at", moment(h.created))
		if m, err := message.Parse(d.Content); err == nil && d.Kind == delivery.KindMessage {
			out.fact("message", m.Hash().String())
		}
	}
	return nil
}

// identifier: a message has one identifier, and an identifier one message.
func (f File) identifier(reg *trust.Register, out *Finding) error {
	var both []message.Signed
	for i, raw := range f.Messages {
		s, err := message.Parse(raw)
		if err != nil {
			return fmt.Errorf("%w: message %d: %w", ErrFalse, i+1, err)
		}
		device, ok := reg.Device(s.Message.Sender.Device)
		if !ok || device.Desk != s.Message.Sender.Desk {
			return fmt.Errorf("%w: message %d is of no device of that desk in the register", ErrFalse, i+1)
		}
		if err := s.VerifyDevice(device.SignKey); err != nil {
			return fmt.Errorf("%w: message %d: %w", ErrFalse, i+1, err)
		}
		out.against(device.Subject())
		both = append(both, s)
	}
	a, b := both[0], both[1]
	if a.Message.ID != b.Message.ID || a.Hash() == b.Hash() || a.Message.Sender.Desk != b.Message.Sender.Desk {
		return fmt.Errorf("%w: not two messages of one desk under one identifier", ErrFalse)
	}
	out.fact("desk", string(a.Message.Sender.Desk))
	out.fact("identifier", a.Message.ID.String())
	for _, s := range both {
		out.fact("message", s.Hash().String())
		out.fact("signed-at", moment(s.Message.Created))
	}
	return nil
}

// entry: the file has the whole log up to the entry, so that nothing left out of it can
// make a good entry look bad.
func (f File) entry(reg *trust.Register, entries [][]byte, out *Finding) error {
	c, err := f.checkpoint(reg, out)
	if err != nil {
		return err
	}
	if f.Index+1 != reg.Size() {
		return fmt.Errorf("%w: it has %d entries, and not those up to entry %d", ErrFalse, reg.Size(), f.Index)
	}
	if err := c.Continues(reg.Size(), reg.Root(), f.Proofs[0]); err != nil {
		return fmt.Errorf("%w: these entries are not those of the checkpoint: %w", ErrFalse, err)
	}
	skipped := reg.Skipped(f.Index)
	if len(skipped) == 0 {
		return fmt.Errorf("%w: entry %d counts", ErrFalse, f.Index)
	}
	// A newer program may know the kind: then everybody who does not know it skips it, and nobody erred.
	out.Proven = !errors.Is(skipped[0].Reason, trust.ErrUnknownKind)
	out.fact("entry", number(f.Index))
	out.fact("reason", skipped[0].Reason.Error())
	if e, err := trust.ParseEntry(entries[f.Index]); err == nil {
		out.fact("subject", string(e.Body.Subject()))
		if org := e.OrgOf(reg); org != "" {
			out.fact("organisation", string(org))
		}
	}
	return nil
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func root(h trust.Hash) string { return base64.StdEncoding.EncodeToString(h[:]) }

func moment(unix uint64) string {
	return time.Unix(int64(min(unix, 1<<40)), 0).UTC().Format(time.RFC3339)
}
