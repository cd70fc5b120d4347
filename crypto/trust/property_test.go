package trust_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// script is the entries of a chain per subject, in the order that each demands.
func script(c *trusttest.Chain) map[trust.Subject][][]byte {
	chains := make(map[trust.Subject][][]byte)
	for _, raw := range c.Entries()[1:] {
		e, err := trust.ParseEntry(raw)
		if err != nil {
			panic(err)
		}
		chains[e.Body.Subject()] = append(chains[e.Body.Subject()], raw)
	}
	return chains
}

// answers is all that a register says about a chain's subjects, less the indexes,
// which an interleaving may change.
func answers(reg *trust.Register, devices []trusttest.Device) string {
	out := fmt.Sprint(reg.Authority(), reg.Desks())
	for _, d := range devices {
		dev, ok1 := reg.Device(d.ID)
		person, ok2 := reg.Person(d.Person.ID)
		desk, ok3 := reg.Desk(d.Desk)
		org, ok4 := reg.Org(d.Desk.Org())
		epoch, err := reg.EpochFor(d.ID, now)
		out += fmt.Sprintln(dev.Device, dev.Active(), ok1, person.Person, person.Active(), ok2,
			desk.Desk, desk.Active(), ok3, org.Org, org.Active(), ok4, epoch, err)
		for _, of := range reg.DevicesOf(d.Desk) {
			out += of.ID.String()
		}
	}
	return out
}

// busyChain has several of everything, changes and revocations included.
func busyChain() (*trusttest.Chain, []trusttest.Device) {
	c := trusttest.New(now)
	var devices []trusttest.Device
	for i, desk := range []identity.DeskID{"a/one", "a/two", "b/one", "b/one"} {
		devices = append(devices, c.Enrol(desk, identity.Roles()[i]))
	}
	sign := func(entry []byte, err error) {
		if err != nil {
			panic(err)
		}
		c.Add(entry)
	}
	d := devices[0]
	d.Until = d.Until.AddDate(1, 0, 0)
	sign(d.Device.Sign(c.Register().Next(d.Subject()), trusttest.OrgKey("a"), d.Sign, d.Login))
	e := d.Epochs(30, 4, now)
	sign(e.Sign(c.Register().Next(e.Subject()), d.Sign))
	r := trust.Revoke{Of: devices[3].Subject(), Reason: trust.ReasonLost, Effective: now}
	sign(r.Sign(c.Register().Next(r.Of), trust.ByOrg(trusttest.OrgKey("b"))))
	l := trust.Release{Version: "v1.0.0", List: trust.Hash{1}}
	sign(l.Sign(c.Register().Next(l.Subject()), c.Quorum()...))
	return c, devices
}

// TestAnyInterleaving: whatever order the log gives to the chains of different
// subjects, as long as what rests on something comes after it, everybody gets the
// same answers; and a replay equals the same entries one by one.
func TestAnyInterleaving(t *testing.T) {
	c, devices := busyChain()
	want := answers(c.Register(), devices)
	rapid.Check(t, func(t *rapid.T) {
		chains, reg := script(c), newRegister(t, c)
		entries := [][]byte{c.Genesis()}
		for len(chains) > 0 {
			var ready []trust.Subject
			for s, chain := range chains {
				if _, err := reg.Check(chain[0]); err == nil {
					ready = append(ready, s)
				}
			}
			slices.Sort(ready)
			if len(ready) == 0 {
				t.Fatalf("nothing can follow; left: %d chains", len(chains))
			}
			// The last epochs of a device cannot come after its revocation.
			s := rapid.SampledFrom(beforeRevocations(ready, chains)).Draw(t, "next")
			if err := reg.Apply(chains[s][0]); err != nil {
				t.Fatal(err)
			}
			entries = append(entries, chains[s][0])
			if chains[s] = chains[s][1:]; len(chains[s]) == 0 {
				delete(chains, s)
			}
		}
		if got := answers(reg, devices); got != want {
			t.Fatalf("answers differ:\n%s\n%s", got, want)
		}
		replayed, err := trust.Replay(entries, c.Fingerprint())
		if err != nil || replayed.Root() != reg.Root() || answers(replayed, devices) != want || len(replayed.Skipped(0)) != 0 {
			t.Fatalf("replay differs: %v", err)
		}
	})
}

func beforeRevocations(ready []trust.Subject, chains map[trust.Subject][][]byte) []trust.Subject {
	others := slices.DeleteFunc(slices.Clone(ready), func(s trust.Subject) bool {
		e, err := trust.ParseEntry(chains[s][0])
		return err == nil && e.Body.Kind() == trust.KindRevoke
	})
	if len(others) > 0 {
		return others
	}
	return ready
}

