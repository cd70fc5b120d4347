package web_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk/web/webtest"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
)

var (
	walks     = flag.Int("walks", 1, "how many random walks over two desks")
	walkSteps = flag.Int("steps", 30, "how many steps each walk has")
	walkSeed  = flag.Uint64("seed", 13, "begin with the walk of this seed")
)

// patience is how long something may take that takes the desks some dozens of milliseconds.
const patience = 90 * time.Second

// What the walks write, and where.
const (
	walkClass = protocol.ClassCallBack
	walkField = "v.aanleiding"
	walkText  = "Noor Élodie \"<b>&amp;"
)

// walk is two desks, the pages of both, what must be so of them, and chance.
type walk struct {
	t      *testing.T
	rand   *rand.Rand
	chain  *schakeltest.Chain
	places [2]*place
	truth  *model
	models []*model // the truth, and where a test asks for them models that are wrong
	texts  int
	done   []string
	wrong  map[int]int // wrong PINs at this lock, by desk
	slips  map[int]int // wrong PINs at forms since the lock was opened, by desk
}

func newWalk(t *testing.T, seed uint64, wrong ...string) *walk {
	t.Helper()
	w := &walk{t: t, rand: rand.New(rand.NewPCG(seed, 7)), chain: schakeltest.New(t), truth: newModel(right), wrong: map[int]int{}, slips: map[int]int{}}
	w.models = []*model{w.truth}
	for _, belief := range wrong {
		w.models = append(w.models, newModel(belief))
	}
	w.places = [2]*place{newPlace(t, w.chain, "vt20/crisis", identity.RoleVeiligThuis), newPlace(t, w.chain, "politie-mn/oc", identity.RolePolitie)}
	for i, p := range w.places {
		w.until("the other desk can be written to", func() bool {
			all, err := p.member.Node.Directory(t.Context())
			return err == nil && slices.ContainsFunc(all, func(d schakel.Desk) bool { return d.ID == w.places[1-i].member.Desk && d.Reachable })
		})
	}
	return w
}

func (w *walk) until(what string, yes func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !yes(); {
		if time.Now().After(end) {
			w.t.Fatalf("%s: does not happen, after %s", what, strings.Join(w.done, ", "))
		}
		<-time.After(20 * time.Millisecond)
	}
}

// tell lets every model take a step.
func (w *walk) tell(step func(*model)) {
	for _, m := range w.models {
		step(m)
	}
}

// want demands an answer of that status, and notes nothing else.
func (w *walk) want(a webtest.Page, status int) {
	w.t.Helper()
	if a.Status != status {
		w.t.Fatalf("%s answers %d, must be %d, after %s\n%.3000s", a.At, a.Status, status, strings.Join(w.done, ", "), a.Body)
	}
}

// text is something that nobody wrote before, with what pages could break on.
func (w *walk) text() string {
	w.texts++
	return fmt.Sprintf("%s %d'\n  tweede regel", walkText, w.texts)
}

// form is the form of what somebody writes, with another text.
func (w *walk) form(desk int, path, text string) webtest.Form {
	w.t.Helper()
	p := w.places[desk]
	f := p.Open(path).Form(w.t, "/compose/"+walkClass)
	for name, values := range example(w.t, walkClass) {
		f.Values[name] = values
	}
	f.Set("urgency", "spoed")
	f.Set("to", string(w.places[1-desk].member.Desk))
	f.Set(walkField, text)
	return f
}

// write begins a message, or goes on with one.
func (w *walk) write(desk int, path string) {
	w.t.Helper()
	text, p := w.text(), w.places[desk]
	a := p.Press(w.form(desk, path, text), "do=keep")
	w.want(a, http.StatusOK)
	w.tell(func(m *model) { m.writes(desk, a.At, text) })
	p.tabs[a.At] = a.Form(w.t, "/compose/"+walkClass)
}

