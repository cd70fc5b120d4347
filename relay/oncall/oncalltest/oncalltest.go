// Package oncalltest holds the suite that every journal of timers passes, and a
// journal in memory for simulations.
//
//	oncalltest.Run(t, oncalltest.Config{Open: func() (oncall.Journal, func() error, error) { … }})
//
// Import it from tests only.
package oncalltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/oncall"
	"schakel/relay/queue"
	"schakel/relay/wire"
)

// Config says how to open a journal.
type Config struct {
	// Open opens the same journal again, after the one before was closed where Alone.
	Open func() (j oncall.Journal, closed func() error, err error)
	// Wait makes an envelope wait for a person, where the journal looks. Attend has
	// one shown its token. Nil: the journal does not know.
	Wait   func(ref queue.Ref) error
	Attend func(ref queue.Ref) error
	// Alone says that one process has the journal at a time.
	Alone bool
}

type world struct {
	*testing.T
	config Config
	j      oncall.Journal
	close  func() error
	wall   time.Time
}

// Run runs the suite. Each part begins with a journal of its own: Config is asked for
// each.
func Run(t *testing.T, config func(t *testing.T) Config) {
	for _, part := range []struct {
		name  string
		check func(w *world)
	}{
		{"rows", checkRows}, {"terms", checkTerms}, {"time", checkTime}, {"nodes", checkNodes},
		{"attended", checkAttended}, {"plans", checkPlans}, {"log", checkLog}, {"at once", checkTogether},
	} {
		t.Run(part.name, func(t *testing.T) {
			w := &world{T: t, config: config(t), wall: time.Now().Truncate(time.Millisecond)}
			w.open()
			t.Cleanup(func() { w.must(w.close()) })
			part.check(w)
		})
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) open() {
	w.Helper()
	var err error
	w.j, w.close, err = w.config.Open()
	w.must(err)
}

// again closes the journal and opens it.
func (w *world) again() {
	w.Helper()
	w.must(w.close())
	w.open()
}

// ref names an envelope that waits.
func (w *world) ref(n byte) queue.Ref {
	w.Helper()
	r := queue.Ref{Desk: "pol-mn/zeden", ID: envelope.ID{1: n, 15: 9}}
	if w.config.Wait != nil {
		w.must(w.config.Wait(r))
	}
	return r
}

func (w *world) hold(node string, steady time.Time, span time.Duration) oncall.Lease {
	w.Helper()
	l, err := w.j.Hold(w.Context(), oncall.Bid{Node: node, Span: span, Steady: steady, Wall: w.wall})
	w.must(err)
	return l
}

func (w *world) write(term uint64, changes ...oncall.Change) []oncall.Outcome {
	w.Helper()
	outcomes, err := w.j.Write(w.Context(), term, changes)
	w.must(err)
	if len(outcomes) != len(changes) {
		w.Fatalf("%d outcomes of %d changes", len(outcomes), len(changes))
	}
	return outcomes
}

func (w *world) rows() map[queue.Ref]string {
	w.Helper()
	all := make(map[queue.Ref]string)
	w.must(w.j.Rows(w.Context(), func(r queue.Ref, b []byte) { all[r] = string(b) }))
	return all
}

func row(n byte) []byte { return bytes.Repeat([]byte{n}, 30) }

// checkRows: a row is replaced only by who knows it, is durable, and the same again
// is fine.
func checkRows(w *world) {
	a, b := w.ref(1), w.ref(2)
	term := w.hold("a", time.Time{}, time.Minute).Term
	for range 2 { // the same again
		for _, o := range w.write(term, oncall.Change{Ref: a, After: row(1)}, oncall.Change{Ref: b, After: row(2)}) {
			if o.Err != nil {
				w.Fatal(o.Err)
			}
		}
	}
	stale := w.write(term, oncall.Change{Ref: a, After: row(3)}, oncall.Change{Ref: b, Before: row(9)})
	for i, want := range [][]byte{row(1), row(2)} {
		if !errors.Is(stale[i].Err, oncall.ErrStale) || !bytes.Equal(stale[i].Now, want) {
			w.Errorf("stale %d: %v, %x", i, stale[i].Err, stale[i].Now)
		}
	}
	w.again()
	if got := w.rows(); len(got) != 2 || got[a] != string(row(1)) || got[b] != string(row(2)) {
		w.Errorf("after opening again: %q", got)
	}
	w.write(term, oncall.Change{Ref: a, Before: row(1), After: row(4)}, oncall.Change{Ref: b, Before: row(2)})
	if got := w.rows(); len(got) != 1 || got[a] != string(row(4)) {
		w.Errorf("after a change and a deletion: %q", got)
	}
	if _, err := w.j.Write(w.Context(), term, make([]oncall.Change, oncall.MaxChanges+1)); !errors.Is(err, queue.ErrInvalid) {
		w.Errorf("a write without bounds: %v", err)
	}
}

// checkTerms: a holder that comes after another has a higher term, and who has a
// lower one writes nothing.
func checkTerms(w *world) {
	a := w.ref(1)
	first := w.hold("a", time.Time{}, time.Minute)
	if !first.Held || first.Term == 0 || first.Key == [32]byte{} {
		w.Fatalf("the first: %+v", first)
	}
	same := w.hold("a", first.Steady, time.Minute)
	if !same.Held || same.Term != first.Term || same.Key != first.Key {
		w.Errorf("it goes on: %+v", same)
	}
	if l := w.hold("a", first.Steady, 0); l.Held {
		w.Error("it gave the timers up and has them")
	}
	w.again()
	second := w.hold("b", time.Time{}, time.Minute)
	if !second.Held || second.Term <= first.Term || second.Key != first.Key {
		w.Fatalf("the next: %+v after %+v", second, first)
	}
	w.write(second.Term, oncall.Change{Ref: a, After: row(1)})
	if _, err := w.j.Write(w.Context(), first.Term, []oncall.Change{{Ref: a, Before: row(1), After: row(2)}}); !errors.Is(err, oncall.ErrLost) {
		w.Errorf("the former holder writes: %v", err)
	}
	if got := w.rows()[a]; got != string(row(1)) {
		w.Errorf("the former holder changed the row to %x", got)
	}
	if _, err := w.j.Arrived(w.Context(), first.Term); err != nil && !errors.Is(err, oncall.ErrLost) {
		w.Errorf("the former holder asks what came: %v", err)
	}
}

// checkTime: the steady time never goes back, and over a restart counts on by what
// has passed, which is nothing when the clock was set back.
func checkTime(w *world) {
	began := w.hold("a", time.Time{}, time.Minute).Steady
	far := began.Add(100 * time.Hour)
	w.hold("a", far, time.Minute)
	if l := w.hold("a", far.Add(time.Second), 0); l.Held {
		w.Error("gave up and holds")
	}
	w.again()
	if w.config.Alone {
		w.wall = w.wall.Add(-24 * time.Hour)
	}
	next := w.hold("b", time.Time{}, time.Minute).Steady
	if next.Before(far.Add(time.Second)) || next.After(far.Add(time.Minute)) {
		w.Errorf("goes on at %v after %v", next, far)
	}
	if !w.config.Alone {
		return
	}
	w.hold("b", next, 0)
	w.again()
	w.wall = w.wall.Add(2 * time.Hour)
	if got := w.hold("c", time.Time{}, time.Minute).Steady; !got.Equal(next.Add(2 * time.Hour)) {
		w.Errorf("two hours later: %v after %v", got, next)
	}
}

// checkNodes: while one holds, others do not; when it is silent, one of them does,
// and goes on where it was.
func checkNodes(w *world) {
	if w.config.Alone {
		w.Skip("one process has this journal")
	}
	const span = 4 * time.Second // or a busy machine lets go of them in between
	a := w.hold("a", time.Time{}, span)
	b := w.hold("b", time.Time{}, span)
	if !a.Held || b.Held || b.Term != a.Term {
		w.Fatalf("a %+v, b %+v", a, b)
	}
	late := time.After(time.Minute)
	for steady := b.Steady; !b.Held; {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-late:
			w.Fatal("nobody takes over")
		}
		steady = steady.Add(50 * time.Millisecond)
		b = w.hold("b", steady, span)
	}
	if b.Term != a.Term+1 || b.Steady.Before(a.Steady) || b.Steady.After(a.Steady.Add(time.Minute)) {
		w.Errorf("taken over: %+v after %+v", b, a)
	}
	if again := w.hold("a", a.Steady, span); again.Held {
		w.Error("both hold")
	}
	w.hold("a", a.Steady, 0) // a former holder that ends takes them from nobody
	if l := w.hold("b", b.Steady, span); !l.Held || l.Term != b.Term {
		w.Errorf("given up by who has them not: %+v after %+v", l, b)
	}
	w.hold("b", b.Steady, 0)
	if next := w.hold("a", a.Steady, span); !next.Held || next.Term != b.Term+1 {
		w.Errorf("after it was given up: %+v", next)
	}
}