func newRegister(t *rapid.T, c *trusttest.Chain) *trust.Register {
	reg, err := trust.New(c.Genesis(), c.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// TestAnyByte: an entry with any byte changed never counts as the entry it was.
func TestAnyByte(t *testing.T) {
	c, _ := busyChain()
	entries := c.Entries()
	// The register before each entry.
	before := make([]*trust.Register, len(entries))
	reg, err := trust.New(entries[0], c.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries[1:] {
		before[i+1] = reg.Clone()
		if err := reg.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(1, len(entries)-1).Draw(t, "entry")
		at := rapid.IntRange(0, len(entries[i])-1).Draw(t, "byte")
		changed := slices.Clone(entries[i])
		changed[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "change"))
		if e, err := before[i].Check(changed); err == nil {
			t.Fatalf("byte %d of %s may be changed", at, e.Body.Subject())
		}
	})
}

// TestAnyRubbishBetween: whatever else stands in the log, the answers stay.
func TestAnyRubbishBetween(t *testing.T) {
	c, devices := busyChain()
	want := answers(c.Register(), devices)
	entries := c.Entries()
	rapid.Check(t, func(t *rapid.T) {
		reg, n := newRegister(t, c), 0
		log := [][]byte{entries[0]}
		for _, e := range entries[1:] {
			for range rapid.IntRange(0, 2).Draw(t, "rubbish") {
				rubbish := rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.SampledFrom(log)).Draw(t, "what")
				if reg.Apply(rubbish) == nil {
					t.Fatalf("%q counts", rubbish)
				}
				log = append(log, rubbish)
				n++
			}
			if err := reg.Apply(e); err != nil {
				t.Fatal(err)
			}
			log = append(log, e)
		}
		if answers(reg, devices) != want || len(reg.Skipped(0)) != n {
			t.Fatalf("answers changed, or %d alarms for %d", len(reg.Skipped(0)), n)
		}
	})
}

// TestAnyAdvance: a client that follows in any steps ends where one ends that
// takes all at once.
func TestAnyAdvance(t *testing.T) {
	c, _ := busyChain()
	full, entries := c.Register(), c.Entries()
	rapid.Check(t, func(t *rapid.T) {
		reg := newRegister(t, c)
		pinned := reg.Pin()
		for pinned.Size < full.Size() {
			size := rapid.Uint64Range(max(pinned.Size, 2), full.Size()).Draw(t, "size")
			root, _ := full.RootAt(size)
			u := trust.Update{Checkpoint: c.Checkpoint(size, root), From: pinned.Size, Entries: entries[pinned.Size:size]}
			var err error
			if u.Proof, err = full.Proof(pinned.Size, size); err != nil {
				t.Fatal(err)
			}
			if reg, pinned, err = trust.Advance(reg, pinned, u); err != nil {
				t.Fatal(err)
			}
		}
		if reg.Root() != full.Root() {
			t.Fatal("another register")
		}
	})
}

// TestReplayGuessesNothing: signatures are verified ahead of their turn, by keys
// that may be wrong by then. An organisation changes its key twice in one replay;
// each key counts in its own time, the former and the future one do not.
func TestReplayGuessesNothing(t *testing.T) {
	w := newWorld(t)
	keys := []trusttest.Key{trusttest.OrgKey("vt20"), trusttest.NewKey("second"), trusttest.NewKey("third")}
	log, reg := w.Entries(), w.Register()
	var counts []identity.DeviceID
	append1 := func(entry []byte, want bool) {
		t.Helper()
		if err := reg.Apply(entry); (err == nil) != want {
			t.Fatalf("one by one: %v", err)
		}
		log = append(log, entry)
	}
	for turn := range keys {
		if turn > 0 {
			o := trusttest.Org("vt20")
			o.Key = keys[turn].Public()
			append1(w.ok(o.Sign(reg.Next(o.Subject()), w.Quorum()...)), true)
		}
		for by, key := range keys {
			d := trusttest.NewDevice(fmt.Sprint("turn ", turn, by), "vt20/crisis", now)
			append1(w.ok(d.Device.Sign(trust.First(), key, d.Sign, d.Login)), by == turn)
			if by == turn {
				counts = append(counts, d.ID)
			}
		}
	}
	replayed, err := trust.Replay(log, w.Fingerprint())
	if err != nil || replayed.Root() != reg.Root() {
		t.Fatal(err)
	}
	if a, b := reg.Skipped(0), replayed.Skipped(0); len(a) != 6 || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("one by one %v, replayed %v", a, b)
	}
	for _, id := range counts {
		if d, ok := replayed.Device(id); !ok || !d.Active() {
			t.Errorf("device %s: %+v", id, d)
		}
	}
}
