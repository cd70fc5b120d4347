package docs_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	seededAll  = flag.Bool("seeded", false, "build the programs with each seeded mistake in turn, and demand that a test notices")
	seededOnly = flag.String("mistake", "", "only the seeded mistakes whose name matches")
)

// mistake is what somebody might really write, and the tests that must notice it. It is
// never in the tree: the compiler is shown a changed copy of one file (go help build,
// -overlay), so that a release cannot contain it, and nothing in the code is there for it.
type mistake struct {
	name         string
	file         string
	right, wrong string // stands exactly once in file, and what stands there instead
	pkg, tests   string
	more         string // at the end of the file
}

// mistakes are about promises: what is stored, who reads it, when somebody is called.
var mistakes = []mistake{
	{"acknowledge before fsync", "relay/queue/boltqueue/open.go", "s.config.unsynced,", "true,",
		"relay/queue/boltqueue", "TestFaults|TestPowerCut", ""},
	{"de-duplication off", "relay/queue/boltqueue/put.go", "if value == nil {", "if value != nil || value == nil {",
		"relay/queue/boltqueue", "TestStore", ""},
	{"an id may get other bytes", "relay/queue/boltqueue/put.go", "case first.digest != op.Digest:", "case first.digest != op.Digest && op.Tier > 9:",
		"relay/queue/boltqueue", "TestStore", ""},
	{"another salt for what is stored already", "relay/queue/boltqueue/put.go", "Salt: first.salt}, true", "Salt: op.Salt}, true",
		"relay", "TestDuplicateAndConflict", ""},
	{"WAIT on another connection", "relay/queue/redisqueue/send.go", "answers := pipelined(ctx, e.client, commands)",
		"answers := pipelined(ctx, e.client, commands[:len(commands)-1])\n\tother, _ := others.LoadOrStore(addressOf(e.client), redis.NewClient(e.client.Options()))\n" +
			"\tanswers = append(answers, pipelined(ctx, other.(*redis.Client), commands[len(commands)-1:])...)",
		"relay/queue/redisqueue", "TestReplicaFrozen", "\nvar others sync.Map\n"},
	{"a repeated put without a barrier", "relay/queue/redisqueue/answers.go",
		"results[i].Err = c.short.about(results[i].Err)", "if !results[i].Duplicate {\n\t\t\tresults[i].Err = c.short.about(results[i].Err)\n\t\t}",
		"relay/queue/redisqueue", "TestReplicaFrozenForAll", ""},
	{"the library retries", "relay/queue/redisqueue/servers.go", "MaxRetries:                 -1,", "MaxRetries:                 3,",
		"relay/queue/redisqueue", "TestReplyLost|TestFrozen$", ""},
	{"mailboxes are trimmed", "relay/queue/redisqueue/mailbox.lua", "local done = redis.pcall('XADD', d.key, dec(pos), 'e', entry)",
		"local done = redis.pcall('XADD', d.key, 'MAXLEN', 3, dec(pos), 'e', entry)",
		"relay/queue/redisqueue", "TestReplyLost", ""},
	{"a server is asked once who it is", "relay/queue/redisqueue/mailbox.lua", "if name ~= transaction then", "if not transaction then",
		"relay/queue/redisqueue", "TestTakenOverBetweenTransactions", ""},
	{"a server is trusted before its file is written anew", "relay/queue/redisqueue/anew.go", "if s.config.Volatile {", "if s.config.Volatile || len(seen) > 0 {",
		"relay/queue/redisqueue", "TestTornTransaction$", ""},
	{"unsafe settings are taken", "relay/queue/redisqueue/safety.go", `{"appendfsync", "always",`, `{"appendfsync", "everysec",`,
		"relay/queue/redisqueue", "TestD38UnsafeSettings", ""},
	{"deleted when one device has it", "relay/queue/boltqueue/ack.go", "return d.passed(targets, p) && d.delivered(targets, p)", "return d.delivered(targets, p)",
		"relay/queue/boltqueue", "TestStore", ""},
	{"no checksum of records", "relay/queue/record.go", "if crc32.Checksum(b[4:], castagnoli) != binary.BigEndian.Uint32(b) {", "if len(b) < 4 {",
		"relay/queue", "TestRecordFlips", ""},
	{"an unbounded queue", "relay/queue/committer.go", "if len(c.waiting)+len(ops) > c.config.QueueOps*share/100 ||", "if share < 0 ||",
		"relay/queue", "TestShedsTheLeastUrgentFirst", ""},
	{"an error of the store is swallowed", "relay/queue/run.go", "batch[i].Result = Result{Err: err}", "batch[i].Result = Result{}",
		"relay/queue", "TestUnavailableRefusesAndGoesOn", ""},
	{"every device of a desk gets it", "relay/deliver.go", "if slices.Contains(r.Targets, s.rights.Device) {", "if r.Targets != nil || slices.Contains(r.Targets, s.rights.Device) {",
		"relay", "TestOnlyListedDevices", ""},
	{"acknowledged for all devices", "relay/read.go", "&queue.Ack{Desk: s.rights.Desk, Device: s.rights.Device, Position: last}",
		"&queue.Ack{Desk: s.rights.Desk, Device: [16]byte{1}, Position: last}",
		"relay", "TestD41H06ForeignMailboxes", ""},
	{"forbidden lanes are open", "relay/accept.go", "if !ok {\n\t\treturn 0, ErrLane\n\t}\n\treturn ceiling, nil", "if !ok {\n\t\treturn envelope.TierAcute, nil\n\t}\n\treturn ceiling, nil",
		"relay", "TestAcceptPath", ""},
	{"sealed to the key of an hour ago", "clients/schakel/deliver.go", "dir.EpochFor(d.ID, t)", "dir.EpochFor(d.ID, t.Add(-60*60*1e9))",
		"clients/schakel", "TestKeyChangesDuringSends", ""},
	{"a token is logged", "relay/login.go", "s.rights, err = r.verifier.Verify(", "s.log.Info(\"device logs in\", \"with\", string(frames[0].(wire.Login).Token))\n\ts.rights, err = r.verifier.Verify(",
		"relay", "TestG06LogsAndMetricsSayNothing", ""},
	{"close without a deadline", "relay/wire/guard.go", "_ = g.Conn.SetDeadline(time.Now().Add(d))", "_ = g.Conn.SetDeadline(time.Now().Add(d + time.Hour))",
		"relay", "TestCloseStall", ""},
	{"exp is ignored", "relay/auth/auth.go", "jwt.WithTimeFunc(func() time.Time { return now }),", "jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithLeeway(24 * time.Hour),",
		"relay/auth", "TestTokensRefused", ""},
	{"a token may come twice", "relay/auth/auth.go", "case !v.seen.first(c.ID, c.ExpiresAt.Time, now):", "case v.seen == nil:",
		"relay/auth", "TestD28ReplayIsRefused", ""},
	{"the ladder follows the clock on the wall", "relay/oncall/oncall.go", "clock: clock{elapsed: c.Elapsed}",
		"clock: clock{elapsed: func() time.Duration { return c.Now().Sub(time.Unix(0, 0)) }}",
		"relay/oncall", "TestSimulation", ""},
	{"two sessions of one device", "relay/hub.go", "old.end(wire.CloseEvicted)", "_ = old",
		"relay", "TestNewerSessionEvictsTheOlder", ""},
	{"a device may send what another sealed", "relay/accept.go", "if c.header.Sealer != c.session.rights.Device {",
		"if c.header.Sealer != c.session.rights.Device && c.header.Tier > 9 {",
		"relay/simulation", "FuzzSessionInEveryState", ""},
	{"a second login is overlooked", "relay/read.go", `return fmt.Errorf("%w: type %#02x after login", wire.ErrFrame, f.Type())`,
		"_ = fmt.Sprint(f)", "relay/simulation", "FuzzSessionInEveryState", ""},
	{"nobody counts the keys that a relay answers with", "clients/schakel/deliver.go", "if !ok || len(asked) != len(f.Recipients) {",
		"if f.Tag == 1<<63 || !ok && asked != nil {",
		"clients/schakel", "FuzzRelayInEveryState", ""},
	{"a delivery that comes again is taken again", "clients/schakel/arrive.go", "if once {", "if !once {",
		"clients/schakel", "TestEvilRelay", ""},
}

