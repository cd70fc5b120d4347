package trust_test

import (
	"bytes"
	"testing"

	"schakel/crypto/trust"
)

// Each parser, when it accepts, has read the one spelling there is: the parsed
// value can be used and gives the same bytes again.

func FuzzEntry(f *testing.F) {
	c, _ := busyChain()
	for _, e := range c.Entries() {
		f.Add(e)
	}
	f.Add([]byte("schakel.example/register/v1\n\n— root AAAA\n"))
	reg := c.Register()
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := trust.ParseEntry(raw)
		if err != nil {
			reg.Check(raw)
			return
		}
		again, err := trust.Cosign(raw) // writes what was read, with no signature more
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("another spelling was accepted: %v\n%s\n%s", err, raw, again)
		}
		if e.Seq == 0 || e.Body.Subject() == "" || e.Hash() != trust.EntryHash(raw) {
			t.Fatalf("accepted %+v", e)
		}
		e.OrgOf(reg)
		reg.Check(raw)
	})
}

func FuzzCheckpoint(f *testing.F) {
	c, _ := busyChain()
	f.Add(c.Update(1).Checkpoint)
	f.Add(append(c.Update(1).Checkpoint, "— witness AAAAAAAAAAAA\n"...))
	relay, _ := c.Register().Relay()
	size := c.Register().Size()
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := trust.ParseCheckpoint(raw)
		if err != nil {
			return
		}
		if p.SignedBy(relay.Log) == nil && p.Size != size {
			t.Fatalf("a checkpoint of %d that the log never signed", p.Size)
		}
		again, err := trust.SignCheckpoint(p.Origin, p.Size, p.Root, c.Log)
		if err != nil {
			t.Fatal(err)
		}
		if textOf(again) != textOf(raw) {
			t.Fatalf("another spelling was accepted:\n%s\n%s", raw, again)
		}
	})
}

func FuzzInvitation(f *testing.F) {
	w := newWorld(f)
	f.Add(invitation(w, w.Quorum()...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		i, err := trust.ParseInvitation(raw)
		if err != nil {
			return
		}
		again, err := trust.CosignInvitation(raw)
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("another spelling was accepted: %v", err)
		}
		if i.CheckFingerprint(trust.GenesisFingerprint(i.Genesis())) != nil || i.Register() == nil {
			t.Fatal("accepted, and of no use")
		}
	})
}

func FuzzAdmissionRequest(f *testing.F) {
	w := newWorld(f)
	f.Add(request(w))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := trust.ParseAdmissionRequest(raw)
		if err != nil {
			return
		}
		entries, err := a.Admit(w.Register(), w.Quorum()...)
		if err != nil || len(entries) == 0 || !bytes.Contains(raw, []byte(a.Org.ID)) {
			t.Fatalf("accepted, and of no use: %v", err)
		}
	})
}

func FuzzEntriesFile(f *testing.F) {
	c, _ := busyChain()
	f.Add(trust.FormatEntries("remark", c.Entries()[:2]))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := trust.ParseEntries(raw)
		if err != nil {
			return
		}
		again, err := trust.ParseEntries(trust.FormatEntries("again", entries))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%d entries came back as %d: %v", len(entries), len(again), err)
		}
		for i := range again {
			if !bytes.Equal(again[i], entries[i]) {
				t.Fatalf("entry %d came back otherwise", i)
			}
		}
	})
}

func FuzzVKey(f *testing.F) {
	w := newWorld(f)
	relay, _ := w.Register().Relay()
	f.Add(relay.Log.String())
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := trust.ParseLogKey(s); err == nil && v.String() != s {
			t.Fatalf("%q is accepted and written as %q", s, v)
		}
		if v, err := trust.ParseWitnessKey(s); err == nil && v.String() != s {
			t.Fatalf("%q is accepted and written as %q", s, v)
		}
	})
}
