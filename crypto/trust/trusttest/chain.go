// Package trusttest builds registers for tests: root holders, a relay,
// organisations, desks, devices and persons with keys that follow from their
// names, so that the same test always makes the same bytes.
//
//	c := trusttest.New(now)
//	d := c.Enrol("vt20/crisis", identity.RoleVeiligThuis)
//	reg := c.Register()
//
// The keys are worthless outside tests. Nothing here fails softly: a chain that
// cannot be built panics.
package trusttest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// Key is an Ed25519 key that signs for tests.
type Key struct{ Private ed25519.PrivateKey }

var _ trust.Signer = Key{}

// NewKey derives a key from a name.
func NewKey(name string) Key {
	seed := sha256.Sum256([]byte("schakel test key " + name))
	return Key{ed25519.NewKeyFromSeed(seed[:])}
}

// Public is the public key.
func (k Key) Public() identity.Key { return identity.Key(k.Private.Public().(ed25519.PublicKey)) }

// Sign signs msg itself.
func (k Key) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(k.Private, msg), nil }

// UUID derives a version 7 UUID from a name.
func UUID(name string) [16]byte {
	sum := sha256.Sum256([]byte("schakel test id " + name))
	u := [16]byte(sum[:16])
	u[6], u[8] = 0x70|u[6]&0x0f, 0x80|u[8]&0x3f
	return u
}

// RelayID is the id of the relay of every Chain, and LogName its log's.
const (
	RelayID = "relay-1"
	LogName = "schakel.example/relay-1"
)

// Device is an enrolled device with its keys, and a person who works on it.
type Device struct {
	trust.Device
	Sign, Login Key
	Person      trust.Person
	PersonKey   Key
}

// Recipient is the stand-in for the recipient string of an epoch: it is unique,
// and no key that anybody could seal to.
func (d Device) Recipient(number uint64) string { return fmt.Sprintf("recipient-%s-%d", d.ID, number) }

// Chain is a register being built.
type Chain struct {
	Now     time.Time
	Holders []Key // 3, of whom 2 must sign
	Receipt Key   // the relay's
	Log     Key
	Relay   trust.Relay

	entries [][]byte
	reg     *trust.Register
	devices int
}

// New makes a chain of a genesis (2 of 3) and a relay.
func New(now time.Time) *Chain {
	c := &Chain{Now: now.UTC().Truncate(time.Second), Receipt: NewKey("receipt"), Log: NewKey("log")}
	for i := range 3 {
		c.Holders = append(c.Holders, NewKey(fmt.Sprint("holder ", i)))
	}
	genesis := must(c.Root(1, 2, c.Holders...).Sign(trust.First(), c.Quorum()...))
	c.reg = must(trust.New(genesis, trust.GenesisFingerprint(genesis)))
	c.entries = [][]byte{genesis}
	c.Relay = trust.Relay{ID: RelayID, URL: "wss://127.0.0.1:8443", TLS: sha256.Sum256([]byte("tls")),
		Receipt: c.Receipt.Public(), Log: must(trust.LogKey(LogName, c.Log.Public()))}
	c.Add(must(c.Relay.Sign(trust.First(), c.Quorum()...)))
	return c
}

// Clone is a copy that grows on its own.
func (c *Chain) Clone() *Chain {
	copied := *c
	copied.entries, copied.reg = slices.Clone(c.entries), c.reg.Clone()
	return &copied
}

// Root is a root of these holders that lives for a year.
func (c *Chain) Root(version uint64, threshold int, holders ...Key) trust.Root {
	b := trust.Root{Version: version, Threshold: threshold, Agreement: sha256.Sum256([]byte("agreement")),
		Issued: c.Now, Expires: c.Now.AddDate(1, 0, 0)}
	for _, k := range holders {
		b.Keys = append(b.Keys, k.Public())
	}
	return b
}

// Quorum is two holders: enough.
func (c *Chain) Quorum() []trust.Signer { return []trust.Signer{c.Holders[0], c.Holders[1]} }

// Add applies an entry that must count.
func (c *Chain) Add(entry []byte) {
	if err := c.reg.Apply(entry); err != nil {
		panic(err)
	}
	c.entries = append(c.entries, entry)
}

// OrgKey is the key of an organisation of the chain.
func OrgKey(id identity.OrgID) Key { return NewKey("org " + string(id)) }

// Org is an organisation's entry content.
func Org(id identity.OrgID) trust.Org {
	u := UUID(string(id))
	n := binary.BigEndian.Uint32(u[:])
	return trust.Org{ID: id, Name: "Organisatie " + string(id), OIN: fmt.Sprintf("00000099%012d", n),
		Key: OrgKey(id).Public(), Status: trust.OrgActive}
}

// AddDesk admits a desk, and its organisation where that is new.
func (c *Chain) AddDesk(id identity.DeskID, role identity.Role) trust.Desk {
	if _, ok := c.reg.Org(id.Org()); !ok {
		o := Org(id.Org())
		c.Add(must(o.Sign(c.reg.Next(o.Subject()), c.Quorum()...)))
	}
	d := trust.Desk{ID: id, Name: "Bureau " + string(id), Role: role, Region: "XA", Phone: "+31600000001"}
	c.Add(must(d.Sign(c.reg.Next(d.Subject()), OrgKey(id.Org()), c.Quorum()...)))
	return d
}

