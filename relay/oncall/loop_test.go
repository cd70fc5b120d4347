package oncall_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/ladder"
	"schakel/relay/oncall"
	"schakel/relay/oncall/oncalltest"
	"schakel/relay/page"
	"schakel/relay/queue"
	"schakel/relay/rota"
)

const (
	police  = identity.DeskID("pol-mn/zeden")
	shelter = identity.DeskID("opvang/nacht") // has no plan
)

// office is a loop on a journal in memory, and who was called.
type office struct {
	*oncalltest.Memory
	t    *testing.T
	loop *oncall.Loop
	ends func() error

	mu        sync.Mutex // guards what follows
	calls     []string   // targets
	waiting   []int      // what each page said
	told      []queue.Ref
	waits     []queue.Unattended
	looks     int
	freeze    chan struct{} // not nil: the journal hangs until it is closed
	away      bool
	plansAway bool
	partAway  bool // what is in the other part arrives, and nobody can look at all
	slow      bool // the next rows are written, and answered after the lease
	ringing   bool // a page takes eight seconds
	taken     bool // another node has the timers, and keeps them
	registry  *prometheus.Registry
	elsewhere queue.Ref // attended at another node: only the journal knows
	dead      []string  // targets that take no page
}

func (o *office) For(p page.Point) (page.Notifier, error) { return bell{o, p.Target}, nil }

type bell struct {
	o      *office
	target string
}

func (b bell) Notify(_ context.Context, p page.Page) error {
	b.o.mu.Lock()
	if b.o.ringing {
		defer func() { <-time.After(8 * time.Second) }()
	}
	defer b.o.mu.Unlock()
	b.o.calls, b.o.waiting = append(b.o.calls, b.target), append(b.o.waiting, p.Waiting)
	if slices.Contains(b.o.dead, b.target) {
		return page.ErrUnreachable
	}
	return nil
}

func (o *office) Waiting(_ context.Context, after queue.Ref, limit int) ([]queue.Unattended, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.looks++
	i := slices.IndexFunc(o.waits, func(u queue.Unattended) bool { return u.Ref == after }) + 1
	return o.waits[i:min(len(o.waits), i+limit)], nil
}

func (o *office) Hold(ctx context.Context, b oncall.Bid) (oncall.Lease, error) {
	o.mu.Lock()
	freeze, away, taken := o.freeze, o.away, o.taken
	o.mu.Unlock()
	if freeze != nil {
		<-freeze
	}
	if away {
		return oncall.Lease{}, queue.ErrUnavailable
	}
	if taken {
		o.keep()
	}
	return o.Memory.Hold(ctx, b)
}

// open starts a loop in the bubble of a test.
func open(t *testing.T) *office {
	o := &office{Memory: oncalltest.NewMemory(time.Now), t: t, registry: prometheus.NewRegistry()}
	o.Memory.Waits = func(r queue.Ref) bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return r != o.elsewhere
	}
	now := time.Now().Truncate(time.Second)
	p := rota.Plan{Desk: police, Serial: 3, From: now.Add(-time.Hour), Until: now.Add(14 * 24 * time.Hour), Fallback: []rota.Contact{"third"}}
	for level, c := range []rota.Contact{"first", "second"} {
		p.Shifts = append(p.Shifts, rota.Shift{From: p.From, To: p.Until, Level: level, Contact: c})
		p.Points = append(p.Points, rota.Point{Contact: c, Channel: page.NTFY, Target: "https://" + string(c) + ".example/x"})
	}
	raw, err := p.Encode()
	if err == nil {
		err = o.Publish(t.Context(), police, p.Serial, raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	o.loop, err = oncall.New(oncall.Config{
		Journal: o, Waiting: o, Points: o, Metrics: oncall.NewMetrics(o.registry), Operator: []page.Point{{Channel: page.NTFY, Target: "operator"}},
		Tell: func(_ context.Context, u queue.Unattended) error {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.told = append(o.told, u.Ref)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.loop.Run(ctx) }()
	o.ends = func() error { cancel(); return <-ended }
	<-time.After(2 * time.Second) // it has the timers
	return o
}

// put lets an envelope wait.
func (o *office) put(n byte, desk identity.DeskID, tier envelope.Tier) queue.Ref {
	u := queue.Unattended{Ref: queue.Ref{Desk: desk, ID: envelope.ID{n, 1}}, Tier: tier, Created: uint64(time.Now().Unix()), SealerDesk: "vt20/crisis"}
	o.mu.Lock()
	o.waits = append(o.waits, u)
	o.mu.Unlock()
	o.loop.Put(u)
	return u.Ref
}

// attend has an envelope attended.
func (o *office) attend(ref queue.Ref) {
	o.mu.Lock()
	o.waits = slices.DeleteFunc(o.waits, func(u queue.Unattended) bool { return u.Ref == ref })
	o.mu.Unlock()
	o.loop.Done(ref)
}

// after says who was called in the time to come.
func (o *office) after(d time.Duration) []string {
	<-time.After(d)
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	calls := o.calls
	o.calls = nil
	return calls
}

func (o *office) expect(what string, d time.Duration, want ...string) {
	o.t.Helper()
	got := o.after(d)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		o.t.Errorf("%s: called %q, want %q", what, got, want)
	}
}

// metric is one of the loop's numbers.
func (o *office) metric(name string) float64 {
	o.t.Helper()
	families, err := o.registry.Gather()
	i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "schakel_relay_oncall_"+name })
	if err != nil || i < 0 {
		o.t.Fatalf("no metric %s: %v", name, err)
	}
	m := families[i].GetMetric()[0]
	return m.GetGauge().GetValue() + m.GetCounter().GetValue()
}

