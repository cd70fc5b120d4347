package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a store that notes its batches. Each Commit waits for the gate.
type recorder struct {
	queue.Store
	gate    chan error
	batches [][]queue.Op
}

func (s *recorder) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	s.batches = append(s.batches, slices.Clone(ops))
	err := <-s.gate
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	results := make([]queue.Result, len(ops))
	for i, op := range ops {
		if put, ok := op.(*queue.Put); ok {
			results[i].Position = queue.Position(put.Created)
		}
	}
	return results, nil
}

func putAt(n int, tier envelope.Tier) *queue.Put {
	return &queue.Put{Desk: "a/b", Created: uint64(n), Tier: tier, Envelope: make([]byte, 100)}
}

// start runs a committer in the bubble; stop ends it and returns what Run did.
func start(c *queue.Committer) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func TestGathersWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &recorder{gate: make(chan error)}
		var seen []queue.Position
		var rung []identity.DeskID
		c := queue.NewCommitter(store, queue.CommitterConfig{
			BatchOps: 4,
			Committed: func(batch []queue.Entry) {
				for _, e := range batch {
					if e.Owner != "session" {
						t.Errorf("owner %v", e.Owner)
					}
					seen = append(seen, e.Result.Position)
				}
			},
			Ring: func(desk identity.DeskID) { rung = append(rung, desk) },
		})
		stop := start(c)
		for i := range 10 {
			if err := c.Submit("session", putAt(i+1, 0)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for range 4 {
			store.gate <- nil
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		var sizes []int
		for _, b := range store.batches {
			sizes = append(sizes, len(b))
		}
		if !slices.Equal(sizes, []int{1, 4, 4, 1}) {
			t.Errorf("batches of %v, want what gathered while the one before was written", sizes)
		}
		if !slices.IsSorted(seen) || len(seen) != 10 || len(rung) != 4 {
			t.Errorf("announced %v, rung %v", seen, rung)
		}
	})
}

func TestWritesWhatWaitsBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &recorder{gate: make(chan error, 9)}
		announced := 0
		c := queue.NewCommitter(store, queue.CommitterConfig{BatchOps: 2, Committed: func(b []queue.Entry) { announced += len(b) }})
		for i := range 5 {
			if err := c.Submit(nil, putAt(i, 0)); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			store.gate <- nil
		}
		if err := start(c)(); err != nil || announced != 5 {
			t.Errorf("%d of 5 announced, %v", announced, err)
		}
		if err := c.Submit(nil, putAt(1, 0)); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("submit after the end gave %v", err)
		}
	})
}

// insistent is a store during whose every write somebody submits again.
type insistent struct {
	queue.Store
	again   func()
	commits int
}

func (s *insistent) Commit(_ context.Context, ops []queue.Op) ([]queue.Result, error) {
	s.commits++
	s.again()
	return make([]queue.Result, len(ops)), nil
}

// Whoever never stops submitting is refused once Run is to end: the queue is never
// empty by itself.
func TestEndsThoughSomebodyGoesOnSubmitting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const endless = 1000
		ctx, cancel := context.WithCancel(context.Background())
		store := &insistent{}
		c := queue.NewCommitter(store, queue.CommitterConfig{})
		refused := 0
		store.again = func() {
			switch {
			case store.commits == 10:
				cancel()
			case store.commits > endless:
				return
			}
			if errors.Is(c.Submit(nil, putAt(1, 0)), queue.ErrClosed) {
				refused++
			}
		}
		if err := c.Submit(nil, putAt(1, 0)); err != nil {
			t.Fatal(err)
		}
		if err := c.Run(ctx); err != nil || store.commits > 12 || refused == 0 {
			t.Errorf("ended with %v after %d writes, %d refused", err, store.commits, refused)
		}
	})
}

func TestShedsTheLeastUrgentFirst(t *testing.T) {
	c := queue.NewCommitter(&recorder{}, queue.CommitterConfig{QueueOps: 100})
	taken := make(map[envelope.Tier]int)
	for _, tier := range []envelope.Tier{0, 1, 2, 3} {
		for {
			err := c.Submit(nil, putAt(1, tier))
			if errors.Is(err, queue.ErrBusy) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			taken[tier]++
		}
	}
	if fmt.Sprint(taken) != "map[0:70 1:10 2:10 3:8]" {
		t.Errorf("taken per tier: %v", taken)
	}
	ack := &queue.Ack{Desk: "a/b"}
	if err := c.Submit(nil, ack, ack, ack); !errors.Is(err, queue.ErrBusy) {
		t.Errorf("three more in the room for two gave %v", err)
	}
	if err := c.Submit(nil, ack, ack); err != nil {
		t.Errorf("no room for acknowledgements: %v", err)
	}
}

func TestBoundsWaitingBytes(t *testing.T) {
	c := queue.NewCommitter(&recorder{}, queue.CommitterConfig{QueueBytes: 1000})
	for i := range 9 {
		if err := c.Submit(nil, putAt(i, envelope.TierAcute)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Submit(nil, putAt(10, envelope.TierAcute)); !errors.Is(err, queue.ErrBusy) {
		t.Errorf("beyond the bytes gave %v", err)
	}
}

func TestBatchesAreBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &recorder{gate: make(chan error, 9)}
		c := queue.NewCommitter(store, queue.CommitterConfig{BatchBytes: 250})
		for i := range 7 {
			if err := c.Submit(nil, putAt(i, 0)); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			store.gate <- nil
		}
		if err := start(c)(); err != nil || len(store.batches[0]) != 3 || len(store.batches[2]) != 1 {
			t.Errorf("batches %d, %v", len(store.batches), err)
		}
	})
}

