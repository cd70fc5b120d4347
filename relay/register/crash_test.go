package register_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/register"
)

// TestMain lets the test program be the process that is killed.
func TestMain(m *testing.M) {
	if path := os.Getenv("REGISTER_TEST_FILE"); path != "" {
		if err := appendForEver(path, os.Getenv("REGISTER_TEST_MODE")); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// toAppend is a chain of more entries than the crash test ever appends.
var toAppend = sync.OnceValue(func() *trusttest.Chain {
	c := trusttest.New(now)
	for c.Size() < 700 {
		c.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	}
	return c
})

// appendForEver is the child: it appends from where the file ends and says each
// index once Append has answered. In mode "lie" it says one more, which it never
// appended; in mode "hold" it only keeps the file open.
func appendForEver(path, mode string) error {
	l, err := register.Open(register.Config{Path: path, LogName: trusttest.LogName, LogKey: trusttest.NewKey("log")})
	if err != nil {
		return err
	}
	fmt.Println("open", l.Size())
	if mode == "hold" {
		return waitForEver()
	}
	file, err := os.ReadFile(os.Getenv("REGISTER_TEST_ENTRIES"))
	if err != nil {
		return err
	}
	entries, err := trust.ParseEntries(file)
	if err != nil {
		return err
	}
	c := new(trusttest.Chain)
	if l.Size() == 0 {
		if _, err := l.Import(context.Background(), entries[:1], now); err != nil {
			return err
		}
	}
	for i := l.Size(); i < uint64(len(entries)); i++ {
		if _, err := l.Append(context.Background(), entries[i], c.RecipientsOf(entries[i]), now); err != nil {
			return err
		}
		fmt.Println("appended", i)
		if mode == "lie" {
			fmt.Println("appended", i+1)
			return waitForEver()
		}
	}
	return errors.New("nothing left to append")
}

// waitForEver waits for the parent to go, which kills before it does.
func waitForEver() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// child is a running appendForEver.
type child struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

func start(t *testing.T, path, mode string) *child {
	t.Helper()
	entries := path + ".entries"
	if err := os.WriteFile(entries, trust.FormatEntries("to append", toAppend().Entries()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "REGISTER_TEST_FILE="+path, "REGISTER_TEST_MODE="+mode, "REGISTER_TEST_ENTRIES="+entries)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &child{cmd, bufio.NewScanner(io.LimitReader(out, 1<<20))}
}

// next reads one line: its word and its number.
func (c *child) next(t *testing.T) (string, uint64) {
	t.Helper()
	if !c.out.Scan() {
		t.Fatal("the child ended")
	}
	word, number, _ := strings.Cut(c.out.Text(), " ")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		t.Fatalf("the child says %q", c.out.Text())
	}
	return word, n
}

// kill kills the child and returns the last index it still managed to say.
func (c *child) kill(t *testing.T, last uint64) uint64 {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for c.out.Scan() {
		if word, number, _ := strings.Cut(c.out.Text(), " "); word == "appended" {
			if n, err := strconv.ParseUint(number, 10, 64); err == nil {
				last = n
			}
		}
	}
	c.cmd.Wait()
	return last
}

// verify opens the file and says how it falls short of what was accepted.
func verify(t *testing.T, path string, c *trusttest.Chain, accepted uint64) error {
	t.Helper()
	l, err := register.Open(register.Config{Path: path, LogName: trusttest.LogName, LogKey: trusttest.NewKey("log")})
	if err != nil {
		return err
	}
	defer l.Close()
	if l.Size() <= accepted {
		return fmt.Errorf("entry %d was accepted, the file has %d", accepted, l.Size())
	}
	if root, _ := c.Register().RootAt(l.Size()); root != l.Register().Root() {
		return fmt.Errorf("the file has other entries")
	}
	for i, e := range c.Entries()[:l.Size()] {
		for n, want := range c.RecipientsOf(e) {
			d, _ := trust.ParseEntry(e)
			b := d.Body.(trust.Epochs)
			if got, ok, err := l.Recipient(b.Device, b.First+uint64(n)); !ok || err != nil || got != want {
				return fmt.Errorf("entry %d lost a recipient: %v", i, err)
			}
		}
	}
	return nil
}

// TestKilled kills the process at random instants while it appends: whatever was
// accepted is there, and the file opens again, every time.
func TestKilled(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "register.db"), toAppend()
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		p := start(t, path, "")
		p.next(t) // open
		var last uint64
		for range 1 + rand.IntN(20) {
			_, last = p.next(t)
		}
		delay := time.NewTimer(time.Duration(rand.IntN(2000)) * time.Microsecond)
		<-delay.C
		last = p.kill(t, last)
		if err := verify(t, path, c, last); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

// TestKilledControl: a process that answers before the commit is caught.
func TestKilledControl(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "register.db"), toAppend()
	p := start(t, path, "lie")
	p.next(t)
	p.next(t)
	_, lie := p.next(t)
	if err := verify(t, path, c, p.kill(t, lie)); err == nil {
		t.Error("an entry that was answered for and never written is not missed")
	}
}

// TestSecondProcess: two processes never have the file at once, and the second is
// told so.
func TestSecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register.db")
	p := start(t, path, "hold")
	p.next(t)
	config := register.Config{Path: path, LogName: trusttest.LogName, LogKey: trusttest.NewKey("log")}
	if l, err := register.Open(config); !errors.Is(err, register.ErrInUse) {
		t.Fatalf("second process: %v, %v", l, err)
	}
	p.kill(t, 0)
	open(t, path)
}