// writeOutside goes on typing in a page that stood open while the session ended or locked.
func (w *walk) writeOutside(desk int, path string) {
	w.t.Helper()
	text, p := w.text(), w.places[desk]
	f := p.tabs[path]
	f.Set(walkField, text)
	to := map[string]string{"locked": "/locked?kept=1", "none": "/sign-in?kept=1"}[w.truth.desks[desk].session]
	a := p.Press(f, "do=keep")
	if a.At != to || strings.Contains(a.Body, walkText) {
		w.t.Fatalf("typing on leads to %s, after %s", a.At, strings.Join(w.done, ", "))
	}
	w.tell(func(m *model) { m.writes(desk, path, text) })
}

// send goes by the check page, first with a wrong PIN or not.
func (w *walk) send(desk int, sheet string, mistyped bool) {
	w.t.Helper()
	p := w.places[desk]
	check := "/compose/" + walkClass + "/check"
	w.want(p.Press(p.Open(sheet).Form(w.t, "/compose/"+walkClass), "do=check"), http.StatusOK)
	if mistyped {
		f := p.Form(w.t, check)
		f.Set("pin", "000000")
		w.slips[desk]++
		w.want(p.Press(f, "do=send"), http.StatusForbidden)
		return
	}
	f := p.Form(w.t, check)
	f.Set("pin", schakeltest.PIN)
	a := p.Press(f, "do=send")
	if w.truth.overtaken(desk, sheet) {
		w.want(a, http.StatusConflict)
		return
	}
	w.want(a, http.StatusOK)
	path := strings.TrimSuffix(a.At, "/sent")
	w.tell(func(m *model) { m.sends(desk, sheet, path) })
	if again := p.Press(f, "do=send"); again.At != a.At { // a second click
		w.t.Fatalf("a second click leads to %s, not to %s", again.At, a.At)
	}
	w.tell(func(m *model) { m.reloads(path) })
}

// share makes what is being written a draft of the desk.
func (w *walk) share(desk int, sheet string) {
	w.t.Helper()
	p := w.places[desk]
	f := p.Open(sheet).Form(w.t, "/compose/"+walkClass)
	f.Set("pin", schakeltest.PIN)
	before := w.truth.desks[desk].drafts
	a := p.Press(f, "do=save")
	if w.truth.overtaken(desk, sheet) {
		w.want(a, http.StatusConflict)
		return
	}
	w.want(a, http.StatusOK)
	draft := w.truth.desks[desk].sheets[sheet].draft
	for _, row := range a.Elements("li") {
		if to := webtest.Link(row, "/drafts/"); draft == "" && to != "" {
			if _, known := before[to]; !known {
				draft = to
			}
		}
	}
	w.tell(func(m *model) { m.shares(desk, sheet, draft) })
}

func (w *walk) takeUp(desk int, draft string) {
	w.t.Helper()
	p := w.places[desk]
	a := p.Open(draft)
	a = p.Press(a.Form(w.t, draft), a.Form(w.t, draft).Buttons()[0])
	w.want(a, http.StatusOK)
	w.tell(func(m *model) { m.takesUp(desk, draft, a.At) })
	p.tabs[a.At] = a.Form(w.t, "/compose/"+walkClass)
}

// drop throws something away that is being written, on a page that asks once more.
func (w *walk) drop(desk int, path string) {
	w.t.Helper()
	p := w.places[desk]
	removal := path + "/removal"
	if _, id, mine := strings.Cut(path, "?sheet="); mine {
		removal = "/sheets/" + id + "/removal"
	}
	f := p.Open(removal).Form(w.t, removal)
	f.Set("pin", schakeltest.PIN)
	w.want(p.Press(f, ""), http.StatusOK)
	w.tell(func(m *model) { m.drops(desk, path) })
}

// read opens a message that came in, or is about to: a connection that was just found takes
// a moment.
func (w *walk) read(desk int, path string) {
	w.t.Helper()
	p := w.places[desk]
	w.until("a message comes", func() bool {
		all, err := p.member.Node.List(w.t.Context(), schakel.Filter{Limit: 1000})
		return err == nil && slices.ContainsFunc(all, func(m schakel.Summary) bool { return "/messages/"+m.Hash == path })
	})
	a := p.Open(path)
	w.want(a, http.StatusOK)
	if text := w.truth.of(path).text; !slices.ContainsFunc(a.Elements("dd"), func(n webtest.Node) bool { return webtest.Text(n) == text }) {
		w.t.Fatalf("the page of a message does not say %q\n%s", text, a.Body)
	}
	w.tell(func(m *model) { m.reads(path) })
}

