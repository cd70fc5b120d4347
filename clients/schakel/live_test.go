package schakel_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
	"schakel/relay/wire/wiretest"
)

// liveStage is what a device's session has come to when its relay begins to say what a script
// says.
type liveStage byte

const (
	liveAnswering liveStage = iota // the request for a connection
	liveGreeting                   // in place of the challenge
	liveAdmitting                  // the token was shown
	liveSyncing                    // the register was asked for
	liveOnline                     // the device gave credit and offered what it has
	liveDelivered                  // a message was handed over
	liveStages
)

func (s liveStage) String() string {
	return [...]string{"answering", "greeting", "admitting", "syncing", "online", "delivered"}[s]
}

// recording is a device that has mail waiting at the relay and a message on its way, and what
// an honest relay said to it.
type recording struct {
	member    *schakeltest.Member // stopped
	mail      schakel.Sent        // for it, and never delivered
	sent      schakel.Sent        // by it, and never confirmed
	challenge wire.Challenge
	ready     wire.Ready
	register  wire.Register // once it has all of it
	deliver   wire.Deliver
	put       wire.Put
	stored    wire.Stored
	host      *liveHost
}

// record plays an honest chain, and takes down what passes.
func record(t testing.TB) *recording {
	t.Helper()
	d := newDishonest(t)
	r := &recording{member: d.to, host: newLiveHost(t)}
	sealsTo(t, d.to, d.from.Desk, 1)
	device := d.to.Node.Device()
	d.op.Do(func(p schakeltest.Passing) []wire.Frame {
		if _, receipt := p.Frame.(wire.Stored); p.Device == device && (p.Mail() || receipt) {
			return nil
		}
		return p.On()
	})
	r.mail = d.send(t)
	eventually(t, "the mail is at the relay", func() bool {
		return slices.ContainsFunc(d.op.Seen(), func(p schakeltest.Passing) bool { return p.Device == device && p.Message() })
	})
	d.from.Stop()
	var err error
	if r.sent, err = d.to.Node.Send(testContext(t), schakel.Draft{Class: "informatieverzoek", Urgency: message.Urgent,
		To: []identity.DeskID{d.from.Desk}, Body: example(t, "informatieverzoek")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is a receipt", func() bool { return r.take(d.op.Seen(), device) })
	d.to.Stop()
	d.StopRelay()
	return r
}

// take takes down what passed, and reports whether that is all.
func (r *recording) take(seen []schakeltest.Passing, device identity.DeviceID) bool {
	var id envelope.ID
	done := false
	for _, p := range seen {
		if f, is := p.Frame.(wire.Challenge); is {
			r.challenge = f
		}
		if p.Device != device {
			continue
		}
		switch f := p.Frame.(type) {
		case wire.Ready:
			r.ready = f
		case wire.Register:
			r.register = wire.Register{Checkpoint: f.Checkpoint, From: f.From + uint64(len(f.Entries))}
		case wire.Deliver:
			if p.Message() {
				r.deliver = f
			}
		case wire.Put:
			if p.Header.Tier > envelope.TierNone {
				r.put, id = f, p.Header.ID
			}
		case wire.Stored:
			for _, leaf := range f.Leaves {
				if leaf.ID == id {
					r.stored, done = f, true
				}
			}
		}
	}
	return done
}

// honest is a message that a relay might send, if not at that moment.
func (r *recording) honest(k byte) []byte {
	id := headerOf(r.put.Envelope).ID
	list := []wire.Frame{
		r.challenge, r.ready, r.register, r.deliver, r.stored,
		wire.Deliver{Position: 1 << 62, Envelope: r.deliver.Envelope},
		wire.Deliver{Position: 3, Envelope: r.put.Envelope}, // its own
		wire.Refused{ID: id, Code: wire.CodeUnavailable}, wire.Refused{ID: id, Code: wire.CodeLane}, wire.Refused{Code: wire.CodeMalformed},
		wire.Notice{ID: id, Kind: wire.NoticeExpired, Position: 9}, wire.Notice{ID: id, Kind: wire.NoticeDamaged}, wire.Notice{Kind: wire.NoticeUnattended, Position: 1 << 63},
		wire.KeysAre{Tag: 1, Recipients: []string{"age1", ""}}, wire.Appended{Tag: 1, Code: wire.CodeOK}, wire.Appended{Tag: 2, Code: wire.CodeEntry},
		wire.Advanced{RegisterSize: 1 << 40}, wire.GoAway{AfterMillis: 1}, wire.GoAway{AfterMillis: 1<<32 - 1}, wire.AttendedIs{ID: id},
		wire.PlanIs{Serial: 1 << 60}, wire.TestPageIs{Tag: 1}, wire.PagesAre{Tag: 1, More: true}, wire.Cosign{Checkpoint: r.register.Checkpoint, From: 1 << 50},
		wire.Register{Checkpoint: r.register.Checkpoint, From: 0, Entries: [][]byte{[]byte("no entry")}, More: true},
		wire.Put{Envelope: r.put.Envelope}, // from the wrong side
	}
	return liveFrames(list[int(k)%len(list)])
}

func liveFrames(frames ...wire.Frame) (b []byte) {
	for _, f := range frames {
		var err error
		if b, err = wire.AppendFrame(b, f); err != nil {
			panic(err)
		}
	}
	return b
}

// liveMost is how long a session may take to end once its relay is gone.
const liveMost = 15 * time.Second

// play has a copy of the device meet a relay that is honest up to a stage, and then an honest
// one. It returns what was wrong.
func (r *recording) play(t testing.TB, at liveStage, text []byte) (faults []string, outcome string) {
	t.Helper()
	twin := r.member.Twin(t)
	accuse := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%v: ", at)+fmt.Sprintf(format, args...))
	}
	before := runtime.NumGoroutine()
	var m, n runtime.MemStats
	runtime.ReadMemStats(&m)
	met := r.host.meet(twin)
	malformed := met.script(r, at, append([]byte{}, text...)) // not nil: that is for honest relays
	ended := met.end()
	switch {
	case !ended.came:
		accuse("stuck: the session does not end")
		return faults, "stuck"
	case ended.fatal:
		accuse("fatal: a relay ends the node: %v", ended.err)
	case malformed && ended.closed == wire.CloseRestart:
		accuse("code: what is malformed was taken")
	}
	runtime.ReadMemStats(&n)
	if grown := n.TotalAlloc - m.TotalAlloc; grown > uint64(256<<20+4096*len(text)) {
		accuse("memory: %d bytes were taken for a script of %d", grown, len(text))
	}
	r.judge(twin, accuse)
	met = r.host.meet(twin)
	if !met.script(r, liveDelivered, nil) || met.reached != liveDelivered {
		accuse("others: an honest relay is not believed any more, and came to %v", met.reached)
	}
	if again := met.end(); !again.came || again.fatal {
		accuse("others: the session with an honest relay ended with %v", again.err)
	}
	if list, err := twin.Node.List(context.Background(), schakel.Filter{Limit: 1000}); err != nil || !slices.ContainsFunc(list, func(s schakel.Summary) bool { return s.Hash == r.mail.Hash }) {
		accuse("lost: an honest relay delivered, and the message is not there: %v", err)
	}
	r.judge(twin, accuse)
	if !settles(before) {
		accuse("goroutines: %d stay", runtime.NumGoroutine()-before)
	}
	outcome = "goes on"
	if ended.closed != wire.CloseRestart {
		outcome = "ends"
	}
	return faults, fmt.Sprintf("%v: %s", at, outcome)
}

// judge: nothing is here that nobody sent, nothing twice, nothing is called delivered that no
// desk confirmed, and the register is the one that was proven.
func (r *recording) judge(m *schakeltest.Member, accuse func(string, ...any)) {
	list, err := m.Node.List(context.Background(), schakel.Filter{Limit: 1000})
	if err != nil {
		accuse("lost: the inbox cannot be read: %v", err)
	}
	var seen []string
	for _, s := range list {
		if !s.Inbound {
			continue
		}
		if s.Hash != r.mail.Hash || slices.Contains(seen, s.Hash) {
			accuse("content: %s was sent once or never", s.Hash)
		}
		seen = append(seen, s.Hash)
	}
	trace, err := m.Node.Trace(context.Background(), r.sent.Hash)
	if err != nil {
		accuse("lost: what was sent: %v", err)
	}
	for _, to := range trace.Recipients {
		switch to.State {
		case schakel.StateDelivered, schakel.StateOpened, schakel.StateAcknowledged:
			accuse("truth: called %s, and no desk said so", to.State)
		}
	}
	if s, err := m.Node.Status(context.Background()); err != nil || s.RegisterSize != r.register.From {
		accuse("register: of size %d, want %d: %v", s.RegisterSize, r.register.From, err)
	}
}

// settles waits until no more goroutines run than before.
func settles(before int) bool {
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return true
		}
		<-time.After(10 * time.Millisecond)
	}
	return false
}