func (m mistake) changed(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", m.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(raw), m.right); n != 1 {
		t.Fatalf("%s: what the mistake %q changes stands there %d times, want once", m.file, m.name, n)
	}
	return []byte(strings.Replace(string(raw), m.right, m.wrong, 1) + m.more)
}

// run runs the tests, with the mistake where a changed file is given, and returns what
// they said and whether they failed: by a test, not by a compiler.
func (m mistake) run(t *testing.T, changed []byte) (out string, failed bool) {
	t.Helper()
	args := []string{"test", "-count=1", "-timeout=10m", "-run", "^(" + m.tests + ")$"}
	if changed != nil {
		dir := t.TempDir()
		file, overlay := filepath.Join(dir, filepath.Base(m.file)), filepath.Join(dir, "overlay.json")
		original, err := filepath.Abs(filepath.Join("..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		replace, err := json.Marshal(map[string]any{"Replace": map[string]string{original: file}})
		if err := errors.Join(err, os.WriteFile(file, changed, 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, "schakel/"+m.pkg)...)
	raw, err := cmd.CombinedOutput()
	out = string(raw)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out, false
	case !errors.As(err, &exit) || strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
		t.Fatalf("%v\n%s", err, out)
	}
	return out, true
}

// Every seeded mistake still fits the code. With -seeded each is built, after its tests
// have passed without it: what fails anyway notices nothing.
func TestSeededMistakes(t *testing.T) {
	only := regexp.MustCompile(*seededOnly)
	sound := map[string]bool{}
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			changed := m.changed(t)
			if !*seededAll || !only.MatchString(m.name) {
				return
			}
			if key := m.pkg + " " + m.tests; !sound[key] {
				if out, failed := m.run(t, nil); failed {
					t.Fatalf("control: without a mistake %s fails\n%s", key, last(out))
				}
				sound[key] = true
			}
			began := time.Now()
			out, failed := m.run(t, changed)
			took := time.Since(began).Round(100 * time.Millisecond)
			if !failed {
				t.Fatalf("nobody notices, in %v: %s.%s", took, m.pkg, m.tests)
			}
			t.Logf("noticed after %v, with the build: %s.%s", took, m.pkg, noticedBy(out))
		})
	}
}

