package desk_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/clients/desk"
	"schakel/clients/protocol"
	"schakel/clients/protocol/playbook"
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/clients/store/vault"
	"schakel/configs"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/relay/page"
	"schakel/relay/rota"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node notes what it was asked and answers with filled values, or with err.
type node struct {
	desk.Node
	err    error
	mu     sync.Mutex
	asked  []any
	events chan schakel.Event
}

func (n *node) note(asked ...any) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = asked
	return n.err
}

func at() time.Time { return time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC) }

func summary() schakel.Summary {
	return schakel.Summary{Hash: "ab", ID: "id", Case: "zaak", Class: "melding", Urgency: message.Acute, From: "a/b", Created: at(),
		Recipients: []schakel.Recipient{{Desk: "c/d", State: schakel.StateDelivered, At: at()}}}
}

// body has every byte, so that any change on the way shows.
func body() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func (n *node) Send(_ context.Context, d schakel.Draft) (schakel.Sent, error) {
	return schakel.Sent{Hash: "h", ID: "i", Case: "c"}, n.note(d)
}
func (n *node) SendTest(_ context.Context, to identity.DeskID) error { return n.note(to) }
func (n *node) Acknowledge(_ context.Context, ref string, a schakel.Acknowledgement) (schakel.Sent, error) {
	return schakel.Sent{Hash: "h"}, n.note(ref, a)
}
func (n *node) Forward(_ context.Context, ref string, f schakel.Forwarding) (schakel.Sent, error) {
	return schakel.Sent{Hash: "f"}, n.note(ref, f)
}
func (n *node) Prepare(_ context.Context, d schakel.Draft) (schakel.Prepared, error) {
	return schakel.Prepared{Case: "c", To: d.To, Added: []identity.DeskID{"e/f"}, RestsOn: []schakel.Named{{Ref: ref(1), Class: "afweging", Created: at()}},
		Refusal: &protocol.Refusal{Rule: "R02"}}, n.note(d)
}
func (n *node) Cases(_ context.Context, p schakel.Paging) ([]schakel.CaseSummary, error) {
	return []schakel.CaseSummary{{Case: "zaak", Messages: 3, Last: at(), Lead: &protocol.LeadTerm{Number: 1, Holder: "a/b", Begins: ref(1), Since: at()}}}, n.note(p)
}
func (n *node) Overview(_ context.Context, r string, by ...schakel.By) (schakel.Overview, error) {
	o := schakel.Overview{Exercise: true, Messages: []schakel.Moment{{Ref: ref(2), Class: "melding", Created: at(), To: []protocol.Party{{Desk: "c/d"}}}}}
	o.Ref, o.KnownAt, o.Missing = message.CaseRef{5}, ref(2), []protocol.Missing{{Message: ref(3), NamedBy: []message.Ref{ref(2)}}}
	o.Obligations = []protocol.Obligation{{Rule: "R05", Owes: "c/d", Since: ref(2), Due: at(), By: []string{"ontvangstbevestiging"}}}
	o.Closing = &protocol.Closing{Message: ref(4), At: at(), RetainUntil: at(), DestroyOn: at()}
	o.Safe = []schakel.SafeContact{{Message: ref(2), From: "a/b", Says: []byte(`{"nietInformeren":["ouders"]}`)}}
	return o, n.note(r, by)
}
func (n *node) Progress(_ context.Context, ref string, s playbook.Situation, by ...schakel.By) ([]playbook.Taken, error) {
	return []playbook.Taken{{Step: s.Steps[0], State: playbook.StateDone, By: message.Ref{ID: message.ID{1}}}}, n.note(ref, s, by)
}
func ref(b byte) message.Ref { return message.Ref{ID: message.ID{b}, Hash: message.Hash{b}} }
func (n *node) List(_ context.Context, f schakel.Filter) ([]schakel.Summary, error) {
	return []schakel.Summary{summary()}, n.note(f)
}
func (n *node) ReadAs(_ context.Context, ref string, by schakel.By) (schakel.Letter, error) {
	return schakel.Letter{Summary: summary(), To: []identity.DeskID{"c/d"}, Body: body(), Late: true}, n.note(ref, by)
}
func (n *node) Assign(_ context.Context, ref, to string, by schakel.By) (schakel.Assignment, error) {
	return schakel.Assignment{Case: "zaak", Name: to, At: at(), Also: []string{"y"}}, n.note(ref, to, by)
}
func (n *node) AddNote(_ context.Context, ref, text string, by schakel.By) (schakel.Note, error) {
	return schakel.Note{Hash: "h", At: at(), Text: text}, n.note(ref, text, by)
}
func (n *node) Worksheet(_ context.Context, ref string, by ...schakel.By) (schakel.Worksheet, error) {
	return schakel.Worksheet{Notes: []schakel.Note{{Text: "t", At: at()}}}, n.note(ref, by)
}
func (n *node) Drafts(_ context.Context, ref string, by ...schakel.By) ([]schakel.SavedDraft, error) {
	return []schakel.SavedDraft{{ID: "i", At: at(), Draft: schakel.Draft{Body: body()}}}, n.note(ref, by)
}
func (n *node) SaveDraft(_ context.Context, id, version string, d schakel.Draft, by schakel.By) (schakel.SavedDraft, error) {
	return schakel.SavedDraft{ID: id, At: at(), Draft: d}, n.note(id, version, d, by)
}
func (n *node) DropDraft(_ context.Context, id, version string, by schakel.By) error {
	return n.note(id, version, by)
}
func (n *node) Restrict(_ context.Context, ref string, to []string, by schakel.By) (schakel.Restriction, error) {
	return schakel.Restriction{Case: "zaak", At: at(), Readers: []schakel.Reader{{ID: "x", Name: "X", Telephone: "+31600000001"}}, Contested: true}, n.note(ref, to, by)
}
func (n *node) Restriction(_ context.Context, ref string) (schakel.Restriction, error) {
	return schakel.Restriction{Case: "zaak"}, n.note(ref)
}
func (n *node) Log(_ context.Context, ref string) (schakel.AccessLog, error) {
	return schakel.AccessLog{Lines: []schakel.LogLine{{Number: 1, At: at()}}, Devices: []schakel.LogState{{Fault: "f"}}}, n.note(ref)
}
func (n *node) TestPages(_ context.Context, t schakel.TestPage) ([]schakel.Tested, error) {
	return []schakel.Tested{{By: "device", Contact: "p-1", Channel: "ntfy", Outcome: page.Sent}}, n.note(t)
}
func (n *node) PageLog(_ context.Context, limit int) ([]schakel.Page, error) {
	return []schakel.Page{{At: at(), Rung: 1, Outcome: page.Late}}, n.note(limit)
}
func (n *node) RelayPages(context.Context) ([]schakel.Page, error) {
	return []schakel.Page{{At: at(), Why: "relay"}}, n.note()
}
func (n *node) StartDrill(_ context.Context, to identity.DeskID, by schakel.By) (schakel.Sent, error) {
	return schakel.Sent{Hash: "h", Exercise: true}, n.note(to, by)
}
func (n *node) Drills(context.Context) ([]schakel.Drill, error) {
	return []schakel.Drill{{Message: "m", Sent: at(), ToPaged: time.Second}}, n.note()
}
func (n *node) Readiness(context.Context) ([]schakel.Readiness, error) {
	return []schakel.Readiness{{Name: "rota", Evidence: "e", Remedy: "r"}}, n.note()
}
func (n *node) OnCall(_ context.Context, t time.Time) (schakel.OnCall, error) {
	return schakel.OnCall{At: at(), Levels: []schakel.Duty{{Contact: "p-1", Name: "x", Until: at()}}, Fallback: []schakel.Duty{{Level: 1}}}, n.note(t)
}
func shownRota() schakel.Rota {
	return schakel.Rota{Revision: "r", At: at(), Roster: sheet().Roster, Gaps: []schakel.RotaGap{{Level: 1, From: at(), To: at()}}, Contested: true,
		Also: []string{"y"}, Warnings: []roster.Warning{{Kind: roster.WarnPersonal, Contact: "p-1"}}}
}
func sheet() roster.Sheet {
	return roster.Sheet{Revision: "r", Roster: roster.Roster{Version: 1, Fallback: []rota.Contact{"f-1"}, People: []roster.Person{{Contact: "f-1", Name: "x"}},
		Layers:  []rota.Layer{{Rules: []rota.Rule{{From: "2026-11-30T08:00", To: "2026-12-07T08:00", Contacts: []rota.Contact{"f-1"}}}}},
		Ladders: []roster.Ladder{{Urgency: message.Acute, Alarm: 600}}, Changes: []rota.Change{{ID: "i", Kind: rota.Override, From: 1780000000, To: 1780000060, Contact: "f-1"}}}}
}
func (n *node) Rota(context.Context) (schakel.Rota, error) { return shownRota(), n.note() }
func (n *node) SetRota(_ context.Context, s roster.Sheet, by schakel.By) (schakel.Rota, error) {
	return shownRota(), n.note(s, by)
}
func (n *node) ChangeRota(_ context.Context, c schakel.RotaChange, by schakel.By) (schakel.Rota, error) {
	return shownRota(), n.note(c, by)
}
func (n *node) ImportCalendar(_ context.Context, file []byte, by schakel.By) (schakel.Rota, roster.Import, error) {
	return shownRota(), roster.Import{Shifts: 3, Skipped: []roster.Skipped{{Event: "e", Reason: "r"}}}, n.note(file, by)
}
func (n *node) Calendar(_ context.Context, w schakel.CalendarWish) ([]byte, error) {
	return body(), n.note(w)
}
func (n *node) Read(_ context.Context, ref string) (schakel.Letter, error) {
	return schakel.Letter{Summary: summary(), To: []identity.DeskID{"c/d"}, Body: body(), Late: true}, n.note(ref, schakel.By{})
}
func (n *node) Export(_ context.Context, ref string, to identity.DeskID) ([]byte, error) {
	return body(), n.note(ref, to)
}
func (n *node) Trace(_ context.Context, ref string) (schakel.Summary, error) {
	return summary(), n.note(ref)
}
func (n *node) Wait(ctx context.Context, ref string, s schakel.State) (schakel.Summary, error) {
	if s == schakel.StateAcknowledged {
		<-ctx.Done()
		return schakel.Summary{}, ctx.Err()
	}
	return summary(), n.note(ref, s)
}
func (n *node) Subscribe() (<-chan schakel.Event, func()) { return n.events, func() {} }
func (n *node) Status(context.Context) (schakel.Status, error) {
	return schakel.Status{Desk: "a/b", Device: identity.DeviceID{1}, KeysUntil: at(), Outbox: 3}, n.note()
}
func (n *node) Alarms(context.Context) ([]schakel.Alarm, error) {
	return []schakel.Alarm{{Kind: schakel.AlarmGap, Since: at(), Text: "t"}}, n.note()
}
func (n *node) Directory(context.Context) ([]schakel.Desk, error) {
	return []schakel.Desk{{ID: "c/d", Role: identity.RoleOM, Devices: 2}}, n.note()
}
func (n *node) Persons(context.Context) ([]schakel.Person, error) {
	return []schakel.Person{{ID: identity.PersonID{1}, Name: "x"}}, n.note()
}
func (n *node) AddPerson(_ context.Context, p schakel.Person, pin string) (schakel.Person, error) {
	return p, n.note(p, pin)
}

