package web_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// Faults of a desk, for the controls: a walk that passes over one is worth nothing.
const (
	faultless     = iota
	ackIsLost     // says that a message is acknowledged, and it is not
	draftIsCut    // keeps less than was typed
	listIsShort   // leaves the last message out of a list
	stateIsWrong  // shows a message as read that was acknowledged
	lockForgets   // forgets what is being written when the desk is locked
	lockStaysOpen // says that it is locked, and is not
	sentTwice     // sends a message twice
)

// seeded is a node, and with pages what stands before it, that can be given a fault.
type seeded struct {
	desk.Node
	fault atomic.Int32
}

func (s *seeded) has(fault int32) bool { return s.fault.Load() == fault }

func (s *seeded) Acknowledge(ctx context.Context, ref string, a schakel.Acknowledgement) (schakel.Sent, error) {
	if s.has(ackIsLost) {
		return schakel.Sent{}, nil
	}
	return s.Node.Acknowledge(ctx, ref, a)
}

func (s *seeded) SaveDraft(ctx context.Context, id, version string, d schakel.Draft, by schakel.By) (schakel.SavedDraft, error) {
	if s.has(draftIsCut) {
		d.Body = []byte(strings.Replace(string(d.Body), "tweede regel", "tweede", 1))
	}
	return s.Node.SaveDraft(ctx, id, version, d, by)
}

func (s *seeded) List(ctx context.Context, f schakel.Filter) ([]schakel.Summary, error) {
	all, err := s.Node.List(ctx, f)
	if s.has(listIsShort) && len(all) > 0 {
		all = all[:len(all)-1]
	}
	for i := range all {
		for j, r := range all[i].Recipients {
			if s.has(stateIsWrong) && r.State == schakel.StateAcknowledged {
				all[i].Recipients[j].State = schakel.StateOpened
			}
		}
	}
	return all, err
}

func (s *seeded) Send(ctx context.Context, d schakel.Draft) (schakel.Sent, error) {
	sent, err := s.Node.Send(ctx, d)
	if s.has(sentTwice) && err == nil {
		d.Saved = nil
		_, err = s.Node.Send(ctx, d)
	}
	return sent, err
}

// pages puts faults before the pages of a desk.
func (s *seeded) pages(site http.Handler, door desk.Entrance, kept *sheets.Desk) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		locks := r.Method == http.MethodPost && r.URL.Path == "/lock"
		if locks && s.has(lockStaysOpen) {
			http.Redirect(w, r, "/inbox", http.StatusSeeOther)
			return
		}
		if locks && s.has(lockForgets) {
			users, _ := door.Users(r.Context())
			for _, user := range users {
				mine, _ := kept.List(r.Context(), user.ID)
				for _, sheet := range mine {
					_ = kept.Drop(r.Context(), user.ID, sheet.ID)
				}
			}
		}
		site.ServeHTTP(w, r)
	})
}

// TestWalksNotice: every model that is wrong about one thing disagrees with the pages on a
// walk that does all there is to do, and every desk with a fault disagrees with the model.
func TestWalksNotice(t *testing.T) {
	w := newWalk(t, 1, beliefs()...)
	found := map[string]string{}
	look := func() {
		t.Helper()
		for desk, pages := range w.settle(true) {
			for _, m := range w.models[1:] {
				if d := m.differs(desk, pages, true); d != "" && found[m.belief] == "" {
					found[m.belief] = d
				}
			}
		}
	}
	w.walkAll(look)
	for _, belief := range beliefs() {
		if found[belief] == "" {
			t.Errorf("nobody notices that %s is not so", belief)
		}
		t.Logf("%s: %.150s", belief, found[belief])
	}
	w.models = w.models[:1]
	w.faults()
}

// walkAll does everything once, and looks after each thing.
func (w *walk) walkAll(look func()) {
	w.t.Helper()
	const form = "/compose/" + walkClass
	begin := func() string {
		w.write(0, form)
		return w.places[0].At
	}
	shared := func() string { return slices.Collect(maps.Keys(w.truth.desks[0].drafts))[0] }
	var kept string
	for _, step := range []func(){
		func() { w.signIn(0); w.signIn(1) },
		func() { w.send(0, begin(), false) },
		func() { w.send(0, begin(), false) },
		func() { w.send(0, begin(), false) },
		func() { w.read(1, w.truth.sent[0].path) },
		func() { w.acknowledge(1, w.truth.sent[0].path, true) },
		func() { w.acknowledge(1, w.truth.sent[0].path, false) },
		func() { w.write(0, begin()) },
		func() { w.share(0, w.places[0].At) },
		func() { w.takeUp(0, shared()) },
		func() { w.send(0, w.places[0].At, false) },
		func() { kept = begin(); begin() },
		func() { w.lock(0) },
		func() { w.writeOutside(0, kept) },
		func() { w.unlock(0, true); w.unlock(0, false) },
		func() { w.share(0, begin()) },
		func() { w.crash(0) },
		func() { w.writeOutside(0, kept); w.signIn(0) },
		func() { w.connect(false) },
		func() { w.send(0, kept, false) },
		func() { w.connect(true) },
	} {
		step()
		look()
	}
}

// faults gives the desks one fault after another.
func (w *walk) faults() {
	w.t.Helper()
	const form = "/compose/" + walkClass
	waits := w.truth.waiting(1)[0].path
	var sheet string
	for _, f := range []struct {
		fault int32
		desk  int
		about string
		does  func()
		mends func()
	}{
		{ackIsLost, 1, "case page of ", func() { w.signs(1, waits) }, func() { w.signs(1, waits) }},
		{listIsShort, 1, "all", func() {}, func() {}},
		{stateIsWrong, 0, "case page of ", func() {}, func() {}},
		{draftIsCut, 0, "text of /drafts/", func() { w.share(0, sheet) }, func() { w.dropDrafts(0) }},
		{lockForgets, 0, "mine", func() { w.lock(0); w.unlock(0, false) }, func() { w.tell(func(m *model) { clear(m.desks[0].sheets) }) }},
		{lockStaysOpen, 0, "all", func() { w.lock(0) }, func() { w.tell(func(m *model) { m.comesIn(0) }) }},
		{sentTwice, 0, "case page of ", func() { w.send(0, sheet, false) }, func() {}},
	} {
		if f.fault == draftIsCut || f.fault == sentTwice {
			w.write(0, form)
			sheet = w.places[0].At
		}
		w.settle(true)
		w.places[f.desk].seeded.fault.Store(f.fault)
		f.does()
		got := w.truth.differs(f.desk, w.places[f.desk].looked(true), true)
		if !strings.Contains(got, ", "+f.about) {
			w.t.Errorf("a desk with fault %d is not noticed by %q: %q", f.fault, f.about, got)
		}
		w.places[f.desk].seeded.fault.Store(faultless)
		f.mends()
	}
}

func (w *walk) dropDrafts(desk int) {
	w.t.Helper()
	for _, path := range slices.Collect(maps.Keys(w.truth.desks[desk].drafts)) {
		w.drop(desk, path)
	}
}

// signs acknowledges, whatever comes of it.
func (w *walk) signs(desk int, path string) {
	w.t.Helper()
	p := w.places[desk]
	f := p.Open(path+"/acknowledgement").Form(w.t, path+"/acknowledgement")
	f.Set("pin", schakeltest.PIN)
	p.Press(f, "")
	w.tell(func(m *model) { m.reads(path); m.takes(desk, path) })
}
