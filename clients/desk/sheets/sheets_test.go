package sheets_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/clients/desk/sheets"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// office is a store with its sheets, and a clock.
type office struct {
	*sheets.Desk
	t     *testing.T
	st    *store.Store
	chain *schakeltest.Chain
}

func open(t *testing.T) *office {
	t.Helper()
	chain := schakeltest.New(t)
	st := chain.Join("vt20/crisis", identity.RoleVeiligThuis).Store()
	return &office{sheets.New(st, chain.Now), t, st, chain}
}

func id(n int) string { return fmt.Sprintf("019ab2c0-5f10-7a31-9c42-%012d", n) }

func (o *office) keep(user string, n int, text string) error {
	return o.Keep(o.t.Context(), user, sheets.Sheet{ID: id(n), Class: "melding", Text: []byte(text)})
}

func (o *office) mustKeep(user string, n int, text string) {
	o.t.Helper()
	if err := o.keep(user, n, text); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) list(user string) string {
	o.t.Helper()
	all, err := o.List(o.t.Context(), user)
	if err != nil {
		o.t.Fatal(err)
	}
	var texts []string
	for _, s := range all {
		texts = append(texts, string(s.Text))
	}
	return strings.Join(texts, ",")
}

// TestSheets: what is kept is there for its user alone, until it is dropped, sent or old; a
// new daemon finds it.
func TestSheets(t *testing.T) {
	o := open(t)
	o.mustKeep("p", 1, "eerste")
	o.chain.Pass(time.Minute)
	o.mustKeep("p", 2, "tweede")
	o.mustKeep("q", 3, "van een ander")
	o.chain.Pass(time.Minute)
	o.mustKeep("p", 1, "verbeterd")
	if got := o.list("p"); got != "verbeterd,tweede" {
		t.Errorf("list %q", got)
	}
	if _, err := o.Get(t.Context(), "p", id(3)); !errors.Is(err, sheets.ErrNone) {
		t.Errorf("a sheet of another user: %v", err)
	}
	o.Desk = sheets.New(o.st, o.chain.Now)
	if err := o.MarkSent(t.Context(), "p", id(1), "hash"); err != nil {
		t.Fatal(err)
	}
	o.mustKeep("p", 1, "uit een tabblad dat open bleef")
	if s, err := o.Get(t.Context(), "p", id(1)); err != nil || s.Sent != "hash" || len(s.Text) > 0 || o.list("p") != "tweede" {
		t.Errorf("what was sent came back: %v %+v", err, s)
	}
	if err := o.Drop(t.Context(), "p", id(2)); err != nil || o.list("p") != "" {
		t.Errorf("dropped: %v %q", err, o.list("p"))
	}
	o.chain.Pass(sheets.Life)
	if got := o.list("q"); got != "" {
		t.Errorf("after its life: %q", got)
	}
	o.mustKeep("q", 4, "nieuw")
	err := o.st.Update(t.Context(), func(tx *store.Tx) error { return sheets.Forget(tx, "q") })
	if err != nil || o.list("q") != "" {
		t.Errorf("a user who left: %v %q", err, o.list("q"))
	}
}

// TestNothingMakesRoom: a full desk refuses, and never forgets what somebody is writing.
func TestNothingMakesRoom(t *testing.T) {
	o := open(t)
	for n := range 20 {
		o.mustKeep("p", n, "x")
	}
	if err := o.keep("p", 20, "y"); !errors.Is(err, sheets.ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	o.mustKeep("p", 3, "z") // one of those that there are
	if err := o.MarkSent(t.Context(), "p", id(7), "hash"); err != nil {
		t.Fatal(err)
	}
	o.mustKeep("p", 20, "y")
	if err := o.keep("p", 1, strings.Repeat("x", sheets.MaxText+1)); !errors.Is(err, sheets.ErrLarge) {
		t.Errorf("too large: %v", err)
	}
	for n := range 4 {
		if err := o.keep("q", n, strings.Repeat("x", sheets.MaxText)); err != nil && !errors.Is(err, sheets.ErrFull) || err == nil && n == 3 {
			t.Errorf("a row of the store holds %d: %v", n, err)
		}
	}
	for name, err := range map[string]error{"no identifier": o.Keep(t.Context(), "p", sheets.Sheet{ID: "x"}), "nobody": o.keep("", 1, "x")} {
		if !errors.Is(err, sheets.ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTickets: a form says whose it is, and nobody can make one up; a new daemon knows them.
func TestTickets(t *testing.T) {
	o := open(t)
	ticket, err := o.Ticket(t.Context(), "p", id(1))
	if err != nil {
		t.Fatal(err)
	}
	o.Desk = sheets.New(o.st, o.chain.Now)
	if user, sheet, err := o.Holder(t.Context(), ticket); err != nil || user != "p" || sheet != id(1) {
		t.Errorf("control: %q %q %v", user, sheet, err)
	}
	parts := strings.Split(ticket, ".")
	for _, forged := range []string{"", "..", "q." + parts[1] + "." + parts[2], parts[0] + "." + id(2) + "." + parts[2], parts[0] + "." + parts[1] + ".", ticket + ".x", ticket[:len(ticket)-1]} {
		if _, _, err := o.Holder(t.Context(), forged); !errors.Is(err, sheets.ErrTicket) {
			t.Errorf("%q: %v", forged, err)
		}
	}
}

// TestHold: what must happen once happens one after the other, for one sheet alone.
func TestHold(t *testing.T) {
	o := open(t)
	var all sync.WaitGroup
	done := 0 // guarded by the hold: the race detector is the test
	for range 8 {
		all.Go(func() {
			defer o.Hold("p", id(1))()
			done++
		})
	}
	release := o.Hold("p", id(2))
	all.Wait() // another sheet waits for nobody
	release()
	if done != 8 {
		t.Errorf("%d of 8", done)
	}
}