func (n *node) Vouch(_ context.Context, request []byte) error { return n.note(request) }
func (n *node) Devices(context.Context) ([]schakel.Device, error) {
	return []schakel.Device{{ID: identity.DeviceID{1}, Desk: "a/b", Active: true, Until: at(), Here: true}}, n.note()
}
func (n *node) Revoke(_ context.Context, s trust.Subject, r trust.Reason) error { return n.note(s, r) }
func (n *node) RegisterEntries(context.Context) ([][]byte, error) {
	return [][]byte{body(), {1}}, n.note()
}
func (n *node) ExportCase(_ context.Context, ref string, by schakel.By) ([]byte, error) {
	return body(), n.note(ref, by)
}
func (n *node) Deletions(context.Context) ([]schakel.Deletion, error) {
	return []schakel.Deletion{{Case: "c", At: at(), Due: at(), Closing: "h", ClosedBy: "a/b", Messages: 3, Statement: body()}}, n.note()
}
func (n *node) ClearAlarm(_ context.Context, kind schakel.AlarmKind, subject string) error {
	return n.note(kind, subject)
}

// start serves n and returns a client and the path of the socket.
func start(t *testing.T, n desk.Node) (*desk.Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "desk.sock")
	ln, err := desk.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- desk.New(desk.Config{Node: n}).Serve(ctx, ln) }()
	c, err := desk.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c, path
}

