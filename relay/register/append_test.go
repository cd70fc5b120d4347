package register_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/register"
)

// fixture is an open log with one enrolled device.
func fixture(t testing.TB) (*register.Log, *trusttest.Chain, trusttest.Device) {
	t.Helper()
	c := trusttest.New(now)
	d := c.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	l := open(t, filepath.Join(t.TempDir(), "register.db"))
	fill(t, l, c)
	return l, c, d
}

// TestAppendRefuses: the relay goes by the clients' rules, so that what it accepts
// counts for them. Nothing refused leaves a trace.
func TestAppendRefuses(t *testing.T) {
	l, c, d := fixture(t)
	fresh := trusttest.NewDevice("fresh", "vt20/crisis", now)
	epochs := d.Epochs(17, 2, now)
	entry := sign(t)(epochs.Sign(c.Register().Next(epochs.Subject()), d.Sign))
	device := sign(t)(fresh.Device.Sign(trust.First(), trusttest.OrgKey("vt20"), fresh.Sign, fresh.Login))
	ghost := sign(t)(fresh.Device.Sign(trust.First(), trusttest.OrgKey("politie-mn"), fresh.Sign, fresh.Login))
	strings1 := d.Recipients(17, 2)
	size, root := l.Size(), l.Register().Root()
	for what, row := range map[string]struct {
		entry      []byte
		recipients []string
		want       error
	}{
		"C13 device without its organisation": {ghost, nil, trust.ErrUnauthorised},
		"rubbish":                             {[]byte("rubbish"), nil, trust.ErrFormat},
		"nothing":                             {nil, nil, trust.ErrFormat},
		"another genesis":                     {otherGenesis(t), nil, trust.ErrSequence},
		"epochs without recipients":           {entry, nil, register.ErrRecipients},
		"a recipient missing":                 {entry, strings1[:1], register.ErrRecipients},
		"a recipient too many":                {entry, append(d.Recipients(17, 2), "x"), register.ErrRecipients},
		"recipients exchanged":                {entry, []string{strings1[1], strings1[0]}, register.ErrRecipients},
		"an enormous recipient":               {entry, []string{strings1[0], strings.Repeat("x", register.MaxRecipient+1)}, register.ErrRecipients},
		"recipients beside a device":          {device, strings1, register.ErrRecipients},
	} {
		if index, err := l.Append(t.Context(), row.entry, row.recipients, now); !errors.Is(err, row.want) || index != 0 {
			t.Errorf("%s: %d, %v", what, index, err)
		}
	}
	if l.Size() != size || l.Register().Root() != root {
		t.Fatal("a refused entry left a trace")
	}
	for i, control := range []struct {
		entry      []byte
		recipients []string
	}{{entry, strings1}, {device, nil}} {
		if index, err := l.Append(t.Context(), control.entry, control.recipients, now); err != nil || index != size+uint64(i) {
			t.Errorf("control %d: %d, %v", i, index, err)
		}
	}
	if s, ok, err := l.Recipient(d.ID, 18); !ok || err != nil || s != strings1[1] {
		t.Errorf("recipient: %q, %v, %v", s, ok, err)
	}
	if s, ok, err := l.Recipient(d.ID, 19); ok || err != nil {
		t.Errorf("recipient nobody published: %q, %v", s, err)
	}
}

func sign(t testing.TB) func(entry []byte, err error) []byte {
	return func(entry []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return entry
	}
}

func otherGenesis(t testing.TB) []byte {
	c, k := trusttest.New(now), trusttest.NewKey("another holder")
	return sign(t)(c.Root(1, 1, k).Sign(trust.First(), k))
}

// TestAppendAgain: whoever lost the answer asks again and gets the same.
func TestAppendAgain(t *testing.T) {
	l, c, _ := fixture(t)
	size := l.Size()
	for i, e := range c.Entries() {
		if index, err := l.Append(t.Context(), e, c.RecipientsOf(e), now); err != nil || index != uint64(i) {
			t.Errorf("entry %d: %d, %v", i, index, err)
		}
	}
	if l.Size() != size {
		t.Error("the same entry stands there twice")
	}
}