// liveScripts are where fuzzing begins, and what make test plays.
var liveScripts = [][]byte{
	nil,
	{wiretest.Say, 0},
	{wiretest.Say, 0, wiretest.Say, 1, wiretest.Say, 2, wiretest.Say, 3},
	{wiretest.Take, 0, wiretest.Flip, 0, 9, 1},
	{wiretest.Take, 1, wiretest.Flip, 0, 8, 1},
	{wiretest.Say, 1, wiretest.Say, 2, wiretest.Say, 2},
	{wiretest.Say, 3, wiretest.Say, 3, wiretest.Say, 5},
	{wiretest.Take, 3, wiretest.Take, 5, wiretest.Take, 6},
	{wiretest.Take, 3, wiretest.Flip, 0, 200, 1},
	{wiretest.Take, 3, wiretest.Flip, 4, 0, 1},
	{wiretest.Say, 4, wiretest.Say, 4},
	{wiretest.Take, 4, wiretest.Flip, 0, 100, 1},
	{wiretest.Say, 7, wiretest.Say, 8, wiretest.Say, 9},
	{wiretest.Say, 10, wiretest.Say, 11, wiretest.Say, 12},
	{wiretest.Take, 13, wiretest.Take, 14, wiretest.Take, 15},
	{wiretest.Say, 16, wiretest.Say, 19, wiretest.Say, 20},
	{wiretest.Say, 21, wiretest.Say, 22},
	{wiretest.Say, 17},
	{wiretest.Say, 18},
	{wiretest.Say, 23},
	{wiretest.Say, 24},
	{wiretest.Say, 25},
	{wiretest.Take, 16, wiretest.Text},
	{wiretest.Take, 16, wiretest.Pieces, 2, wiretest.Ping},
	{wiretest.Take, 3, wiretest.Claim, 0xff, 0xff},
	{wiretest.Send},
	{wiretest.Raw, 4, 0x82, 0xff, 0, 0},
	{wiretest.Raw, 4, 0x88, 0x02, 15, 165}, // it says that the device is revoked
	append([]byte{wiretest.Raw, 40}, "HTTP/1.1 101 Switching Protocols\r\nUpgra"...),
	append([]byte{wiretest.Raw, 30}, "HTTP/1.1 302 Found\r\nLocation: /"...),
}