// damage has the store lose what it was given of a timer.
func (o *office) damage() {
	o.t.Helper()
	var changes []oncall.Change
	err := o.Rows(o.t.Context(), func(r queue.Ref, row []byte) {
		bad := slices.Clone(row)
		bad[9] ^= 4
		changes = append(changes, oncall.Change{Ref: r, Before: row, After: bad})
	})
	if err == nil {
		_, err = o.Memory.Write(o.t.Context(), 1<<62, changes)
	}
	if err != nil || len(changes) == 0 {
		o.t.Fatal(len(changes), err)
	}
}

func (o *office) end() {
	o.t.Helper()
	if err := o.ends(); err != nil {
		o.t.Error(err)
	}
}

const (
	first  = "https://first.example/x"
	second = "https://second.example/x"
)

func TestAcuteClimbs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		ref := o.put(1, police, envelope.TierAcute)
		o.expect("at once", time.Second, first)
		o.expect("nobody more", 4*time.Minute)
		o.expect("the backup", time.Minute, second)
		o.expect("nobody more", 9*time.Minute)
		o.expect("the sender", time.Minute)
		if len(o.told) != 1 || o.told[0] != ref {
			t.Errorf("told %v", o.told)
		}
		o.expect("everyone who has a point", 5*time.Minute, first, second)
		o.attend(ref)
		o.expect("attended", time.Hour)
		o.end()
	})
}

// TestPlanTakenAway: what waits for a desk whose plan is gone climbs on to the operator
// at once, and its sender is told.
func TestPlanTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		ref := o.put(1, police, envelope.TierAcute)
		o.expect("who is on call", 10*time.Second, first)
		if had, err := o.loop.Remove(t.Context(), police); err != nil || !had {
			t.Fatal(had, err)
		}
		o.expect("the operator", 5*time.Second, "operator")
		if len(o.told) != 1 || o.told[0] != ref {
			t.Errorf("told %v", o.told)
		}
		o.put(2, police, envelope.TierAcute)
		o.expect("the operator for what comes after", 10*time.Second, "operator")
		o.end()
	})
}

// TestDamagedRow: a timer that comes back damaged is still climbed by who knows it, and
// counted.
func TestDamagedRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.put(1, police, envelope.TierAcute)
		o.expect("at once", 10*time.Second, first)
		o.damage()
		o.expect("the backup all the same, and nobody again", 5*time.Minute, second)
		if n := o.metric("damaged_total"); n != 1 {
			t.Errorf("%v damaged", n)
		}
		o.end()
	})
}

// TestManyAtOnce: one page at once, one for all others when the gap is over, and each
// envelope has climbed.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.put(0, police, envelope.TierAcute)
		o.expect("the first", time.Second, first)
		for n := range byte(50) {
			o.put(n+1, police, envelope.TierAcute)
		}
		o.expect("all others, within the gap", oncall.Gap(envelope.TierAcute), first)
		o.expect("nobody more", time.Minute)
		pages, _, err := o.loop.Pages(t.Context(), police, 0)
		if err != nil || len(pages) != 2 || pages[1].Waiting != 50 {
			t.Errorf("the log: %+v, %v", pages, err)
		}
		if !slices.Equal(o.waiting, []int{1, 50}) {
			t.Errorf("the pages say that %v wait", o.waiting)
		}
		o.end()
	})
}