func TestImport(t *testing.T) {
	c := trusttest.New(now)
	c.AddDesk("vt20/crisis", identity.RoleVeiligThuis)
	l := open(t, filepath.Join(t.TempDir(), "register.db"))
	if _, err := l.Checkpoint(); !errors.Is(err, register.ErrNoGenesis) {
		t.Errorf("checkpoint of nothing: %v", err)
	}
	if _, err := l.Import(t.Context(), c.Entries()[1:], now); !errors.Is(err, trust.ErrGenesis) {
		t.Errorf("file without genesis: %v", err)
	}
	broken := append(c.Entries(), []byte("rubbish"))
	if n, err := l.Import(t.Context(), broken, now); !errors.Is(err, trust.ErrFormat) || n != 0 || l.Size() != 0 {
		t.Errorf("file with a bad end: %d entries, %v", n, err)
	}
	if n, err := l.Import(t.Context(), c.Entries(), now); err != nil || n != 4 {
		t.Fatalf("control: %d entries, %v", n, err)
	}
	if n, err := l.Import(t.Context(), c.Entries(), now); err != nil || n != 0 {
		t.Errorf("the same file again: %d entries, %v", n, err)
	}
	if _, err := l.Import(t.Context(), [][]byte{otherGenesis(t)}, now); !errors.Is(err, trust.ErrSequence) {
		t.Errorf("another genesis: %v", err)
	}
	if c, err := l.Checkpoint(); err != nil || c.Size != 4 {
		t.Errorf("checkpoint: %d, %v", c.Size, err)
	}
}

