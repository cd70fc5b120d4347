package schakel_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

func openings(t *testing.T, m *schakeltest.Member, kase string) (lines []schakel.LogLine) {
	t.Helper()
	l, err := m.Node.Log(testContext(t), kase)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(l.Lines, func(l schakel.LogLine) bool { return l.Action != "opened" && l.Action != "case-opened" })
}

// Every opening is a line, with the person who proved it, and the other device shows
// it too.
func TestEveryOpeningIsLogged(t *testing.T) {
	c, ctx := newColleagues(t), testContext(t)
	if l, err := c.first.Node.ReadAs(ctx, c.sent.Hash, schakel.By{Person: c.ann.Name, PIN: "654321"}); !errors.Is(err, schakel.ErrPIN) || l.Body != nil {
		t.Fatalf("read with a wrong PIN: %v", err)
	}
	if got := openings(t, c.first, ""); len(got) != 0 {
		t.Fatalf("opened by nobody yet: %+v", got)
	}
	if _, err := c.first.Node.ReadAs(ctx, c.sent.Hash, as(c.ann)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // each time again
		if _, err := c.first.Node.Read(ctx, c.sent.Hash); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.first.Node.Case(ctx, c.sent.Case); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*schakeltest.Member{c.first, c.second} {
		eventually(t, "both devices show the openings", func() bool { return len(openings(t, m, c.sent.Case)) == 4 })
		got := openings(t, m, c.sent.Hash)
		if got[0].Person != c.ann.Name || got[1].Person != "" || got[0].Device != c.first.Node.Device().String() || got[3].Action != "case-opened" {
			t.Errorf("got %+v", got)
		}
	}
	l, err := c.second.Node.Log(ctx, "")
	if err != nil || !l.Intact() || len(l.Devices) != 2 {
		t.Errorf("control: an honest log: %+v, %v", l.Devices, err)
	}
}

// The owner of one machine rewrites its log: the other device notices, and goes on
// showing what it was shown before.
func TestRewrittenLogIsNoticed(t *testing.T) {
	c, ctx := newColleagues(t), testContext(t)
	if _, err := c.first.Node.Read(ctx, c.sent.Hash); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second device has the line", func() bool { return len(openings(t, c.second, "")) == 1 })
	r := delivery.Record{Kind: delivery.RecordLog, Desk: c.first.Desk, Content: schakel.LogForTest(otherLine(t))}
	s, err := c.first.Node.RecordForTest(ctx, r, schakel.By{})
	if err != nil {
		t.Fatal(err)
	}
	d := delivery.Delivery{Kind: delivery.KindRecord, Content: s.Raw, Counter: 1000}
	eventually(t, "it can be sealed", func() bool {
		return c.first.Node.PutForTest(ctx, c.first.Desk, envelope.TierNone, d) == nil
	})
	eventually(t, "the second device is alarmed", func() bool { return has(t, c.second, schakel.AlarmLog) })
	l, err := c.second.Node.Log(ctx, "")
	if err != nil || l.Intact() || len(openings(t, c.second, "")) != 1 {
		t.Errorf("got %+v, %v", l, err)
	}
}

// otherLine is line 1 of a log in which nothing was opened.
func otherLine(t *testing.T) (line []byte) {
	t.Helper()
	lone := schakeltest.New(t).Join("om/parket", identity.RoleOM)
	err := lone.Store().Update(testContext(t), func(tx *store.Tx) error {
		if err := tx.Audit("nothing", "happened", identity.PersonID{}, time.Now()); err != nil {
			return err
		}
		run, err := tx.AuditRun(0, [32]byte{}, 1)
		if err == nil {
			line = run.Lines[0]
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func FuzzRecordContents(f *testing.F) {
	f.Add(schakel.LogForTest([]byte("line")))
	f.Add(schakel.PagedForTest())
	f.Add([]byte{0x84, 0x61, 'a', 0x60, 0x60, 0x41, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, codec := range schakel.ContentsForTest {
			if got, err := codec(b); err == nil && !bytes.Equal(got, b) {
				t.Errorf("%s: %x comes back as %x", name, b, got)
			}
		}
	})
}

// FuzzPaged: whatever another device says that it paged, what is stored of it is in bounds
// and counts nothing down.
func FuzzPaged(f *testing.F) {
	f.Add(schakel.PagedForTest())
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := schakel.RowsForTest(b)
		if err != nil {
			return
		}
		for _, r := range rows {
			if r.Tier > 3 || r.Rung < 0 || r.Level < -1 || r.Level > 255 || r.Waiting < 0 || r.At.Unix() < 0 || r.At.Unix() > 1<<40 {
				t.Errorf("stored %+v", r)
			}
		}
	})
}

// However much waits, the record of a round fits: one that does not would keep the outcomes
// of all its pages from being written down.
func TestRecordOfARoundFits(t *testing.T) {
	few, err := schakel.ToldForTest(10)
	if err != nil || len(few) < 10*100 {
		t.Fatalf("control: %d bytes, %v", len(few), err)
	}
	if many, err := schakel.ToldForTest(5000); err != nil || len(many) > delivery.MaxRecordContent {
		t.Errorf("%d bytes, %v", len(many), err)
	}
}
