package schakel_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/relay/page"
)

// paged is a pair whose recipient has paged the first rung about a message, and stands still.
func paged(t *testing.T) (pair, *phones, schakel.Sent) {
	t.Helper()
	p := newAcutePair(t, nil)
	rang := staff(t, p.to)
	p.reachable(t)
	sent := p.report(t)
	rang.until(t, "who is on call", map[string]int{firstNTFY: 1, firstMail: 1})
	eventually(t, "it is in the log", func() bool {
		log, err := p.to.Node.PageLog(testContext(t), 10)
		return err == nil && len(log) == 2 && log[0].Outcome == page.Sent && log[1].Outcome == page.Sent
	})
	p.to.Stop()
	return p, rang, sent
}

func damageAlarm(t *testing.T, m *schakeltest.Member) bool {
	t.Helper()
	alarms, err := m.Node.Alarms(testContext(t))
	return err == nil && slices.ContainsFunc(alarms, func(a schakel.Alarm) bool { return a.Kind == schakel.AlarmPager && a.Subject == "beschadigd" })
}

// A timer that this program cannot have written is noticed, and begun anew: what waits is
// paged, whatever the row said. One that could be true is believed, and still keeps nobody
// from being called.
func TestChangedTimer(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*store.Watch, time.Time)
		noticed bool
		again   int // how often the first rung rings in all
	}{
		"silenced":         {func(w *store.Watch, _ time.Time) { w.Silenced = true }, true, 2},
		"below the ground": {func(w *store.Watch, _ time.Time) { w.Rungs = -3 }, true, 2},
		"beyond the sky":   {func(w *store.Watch, _ time.Time) { w.Rungs = 1 << 20 }, true, 2},
		"from the future":  {func(w *store.Watch, now time.Time) { w.Since, w.Last = now.AddDate(9, 0, 0), now.AddDate(9, 0, 0) }, false, 1},
		"untouched":        {func(*store.Watch, time.Time) {}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, rang, _ := paged(t)
			err := p.to.Store().Update(testContext(t), func(tx *store.Tx) error {
				ws, err := tx.Watches()
				if len(ws) != 1 || err != nil {
					t.Fatalf("%+v, %v", ws, err)
				}
				c.change(&ws[0], p.Now())
				return tx.SetWatch(ws[0])
			})
			if err != nil {
				t.Fatal(err)
			}
			p.Pass(time.Minute)
			p.to.Start()
			want := map[string]int{firstNTFY: c.again, firstMail: c.again}
			rang.until(t, "the first rung", want)
			settle(t, p.to)
			if damageAlarm(t, p.to) != c.noticed {
				t.Errorf("an alarm says so: %v", !c.noticed)
			}
			p.Pass(5 * time.Minute)
			want[backupNTFY], want[backupMail] = 1, 1
			rang.until(t, "and the backup in its time", want)
		})
	}
}

// A block of the disk that holds the timers comes back changed: they are lost as a whole.
// The daemon goes on, pages what waits, climbs, and says that its disk is to be looked at.
func TestTimersDamagedOnDisk(t *testing.T) {
	p, rang, sent := paged(t)
	damageTimers(t, p.to)
	p.Pass(time.Minute)
	p.to.Start()
	want := map[string]int{firstNTFY: 2, firstMail: 2}
	rang.until(t, "it begins anew", want)
	eventually(t, "an alarm says so", func() bool { return damageAlarm(t, p.to) })
	settle(t, p.to)
	rang.until(t, "and once", want)
	p.Pass(5 * time.Minute)
	want[backupNTFY], want[backupMail] = 1, 1
	rang.until(t, "the backup in its time, by timers in memory", want)
	officer := p.to.AddPerson("P. Iket")
	if _, err := p.to.Node.Acknowledge(testContext(t), sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	p.Pass(20 * time.Minute)
	settle(t, p.to)
	rang.until(t, "nobody after the acknowledgement", want)
	p.report(t)
	want[firstNTFY], want[firstMail] = 3, 3
	rang.until(t, "the next message", want)
}

// damageTimers flips a bit in the block in which a stopped device keeps its timers: the
// one that, flipped, lets the store open and its timers not.
func damageTimers(t *testing.T, m *schakeltest.Member) {
	t.Helper()
	m.Reopen()
	if err := m.Store().Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(m.Files(), "store.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const block = 4096
	for at := len(whole) - block; at > 0; at -= block {
		bad := slices.Clone(whole)
		bad[at+100] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if timersLost(t, m.Files()) {
			m.Reopen()
			return
		}
	}
	t.Fatal("no block holds the timers")
}

func timersLost(t *testing.T, dir string) bool {
	t.Helper()
	s, err := store.Open(context.Background(), dir, store.Unlock{Keys: []vault.Way{vault.KeyFile{Path: dir + ".key"}}})
	if err != nil {
		return false
	}
	var lost, others error
	err = s.View(testContext(t), func(tx *store.Tx) error { _, lost = tx.Watches(); return nil })
	err2 := s.View(testContext(t), func(tx *store.Tx) error { _, others = tx.Alarms(); return nil })
	return errors.Join(err, err2, others, s.Close()) == nil && errors.Is(lost, store.ErrDamaged)
}