var failPattern = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// noticedBy is the innermost test that failed first.
func noticedBy(out string) string {
	all := failPattern.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		return "(the process ended) " + last(out)
	}
	return slices.MaxFunc(all[:min(2, len(all))], func(a, b []string) int { return len(a[1]) - len(b[1]) })[1]
}

func last(out string) string { return out[max(0, len(out)-1500):] }

// taggedReleases: what is built for a release contains no file that a build tag of a
// seeded fault lets in.
func taggedReleases(all []pkg, tagged []string) (wrong []string) {
	for _, p := range all {
		for _, f := range p.GoFiles {
			if name := p.room() + "/" + f; slices.Contains(tagged, name) {
				wrong = append(wrong, "the programs contain "+name)
			}
		}
	}
	return wrong
}

var seededTag = regexp.MustCompile(`(?m)^//go:build (seeded_\w+)$`)

// Three faults are build tags, because tests build whole programs with them. None is in
// what is released; the control asks for one and finds it.
func TestReleasesAreUnseeded(t *testing.T) {
	var tagged []string
	for name, raw := range tracked(t) {
		if strings.HasSuffix(name, ".go") && seededTag.Match(raw) {
			tagged = append(tagged, name)
		}
	}
	if len(tagged) != 3 {
		t.Errorf("%d files with a tag of their own, want 3: %q", len(tagged), tagged)
	}
	report(t, taggedReleases(list(t, "..", "-deps", "./cmd/..."), tagged))
	if wrong := taggedReleases(list(t, "..", "-deps", "-tags=seeded_early", "./cmd/..."), tagged); len(wrong) != 1 {
		t.Errorf("control: with a tag %d files are found, want 1", len(wrong))
	}
	for _, file := range []string{"Makefile", "Dockerfile", ".ci/run"} {
		if raw, err := os.ReadFile(filepath.Join("..", file)); err == nil && regexp.MustCompile(`-tags|-overlay`).Match(raw) {
			t.Errorf("%s builds with tags or overlays", file)
		}
	}
}
