package trust_test

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// following is a client that pinned the world as newWorld left it, and an update
// to what the world became after that.
func following(t *testing.T) (w *world, reg *trust.Register, pinned trust.Pinned, u trust.Update) {
	t.Helper()
	w = newWorld(t)
	reg, err := trust.New(w.Genesis(), w.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	reg, pinned, err = trust.Advance(reg, reg.Pin(), w.Update(1))
	if err != nil {
		t.Fatal(err)
	}
	w.Enrol("om/zsm", identity.RoleOM)
	return w, reg, pinned, w.Update(pinned.Size)
}

// fork is another history with the same genesis and the same log key.
func fork(w *world, size int) *trusttest.Chain {
	c := trusttest.New(now)
	for c.Size() < uint64(size) {
		c.Enrol("fork/desk", identity.RoleOpvang)
	}
	return c
}

// TestAdvanceRefuses walks the rows about checkpoints. Each row changes an honest
// update; the control is the honest update itself, which must still count after.
func TestAdvanceRefuses(t *testing.T) {
	type change func(w *world, pinned trust.Pinned, u *trust.Update)
	at := func(size func(uint64) uint64, root func(*world, uint64) trust.Hash) change {
		return func(w *world, p trust.Pinned, u *trust.Update) {
			n := size(p.Size)
			u.Checkpoint, u.Entries, u.Proof = w.Checkpoint(n, root(w, n)), nil, nil
		}
	}
	same := func(n uint64) uint64 { return n }
	before := func(n uint64) uint64 { return n - 1 }
	honest := func(w *world, n uint64) trust.Hash { h, _ := w.Register().RootAt(n); return h }
	forked := func(w *world, n uint64) trust.Hash { h, _ := fork(w, int(n)).Register().RootAt(n); return h }
	signedBy := func(s ...note.Signer) change {
		return func(w *world, _ trust.Pinned, u *trust.Update) { u.Checkpoint = forge(t, textOf(u.Checkpoint), s...) }
	}
	log := noteSigner{trusttest.LogName, trusttest.NewKey("log")}
	stranger := noteSigner{"schakel.example/witness", trusttest.NewKey("stranger")}

	for id, row := range map[string]struct {
		want   error
		change change
	}{
		"C04 one entry less":                {trust.ErrRollback, at(before, honest)},
		"C04 back to the genesis":           {trust.ErrRollback, at(func(uint64) uint64 { return 1 }, honest)},
		"C04 size 0":                        {trust.ErrRollback, at(func(uint64) uint64 { return 0 }, func(*world, uint64) trust.Hash { return trust.Hash{} })},
		"C06 another root at the same size": {trust.ErrFork, at(same, forked)},
		"C06 a longer fork with its own proof": {trust.ErrProof, func(w *world, p trust.Pinned, u *trust.Update) {
			*u = fork(w, int(p.Size)+3).Update(p.Size)
		}},
		"C06 a longer fork with all its entries": {trust.ErrEntries, func(w *world, p trust.Pinned, u *trust.Update) {
			*u = fork(w, int(p.Size)+3).Update(1)
		}},
		"C09 signed by a stranger in the log's name": {trust.ErrCheckpoint, signedBy(noteSigner{trusttest.LogName, trusttest.NewKey("stranger")})},
		"C09 signed by a stranger in its own name":   {trust.ErrCheckpoint, signedBy(stranger)},
		"C09 signed by an organisation":              {trust.ErrCheckpoint, signedBy(noteSigner{trusttest.LogName, trusttest.OrgKey("vt20")})},
		"C09 another origin": {trust.ErrCheckpoint, func(w *world, _ trust.Pinned, u *trust.Update) {
			u.Checkpoint = w.ok(trust.SignCheckpoint("schakel.example/other", w.Register().Size(), w.Register().Root(), w.Log))
		}},
		"C09 the log's signature twice": {trust.ErrCheckpoint, func(w *world, _ trust.Pinned, u *trust.Update) {
			u.Checkpoint = append(u.Checkpoint, u.Checkpoint[len(textOf(u.Checkpoint))+1:]...)
		}},
		"C20 extension line": {trust.ErrCheckpoint, func(w *world, _ trust.Pinned, u *trust.Update) {
			u.Checkpoint = forge(t, textOf(u.Checkpoint)+"extra\n", log)
		}},
		"C20 size with a zero before it": {trust.ErrCheckpoint, func(w *world, _ trust.Pinned, u *trust.Update) {
			u.Checkpoint = edit(t, u.Checkpoint, "\n1", "\n01", log)
		}},
		"C21 more entries than a client takes": {trust.ErrTooLarge, func(w *world, _ trust.Pinned, u *trust.Update) {
			u.Checkpoint = w.Checkpoint(trust.MaxEntries+1, trust.Hash{1})
		}},
		"C21 an entry too many": {trust.ErrEntries, func(w *world, _ trust.Pinned, u *trust.Update) { u.Entries = append(u.Entries, u.Entries[0]) }},
		"an entry missing":      {trust.ErrEntries, func(_ *world, _ trust.Pinned, u *trust.Update) { u.Entries = u.Entries[1:] }},
		"entries exchanged": {trust.ErrEntries, func(_ *world, _ trust.Pinned, u *trust.Update) {
			u.Entries[0], u.Entries[1] = u.Entries[1], u.Entries[0]
		}},
		"a byte of an entry": {trust.ErrEntries, func(_ *world, _ trust.Pinned, u *trust.Update) {
			u.Entries[1] = append(slices.Clone(u.Entries[1][:9]), 'x')
		}},
		"from another place":         {trust.ErrEntries, func(_ *world, _ trust.Pinned, u *trust.Update) { u.From-- }},
		"no proof":                   {trust.ErrProof, func(_ *world, _ trust.Pinned, u *trust.Update) { u.Proof = nil }},
		"proof with a wrong hash":    {trust.ErrProof, func(_ *world, _ trust.Pinned, u *trust.Update) { u.Proof[0][0]++ }},
		"proof too long":             {trust.ErrProof, func(_ *world, _ trust.Pinned, u *trust.Update) { u.Proof = append(u.Proof, trust.Hash{}) }},
		"C21 proof of 10 000 hashes": {trust.ErrProof, func(_ *world, _ trust.Pinned, u *trust.Update) { u.Proof = make([]trust.Hash, 10_000) }},
		"another root": {trust.ErrProof, func(w *world, _ trust.Pinned, u *trust.Update) {
			u.Checkpoint = w.Checkpoint(w.Register().Size(), trust.Hash{1})
		}},
		"no checkpoint": {trust.ErrCheckpoint, func(_ *world, _ trust.Pinned, u *trust.Update) { u.Checkpoint = nil }},
	} {
		t.Run(id, func(t *testing.T) {
			w, reg, pinned, u := following(t)
			bad := u
			bad.Entries, bad.Proof = slices.Clone(u.Entries), slices.Clone(u.Proof)
			row.change(w, pinned, &bad)
			next, p, err := trust.Advance(reg, pinned, bad)
			if !errors.Is(err, row.want) || errors.Is(err, trust.ErrSkipped) {
				t.Fatalf("attack: %v, want %v", err, row.want)
			}
			if next != nil || p.Size != 0 {
				t.Error("a refused update gave something to use")
			}
			next, p, err = trust.Advance(reg, pinned, u)
			if err != nil || p.Matches(next) != nil || next.Root() != w.Register().Root() {
				t.Fatalf("control: %v", err)
			}
		})
	}
}

// TestC23ForeignGenesis is C23: a relay that serves a genesis of its own.
func TestC23ForeignGenesis(t *testing.T) {
	w := newWorld(t)
	b := w.Root(1, 1, trusttest.NewKey("the relay's own holder"))
	own := w.ok(b.Sign(trust.First(), trusttest.NewKey("the relay's own holder")))
	if _, err := trust.New(own, w.Fingerprint()); !errors.Is(err, trust.ErrGenesis) {
		t.Errorf("foreign genesis: %v", err)
	}
	if _, err := trust.Replay([][]byte{own}, w.Fingerprint()); !errors.Is(err, trust.ErrGenesis) {
		t.Errorf("foreign genesis replayed: %v", err)
	}
	if _, err := trust.New(own, trust.GenesisFingerprint(own)); err != nil {
		t.Errorf("control: with its own fingerprint: %v", err)
	}
	for what, entry := range map[string][]byte{
		"not a root":        w.Entries()[1],
		"version 2":         w.ok(w.Root(2, 2, w.Holders...).Sign(trust.First(), w.Quorum()...)),
		"too few holders":   w.ok(w.Root(1, 2, w.Holders...).Sign(trust.First(), w.Holders[0])),
		"a strange holder":  w.ok(w.Root(1, 1, w.Holders...).Sign(trust.First(), w.Holders[0], trusttest.NewKey("x"))),
		"not the first":     w.ok(w.Root(1, 2, w.Holders...).Sign(trust.Place{Seq: 2, Prev: trust.Hash{1}}, w.Quorum()...)),
		"not even an entry": []byte("hello"),
	} {
		if _, err := trust.New(entry, trust.GenesisFingerprint(entry)); !errors.Is(err, trust.ErrGenesis) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := trust.New(w.Genesis(), "12345"); !errors.Is(err, trust.ErrGenesis) {
		t.Errorf("short fingerprint: %v", err)
	}
	if _, err := trust.Replay(nil, w.Fingerprint()); !errors.Is(err, trust.ErrGenesis) {
		t.Errorf("nothing: %v", err)
	}
}

// TestC22Inclusion is C22: proofs that an entry stands in the log.
func TestC22Inclusion(t *testing.T) {
	w := newWorld(t)
	reg := w.Register()
	c, err := trust.ParseCheckpoint(w.Checkpoint(reg.Size(), reg.Root()))
	if err != nil {
		t.Fatal(err)
	}
	entries := w.Entries()
	for i, e := range entries {
		proof, err := reg.InclusionProof(uint64(i), reg.Size())
		if err != nil {
			t.Fatal(err)
		}
		if err := trust.CheckInclusion(proof, c, uint64(i), e); err != nil {
			t.Errorf("control: entry %d: %v", i, err)
		}
		other := (i + 1) % len(entries)
		smaller, changed := c, slices.Clone(proof)
		smaller.Size--
		smaller.Root, _ = reg.RootAt(smaller.Size)
		changed[0][0]++
		for what, err := range map[string]error{
			"wrong entry":  trust.CheckInclusion(proof, c, uint64(i), entries[other]),
			"wrong index":  trust.CheckInclusion(proof, c, uint64(other), e),
			"past the end": trust.CheckInclusion(proof, c, reg.Size(), e),
			"wrong size":   trust.CheckInclusion(proof, smaller, uint64(i), e),
			"too long":     trust.CheckInclusion(append(slices.Clone(proof), trust.Hash{}), c, uint64(i), e),
			"too short":    trust.CheckInclusion(proof[1:], c, uint64(i), e),
			"wrong hash":   trust.CheckInclusion(changed, c, uint64(i), e),
			"enormous":     trust.CheckInclusion(make([]trust.Hash, 1000), c, uint64(i), e),
		} {
			if !errors.Is(err, trust.ErrProof) {
				t.Errorf("entry %d, %s: %v", i, what, err)
			}
		}
	}
	for _, at := range [][2]uint64{{reg.Size(), reg.Size()}, {0, reg.Size() + 1}} {
		if _, err := reg.InclusionProof(at[0], at[1]); err == nil {
			t.Errorf("proof of %d at %d", at[0], at[1])
		}
	}
}

// TestUnauthorisedEntriesDoNotStopClients: the relay's kill switch that is none.
func TestUnauthorisedEntriesDoNotStopClients(t *testing.T) {
	w, reg, pinned, _ := following(t)
	bad := forge(t, textOf(w.freshDevice()), noteSigner{"org", trusttest.OrgKey("politie-mn")})
	grown := w.Register()
	for _, e := range [][]byte{bad, nil, []byte("rubbish\n")} {
		if err := grown.Apply(e); err == nil {
			t.Fatal("rubbish counted")
		}
	}
	if err := grown.Apply(w.freshDevice()); err != nil {
		t.Fatal(err)
	}
	u := w.Update(pinned.Size)
	u.Entries = append(u.Entries, bad, nil, []byte("rubbish\n"), w.freshDevice())
	u.Checkpoint = w.Checkpoint(grown.Size(), grown.Root())
	u.Proof, _ = grown.Proof(pinned.Size, grown.Size())
	next, _, err := trust.Advance(reg, pinned, u)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := next.Device(w.fresh.ID); !ok {
		t.Error("the entry behind the bad ones does not count")
	}
	if s := next.Skipped(pinned.Size); len(s) != 3 {
		t.Errorf("%d alarms, want 3: %v", len(s), s)
	}
}

// TestLogKeyExchanged: the root gives the log another key; clients that were away
// follow, and the old key signs for nothing any more.
func TestLogKeyExchanged(t *testing.T) {
	w, reg, pinned, _ := following(t)
	key := trusttest.NewKey("another log")
	b := w.Relay
	b.Log, _ = trust.LogKey(trusttest.LogName, key.Public())
	w.Add(w.ok(b.Sign(w.next(b), w.Quorum()...)))
	u := w.Update(pinned.Size)
	if _, _, err := trust.Advance(reg, pinned, u); !errors.Is(err, trust.ErrCheckpoint) {
		t.Errorf("signed by the key that the root took away: %v", err)
	}
	u.Checkpoint = w.ok(trust.SignCheckpoint(trusttest.LogName, w.Register().Size(), w.Register().Root(), key))
	if _, _, err := trust.Advance(reg, pinned, u); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestPinnedMustMatch: a store whose entries and checkpoint drifted apart.
func TestPinnedMustMatch(t *testing.T) {
	w, reg, pinned, u := following(t)
	for what, p := range map[string]trust.Pinned{
		"older":        {Size: pinned.Size - 1, Root: pinned.Root},
		"another root": {Size: pinned.Size, Root: trust.Hash{1}},
		"none":         {},
	} {
		if _, _, err := trust.Advance(reg, p, u); !errors.Is(err, trust.ErrPinned) {
			t.Errorf("%s: %v", what, err)
		}
	}
	lost, err := trust.Replay(w.Entries()[:pinned.Size-1], w.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	if err := pinned.Matches(lost); !errors.Is(err, trust.ErrPinned) {
		t.Errorf("store that lost an entry: %v", err)
	}
}

func TestUpdateInPieces(t *testing.T) {
	w, reg, pinned, whole := following(t)
	u := trust.Update{Checkpoint: whole.Checkpoint, Proof: whole.Proof, From: pinned.Size}
	for i, e := range whole.Entries {
		if err := u.Add(pinned.Size+uint64(i)+1, [][]byte{e}); !errors.Is(err, trust.ErrEntries) {
			t.Fatalf("piece out of place: %v", err)
		}
		if err := u.Add(pinned.Size+uint64(i), [][]byte{e}); err != nil {
			t.Fatal(err)
		}
	}
	next, _, err := trust.Advance(reg, pinned, u)
	if err != nil || next.Root() != w.Register().Root() {
		t.Fatal(err)
	}
	big := make([]byte, 16<<20)
	for i := 0; ; i++ {
		err := u.Add(u.From+uint64(len(u.Entries)), [][]byte{big})
		if errors.Is(err, trust.ErrTooLarge) {
			break
		}
		if err != nil || i > trust.MaxUpdateBytes/len(big) {
			t.Fatalf("took %d pieces of 16 MiB: %v", i, err)
		}
	}
}