// TestIndeterminateEndsRun also with errors that say nothing of themselves, and
// with a store that answers too few.
func TestIndeterminateEndsRun(t *testing.T) {
	for _, cause := range []error{errors.New("disk"), fmt.Errorf("%w: disk", queue.ErrIndeterminate)} {
		synctest.Test(t, func(t *testing.T) {
			store := &recorder{gate: make(chan error)}
			c := queue.NewCommitter(store, queue.CommitterConfig{Committed: func([]queue.Entry) { t.Error("announced") }})
			ended := make(chan error, 1)
			go func() { ended <- c.Run(t.Context()) }()
			answered := make(chan error, 2)
			for range 2 {
				go func() {
					_, err := c.Do(t.Context(), putAt(1, 0))
					answered <- err
				}()
				synctest.Wait()
			}
			store.gate <- cause
			if err := <-ended; !errors.Is(err, queue.ErrIndeterminate) {
				t.Errorf("run ended with %v", err)
			}
			for range 2 { // one was being written, one still waited
				if err := <-answered; !errors.Is(err, queue.ErrIndeterminate) {
					t.Errorf("do gave %v", err)
				}
			}
			if err := c.Submit(nil, putAt(1, 0)); !errors.Is(err, queue.ErrIndeterminate) {
				t.Errorf("submit afterwards gave %v", err)
			}
		})
	}
}

func TestUnavailableRefusesAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &recorder{gate: make(chan error, 2)}
		c := queue.NewCommitter(store, queue.CommitterConfig{})
		stop := start(c)
		store.gate <- fmt.Errorf("%w: statfs", queue.ErrUnavailable)
		store.gate <- nil
		if r, err := c.Do(t.Context(), putAt(1, 0)); err != nil || !errors.Is(r.Err, queue.ErrUnavailable) {
			t.Errorf("gave %+v, %v", r, err)
		}
		if r, err := c.Do(t.Context(), putAt(2, 0)); err != nil || r.Err != nil || r.Position != 2 {
			t.Errorf("the next gave %+v, %v", r, err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestDoStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &recorder{gate: make(chan error)}
		c := queue.NewCommitter(store, queue.CommitterConfig{})
		stop := start(c)
		ctx, cancel := context.WithCancel(t.Context())
		waited := make(chan error, 1)
		go func() {
			_, err := c.Do(ctx, putAt(1, 0))
			waited <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-waited; !errors.Is(err, context.Canceled) {
			t.Errorf("gave %v", err)
		}
		store.gate <- nil
		if err := stop(); err != nil || len(store.batches) != 1 {
			t.Errorf("%d batches, %v", len(store.batches), err)
		}
	})
}

// scripted answers each op with the result it is told.
type scripted struct {
	queue.Store
	results []queue.Result
}

func (s *scripted) Commit(context.Context, []queue.Op) ([]queue.Result, error) { return s.results, nil }

// TestRings wants a bell for each desk that got records, of any kind, and none for
// the others.
func TestRings(t *testing.T) {
	ops := []queue.Op{
		&queue.Put{Desk: "put/new"}, &queue.Put{Desk: "put/again"}, &queue.Put{Desk: "put/refused"},
		&queue.Notice{Desk: "notice/new"}, &queue.Notice{Desk: "notice/dropped"},
		&queue.Quarantine{Desk: "quarantine/from"}, &queue.Expire{}, &queue.Ack{Desk: "ack/none"},
	}
	store := &scripted{results: []queue.Result{
		{Position: 1}, {Position: 1, Duplicate: true}, {Err: queue.ErrConflict}, {Position: 2}, {},
		{Noticed: "quarantine/sealer"},
		{Expired: []queue.Expired{{SealerDesk: "expired/unread"}, {SealerDesk: "expired/read", Delivered: true}, {}}}, {},
	}}
	var rung []string
	c := queue.NewCommitter(store, queue.CommitterConfig{Ring: func(d identity.DeskID) { rung = append(rung, string(d)) }})
	if err := c.Submit(nil, ops...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	slices.Sort(rung)
	if want := []string{"expired/unread", "notice/new", "put/new", "quarantine/sealer"}; !slices.Equal(rung, want) {
		t.Errorf("rung %v, want %v", rung, want)
	}
}

// damagedPage answers every read with one damaged record.
type damagedPage struct{ recorder }

func (s *damagedPage) Read(context.Context, identity.DeskID, queue.Position, queue.Limit) (queue.Page, error) {
	return queue.Page{Damaged: []queue.Damaged{{Position: 5}}, Next: 5}, nil
}

func TestReadQuarantines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &damagedPage{recorder{gate: make(chan error, 1)}}
		c := queue.NewCommitter(store, queue.CommitterConfig{})
		page, err := c.Read(t.Context(), "a/b", 0, queue.Limit{Records: 1, Bytes: 1}, 77)
		if err != nil || len(page.Damaged) != 1 {
			t.Fatalf("page %+v, %v", page, err)
		}
		store.gate <- nil
		if err := start(c)(); err != nil {
			t.Fatal(err)
		}
		want := queue.Quarantine{Desk: "a/b", Position: 5, Now: 77}
		if q, ok := store.batches[0][0].(*queue.Quarantine); !ok || *q != want {
			t.Errorf("submitted %+v, want %+v", store.batches[0][0], want)
		}
	})
}