// acknowledge fills in the form, with the PIN or a wrong one.
func (w *walk) acknowledge(desk int, path string, mistyped bool) {
	w.t.Helper()
	p := w.places[desk]
	w.read(desk, path)
	f := p.Open(path+"/acknowledgement").Form(w.t, path+"/acknowledgement")
	f.Set("first-action", "Gebeld")
	if mistyped {
		f.Set("pin", "000000")
		w.slips[desk]++
		a := p.Press(f, "")
		w.want(a, http.StatusForbidden)
		if a.Form(w.t, path+"/acknowledgement").Get("first-action") != "Gebeld" {
			w.t.Fatal("what was typed is lost")
		}
		w.tell(func(m *model) { m.mistypes(desk, path, "Gebeld") })
		return
	}
	f.Set("pin", schakeltest.PIN)
	a := p.Press(f, "")
	if a.At != path+"/acknowledged" {
		w.t.Fatalf("acknowledging leads to %s: %d\n%.3000s", a.At, a.Status, a.Body)
	}
	w.tell(func(m *model) { m.takes(desk, path) })
}

func (w *walk) unlock(desk int, mistyped bool) {
	w.t.Helper()
	p := w.places[desk]
	f := p.Open("/locked").Form(w.t, "/unlock")
	f.Set("pin", schakeltest.PIN)
	if mistyped {
		f.Set("pin", "000000")
		w.wrong[desk]++
		w.want(p.Press(f, ""), http.StatusForbidden)
		return
	}
	w.want(p.Press(f, ""), http.StatusOK)
	w.wrong[desk], w.slips[desk] = 0, 0
	w.tell(func(m *model) { m.comesIn(desk) })
}

func (w *walk) signIn(desk int) {
	w.places[desk].signIn()
	w.wrong[desk], w.slips[desk] = 0, 0
	w.tell(func(m *model) { m.comesIn(desk) })
}

func (w *walk) lock(desk int) {
	w.t.Helper()
	p := w.places[desk]
	w.want(p.Press(p.Open("/inbox").Form(w.t, "/lock"), ""), http.StatusOK)
	w.tell(func(m *model) { m.locks(desk) })
}

func (w *walk) crash(desk int) {
	w.t.Helper()
	w.places[desk].crash()
	w.tell(func(m *model) { m.crashes(desk) })
}

// connect lets the relay go away or come back. What was on its way has come before it goes.
func (w *walk) connect(yes bool) {
	w.t.Helper()
	if w.truth.online {
		w.flowed()
	}
	if yes {
		w.chain.StartRelay()
	} else {
		w.chain.StopRelay()
	}
	w.tell(func(m *model) { m.connects(yes) })
}

// flowed waits until all has come where it must, also where nobody is signed in to see it.
func (w *walk) flowed() {
	w.t.Helper()
	for _, s := range w.truth.sent {
		hash := strings.TrimPrefix(s.path, "/messages/")
		w.until("a message is "+s.told, func() bool {
			m, err := w.places[s.from].member.Node.Trace(w.t.Context(), hash)
			return err == nil && map[schakel.State]string{schakel.StateDelivered: "Afgeleverd", schakel.StateOpened: "Gelezen",
				schakel.StateAcknowledged: "Bevestigd"}[m.Recipients[0].State] == s.told
		})
	}
}

// settle waits until the pages of both desks show what the truth says.
func (w *walk) settle(whole bool) (looked [2]seen) {
	w.t.Helper()
	for desk, p := range w.places {
		var last string
		for end := time.Now().Add(patience); ; {
			looked[desk] = p.looked(false) // the dear pages only once these agree
			if last = w.truth.differs(desk, looked[desk], false); last == "" && whole {
				looked[desk] = p.looked(true)
				last = w.truth.differs(desk, looked[desk], true)
			}
			if last == "" {
				break
			}
			if time.Now().After(end) {
				w.t.Fatalf("%s\nafter %s", last, strings.Join(w.done, ", "))
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	return looked
}