// TestHeldBackAndAttended: what is attended while its page is held back calls nobody.
func TestHeldBackAndAttended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.put(0, police, envelope.TierAcute)
		o.expect("the first", time.Second, first)
		ref := o.put(1, police, envelope.TierAcute)
		o.expect("held back", time.Second)
		o.mu.Lock()
		o.elsewhere = ref
		o.mu.Unlock()
		o.expect("nobody for it", time.Minute)
		o.end()
	})
}

// TestNoPlan: the operator is called, and the sender told at once.
func TestNoPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.put(1, shelter, envelope.TierAcute)
		o.expect("no plan", time.Second, "operator")
		if len(o.told) != 1 {
			t.Errorf("told %v", o.told)
		}
		o.end()
	})
}

// TestNobodyReached: the next is called at once, then everyone, and then the operator
// as well, again and again.
func TestNobodyReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.dead = []string{first, second}
		o.put(1, police, envelope.TierAcute)
		o.expect("one after the other", 5*time.Second, first, second)
		o.expect("everyone", ladder.Retry, first, second)
		if len(o.told) != 1 {
			t.Errorf("told %v", o.told)
		}
		o.expect("and the operator", ladder.Retry, first, second, "operator")
		o.end()
	})
}

// TestOneLook: with much that waits the loop looks once, and never every second.
func TestOneLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.mu.Lock()
		o.waits = nil
		for n := range 50_000 {
			o.waits = append(o.waits, queue.Unattended{
				Ref: queue.Ref{Desk: police, ID: envelope.ID{byte(n), byte(n >> 8), byte(n >> 16), 1}}, Tier: envelope.TierRoutine, Created: uint64(time.Now().Unix()),
			})
		}
		o.looks = 0
		o.mu.Unlock()
		<-time.After(11 * time.Minute)
		synctest.Wait()
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.looks < 14 || o.looks > 28 { // thirteen parts and the end, once or twice
			t.Errorf("looked %d times in eleven minutes", o.looks)
		}
		o.mu.Unlock()
		o.end()
		o.mu.Lock()
	})
}

// TestDeadMan freezes the loop: the operator is called after 30 s, and the process has
// to end after 60.
func TestDeadMan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		freeze := make(chan struct{})
		o.mu.Lock()
		o.freeze = freeze
		o.mu.Unlock()
		o.expect("not yet", 28*time.Second)
		if o.loop.Silent() {
			t.Error("silent too early")
		}
		o.expect("the operator", 5*time.Second, "operator")
		if !o.loop.Silent() {
			t.Error("not silent")
		}
		o.expect("once", 20*time.Second)
		<-time.After(20 * time.Second)
		synctest.Wait()
		err := o.ends()
		if !errors.Is(err, oncall.ErrSilent) {
			t.Errorf("ended with %v", err)
		}
		close(freeze)
	})
}

// TestJournalAway: a journal that does not answer is silence too, and its return is the
// end of it.
func TestJournalAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		set := func(away bool) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.away = away
		}
		set(true)
		o.expect("the operator", 40*time.Second, "operator")
		set(false)
		o.expect("it is back", 5*time.Second)
		if o.loop.Silent() {
			t.Error("still silent")
		}
		o.expect("nothing hung", 5*time.Minute)
		o.end()
	})
}

// Plan implements oncall.Journal: a part that is away keeps each question waiting.
func (o *office) Plan(ctx context.Context, desk identity.DeskID) ([]byte, error) {
	o.mu.Lock()
	away := o.plansAway
	o.mu.Unlock()
	if away {
		<-time.After(3 * time.Second)
		return nil, queue.ErrUnavailable
	}
	return o.Memory.Plan(ctx, desk)
}

// TestPlansAway: a hundred desks whose plans cannot be read hold up nobody's page by a
// wait each.
func TestPlansAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.mu.Lock()
		o.plansAway = true
		o.mu.Unlock()
		for n := range byte(100) {
			o.put(n+1, identity.DeskID(fmt.Sprintf("vt%d/crisis", n)), envelope.TierAcute)
		}
		o.expect("the operator, whom desks without plans share", 15*time.Second, "operator")
		o.mu.Lock()
		most := slices.Max(append(o.waiting, 0))
		o.mu.Unlock()
		if most != 100 {
			t.Errorf("called for %d of them", most)
		}
		<-time.After(5 * time.Minute)
		o.end() // nothing hung for so long that the process had to end
	})
}

// Arrived implements oncall.Journal: of two parts one is away.
func (o *office) Arrived(ctx context.Context, term uint64) ([]queue.Unattended, error) {
	list, err := o.Memory.Arrived(ctx, term)
	return list, errors.Join(err, o.part())
}

