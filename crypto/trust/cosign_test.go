package trust_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// witnessed is a client of a register whose root demands 2 of 3 witnesses, and an
// update with a new desk that nobody has cosigned yet.
func witnessed(t testing.TB) (w *world, reg *trust.Register, pinned trust.Pinned, u trust.Update) {
	t.Helper()
	w = newWorld(t)
	w.Demand(3, 2)
	reg, err := trust.New(w.Genesis(), w.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	u = w.Update(1)
	u.Checkpoint = trusttest.Cosigned(u.Checkpoint, now, 0, 1)
	if reg, pinned, err = trust.Advance(reg, reg.Pin(), u); err != nil {
		t.Fatal(err)
	}
	w.AddDesk("om/zsm", identity.RoleOM)
	u = w.Update(pinned.Size)
	u.Now = now
	return w, reg, pinned, u
}

func parsed(t testing.TB, raw []byte) trust.Checkpoint {
	t.Helper()
	c, err := trust.ParseCheckpoint(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestQuorum walks C09 and C10: what stands below a checkpoint and does not make a
// quorum. The control differs in nothing but a second honest cosignature.
func TestQuorum(t *testing.T) {
	stranger := trusttest.NewKey("stranger")
	by := func(c trust.Checkpoint, name string, key trusttest.Key, at time.Time) []byte {
		s, err := c.Cosign(name, key, at)
		if err != nil {
			t.Fatal(err)
		}
		return s.Line()
	}
	for id, lines := range map[string]func(w *world, c trust.Checkpoint) []byte{
		"C09 the log's signature only": func(*world, trust.Checkpoint) []byte { return nil },
		"C09 an unknown witness": func(_ *world, c trust.Checkpoint) []byte {
			return by(c, "schakel.example/stranger", stranger, now)
		},
		"C09 an unknown key in a witness's name": func(_ *world, c trust.Checkpoint) []byte {
			return by(c, trusttest.WitnessName(1), stranger, now)
		},
		"C09 a witness under another name": func(_ *world, c trust.Checkpoint) []byte {
			return by(c, trusttest.WitnessName(2), trusttest.WitnessKey(1), now)
		},
		"C09 the same witness twice": func(_ *world, c trust.Checkpoint) []byte {
			return by(c, trusttest.WitnessName(0), trusttest.WitnessKey(0), now.Add(time.Second))
		},
		"C09 a cosignature of another checkpoint": func(w *world, _ trust.Checkpoint) []byte {
			root, _ := w.Register().RootAt(3)
			return by(parsed(t, w.Checkpoint(3, root)), trusttest.WitnessName(1), trusttest.WitnessKey(1), now)
		},
		"C09 a witness that signed as if it were a log": func(_ *world, c trust.Checkpoint) []byte {
			whole := forge(t, textOf(w0(t, c)), noteSigner{trusttest.WitnessName(1), trusttest.WitnessKey(1)})
			return whole[len(textOf(whole))+1:]
		},
		"C09 a byte of the time": func(_ *world, c trust.Checkpoint) []byte {
			return shifted(by(c, trusttest.WitnessName(1), trusttest.WitnessKey(1), now))
		},
		"C10 a time ahead": func(_ *world, c trust.Checkpoint) []byte {
			return by(c, trusttest.WitnessName(1), trusttest.WitnessKey(1), now.Add(trust.MostAhead+time.Second))
		},
	} {
		t.Run(id, func(t *testing.T) {
			w, reg, pinned, u := witnessed(t)
			c := parsed(t, u.Checkpoint)
			u.Checkpoint = append(trusttest.Cosigned(u.Checkpoint, now, 0), lines(w, c)...)
			if next, _, err := trust.Advance(reg, pinned, u); !errors.Is(err, trust.ErrQuorum) || next != nil {
				t.Fatalf("attack: %v", err)
			}
			u.Checkpoint = trusttest.Cosigned(u.Checkpoint, now.Add(trust.MostAhead), 2)
			next, p, err := trust.Advance(reg, pinned, u)
			if err != nil || p.Matches(next) != nil {
				t.Fatalf("control: %v", err)
			}
		})
	}
}

// w0 is the checkpoint without any cosignature.
func w0(_ testing.TB, c trust.Checkpoint) []byte { return c.With() }

// shifted changes a character within the time of a cosignature line.
func shifted(line []byte) []byte {
	at := bytes.LastIndexByte(line, ' ') + 12
	line = slices.Clone(line)
	if line[at]++; line[at] == 'Z'+1 || line[at] == 'z'+1 || line[at] == '9'+1 {
		line[at] = 'B'
	}
	return line
}

// TestQuorumOfTheNewRoot: the root that is in force after the new entries decides,
// whether it begins to demand witnesses or ends it.
func TestQuorumOfTheNewRoot(t *testing.T) {
	w, reg, pinned, _ := following(t)
	w.Demand(3, 2)
	u := w.Update(pinned.Size)
	if _, _, err := trust.Advance(reg, pinned, u); !errors.Is(err, trust.ErrQuorum) {
		t.Fatalf("the new root's quorum is not demanded: %v", err)
	}
	u.Checkpoint = trusttest.Cosigned(u.Checkpoint, now, 1, 2)
	reg, pinned, err := trust.Advance(reg, pinned, u)
	if err != nil {
		t.Fatal(err)
	}
	w.Demand(0, 0)
	if reg, pinned, err = trust.Advance(reg, pinned, w.Update(pinned.Size)); err != nil {
		t.Fatalf("a root without witnesses: %v", err)
	}
	w.Demand(1, 1)
	u = w.Update(pinned.Size)
	u.Checkpoint = trusttest.Cosigned(u.Checkpoint, now, 1, 2)
	if _, _, err := trust.Advance(reg, pinned, u); !errors.Is(err, trust.ErrQuorum) {
		t.Fatalf("witnesses that the root took away still count: %v", err)
	}
}

// TestC06ForkWithoutQuorum is C06: a log that shows one partner another register. The
// witnesses followed the honest one and refuse the other, and without them nobody
// takes it.
func TestC06ForkWithoutQuorum(t *testing.T) {
	w, reg, pinned, honest := witnessed(t)
	log, _ := reg.Relay()
	evil := w.Clone()
	evil.AddDesk("evil/desk", identity.RoleOpvang)
	root, _ := evil.Register().RootAt(pinned.Size + 2)
	forked := evil.Update(pinned.Size)
	forked.Checkpoint = evil.Checkpoint(pinned.Size+2, root)

	other := trusttest.New(now)
	for other.Size() < pinned.Size+2 {
		other.Enrol("fork/desk", identity.RoleOpvang)
	}
	otherRoot, _ := other.Register().RootAt(honest.From + uint64(len(honest.Entries)))

	seen, err := pinned.Witness(log.Log, honest.Checkpoint, honest.Proof)
	if err != nil {
		t.Fatalf("control: %v", err)
	}
	for what, row := range map[string]struct {
		checkpoint []byte
		proof      []trust.Hash
		want       error
	}{
		"another root at the same size": {w.Checkpoint(seen.Size, otherRoot), nil, trust.ErrFork},
		"a longer one without proof":    {evil.Checkpoint(seen.Size+1, otherRoot), nil, trust.ErrProof},
		"a longer one, another's proof": {evil.Checkpoint(seen.Size+1, otherRoot), forked.Proof, trust.ErrProof},
		"smaller":                       {w.Checkpoint(pinned.Size, pinned.Root), nil, trust.ErrRollback},
		"enormous":                      {w.Checkpoint(trust.MaxEntries+1, otherRoot), nil, trust.ErrTooLarge},
		"not the log's":                 {forge(t, textOf(honest.Checkpoint), noteSigner{trusttest.LogName, trusttest.NewKey("x")}), honest.Proof, trust.ErrCheckpoint},
		"nothing":                       {nil, nil, trust.ErrCheckpoint},
	} {
		if p, err := seen.Witness(log.Log, row.checkpoint, row.proof); !errors.Is(err, row.want) || p.Size != 0 {
			t.Errorf("%s: %v, want %v", what, err, row.want)
		}
	}
	if _, err := (trust.Pinned{}).Witness(log.Log, honest.Checkpoint, nil); !errors.Is(err, trust.ErrPinned) {
		t.Errorf("a witness without a beginning: %v", err)
	}
	if again, err := seen.Witness(log.Log, honest.Checkpoint, nil); err != nil || again.Root != seen.Root {
		t.Errorf("the same again: %v", err)
	}
	if _, _, err := trust.Advance(reg, pinned, honest); !errors.Is(err, trust.ErrQuorum) {
		t.Errorf("a branch that no witness signed: %v", err)
	}
}

// TestC07TwoBranches is C07: of two branches at most one reaches the quorum, however
// the log splits the witnesses and whatever the dishonest ones sign, as long as
// they are not more than Root.Tolerance says; and with one more there is a split in
// which both do.
func TestC07TwoBranches(t *testing.T) {
	w := newWorld(t)
	reg, pinned := w.Register(), w.Register().Pin()
	log, _ := reg.Relay()
	var branch [2]trust.Update
	for i, desk := range []identity.DeskID{"om/zsm", "evil/desk"} {
		c := w.Clone()
		c.AddDesk(desk, identity.RoleOM)
		branch[i] = c.Update(pinned.Size)
	}
	const most = 5
	var lines [2][most]trust.Cosignature
	for b := range branch {
		for i := range most {
			s, err := parsed(t, branch[b].Checkpoint).Cosign(trusttest.WitnessName(i), trusttest.WitnessKey(i), now)
			if err != nil {
				t.Fatal(err)
			}
			lines[b][i] = s
		}
	}
	// An honest witness signs what it is shown first, and not the other.
	honest := func(first int) bool {
		seen, err := pinned.Witness(log.Log, branch[first].Checkpoint, branch[first].Proof)
		if err != nil {
			t.Fatal(err)
		}
		_, err = seen.Witness(log.Log, branch[1-first].Checkpoint, branch[1-first].Proof)
		return errors.Is(err, trust.ErrFork)
	}
	if !honest(0) || !honest(1) {
		t.Fatal("an honest witness signs two branches")
	}
	both := func(root trust.Root, dishonest int) bool {
		n := len(root.Witnesses)
		for split := range 1 << (n - dishonest) {
			var got [2][]trust.Cosignature
			for i := range n {
				for b := range got {
					if i < dishonest || split>>(i-dishonest)&1 == b {
						got[b] = append(got[b], lines[b][i])
					}
				}
			}
			reached := 0
			for b := range got {
				if _, err := parsed(t, parsed(t, branch[b].Checkpoint).With(got[b]...)).CosignedAt(root, now); err == nil {
					reached++
				}
			}
			if reached == 2 {
				return true
			}
		}
		return false
	}
	for n := 1; n <= most; n++ {
		for q := 1; q <= n; q++ {
			root := trust.Root{Witnesses: trusttest.Witnesses(n), Quorum: q}
			tolerated, _ := root.Tolerance()
			for f := 0; f <= n; f++ {
				if got := both(root, f); got != (f > tolerated) {
					t.Errorf("%d of %d with %d dishonest: two branches %v, tolerance says %d", q, n, f, got, tolerated)
				}
			}
		}
	}
	root := trust.Root{Witnesses: trusttest.Witnesses(5), Quorum: 4}
	if dishonest, away := root.Tolerance(); dishonest < 1 || away != 1 {
		t.Errorf("4 of 5 tolerates %d dishonest and %d away", dishonest, away)
	}
}

// TestCosignedAt: the median of the newest that make up the quorum, so that neither
// a slow nor a lying witness decides how fresh a register is.
func TestCosignedAt(t *testing.T) {
	w := newWorld(t)
	plain := w.Update(1).Checkpoint
	for _, row := range []struct {
		quorum int
		ago    []int // minutes, per witness
		want   int   // -1: no quorum
	}{
		{1, []int{30}, 30}, {1, []int{30, 10}, 10}, {2, []int{30, 10}, 30}, {2, []int{90, 30, 10}, 30},
		{3, []int{90, 30, 10}, 30}, {3, []int{900, 90, 30, 10}, 30}, {4, []int{900, 90, 30, 10}, 90},
		{3, []int{0, 600, 700}, 600}, {3, []int{10, 20}, -1}, {0, nil, -2},
	} {
		note := plain
		for i, ago := range row.ago {
			note = trusttest.Cosigned(note, now.Add(-time.Duration(ago)*time.Minute), i)
		}
		at, err := parsed(t, note).CosignedAt(trust.Root{Witnesses: trusttest.Witnesses(5), Quorum: row.quorum}, now)
		want := now.Add(-time.Duration(row.want) * time.Minute)
		switch {
		case row.want == -1 && errors.Is(err, trust.ErrQuorum):
		case row.want == -2 && err == nil && at.IsZero():
		case row.want >= 0 && err == nil && at.Equal(want):
		default:
			t.Errorf("%d of %v: %v, %v", row.quorum, row.ago, at, err)
		}
	}
}

// TestFresherStays: an answer with older cosignatures at the same size does not
// make a client forget the newer ones.
func TestFresherStays(t *testing.T) {
	w, reg, pinned, _ := witnessed(t)
	plain := w.Checkpoint(pinned.Size, pinned.Root)
	for _, step := range []struct{ given, want time.Duration }{{time.Hour, time.Hour}, {time.Minute, time.Hour}, {2 * time.Hour, 2 * time.Hour}} {
		u := trust.Update{Checkpoint: trusttest.Cosigned(plain, now.Add(step.given), 0, 2), From: pinned.Size, Now: now.Add(3 * time.Hour)}
		var err error
		if reg, pinned, err = trust.Advance(reg, pinned, u); err != nil {
			t.Fatal(err)
		}
		if at, ok := reg.CosignedAt(pinned, u.Now); !ok || !at.Equal(now.Add(step.want)) {
			t.Errorf("cosigned at %v, want %v", at, now.Add(step.want))
		}
	}
	if _, ok := reg.CosignedAt(trust.Pinned{Size: pinned.Size, Root: pinned.Root}, now); ok {
		t.Error("a pin without a checkpoint is fresh")
	}
	if _, ok := reg.CosignedAt(trust.Pinned{Size: pinned.Size, Root: trust.Hash{1}, Note: pinned.Note}, now); ok {
		t.Error("a pin with another's checkpoint is fresh")
	}
}

// TestReadCosignature: a relay takes from a witness one line that counts, or none.
func TestReadCosignature(t *testing.T) {
	w := newWorld(t)
	c := parsed(t, w.Update(1).Checkpoint)
	root := trust.Root{Witnesses: trusttest.Witnesses(2), Quorum: 1}
	s, err := c.Cosign(trusttest.WitnessName(0), trusttest.WitnessKey(0), now)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Read(s.Line(), root, now); err != nil || !got.At.Equal(now) || got.Witness != s.Witness || !bytes.Equal(got.Line(), s.Line()) {
		t.Fatalf("control: %+v, %v", got, err)
	}
	other, _ := c.Cosign(trusttest.WitnessName(2), trusttest.WitnessKey(2), now)
	for what, line := range map[string][]byte{
		"nothing": nil, "two lines": append(s.Line(), s.Line()...), "an empty line before": append([]byte("\n"), s.Line()...),
		"cut": s.Line()[:40], "no end": bytes.TrimSpace(s.Line()), "of a stranger": other.Line(), "changed": shifted(s.Line()),
		"the log's": c.With()[len(textOf(c.With()))+1:],
	} {
		if _, err := c.Read(line, root, now); !errors.Is(err, trust.ErrCosignature) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := c.Read(s.Line(), root, now.Add(-trust.MostAhead-time.Second)); !errors.Is(err, trust.ErrCosignature) {
		t.Errorf("C10: a time ahead: %v", err)
	}
	for what, at := range map[string]time.Time{"1970": time.Unix(0, 0), "before": time.Unix(-1, 0), "year 10000": time.Unix(253402300800, 0)} {
		if _, err := c.Cosign("witness", trusttest.WitnessKey(0), at); !errors.Is(err, trust.ErrCosignature) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := c.Cosign("Witness", trusttest.WitnessKey(0), now); err == nil {
		t.Error("a name that no root can have")
	}
}

// TestWith: whatever order cosignatures come in, the same ones give the same bytes,
// and the newest of each witness stands.
func TestWith(t *testing.T) {
	w := newWorld(t)
	c := parsed(t, trusttest.Cosigned(w.Update(1).Checkpoint, now, 4))
	root := trust.Root{Witnesses: trusttest.Witnesses(5), Quorum: 3}
	var all []trust.Cosignature
	for i := range 6 {
		s, err := c.Cosign(trusttest.WitnessName(i%3), trusttest.WitnessKey(i%3), now.Add(time.Duration(i)*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	want := c.With(all...)
	if got := parsed(t, want).Cosignatures(root, time.Time{}); len(got) != 3 || !got[0].At.Equal(now.Add(5*time.Minute)) {
		t.Fatalf("%d cosignatures: %v", len(got), got)
	}
	rapid.Check(t, func(t *rapid.T) {
		if got := c.With(rapid.Permutation(all).Draw(t, "order")...); !bytes.Equal(got, want) {
			t.Fatalf("order matters:\n%s\n%s", got, want)
		}
	})
}

func FuzzCosignature(f *testing.F) {
	c, _ := busyChain()
	checkpoint, err := trust.ParseCheckpoint(c.Update(1).Checkpoint)
	if err != nil {
		f.Fatal(err)
	}
	root := trust.Root{Witnesses: trusttest.Witnesses(3), Quorum: 2}
	for i := range 4 {
		s, err := checkpoint.Cosign(trusttest.WitnessName(i), trusttest.WitnessKey(i), now)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s.Line())
	}
	f.Add([]byte(fmt.Sprintf("— %s AAAA\n", trusttest.WitnessName(0))))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, err := checkpoint.Read(line, root, time.Time{})
		if err != nil {
			return
		}
		if !bytes.Equal(s.Line(), line) {
			t.Fatalf("another spelling was accepted:\n%s\n%s", line, s.Line())
		}
		again, err := trust.ParseCheckpoint(checkpoint.With(s))
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Cosignatures(root, s.At); len(got) != 1 || got[0].Witness != s.Witness || !got[0].At.Equal(now) {
			t.Fatalf("accepted, and of no use: %v", got)
		}
	})
}