// situation is one of the playbook that the program brings.
func situation() playbook.Situation {
	book, err := playbook.Parse(configs.Playbook, protocol.V1())
	if err != nil {
		panic(err)
	}
	return book.Situations[0]
}

// calls makes every call of a Node that returns, with telling arguments.
func calls(ctx context.Context, n desk.Node) map[string]func() (any, error) {
	draft := schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{"c/d"}, Body: body(), Person: "p", PIN: "1", RestsOn: []string{"r"}}
	by := schakel.By{Person: "p", PIN: "1", Glass: "g"}
	ack := schakel.Acknowledgement{Person: "p", PIN: "1", Status: "s", AnswerBy: at()}
	return map[string]func() (any, error){
		"send":        func() (any, error) { return n.Send(ctx, draft) },
		"send test":   func() (any, error) { return nil, n.SendTest(ctx, "c/d") },
		"acknowledge": func() (any, error) { return n.Acknowledge(ctx, "ab", ack) },
		"list": func() (any, error) {
			return n.List(ctx, schakel.Filter{Box: "sent", Case: "z&=", ToAck: true, Limit: 7})
		},
		"list all":    func() (any, error) { return n.List(ctx, schakel.Filter{}) },
		"read":        func() (any, error) { return n.Read(ctx, "a/../b?c#d e") },
		"read as":     func() (any, error) { return n.ReadAs(ctx, "a/../b?c#d e", by) },
		"assign":      func() (any, error) { return n.Assign(ctx, "a/b", "x", by) },
		"note":        func() (any, error) { return n.AddNote(ctx, "a/b", "t", by) },
		"worksheet":   func() (any, error) { return n.Worksheet(ctx, "a/b", by) },
		"drafts":      func() (any, error) { return n.Drafts(ctx, "z&=", by) },
		"save draft":  func() (any, error) { return n.SaveDraft(ctx, "i", "v", draft, by) },
		"drop draft":  func() (any, error) { return nil, n.DropDraft(ctx, "i/j", "v", by) },
		"restrict":    func() (any, error) { return n.Restrict(ctx, "a/b", []string{"x", "y"}, by) },
		"restricted":  func() (any, error) { return n.Restriction(ctx, "a/b") },
		"log":         func() (any, error) { return n.Log(ctx, "z&=") },
		"export":      func() (any, error) { return n.Export(ctx, "ab", "c/d") },
		"forward":     func() (any, error) { return n.Forward(ctx, "ab", schakel.Forwarding{To: "c/d", Person: "p", PIN: "1"}) },
		"prepare":     func() (any, error) { return n.Prepare(ctx, draft) },
		"cases":       func() (any, error) { return n.Cases(ctx, schakel.Paging{Limit: 7, Offset: 2}) },
		"overview":    func() (any, error) { return n.Overview(ctx, "a/../b?c#d e", by) },
		"progress":    func() (any, error) { return n.Progress(ctx, "ab", situation(), by) },
		"trace":       func() (any, error) { return n.Trace(ctx, "ab") },
		"wait":        func() (any, error) { return n.Wait(ctx, "ab", schakel.StateAtRelay) },
		"status":      func() (any, error) { return n.Status(ctx) },
		"alarms":      func() (any, error) { return n.Alarms(ctx) },
		"directory":   func() (any, error) { return n.Directory(ctx) },
		"persons":     func() (any, error) { return n.Persons(ctx) },
		"devices":     func() (any, error) { return n.Devices(ctx) },
		"revoke":      func() (any, error) { return nil, n.Revoke(ctx, "device/x", trust.ReasonLost) },
		"register":    func() (any, error) { return n.RegisterEntries(ctx) },
		"vouch":       func() (any, error) { return nil, n.Vouch(ctx, body()) },
		"clear":       func() (any, error) { return nil, n.ClearAlarm(ctx, schakel.AlarmGap, "a b/c") },
		"test pages":  func() (any, error) { return n.TestPages(ctx, schakel.TestPage{Who: "p", Relay: true}) },
		"page log":    func() (any, error) { return n.PageLog(ctx, 7) },
		"relay pages": func() (any, error) { return n.RelayPages(ctx) },
		"drill":       func() (any, error) { return n.StartDrill(ctx, "c/d", by) },
		"drills":      func() (any, error) { return n.Drills(ctx) },
		"readiness":   func() (any, error) { return n.Readiness(ctx) },
		"on call":     func() (any, error) { return n.OnCall(ctx, at()) },
		"on call now": func() (any, error) { return n.OnCall(ctx, time.Time{}) },
		"rota":        func() (any, error) { return n.Rota(ctx) },
		"set rota":    func() (any, error) { return n.SetRota(ctx, sheet(), by) },
		"change rota": func() (any, error) {
			return n.ChangeRota(ctx, schakel.RotaChange{Kind: schakel.RotaSwap, Who: "x", Other: "y", Level: 1, From: at(), To: at(), Back: at()}, by)
		},
		"import calendar": func() (any, error) {
			r, report, err := n.ImportCalendar(ctx, body(), by)
			return []any{r, report}, err
		},
		"calendar": func() (any, error) { return n.Calendar(ctx, schakel.CalendarWish{Who: "z&=", Names: true}) },
		"export case": func() (any, error) {
			return n.ExportCase(ctx, "a/../b?c#d e", schakel.By{Person: "p", PIN: "1", Glass: "g"})
		},
		"deletions":  func() (any, error) { return n.Deletions(ctx) },
		"add person": func() (any, error) { return n.AddPerson(ctx, schakel.Person{Name: "x"}, "2") },
	}
}

