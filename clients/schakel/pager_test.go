package schakel_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/page"
	"schakel/relay/rota"
	"schakel/relay/wire"
)

// phones are all telephones and mailboxes of a desk: they keep what rings.
type phones struct {
	mu    sync.Mutex
	rang  []ring
	fails map[string]error // by target
	hang  chan struct{}    // where set, nobody answers before it is closed
}

type ring struct {
	target string
	page   page.Page
}

var _ schakel.Channels = (*phones)(nil)

type phone struct {
	all    *phones
	target string
}

func (p *phones) HasHook() bool { return false }

func (p *phones) For(pt page.Point) (page.Notifier, error) { return phone{p, pt.Target}, nil }

func (p phone) Notify(_ context.Context, pg page.Page) error {
	p.all.mu.Lock()
	p.all.rang = append(p.all.rang, ring{p.target, pg})
	err := p.all.fails[p.target]
	p.all.mu.Unlock()
	if p.all.hang != nil {
		<-p.all.hang
	}
	return err
}

func (p *phones) fail(target string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails == nil {
		p.fails = map[string]error{}
	}
	p.fails[target] = err
}

// heard is how often each target rang.
func (p *phones) heard() (of map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of = map[string]int{}
	for _, r := range p.rang {
		of[r.target]++
	}
	return of
}

func (p *phones) pages() []ring {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.rang)
}

// The points of the desk of these tests.
const (
	firstNTFY  = "https://ntfy.example/first"
	firstMail  = "first@desk.example"
	backupNTFY = "https://ntfy.example/backup"
	backupMail = "backup@desk.example"
	allMail    = "all@other.example"
)

// staffed is a roster with somebody on call, a backup and a fallback, without an end.
func staffed() roster.Roster {
	always := func(c rota.Contact) rota.Layer {
		return rota.Layer{Temporary: []rota.Schedule{}, Rules: []rota.Rule{{From: "2020-01-06T08:00", To: "2020-01-13T08:00", Repeat: "FREQ=WEEKLY", Contacts: []rota.Contact{c}}}}
	}
	two := func(c rota.Contact, name, ntfy, mail string) roster.Person {
		return roster.Person{Contact: c, Name: name, Phone: "+31600000011", Points: []roster.Point{{Channel: page.NTFY, Target: ntfy}, {Channel: page.SMTP, Target: mail}}}
	}
	return roster.Roster{Version: 1, Fallback: []rota.Contact{"f-1"}, Ladders: []roster.Ladder{}, Changes: []rota.Change{},
		People: []roster.Person{two("c-1", "P. Iket", firstNTFY, firstMail), two("c-2", "W. Acht", backupNTFY, backupMail),
			{Contact: "f-1", Name: "wachtkamer", Phone: "+31600000012", Points: []roster.Point{{Channel: page.SMTP, Target: allMail}}}},
		Layers: []rota.Layer{always("c-1"), always("c-2")},
	}
}

// newAcutePair is a doctor and the police, who may get an acute report alone.
func newAcutePair(t *testing.T, tap func(identity.DeviceID, wire.Side, wire.Frame) []wire.Frame) pair {
	t.Helper()
	chain := schakeltest.Prepare(t)
	chain.Tap = tap
	chain.StartRelay()
	p := pair{Chain: chain, from: chain.Join("arts/praktijk", identity.RoleSignaleerder), to: chain.Join("politie-mn/meldkamer", identity.RolePolitie)}
	p.from.Start()
	p.to.Start()
	p.reachable(t)
	return p
}

// report sends an acute report.
func (p pair) report(t *testing.T) schakel.Sent {
	t.Helper()
	sent, err := p.from.Node.Send(testContext(t), schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{p.to.Desk}, Body: example(t, "melding")})
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// staff gives a desk phones and a roster.
func staff(t *testing.T, m *schakeltest.Member) *phones {
	t.Helper()
	p := &phones{}
	m.Equip(p)
	giveRota(t, m)
	return p
}