// checkAttended: nothing is begun for what was attended, and it does not arrive.
func checkAttended(w *world) {
	if w.config.Attend == nil {
		w.Skip("this journal does not know")
	}
	a, b := w.ref(1), w.ref(2)
	term := w.hold("a", time.Time{}, time.Minute).Term
	w.must(w.config.Attend(a))
	list, err := w.j.Arrived(w.Context(), term)
	w.must(err)
	if len(list) != 1 || list[0].Ref != b || list[0].Tier == 0 || list[0].Sealer == (identity.DeviceID{}) {
		w.Errorf("arrived: %+v", list)
	}
	if list, err = w.j.Arrived(w.Context(), term); err != nil || len(list) != 0 {
		w.Errorf("arrived twice: %+v, %v", list, err)
	}
	w.write(term, oncall.Change{Ref: b, After: row(2)})
	w.must(w.config.Attend(b))
	got := w.write(term, oncall.Change{Ref: a, After: row(1)}, oncall.Change{Ref: b, Before: row(2), After: row(3)})
	if !errors.Is(got[0].Err, oncall.ErrGone) || !errors.Is(got[1].Err, oncall.ErrGone) {
		w.Errorf("begun after the token: %v, %v", got[0].Err, got[1].Err)
	}
	if rows := w.rows(); len(rows) != 0 {
		w.Errorf("rows of what was attended: %q", rows)
	}
}