// TestClientIsTheNode shows that each call arrives with the same arguments and
// comes back with the same values as in this process.
func TestClientIsTheNode(t *testing.T) {
	near, far := &node{}, &node{}
	c, _ := start(t, far)
	remote := calls(t.Context(), c)
	for name, local := range calls(t.Context(), near) {
		want, err := local()
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote[name]()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		if !reflect.DeepEqual(far.asked, near.asked) {
			t.Errorf("%s: the node was asked %+v, want %+v", name, far.asked, near.asked)
		}
	}
}

func sentinels() []error {
	return []error{schakel.ErrNotFound, schakel.ErrAmbiguous, schakel.ErrUnknownDesk, schakel.ErrLane, schakel.ErrNoEpoch, schakel.ErrNoKeys, schakel.ErrNoDevice,
		schakel.ErrPersonNeeded, schakel.ErrUnknownPerson, schakel.ErrPIN, schakel.ErrNotEnrolled, schakel.ErrEnrolled, schakel.ErrFingerprint,
		schakel.ErrUnreachable, schakel.ErrRegister, schakel.ErrTooLarge, schakel.ErrAcknowledged, schakel.ErrNothingToAck, schakel.ErrNotReturned, schakel.ErrNoRightDesk, schakel.ErrRestricted, schakel.ErrReaders, schakel.ErrNoReadingKey, schakel.ErrGlass, schakel.ErrGlassNeeded, schakel.ErrNoOrgKey, schakel.ErrUnknownSubject,
		schakel.ErrLight, schakel.ErrRefused, vault.ErrPassphrase, desk.ErrLocked, desk.ErrNoLock,
		message.ErrFormat, identity.ErrInvalid}
}

