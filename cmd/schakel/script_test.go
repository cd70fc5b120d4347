package main_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/script: real processes, real sockets, real stores.
// Beside the commands of testscript a script may use
//
//	exit CODE PROGRAM ARGS...   run, and demand this exit code
//	until PROGRAM ARGS...       run again and again until it succeeds
//	terminate                   send SIGTERM to the background process started last
//	chain [FLAGS...]            make a relay and a register, of one root unless flags of register init say else
//	member HOME DESK ROLE [KEY...]  init, admit (with these root keys) and join, as a partner does; the relay runs
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds both programs and starts many processes")
	}
	bin := buildPrograms(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("BIN", bin)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("SCHAKEL_COOLING_OFF", "0s") // chains that are minutes old
			env.Setenv("SCHAKEL_WAIT", patience.String())
			for name, content := range map[string]string{"passphrase": "zes willekeurige woorden hier\n", "pin": "123456\n"} {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(content), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit": exit, "until": until, "terminate": terminate, "chain": chain, "member": member,
		},
		Condition: condition,
	})
}

// condition knows [redis]: there is a redis-server. Where there must be one, a script
// that would be skipped without it fails.
func condition(name string) (bool, error) {
	if name != "redis" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	_, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv("SCHAKEL_TEST_NEED_REDIS") != "" {
		return false, errors.New("SCHAKEL_TEST_NEED_REDIS is set and there is no redis-server: apt-get install redis-server")
	}
	return err == nil, nil
}

// buildPrograms builds both programs once, without the race detector: what is
// tested is the programs as partners get them.
func buildPrograms(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	out, err := exec.Command("go", "build", "-o", folder+string(filepath.Separator), "schakel/cmd/...").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return folder
}

func exit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var failure *exec.ExitError
	got := 0
	if errors.As(err, &failure) {
		got = failure.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// patience is how long a script waits for anything.
const patience = 5 * time.Minute

func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: until PROGRAM ARGS...")
	}
	deadline := time.Now().Add(patience)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not within %s: %v", patience, err)
		}
		<-time.After(100 * time.Millisecond)
	}
}

func terminate(ts *testscript.TestScript, neg bool, args []string) {
	all := ts.BackgroundCmds()
	if neg || len(args) != 0 || len(all) == 0 {
		ts.Fatalf("usage: terminate, with a background process")
	}
	ts.Check(all[len(all)-1].Process.Signal(syscall.SIGTERM))
}

// run runs one command of the set-up.
func run(ts *testscript.TestScript, args ...string) string {
	ts.Check(ts.Exec(args[0], args[1:]...))
	return strings.TrimSpace(ts.ReadFile("stdout"))
}

// free finds a port below those that Linux gives to connections: a relay that starts, or starts
// again, must not find that some connection of this machine has got its port meanwhile.
func free(ts *testscript.TestScript) string {
	for range 100 {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(15000)))
		if err == nil {
			ts.Check(ln.Close())
			return ln.Addr().String()
		}
	}
	ts.Fatalf("no port is free")
	return ""
}

// chain takes flags for the ceremony; @FILE stands for what is in a file.
func chain(ts *testscript.TestScript, _ bool, args []string) {
	address := free(ts)
	run(ts, "schakel-relay", "init", "--data", "relay", "--listen", address, "--id", "relay-1")
	ceremony := []string{"schakel", "register", "init", "--dir", "root", "--relay", "relay/relay.json"}
	for _, arg := range args {
		if name, ok := strings.CutPrefix(arg, "@"); ok {
			arg = strings.TrimSpace(ts.ReadFile(name))
		}
		ceremony = append(ceremony, arg)
	}
	ts.Setenv("FINGERPRINT", run(ts, ceremony...))
	run(ts, "schakel-relay", "register", "import", "--data", "relay", "root/genesis.txt")
	ts.Setenv("RELAY", address)
}

func member(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: member HOME DESK ROLE [KEY...]")
	}
	home, desk, role := args[0], args[1], args[2]
	org, _, _ := strings.Cut(desk, "/")
	run(ts, "schakel", "init", "--home", home, "--passphrase-file", "passphrase", "--org", org, "--name", "Organisation "+org,
		"--oin", fmt.Sprintf("00000099%012d", len(org)), "--desk", desk, "--role", role, "--phone", "+31600000007")
	admit := []string{"schakel", "register", "admit", "--dir", "root", "--out", home + ".invitation", home + "/request.txt"}
	for _, key := range args[3:] {
		admit = append(admit, "--key", key)
	}
	run(ts, admit...)
	run(ts, "schakel", "join", "--home", home, home+".invitation", "--fingerprint", ts.Getenv("FINGERPRINT"))
}
