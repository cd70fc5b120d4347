//go:build linux

package schakel_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"schakel/clients/schakel"
)

// refusesToRead has strace answer each read of one file with EIO until the test ends, and returns
// how often it did. This process is the one that it traces: the relay is in it.
func refusesToRead(t *testing.T, file string) (times func() int) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("NOT TESTED: a disk that refuses to read needs strace: apt-get install strace")
	}
	log := filepath.Join(t.TempDir(), "strace")
	command := exec.Command(strace, "-f", "-o", log, "-P", file, "-e", "trace=read", "-e", "inject=read:error=EIO", "-p", strconv.Itoa(os.Getpid()))
	says, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt) // so that it lets go
		_ = command.Wait()
	})
	first := make([]byte, 200)
	if n, _ := says.Read(first); !strings.Contains(string(first[:n]), "attached") {
		t.Skip("NOT TESTED: strace may not trace here: ", string(first[:n]))
	}
	return func() int {
		said, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(said), "EIO (Input/output error) (INJECTED)")
	}
}

// TestUnreadableFileComesAgain: the relay's disk refuses to read a file that lies on it. The relay
// finds out, the sender's device brings it again, and its recipient gets it; no person did anything.
// The control is that the disk refused it, and that the first time takes nothing away.
func TestUnreadableFileComesAgain(t *testing.T) {
	p, counted := newCounted(t)
	content := pdf(100_000)
	sent := p.oneToNobody(t, content)
	lies := p.parts(t)
	if len(lies) != 1 {
		t.Fatalf("%d parts to refuse", len(lies))
	}
	times := refusesToRead(t, lies[0])
	p.to.Reopen()
	p.to.Start()
	p.delivered(t, sent)
	eventually(t, "it asked and got nothing", func() bool {
		all := attachmentsAt(t, p.to, sent)
		return len(all) == 1 && all[0].Trouble != "" && all[0].State != schakel.AttachmentHere && times() > 0
	})
	if n := len(p.parts(t)); n != 1 || counted.parts.Load() != 1 {
		t.Fatalf("the control: %d parts lie there of %d", n, counted.parts.Load())
	}
	p.Pass(3 * time.Minute)
	eventually(t, "the relay has let go of it", func() bool { return len(p.parts(t)) == 0 })
	if n := times(); n < 3 {
		t.Errorf("the disk refused %d times: the relay did not look once more", n)
	}
	p.Pass(6 * time.Minute)
	attachmentIs(t, p.to, sent, 1, schakel.AttachmentHere)
	if !bytes.Equal(saved(t, p.to, sent, 1), content) {
		t.Error("another content")
	}
	if n := counted.parts.Load(); n != 2 {
		t.Errorf("%d parts went up for a file of one that could not be read", n)
	}
}