// giveRota puts a roster on a device, signed by somebody of its desk.
func giveRota(t *testing.T, m *schakeltest.Member) {
	t.Helper()
	planner := m.AddPerson("R. Ooster")
	if _, err := m.Node.SetRota(testContext(t), roster.Sheet{Roster: staffed()}, schakel.By{Person: planner.ID.String(), PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
}

func (p *phones) until(t *testing.T, what string, want map[string]int) {
	t.Helper()
	eventually(t, what, func() bool {
		got := p.heard()
		for target, n := range want {
			if got[target] < n {
				return false
			}
		}
		return true
	})
	if got := p.heard(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: rang %v, want %v", what, got, want)
	}
}

// settle lets a device look a few times at what is due.
func settle(t *testing.T, m *schakeltest.Member) {
	t.Helper()
	before := m.Node.RoundsForTest()
	eventually(t, "the pager looks again", func() bool { return m.Node.RoundsForTest() > before+2 })
}

// An acute message that nobody here acknowledges: who is on call at once, through both
// channels, the backup five minutes later, everyone after that; and nobody any more
// once a person signed that they take it.
func TestUnattendedClimbs(t *testing.T) {
	p := newAcutePair(t, nil)
	officer := p.to.AddPerson("P. Iket")
	rang := staff(t, p.to)
	p.reachable(t)
	sent := p.report(t)
	want := map[string]int{firstNTFY: 1, firstMail: 1}
	rang.until(t, "who is on call, at once", want)
	p.Pass(4 * time.Minute)
	settle(t, p.to)
	rang.until(t, "nobody before the time", want)
	p.Pass(time.Minute)
	want[backupNTFY], want[backupMail] = 1, 1
	rang.until(t, "the backup after five minutes", want)
	p.Pass(15 * time.Minute)
	want = map[string]int{firstNTFY: 2, firstMail: 2, backupNTFY: 2, backupMail: 2, allMail: 1}
	rang.until(t, "everyone", want)
	eventually(t, "it can be acknowledged", func() bool {
		_, err := p.to.Node.Acknowledge(testContext(t), sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN})
		return err == nil
	})
	p.Pass(20 * time.Minute)
	settle(t, p.to)
	rang.until(t, "nobody after the acknowledgement", want)
	for _, r := range rang.pages() {
		if r.page.Tier != envelope.TierAcute || r.page.Exercise || r.page.Reference != rang.pages()[0].page.Reference {
			t.Errorf("paged %+v", r.page)
		}
	}
	var log []schakel.Page
	eventually(t, "the log is whole", func() bool {
		var err error
		log, err = p.to.Node.PageLog(testContext(t), 100)
		return err == nil && len(log) == 9 && !slices.ContainsFunc(log, func(l schakel.Page) bool { return l.Outcome == "" })
	})
	for _, l := range log {
		if l.Subject != sent.Hash || l.Outcome != page.Sent || l.Tier != "acute" || l.Why != "waiting" || l.Name == "" {
			t.Errorf("the log says %+v", l)
		}
	}
}

// Without a pager nobody is paged: what rings in the other tests rings because of it.
func TestNoPagerNoPages(t *testing.T) {
	p := newAcutePair(t, nil)
	giveRota(t, p.to)
	p.delivered(t, p.report(t))
	if log, err := p.to.Node.PageLog(testContext(t), 10); err != nil || len(log) != 0 {
		t.Errorf("paged %v, %v", log, err)
	}
}

// One channel that fails does not keep the other from ringing. When all of somebody's
// fail the next rung is due at once, and the desk has an alarm.
func TestChannelsFail(t *testing.T) {
	p := newAcutePair(t, nil)
	rang := staff(t, p.to)
	p.reachable(t)
	rang.fail(firstNTFY, page.ErrUnreachable)
	p.report(t)
	want := map[string]int{firstNTFY: 1, firstMail: 1}
	rang.until(t, "both are tried", want)
	settle(t, p.to)
	rang.until(t, "one of two is enough", want)
	for _, target := range []string{firstMail, backupNTFY, backupMail} {
		rang.fail(target, page.ErrBusy)
	}
	p.Pass(time.Minute) // or the first would be spared a second page
	p.report(t)
	rang.until(t, "all of it at once, when nobody can be reached", map[string]int{firstNTFY: 2, firstMail: 2, backupNTFY: 1, backupMail: 1})
	eventually(t, "the desk has an alarm", func() bool {
		return hasAlarm(t, p.to, schakel.AlarmPager)
	})
	p.Pass(time.Minute)
	eventually(t, "the fallback rings", func() bool { return rang.heard()[allMail] > 0 })
	eventually(t, "the alarm is over", func() bool { return !hasAlarm(t, p.to, schakel.AlarmPager) })
}

// What comes just after somebody was paged for another message rings too, a moment later:
// who answered the first may be asleep again before the backup's time.
func TestNextIsHeldBackAndNotDropped(t *testing.T) {
	p := newAcutePair(t, nil)
	rang := staff(t, p.to)
	p.reachable(t)
	p.report(t)
	rang.until(t, "the first", map[string]int{firstNTFY: 1, firstMail: 1})
	p.delivered(t, p.report(t))
	settle(t, p.to)
	p.Pass(5 * time.Second)
	rang.until(t, "the second, before the backup's time", map[string]int{firstNTFY: 2, firstMail: 2})
	settle(t, p.to)
	rang.until(t, "once", map[string]int{firstNTFY: 2, firstMail: 2})
	pages := rang.pages()
	if pages[0].page.Waiting != 1 || pages[0].page.Reference == pages[3].page.Reference {
		t.Errorf("paged %+v and %+v", pages[0].page, pages[3].page)
	}
}

func hasAlarm(t *testing.T, m *schakeltest.Member, kind schakel.AlarmKind) bool {
	t.Helper()
	alarms, err := m.Node.Alarms(testContext(t))
	return err == nil && slices.ContainsFunc(alarms, func(a schakel.Alarm) bool { return a.Kind == kind })
}

// A relay that says that somebody showed the token silences nobody here: what ends the
// pages is what a person of this desk signed.
func TestH07RelayClaimsAttended(t *testing.T) {
	p := newAcutePair(t, func(_ identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
		if d, is := f.(wire.Deliver); is && from == wire.SideRelay {
			if e, err := envelope.Parse(d.Envelope); err == nil {
				return []wire.Frame{wire.AttendedIs{ID: e.Header.ID, Code: wire.CodeOK}, f, wire.AttendedIs{ID: e.Header.ID, Code: wire.CodeOK}}
			}
		}
		return []wire.Frame{f}
	})
	rang := staff(t, p.to)
	p.reachable(t)
	p.report(t)
	rang.until(t, "who is on call", map[string]int{firstNTFY: 1, firstMail: 1})
	p.Pass(5 * time.Minute)
	rang.until(t, "the backup", map[string]int{firstNTFY: 1, firstMail: 1, backupNTFY: 1, backupMail: 1})
}

// The sender's own timer goes by the recipient's signature. A relay that keeps the
// message, or the acknowledgement, changes nothing about it.
func TestSenderIsPagedWhenTheRelayLies(t *testing.T) {
	for name, acknowledged := range map[string]bool{"keeps the message": false, "keeps the acknowledgement": true} {
		t.Run(name, func(t *testing.T) {
			var keeps sync.Map
			p := newAcutePair(t, func(d identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
				_, deliver := f.(wire.Deliver)
				if _, kept := keeps.Load(d); kept && deliver && from == wire.SideRelay {
					return nil
				}
				return []wire.Frame{f}
			})
			officer := p.to.AddPerson("P. Iket")
			rang := staff(t, p.from)
			p.reachable(t)
			victim := p.to
			if acknowledged {
				victim = p.from
			}
			keeps.Store(victim.Node.Device(), true)
			sent := p.report(t)
			if acknowledged {
				eventually(t, "the recipient acknowledges", func() bool {
					_, err := p.to.Node.Acknowledge(testContext(t), sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN})
					return err == nil
				})
			}
			p.Pass(14 * time.Minute)
			settle(t, p.from)
			rang.until(t, "nobody before the term is over", map[string]int{})
			p.Pass(61 * time.Second)
			rang.until(t, "the sender's own on call", map[string]int{firstNTFY: 1, firstMail: 1})
			eventually(t, "the alarm says whom to telephone", func() bool {
				alarms, err := p.from.Node.Alarms(testContext(t))
				return err == nil && slices.ContainsFunc(alarms, func(a schakel.Alarm) bool {
					return a.Kind == schakel.AlarmUnacknowledged && strings.Contains(a.Remedy, "+31600000001")
				})
			})
			for _, r := range rang.pages() {
				if text := fmt.Sprintf("%+v", r.page); strings.Contains(text, "+316") || strings.Contains(text, "politie") {
					t.Errorf("the page says %s", text)
				}
			}
			if err := p.from.Node.ClearAlarm(testContext(t), schakel.AlarmUnacknowledged, sent.Hash+" "+string(p.to.Desk)); err != nil {
				t.Fatal(err)
			}
			p.Pass(time.Hour)
			settle(t, p.from)
			rang.until(t, "nobody after somebody telephoned", map[string]int{firstNTFY: 1, firstMail: 1})
		})
	}
}