func checkPlans(w *world) {
	const desk = "pol-mn/zeden"
	publish := func(serial uint64, plan string) error {
		return w.j.Publish(w.Context(), desk, serial, []byte(plan))
	}
	if p, err := w.j.Plan(w.Context(), desk); err != nil || len(p) != 0 {
		w.Errorf("a plan of nobody: %q, %v", p, err)
	}
	w.must(publish(7, "seven"))
	w.must(publish(7, "seven"))
	for serial, plan := range map[uint64]string{7: "other", 6: "six", 0: ""} {
		if err := publish(serial, plan); !errors.Is(err, oncall.ErrSerial) {
			w.Errorf("serial %d: %v", serial, err)
		}
	}
	w.again()
	long := string(bytes.Repeat([]byte{0xff}, wire.MaxPlan))
	if p, err := w.j.Plan(w.Context(), desk); err != nil || string(p) != "seven" {
		w.Errorf("after opening again: %q, %v", p, err)
	}
	w.must(publish(1<<40, long))
	if p, err := w.j.Plan(w.Context(), desk); err != nil || string(p) != long {
		w.Errorf("a long plan: %d bytes, %v", len(p), err)
	}
	if p, err := w.j.Plan(w.Context(), "pol-mn/ander"); err != nil || len(p) != 0 {
		w.Errorf("the plan of another desk: %q, %v", p, err)
	}
	w.must(w.j.Publish(w.Context(), "pol-mn/ander", 3, []byte("other")))
	for _, want := range []bool{true, false} { // removing what is not there is fine
		if had, err := w.j.Remove(w.Context(), desk); err != nil || had != want {
			w.Errorf("removed: %v, want %v; %v", had, want, err)
		}
	}
	w.again()
	if p, err := w.j.Plan(w.Context(), desk); err != nil || len(p) != 0 {
		w.Errorf("after it was removed: %q, %v", p, err)
	}
	if p, err := w.j.Plan(w.Context(), "pol-mn/ander"); err != nil || string(p) != "other" {
		w.Errorf("another desk, whose plan nobody removed: %q, %v", p, err)
	}
	w.must(publish(1, "one"))
	if p, err := w.j.Plan(w.Context(), desk); err != nil || string(p) != "one" {
		w.Errorf("the first after that: %q, %v", p, err)
	}
}

func checkLog(w *world) {
	const desk = "pol-mn/zeden"
	ctx := context.Background()
	page := func(i int) wire.Paged {
		return wire.Paged{Reference: fmt.Sprint(i), Contact: "piket-1", Channel: "ntfy", Outcome: "sent", At: uint64(i), Level: wire.Everyone}
	}
	for i := range 7 {
		w.must(w.j.Log(ctx, desk, []wire.Paged{page(2 * i), page(2*i + 1)}))
	}
	w.again()
	got, err := w.j.Logged(ctx, desk, 3, 5)
	w.must(err)
	if len(got) != 5 {
		w.Fatalf("%d rows", len(got))
	}
	for i, p := range got {
		want := page(3 + i)
		want.Number = uint64(4 + i)
		if p != want {
			w.Errorf("%+v, want %+v", p, want)
		}
	}
	var many []wire.Paged
	for i := range oncall.LogRows {
		many = append(many, page(i))
	}
	w.must(w.j.Log(ctx, desk, many))
	got, err = w.j.Logged(ctx, desk, 0, 2*oncall.LogRows)
	if w.must(err); len(got) != oncall.LogRows || got[0].Number != 15 {
		w.Errorf("%d rows, from %d", len(got), got[0].Number)
	}
	if got, err := w.j.Logged(ctx, "pol-mn/ander", 0, 10); err != nil || len(got) != 0 {
		w.Errorf("the log of another desk: %v, %v", got, err)
	}
}

// checkTogether: of many who begin the same rung one does.
func checkTogether(w *world) {
	a := w.ref(1)
	term := w.hold("a", time.Time{}, time.Minute).Term
	var all sync.WaitGroup
	var mu sync.Mutex
	begun := 0
	for n := range byte(16) {
		all.Go(func() {
			outcomes, err := w.j.Write(w.Context(), term, []oncall.Change{{Ref: a, After: row(n + 1)}})
			mu.Lock()
			defer mu.Unlock()
			if err == nil && outcomes[0].Err == nil {
				begun++
			}
		})
	}
	all.Wait()
	if begun != 1 {
		w.Errorf("%d began the same rung", begun)
	}
}