// Rows implements oncall.Journal.
func (o *office) Rows(ctx context.Context, each func(queue.Ref, []byte)) error {
	return errors.Join(o.Memory.Rows(ctx, each), o.part())
}

func (o *office) part() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.partAway {
		return queue.ErrUnavailable
	}
	return nil
}

// TestArrivedBesideAPartThatIsAway: what came by another node is paged for although the
// journal cannot say what came elsewhere, and is given once only.
func TestArrivedBesideAPartThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.mu.Lock()
		o.partAway = true
		o.mu.Unlock()
		o.Arrive(queue.Unattended{Ref: queue.Ref{Desk: police, ID: envelope.ID{1, 1}}, Tier: envelope.TierAcute, SealerDesk: "vt20/crisis"})
		o.expect("who is on call", 5*time.Second, first)
		o.end()
	})
}

func TestPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		now := time.Now().Truncate(time.Second)
		plan := func(change func(*rota.Plan)) []byte {
			p := rota.Plan{Desk: police, Serial: 4, From: now, Until: now.Add(time.Hour), Fallback: []rota.Contact{"third"}}
			change(&p)
			raw, err := p.Encode()
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		loose := ladder.Ladder{Steps: []ladder.Step{{After: time.Hour}}}
		for what, c := range map[string]struct {
			raw  []byte
			want error
		}{
			"no plan":                    {[]byte("plan"), rota.ErrFormat},
			"another desk's":             {plan(func(p *rota.Plan) { p.Desk = shelter }), oncall.ErrDesk},
			"an old one":                 {plan(func(p *rota.Plan) { p.Serial = 3 }), oncall.ErrSerial},
			"one that blocks all others": {plan(func(p *rota.Plan) { p.Serial = 1<<64 - 1 }), oncall.ErrAhead},
			"one of a month ahead":       {plan(func(p *rota.Plan) { p.Serial = uint64(now.AddDate(0, 1, 0).Unix()) << 32 }), oncall.ErrAhead},
			"a looser one": {plan(func(p *rota.Plan) {
				p.Ladders = []rota.Tightening{{Tier: envelope.TierAcute, Ladder: loose}}
			}), ladder.ErrLooser},
		} {
			if serial, err := o.loop.Publish(t.Context(), police, c.raw); !errors.Is(err, c.want) || serial != 3 {
				t.Errorf("%s: %d, %v", what, serial, err)
			}
		}
		if serial, err := o.loop.Publish(t.Context(), police, plan(func(*rota.Plan) {})); err != nil || serial != 4 {
			t.Errorf("the next: %d, %v", serial, err)
		}
		tonight := uint64(now.Add(10*time.Minute).Unix()) << 32 // by a clock that is fast
		if serial, err := o.loop.Publish(t.Context(), police, plan(func(p *rota.Plan) { p.Serial = tonight })); err != nil || serial != tonight {
			t.Errorf("one of a fast clock: %d, %v", serial, err)
		}
		if err := o.loop.Test(t.Context(), police, "fourth"); !errors.Is(err, oncall.ErrContact) {
			t.Errorf("a test of a stranger: %v", err)
		}
		if err := o.loop.Test(t.Context(), police, "third"); !errors.Is(err, oncall.ErrUnreached) {
			t.Errorf("a test of who has no point: %v", err)
		}
		o.end()
	})
}

// FuzzRow: a row has one encoding, and belongs to one envelope.
func FuzzRow(f *testing.F) {
	ref := queue.Ref{Desk: police, ID: envelope.ID{7}}
	f.Add(oncall.NewRow(ref, 3))
	f.Add([]byte{})
	f.Add(make([]byte, 30))
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := oncall.Row(ref, b)
		if err == nil && !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
		if _, stray := oncall.Row(queue.Ref{Desk: shelter, ID: ref.ID}, b); err == nil && stray == nil {
			t.Error("a row of one envelope is taken for another's")
		}
	})
}

// TestDamagedRows: every flipped bit is noticed.
func TestDamagedRows(t *testing.T) {
	ref := queue.Ref{Desk: police, ID: envelope.ID{7}}
	sound := oncall.NewRow(ref, 3)
	if _, err := oncall.Row(ref, sound); err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(sound) {
		b := bytes.Clone(sound)
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := oncall.Row(ref, b); !errors.Is(err, oncall.ErrRow) {
			t.Errorf("bit %d: %v", bit, err)
		}
	}
}
