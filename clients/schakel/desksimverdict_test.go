package schakel_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/relay/page"
)

var (
	deskDeadlines = flag.Int("deadlines", 40, "simulated deadlines of the pagers of desks")
	deskSeed      = flag.Uint64("seed", 11386415338601972165, "of that simulation, of random relays and of a month; the make targets draw one")
)

// deskVerdict is what the oracle found.
type deskVerdict struct {
	deadlines, pages, twice int
	failed                  int // of the deadlines: a level of which nobody was reached
	missed                  []string
}

// soon is how late a page may be: three devices that wait for each other, one after the
// other, a page that fails, and a round.
const soon = 100 * time.Second

// judge asks of each letter whether each of its rungs rang and whether whoever was not
// reached was followed by somebody who was, and of the journals of all devices how often.
func (o *office) judge(t *testing.T) (v deskVerdict) {
	t.Helper()
	for _, l := range o.letters {
		reference := page.Reference(o.devices[0].key, []byte("waiting "+l.hash.String()))
		for target, after := range map[string]time.Duration{firstMail: 0, backupMail: 5 * time.Minute, allMail: 20 * time.Minute} {
			due := l.at.Add(after + soon)
			if !l.acked.IsZero() && l.acked.Before(due) {
				continue
			}
			if v.deadlines++; !o.heard(target, reference, l.at.Add(-10*time.Second), due) {
				v.missed = append(v.missed, fmt.Sprintf("%s about %s of %v: did not ring by %v", target, reference, l.at.Sub(o.began), due.Sub(o.began)))
			}
		}
		failed, missed := o.unfollowed(l, reference)
		v.deadlines, v.failed, v.missed = v.deadlines+failed, v.failed+failed, append(v.missed, missed...)
	}
	type rung struct {
		subject, contact, channel string
		rung                      int
	}
	times := map[rung]int{}
	for _, d := range o.devices {
		err := d.st.View(context.Background(), func(tx *store.Tx) error {
			rows, err := tx.Pages(store.PagedQuery{Limit: 1 << 20})
			for _, r := range rows {
				if r.Device == d.node.Device() && r.Kind == "waiting" && (r.Outcome == string(page.Sent) || r.Outcome == "interrupted") {
					times[rung{r.Subject, r.Contact, r.Channel, r.Rung}]++
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(v.missed) > 0 {
		t.Logf("faults: %q", o.story)
	}
	for _, n := range times {
		v.pages += n
		v.twice += n - 1
	}
	return v
}

// heard reports whether a telephone was called about something, alone or with others.
func (o *office) heard(target, reference string, from, to time.Time) bool {
	return o.rings(reference, from, to, func(r deskRing) bool { return r.target == target })
}

func (o *office) rings(reference string, from, to time.Time, ok func(deskRing) bool) bool {
	return slices.ContainsFunc(o.rang, func(r deskRing) bool {
		return !r.at.Before(from) && !r.at.After(to) && (r.reference == reference || r.waiting > 1) && ok(r)
	})
}

// unfollowed is which calls about a letter reached nobody, of how many: of all that rang
// at one moment nobody took it, and nobody soon after. That another level took it earlier
// excuses nothing: each call is a deadline of its own.
func (o *office) unfollowed(l *deskLetter, reference string) (failed int, missed []string) {
	taken := func(r deskRing) bool { return r.taken }
	var last time.Time // of the moment that is judged
	for _, r := range o.rang {
		by := r.at.Add(soon)
		if r.reference != reference || r.at.Before(last.Add(atOnce)) || by.After(time.Now()) || !l.acked.IsZero() && l.acked.Before(by) {
			continue
		}
		if last = r.at; o.rings(reference, r.at, r.at.Add(atOnce), taken) {
			continue
		}
		if failed++; !o.rings(reference, r.at, by, taken) {
			missed = append(missed, fmt.Sprintf("%s about %s of %v: not reached at %v, and nobody else by %v", r.target, reference, l.at.Sub(o.began), r.at.Sub(o.began), by.Sub(o.began)))
		}
	}
	return failed, missed
}

// atOnce is how far apart the channels of one call ring.
const atOnce = time.Second

// newOffices makes desks of two and three devices that know each other and have a rota.
func newOffices(t *testing.T, desks int) (all [][]string, base func() time.Time) {
	t.Helper()
	chain := schakeltest.New(t)
	var members []*schakeltest.Member
	for i := range desks {
		first := chain.Join(identity.DeskID(fmt.Sprintf("politie-%d/meldkamer", i)), identity.RolePolitie)
		of := []*schakeltest.Member{first}
		first.Start()
		for range 1 + i%2 {
			m := first.Sibling()
			m.Start()
			of = append(of, m)
		}
		giveRota(t, first)
		var dirs []string
		for _, m := range of {
			eventually(t, "the devices know each other, and the rota", func() bool {
				_, err := m.Node.Roster(testContext(t))
				return err == nil && m.Node.SiblingsForTest() == len(of)-1
			})
			dirs = append(dirs, m.Files())
		}
		members, all = append(members, of...), append(all, dirs)
	}
	for _, m := range members {
		m.Stop()
		if err := m.Store().Close(); err != nil {
			t.Fatal(err)
		}
	}
	chain.StopRelay()
	return all, chain.Now
}

// simulate runs one desk for so many letters.
func simulate(t *testing.T, dirs []string, base time.Time, seed uint64, letters int, wrong func(*office)) (v deskVerdict) {
	t.Helper()
	body := example(t, "melding")
	synctest.Test(t, func(t *testing.T) {
		o := &office{seed: seed, Rand: rand.New(rand.NewPCG(seed, uint64(len(dirs)))), began: time.Now(), base: base}
		for _, dir := range dirs {
			o.devices = append(o.devices, &deskDevice{o: o, dir: dir, key: []byte("one key for all, so that the oracle can tell")})
		}
		wrong(o)
		o.run(t, letters, body)
		for _, d := range o.devices {
			if d.node == nil {
				t.Fatal("a device stayed off")
			}
		}
		v = o.judge(t)
		for _, d := range o.devices {
			d.stop()
		}
	})
	return v
}

// TestDeskSimulation has the devices of desks page through restarts, deaths, cut networks
// and set clocks: no deadline is missed, and one in a hundred pages at most goes out twice.
func TestDeskSimulation(t *testing.T) {
	t.Parallel()
	seed := *deskSeed
	desks, now := newOffices(t, max(2, min(16, *deskDeadlines/300)))
	t.Logf("replay with: go test ./clients/schakel -run TestDeskSimulation -args -seed=%d -deadlines=%d", seed, *deskDeadlines)
	var all deskVerdict
	base := now()
	for i, dirs := range desks {
		v := simulate(t, dirs, base, seed+uint64(i), 1+*deskDeadlines*2/3/len(desks), func(*office) {})
		all.deadlines, all.pages, all.twice, all.missed = all.deadlines+v.deadlines, all.pages+v.pages, all.twice+v.twice, append(all.missed, v.missed...)
		all.failed += v.failed
	}
	t.Logf("%d desks, %d deadlines, of which %d after nobody of a level was reached, %d pages, %d sent twice, %d missed", len(desks), all.deadlines, all.failed, all.pages, all.twice, len(all.missed))
	for _, m := range all.missed[:min(10, len(all.missed))] {
		t.Error(m)
	}
	if all.twice > all.pages/100+8 { // in a short one a single fault can make some
		t.Errorf("%d of %d pages were sent twice", all.twice, all.pages)
	}
	if all.deadlines < *deskDeadlines/2 || all.pages < all.deadlines {
		t.Errorf("only %d deadlines and %d pages", all.deadlines, all.pages)
	}
}

// Two devices whose clocks are both set back do not take each other's pages for old ones;
// and started again, they are not late with what they noted before.
func TestDeskClocksSetBack(t *testing.T) {
	t.Parallel()
	desks, now := newOffices(t, 1)
	v := simulate(t, desks[0], now(), 11, 16, func(o *office) { o.back = true })
	if v.twice > 0 || len(v.missed) > 0 || v.pages == 0 || v.pages > 16*40 {
		t.Errorf("%d pages, %d sent twice, missed %q", v.pages, v.twice, v.missed)
	}
}

// TestDeskSimulationNotices: the oracle sees devices that do not tell each other, telephones
// that do not ring, and channels that say they reached who they did not.
func TestDeskSimulationNotices(t *testing.T) {
	t.Parallel()
	desks, now := newOffices(t, 3)
	mute := simulate(t, desks[0], now(), 7, 6, func(o *office) { o.mute = true })
	deaf := simulate(t, desks[1], now(), 7, 2, func(o *office) { o.deaf = true })
	lying := simulate(t, desks[2], now(), 7, 4, func(o *office) { o.lying, o.fail = true, 1 }) // all of them: how often one in two falls together is luck
	if mute.twice*10 < mute.pages || mute.pages == 0 {
		t.Errorf("devices that tell each other nothing: %d of %d twice", mute.twice, mute.pages)
	}
	if len(deaf.missed) == 0 {
		t.Error("telephones that do not ring: nothing missed")
	}
	if len(lying.missed) == 0 || lying.failed == 0 {
		t.Errorf("channels that say they reached who they did not: nothing missed, %d failed", lying.failed)
	}
}