// TestSentinelsSurvive shows that a caller decides the same on both sides.
func TestSentinelsSurvive(t *testing.T) {
	for _, want := range sentinels() {
		n := &node{err: fmt.Errorf("failed to do it: %w", want)}
		c, _ := start(t, n)
		_, err := c.Status(t.Context())
		if !errors.Is(err, want) || err.Error() != n.err.Error() {
			t.Errorf("got %v, want %v", err, n.err)
		}
		for _, other := range sentinels() {
			if other != want && errors.Is(err, other) {
				t.Errorf("%v came back as %v too", want, other)
			}
		}
	}
}

func TestRefusalKeepsItsRule(t *testing.T) {
	rule := &protocol.Refusal{Rule: "R09", Reason: protocol.Text{NL: "nee", EN: "no"}, Faults: []protocol.Fault{{At: "/a"}}}
	c, _ := start(t, &node{err: fmt.Errorf("failed to send: %w", rule)})
	_, err := c.Send(t.Context(), schakel.Draft{})
	var got *protocol.Refusal
	if !errors.As(err, &got) || !reflect.DeepEqual(got, rule) || !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestDaemonThatEnds(t *testing.T) {
	c, _ := start(t, &node{err: context.Canceled})
	if _, err := c.Status(t.Context()); !errors.Is(err, desk.ErrEnding) || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestUnknownErrorIsTheDaemons(t *testing.T) {
	c, _ := start(t, &node{err: errors.New("the disk fell out")})
	if _, err := c.Status(t.Context()); !errors.Is(err, desk.ErrInternal) || err.Error() != "the disk fell out" {
		t.Errorf("got %v", err)
	}
}

func TestWaitEndsWithTheCaller(t *testing.T) {
	c, _ := start(t, &node{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Wait(ctx, "ab", schakel.StateAcknowledged); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestWaitForWhatCannotBe(t *testing.T) {
	c, _ := start(t, &node{})
	if _, err := c.Wait(t.Context(), "ab", "geweigerd"); !errors.Is(err, desk.ErrRequest) {
		t.Errorf("got %v", err)
	}
}

func TestEvents(t *testing.T) {
	n := &node{events: make(chan schakel.Event, 1)}
	c, _ := start(t, n)
	events, cancel := c.Subscribe()
	want := schakel.Event{Kind: schakel.EventReceived, Message: "ab", At: at()}
	n.events <- want
	select {
	case got := <-events:
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	case <-time.After(5 * time.Second):
		t.Error("no event came")
	}
	cancel()
	for range events { // closed by cancel
	}
}

func TestServiceRefusesWhatItDoesNotKnow(t *testing.T) {
	_, path := start(t, &node{})
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	for name, test := range map[string]struct {
		path, body string
		want       int
	}{
		"unknown field":   {"/v1/messages", `{"class":"melding","colour":"red"}`, http.StatusBadRequest},
		"two values":      {"/v1/messages", `{} {}`, http.StatusBadRequest},
		"no JSON":         {"/v1/messages", `klasse=melding`, http.StatusBadRequest},
		"body too large":  {"/v1/messages", `{"class":"` + strings.Repeat("x", 600<<10) + `"}`, http.StatusBadRequest},
		"unknown path":    {"/v1/secrets", `{}`, http.StatusBadRequest},
		"known, as it is": {"/v1/messages", `{"class":"melding"}`, http.StatusOK},
	} {
		resp, err := plain.Post("http://schakel"+test.path, "application/json", strings.NewReader(test.body))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		resp.Body.Close()
		if resp.StatusCode != test.want || resp.Header.Get("API-Version") == "" {
			t.Errorf("%s: status %d, want %d", name, resp.StatusCode, test.want)
		}
		if kind := resp.Header.Get("Content-Type"); test.want >= 400 && kind != "application/problem+json" {
			t.Errorf("%s: content type %q", name, kind)
		}
	}
}

func TestSocketIsItsOwners(t *testing.T) {
	_, path := start(t, &node{})
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if _, err := desk.Listen(path); err == nil || !strings.Contains(err.Error(), "another daemon") {
		t.Errorf("a second daemon: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "desk.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false) // as a killed daemon leaves it
	_ = ln.Close()
	if _, err := desk.Dial(t.Context(), path); !errors.Is(err, desk.ErrNoDaemon) {
		t.Errorf("got %v", err)
	}
	again, err := desk.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Listen(path); err == nil {
		t.Error("a file in the way was replaced")
	}
}

func TestSocketInAFolderOfOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Listen(filepath.Join(dir, "desk.sock")); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("got %v", err)
	}
}

func TestSocketPathThatIsTooLong(t *testing.T) {
	if _, err := desk.Listen(filepath.Join(t.TempDir(), strings.Repeat("x", 120))); err == nil || !strings.Contains(err.Error(), "socket") {
		t.Errorf("got %v", err)
	}
}
