package evidence_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"schakel/crypto/cose"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/evidence"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

const to identity.DeskID = "knooppunt/piket"

var start = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// world is a register with a device that lies, and the same log on another branch.
type world struct {
	chain, branch *trusttest.Chain
	device        trusttest.Device
	shared        uint64 // entries that both branches have
}

func newWorld() *world {
	w := &world{chain: trusttest.New(start)}
	w.device = w.chain.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	w.shared = w.chain.Size()
	w.branch = w.chain.Clone()
	w.chain.Enrol("politie-mn/spoed", identity.RolePolitie)
	w.branch.Enrol("raad/piket", identity.RoleRaad)
	return w
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// file is one of a kind, with the entries it needs.
func (w *world) file(k evidence.Kind) evidence.File {
	f := evidence.File{Version: evidence.Version, Kind: k, Raised: uint64(start.Unix())}
	if err := f.SetEntries(must(evidence.Select(w.chain.Entries(), w.device.Subject()))); err != nil {
		panic(err)
	}
	return f
}

// side is the root of a chain at a size, and the proof that its checkpoint continues it.
func side(c *trusttest.Chain, size uint64) (trust.Hash, []trust.Hash) {
	r, _ := c.Register().RootAt(size)
	return r, must(c.Register().Proof(size, c.Size()))
}

func note(c *trusttest.Chain) []byte { return c.Checkpoint(c.Size(), c.Register().Root()) }

// fork fills in both sides of a fork at a size.
func (w *world) fork(size uint64) evidence.File {
	f := w.file(evidence.KindFork)
	f.Checkpoints, f.Size = [][]byte{note(w.chain), note(w.branch)}, size
	a, pa := side(w.chain, size)
	b, pb := side(w.branch, size)
	f.Roots, f.Proofs = []trust.Hash{a, b}, [][]trust.Hash{pa, pb}
	return f
}

// view is what the device signed of the register as the branch has it at a size.
func (w *world) view(size uint64, of *trusttest.Chain) evidence.File {
	f := w.file(evidence.KindView)
	own, proof := side(w.chain, size)
	said, _ := side(of, size)
	d := delivery.Delivery{Kind: delivery.KindTest, Content: []byte("x"), Register: delivery.RegisterView{Size: size, Root: said}}
	f.Checkpoints, f.Size, f.Roots, f.Proofs = [][]byte{note(w.chain)}, size, []trust.Hash{own, said}, [][]trust.Hash{proof}
	f.Deliveries = []delivery.Evidence{w.sealed(1, d)}
	return f
}

// sealed is a delivery of the device to a desk, as it is signed.
func (w *world) sealed(id byte, d delivery.Delivery) delivery.Evidence {
	d.Version = delivery.Version
	d.Keys = []delivery.KeyUse{{Device: identity.DeviceID{9}, Epoch: 1}}
	h := envelope.Header{Version: 1, ID: envelope.ID{id}, Sealer: w.device.ID, Desk: to, Created: 1, Expires: 2, AgeLength: envelope.MinAge,
		Targets: []envelope.Target{{Device: identity.DeviceID{9}, Epoch: 1}}}
	prefix := must(h.Prefix())
	payload, tbs, err := d.ToBeSigned(prefix)
	if err != nil {
		panic(err)
	}
	return delivery.Evidence{Prefix: prefix, Signed: must(cose.Assemble(cose.KindDelivery, payload, ed25519.Sign(w.device.Sign.Private, tbs)))}
}

// says is a message of the device.
func (w *world) says(id byte, body string) message.Signed {
	m := message.Message{
		Version: 1, ID: message.ID(trusttest.UUID(string(id))), Case: message.CaseRef(trusttest.UUID("case")),
		Heading: message.Heading{Protocol: "schakel/1", Class: "melding", Urgency: message.Routine, Expires: 1_800_000_000},
		Body:    []byte(body), Sender: message.Sender{Desk: w.device.Desk, Device: w.device.ID},
		Addressed: []identity.DeskID{to}, Created: 1_795_000_000,
	}
	payload, tbs, err := m.ToBeSigned()
	if err != nil {
		panic(err)
	}
	return must(message.Assemble(payload, ed25519.Sign(w.device.Sign.Private, tbs), nil))
}

func (w *world) counters(a, b uint64) evidence.File {
	f := w.file(evidence.KindCounter)
	f.Deliveries = []delivery.Evidence{
		w.sealed(1, delivery.Delivery{Kind: delivery.KindMessage, Content: w.says('a', "one").Raw, Counter: a}),
		w.sealed(2, delivery.Delivery{Kind: delivery.KindMessage, Content: w.says('b', "two").Raw, Counter: b}),
	}
	return f
}

func (w *world) identifiers(a, b byte) evidence.File {
	f := w.file(evidence.KindIdentifier)
	f.Messages = [][]byte{w.says(a, "one").Raw, w.says(b, "two").Raw}
	return f
}

// ghost is the log with a device at the end that another organisation vouched for (C14),
// or its own.
func (w *world) ghost(by identity.OrgID) evidence.File {
	d := trusttest.NewDevice("ghost", w.device.Desk, start)
	entry := must(d.Device.Sign(trust.First(), trusttest.OrgKey(by), d.Sign, d.Login))
	reg := w.chain.Register()
	reg.Apply(entry) //nolint:errcheck // skipped, or not: that is what the file is about
	f := evidence.File{Version: evidence.Version, Kind: evidence.KindEntry, Index: reg.Size() - 1}
	f.Checkpoints = [][]byte{w.chain.Checkpoint(reg.Size(), reg.Root())}
	f.Proofs = [][]trust.Hash{{}}
	if err := f.SetEntries(append(w.chain.Entries(), entry)); err != nil {
		panic(err)
	}
	return f
}

func verified(t testing.TB, w *world, f evidence.File) (evidence.Finding, error) {
	t.Helper()
	raw, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := evidence.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return read.Verify(w.chain.Fingerprint())
}

// newOther is a register with other root holders.
func newOther() *trusttest.Chain { return trusttest.New(start.AddDate(0, 0, 1)) }