// What the term of the sender runs on from is disk: a restart neither forgets nor repeats.
func TestRestartGoesOn(t *testing.T) {
	p := newAcutePair(t, nil)
	rang := staff(t, p.to)
	p.reachable(t)
	p.report(t)
	want := map[string]int{firstNTFY: 1, firstMail: 1}
	rang.until(t, "who is on call", want)
	settle(t, p.to)
	for range 3 {
		p.to.Reopen()
		p.to.Start()
		settle(t, p.to)
	}
	rang.until(t, "nobody twice because of a restart", want)
	p.to.Stop()
	p.Pass(20 * time.Minute)
	p.to.Reopen()
	p.to.Start()
	eventually(t, "the rungs that were missed", func() bool { h := rang.heard(); return h[backupNTFY] == 1 && h[firstNTFY] == 1 })
}

// A page is in the journal before any channel hears of it. Where a crash came in between
// nobody knows whether it went out, so it goes out again.
func TestCrashBetweenJournalAndPage(t *testing.T) {
	p := newAcutePair(t, nil)
	rang := &phones{hang: make(chan struct{})}
	p.to.Equip(rang)
	giveRota(t, p.to)
	p.reachable(t)
	sent := p.report(t)
	rang.until(t, "the page is on its way", map[string]int{firstNTFY: 1, firstMail: 1})
	log, err := p.to.Node.PageLog(testContext(t), 10)
	if err != nil || len(log) != 2 || log[0].Outcome != "" || log[0].Subject != sent.Hash {
		t.Fatalf("the journal does not say that it was begun: %+v, %v", log, err)
	}
	close(rang.hang)
	p.to.Stop()
	err = p.to.Store().Update(testContext(t), func(tx *store.Tx) error { // as it was a moment ago
		for _, n := range []uint64{1, 2} {
			if err := tx.SetOutcome(n, ""); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	again := &phones{}
	p.to.Equip(again)
	p.to.Start()
	again.until(t, "it is paged again", map[string]int{firstNTFY: 1, firstMail: 1})
	settle(t, p.to)
	again.until(t, "once", map[string]int{firstNTFY: 1, firstMail: 1})
	p.to.Stop()
	log, err = p.to.Node.PageLog(testContext(t), 10)
	if err != nil || len(log) != 4 || log[3].Outcome != "interrupted" || log[0].Outcome != page.Sent {
		t.Errorf("the journal says %+v, %v", log, err)
	}
}

// A clock that is set back by a day makes nobody wait a day longer, whether the device
// ran meanwhile or not; one that is set forward pages early.
func TestClockSteps(t *testing.T) {
	for name, restart := range map[string]bool{"while it runs": false, "while it is off": true} {
		t.Run(name, func(t *testing.T) {
			p := newAcutePair(t, nil)
			rang := staff(t, p.to)
			p.reachable(t)
			p.report(t)
			rang.until(t, "who is on call", map[string]int{firstNTFY: 1, firstMail: 1})
			if restart {
				p.to.Stop()
			}
			p.to.MoveClock(-24 * time.Hour)
			if restart {
				p.to.Reopen()
				p.to.Start()
			}
			settle(t, p.to)
			p.to.MoveClock(-24*time.Hour + 5*time.Minute + time.Second)
			rang.until(t, "the backup, five minutes later", map[string]int{firstNTFY: 1, firstMail: 1, backupNTFY: 1, backupMail: 1})
		})
	}
}

// Of two devices of a desk one pages. When it is off, the other one does.
func TestOneDeviceOfADeskPages(t *testing.T) {
	p := newAcutePair(t, nil)
	second := p.to.Sibling()
	second.Start()
	rang := staff(t, p.to)
	second.Equip(rang)
	eventually(t, "the rota is on both", func() bool { _, err := second.Node.Roster(testContext(t)); return err == nil })
	sealsTo(t, p.from, p.to.Desk, 2)
	for _, m := range []*schakeltest.Member{p.to, second} {
		eventually(t, "the devices know each other", func() bool {
			devices, err := m.Node.Devices(testContext(t))
			st, err2 := m.Node.Status(testContext(t))
			return err == nil && err2 == nil && len(devices) == 2 && st.Connected
		})
	}
	p.report(t)
	want := map[string]int{firstNTFY: 1, firstMail: 1}
	rang.until(t, "the first device pages", want)
	for _, m := range []*schakeltest.Member{p.to, second} {
		eventually(t, "both have it in their log", func() bool {
			log, err := m.Node.PageLog(testContext(t), 10)
			return err == nil && len(log) == 2
		})
	}
	p.Pass(time.Minute)
	settle(t, p.to)
	settle(t, second)
	rang.until(t, "the second device does not", want)
	first := p.to
	if log, err := p.to.Node.PageLog(testContext(t), 1); err == nil && !log[0].Here {
		first = second
	}
	first.Stop()
	p.Pass(4*time.Minute + 21*time.Second) // the backup's time, and that of the handover
	want[backupNTFY], want[backupMail] = 1, 1
	rang.until(t, "the other one pages when it is off", want)
}

// A device without a pager has the pages of the others in its log, and no timers that
// nothing would ever end.
func TestDeviceWithoutPagerKeepsNoTimers(t *testing.T) {
	p := newAcutePair(t, nil)
	second := p.to.Sibling()
	second.Start()
	giveRota(t, p.to)
	rang := &phones{}
	second.Equip(rang)
	eventually(t, "the rota is on both", func() bool { _, err := second.Node.Roster(testContext(t)); return err == nil })
	sealsTo(t, p.from, p.to.Desk, 2)
	sent := p.report(t)
	eventually(t, "it is there", func() bool { return inbox(t, second, sent.Hash) != nil })
	p.Pass(21 * time.Second) // for the first device, which pages nobody
	rang.until(t, "who is on call", map[string]int{firstNTFY: 1, firstMail: 1})
	eventually(t, "the other device has it in its log", func() bool {
		log, err := p.to.Node.PageLog(testContext(t), 10)
		return err == nil && len(log) == 2
	})
	for m, want := range map[*schakeltest.Member]int{p.to: 0, second: 1} {
		err := m.Store().View(testContext(t), func(tx *store.Tx) error {
			ws, err := tx.Watches()
			if len(ws) != want {
				t.Errorf("%d timers, want %d", len(ws), want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// Acknowledged, and then nothing: the knooppunt is called before its hour is over.
func TestAcknowledgedThenSilent(t *testing.T) {
	chain := schakeltest.New(t)
	buza, knooppunt := chain.Join("buza/consulair", identity.RoleBuza), chain.Join("knooppunt/piket", identity.RoleKnooppunt)
	officer := knooppunt.AddPerson("K. Nooppunt")
	rang := staff(t, knooppunt)
	buza.Start()
	knooppunt.Start()
	draft := schakel.Draft{Class: "achterlatingssignaal", Urgency: message.Acute, To: []identity.DeskID{knooppunt.Desk}, Body: example(t, "achterlatingssignaal")}
	var sent schakel.Sent
	eventually(t, "it is sent", func() bool {
		var err error
		sent, err = buza.Node.Send(testContext(t), draft)
		return err == nil
	})
	want := map[string]int{firstNTFY: 1, firstMail: 1}
	rang.until(t, "who is on call", want)
	if _, err := knooppunt.Node.Acknowledge(testContext(t), sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	chain.Pass(44 * time.Minute)
	settle(t, knooppunt)
	rang.until(t, "nobody while there is time", want)
	chain.Pass(2 * time.Minute)
	want = map[string]int{firstNTFY: 2, firstMail: 2}
	rang.until(t, "fourteen minutes before the hour is over", want)
	log, err := knooppunt.Node.PageLog(testContext(t), 1)
	if err != nil || log[0].Why != "owed" || !strings.HasPrefix(log[0].Subject, sent.Hash+" ") || log[0].Waiting != 2 { // an answer, and the police
		t.Errorf("the log says %+v, %v", log, err)
	}
}
