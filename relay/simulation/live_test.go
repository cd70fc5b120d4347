package simulation_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/queue/queuetest/lossy"
	"schakel/relay/wire"
	"schakel/relay/wire/wiretest"
)

// stage is what a session has come to when a script begins.
type stage int

const (
	connected   stage = iota // below HTTP: nothing was asked for
	challenged               // before the login
	entered                  // with nothing more
	credited                 // with all credit there is
	outstanding              // with a delivery that was not acknowledged
	putting                  // with an envelope that is on its way to a slow disk
	fetching                 // with an answer about the register to come
	witnessing               // as a witness
	storeless                // whose store cannot be asked
	replete                  // whose store is full
	draining                 // of a relay that ends
	revoked                  // of a device that was just revoked
	evicted                  // that another of the device has taken over from
	stages
)

func (s stage) String() string {
	return [...]string{"connected", "challenged", "entered", "credited", "outstanding", "putting", "fetching", "witnessing",
		"storeless", "replete", "draining", "revoked", "evicted"}[s]
}

// The devices of cast: who speaks, another of its desk, and who writes to that.
const writer, speaker, sibling = 0, 1, 2

// live is one session that is brought to a stage, and then says what a script says.
type live struct {
	*world
	stage  stage
	sliced bool  // bytes arrive a few at a time
	p      *peer // who speaks
	second *peer // the session that took over
	others *peer // the writer, throughout

	mu     sync.Mutex // guards what follows
	puts   []*queue.Put
	panics []string
}

// Commit sees what is stored.
func (l *live) Commit(ctx context.Context, store queue.Store, ops []queue.Op) ([]queue.Result, error) {
	results, err := store.Commit(ctx, ops)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, op := range ops {
		put, is := op.(*queue.Put)
		if is && err == nil && results[i].Err == nil {
			l.puts = append(l.puts, put)
		}
		if ack, is := op.(*queue.Ack); is && ack.Device == cast().devices[sibling].ID {
			l.accuse("stored: somebody acknowledged for device %d", sibling)
		}
		if attend, is := op.(*queue.Attend); is && attend.Desk != cast().devices[speaker].Desk {
			l.accuse("stored: a token was shown for %s", attend.Desk)
		}
	}
	return results, err
}

type watched struct {
	queue.Store
	l *live
}

func (s watched) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	return s.l.Commit(ctx, s.Store, ops)
}

// panicked reads the relay's log for what must not stand there.
type panicked struct {
	slog.Handler
	l *live
}

func (h panicked) Enabled(context.Context, slog.Level) bool { return true }
func (h panicked) WithAttrs([]slog.Attr) slog.Handler       { return h }

func (h panicked) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "session panicked" {
		return nil
	}
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	r.Attrs(func(a slog.Attr) bool {
		h.l.panics = append(h.l.panics, a.Value.String())
		return true
	})
	return nil
}

// tooMuch is how many bytes all programs together may take from memory while they hear one
// byte, and altogether.
const tooMuch, atLeast = 512, 64 << 20

// playLive brings a session to a stage, which the low bits of at name, and plays a script. It
// returns what was wrong.
func playLive(t *testing.T, at byte, text []byte, wrong mistake) (faults []string, outcome string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &live{stage: stage(at&0x7f) % stages, sliced: at&0x80 != 0}
		inner := wrong.wraps
		wrong.wraps = func(s queue.Store) queue.Store {
			if s = (watched{s, l}); inner != nil {
				s = inner(s)
			}
			return s
		}
		l.world = newWorld(t, 1, wrong)
		l.limits.AsksPerSecond = 1 << 20 // or nobody could say what must be answered
		l.log = slog.New(panicked{slog.DiscardHandler, l})
		l.start()
		outcome = l.run(text)
		l.stop()
		l.ended.Wait()
		if err := l.register.Close(); err != nil {
			t.Error(err)
		}
		faults = l.faults
	})
	return faults, outcome
}

func (l *live) run(text []byte) (outcome string) {
	if l.others = l.connect(writer, 1); !l.others.enter() {
		l.accuse("others: the writer cannot log in")
		return
	}
	defer l.others.leave()
	if l.p = l.connect(speaker, 1); l.p == nil {
		return
	}
	defer l.p.leave()
	s := &script{p: l.p, text: text}
	l.reach(s)
	defer l.second.leave()
	before := answered(l.p)
	var m, n runtime.MemStats
	runtime.ReadMemStats(&m)
	l.net.turn(weather{sliced: l.sliced})
	s.play()
	<-time.After(3 * time.Second) // a slow disk, and everything that is under way
	synctest.Wait()
	runtime.ReadMemStats(&n)
	if grown := n.TotalAlloc - m.TotalAlloc; grown > uint64(atLeast+tooMuch*len(text)) {
		l.accuse("memory: %d bytes were taken for a script of %d", grown, len(text))
	}
	outcome = l.judgeEnd(s, before)
	l.p.leave()
	l.net.turn(weather{})
	l.judgeOthers()
	l.judgeStored(s.outlook.any)
	for _, p := range l.panics {
		l.accuse("panic: %s", p)
	}
	return outcome
}