// Enrol adds a device with a person and 16 epochs of a day to a desk, which it
// admits where that is new. The first epoch covers Now.
func (c *Chain) Enrol(desk identity.DeskID, role identity.Role) Device {
	if _, ok := c.reg.Desk(desk); !ok {
		c.AddDesk(desk, role)
	}
	c.devices++
	d := NewDevice(fmt.Sprint(desk, " ", c.devices), desk, c.Now)
	c.Add(must(d.Device.Sign(trust.First(), OrgKey(desk.Org()), d.Sign, d.Login)))
	c.Add(must(d.Person.Sign(trust.First(), OrgKey(desk.Org()), d.PersonKey)))
	c.Add(must(d.Epochs(1, 16, c.Now).Sign(trust.First(), d.Sign)))
	return d
}

// NewDevice makes a device and its person that no register knows yet.
func NewDevice(name string, desk identity.DeskID, now time.Time) Device {
	d := Device{Sign: NewKey("sign " + name), Login: NewKey("login " + name), PersonKey: NewKey("person " + name)}
	from := now.UTC().Truncate(time.Second)
	d.Device = trust.Device{ID: identity.DeviceID(UUID("device " + name)), Desk: desk, Type: trust.DevicePerson,
		SignKey: d.Sign.Public(), LoginKey: d.Login.Public(), From: from, Until: from.AddDate(2, 0, 0)}
	d.Person = trust.Person{ID: identity.PersonID(UUID("person " + name)), Desk: desk,
		Key: d.PersonKey.Public(), From: from, Until: from.AddDate(2, 0, 0)}
	return d
}

// Epochs publishes n epochs of a day, numbered from first, the first beginning at
// from.
func (d Device) Epochs(first uint64, n int, from time.Time) trust.Epochs {
	b := trust.Epochs{Device: d.ID, First: first, From: from.UTC().Truncate(time.Second), Length: 24 * time.Hour}
	for _, r := range d.Recipients(first, n) {
		b.Hashes = append(b.Hashes, sha256.Sum256([]byte(r)))
	}
	return b
}

// Recipients are the stand-in strings of n epochs.
func (d Device) Recipients(first uint64, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = d.Recipient(first + uint64(i))
	}
	return list
}

// Entries are all entries so far, the genesis first.
func (c *Chain) Entries() [][]byte { return slices.Clone(c.entries) }

// Genesis is the first entry.
func (c *Chain) Genesis() []byte { return c.entries[0] }

// Fingerprint is that of the genesis.
func (c *Chain) Fingerprint() string { return trust.GenesisFingerprint(c.Genesis()) }

// Size is the number of entries so far.
func (c *Chain) Size() uint64 { return c.reg.Size() }

// Register is a copy of the register so far.
func (c *Chain) Register() *trust.Register { return c.reg.Clone() }

// Update is what an honest relay answers to a client that has from entries.
func (c *Chain) Update(from uint64) trust.Update {
	u := trust.Update{Checkpoint: c.Checkpoint(c.reg.Size(), c.reg.Root()), From: from, Entries: slices.Clone(c.entries[from:])}
	if from < c.reg.Size() {
		u.Proof = must(c.reg.Proof(from, c.reg.Size()))
	}
	return u
}

// Checkpoint signs whatever size and root with the log's key.
func (c *Chain) Checkpoint(size uint64, root trust.Hash) []byte {
	return must(trust.SignCheckpoint(LogName, size, root, c.Log))
}

// WitnessName is the name of a witness of a chain, counted from 0.
func WitnessName(i int) string { return fmt.Sprintf("schakel.example/witness-%d", i) }

// WitnessKey is its key.
func WitnessKey(i int) Key { return NewKey(fmt.Sprint("witness ", i)) }

// Witnesses are the verifier keys of the first n.
func Witnesses(n int) (all []trust.VKey) {
	for i := range n {
		all = append(all, must(trust.WitnessKey(WitnessName(i), WitnessKey(i).Public())))
	}
	return all
}

// Demand adds a root that names n witnesses, of whom quorum must cosign.
func (c *Chain) Demand(n, quorum int) {
	b := c.reg.Authority()
	b.Version, b.Witnesses, b.Quorum = b.Version+1, Witnesses(n), quorum
	c.Add(must(b.Sign(c.reg.Next(b.Subject()), c.Quorum()...)))
}

// Cosigned adds the cosignatures of witnesses at one time to a checkpoint.
func Cosigned(checkpoint []byte, at time.Time, witnesses ...int) []byte {
	c := must(trust.ParseCheckpoint(checkpoint))
	out := slices.Clone(checkpoint)
	for _, i := range witnesses {
		out = append(out, must(c.Cosign(WitnessName(i), WitnessKey(i), at)).Line()...)
	}
	return out
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// RecipientsOf are the stand-in strings that an epoch entry publishes, nil for any
// other.
func (c *Chain) RecipientsOf(entry []byte) []string {
	b, ok := must(trust.ParseEntry(entry)).Body.(trust.Epochs)
	if !ok {
		return nil
	}
	return Device{Device: trust.Device{ID: b.Device}}.Recipients(b.First, len(b.Hashes))
}