// FuzzRelayInEveryState: whatever a relay says, at whatever moment of a session, the device
// takes nothing for content or for truth that nobody signed, its session ends or goes on, and
// an honest relay is believed afterwards.
func FuzzRelayInEveryState(f *testing.F) {
	for i, text := range liveScripts {
		f.Add(byte(i)%byte(liveStages), text)
		f.Add(byte(liveOnline), text)
	}
	r := record(f)
	f.Fuzz(func(t *testing.T, at byte, text []byte) {
		if len(text) > 4096 {
			return
		}
		faults, _ := r.play(t, liveStage(at)%liveStages, text)
		for _, fault := range faults {
			t.Error(fault)
		}
	})
}

// TestRelayInEveryStateNotices: what should not be so, is noticed. What must be noticed in the
// program itself is among the seeded mistakes.
func TestRelayInEveryStateNotices(t *testing.T) {
	r := record(t)
	for name, c := range map[string]struct {
		spoil func(*recording)
		text  []byte
		seen  string
	}{
		"a message that nobody sent": {func(r *recording) { r.mail.Hash = strings.Repeat("0", 64) }, []byte{wiretest.Say, 3}, "content: "},
		"a register of another size": {func(r *recording) { r.register.From++ }, nil, "register: "},
		"a message that is gone":     {func(r *recording) { r.sent.Hash = strings.Repeat("1", 64) }, nil, "lost: "},
		"an honest relay that lies":  {func(r *recording) { r.register.Checkpoint = bytes.ToUpper(r.register.Checkpoint) }, nil, "others: "},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := *r
			c.spoil(&spoilt)
			faults, _ := spoilt.play(t, liveOnline, c.text)
			if !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, c.seen) }) {
				t.Errorf("not noticed: %q", faults)
			}
		})
	}
	if faults, _ := r.play(t, liveOnline, []byte{wiretest.Say, 3}); len(faults) > 0 {
		t.Errorf("control: %q", faults)
	}
}