// reach brings the session to its stage.
func (l *live) reach(s *script) {
	p := l.p
	s.outlook.token = p.token().Token
	if l.stage == connected {
		p.leave()
		p.cable = l.wire()
		return
	}
	if l.stage == challenged {
		return
	}
	p.say(wire.Login{Token: s.outlook.token})
	if s.outlook.in = soon(func() bool { return p.count(wire.TypeReady) > 0 }); !s.outlook.in {
		l.accuse("others: the speaker cannot log in")
	}
	switch l.stage {
	case credited:
		p.say(wire.Credit{Messages: 1 << 20, Bytes: 1 << 30})
	case outstanding:
		p.say(wire.Credit{Messages: 1 << 20, Bytes: 1 << 30})
		l.others.say(wire.Put{Envelope: l.others.letter("delivered", p.Desk, acute)})
		soon(func() bool { return p.count(wire.TypeDeliver) > 0 })
	case putting, draining:
		l.slow(true)
		p.say(wire.Put{Envelope: p.letter("before", "vt20/crisis", nil)})
		<-time.After(100 * time.Millisecond)
	case fetching:
		p.say(wire.Fetch{})
	case witnessing:
		p.say(wire.Cosigned{Witness: trusttest.WitnessName(0), Size: 1})
	case storeless:
		l.disk.Suffer(lossy.Trouble{Away: true})
	case replete:
		l.disk.Suffer(lossy.Trouble{Full: true})
	}
	l.leaving()
}

// leaving brings a session to the stages in which it ends.
func (l *live) leaving() {
	switch l.stage {
	case draining:
		go l.stop()
	case revoked:
		l.revoke(l.p)
	case evicted:
		l.second = l.connect(speaker, 2)
		if !l.second.enter() {
			l.accuse("others: a second session of the device cannot log in")
		}
	}
	synctest.Wait()
}

// wire is a connection on which nothing was said.
func (l *live) wire() *end {
	c, err := l.net.dial(speaker, "10.0.1.9:2009", l.luck(60_000))(context.Background(), "", "")
	if err != nil {
		panic(err)
	}
	return c.(*end)
}

func (l *live) slow(is bool) {
	l.world.mu.Lock()
	defer l.world.mu.Unlock()
	l.slowDisk = is
}

// revoke has the organisation of a device revoke it.
func (w *world) revoke(p *peer) {
	b := trust.Revoke{Of: p.Device.Device.Subject(), Reason: trust.ReasonLost, Effective: w.clock()}
	entry, err := b.Sign(cast().Register().Next(b.Of), trust.ByOrg(trusttest.OrgKey(p.Desk.Org())))
	if err == nil {
		_, err = w.register.Append(context.Background(), entry, nil, w.clock())
	}
	if err != nil {
		panic(err)
	}
}

// documented are the codes with which a relay may answer what is said below the frames.
var documented = []wire.CloseCode{0, wire.CloseNormal, wire.CloseProtocol, wire.CloseBadType, wire.CloseTooBig, wire.CloseLogin, wire.CloseTimeout, wire.CloseFrame, wire.CloseFlood}

// farAhead is more than any mailbox here can hold.
const farAhead = 1000

// judgeEnd: the session ended with the right code, or goes on and has answered everything.
func (l *live) judgeEnd(s *script, before int) string {
	code, over := l.p.over()
	want := []wire.CloseCode{s.outlook.ends}
	switch l.stage {
	case connected:
		return "nothing to say" // that it ends is for the bubble to see
	case draining:
		want = append(want, wire.CloseRestart)
	case revoked:
		want = []wire.CloseCode{wire.CloseRevoked}
	case evicted:
		want = []wire.CloseCode{wire.CloseEvicted}
	}
	if s.outlook.any {
		want = append(want, documented...)
	}
	if !s.outlook.in {
		want = append(want, wire.CloseTimeout)
	}
	if s.outlook.acked > 0 {
		want = append(want, wire.CloseFrame)
	}
	switch outcome := fmt.Sprintf("%v: ends with %d", l.stage, code); {
	case over && slices.Contains(want, code) && (code != 0 || s.outlook.any):
		return outcome
	case over:
		l.accuse("code: %v: the session ended with %d (%v), want %v", l.stage, code, l.p.ended, want)
		return outcome
	case s.outlook.any && l.stage < draining:
		return "goes on, perhaps"
	case s.outlook.ends != 0 || l.stage >= draining || s.outlook.acked > farAhead && l.stage != storeless:
		l.accuse("code: %v: the session goes on, want %v", l.stage, want)
	case !s.outlook.in: // nobody logged in, or tried to
	default:
		l.judgeAnswers(s, before)
	}
	return l.stage.String() + ": goes on"
}