// TestGivenBack: a relay that lost its log gets it back from a client, entry by
// entry the same, without quota; its devices append their recipients again.
func TestGivenBack(t *testing.T) {
	_, c, d := fixture(t)
	config := register.Config{Path: filepath.Join(t.TempDir(), "register.db"),
		LogName: trusttest.LogName, LogKey: trusttest.NewKey("log"), PerDay: 1}
	l, err := register.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := l.Import(t.Context(), c.Entries(), now); err != nil || uint64(n) != c.Size() || l.Register().Root() != c.Register().Root() {
		t.Fatalf("%d entries, %v", n, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = register.Open(config); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	last := c.Entries()[c.Size()-1]
	if _, err := l.Append(t.Context(), last, []string{"x"}, now); !errors.Is(err, register.ErrRecipients) {
		t.Errorf("other recipients: %v", err)
	}
	if _, ok, err := l.Recipient(d.ID, 3); ok || err != nil {
		t.Errorf("recipient that nobody gave: %v", err)
	}
	if index, err := l.Append(t.Context(), last, c.RecipientsOf(last), now); err != nil || index != c.Size()-1 {
		t.Errorf("recipients again: %d, %v", index, err)
	}
	if s, ok, err := l.Recipient(d.ID, 3); !ok || err != nil || s != d.Recipient(3) {
		t.Errorf("recipient: %q, %v, %v", s, ok, err)
	}
	fresh := trusttest.NewDevice("fresh", "vt20/crisis", now)
	if _, err := l.Append(t.Context(), sign(t)(fresh.Device.Sign(trust.First(), trusttest.OrgKey("vt20"), fresh.Sign, fresh.Login)), nil, now); err != nil {
		t.Errorf("imported entries used up the day: %v", err)
	}
}

// TestNotReady: a log whose key the root did not sign makes no checkpoints, which
// no client would accept.
func TestNotReady(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "register.db"), trusttest.New(now)
	other := trusttest.NewKey("another log")
	l, err := register.Open(register.Config{Path: path, LogName: trusttest.LogName, LogKey: other})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Import(t.Context(), c.Entries(), now); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Checkpoint(); !errors.Is(err, register.ErrNotReady) {
		t.Fatalf("checkpoint by a key that the register does not name: %v", err)
	}
	b := c.Relay
	b.Log, _ = trust.LogKey(trusttest.LogName, other.Public())
	entry := sign(t)(b.Sign(c.Register().Next(b.Subject()), c.Quorum()...))
	if _, err := l.Append(t.Context(), entry, nil, now); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Checkpoint(); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestC21Quota is C21 at the relay: one organisation cannot fill everybody's disk.
func TestC21Quota(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "register.db"), trusttest.New(now)
	config := register.Config{Path: path, LogName: trusttest.LogName, LogKey: trusttest.NewKey("log"), PerDay: 5}
	l, err := register.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	c.AddDesk("vt20/crisis", identity.RoleVeiligThuis)
	c.AddDesk("om/zsm", identity.RoleOM)
	if _, err := l.Import(t.Context(), c.Entries(), now); err != nil {
		t.Fatal(err)
	}
	enrol := func(l *register.Log, org identity.OrgID, name string, at time.Time) error {
		desk := map[identity.OrgID]identity.DeskID{"vt20": "vt20/crisis", "om": "om/zsm"}[org]
		d := trusttest.NewDevice(string(org)+name, desk, now)
		_, err := l.Append(context.Background(), sign(t)(d.Device.Sign(trust.First(), trusttest.OrgKey(org), d.Sign, d.Login)), nil, at)
		return err
	}
	for i := range 5 { // what is imported counts against nobody
		if err := enrol(l, "vt20", fmt.Sprint(i), now); err != nil {
			t.Fatal(err)
		}
	}
	if err := enrol(l, "vt20", "5", now); !errors.Is(err, register.ErrQuota) {
		t.Errorf("a sixth entry: %v", err)
	}
	if err := enrol(l, "om", "0", now); err != nil {
		t.Errorf("control: another organisation: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = register.Open(config); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := enrol(l, "vt20", "5", now.Add(time.Hour)); !errors.Is(err, register.ErrQuota) {
		t.Errorf("a restart gave a new allowance: %v", err)
	}
	r := trust.Revoke{Of: "device/" + trust.Subject(identity.FormatUUID(trusttest.UUID("device vt200"))), Reason: trust.ReasonLost, Effective: now}
	if _, err := l.Append(t.Context(), sign(t)(r.Sign(l.Register().Next(r.Of), trust.ByOrg(trusttest.OrgKey("vt20")))), nil, now); err != nil {
		t.Errorf("a revocation must always get through: %v", err)
	}
	if err := enrol(l, "vt20", "5", now.AddDate(0, 0, 1)); err != nil {
		t.Errorf("the next day: %v", err)
	}
	for i := range 5 {
		enrol(l, "vt20", fmt.Sprint(6+i), now.AddDate(0, 0, 1))
	}
	if err := enrol(l, "vt20", "last", now); !errors.Is(err, register.ErrQuota) {
		t.Errorf("a clock that goes back gave a new allowance: %v", err)
	}
}

// TestEndedKeysGo: recipient strings do not stay for ever, their hashes do.
func TestEndedKeysGo(t *testing.T) {
	l, c, d := fixture(t)
	later := now.AddDate(0, 0, 12)
	b := d.Epochs(17, 2, later)
	entry := sign(t)(b.Sign(c.Register().Next(b.Subject()), d.Sign))
	if _, err := l.Append(t.Context(), entry, d.Recipients(17, 2), later); err != nil {
		t.Fatal(err)
	}
	// Epoch n ends n days after now, and is kept for 8 days more.
	for n, want := range map[uint64]bool{1: false, 3: false, 4: true, 16: true, 18: true} {
		if _, ok, err := l.Recipient(d.ID, n); ok != want || err != nil {
			t.Errorf("epoch %d: %v, %v", n, ok, err)
		}
		if _, ok := l.Register().EpochHash(d.ID, n); !ok {
			t.Errorf("hash of epoch %d is gone", n)
		}
	}
}

// TestConcurrentAppends: many partners at once share commits, and none is lost.
// Readers meanwhile see only whole registers, and the bell rings for each growth.
func TestConcurrentAppends(t *testing.T) {
	l, _, _ := fixture(t)
	const partners = 40
	start, stop := l.Size(), make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for seen := uint64(0); ; {
				grown := l.Grown()
				c, err := l.Checkpoint()
				if err != nil || c.Size < seen {
					t.Errorf("size %d after %d: %v", c.Size, seen, err)
				}
				reg := l.Register()
				if got := reg.DevicesOf("vt20/crisis"); uint64(len(got)) != reg.Size()-start+1 {
					t.Errorf("%d devices at size %d", len(got), reg.Size())
				}
				seen = c.Size
				select {
				case <-grown:
				case <-stop:
					return
				}
			}
		})
	}
	indexes := make([]uint64, partners)
	for i := range partners {
		writers.Go(func() {
			d := trusttest.NewDevice(fmt.Sprint("c", i), "vt20/crisis", now)
			entry := sign(t)(d.Device.Sign(trust.First(), trusttest.OrgKey("vt20"), d.Sign, d.Login))
			var err error
			if indexes[i], err = l.Append(context.Background(), entry, nil, now); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	seen := make(map[uint64]bool)
	for _, index := range indexes {
		seen[index] = true
	}
	if len(seen) != partners || l.Size() != start+partners {
		t.Errorf("%d indexes, size %d after %d", len(seen), l.Size(), start)
	}
}

// TestDyingDisk: after a failed commit nobody knows what is on disk, so nothing is
// accepted any more, and the register that readers see stays as it was.
func TestDyingDisk(t *testing.T) {
	l, _, _ := fixture(t)
	size := l.Size()
	l.BreakForTest()
	for range 2 {
		d := trusttest.NewDevice("x", "vt20/crisis", now)
		entry := sign(t)(d.Device.Sign(trust.First(), trusttest.OrgKey("vt20"), d.Sign, d.Login))
		if _, err := l.Append(t.Context(), entry, nil, now); !errors.Is(err, register.ErrFailed) {
			t.Errorf("append on a dead disk: %v", err)
		}
	}
	if l.Size() != size {
		t.Error("readers see what is not on disk")
	}
}

func TestClosed(t *testing.T) {
	l, c, d := fixture(t)
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), c.Genesis(), nil, now); !errors.Is(err, register.ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := l.Entries(0, 10); !errors.Is(err, register.ErrClosed) {
		t.Errorf("entries: %v", err)
	}
	if _, _, err := l.Recipient(d.ID, 1); !errors.Is(err, register.ErrClosed) {
		t.Errorf("recipient: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Append(ctx, c.Genesis(), nil, now); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestEntries(t *testing.T) {
	l, c, _ := fixture(t)
	all := c.Entries()
	for from := range len(all) + 2 {
		for most := range len(all) + 2 {
			got, err := l.Entries(uint64(from), uint64(most))
			want := max(0, min(most, len(all)-from))
			if err != nil || len(got) != want {
				t.Fatalf("%d entries from %d: %d, %v", most, from, len(got), err)
			}
			for i := range got {
				if string(got[i]) != string(all[from+i]) {
					t.Fatalf("entry %d is another", from+i)
				}
			}
		}
	}
	for _, sizes := range [][2]uint64{{0, 1}, {2, 1}, {1, l.Size() + 1}} {
		if _, err := l.Proof(sizes[0], sizes[1]); err == nil {
			t.Errorf("proof %v", sizes)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprint(writers, " partners"), func(b *testing.B) {
			l, _, _ := fixture(b)
			entries := make(chan []byte, b.N)
			for i := range b.N {
				d := trusttest.NewDevice(fmt.Sprint("b", i), "vt20/crisis", now)
				entries <- sign(b)(d.Device.Sign(trust.First(), trusttest.OrgKey("vt20"), d.Sign, d.Login))
			}
			close(entries)
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for e := range entries {
						if _, err := l.Append(context.Background(), e, nil, now); err != nil && !errors.Is(err, register.ErrQuota) {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	path, c := filepath.Join(b.TempDir(), "register.db"), trusttest.New(now)
	for range 500 {
		c.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	}
	l := open(b, path)
	fill(b, l, c)
	for b.Loop() {
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		l = open(b, path)
	}
}