// judgeAnswers: everything was answered once, and the session hears what is said next.
func (l *live) judgeAnswers(s *script, before int) {
	want := s.outlook.answers + before
	if l.stage == putting {
		want++
	}
	if got := answered(l.p); got != want {
		l.accuse("answers: %v: %d came, want %d", l.stage, got, want)
	}
	l.p.say(wire.WantKeys{Tag: 1 << 50})
	if !soon(func() bool {
		list := heardOf[wire.KeysAre](l.p)
		return len(list) > 0 && list[len(list)-1].Tag == 1<<50
	}) {
		l.accuse("answers: %v: the session goes on and hears nothing", l.stage)
	}
}

// judgeOthers: whatever one device says, an envelope of another reaches a third, and who
// took over from it stays.
func (l *live) judgeOthers() {
	l.disk.Suffer(lossy.Trouble{})
	l.slow(false)
	from := l.others
	if l.stage == draining {
		soon(l.down)
		<-time.After(5 * time.Second) // until it has let go of the register
		l.start()
		if from = l.connect(writer, 3); !from.enter() {
			l.accuse("others: the writer cannot log in again")
			return
		}
		defer from.leave()
	}
	to := l.connect(sibling, 1)
	if !to.enter() {
		l.accuse("others: a device of the same desk cannot log in")
		return
	}
	defer to.leave()
	to.say(wire.Credit{Messages: 1 << 20, Bytes: 1 << 30})
	third := cast().devices[sibling].ID
	raw := from.letterTo("last", to.Desk, nil, func(d identity.DeviceID) bool { return d == third })
	stored := from.count(wire.TypeStored)
	from.say(wire.Put{Envelope: raw})
	last := func(d wire.Deliver) bool { return bytes.Equal(d.Envelope, raw) }
	if !soon(func() bool {
		return slices.ContainsFunc(heardOf[wire.Deliver](to), last) && from.count(wire.TypeStored) > stored
	}) {
		l.accuse("others: %v: an envelope of another device is not delivered", l.stage)
	}
	for _, d := range heardOf[wire.Deliver](to) {
		if e, err := envelope.Parse(d.Envelope); err != nil || e.Header.Sealer != from.ID {
			l.accuse("others: %v: a device got what its writer did not send", l.stage)
		}
	}
	if l.second != nil {
		l.second.say(wire.WantKeys{Tag: 7})
		if !soon(func() bool { return l.second.count(wire.TypeKeysAre) > 0 }) {
			l.accuse("others: the session that took over is gone")
		}
	}
}

// judgeStored: nothing was stored that its device did not say, as itself, while it might.
func (l *live) judgeStored(raw bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, put := range l.puts {
		e, err := envelope.Parse(put.Envelope)
		switch said := l.p.said.Bytes(); {
		case err != nil:
			l.accuse("stored: what is no envelope: %v", err)
		case e.Header.Sealer != put.Sealer || e.Header.Desk != put.Desk || e.Header.ID != put.ID:
			l.accuse("stored: not as its header says")
		case put.Sealer == cast().devices[writer].ID:
		case put.Sealer != l.p.ID:
			l.accuse("stored: sealed by a device that said nothing")
		case !bytes.Contains(said, put.Envelope) && !raw:
			l.accuse("stored: what was not said")
		case l.stage == revoked:
			l.accuse("stored: of a device that is revoked")
		}
	}
}

// scripts are where fuzzing begins, and what make test plays.
var scripts = [][]byte{
	nil,
	{wiretest.Say, 0}, // the login
	{wiretest.Take, 0, wiretest.Take, 6, wiretest.Send}, // and more behind it
	{wiretest.Take, 0, wiretest.Flip, 0, 40, 1},         // another one
	{wiretest.Take, 0, wiretest.Pieces, 10, wiretest.Say, 8},
	{wiretest.Say, 1, wiretest.Say, 2, wiretest.Say, 3, wiretest.Say, 4, wiretest.Say, 5, wiretest.Say, 1},
	{wiretest.Take, 8, wiretest.Take, 6, wiretest.Take, 1, wiretest.Take, 10, wiretest.Take, 2, wiretest.Send},
	{wiretest.Take, 1, wiretest.Cut, 100, wiretest.Send},
	{wiretest.Take, 2, wiretest.Flip, 0, 30, 0x80, wiretest.Send, wiretest.Wait, 10},
	{wiretest.Say, 10, wiretest.Say, 11, wiretest.Say, 6, wiretest.Say, 7},
	{wiretest.Say, 9, wiretest.Say, 9, wiretest.Say, 6},
	{wiretest.Say, 12, wiretest.Say, 13, wiretest.Say, 12},
	{wiretest.Say, 14, wiretest.Say, 15, wiretest.Say, 16},
	{wiretest.Say, 17, wiretest.Say, 18, wiretest.Say, 19, wiretest.Say, 19, wiretest.Say, 20},
	{wiretest.Say, 21, wiretest.Say, 22, wiretest.Wait, 20, wiretest.Say, 21},
	{wiretest.Take, 1, wiretest.Take, 8, wiretest.Take, 12, wiretest.Send},
	{wiretest.Take, 1, wiretest.Pieces, 3, wiretest.Ping, wiretest.Say, 16},
	{wiretest.Take, 16, wiretest.Text},
	{wiretest.Take, 1, wiretest.Claim, 0xff, 0xff, wiretest.Send},
	{wiretest.Take, 6, wiretest.Claim, 0, 9, wiretest.Add, 1, 0, wiretest.Send},
	{wiretest.Send},
	{wiretest.Raw, 4, 0x82, 0xff, 0, 0}, // half a header
	{wiretest.Raw, 8, 0x88, 0x82, 0, 0, 0, 0, 3, 232},
	{wiretest.Raw, 2, 0x82, 1, wiretest.Say, 1},
	append([]byte{wiretest.Raw, 18}, "GET /v1/connect\r\n\r"...),
}

// FuzzSessionInEveryState: whatever a device says, at whatever moment, no session panics, it
// ends with the right code or goes on and answers, others do not notice, and nothing is
// stored that was not put. The bubble sees that no goroutine stays.
func FuzzSessionInEveryState(f *testing.F) {
	for i, text := range scripts {
		f.Add(byte(i)%byte(stages), text)
	}
	f.Fuzz(func(t *testing.T, at byte, text []byte) {
		if len(text) > 4096 {
			return
		}
		faults, _ := playLive(t, at, text, mistake{})
		for _, fault := range faults {
			t.Error(fault)
		}
	})
}

// TestSessionInEveryState plays every script at every stage.
func TestSessionInEveryState(t *testing.T) {
	ends := map[string]int{}
	for at := range stages {
		for i, text := range scripts {
			faults, outcome := playLive(t, byte(at)|byte(i)<<7, text, mistake{})
			ends[outcome]++
			for _, fault := range faults {
				t.Errorf("script %d: %s", i, fault)
			}
		}
	}
	t.Log(ends)
}

// TestSessionInEveryStateNotices has the relay make mistakes that the scripts must bring to light.
func TestSessionInEveryStateNotices(t *testing.T) {
	for name, c := range map[string]struct {
		wrong mistake
		seen  string
	}{
		"a panic":                   {mistake{taps: startled}, "panic: "},
		"stored for another":        {mistake{wraps: ofOps(forOthers)}, "stored: "},
		"an answer is forgotten":    {mistake{taps: forgetful}, "answers: "},
		"an ack for the whole desk": {mistake{wraps: ofOps(ackForAll)}, "stored: "},
		"another code":              {mistake{taps: overlooking}, "code: "},
	} {
		t.Run(name, func(t *testing.T) {
			for at := range stages {
				for i, text := range scripts {
					faults, _ := playLive(t, byte(at), text, c.wrong)
					for _, f := range faults {
						if strings.Contains(f, c.seen) {
							t.Logf("noticed by script %d, %v: %s", i, at, f)
							return
						}
					}
				}
			}
			t.Error("not noticed")
		})
	}
}

// startled is a handler that does not expect an acknowledgement of what was never delivered.
func startled(*world) relay.Tap {
	positions := make([]int, 8)
	return func(_ identity.DeviceID, _ wire.Side, f wire.Frame) []wire.Frame {
		if ack, is := f.(wire.Ack); is {
			positions[ack.Position]++
		}
		return []wire.Frame{f}
	}
}

// forOthers is a store that takes what one device sealed for what another did.
func forOthers(ops []queue.Op) []queue.Op {
	out := slices.Clone(ops)
	for i, op := range ops {
		if put, is := op.(*queue.Put); is {
			other := *put
			other.Sealer = cast().devices[sibling].ID
			out[i] = &other
		}
	}
	return out
}

// forgetful is a relay that does not say what became of a token.
func forgetful(*world) relay.Tap {
	return func(_ identity.DeviceID, _ wire.Side, f wire.Frame) []wire.Frame {
		if _, is := f.(wire.AttendedIs); is {
			return nil
		}
		return []wire.Frame{f}
	}
}

// overlooking is a handler that overlooks a second login.
func overlooking(*world) relay.Tap {
	return func(d identity.DeviceID, _ wire.Side, f wire.Frame) []wire.Frame {
		if _, is := f.(wire.Login); is && d != (identity.DeviceID{}) {
			return nil
		}
		return []wire.Frame{f}
	}
}
